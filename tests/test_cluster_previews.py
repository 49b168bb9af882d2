"""What an edit of clusters will come to: the same as when it is saved and published, and nothing is written by looking."""

from __future__ import annotations

import html
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from clusters.editing import Actor
from clusters.models import ClusterChange, Item, ItemCluster
from personas.models import Shop
from recommendations import activation, demo, releases
from recommendations.desk.clusters import previews as cluster_previews
from recommendations.desk.clusters.edits import Wanted, carry_out
from recommendations.desk.clusters.keeping_out import REDUCED, keeping_out, kinds
from recommendations.desk.made_visits import Click, Visit, begun, slate
from recommendations.drafts import discards as draft_discards
from recommendations.engine import Engine
from recommendations.models import DraftEdit
from recommendations.serving.asks import Ask, request_of
from recommendations.stories import engine_of
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db
NOW = 1_800_000_000.0
ANN = Actor(ClusterChange.Actor.MERCHANDISER, who="Ann")


@pytest.fixture(scope="module")
def trained() -> Engine:
    return train_world(make_world(sessions=150), most_examples=500)


@pytest.fixture
def ann(settings: Any) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return demo.merchandiser(get_user_model(), "a password of the demo")


@pytest.fixture
def shop(settings: Any, tmp_path: Any, redis_client: redis.Redis, trained: Engine) -> Shop:
    settings.DATA_DIR, settings.RELEASES_DIR = tmp_path, tmp_path / "releases"
    shop, c = Shop.objects.create(slug="one", name="One"), trained.catalogue
    Item.objects.bulk_create(
        Item(
            pk=int(c.item_ids[i]),
            shop=shop,
            external_id=c.external_ids[i],
            title=c.titles[i],
            category=c.categories[c.category[i]],
            colour=c.colours[c.colour[i]],
            price=round(float(c.price[i]), 4),
        )
        for i in range(len(c))
    )
    activation.activate(releases.publish(shop, trained, metrics={}), by=Actor(ClusterChange.Actor.TRAINING, who="Training 1"))
    return shop


def live(shop: Shop) -> list[ItemCluster]:
    return list(ItemCluster.objects.filter(shop=shop).live().exclude(name="").order_by("-size", "pk"))


def members(cluster: ItemCluster) -> list[int]:
    return list(cluster.memberships.order_by("-weight", "item_id").values_list("item_id", flat=True))


def everything() -> list[Any]:
    with connection.cursor() as cursor:
        told = []
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f'SELECT * FROM "{table}"')
            told.append((table, sorted(map(repr, cursor.fetchall()))))
        return told


EDITS = ("merge", "split", "exclude", "core", "retire", "rename")


