"""Imports of clusters: what a file makes, changes and leaves alone, and what of it is rejected."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from clusters import cluster_files, editing
from clusters.cluster_files import import_clusters
from clusters.lineage import Actor
from clusters.models import ClusterChange, Item, ItemCluster
from personas.files import FileError
from personas.importing import ImportReport
from personas.models import Shop

pytestmark = pytest.mark.django_db
BY = Actor("import", who="clusters.csv")
HAND = Actor("merchandiser")


@pytest.fixture
def shop() -> Shop:
    shop = Shop.objects.create(slug="s", name="Shop S")
    Item.objects.bulk_create(Item(shop=shop, external_id=f"i{n}") for n in range(8))
    return shop


@pytest.fixture
def imported(shop: Shop, tmp_path: Path) -> Callable[..., ImportReport]:
    def run(text: str | bytes, name: str = "clusters.csv") -> ImportReport:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return import_clusters(shop, path, by=BY)

    return run


def held() -> dict[str, dict[str, float]]:
    return {
        cluster.name: dict(cluster.memberships.order_by("item__external_id").values_list("item__external_id", "weight"))
        for cluster in ItemCluster.objects.live()
    }


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.read, report.added, report.known, report.rejected


TABLE = "Cluster;Item ID;Weight;Core\nPicnic;i0;1;yes\nPicnic;i1;0,5;\nWinter;i2;;no\n"


def test_a_table_makes_clusters_and_again_changes_nothing(imported: Callable[..., ImportReport]) -> None:
    assert counts(imported(TABLE)) == (3, 3, 0, 0)
    assert held() == {"Picnic": {"i0": 1.0, "i1": 0.5}, "Winter": {"i2": 1.0}}
    picnic = ItemCluster.objects.get(name="Picnic")
    assert (picnic.kind, picnic.size, list(picnic.item_rules.values_list("item__external_id", "rule"))) == (
        "imported", 2, [("i0", "core")],
    )  # fmt: skip
    changes = ClusterChange.objects.all()
    assert {(c.actor, c.who, c.action, c.batch) for c in changes} == {("import", "clusters.csv", "created", changes[0].batch)}
    report = imported(TABLE)
    assert (counts(report), ClusterChange.objects.count()) == ((3, 0, 3, 0), 2)
    assert report.notes == ["0 clusters made, 0 changed, 2 named in all"]


@pytest.mark.parametrize("form", ["array", "lines", "packed", "indented"])
def test_json_says_the_same_whole_or_by_line(imported: Callable[..., ImportReport], form: str) -> None:
    entries = [
        {"name": "Picnic", "items": ["i0", {"item_id": "i1", "weight": 0.5, "core": True}], "locked": True, "minimum_size": 2},
        {"name": "Winter", "items": ["i2"], "maximum_size": 40},
    ]
    lines = "\n".join(json.dumps(entry) for entry in entries).encode()
    array = json.dumps(entries, indent=2 if form == "indented" else None).encode()
    text = {"array": array, "indented": b"\xef\xbb\xbf \n" + array, "lines": lines, "packed": gzip.compress(array)}[form]
    assert counts(imported(text)) == (2, 3, 0, 0)
    assert held() == {"Picnic": {"i0": 1.0, "i1": 0.5}, "Winter": {"i2": 1.0}}
    assert list(ItemCluster.objects.values_list("locked", "minimum_size", "maximum_size")) == [(True, 2, None), (False, None, 40)]
    assert counts(imported(text)) == (2, 0, 3, 0)


def test_a_file_is_the_whole_of_the_clusters_that_it_names(imported: Callable[..., ImportReport]) -> None:
    imported(TABLE)
    imported("cluster,item_id\nPicnic,i1\nPicnic,i3\n")
    assert held() == {"Picnic": {"i0": 1.0, "i1": 1.0, "i3": 1.0}, "Winter": {"i2": 1.0}}, "a core item stays"


def test_nothing_leaves_where_a_line_was_rejected_or_the_file_broke_off(imported: Callable[..., ImportReport]) -> None:
    imported("cluster,item_id\nA,i0\nA,i1\nB,i2\nB,i3\n")
    report = imported("cluster,item_id,weight\nA,i0,\nA,i1,2\nB,i4,\n")
    assert counts(report) == (3, 1, 1, 1)
    assert report.rejects == [(3, "weight", "'2' is outside 0 to 1")]
    assert held() == {"A": {"i0": 1.0, "i1": 1.0}, "B": {"i4": 1.0}}
    half = json.dumps([{"name": "A", "items": ["i5"]}, {"name": "B", "items": ["i6"]}])[:-12]
    report = imported(half)
    assert (counts(report), report.failed) == ((1, 1, 0, 0), True)
    assert "breaks off after entry 1" in report.broke
    assert held()["A"] == {"i0": 1.0, "i1": 1.0, "i5": 1.0}


def test_the_merchandisers_word_outlives_the_file(imported: Callable[..., ImportReport]) -> None:
    imported(TABLE)
    picnic, winter = ItemCluster.objects.order_by("name")
    ids = dict(Item.objects.values_list("external_id", "pk"))
    editing.rename(cluster=picnic, name="Summer picnic", by=HAND)
    editing.exclude(cluster=picnic, items=[ids["i1"]], by=HAND)
    imported(TABLE)
    assert held() == {"Summer picnic": {"i0": 1.0}, "Winter": {"i2": 1.0}}, "known by the name that the file gave it"
    editing.retire(cluster=winter, by=HAND)
    report = imported(TABLE)
    assert report.rejects == [(4, "cluster", "“Winter” was taken out; restore it, to import it again")]


def test_an_import_that_was_taken_back_can_be_made_again(imported: Callable[..., ImportReport], shop: Shop) -> None:
    imported(TABLE)
    editing.undo_batch(batch=ClusterChange.objects.earliest("pk").batch, shop=shop, by=HAND)
    assert held() == {}
    imported(TABLE.replace("i1", "i4"))
    assert held() == {"Picnic": {"i0": 1.0, "i4": 0.5}, "Winter": {"i2": 1.0}}
    assert ItemCluster.objects.count() == 2


def test_a_cluster_that_can_not_be_taken_again_stays_taken_back(shop: Shop) -> None:
    record = {"name": "A", "items": [{"item_id": "i0", "core": True}], "maximum_size": 1}
    import_clusters(shop, [record], by=BY)
    editing.undo(change=ClusterChange.objects.get(), by=HAND)
    report = import_clusters(shop, [{"cluster": "A", "item_id": "i1", "core": True}], by=BY)
    assert report.rejects == [(1, "maximum_size", "of 1 has no room for the 2 core items of “A”")]
    assert held() == {}


@pytest.mark.parametrize("line", ["\n,i1\n", '\n"A,i1\n'])
def test_nothing_leaves_where_a_line_may_have_been_of_any_cluster(imported: Callable[..., ImportReport], line: str) -> None:
    imported("cluster,item_id\nA,i0\nA,i1\n")
    report = imported(f"cluster,item_id\nA,i0{line}")
    assert (report.rejected, held()) == (1, {"A": {"i0": 1.0, "i1": 1.0}})


def test_a_cluster_named_by_id_and_by_name_is_one(imported: Callable[..., ImportReport]) -> None:
    imported(TABLE)
    winter = ItemCluster.objects.get(name="Winter")
    text = f"cluster,cluster_id,item_id\nWinter,,i2\n,{winter.pk},i3\n"
    assert counts(imported(text)) == (2, 1, 1, 0)
    assert counts(imported(text)) == (2, 0, 2, 0)
    assert held()["Winter"] == {"i2": 1.0, "i3": 1.0}


def test_a_name_given_by_hand_is_not_taken_for_another_cluster_of_the_file(imported: Callable[..., ImportReport]) -> None:
    imported("cluster,item_id\nA,i0\n")
    cluster = ItemCluster.objects.get()
    editing.rename(cluster=cluster, name="B", by=HAND)
    report = imported("cluster,item_id\nB,i1\nA,i0\n")
    assert report.rejects == [(2, "name", f"“B” is taken by cluster {cluster.pk}: names are distinct within a shop")]
    assert held() == {"B": {"i0": 1.0}}
    imported("cluster,item_id\nB,i1\n")
    assert held() == {"B": {"i1": 1.0}}, "alone, it is what the cluster is called by now"


def test_a_file_costs_few_queries_and_is_written_a_part_at_a_time(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    records: list[dict[str, Any]] = [
        {"name": f"C{n}", "items": [{"item_id": f"i{(n + k) % 8}", "weight": (k + 1) / 4} for k in range(3)]} for n in range(40)
    ]
    import_clusters(shop, records, by=BY)
    with django_assert_max_num_queries(13):
        report = import_clusters(shop, records, by=BY)
    assert (report.known, report.made, report.changed) == (120, 0, 0)
    for record in records:
        record["items"][0]["weight"] = 1.0
    monkeypatch.setattr(cluster_files, "AT_ONCE", 7)
    assert import_clusters(shop, records, by=BY).changed == 40
    assert held()["C9"] == {"i1": 1.0, "i2": 0.5, "i3": 0.75}
    assert ClusterChange.objects.latest("pk").summary == "1 weighted anew"


def test_a_cluster_is_named_by_id_too(imported: Callable[..., ImportReport], shop: Shop) -> None:
    (change,) = editing.create(shop=shop, name="Mine", items=Item.objects.values_list("pk", flat=True)[:1], by=HAND)
    learned = ItemCluster.objects.create(shop=shop, name="Learned")
    far = ItemCluster.objects.create(shop=Shop.objects.create(slug="t", name="T"), name="Far")
    text = f"cluster_id,item_id\n{change.cluster.pk},i5\n{learned.pk},i5\n{far.pk},i5\n1.5,i5\n"
    report = imported(text)
    assert held() == {"Mine": {"i5": 1.0}, "Learned": {}, "Far": {}}
    assert [(r.line, r.field, r.reason) for r in report.rejects] == [
        (5, "cluster_id", "1.5 is not a whole number"),
        (3, "cluster", f"“Learned” (viewed together, id {learned.pk}) isn't an imported one; name another"),
        (4, "cluster_id", f"{far.pk} is no cluster of Shop S"),
    ]


@pytest.mark.parametrize(
    ("record", "field", "reason"),
    [
        ({"cluster": "", "item_id": "i0"}, "cluster", "1 to 120"),
        ({"cluster": "x" * 121, "item_id": "i0"}, "cluster", "121 characters"),
        ({"cluster": "a\x00", "item_id": "i0"}, "cluster", "control"),
        ({"cluster": "a\ud800", "item_id": "i0"}, "cluster", "control"),
        ({"item_id": "i0"}, "cluster", "1 to 120"),
        ({"cluster": "A"}, "item_id", ""),
        ({"cluster": "A", "item_id": "nope"}, "item_id", "'nope' is not in the catalogue of Shop S"),
        ({"cluster": "A", "item_id": "i0", "weight": 0}, "weight", "is 0"),
        ({"cluster": "A", "item_id": "i0", "weight": "heavy"}, "weight", "not a number"),
        ({"cluster": "A", "item_id": "i0", "weight": float("nan")}, "weight", "finite"),
        ({"cluster": "A", "item_id": "i0", "core": "perhaps"}, "core", "neither true nor false"),
        ({"cluster_id": 999_999, "item_id": "i0"}, "cluster_id", "is no cluster"),
        ({"name": "A", "items": []}, "items", "at least one item"),
        ({"name": "A", "items": "i0"}, "items", "must be a list"),
        ({"name": "A", "items": [["i0"]]}, "items[0].item_id", ""),
        ({"name": "A", "items": [{"item_id": "i0", "weight": 7}]}, "items[0].weight", "outside 0 to 1"),
        ({"name": "A", "items": ["i0"], "minimum_size": 0}, "minimum_size", "whole number from 1"),
        ({"name": "A", "items": ["i0"], "minimum_size": 5, "maximum_size": 4}, "minimum_size", "more than the maximum"),
        ({"name": "A", "items": ["i0"], "locked": "perhaps"}, "locked", "neither"),
        ({"name": "A", "items": ["i0"], "colour": "red"}, "colour", "is not known"),
        (["A", "i0"], "", "is not a JSON object"),
    ],
)
def test_what_can_not_be_taken_is_rejected_with_its_reason_and_the_rest_kept(
    shop: Shop, record: dict[str, object], field: str, reason: str
) -> None:
    report = import_clusters(shop, [record, {"name": "B", "items": ["i7"]}], by=BY)
    assert [(r.line, r.field) for r in report.rejects] == [(1, field)]
    assert reason in report.rejects[0].reason
    assert held() == {"B": {"i7": 1.0}}


def test_duplicates_count_once_and_too_many_are_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"cluster": "A", "item_id": "i0", "weight": 0.5}, {"cluster": "a", "sku": "i0", "weight": 0.25}]
    assert counts(import_clusters(shop, rows, by=BY)) == (2, 1, 0, 0)
    assert held() == {"A": {"i0": 0.25}}
    monkeypatch.setattr(cluster_files, "MAX_ITEMS", 2)
    report = import_clusters(shop, [{"name": "B", "items": ["i0", "i1", "i2"]}], by=BY)
    assert [(r.field, r.reason) for r in report.rejects] == [
        ("items[2].item_id", "is one more than the 2 that a cluster may have")
    ]
    monkeypatch.setattr(cluster_files, "MOST_CLUSTERS", 1)
    report = import_clusters(shop, [{"name": n, "items": ["i0"]} for n in "CD"], by=BY)
    assert "one more than the 1 that one file may name" in report.rejects[0].reason


def test_a_name_that_is_a_learned_clusters_is_not_taken_over(shop: Shop) -> None:
    cluster = ItemCluster.objects.create(shop=shop, name="Lamps")
    report = import_clusters(shop, [{"cluster": "lamps", "item_id": "i0"}], by=BY)
    assert report.rejects[0].reason == f"“Lamps” (viewed together, id {cluster.pk}) isn't an imported one; name another"
    assert held() == {"Lamps": {}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"\xff\xfe\x00", "UTF-8"), (b"[\xff", "not UTF-8"), (b"[" + b" " * 5_000, "")],
)  # fmt: skip
def test_a_file_that_is_none_is_told(shop: Shop, tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    if reason:
        with pytest.raises(FileError, match=reason):
            import_clusters(shop, path, by=BY)
    else:
        assert import_clusters(shop, path, by=BY).failed
    with pytest.raises(FileError, match="can't open"):
        import_clusters(shop, tmp_path / "none", by=BY)


def test_the_command_tells_what_it_did(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, rejects = tmp_path / "c.csv", tmp_path / "rejects.csv"
    path.write_text("cluster,item_id\nA,i0\nA,nope\n")
    call_command("import_clusters", "s", str(path), "--rejects", str(rejects))
    told = capsys.readouterr()
    assert "2 records read" in told.out
    assert "1 new, 0 known already, 1 lines rejected" in told.out
    assert "line 3: item_id 'nope' is not in the catalogue of Shop S" in told.err
    assert list(csv.reader(rejects.open())) == [
        ["line", "field", "reason"],
        ["3", "item_id", "'nope' is not in the catalogue of Shop S"],
    ]
    assert ClusterChange.objects.get().who == "c.csv"
    path.write_text("cluster,item_id\nB,nope\n")
    with pytest.raises(CommandError, match="nothing in"):
        call_command("import_clusters", "s", str(path))
