"""Admin of clusters: what its pages tell, what they let people do, who may, how an edit that can't be is told."""

from __future__ import annotations

import base64
import html
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from clusters import editing
from clusters.lineage import Actor
from clusters.models import ClusterChange, ClusterMembership, ClusterRelation, ClusterSettings, Item, ItemCluster
from personas.models import Shop
from recommendations import activation, cluster_reports, cluster_runs, demo, releases, tasks
from recommendations.desk.clusters.build_pages import PATIENCE, state_of
from recommendations.models import Release, TrainingRun
from recommendations.run_records import alone
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db
ANN = Actor(ClusterChange.Actor.MERCHANDISER, who="Ann")
TRACE = {
    "terms": [["tent", 9], ["lantern", 7]],
    "pairs": [["tent", "lantern", 5, 0.4]],
    "attributes": [["brand=northern", 2.5]],
    "market": "",
    "descriptors": [["tent", [], 1.0, 1], ["lantern", [], 0.8, 1]],
}


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def shop(settings: Any, tmp_path: Path, redis_client: redis.Redis) -> Shop:
    settings.DATA_DIR, settings.RELEASES_DIR = tmp_path, tmp_path / "releases"
    shop = Shop.objects.create(slug="one", name="One")
    names = ("Tent", "Lantern", "Stove", "Mug <big>", "Kettle", "Teapot", "Scarf", "Gloves")
    Item.objects.bulk_create(
        Item(shop=shop, external_id=f"i{n}", title=name, category="camping" if n < 4 else "home", price=n, in_stock=n != 2)
        for n, name in enumerate(names)
    )
    return shop


def make(shop: Shop, name: str, *numbers: int, **fields: Any) -> ItemCluster:
    cluster = ItemCluster.objects.create(shop=shop, name=name, size=len(numbers), **fields)
    items = ids(shop)
    ClusterMembership.objects.bulk_create(
        ClusterMembership(cluster=cluster, item_id=items[n], weight=1 - 0.1 * place) for place, n in enumerate(numbers)
    )
    return cluster


def ids(shop: Shop) -> list[int]:
    return list(Item.objects.filter(shop=shop).order_by("pk").values_list("pk", flat=True))


def at(name: str, *args: object, of: str = "itemcluster") -> str:
    return reverse(f"admin:clusters_{of}_{name}", args=args)


def text(answer: HttpResponse, code: int = 200) -> str:
    assert answer.status_code == code
    return answer.content.decode()


def told(client: Client, url: str, data: dict[str, Any] | None = None) -> str:
    """What the page says after an edit."""
    answer = client.post(url, data or {}, follow=True)
    assert answer.status_code == 200
    return " ".join(str(message) for message in answer.context["messages"])


def inside(cluster: ItemCluster) -> set[str]:
    return set(cluster.memberships.values_list("item__external_id", flat=True))


