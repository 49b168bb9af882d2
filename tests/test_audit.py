"""The audit log: each act is one entry, by whichever door it came, says who did it, and names no shopper."""

from __future__ import annotations

import datetime as dt
import json
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core import serializers
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from clusters import catalogue_writing
from clusters.lineage import Actor
from clusters.models import CatalogueFeed, ClusterChange, ClusterMembership, Item, ItemCluster
from personas.models import ApiKey, Attribute, Erasure, Shop, Shopper, ShopperAlias
from recommendations import audit
from recommendations.learning.models import ClusterProposal, Experiment, PolicyVersion
from recommendations.models import AuditEntry, FileImport, MerchandisingRule, Release

pytestmark = pytest.mark.usefixtures("redis_client")


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop.objects.create(slug="fashion", name="Fashion")


@pytest.fixture
def item(shop: Shop) -> Item:
    return Item.objects.create(shop=shop, external_id="skirt-1", title="Red skirt", category="skirts", price=20)


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create(username="root", is_staff=True, is_superuser=True)


@pytest.fixture
def page(client: Client, root: User) -> Client:
    client.force_login(root)
    return client


@pytest.fixture
def api(shop: Shop) -> APIClient:
    key, plaintext = ApiKey.objects.issue(shop=shop, name="erp", scopes=["read", "manage"])
    AuditEntry.objects.all().delete()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {plaintext}")
    return client


def told() -> list[tuple[str, str, str, str, str]]:
    rows = AuditEntry.objects.order_by("pk")
    return [(row.by, row.actor, row.action, row.subject_type, row.subject) for row in rows]


RULE = "recommendations.merchandisingrule"


def test_a_rule_made_on_a_page_and_switched_off_are_two_entries_that_lead_to_it(page: Client, shop: Shop, item: Item) -> None:
    form = {"shop": shop.pk, "name": "First", "action": "pin", "slot": 1, "item": item.pk, "enabled": "on", "holdout": "10"}
    page.post(reverse("admin:recommendations_merchandisingrule_add"), form)
    rule = MerchandisingRule.objects.get()
    page.post(reverse("admin:recommendations_merchandisingrule_switch", args=[rule.pk]), {"to": "off"})
    assert told() == [("person", "root", "made", RULE, "First"), ("person", "root", "changed", RULE, "First")]
    made, off = AuditEntry.objects.order_by("pk")
    assert (made.shop, made.address, off.what) == (
        shop,
        reverse("admin:recommendations_merchandisingrule_change", args=[rule.pk]),
        "Switched off.",
    )


