"""What a rebuild is said to have changed, on clusters made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from scipy import sparse

from clusters.item_clusters import ItemClusters
from recommendations import cluster_reports
from recommendations.cluster_reports import compare, sentences
from tests.cluster_worlds import made_clusters

TITLES = [f"article {i}" for i in range(80)]


def grouped(clusters: ItemClusters, groups: list[list[int]], ids: list[int], names: list[str]) -> ItemClusters:
    """The clusters with other items, wholly in one each."""
    n = len(clusters.item_ids)
    rows = [i for items in groups for i in items]
    columns = [c for c, items in enumerate(groups) for _ in items]
    of_item = sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(n, len(groups)))
    primary = np.full(n, -1, dtype=np.int32)
    primary[rows] = columns
    return replace(
        clusters,
        cluster_ids=np.array(ids),
        names=tuple(names),
        kinds=("co_visit",) * len(groups),
        of_item=of_item,
        items=sparse.csr_matrix(of_item.T),
        primary=primary,
    )


def four() -> ItemClusters:
    """Clusters 1 to 4 of ten items each; forty of eighty items are in none."""
    tens = [list(range(10 * c, 10 * c + 10)) for c in range(4)]
    return grouped(made_clusters(), tens, [1, 2, 3, 4], ["Skirts", "Shoes", "Hats", "Bags"])


def test_the_same_clusters_changed_nothing() -> None:
    told = compare(four(), four(), TITLES)
    assert (told["continued"], told["changed"], told["new"], told["retired"]) == (4, [], [], [])
    assert told["moved"] == {"items": 0, "of": 40, "share": 0.0, "engagement": 0.0}
    assert told["coverage"] == [0.5, 0.5]
    assert told["sizes"]["after"] == [10] * 5


def test_every_fate_is_told_once() -> None:
    """Cluster 1 gives two items to 2, 3 falls in two, 4 is gone, 9 is new."""
    groups = [list(range(8)), [8, 9, *range(10, 20)], list(range(20, 25)), list(range(25, 30)), list(range(50, 60))]
    after = grouped(four(), groups, [1, 2, 3, 8, 9], ["Skirts", "Footwear", "Hats", "Caps", "Rings"])
    told = compare(four(), after, TITLES)
    assert told["continued"] == 3
    assert [entry["name"] for entry in told["new"]] == ["Rings"]
    assert [entry["name"] for entry in told["retired"]] == ["Bags"]
    assert told["split"] == [{"id": 3, "name": "Hats", "into": [{"id": 3, "name": "Hats"}, {"id": 8, "name": "Caps"}]}]
    changed = {entry["id"]: (entry["in"], entry["out"], entry["was"]) for entry in told["changed"]}
    assert changed == {1: (0, 2, "Skirts"), 2: (2, 0, "Shoes"), 3: (0, 5, "Hats")}
    assert told["moved"]["items"] == 2 + 5 + 10 + 10
    assert told["moved"]["of"] == 50
    words = " ".join(sentences(told))
    for piece in (
        "5 clusters; 4 before.",
        "Split: “Hats” into “Hats”, “Caps”.",
        "New: “Rings”.",
        "Gone: “Bags”.",
        "before “Shoes”",
    ):
        assert piece in words


def test_two_that_became_one_are_told_as_merged_not_gone() -> None:
    after = grouped(
        four(), [list(range(20)), *[list(range(10 * c, 10 * c + 10)) for c in (2, 3)]], [1, 3, 4], ["Skirts", "Hats", "Bags"]
    )
    told = compare(four(), after, TITLES)
    assert [([part["id"] for part in entry["of"]], entry["id"]) for entry in told["merged"]] == [([1, 2], 1)]
    assert told["retired"] == []


def test_clusters_of_searches_took_nothing_from_those_of_visits() -> None:
    """A cluster of searches lies in one of visits: half of it, and all of the other. Both went on."""
    tens = [list(range(10)), list(range(10, 20)), list(range(5, 10))]
    both = replace(grouped(four(), tens, [1, 2, 3], ["Skirts", "Shoes", "Party"]), kinds=("co_visit", "co_visit", "search"))
    told = compare(both, both, TITLES)
    assert (told["split"], told["merged"]) == ([], [])


def test_what_moved_is_weighed_by_what_shoppers_engage_with() -> None:
    groups = [list(range(9)), list(range(9, 20)), list(range(20, 30)), list(range(30, 40))]
    after = grouped(four(), groups, [1, 2, 3, 4], ["Skirts", "Shoes", "Hats", "Bags"])
    gain = np.zeros(80)
    gain[9] = 39.0
    told = compare(four(), after, TITLES, gain)
    assert (told["moved"]["share"], told["moved"]["engagement"]) == (round(1 / 40, 4), round(40 / 79, 4))


def test_a_first_build_has_nothing_to_be_compared_with() -> None:
    told = compare(None, four(), TITLES)
    assert (told["clusters"], told["continued"], len(told["new"]), told["sizes"]["before"]) == ([0, 4], 0, 4, [])
    assert sentences(told)[0] == "4 clusters; none before."


def test_items_are_found_again_in_another_catalogue() -> None:
    """The first ten items are gone; the others moved up by ten places."""
    whole = four()
    tens = [list(range(10 * c, 10 * c + 10)) for c in range(3)]
    after = replace(grouped(whole, tens, [2, 3, 4], ["Shoes", "Hats", "Bags"]), item_ids=whole.item_ids + 10)
    told = compare(whole, after, TITLES)
    assert (told["continued"], told["changed"], told["moved"]["items"]) == (3, [], 0)
    assert [entry["name"] for entry in told["retired"]] == ["Skirts"]


def test_a_report_is_plain_json() -> None:
    assert json.loads(json.dumps(compare(None, four(), TITLES, np.ones(80))))["clusters"] == [0, 4]
    assert cluster_reports.counted_sentences({"events": 10, "sessions": 1, "from": "v", "segments": 0}, 1.25) == [
        "Read 10 events of 1 session that are new; the rest was counted before.",
        "Segments of visits with a search: 0.",
        "It took 1.2 s.",
    ]