def queries(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        text(client.get(url))
    return len(captured)


# What the pages tell


def test_list_has_the_live_first_and_no_reserved_rows(merchandiser: Client, shop: Shop) -> None:
    make(shop, "Old things", 0, retired_at=timezone.now(), share=0.9)
    make(shop, "Camping", 0, 1, descriptors=[{"name": "category=camping", "lift": 2.0}])
    ItemCluster.objects.reserve(shop, 2)
    answer = merchandiser.get(at("changelist"))
    page = text(answer)
    assert page.index("Camping") < page.index("Old things")
    assert "category=camping ×2.0" in page
    assert answer.context["cl"].result_count == 2
    assert at("build", shop.pk, of="clustersettings") in page


def test_page_says_why_an_item_is_in_a_cluster_of_searches(merchandiser: Client, shop: Shop) -> None:
    """Oracle: the cluster's provenance."""
    cluster = make(shop, "Camping trip", 0, 1, kind="search", provenance=TRACE)
    cluster.memberships.filter(item=ids(shop)[1]).update(via=[[1, 1]])
    other = make(shop, "Kitchen <1>", 4)
    ClusterRelation.objects.create(source=cluster, target=other, weight=0.2, transition=0.12, overlap=0.34)
    page = text(merchandiser.get(at("change", cluster.pk)))
    assert "Shoppers who searched for “tent” also searched for “lantern” (5 times)." in page
    assert "The search “lantern” ranks it 1st." in page
    assert "tent and lantern" in page
    assert "2.5 times as often" in page
    assert "Kitchen &lt;1&gt;" in page
    assert "12 in 100" in page
    assert "0.34" in page
    assert "no active release yet" in page


def test_page_says_where_shoppers_are_simulated(merchandiser: Client, shop: Shop) -> None:
    cluster = ItemCluster.objects.create(shop=shop, name="Camping", kind=ItemCluster.Kind.SEARCH, provenance=TRACE)
    said = "The shoppers of this shop are simulated"
    url = reverse("admin:clusters_itemcluster_change", args=[cluster.pk])
    assert said not in merchandiser.get(url).content.decode()
    Shop.objects.filter(pk=shop.pk).update(settings={"simulated": True})
    assert said in merchandiser.get(url).content.decode()


def test_a_page_of_thousands_costs_as_many_queries_as_one_of_few(merchandiser: Client, shop: Shop) -> None:
    few = make(shop, "Few", *range(8))
    Item.objects.bulk_create(Item(shop=shop, external_id=f"m{n}", title=f"Thing {n}") for n in range(3_000))
    many = make(shop, "Many")
    ClusterMembership.objects.bulk_create(
        ClusterMembership(cluster=many, item_id=item, weight=1 / (1 + place)) for place, item in enumerate(ids(shop))
    )
    ItemCluster.objects.filter(pk=many.pk).update(size=3_008)
    for cluster in (few, many):
        for n in range(30):
            editing.rename(cluster=cluster, name=f"{cluster.pk} {n}", by=ANN)
    small, large = queries(merchandiser, at("change", few.pk)), queries(merchandiser, at("change", many.pk))
    assert large == small <= 22
    page = text(merchandiser.get(at("change", many.pk)))
    assert len(re.findall(r'type="checkbox" name="item"', page)) == 100
    assert "page 1 of 31" in page
    last = text(merchandiser.get(at("change", many.pk), {"page": "999"}))
    assert "page 31 of 31" in last
    assert "Thing 2999" in last
    assert queries(merchandiser, at("split", many.pk)) <= 10
    listed = queries(merchandiser, at("changelist", of="clusterchange"))
    ClusterChange.objects.filter(pk__gt=ClusterChange.objects.earliest("pk").pk + 2).delete()
    assert listed <= queries(merchandiser, at("changelist", of="clusterchange")) <= 15


def test_a_cluster_with_parts_is_shown_by_them(merchandiser: Client, shop: Shop) -> None:
    parts = [{"number": 1, "name": "Out", "size": 3}, {"number": 2, "name": "In", "size": 2}]
    cluster = make(shop, "All", 0, 1, 2, 4, 5, parts=parts)
    cluster.memberships.filter(item__category="camping").update(part=1)
    cluster.memberships.filter(item__category="home").update(part=2)
    page = text(merchandiser.get(at("change", cluster.pk)))
    shown = page[page.index("Out <") :]
    assert shown.index("Lantern") < shown.index("In <") < shown.index("Kettle")
    one = text(merchandiser.get(at("change", cluster.pk), {"part": "2"}))
    assert "Kettle" in one
    assert "Lantern" not in one


# Edits


def test_name_lock_and_bounds_are_set_with_the_reason(
    merchandiser: Client, shop: Shop, django_capture_on_commit_callbacks: Any
) -> None:
    cluster = make(shop, "Camping", 0, 1)
    form = {"name": "Outdoors", "locked": "on", "maximum_size": "9", "reason": "Summer"}
    with django_capture_on_commit_callbacks() as asked:
        said = told(merchandiser, at("change", cluster.pk), form)
    assert "“Camping” is now “Outdoors”" in said
    assert len(asked) == 1, "publishing is asked for once"
    cluster.refresh_from_db()
    assert (cluster.name, cluster.locked, cluster.minimum_size, cluster.maximum_size) == ("Outdoors", True, None, 9)
    changes = ClusterChange.objects.filter(cluster=cluster)
    assert {(c.action, c.reason, c.user.get_username()) for c in changes if c.user} == {
        ("renamed", "Summer", demo.USER),
        ("locked", "Summer", demo.USER),
        ("bounded", "Summer", demo.USER),
    }
    assert "Nothing was changed: all was so already." in told(merchandiser, at("change", cluster.pk), form)


@pytest.mark.parametrize(
    ("form", "field", "words"),
    [
        ({"name": "kitchen"}, "name", "taken by cluster"),
        ({"name": ""}, "name", "required"),
        ({"name": "A", "minimum_size": "5", "maximum_size": "2"}, "minimum_size", "more than the maximum"),
        ({"name": "A", "maximum_size": "many"}, "maximum_size", "whole number"),
        ({"name": "A", "reason": "x" * 301}, "reason", "at most 300"),
    ],
)
def test_what_can_not_be_set_is_told_at_its_field(
    merchandiser: Client, shop: Shop, form: dict[str, str], field: str, words: str
) -> None:
    cluster = make(shop, "Camping", 0, 1)
    make(shop, "Kitchen", 4)
    answer = merchandiser.post(at("change", cluster.pk), form)
    assert words in str(answer.context["form"].errors[field])
    assert html.escape(form["name"]) in text(answer), "what was typed stays"
    assert not ClusterChange.objects.exists()


def test_items_are_added_made_core_excluded_and_removed(merchandiser: Client, shop: Shop) -> None:
    learned, own, items = make(shop, "Learned", 0, 1, 2), make(shop, "Own", 0, 1, 2, kind="manual"), ids(shop)
    for cluster in (learned, own):
        url = at("items", cluster.pk)
        said = told(merchandiser, url, {"verb": "add", "ids": "i4, i5\ni5", "item": [items[6]], "reason": "Tea"})
        assert "3 items in" in said
        told(merchandiser, url, {"verb": "core", "item": [items[0]]})
        told(merchandiser, url, {"verb": "remove", "item": [items[1]]})
        told(merchandiser, url, {"verb": "exclude", "item": [items[2]]})
        assert inside(cluster) == {"i0", "i4", "i5", "i6"}
    rules = dict(learned.item_rules.values_list("item__external_id", "rule"))
    assert rules == {"i0": "core", "i1": "excluded", "i2": "excluded", "i4": "core", "i5": "core", "i6": "core"}
    assert dict(own.item_rules.values_list("item__external_id", "rule")) == {"i0": "core", "i2": "excluded"}
    told(merchandiser, at("items", own.pk), {"verb": "clear", "item": [items[2]]})
    assert own.item_rules.count() == 1
    page = text(merchandiser.get(at("change", learned.pk)))
    assert "A merchandiser made it a core item." in page
    assert "Excluded items" in page


def test_items_that_can_not_be_taken_are_told_and_nothing_is_done(merchandiser: Client, shop: Shop) -> None:
    cluster, far = make(shop, "Learned", 0), Shop.objects.create(slug="two", name="Two")
    foreign = Item.objects.create(shop=far, external_id="far")
    url = at("items", cluster.pk)
    assert "names nope, which One doesn't have" in told(merchandiser, url, {"verb": "add", "ids": "i1,nope"})
    assert "doesn't have" in told(merchandiser, url, {"verb": "add", "item": [foreign.pk]})
    assert "tick some" in told(merchandiser, url, {"verb": "core"})
    assert "Choose what to do" in told(merchandiser, url, {"verb": "eat", "item": [foreign.pk]})
    assert not ClusterChange.objects.exists()


def test_items_are_found_as_one_types_and_ticks_stay(merchandiser: Client, shop: Shop) -> None:
    cluster, items = make(shop, "Camping", 0), ids(shop)
    page = text(merchandiser.get(at("found", shop.pk), {"q": "lant", "item": [items[4]], "within": cluster.pk}))
    assert re.search(rf'value="{items[4]}" checked', page)
    assert re.search(rf'value="{items[1]}">', page)
    assert "in it already" in text(merchandiser.get(at("found", shop.pk), {"q": "tent", "within": cluster.pk}))
    assert "No item is found for “&lt;b&gt;”" in text(merchandiser.get(at("found", shop.pk), {"q": "<b>"}))


def test_a_cluster_is_made_of_ticked_and_pasted_items(merchandiser: Client, shop: Shop) -> None:
    items = ids(shop)
    refused = merchandiser.post(at("add"), {"shop": shop.pk, "name": "Tea", "ids": "i4,what", "item": [items[5]]})
    page = text(refused)
    assert "Names what, which One doesn&#x27;t have." in page
    assert re.search(rf'value="{items[5]}" checked', page), "what was ticked stays"
    answer = merchandiser.post(at("add"), {"shop": shop.pk, "name": "Tea", "ids": "i4", "item": [items[5]], "reason": "New"})
    made = ItemCluster.objects.get(name="Tea")
    assert answer.headers["Location"] == at("change", made.pk)
    assert (made.kind, inside(made)) == ("manual", {"i4", "i5"})


def test_a_merge_says_what_comes_of_it_and_does_it(merchandiser: Client, shop: Shop) -> None:
    one, two = make(shop, "One", 0, 1, 2), make(shop, "Two", 2, 3)
    chosen = {"action": "merge_chosen", "_selected_action": [one.pk, two.pk]}
    to = merchandiser.post(at("changelist"), chosen).headers["Location"]
    page = text(merchandiser.get(to))
    assert "One cluster of 4 items comes of it; 1 of them is in more than one." in page
    form = {"cluster": [one.pk, two.pk], "first": two.pk, "name": "Both", "reason": "Same thing"}
    assert "2 items in from “One”" in told(merchandiser, at("merge"), form)
    two.refresh_from_db()
    one.refresh_from_db()
    assert (two.name, two.kind, inside(two)) == ("Both", "manual", {"i0", "i1", "i2", "i3"})
    assert one.retired_at is not None
    refused = merchandiser.post(at("merge"), {"cluster": [one.pk, two.pk], "name": "Again"})
    assert "is retired: restore it first" in html.unescape(text(refused))


def test_clusters_of_two_shops_are_not_merged(merchandiser: Client, shop: Shop) -> None:
    far = ItemCluster.objects.create(shop=Shop.objects.create(slug="two", name="Two"), name="Far")
    one = make(shop, "One", 0)
    chosen = {"action": "merge_chosen", "_selected_action": [one.pk, far.pk]}
    assert "of one shop" in told(merchandiser, at("changelist"), chosen)
    assert merchandiser.get(at("merge"), {"cluster": [one.pk, far.pk]}).status_code == 404


def test_a_split_by_ticks_and_by_parts(merchandiser: Client, shop: Shop) -> None:
    items = ids(shop)
    parts = [{"number": 1, "name": "Out", "size": 2}, {"number": 2, "name": "In", "size": 2}]
    cluster = make(shop, "All", 0, 1, 4, 5, parts=parts)
    cluster.memberships.filter(item__category="home").update(part=2)
    refused = merchandiser.post(at("split", cluster.pk), {"item": [items[0]]})
    assert "Is missing: what shall the new cluster be called?" in text(refused)
    told(merchandiser, at("split", cluster.pk), {"item": [items[0]], "name": "Tents"})
    assert inside(ItemCluster.objects.get(name="Tents")) == {"i0"}
    renumbered = merchandiser.post(at("split", cluster.pk), {"part": ["2 Out"]})
    assert "Parts were made anew since this page was opened" in text(renumbered)
    assert 'value="2 In"' in text(merchandiser.get(at("split", cluster.pk)))
    told(merchandiser, at("split", cluster.pk), {"part": ["2 In"], "reason": "Too large"})
    assert inside(ItemCluster.objects.get(name="In")) == {"i4", "i5"}
    assert inside(cluster) == {"i1"}


def test_retired_restored_given_back_and_undone(merchandiser: Client, shop: Shop) -> None:
    cluster, other = make(shop, "Camping", 0, 1), make(shop, "Kitchen", 4)
    chosen = {"action": "retire_chosen", "_selected_action": [cluster.pk, other.pk]}
    to = merchandiser.post(at("changelist"), chosen).headers["Location"]
    assert "no rebuild brings the same back" in text(merchandiser.get(to))
    told(merchandiser, at("several", "retire"), {"cluster": [cluster.pk, other.pk], "reason": "Season is over"})
    assert not ItemCluster.objects.live().exists()
    page = text(merchandiser.get(at("change", cluster.pk)))
    assert "Restore it" in page
    assert 'name="verb"' not in page, "a retired cluster is restored before it is edited"
    told(merchandiser, at("several", "restore"), {"cluster": [cluster.pk], "name": "Camping again"})
    cluster.refresh_from_db()
    assert (cluster.name, cluster.kind, cluster.retired_at) == ("Camping again", "manual", None)
    told(merchandiser, at("several", "give-back"), {"cluster": [cluster.pk]})
    cluster.refresh_from_db()
    assert cluster.kind == "co_visit"
    last = ClusterChange.objects.filter(cluster=cluster).latest("pk")
    undo = at("undo", last.pk, of="clusterchange")
    assert "Given back to learning" in text(merchandiser.get(undo))
    made = ClusterChange.objects.create(
        shop=shop, cluster=cluster, action="created", delta={"fields": {"kind": [None, "manual"]}}
    )
    assert "is taken out" in text(merchandiser.get(at("undo", made.pk, of="clusterchange")))
    made.delete()
    assert "Saved." in told(merchandiser, undo)
    cluster.refresh_from_db()
    assert cluster.kind == "manual"
    assert "was undone on" in told(merchandiser, undo), "an undo that can't be is told in words"
    assert merchandiser.get(at("several", "eat"), {"cluster": [cluster.pk]}).status_code == 404


def test_list_of_changes_names_who_and_why_and_offers_the_undo(merchandiser: Client, viewer: Client, shop: Shop) -> None:
    cluster = make(shop, "Camping", 0)
    (change,) = editing.rename(cluster=cluster, name="Out <there>", by=ANN, reason="Clearer")
    learning = ClusterChange.objects.create(shop=shop, cluster=cluster, actor="training", who="Training 7", action="rebuilt")
    page = text(merchandiser.get(at("changelist", of="clusterchange"), {"cluster__id__exact": cluster.pk}))
    for words in ("Ann", "Clearer", "Training 7", "Out &lt;there&gt;", at("undo", change.pk, of="clusterchange")):
        assert words in page
    assert at("undo", learning.pk, of="clusterchange") not in page, "a rebuild's is undone by the release before it"
    assert at("undo", change.pk, of="clusterchange") not in text(viewer.get(at("changelist", of="clusterchange")))
    assert "Camping" in text(merchandiser.get(at("change", change.pk, of="clusterchange")))
    assert "activate the release before it" in told(merchandiser, at("undo", learning.pk, of="clusterchange"))


def test_an_import_tells_what_it_took_and_gives_the_rest_as_a_file(merchandiser: Client, shop: Shop) -> None:
    content = b"cluster,item_id,weight\nPicnic,i0,1\nPicnic,nope,1\nPicnic,i1,7\nTrip,i2,0.5\n"
    form = {"shop": shop.pk, "file": SimpleUploadedFile("groups.csv", content), "reason": "From the buyers"}
    page = text(merchandiser.post(at("import"), form))
    assert "2 items came into clusters" in page
    assert "2 lines rejected" in page
    encoded = re.search(r"data:text/csv;base64,([\w+/=]+)", html.unescape(page))
    assert encoded
    rejected = base64.b64decode(encoded[1]).decode().splitlines()
    assert rejected[0] == "line,field,reason"
    assert {line.split(",")[0] for line in rejected[1:]} == {"3", "4"}
    assert inside(ItemCluster.objects.get(name="Picnic", kind="imported")) == {"i0"}
    change = ClusterChange.objects.get(cluster__name="Trip")
    assert (change.actor, change.who, change.reason) == ("import", "groups.csv", "From the buyers")
    broken = merchandiser.post(at("import"), {"shop": shop.pk, "file": SimpleUploadedFile("x.csv", b"\xff\xfe\x00")})
    assert broken.context["report"] is None or broken.context["report"]["report"].rejected
    assert "tmp" not in text(broken), "no path of this machine"


# Two people at once


def seen_on(client: Client, url: str) -> dict[str, str]:
    """What a page that is open now will say that it knew of."""
    found = re.search(r'name="seen" value="(\d+)"', text(client.get(url)))
    assert found
    return {"seen": found[1]}


def test_a_form_leaves_what_somebody_else_set_meanwhile(merchandiser: Client, shop: Shop) -> None:
    cluster = make(shop, "Camping", 0, 1)
    url = at("change", cluster.pk)
    opened = seen_on(merchandiser, url)
    editing.rename(cluster=cluster, name="Outdoors", by=ANN)
    editing.set_bounds(cluster=cluster, minimum_size=2, maximum_size=None, by=ANN)
    said = told(merchandiser, url, {**opened, "name": "Camping", "locked": "on"})
    assert "Locked with 2 items" in said
    cluster.refresh_from_db()
    assert (cluster.name, cluster.locked, cluster.minimum_size) == ("Outdoors", True, 2)


def test_what_two_people_set_at_once_is_told_before_the_second_has_it(merchandiser: Client, shop: Shop) -> None:
    cluster = make(shop, "Camping", 0, 1)
    url = at("change", cluster.pk)
    opened = seen_on(merchandiser, url)
    editing.rename(cluster=cluster, name="Outdoors", by=ANN)
    editing.set_locked(cluster=cluster, locked=True, by=ANN)
    answer = merchandiser.post(url, {**opened, "name": "Tents", "maximum_size": "9"})
    page = html.unescape(text(answer))
    assert "This page was older than the cluster. Ann" in page
    assert "“Camping” is now “Outdoors”" in page
    assert 'value="Tents"' in page, "what was typed stays"
    cluster.refresh_from_db()
    assert (cluster.name, cluster.maximum_size) == ("Outdoors", None), "nothing is half done"
    form = answer.context["form"]
    again = {name: form[name].value() or "" for name in ("name", "maximum_size", "locked")}
    told(merchandiser, url, {"seen": answer.context["typed_at"], **again})
    cluster.refresh_from_db()
    assert (cluster.name, cluster.maximum_size, cluster.locked) == ("Tents", 9, True), "and Ann's lock"


def test_items_that_somebody_else_edited_meanwhile_are_not_edited_unawares(merchandiser: Client, shop: Shop) -> None:
    """Items that were left alone meanwhile can be edited from an old page, and what a rebuild did doesn't stand in the way."""
    cluster, items = make(shop, "Camping", 0, 1, 2), ids(shop)
    url, opened = at("items", cluster.pk), seen_on(merchandiser, at("change", cluster.pk))
    editing.set_core(cluster=cluster, items=[items[0]], by=ANN, reason="Best")
    ClusterChange.objects.create(
        shop=shop, cluster=cluster, actor="build", action="rebuilt", delta={"members": {str(items[1]): [0.5, 0.9]}}
    )
    said = told(merchandiser, url, {**opened, "verb": "remove", "item": [items[0], items[1]]})
    assert "Nothing was changed. This page was older than the cluster. Ann" in said
    assert inside(cluster) == {"i0", "i1", "i2"}
    assert "Saved." in told(merchandiser, url, {**opened, "verb": "exclude", "item": [items[1]]})
    assert inside(cluster) == {"i0", "i2"}
    now = seen_on(merchandiser, at("change", cluster.pk))
    assert "Saved." in told(merchandiser, url, {**now, "verb": "remove", "item": [items[0]]})


def test_a_merge_does_not_bring_back_what_somebody_took_out_meanwhile(merchandiser: Client, shop: Shop) -> None:
    one, two = make(shop, "One", 0, 1, 2), make(shop, "Two", 2, 3)
    both = {"cluster": [one.pk, two.pk], "first": one.pk, "name": "One"}
    opened = seen_on(merchandiser, f"{at('merge')}?cluster={one.pk}&cluster={two.pk}")
    editing.remove_items(cluster=one, items=[ids(shop)[2]], by=ANN)
    assert "This page was older" in text(merchandiser.post(at("merge"), {**both, **opened}))
    assert inside(one) == {"i0", "i1"}
    assert ItemCluster.objects.live().count() == 2


def test_an_edit_of_a_cluster_that_was_retired_meanwhile_is_told(merchandiser: Client, shop: Shop) -> None:
    cluster = make(shop, "Camping", 0, 1)
    editing.retire(cluster=cluster, by=ANN)
    said = told(merchandiser, at("change", cluster.pk), {"name": "Outdoors"})
    assert "Nothing was changed. Cluster “Camping” is retired: restore it first." in said


# Who may


def test_who_may_only_look_sees_no_button_and_changes_nothing(viewer: Client, shop: Shop) -> None:
    cluster, other = make(shop, "Camping", 0, 1, kind="manual"), make(shop, "Kitchen", 4)
    (change,) = editing.rename(cluster=cluster, name="Outdoors", by=ANN)
    page = text(viewer.get(at("change", cluster.pk)))
    assert "Lantern" in page
    for address in (at("items", cluster.pk), at("split", cluster.pk), at("several", "retire"), "/undo/", 'name="locked"'):
        assert address not in page
    both = {"cluster": [cluster.pk, other.pk], "name": "Both"}
    run = TrainingRun.objects.create(shop=shop, kind="clusters")
    for url, data in (
        (at("change", cluster.pk), {"name": "Mine"}),
        (at("items", cluster.pk), {"verb": "add", "ids": "i5"}),
        (at("split", cluster.pk), {"name": "Half", "ids": "i0"}),
        (at("merge"), both),
        (at("several", "retire"), both),
        (at("add"), {"shop": shop.pk, "name": "New", "ids": "i0"}),
        (at("import"), {"shop": shop.pk}),
        (at("undo", change.pk, of="clusterchange"), {}),
        (at("build", shop.pk, of="clustersettings"), {"search_history": "off"}),
        (at("start", shop.pk, of="clustersettings"), {}),
        (at("decide", shop.pk, run.pk, of="clustersettings"), {"decision": "activate"}),
    ):
        assert viewer.post(url, data).status_code == 403, url
    assert ClusterChange.objects.count() == 1
    assert not ClusterSettings.objects.exists()
    build = text(viewer.get(at("build", shop.pk, of="clustersettings")))
    assert "Rebuild with" not in build
    assert "Save the settings" not in build


def test_an_import_takes_the_right_to_change_what_it_changes(viewer: Client, shop: Shop) -> None:
    """Who may make clusters, but change none, could otherwise rewrite an imported one by a file that names it."""
    viewer_user = get_user_model().objects.get(username="viewer")
    viewer_user.user_permissions.add(demo.merchandisers().permissions.get(codename="add_itemcluster"))
    page = text(viewer.get(at("changelist")))
    assert at("add") in page
    assert at("import") not in page
    file = SimpleUploadedFile("groups.csv", b"cluster,item_id\nPicnic,i0\n")
    assert viewer.post(at("import"), {"shop": shop.pk, "file": file}).status_code == 403
    assert not ItemCluster.objects.exists()


def test_writes_need_a_post_and_its_token(shop: Shop) -> None:
    cluster = make(shop, "Camping", 0)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(demo.merchandiser(get_user_model(), "a password of the demo"))
    assert strict.get(at("items", cluster.pk)).status_code == 405
    assert strict.post(at("items", cluster.pk), {"verb": "add", "ids": "i1"}).status_code == 403
    assert strict.get(at("start", shop.pk, of="clustersettings")).status_code == 405
    assert Client().get(at("change", cluster.pk)).status_code == 302
    assert inside(cluster) == {"i0"}


# Builds


def test_settings_are_kept_within_sense(merchandiser: Client, shop: Shop) -> None:
    url = at("build", shop.pk, of="clustersettings")
    assert "9,727,906" in text(merchandiser.get(url))
    refused = merchandiser.post(url, {"search_history": "off", "inactivity_minutes": "0", "minimum_support": "3"})
    assert "inactivity_minutes" in refused.context["form"].errors
    assert not ClusterSettings.objects.exists()
    merchandiser.post(url, {"search_history": "off", "inactivity_minutes": "20", "minimum_support": "4"})
    row = ClusterSettings.objects.get(shop=shop)
    assert (row.search_history, row.inactivity_minutes, row.minimum_support) == ("off", 20, 4)
    assert merchandiser.get(at("change", row.pk, of="clustersettings")).headers["Location"] == url
    assert at("build", shop.pk, of="clustersettings") in text(merchandiser.get(at("changelist", of="clustersettings")))


def test_where_a_build_stands(shop: Shop) -> None:
    now = timezone.now()
    assert state_of(shop)["state"] == "untrained"
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    assert state_of(shop)["state"] == "none"
    assert state_of(shop, now.isoformat())["state"] == "waiting"
    assert state_of(shop, (now - PATIENCE - timedelta(seconds=1)).isoformat())["state"] == "lost"
    assert state_of(shop, "yesterday?")["state"] == "none"
    assert state_of(shop, "2026-99-99T00:00:00Z")["state"] == "none"
    run = TrainingRun.objects.create(shop=shop, kind="all", progress=0.25)
    with alone(shop):
        assert (state_of(shop)["state"], state_of(shop)["percent"]) == ("busy", 25)
    assert state_of(shop)["state"] == "none", "a row whose process was killed"
    TrainingRun.objects.filter(pk=run.pk).update(state="done")
    build = TrainingRun.objects.create(shop=shop, kind="clusters", progress=0.5)
    with alone(shop):
        assert state_of(shop, now.isoformat())["state"] == "running"
    assert state_of(shop)["state"] == "failed"
    TrainingRun.objects.filter(pk=build.pk).update(state="failed", error="ValueError: no events")
    assert state_of(shop, now.isoformat())["state"] == "failed"


def test_a_build_is_compared_drawn_and_activated(merchandiser: Client, shop: Shop) -> None:
    """A release of a small world whose clusters were built anew with two merged by hand. Oracle: the comparison itself."""
    world = make_world(sessions=120)
    Item.objects.filter(shop=shop).delete()
    c = world.catalogue
    Item.objects.bulk_create(
        Item(pk=int(c.item_ids[i]), shop=shop, external_id=c.external_ids[i], title=c.titles[i]) for i in range(len(c))
    )
    engine = train_world(world, most_examples=500)
    first = releases.publish(shop, engine, metrics={})
    activation.activate(first, by=Actor(ClusterChange.Actor.TRAINING, who="Training 1"))
    row = ItemCluster.objects.filter(shop=shop).live().first()
    assert row is not None
    page = text(merchandiser.get(at("change", row.pk)))
    assert "Shoppers who look at it go on to" in page
    assert "as everybody" in page, "whom it suits, term by term"
    clusters = cluster_runs.with_ids(engine.clusters, {row.pk: ItemCluster.objects.reserve(shop, 1)[0]})
    run = TrainingRun.objects.create(shop=shop, kind="clusters", state="done", finished_at=timezone.now())
    run.release = releases.publish_clusters(shop, first.components, clusters, metrics={})
    run.report = {"clusters": cluster_reports.compare(engine.clusters, clusters, c.titles, np.ones(len(c)))}
    run.save()
    url = at("build", shop.pk, of="clustersettings")
    page = html.unescape(text(merchandiser.get(url)))
    for sentence in cluster_reports.summary(run.report["clusters"]):
        assert sentence in page
    for entry in run.report["clusters"]["new"]:
        assert entry["name"] in page
    assert 'value="activate"' in page
    assert "waits for your decision" in text(merchandiser.get(at("progress", shop.pk, of="clustersettings")))
    decide = at("decide", shop.pk, run.pk, of="clustersettings")
    assert "Nothing was decided" in told(merchandiser, decide), "neither is what happens by default"
    said = told(merchandiser, decide, {"decision": "activate"})
    assert "serve shoppers within seconds" in said
    assert "Nothing was discarded" in told(merchandiser, decide, {"decision": "discard"}), "somebody else activated it meanwhile"
    run.refresh_from_db()
    assert run.release is not None
    assert run.release.state == Release.State.ACTIVE
    assert "It serves shoppers now." in text(merchandiser.get(url))
    again = told(merchandiser, at("decide", shop.pk, run.pk, of="clustersettings"), {"decision": "activate"})
    assert "Nothing was activated" in again


@pytest.mark.django_db(transaction=True)
def test_a_build_is_asked_of_a_worker(merchandiser: Client, shop: Shop, redis_client: redis.Redis) -> None:
    start = at("start", shop.pk, of="clustersettings")
    assert "no release yet" in told(merchandiser, start)
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    to = merchandiser.post(start, {"whole": "1"}).headers["Location"]
    assert "waits for a worker" in text(merchandiser.get(to))
    assert redis_client.llen("celery:long") == 1
    TrainingRun.objects.create(shop=shop, kind="all", progress=0.25)
    with alone(shop):
        assert "one is under way" in told(merchandiser, start)
    assert redis_client.llen("celery:long") == 1
    assert tasks.build_clusters.name == "recommendations.tasks.build_clusters"
