"""Drafts of clusters and rules: checked when made, nothing until published, then as if done at once; and who is told of whom."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connection

from clusters import editing
from clusters.cluster_drafts import EditConflict, EditError
from clusters.editing import Actor
from clusters.models import ClusterChange, ClusterMembership, Item, ItemCluster
from personas.models import Shop
from recommendations import rule_editing
from recommendations.drafts import discards as draft_discards
from recommendations.drafts import drafting
from recommendations.drafts.drafting import Known, State
from recommendations.models import DraftEdit, MerchandisingRule

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    shop = Shop.objects.create(slug="s", name="Shop S")
    Item.objects.bulk_create(Item(shop=shop, external_id=f"i{n}", title=f"Item {n}") for n in range(12))
    return shop


@pytest.fixture
def anna() -> User:
    return get_user_model().objects.create_superuser("anna")


@pytest.fixture
def ben() -> User:
    return get_user_model().objects.create_superuser("ben")


def ids(*numbers: int) -> list[int]:
    known = dict(Item.objects.filter(shop__slug="s").values_list("external_id", "pk"))
    return [known[f"i{n}"] for n in numbers]


def make(shop: Shop, name: str, *numbers: int, kind: str = "co_visit") -> ItemCluster:
    cluster = ItemCluster.objects.create(shop=shop, name=name, kind=kind, size=len(numbers))
    ClusterMembership.objects.bulk_create(
        ClusterMembership(cluster=cluster, item_id=item, weight=1.0 - 0.1 * place) for place, item in enumerate(ids(*numbers))
    )
    return cluster


def pin(shop: Shop, name: str = "Pin", **fields: Any) -> dict[str, Any]:
    return {"name": name, "action": "pin", "target": {"items": ids(0)}, "slot": 1, **fields}


def everything() -> list[tuple[Any, ...]]:
    """All rows but the drafts themselves."""
    with connection.cursor() as cursor:
        tables = [
            t for t in connection.introspection.table_names(cursor) if t != "recommendations_draftedit" and "django_" not in t
        ]
        told = []
        for table in sorted(tables):
            cursor.execute(f'SELECT * FROM "{table}"')
            told.append((table, sorted(map(repr, cursor.fetchall()))))
        cursor.execute("SELECT COUNT(*) FROM django_admin_log")
        return [*told, ("log", cursor.fetchone())]


def by(user: User) -> Actor:
    return Actor(ClusterChange.Actor.MERCHANDISER, user=user, who=user.username)


def drafts(shop: Shop, anna: User) -> list[DraftEdit]:
    """One of every verb that stands by itself."""
    a, b, c, d, e = (
        make(shop, n, *i) for n, i in {"A": (0, 1, 2), "B": (3, 4), "C": (5, 6, 7, 8), "D": (9,), "E": (10,)}.items()
    )
    rule = rule_editing.create(shop=shop, **pin(shop, "Old"))
    other = rule_editing.create(shop=shop, **pin(shop, "Other", slot=2))
    edits: list[tuple[str, str, int | None, dict[str, Any]]] = [
        ("cluster", "rename", a.pk, {"name": "Picnic"}),
        ("cluster", "set_core", a.pk, {"items": ids(0, 11)}),
        ("cluster", "exclude", a.pk, {"items": ids(1)}),
        ("cluster", "lessen", a.pk, {"items": {str(ids(2)[0]): 0.5}}),
        ("cluster", "set_bounds", a.pk, {"minimum_size": 2, "maximum_size": 9}),
        ("cluster", "set_locked", b.pk, {"locked": True}),
        ("cluster", "relate", b.pk, {"target": a.pk, "weight": 0.25}),
        ("cluster", "split", c.pk, {"groups": {"Half": ids(5, 6)}}),
        ("cluster", "merge", d.pk, {"others": [e.pk], "name": "Both"}),
        ("cluster", "create", None, {"name": "Own", "items": ids(0, 3), "core": ids(0)}),
        ("cluster", "retire", b.pk, {}),
        ("rule", "create", None, {"fields": pin(shop, "New", starts_at=None, slot=3)}),
        ("rule", "change", rule.pk, {"fields": {"name": "Newer", "slot": 1}}),
        ("rule", "switch", rule.pk, {"on": False}),
        ("rule", "retire", other.pk, {}),
    ]  # fmt: skip
    return [
        drafting.keep(shop, kind, verb, by=anna, subject=subject, values=values, reason="Summer")
        for kind, verb, subject, values in edits
    ]


def test_a_draft_changes_nothing_until_it_is_published_and_then_all_go_at_once(shop: Shop, anna: User) -> None:
    made = drafts(shop, anna)
    before = everything()
    assert [fate.state for fate in drafting.look(shop)] == [State.READY] * len(made)
    assert everything() == before, "a look takes all of it back"
    fates = drafting.publish(shop, by=anna)
    assert [fate.state for fate in fates] == [State.READY] * len(made)
    assert not DraftEdit.objects.exists()
    live = {cluster.name: cluster for cluster in ItemCluster.objects.live().filter(shop=shop)}
    assert live.keys() == {"Picnic", "C", "Half", "Both", "Own"}
    rules = dict(live["Picnic"].item_rules.values_list("item__external_id", "rule"))
    assert rules == {"i0": "core", "i11": "core", "i1": "excluded", "i2": "lessened"}
    assert (live["Picnic"].minimum_size, live["Picnic"].maximum_size) == (2, 9)
    assert set(live["Both"].memberships.values_list("item__external_id", flat=True)) == {"i9", "i10"}
    standing = dict(MerchandisingRule.objects.standing().values_list("name", "enabled"))
    assert standing == {"Newer": False, "New": True}
    assert set(ClusterChange.objects.values_list("user", "actor", "reason")) == {(anna.pk, "merchandiser", "Summer")}
    assert LogEntry.objects.filter(user=anna).count() >= len(made)


def test_each_draft_says_what_it_would_do(shop: Shop, anna: User) -> None:
    drafts(shop, anna)
    assert [words for _, words in drafting.told(drafting.drafts_of(shop))] == [
        "“A” is called “Picnic”.",
        "“A” makes “Item 0” and “Item 11” core.",
        "“A” excludes “Item 1”.",
        "“A” has “Item 2” weigh less.",
        "“A” holds at least 2 and at most 9 items.",
        "“B” is locked.",
        "“B” is tied to “A”, 25 in 100.",
        "“C” gives up “Half” (2 items).",
        "“D” takes in “E”, and is called “Both”.",
        "A new cluster “Own” of “Item 0” and “Item 3”.",
        "“B” is taken out.",
        "A new rule “New”: pins “Item 0” to slot 3.",
        "Rule “Old”: name “Old” → “Newer”.",
        "Rule “Old” is switched off.",
        "Rule “Other” is taken out.",
    ]


@pytest.mark.parametrize(
    ("kind", "verb", "values", "field"),
    [
        ("cluster", "rename", {"name": " "}, "name"),
        ("cluster", "rename", {"name": "B"}, "name"),
        ("cluster", "rename", {"name": "A"}, "draft"),
        ("cluster", "set_core", {"items": [10**9]}, "items"),
        ("cluster", "set_core", {"items": ["x"]}, "items"),
        ("cluster", "merge", {"others": []}, "clusters"),
        ("cluster", "merge", {}, "values"),
        ("cluster", "fly", {}, "verb"),
        ("animal", "retire", {}, "kind"),
        ("rule", "create", {"fields": {"name": "x", "action": "pin", "target": {}}}, "target"),
        ("rule", "retire", {}, "rule"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_no_draft(
    shop: Shop, anna: User, kind: str, verb: str, values: dict[str, Any], field: str
) -> None:
    a, _ = make(shop, "A", 0, 1), make(shop, "B", 2)
    with pytest.raises(EditError) as refused:
        drafting.keep(shop, kind, verb, by=anna, subject=None if verb == "create" else a.pk, values=values)
    assert refused.value.field == field
    assert not DraftEdit.objects.exists()


def test_a_draft_stands_upon_those_before_it(shop: Shop, anna: User) -> None:
    a, b = make(shop, "A", 0, 1), make(shop, "B", 2)
    drafting.keep(shop, "cluster", "rename", by=anna, subject=a.pk, values={"name": "Z"})
    drafting.keep(shop, "cluster", "rename", by=anna, subject=b.pk, values={"name": "A"})
    with pytest.raises(EditConflict):
        drafting.keep(shop, "cluster", "rename", by=anna, subject=b.pk, values={"name": "Z"})
    with pytest.raises(EditConflict, match="nothing"):
        drafting.keep(shop, "cluster", "rename", by=anna, subject=a.pk, values={"name": "Z"})
    drafting.publish(shop, by=anna)
    assert set(ItemCluster.objects.values_list("pk", "name")) == {(a.pk, "Z"), (b.pk, "A")}


# Two people


def test_what_somebody_else_changed_since_waits_for_a_decision(shop: Shop, anna: User, ben: User) -> None:
    a = make(shop, "A", 0, 1, 2)
    name = drafting.keep(shop, "cluster", "rename", by=anna, subject=a.pk, values={"name": "Picnic"})
    items = drafting.keep(shop, "cluster", "exclude", by=anna, subject=a.pk, values={"items": ids(0)})
    editing.rename(cluster=a, name="Ben's", by=by(ben))
    fates = drafting.publish(shop, by=anna)
    assert [fate.state for fate in fates] == [State.OVERTAKEN, State.READY], "what he didn't touch goes"
    assert fates[0].told.startswith("ben, ")
    assert "“A” is now “Ben's”" in fates[0].told
    assert list(DraftEdit.objects.values_list("pk", flat=True)) == [name.pk]
    a.refresh_from_db()
    assert a.name == "Ben's"
    assert items.pk not in drafting.drafts_of(shop).values_list("pk", flat=True)
    assert drafting.publish(shop, by=anna, anyway={name.pk})[0].state == State.READY
    a.refresh_from_db()
    assert a.name == "Picnic"


def test_retiring_is_about_all_that_somebody_else_did(shop: Shop, anna: User, ben: User) -> None:
    a = make(shop, "A", 0, 1, 2)
    drafting.keep(shop, "cluster", "retire", by=anna, subject=a.pk)
    editing.set_core(cluster=a, items=ids(5), by=by(ben))
    assert drafting.publish(shop, by=anna)[0].state == State.OVERTAKEN


def test_what_one_did_oneself_or_a_rebuild_did_is_no_news(shop: Shop, anna: User) -> None:
    a = make(shop, "A", 0, 1, 2)
    drafting.keep(shop, "cluster", "rename", by=anna, subject=a.pk, values={"name": "Picnic"})
    editing.rename(cluster=a, name="First", by=by(anna))
    editing.rename(cluster=a, name="Second", by=Actor(ClusterChange.Actor.TRAINING, who="Training 1"))
    assert drafting.publish(shop, by=anna)[0].state == State.READY


def test_of_two_drafts_of_two_people_the_second_is_told_of_the_first(shop: Shop, anna: User, ben: User) -> None:
    a = make(shop, "A", 0, 1, 2)
    rule = rule_editing.create(shop=shop, **pin(shop))
    for user in (anna, ben):
        drafting.keep(shop, "cluster", "rename", by=user, subject=a.pk, values={"name": user.username})
        drafting.keep(shop, "rule", "change", by=user, subject=rule.pk, values={"fields": {"name": user.username}})
    fates = drafting.publish(shop, by=anna)
    assert [fate.state for fate in fates] == [State.READY, State.READY, State.OVERTAKEN, State.OVERTAKEN]
    rule.refresh_from_db()
    assert rule.name == "anna"


def test_a_rule_that_somebody_else_changed_waits_where_the_same_was_changed(shop: Shop, anna: User, ben: User) -> None:
    rule = rule_editing.create(shop=shop, **pin(shop))
    drafting.keep(shop, "rule", "change", by=anna, subject=rule.pk, values={"fields": {"slot": 5}})
    rule_editing.change(rule=rule, name="Ben's")
    LogEntry.objects.log_actions(ben.pk, [rule], 2, change_message="Changed: name.", single_object=True)
    assert drafting.look(shop)[0].state == State.READY, "another field"
    rule_editing.change(rule=rule, slot=7)
    LogEntry.objects.log_actions(ben.pk, [rule], 2, change_message="Changed: slot.", single_object=True)
    (fate,) = drafting.publish(shop, by=anna)
    assert fate.state == State.OVERTAKEN
    assert fate.told.startswith("ben, ")
    assert "Changed: slot" in fate.told
    drafting.publish(shop, by=anna, anyway={fate.draft.pk})
    rule.refresh_from_db()
    assert (rule.slot, rule.name) == (5, "Ben's"), "only what she changed goes over it"


def test_an_own_draft_before_hides_nobody_else_s_change(shop: Shop, anna: User, ben: User) -> None:
    rule = rule_editing.create(shop=shop, **pin(shop))
    for fields in ({"name": "Anna's"}, {"slot": 5}):
        drafting.keep(shop, "rule", "change", by=anna, subject=rule.pk, values={"fields": fields})
    rule_editing.change(rule=rule, slot=7)
    LogEntry.objects.log_actions(ben.pk, [rule], 2, change_message="Changed: slot.", single_object=True)
    fates = drafting.publish(shop, by=anna)
    assert [fate.state for fate in fates] == [State.READY, State.OVERTAKEN]
    rule.refresh_from_db()
    assert (rule.slot, rule.name) == (7, "Anna's")
    # Of her own two drafts of one field the later one holds.
    DraftEdit.objects.all().delete()
    for slot in (8, 9):
        drafting.keep(shop, "rule", "change", by=anna, subject=rule.pk, values={"fields": {"slot": slot}})
    assert [fate.state for fate in drafting.publish(shop, by=ben)] == [State.READY, State.READY]
    rule.refresh_from_db()
    assert rule.slot == 9
    assert "Drafted by anna." in LogEntry.objects.latest("pk").change_message


def test_all_the_same_is_said_of_what_was_seen_and_of_nothing_after(shop: Shop, anna: User, ben: User) -> None:
    a, rule = make(shop, "A", 0, 1), rule_editing.create(shop=shop, **pin(shop))
    drafting.keep(shop, "cluster", "rename", by=anna, subject=a.pk, values={"name": "Anna's"})
    drafting.keep(shop, "rule", "change", by=anna, subject=rule.pk, values={"fields": {"slot": 5}})

    def bens(n: int) -> None:
        editing.rename(cluster=a, name=f"Ben's {n}", by=by(ben))
        rule_editing.change(rule=rule, slot=n)
        LogEntry.objects.log_actions(ben.pk, [rule], 2, change_message=f"Changed: slot {n}.", single_object=True)

    bens(2)
    seen = Known.read(str(drafting.known(shop)))
    assert seen == drafting.known(shop)
    bens(3)
    keys = set(DraftEdit.objects.values_list("pk", flat=True))
    fates = drafting.publish(shop, by=anna, anyway=keys, seen=seen)
    assert [fate.state for fate in fates] == [State.OVERTAKEN, State.OVERTAKEN]
    assert ["Ben's 3" in fates[0].told, "slot 3" in fates[1].told] == [True, True]
    fates = drafting.publish(shop, by=anna, anyway=keys, seen=drafting.known(shop))
    assert [fate.state for fate in fates] == [State.READY, State.READY]


def test_what_is_gone_by_then_is_refused_and_the_others_go(shop: Shop, anna: User) -> None:
    a, b = make(shop, "A", 0, 1), make(shop, "B", 2)
    drafting.keep(shop, "cluster", "rename", by=anna, subject=a.pk, values={"name": "X"})
    drafting.keep(shop, "cluster", "rename", by=anna, subject=b.pk, values={"name": "Y"})
    editing.retire(cluster=a, by=by(anna))
    fates = drafting.publish(shop, by=anna)
    assert [fate.state for fate in fates] == [State.REFUSED, State.READY]
    assert "retired" in fates[0].told


# Who may, taken away, brought back


def test_only_who_may_do_it_at_once_may_publish_it(shop: Shop, anna: User) -> None:
    a = make(shop, "A", 0, 1)
    drafting.keep(shop, "cluster", "rename", by=anna, subject=a.pk, values={"name": "X"})
    nobody = get_user_model().objects.create(username="viewer", is_staff=True)
    assert drafting.publish(shop, by=nobody)[0].state == State.REFUSED
    assert draft_discards.discard(shop, by=nobody) == []
    assert DraftEdit.objects.count() == 1


def test_what_is_discarded_can_be_brought_back(shop: Shop, anna: User) -> None:
    made = drafts(shop, anna)
    words = [told for _, told in drafting.told(drafting.drafts_of(shop))]
    taken = draft_discards.discard(shop, by=anna)
    assert not DraftEdit.objects.exists()
    assert draft_discards.bring_back(shop, taken, by=anna) == len(made)
    assert [told for _, told in drafting.told(drafting.drafts_of(shop))] == words
    assert {fate.state for fate in drafting.publish(shop, by=anna)} == {State.READY}


def test_an_undo_may_wait_too(shop: Shop, anna: User) -> None:
    a = make(shop, "A", 0, 1)
    (change,) = editing.rename(cluster=a, name="X", by=by(anna))
    drafting.keep(shop, "cluster", "undo", by=anna, subject=a.pk, values={"change": change.pk})
    assert drafting.publish(shop, by=anna)[0].state == State.READY
    a.refresh_from_db()
    assert a.name == "A"
