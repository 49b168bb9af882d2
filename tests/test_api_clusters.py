"""Clusters over the API: reading with the reasons, every edit and its refusals, who may, lineage and undo."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from clusters.cluster_files import import_clusters
from clusters.lineage import Actor
from clusters.models import ClusterChange, ClusterMembership, Item, ItemCluster
from personas.models import ApiKey, Shop
from recommendations import demo
from recommendations.api.clusters import Clusters

pytestmark = pytest.mark.django_db
TRACE = {
    "terms": [["tent", 9], ["lantern", 7]],
    "pairs": [["tent", "lantern", 5, 0.4]],
    "attributes": [],
    "market": "",
    "descriptors": [["tent", [], 1.0, 1], ["lantern", [], 0.8, 1]],
}


@pytest.fixture
def shop() -> Shop:
    shop = Shop.objects.create(slug="one", name="One")
    far = Shop.objects.create(slug="two", name="Two")
    Item.objects.bulk_create(Item(shop=shop, external_id=f"i{n}", title=f"Item {n}", price=n) for n in range(8))
    Item.objects.create(shop=far, external_id="far")
    ItemCluster.objects.create(shop=far, name="Far")
    return shop


@pytest.fixture
def key(shop: Shop) -> str:
    return ApiKey.objects.issue(shop=shop, name="the shop's server", scopes=["read", "manage"])[1]


def make(shop: Shop, name: str, *numbers: int, **fields: Any) -> ItemCluster:
    cluster = ItemCluster.objects.create(shop=shop, name=name, size=len(numbers), **fields)
    items = dict(Item.objects.filter(shop=shop).values_list("external_id", "pk"))
    ClusterMembership.objects.bulk_create(
        ClusterMembership(cluster=cluster, item_id=items[f"i{n}"], weight=1 - 0.1 * place) for place, n in enumerate(numbers)
    )
    return cluster


def call(client: Client, method: str, path: str, key: str = "", body: object = None) -> HttpResponse:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    data = None if body is None else json.dumps(body)
    return client.generic(method, f"/api/v1/{path}", data or "", content_type="application/json", headers=headers)


def inside(client: Client, key: str, cluster: int) -> list[str]:
    return [row["item_id"] for row in call(client, "GET", f"clusters/{cluster}/items/", key).json()["results"]]


def test_clusters_are_found_by_name_kind_and_order(client: Client, shop: Shop, key: str) -> None:
    a, b = make(shop, "Red skirts", 0), make(shop, "Blue shirts", 1, 2, kind="manual", locked=True)
    gone = make(shop, "Old skirts", 3)
    call(client, "DELETE", f"clusters/{gone.pk}/?reason=Out", key)
    ItemCluster.objects.reserve(shop, 1)

    def found(query: str) -> list[int]:
        return [row["id"] for row in call(client, "GET", f"clusters/?{query}", key).json()["results"]]

    assert found("") == [a.pk, b.pk]
    assert found("q=SKIRT") == [a.pk]
    assert found("ordering=-size") == [b.pk, a.pk]
    assert found("kind=manual&locked=true") == [b.pk]
    assert found("retired=true") == [gone.pk], "no row that only reserves an id"
    one = call(client, "GET", f"clusters/{gone.pk}/", key).json()
    assert (one["name"], one["locked"], one["core"], one["excluded"], one["provenance"]) == ("Old skirts", True, [], [], {})
    assert one["retired_at"]


def test_a_cluster_is_made_edited_and_told_of(client: Client, shop: Shop, key: str) -> None:
    body = {
        "name": "Picnic",
        "items": ["i0", {"item_id": "i1", "weight": 0.5}],
        "core": ["i0"],
        "maximum_size": 5,
        "reason": "Summer",
    }
    made = call(client, "POST", "clusters/", key, body)
    assert made.status_code == 201, made.content
    (cluster,), (change,) = made.json()["clusters"], made.json()["changes"]
    assert (cluster["name"], cluster["kind"], cluster["size"], cluster["maximum_size"]) == ("Picnic", "manual", 2, 5)
    assert (change["actor"], change["who"], change["user"], change["reason"]) == ("api", "the shop's server", None, "Summer")
    pk = cluster["id"]
    patched = call(client, "PATCH", f"clusters/{pk}/", key, {"name": "Picnics", "locked": True, "minimum_size": 2}).json()
    told = ["“Picnic” is now “Picnics”", "Locked with 2 items", "At least 2, at most 5 items, once learning decides on its items"]
    assert [c["summary"] for c in patched["changes"]] == told
    assert patched["clusters"][0]["maximum_size"] == 5, "what is not named stays"
    again = call(client, "PATCH", f"clusters/{pk}/", key, {"name": "Picnics"}).json()
    assert (again["clusters"][0]["id"], again["changes"]) == (pk, [])
    edited = call(client, "POST", f"clusters/{pk}/items/", key, {"add": [{"item_id": "i2", "weight": 0.75}], "exclude": ["i1"]})
    assert edited.status_code == 200, edited.content
    assert inside(client, key, pk) == ["i0", "i2"]
    rows = call(client, "GET", f"clusters/{pk}/items/", key).json()["results"]
    assert [(row["weight"], row["rule"], row["why"]) for row in rows] == [
        (1.0, "core", ["A merchandiser made it a core item."]),
        (0.75, None, ["It was put in by hand."]),
    ]
    assert call(client, "GET", f"clusters/{pk}/", key).json()["excluded"] == ["i1"]
    lineage = call(client, "GET", f"clusters/{pk}/changes/", key).json()
    assert [c["action"] for c in lineage["results"]] == ["items", "items", "bounded", "locked", "renamed", "created"]
    assert "delta" not in lineage["results"][0]


def test_kinds_of_items_are_kept_out_and_let_in_again(client: Client, shop: Shop, key: str) -> None:
    cluster = make(shop, "A", 0, 1, 2, 3)
    path = f"clusters/{cluster.pk}/"
    patched = call(client, "PATCH", path, key, {"kept_out": ["price=2..", "brand = Acme"], "reason": "Cheap ones"}).json()
    assert [c["summary"] for c in patched["changes"]] == ["Takes in no items priced 2 or more or of the brand Acme: 2 items out"]
    assert patched["changes"][0]["action"] == "kept_out"
    assert inside(client, key, cluster.pk) == ["i0", "i1"]
    told = call(client, "GET", path, key)
    assert told.json()["kept_out"] == ["brand=Acme", "price=2.."]
    assert call(client, "PATCH", path, key, {"kept_out": ["price=2..", "brand=Acme"]}).json()["changes"] == []
    after = call(client, "PATCH", path, key, {"kept_out": ["price=..0"]}).json()
    assert [c["action"] for c in after["changes"]] == ["let_in", "kept_out"]
    assert inside(client, key, cluster.pk) == ["i1"]
    assert call(client, "GET", path, key).json()["kept_out"] == ["price=..0"]
    whole = call(client, "GET", f"cluster-changes/{after['changes'][1]['id']}/", key).json()
    assert whole["delta"]["bars"] == {"price=..0": [None, True]}
    stale = client.generic(
        "PATCH", f"/api/v1/{path}", json.dumps({"kept_out": []}), content_type="application/json",
        headers={"authorization": f"Bearer {key}", "if-match": told.headers["ETag"]},
    )  # fmt: skip
    assert stale.status_code == 412, "what is kept out is part of what somebody saw"
    for given, field, words in (
        (["size=9"], "kept_out", "must be one of category"),
        (["price=0.."], "cluster", "retire it instead"),
        ("discount=reduced", "kept_out", "list"),
        ([f"brand={n}" for n in range(21)], "kept_out", "20"),
    ):
        refused = call(client, "PATCH", path, key, {"kept_out": given})
        assert refused.status_code in (400, 409), given
        assert words in refused.content.decode(), given
        assert field in refused.content.decode(), given


def test_an_item_of_a_cluster_of_ones_own_says_what_brought_it_in(client: Client, shop: Shop, key: str) -> None:
    a, b = make(shop, "A", 0, 1), make(shop, "B", 2)
    item = str(Item.objects.get(external_id="i0").pk)
    ClusterChange.objects.create(
        shop=shop, cluster=a, actor="training", action="created", summary="x", delta={"members": {item: [None, 1.0]}}
    )
    call(client, "POST", "clusters/merge/", key, {"clusters": [a.pk, b.pk]})
    call(client, "POST", f"clusters/{a.pk}/items/", key, {"add": ["i5"]})
    split = call(client, "POST", f"clusters/{a.pk}/split/", key, {"groups": [{"name": "C", "items": ["i1"]}]}).json()
    import_clusters(shop, [{"name": "D", "items": ["i6"]}], by=Actor("import", who="d.csv"))
    (imported,) = ItemCluster.objects.filter(name="D")

    def why(cluster: int) -> dict[str, list[str]]:
        rows = call(client, "GET", f"clusters/{cluster}/items/", key).json()["results"]
        return {row["item_id"]: row["why"] for row in rows}

    assert why(a.pk) == {
        "i0": ["It was learned, before the cluster became a merchandiser's."],
        "i2": ["It came with a cluster that was merged into this one."],
        "i5": ["It was put in by hand."],
    }
    assert why(split["clusters"][1]["id"]) == {"i1": ["It was in the cluster that this one was split off."]}
    assert why(imported.pk) == {"i6": ["It was in the file that was imported, d.csv."]}
    call(client, "POST", f"clusters/{imported.pk}/items/", key, {"add": ["i7"]})
    assert why(imported.pk)["i7"] == ["It was imported, or put in by hand since."], "a key does both"


def test_an_item_of_a_cluster_of_searches_says_how_it_was_found(client: Client, shop: Shop, key: str) -> None:
    cluster = make(shop, "Tent and lantern", 0, 1, kind="search", provenance=TRACE)
    cluster.memberships.filter(item__external_id="i1").update(via=[[1, 3]])
    rows = call(client, "GET", f"clusters/{cluster.pk}/items/", key).json()["results"]
    assert rows[0]["why"] == []
    assert rows[1]["why"] == [
        "Shoppers who searched for “tent” also searched for “lantern” (5 times).",
        "The search “lantern” ranks it 3rd.",
    ]


def test_merging_splitting_and_giving_back(client: Client, shop: Shop, key: str) -> None:
    a, b = make(shop, "A", 0, 1), make(shop, "B", 2)
    merged = call(client, "POST", "clusters/merge/", key, {"clusters": [a.pk, b.pk], "name": "AB"})
    assert merged.status_code == 200, merged.content
    assert inside(client, key, a.pk) == ["i0", "i2", "i1"]
    split = call(client, "POST", f"clusters/{a.pk}/split/", key, {"groups": [{"name": "C", "items": ["i1"]}]}).json()
    assert [(c["name"], c["size"]) for c in split["clusters"]] == [("AB", 2), ("C", 1)]
    back = call(client, "POST", f"clusters/{a.pk}/give-back/", key, {}).json()
    assert back["clusters"][0]["kind"] == "co_visit"
    restored = call(client, "POST", f"clusters/{b.pk}/restore/", key, {"name": "B again"}).json()
    assert (restored["clusters"][0]["name"], restored["clusters"][0]["kind"]) == ("B again", "manual")


def test_a_change_is_undone_once_and_as_a_whole(client: Client, shop: Shop, key: str) -> None:
    a, b = make(shop, "A", 0, 1), make(shop, "B", 2)
    change = call(client, "POST", "clusters/merge/", key, {"clusters": [a.pk, b.pk]}).json()["changes"][0]
    undone = call(client, "POST", f"cluster-changes/{change['id']}/undo/", key, {"reason": "A mistake"})
    assert {c["id"]: c["retired_at"] for c in undone.json()["clusters"]} == {a.pk: None, b.pk: None}
    assert (inside(client, key, a.pk), inside(client, key, b.pk)) == (["i0", "i1"], ["i2"])
    again = call(client, "POST", f"cluster-changes/{change['id']}/undo/", key, {})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert "was undone on" in again.json()["detail"]
    whole = call(client, "GET", f"cluster-changes/{change['id']}/", key).json()
    assert whole["undone_by"] in [c["id"] for c in undone.json()["changes"]]
    assert whole["delta"]["fields"]["retired_at"][0] is None
    listed = call(client, "GET", f"cluster-changes/?batch={change['batch']}", key).json()
    assert len(listed["results"]) == 2
    restored = call(client, "GET", f"cluster-changes/?cluster={b.pk}&action=restored", key).json()["results"]
    assert [change["name"] for change in restored] == ["B"]


def test_clusters_are_imported(client: Client, shop: Shop, key: str) -> None:
    body = {"clusters": [{"name": "A", "items": ["i0", "nope"]}, {"cluster": "B", "item_id": "i1"}], "reason": "Nightly"}
    told = call(client, "POST", "clusters/import/", key, body)
    assert told.json() == {
        "read": 2, "added": 2, "known": 0, "rejected": 1,
        "rejects": [{"line": 1, "field": "items[1].item_id", "reason": "'nope' is not in the catalogue of One"}],
        "notes": ["2 clusters made, 0 changed, 2 named in all"],
    }  # fmt: skip
    assert set(ClusterChange.objects.values_list("who", "reason")) == {("the shop's server", "Nightly")}
    assert call(client, "POST", "clusters/import/", key, body).json()["known"] == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "field", "reason"),
    [
        ("clusters/", {"name": "", "items": ["i0"]}, 400, "name", "blank"),
        ("clusters/", {"name": "x" * 121, "items": ["i0"]}, 400, "name", "120"),
        ("clusters/", {"name": "X"}, 400, "items", "required"),
        ("clusters/", {"name": "X", "items": []}, 400, "items", "empty"),
        ("clusters/", {"name": "X", "items": ["nope"]}, 400, "items", "names nope, which One doesn't have"),
        ("clusters/", {"name": "X", "items": ["far"]}, 400, "items", "names far"),
        ("clusters/", {"name": "X", "items": [{"item_id": "i0", "weight": 2}]}, 400, "items[0]", "at most 1"),
        ("clusters/", {"name": "X", "items": [True]}, 400, "items[0]", "item_id"),
        ("clusters/", {"name": "X", "items": ["a\x00"]}, 400, "items[0]", "item_id"),
        ("clusters/", {"name": "X", "items": ["i0", "a\ud800"]}, 400, "items[1]", "item_id"),
        ("clusters/", {"name": "X", "items": ["i0"], "core": ["a\ud800"]}, 400, "core[0]", ""),
        ("clusters/", {"name": "X", "items": [{"sku": "i0"}]}, 400, "items[0]", "must be an item's id"),
        ("clusters/", {"name": "X", "items": ["i0"], "minimum_size": 0}, 400, "minimum_size", "whole number from 1"),
        ("clusters/", {"name": "X", "items": ["i0"], "reason": "x" * 301}, 400, "reason", "300"),
        ("clusters/", {"name": "a", "items": ["i0"]}, 409, "", "“a” is taken"),
        ("clusters/A/items/", {"add": ["i5"], "remove": ["i5"]}, 400, "add", "names 'i5', which remove names too"),
        ("clusters/A/items/", {"core": ["nope"]}, 400, "core", "names nope"),
        ("clusters/A/items/", {"add": "i5"}, 400, "add", "list"),
        ("clusters/merge/", {"clusters": ["A"]}, 400, "clusters[0]", "integer"),
        ("clusters/merge/", {"clusters": [10**30]}, 400, "clusters", "there is no cluster"),
        ("clusters/merge/", {"clusters": list(range(1, 40_000))}, 400, "clusters", "no more than 20"),
        ("clusters/A/split/", {"parts": list(range(40_000))}, 400, "parts", "no more than 20"),
        ("clusters/A/items/", {"added": ["i0"]}, 400, "added", "is not known; this takes reason, remove, add"),
        ("clusters/import/", {"clusters": [{"name": "B", "items": ["i0"]}], "reason": "a\nb"}, 400, "reason", "control"),
        ("clusters/merge/", {"clusters": []}, 400, "clusters", "2 to 20"),
        ("clusters/A/split/", {}, 400, "groups", "either groups or parts"),
        ("clusters/A/split/", {"parts": [3]}, 400, "parts", "have no number 3"),
        ("clusters/A/split/", {"groups": [{"name": "X", "items": ["i0", "i1"]}]}, 400, "groups", "leave nothing"),
        ("clusters/A/split/", {"groups": [{"name": "X", "items": ["i0"]}, {"items": ["i1"]}]}, 400, "groups[1].name", "required"),
        ("clusters/A/give-back/", {}, 409, "", "is learned already"),
        ("clusters/A/restore/", {}, 409, "", "isn't retired"),
        ("clusters/import/", {"clusters": {}}, 400, "clusters", "list"),
        ("clusters/99/items/", {"add": ["i0"]}, 404, "", "nothing at this address"),
        ("cluster-changes/99/undo/", {}, 404, "", "nothing at this address"),
    ],
)
def test_what_can_not_be_done_is_told_by_field_and_changes_nothing(
    client: Client, shop: Shop, key: str, path: str, body: dict[str, Any], status: int, field: str, reason: str
) -> None:
    cluster = make(shop, "A", 0, 1)
    answer = call(client, "POST", path.replace("/A/", f"/{cluster.pk}/"), key, body)
    assert (answer.status_code, answer["content-type"]) == (status, "application/problem+json"), answer.content
    assert answer.json().get("field", "") == field
    assert reason in answer.json()["detail"]
    assert not ClusterChange.objects.exists()


def test_all_lists_of_a_request_are_done_or_none(client: Client, shop: Shop, key: str) -> None:
    cluster = make(shop, "A", 0, 1)
    answer = call(client, "POST", f"clusters/{cluster.pk}/items/", key, {"add": ["i3"], "clear": ["nope"]})
    assert answer.status_code == 400
    assert (inside(client, key, cluster.pk), ClusterChange.objects.count()) == (["i0", "i1"], 0)


def test_a_key_edits_its_own_shop_and_needs_the_scope(client: Client, shop: Shop, key: str) -> None:
    far, mine = ItemCluster.objects.get(name="Far"), make(shop, "A", 0)
    reading = ApiKey.objects.issue(shop=shop, name="r", scopes=["read"])[1]
    managing = ApiKey.objects.issue(shop=shop, name="m", scopes=["manage"])[1]
    assert call(client, "PATCH", f"clusters/{far.pk}/", key, {"name": "X"}).status_code == 404
    assert call(client, "POST", "clusters/merge/", key, {"clusters": [mine.pk, far.pk]}).json()["field"] == "clusters"
    assert call(client, "PATCH", f"clusters/{mine.pk}/", reading, {"name": "X"}).status_code == 403
    assert call(client, "GET", f"clusters/{mine.pk}/items/", managing).status_code == 403
    assert call(client, "PATCH", f"clusters/{mine.pk}/", managing, {"name": "X"}).status_code == 200
    assert call(client, "POST", "clusters/", "", {"name": "X", "items": ["i0"]}).status_code == 401
    change = ClusterChange.objects.create(shop=far.shop, cluster=far, actor="api", action="renamed", summary="x")
    assert call(client, "POST", f"cluster-changes/{change.pk}/undo/", key, {}).status_code == 404


def test_staff_edit_by_their_permissions_and_under_their_name(client: Client, shop: Shop) -> None:
    cluster = make(shop, "A", 0, 1)
    user = get_user_model().objects.create(username="ann", is_staff=True)
    client.force_login(user)
    assert call(client, "GET", f"clusters/{cluster.pk}/").status_code == 403
    user.groups.add(demo.merchandisers())
    assert call(client, "PATCH", f"clusters/{cluster.pk}/", body={"name": "B"}).status_code == 200
    change = ClusterChange.objects.get()
    assert (change.actor, change.user, change.who) == ("merchandiser", user, "")
    made = call(client, "POST", "clusters/?shop=one", body={"name": "C", "items": ["i5"]})
    assert made.status_code == 201, made.content
    assert call(client, "POST", f"cluster-changes/{change.pk}/undo/", body={}).status_code == 200
    assert call(client, "DELETE", f"clusters/{cluster.pk}/").status_code == 200
    assert call(client, "POST", "clusters/", body={"name": "D", "items": ["i5"]}).json()["field"] == "shop"


def test_an_import_takes_the_right_to_change_too(client: Client, shop: Shop) -> None:
    """A file may name clusters that are there: who may only make them must not rewrite those."""
    user = get_user_model().objects.create(username="ann", is_staff=True)
    user.user_permissions.add(demo.merchandisers().permissions.get(codename="add_itemcluster"))
    client.force_login(user)
    body = {"clusters": [{"cluster": "Picnic", "item_id": "i0"}]}
    assert call(client, "POST", "clusters/import/?shop=one", body=body).status_code == 403
    assert not ItemCluster.objects.filter(name="Picnic").exists()
    user.user_permissions.add(demo.merchandisers().permissions.get(codename="change_itemcluster"))
    assert call(client, "POST", "clusters/import/?shop=one", body=body).status_code == 200


def test_lists_cost_the_same_however_long(client: Client, shop: Shop, key: str, django_assert_max_num_queries: Any) -> None:
    cluster = make(shop, "A", *range(8))
    for n in range(12):
        call(client, "PATCH", f"clusters/{cluster.pk}/", key, {"name": f"N{n}"})
    with django_assert_max_num_queries(9):
        call(client, "GET", f"clusters/{cluster.pk}/items/", key)
    with django_assert_max_num_queries(5):
        assert len(call(client, "GET", "cluster-changes/", key).json()["results"]) == 12


def test_edits_are_asked_to_be_published_when_they_are_committed(
    client: Client,
    shop: Shop,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
    redis_client: redis.Redis,
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("celery.current_app.send_task", lambda name, args, **rest: asked.append((name, args)))
    cluster = make(shop, "A", 0, 1)
    with django_capture_on_commit_callbacks(execute=True):
        call(client, "PATCH", f"clusters/{cluster.pk}/", key, {"name": "B"})
        call(client, "PATCH", f"clusters/{cluster.pk}/", key, {"name": "B"})
    assert asked == [("recommendations.tasks.publish_cluster_edits", (shop.pk,))], "nothing where nothing changed"


def test_an_import_is_asked_to_be_published_if_it_changed_anything(
    client: Client, shop: Shop, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Shop] = []
    monkeypatch.setattr("recommendations.api.clusters.request_publish", asked.append)
    body = {"clusters": [None, {"name": "C", "items": ["i5"]}]}
    for _ in range(2):
        told = call(client, "POST", "clusters/import/", key, body).json()
        assert told["rejects"] == [{"line": 1, "field": "", "reason": "is not a JSON object"}]
    assert asked == [shop]


def test_what_others_changed_meanwhile_stays(client: Client, shop: Shop, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = make(shop, "A", 0, 1)
    ItemCluster.objects.filter(pk=stale.pk).update(maximum_size=50)
    monkeypatch.setattr(Clusters, "get_object", lambda view: stale)
    assert call(client, "PATCH", f"clusters/{stale.pk}/", key, {"minimum_size": 2}).status_code == 200
    assert ItemCluster.objects.filter(pk=stale.pk, minimum_size=2, maximum_size=50).exists()


def test_a_body_too_large_or_too_deep_is_told_as_a_problem(client: Client, key: str, settings: Any) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    headers = {"authorization": f"Bearer {key}"}
    url = "/api/v1/clusters/import/"
    answer = client.generic("POST", url, f'{{"clusters": {deep}}}', content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    answer = call(client, "POST", "clusters/import/", key, {"clusters": ["x" * 1_000]})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_number_that_no_cluster_can_have_is_refused(client: Client, key: str) -> None:
    answer = call(client, "GET", f"cluster-changes/?cluster={10**22}", key)
    assert (answer.status_code, answer.json()["field"]) == (400, "cluster")


def test_the_schema_holds_all_of_it() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    validate_schema(schema)
    edit = schema["paths"]["/api/v1/clusters/{id}/items/"]["post"]
    assert edit["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/MembersIn")
    assert "/api/v1/cluster-changes/{id}/undo/" in schema["paths"]
    told = schema["paths"]["/api/v1/clusters/{id}/"]["delete"]["responses"]
    assert [status for status in told if status < "300"] == ["200"], "it answers with what it changed"


def test_alignment_of_a_cluster_that_no_release_has_is_empty(client: Client, shop: Shop, key: str) -> None:
    cluster = make(shop, "A", 0)
    assert call(client, "GET", f"clusters/{cluster.pk}/alignment/", key).json() == []
