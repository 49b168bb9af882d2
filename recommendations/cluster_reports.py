"""How clusters that were built anew compare with those before, as plain values that a database can keep, and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from clusters.identity import Kinship, kinship
from clusters.item_clusters import NO_CLUSTER, ItemClusters
from personas.components import Text

TITLES = 4
"""Items that are named of those that came into a cluster, or left it."""

SHOWN = 12
"""Clusters of one fate that are named in words."""


Titles = Sequence[str] | Text
"""Of the items, by catalogue position."""


def compare(before: ItemClusters | None, after: ItemClusters, titles: Titles, gain: np.ndarray | None = None) -> dict[str, Any]:
    """What a build changed. before : None where there was nothing.  titles : of the items of `after`, by catalogue position.

    gain : (n,) engagement with each item, by which what moved is weighed; None weighs all alike.

    clusters, coverage : [before, after], how many, and the share of the items of either that are in one.
    kinds : kind -> [before, after].  sizes : [smallest, quartile, median, quartile, largest], before and after.
    new, retired : [{"id", "name", "kind", "size", "titles"}].  split : [{"id", "name", "into": [{"id", "name"}]}].
    merged : [{"id", "name", "of": [{"id", "name"}]}].
    continued : how many.  changed : [{"id", "name", "was" (its name before), "size_before", "size", "in", "out",
        "titles_in", "titles_out"}], most items moved first.
    moved : {"items", "of", "share", "engagement"}: items whose strongest cluster is another one now, or was or is none.
    """
    ids = after.item_ids
    was, first = _at(before, ids)
    now = sparse.csr_matrix(after.of_item)
    weight = np.ones(len(ids)) if gain is None else np.asarray(gain, dtype=np.float64) + 1.0
    old_ids = before.cluster_ids.tolist() if before is not None else []
    old_names = before.names if before is not None else ()
    old_place = {cluster: place for place, cluster in enumerate(old_ids)}
    pairs = np.array([old_place.get(cluster, -1) for cluster in after.cluster_ids.tolist()], dtype=np.int64)
    kin = kin_of(was, now, before.kinds if before is not None else (), after.kinds, weight, pairs)
    last = np.where(after.primary == NO_CLUSTER, -1, after.cluster_ids[after.primary] if len(after) else -1)
    either = (first >= 0) | (last >= 0)
    moved = either & (first != last)
    held = max(float(weight[either].sum()), 1e-12)
    return {
        "clusters": [len(old_ids), len(after)],
        "coverage": [_share(first >= 0), _share(last >= 0)],
        "kinds": _kinds(before, after),
        "sizes": {"before": _sizes(before), "after": _sizes(after)},
        "new": [_told(after, c, now, titles) for c in kin.new],
        "retired": [_told(before, c, was, titles) for c in kin.retired] if before is not None else [],
        "split": [
            {"id": old_ids[a], "name": old_names[a], "into": [_named(after, b) for b in parts]} for a, parts in kin.split.items()
        ],
        "merged": [
            {**_named(after, b), "of": [{"id": old_ids[a], "name": old_names[a]} for a in parts]}
            for b, parts in kin.merged.items()
        ],
        "continued": int((pairs >= 0).sum()),
        "changed": _changed(before, after, was, now, pairs, titles),
        "moved": {
            "items": int(moved.sum()),
            "of": int(either.sum()),
            "share": round(float(moved.sum()) / max(int(either.sum()), 1), 4),
            "engagement": round(float(weight[moved].sum()) / held, 4),
        },
    }


def kin_of(
    old: sparse.csr_matrix,
    new: sparse.csr_matrix,
    old_kinds: Sequence[str],
    new_kinds: Sequence[str],
    weight: np.ndarray,
    pairs: np.ndarray,
) -> Kinship:
    """`clusters.identity.kinship` among clusters of one kind: those of searches lie across those of visits, and took nothing.

    old, new : (n, C) memberships.  pairs : (C_new,) the old cluster that each new one is, -1 for none.
    Where all of the parts, or all that was joined, went on as they were, nothing was split or merged.
    """
    split: dict[int, tuple[int, ...]] = {}
    merged: dict[int, tuple[int, ...]] = {}
    went_on = set(pairs[pairs >= 0].tolist())
    for kind in sorted({*old_kinds, *new_kinds}):
        a = np.flatnonzero([each == kind for each in old_kinds])
        b = np.flatnonzero([each == kind for each in new_kinds])
        place = {old_place: i for i, old_place in enumerate(a.tolist())}
        own = np.array([place.get(p, -1) for p in pairs[b].tolist()], dtype=np.int64)
        kin = kinship(sparse.csr_matrix(old[:, a]), sparse.csr_matrix(new[:, b]), weight, own)
        for x, parts in kin.split.items():
            if any(pairs[b[y]] < 0 for y in parts):
                split[int(a[x])] = tuple(int(b[y]) for y in parts)
        for y, olds in kin.merged.items():
            if any(int(a[x]) not in went_on for x in olds):
                merged[int(b[y])] = tuple(int(a[x]) for x in olds)
    parts_of = {y for parts in split.values() for y in parts}
    told = went_on | {x for olds in merged.values() for x in olds} | set(split)
    return Kinship(
        continued=pairs,
        new=tuple(y for y in np.flatnonzero(pairs < 0).tolist() if y not in parts_of and y not in merged),
        retired=tuple(x for x in range(old.shape[1]) if x not in told),
        split=split,
        merged=merged,
    )


def _at(clusters: ItemClusters | None, item_ids: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Memberships at the positions of `item_ids`, and (n,) id of each item's strongest cluster, -1 for none."""
    n = len(item_ids)
    if clusters is None or not len(clusters):
        return sparse.csr_matrix((n, 0)), np.full(n, -1, dtype=np.int64)
    own = clusters.item_ids
    place = np.minimum(np.searchsorted(own, item_ids), max(len(own) - 1, 0))
    found = np.flatnonzero(own[place] == item_ids)
    take = sparse.csr_matrix((np.ones(len(found)), (found, place[found])), shape=(n, len(own)))
    first = np.full(n, -1, dtype=np.int64)
    primary = clusters.primary[place[found]]
    first[found] = np.where(primary == NO_CLUSTER, -1, clusters.cluster_ids[primary])
    return sparse.csr_matrix(take @ clusters.of_item), first