def test_what_a_key_does_over_the_api_is_one_entry_by_its_name(api: APIClient, shop: Shop, item: Item) -> None:
    made = api.post(
        "/api/v1/rules/", {"name": "Pin", "action": "pin", "slot": 1, "target": {"items": ["skirt-1"]}}, format="json"
    )
    assert made.status_code == 201
    assert told() == [("key", "erp", "made", RULE, "Pin")]
    assert AuditEntry.objects.get().what == "Made."
    assert api.patch("/api/v1/items/skirt-1/", {"price": 18}, format="json").status_code == 200
    last = AuditEntry.objects.first()
    assert last is not None
    assert (last.by, last.actor, last.action, last.subject_type, last.subject, last.shop) == (
        "key", "erp", "changed", "clusters.item", str(item), shop,
    )  # fmt: skip
    assert last.what.startswith("Over the API: PATCH /api/v1/items/")
    assert api.get("/api/v1/rules/").status_code == 200
    assert api.post("/api/v1/rules/", {"name": "Pin"}, format="json").status_code == 400
    assert AuditEntry.objects.count() == 2, "what only reads, or is refused, is no act"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("patch", "items/skirt-1/", {"price": 18}),
        ("put", "items/skirt-1/", {"title": "Blue skirt"}),
        ("delete", "items/skirt-1/", None),
        ("post", "items/", {"items": [{"item_id": "hat-1", "title": "Blue hat"}]}),
        ("post", "items/bulk-delete", {"items": ["skirt-1"]}),
        ("post", "attributes/", {"key": "warm", "name": "Warm"}),
        ("put", "shoppers/anna/consent", {"demographics": True}),
        ("post", "shoppers/anna/merge", {"from": "guest-1"}),
        ("post", "clusters/", {"name": "Picnic", "items": ["skirt-1"]}),
        ("post", "feeds/", {"url": "https://feeds.example/goods.xml", "every_minutes": 60}),
        ("patch", "clusters/{cluster}/", {"name": "Garden"}),
        ("post", "experiments/{experiment}/start/", None),
        ("post", "proposals/{proposal}/reject/", {}),
        ("post", "policies/{policy}/refuse/", {}),
    ],
)
def test_a_call_that_can_not_be_put_on_record_is_not_done(
    api: APIClient, shop: Shop, item: Item, method: str, path: str, body: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the rows before, once the log can't be written. Each call is one entry where it can."""
    cluster = ItemCluster.objects.create(shop=shop, name="Skirts")
    ClusterMembership.objects.create(cluster=cluster, item=item)
    arms = [{"name": name, "share": 0.5, "policy": "", "clusters": "", "adapts": name == "as is"} for name in ("as is", "still")]
    experiment = Experiment.objects.create(shop=shop, name="E", arms=arms)
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    proposal = ClusterProposal.objects.create(shop=shop, cluster=cluster, kind="drop", verdict="better", summary="Let it go")
    policy = PolicyVersion.objects.create(shop=shop, version="p1", state=PolicyVersion.State.CANDIDATE)
    address = path.format(cluster=cluster.pk, experiment=experiment.pk, proposal=proposal.pk, policy=policy.pk)
    tables = (
        *(Item, ItemCluster, CatalogueFeed, Experiment, ClusterProposal, PolicyVersion, ClusterChange),
        *(Attribute, Shopper, ShopperAlias),
    )
    before = [list(table.objects.order_by("pk").values()) for table in tables]

    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(AuditEntry.objects, "create", full)
        api.raise_request_exception = False
        assert getattr(api, method)(f"/api/v1/{address}", body, format="json").status_code == 500
    assert [list(table.objects.order_by("pk").values()) for table in tables] == before
    done = getattr(api, method)(f"/api/v1/{address}", body, format="json")
    assert done.status_code < 300, done.content
    assert [list(table.objects.order_by("pk").values()) for table in tables] != before
    assert AuditEntry.objects.count() == 1


def test_lines_of_items_are_on_record_with_the_first_batch_that_changes_something(
    api: APIClient, item: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(*lines: dict[str, object]) -> int:
        body = "\n".join(map(json.dumps, lines))
        answer: int = api.generic("POST", "/api/v1/items/bulk", body, content_type="application/x-ndjson").status_code
        return answer

    new = [{"item_id": f"hat-{n}", "title": "Blue hat"} for n in range(3)]
    monkeypatch.setattr(catalogue_writing, "BATCH", 1)
    with monkeypatch.context() as patched:
        patched.setattr(AuditEntry.objects, "create", lambda **_: 1 / 0)
        api.raise_request_exception = False
        assert send({"item_id": "skirt-1", "title": item.title}, *new) == 500
    assert Item.objects.count() == 1, "nothing that isn't on record"
    assert send(*new) == 200
    assert (Item.objects.count(), AuditEntry.objects.count()) == (4, 1)


@pytest.mark.parametrize("act", ["start", "discard", "stop", "plan"])
def test_a_page_of_learning_does_nothing_that_it_can_not_put_on_record(
    page: Client, shop: Shop, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = [{"name": name, "share": 0.5, "policy": "", "clusters": "", "adapts": name == "as is"} for name in ("as is", "still")]
    state = Experiment.State.RUNNING if act == "stop" else Experiment.State.DRAFT
    experiment = Experiment.objects.create(shop=shop, name="E", arms=arms, state=state)
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    before = list(Experiment.objects.values())

    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    url = reverse(f"admin:recommendations_experiment_{act}", args=[experiment.pk])
    with monkeypatch.context() as patched:
        patched.setattr(AuditEntry.objects, "create", full)
        page.raise_request_exception = False
        form = {"ends_at": f"{timezone.localtime() + dt.timedelta(days=2):%Y-%m-%dT%H:%M}"}
        assert page.post(url, form).status_code == 500
    assert list(Experiment.objects.values()) == before
    page.post(url, form)
    assert list(Experiment.objects.values()) != before
    assert AuditEntry.objects.count() == 1


def test_several_rows_deleted_at_once_are_an_entry_each(page: Client) -> None:
    rows = [Group.objects.create(name=name) for name in ("Buyers", "Auditors")]
    chosen = {"action": "delete_selected", "_selected_action": [row.pk for row in rows], "post": "yes"}
    page.post(reverse("admin:auth_group_changelist"), chosen)
    assert not Group.objects.filter(name__in=("Buyers", "Auditors")).exists()
    assert sorted(told()) == [("person", "root", "deleted", "auth.group", name) for name in ("Auditors", "Buyers")]


def test_rows_of_a_fixture_come_with_their_entries(shop: Shop, root: User) -> None:
    LogEntry.objects.log_actions(root.pk, [shop], 2, change_message="Changed.", single_object=True)
    assert AuditEntry.objects.count() == 1
    dumped = serializers.serialize("json", LogEntry.objects.all())
    root_pk = root.pk
    LogEntry.objects.all().delete()
    root.delete()
    for row in serializers.deserialize("json", dumped):
        with transaction.atomic():
            row.save()  # before its user, as a fixture may have it
            assert LogEntry.objects.get().user_id == root_pk
            assert AuditEntry.objects.count() == 1
            transaction.set_rollback(True)


def test_no_entry_names_a_shopper(page: Client, api: APIClient, shop: Shop) -> None:
    for name in ("anna@example.org", "bert"):
        Shopper.objects.create(shop=shop, external_id=name)
    row = Shopper.objects.get(external_id="bert")
    assert api.put("/api/v1/shoppers/anna@example.org/consent", {"demographics": True}, format="json").status_code == 200
    assert api.get("/api/v1/shoppers/anna@example.org/export").status_code == 200
    assert api.delete("/api/v1/shoppers/anna@example.org").status_code == 200
    page.get(reverse("admin:personas_shopper_export", args=[row.pk]))
    page.post(reverse("admin:personas_shopper_change_consent", args=[row.pk]), {"consent": "record"})
    acts = [(entry.by, entry.actor, entry.action) for entry in AuditEntry.objects.order_by("pk")]
    assert acts == [
        ("key", "erp", "changed"), ("key", "erp", "exported"), ("key", "erp", "erased"),
        ("person", "root", "exported"), ("person", "root", "changed"),
    ]  # fmt: skip
    for entry in AuditEntry.objects.all():
        text = json.dumps([entry.subject, entry.subject_id, entry.what, entry.address])
        assert "anna" not in text
        assert "bert" not in text
    assert Erasure.objects.get().by == "API key erp"


def test_what_comes_to_serve_by_itself_and_what_is_imported_say_so(shop: Shop, root: User) -> None:
    release = Release.objects.create(shop=shop, number=4)
    audit.activated(release, Actor(ClusterChange.Actor.TRAINING, who="training"), "")
    audit.activated(release, Actor(ClusterChange.Actor.MERCHANDISER, user=root), "")
    FileImport.objects.create(shop=shop, kind="items", name="goods.csv", folder="x", by=root)
    assert told() == [
        ("system", "", "activated", "recommendations.release", str(release)),
        ("person", "root", "imported", "recommendations.fileimport", "goods.csv"),
    ], "what a person activates, their page records"


def test_an_act_that_fails_leaves_no_entry(shop: Shop) -> None:
    def fails() -> None:
        with transaction.atomic():
            audit.record(audit.SYSTEM, "changed", subject=shop)
            raise LookupError

    with pytest.raises(LookupError):
        fails()
    assert not AuditEntry.objects.exists()


def test_the_list_filters_by_the_address_and_its_file_has_the_same_rows(page: Client, shop: Shop) -> None:
    for n, what in enumerate(("hat", "coat", "scarf")):
        audit.record(audit.Who("person", f"p{n}"), "changed", subject=shop, what=f"=thing {what}")
    old = audit.record(audit.Who("key", "erp"), "made", shop=shop, model=Item, named=("7", "Skirt"), what="Long ago.")
    AuditEntry.objects.filter(pk=old.pk).update(at="2025-01-02T10:00:00Z")
    here = reverse("admin:recommendations_auditentry_changelist")
    for query, words, n in (
        ("actor=p1", "=thing coat", 1), ("day=2025-01-02", "Long ago.", 1), ("kind=clusters.item", "Long ago.", 1),
        ("by__exact=key", "Long ago.", 1), ("q=thing+scarf", "=thing scarf", 1), (f"shop__id__exact={shop.pk}", "Long ago.", 4),
    ):  # fmt: skip
        answer = page.get(f"{here}?{query}")
        assert answer.context["cl"].result_count == n, query
        assert words in answer.content.decode()
        file = b"".join(page.get(f"{reverse('admin:recommendations_auditentry_csv')}?{query}").streaming_content).decode()
        assert file.count("\r\n") == n + 1
    assert "'=thing" in b"".join(page.get(reverse("admin:recommendations_auditentry_csv")).streaming_content).decode()
    assert re.search(r"\b4\s+entries\b", page.get(here).content.decode()), "of the log, not “4 audit log”"
    assert "By person, key or the system" in page.get(here).content.decode()
    assert "Nothing was done that meets these filters" in page.get(f"{here}?actor=nobody").content.decode()


def test_the_list_asks_no_more_of_the_database_for_more_rows(page: Client, shop: Shop, django_assert_max_num_queries) -> None:  # type: ignore[no-untyped-def]
    for n in range(60):
        audit.record(audit.Who("person", f"p{n}"), "changed", subject=shop, what="x")
    page.get(reverse("admin:recommendations_auditentry_changelist"))
    with django_assert_max_num_queries(14):
        page.get(reverse("admin:recommendations_auditentry_changelist"))


def test_the_log_is_nobody_s_to_change(page: Client, shop: Shop) -> None:
    entry = audit.record(audit.SYSTEM, "changed", subject=shop)
    change = reverse("admin:recommendations_auditentry_change", args=[entry.pk])
    assert page.post(change, {"what": "nothing"}).status_code == 403
    assert page.post(reverse("admin:recommendations_auditentry_delete", args=[entry.pk]), {"post": "yes"}).status_code == 403