def edits_of(shop: Shop, what: str) -> list[Wanted]:
    first, second, *_ = live(shop)
    own = members(first)
    return {
        "merge": [Wanted("merge", first.pk, {"others": [second.pk], "name": "Both"})],
        "split": [Wanted("split", first.pk, {"groups": {"Half": own[: len(own) // 2]}})],
        "exclude": [Wanted("exclude", first.pk, {"items": own[:4]})],
        "core": [Wanted("set_core", first.pk, {"items": [i for i in members(second) if i not in set(own)][:3]})],
        "retire": [Wanted("retire", first.pk, {})],
        "rename": [Wanted("rename", first.pk, {"name": "Else"}), Wanted("set_locked", first.pk, {"locked": True})],
    }[what]


@pytest.mark.parametrize("what", EDITS)
def test_a_preview_is_what_saving_and_publishing_make_of_it(shop: Shop, ann: User, what: str) -> None:
    """Oracle: the edit saved and published, and home pages asked of the release that serves then."""
    wanted = edits_of(shop, what)
    about = live(shop)[0]
    looks = tuple(Click("view_item", item) for item in _typical(engine_of(shop), about.pk))
    before = everything()
    told = cluster_previews.effect(shop, wanted, user=ann, now=NOW)
    assert everything() == before, "looking writes nothing"
    assert not told.refused
    carry_out(shop, wanted, by=ANN)
    activation.publish_edits(shop)
    served = engine_of(shop)
    sizes = {name: len(served.clusters.items[c].indices) for c, name in enumerate(served.clusters.names)}
    for row in told.rows:
        assert row.after == sizes.get(row.name), row.name
    visit = Visit(at=NOW, clicks=looks)
    asked = request_of(served, Ask(context="home", count=cluster_previews.SLOTS), NOW)
    then = [item.item for item in slate(served, begun(served, visit, shop=shop.pk), asked).items]
    assert [one.slot.item.item for one in told.shoppers[0].after] == then


def _typical(engine: Engine, cluster: int) -> list[int]:
    """The items that the made visitor has looked at: the strongest of the cluster as it is."""
    row = engine.clusters.items[engine.clusters.position_of[cluster]]
    order = (-row.data).argsort(kind="stable")[: cluster_previews.LOOKED_AT]
    found: list[int] = engine.catalogue.item_ids[row.indices[order]].tolist()
    return found


def test_what_can_not_be_done_is_told_and_what_is_so_already_too(shop: Shop, ann: User) -> None:
    first, second, *_ = live(shop)
    refused = cluster_previews.effect(shop, [Wanted("rename", first.pk, {"name": second.name})], user=ann, now=NOW)
    assert "is taken by cluster" in refused.refused[0]
    nothing = cluster_previews.effect(shop, [Wanted("rename", first.pk, {"name": first.name})], user=ann, now=NOW)
    assert nothing.told == ("Nothing would change: all is so already.",)


def test_without_a_release_a_preview_tells_of_the_rows(ann: User, settings: Any, tmp_path: Any) -> None:
    settings.DATA_DIR, settings.RELEASES_DIR = tmp_path, tmp_path / "releases"
    shop = Shop.objects.create(slug="bare", name="Bare")
    item = Item.objects.create(shop=shop, external_id="a", title="Tent")
    told = cluster_previews.effect(shop, [Wanted("create", None, {"name": "Camp", "items": [item.pk]})], user=ann, now=NOW)
    (row,) = told.rows
    assert (row.name, row.id, row.before, row.after, row.entered) == ("Camp", 0, None, 1, ("Tent",))
    assert "no active release yet" in told.untold
    assert not ItemCluster.objects.exists()


# On the pages


def at(name: str, *args: object) -> str:
    return reverse(f"admin:clusters_itemcluster_{name}", args=args)


def test_every_form_previews_and_keeps_as_a_draft_and_changes_nothing_by_it(client: Client, ann: User, shop: Shop) -> None:
    client.force_login(ann)
    first, second, *_ = live(shop)
    own = members(first)
    forms: list[tuple[str, dict[str, Any], str]] = [
        (at("merge"), {"cluster": [first.pk, second.pk], "first": first.pk, "name": "Both"}, "Merged into"),
        (at("split", first.pk), {"name": "Half", "item": own[:2], "name2": "Third", "item2": own[2:4]}, "split off into"),
        (at("items", first.pk), {"verb": "exclude", "item": own[:1]}, "now excluded"),
        (at("items", first.pk), {"verb": "lessen", "item": own[:1]}, "now weighing less"),
        (at("change", second.pk), {"name": "Else", "locked": "on"}, "is now “Else”"),
        (at("several", "retire"), {"cluster": [second.pk]}, "Taken out with"),
        (at("add"), {"shop": shop.pk, "name": "New", "item": own[:3]}, "Made with 3 items"),
        (at("keep_out", first.pk), {"kind": _kind(first), "lasting": "now"}, "now excluded"),
        (at("keep_out", first.pk), {"kind": _kind(first)}, "Takes in no items"),
    ]
    changes = ClusterChange.objects.count()
    for url, form, words in forms:
        part = client.post(url, {**form, "how": "preview"}, headers={"HX-Request": "true"})
        told = html.unescape(part.content.decode())
        assert part.status_code == 200, url
        assert words in told, url
        assert "<html" not in told
        whole = client.post(url, {**form, "how": "preview"}).content.decode()
        assert 'type="hidden" name="' in whole, "without a script, a page with the buttons"
        assert ClusterChange.objects.count() == changes
    for n, (url, form, _) in enumerate(forms[:4], 1):
        assert client.post(url, {**form, "how": "draft"}).status_code in (200, 302)
        assert DraftEdit.objects.count() <= n
    assert ClusterChange.objects.count() == changes
    assert DraftEdit.objects.filter(subject=first.pk, verb="merge").exists()
    draft_discards.discard(shop, by=ann)
    faults = client.post(at("change", first.pk), {"name": "", "how": "preview"}, headers={"HX-Request": "true"})
    assert "Once this is right" in faults.content.decode()
    unnamed = client.post(at("split", first.pk), {"item": own[:1], "how": "preview"}, headers={"HX-Request": "true"})
    assert "what shall the new cluster be called?" in unnamed.content.decode()


def _kind(cluster: ItemCluster) -> str:
    return next(kind.name for kind in kinds(cluster) if kind.items and not kind.whole)


def test_who_may_only_look_gets_no_preview_of_an_edit(client: Client, shop: Shop, ann: User) -> None:
    user = get_user_model().objects.create(username="v", is_staff=True)
    user.user_permissions.set(demo.merchandisers().permissions.filter(codename__startswith="view_"))
    client.force_login(user)
    first, second, *_ = live(shop)
    for url, form in (
        (at("merge"), {"cluster": [first.pk, second.pk], "name": "Both"}),
        (at("items", first.pk), {"verb": "exclude", "item": members(first)[:1]}),
        (at("keep_out", first.pk), {"kind": REDUCED}),
        (at("split", first.pk), {"name": "Half", "item": members(first)[:1]}),
    ):
        assert client.post(url, {**form, "how": "preview"}).status_code == 403, url
    assert client.get(at("keep_out", first.pk)).status_code == 403


def test_reduced_items_are_kept_out_and_come_back_by_an_undo(client: Client, shop: Shop, ann: User) -> None:
    client.force_login(ann)
    first = live(shop)[0]
    sale = members(first)[:3]
    Item.objects.filter(pk__in=sale).update(price=5, regular_price=9)
    url = at("keep_out", first.pk)
    page = client.get(url).content.decode()
    assert "Reduced in price" in page
    assert "attributes=discount%3Dreduced" in page
    assert "is known to be reduced" not in page
    for lasting in ("good", "now"):
        client.post(url, {"kind": REDUCED, "lasting": lasting, "reason": f"No sale here, {lasting}"})
        assert not set(sale) & set(members(first))
        activation.publish_edits(shop)
        assert not set(sale) & set(members(first)), "nor does the release that follows bring them back"
        change = ClusterChange.objects.filter(cluster=first, reason=f"No sale here, {lasting}").latest("pk")
        client.post(reverse("admin:clusters_clusterchange_undo", args=[change.pk]))
        assert set(sale) <= set(members(first))
    Item.objects.filter(pk__in=sale).update(regular_price=None)
    refused = client.post(url, {"kind": REDUCED, "lasting": "now"})
    assert "has no such items now" in html.unescape(refused.content.decode())
    with pytest.raises(Exception, match="has no such items now"):
        keeping_out(first, "tag=nothing", lasting=False)()
    Item.objects.filter(shop=shop).update(regular_price=None)
    bare = client.get(url).content.decode()
    assert "is known to be reduced" in bare
    assert "discount%3Dreduced" not in bare, "a rule on reduced items is refused where the shop has none"


def test_what_is_kept_out_for_good_is_told_changed_and_let_in_again(
    client: Client, shop: Shop, ann: User, django_assert_max_num_queries: Any
) -> None:
    client.force_login(ann)
    first = live(shop)[0]
    url, before = at("keep_out", first.pk), members(first)
    for form, words in (
        ({"kind": "price", "low": "", "high": ""}, "Price must have a least or a greatest."),
        ({"kind": "price", "low": "9", "high": "3"}, "none can be both"),
        ({"kind": "other", "about": "brand", "value": ""}, "1 to 120 characters"),
        ({"kind": "price", "low": "0", "high": ""}, "has only such items: retire it instead"),
    ):
        page = html.unescape(client.post(url, form).content.decode())
        assert words in page, form
        assert f'value="{form["kind"]}" required checked' in page, "what was chosen stays chosen"
    client.post(url, {"kind": "other", "about": "brand", "value": "Acme", "reason": "Theirs"})
    client.post(url, {"kind": "price", "low": "100000", "high": ""})
    told = html.unescape(client.get(at("change", first.pk)).content.decode())
    assert "It takes in no items of the brand Acme or priced 100000 or more." in told
    with django_assert_max_num_queries(45):
        page = html.unescape(client.get(url).content.decode())
    assert "Items of the brand Acme" in page
    client.post(url, {"let_in": "brand=Acme", "how": "draft"})
    (draft,) = DraftEdit.objects.all()
    assert (draft.verb, draft.values) == ("let_in", {"kinds": ["brand=Acme"]})
    draft_discards.discard(shop, by=ann)
    client.post(url, {"let_in": "brand=Acme"})
    assert list(first.bars.values_list("kind", flat=True)) == ["price=100000.."]
    assert members(first) == before
    lineage = ClusterChange.objects.filter(cluster=first, reason="Theirs").get()
    shown = html.unescape(client.get(reverse("admin:clusters_clusterchange_change", args=[lineage.pk])).content.decode())
    assert "items of the brand Acme" in shown