def _share(which: np.ndarray) -> float:
    return round(float(which.mean()), 4) if len(which) else 0.0


def _kinds(before: ItemClusters | None, after: ItemClusters) -> dict[str, list[int]]:
    old, new = Counter(before.kinds if before is not None else ()), Counter(after.kinds)
    return {kind: [old[kind], new[kind]] for kind in sorted(old | new)}


def _sizes(clusters: ItemClusters | None) -> list[int]:
    if clusters is None or not len(clusters):
        return []
    return [round(float(q)) for q in np.quantile(clusters.sizes, (0.0, 0.25, 0.5, 0.75, 1.0))]


def _named(clusters: ItemClusters, c: int) -> dict[str, Any]:
    return {"id": int(clusters.cluster_ids[c]), "name": clusters.names[c]}


def _told(clusters: ItemClusters, c: int, of_item: sparse.csr_matrix, titles: Titles) -> dict[str, Any]:
    column = np.asarray(of_item[:, [c]].todense()).ravel()
    best = [i for i in np.argsort(-column, kind="stable")[:TITLES].tolist() if column[i] > 0]
    size = int(clusters.sizes[c])
    return {**_named(clusters, c), "kind": clusters.kinds[c], "size": size, "titles": [titles[i] for i in best]}


def _changed(
    before: ItemClusters | None,
    after: ItemClusters,
    was: sparse.csr_matrix,
    now: sparse.csr_matrix,
    pairs: np.ndarray,
    titles: Titles,
) -> list[dict[str, Any]]:
    if before is None:
        return []
    old, new = sparse.csc_matrix(was), sparse.csc_matrix(now)
    entries = []
    for c in np.flatnonzero(pairs >= 0).tolist():
        a = int(pairs[c])
        then = old.indices[old.indptr[a] : old.indptr[a + 1]]
        here = new.indices[new.indptr[c] : new.indptr[c + 1]]
        came, left = np.setdiff1d(here, then), np.setdiff1d(then, here)
        if not len(came) and not len(left) and before.names[a] == after.names[c]:
            continue
        entries.append(
            {
                **_named(after, c),
                "was": before.names[a],
                "size_before": int(before.sizes[a]),
                "size": int(after.sizes[c]),
                "in": len(came),
                "out": len(left),
                "titles_in": [titles[i] for i in came[:TITLES].tolist()],
                "titles_out": [titles[i] for i in left[:TITLES].tolist()],
            }
        )
    entries.sort(key=lambda entry: (-entry["in"] - entry["out"], entry["id"]))
    return entries


def summary(report: Mapping[str, Any]) -> list[str]:
    """What came of a build as a whole, in plain words, most important first."""
    old, new = report["clusters"]
    moved = report["moved"]
    told = [f"{_count(new, 'cluster')}; {old:,} before." if old else f"{_count(new, 'cluster')}; none before."]
    if old:
        told.append(
            f"{_count(report['continued'], 'cluster')} went on, {len(report['new']):,} new, {len(report['retired']):,} gone; "
            f"{len(report['merged']):,} made of several, {len(report['split']):,} fell into several."
        )
        told.append(
            f"{_count(moved['items'], 'item')} of {moved['of']:,} ({100 * moved['share']:.0f} %) moved to another cluster; "
            f"{100 * moved['engagement']:.0f} % of what shoppers engage with."
        )
    covered = f"{100 * report['coverage'][1]:.0f} % of the items are in a cluster"
    told.append(f"{covered}, {100 * report['coverage'][0]:.0f} % before." if old else f"{covered}.")
    if report["sizes"]["after"]:
        low, _, median, _, high = report["sizes"]["after"]
        told.append(f"They hold {low:,} to {high:,} items, half of them at most {median:,}.")
    return told


def sentences(report: Mapping[str, Any]) -> list[str]:
    """A comparison in plain words: the summary, then what became of single clusters."""
    told = summary(report)
    told += [f"Split: {_quoted(e['name'])} into {_list(e['into'])}." for e in report["split"]]
    told += [f"Merged: {_list(e['of'])} into {_quoted(e['name'])}." for e in report["merged"]]
    if report["clusters"][0]:
        told += [f"{name}: {_list(report[key])}." for name, key in (("New", "new"), ("Gone", "retired")) if report[key]]
    told += [_change(entry) for entry in report["changed"][:SHOWN]]
    if more := len(report["changed"]) - SHOWN:
        told += [f"{_count(more, 'further cluster')} changed less."] if more > 0 else []
    return told


def counted_sentences(told: Mapping[str, Any], seconds: float) -> list[str]:
    """What was counted for a build, as the run's report has it under "statistics", in plain words."""
    read = f"{told['events']:,} events of {_count(told['sessions'], 'session')}"
    known = told.get("from")
    return [
        f"Read {read} that are new; the rest was counted before."
        if known
        else f"Read {read}, the whole log" + (f": {told['why_all']}." if told.get("why_all") else "."),
        f"Segments of visits with a search: {told['segments']:,}.",
        f"It took {seconds:.1f} s.",
    ]


def _change(entry: Mapping[str, Any]) -> str:
    name = _quoted(entry["name"]) + (f", before {_quoted(entry['was'])}" if entry["was"] != entry["name"] else "")
    parts = [
        f"{entry[way]:,} {way}"
        + (f" ({', '.join(t for t in entry[f'titles_{way}'] if t)})" if any(entry[f"titles_{way}"]) else "")
        for way in ("in", "out")
        if entry[way]
    ]
    return f"{name}: {'; '.join(parts) or 'same items'}."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _quoted(name: str) -> str:
    return f"“{name}”"


def _list(entries: Sequence[Mapping[str, Any]]) -> str:
    names = [_quoted(entry["name"]) for entry in entries[:SHOWN]]
    more = len(entries) - SHOWN
    return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")
