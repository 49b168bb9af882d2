"""The ranker of a release: five experts, a blend of them, and the one function that ranks with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from clusters.adaptation import AdaptedClusters, Bounds
from clusters.alignment import Selection
from clusters.alignment import select as select_clusters
from clusters.catalogue import Catalogue
from clusters.item_clusters import ItemClusters
from personas.sessions import SessionLog
from recommendations.ranking import blend as blending
from recommendations.ranking.blend import Blend
from recommendations.ranking.encoder import Encoder, encode, train_encoder
from recommendations.ranking.features import FEATURES, VOTERS, Evidence, gather
from recommendations.ranking.history import History, Scratch, item_actions, prefix, segments
from recommendations.ranking.layout import ClusterRows, lay_out
from recommendations.ranking.neighbours import Neighbours, build_neighbours
from recommendations.ranking.opening import Opening
from recommendations.ranking.popularity import Popularity, build_popularity
from recommendations.ranking.recency import best_horizon, default_tail, session_weights
from recommendations.ranking.reminders import learn_reminders
from recommendations.ranking.transitions import ItemRows, build_rows

__all__ = ["History", "Ranked", "Ranker", "Select", "affinity", "rank", "represent", "train_ranker"]

Select = Callable[[int, History, np.ndarray], Selection]
"""(row of the log that closes the prefix, the prefix, (C,) affinity) -> the clusters that would be selected then."""

DROPPED = np.float32(np.log(1e-6))
"""Log-weight of what was dropped: below everything else, yet still there if nothing else is left."""

MAX_EXAMPLES = 25_000
WORK_A_LIST = 200
"""Encoder examples that one list of the blend costs as much as, its eight epochs included: a bound on the work holds for both."""

LIST = 100
LIST_BEST = 70
"""Candidates of a training list: the target, the best by a plain vote, and some of the others so that they are known too."""

MIN_EXAMPLES = 300
"""Below this the blend would learn noise; a plain sum of the log-shares serves."""

_scratch = Scratch()


@dataclass(frozen=True)
class Ranker:
    """A component: arrays only, read-only, shared by processes.

    horizon : chosen recency horizon, in spans of the log.
    reminders : (R,) by `reminders.learn_reminders`; None in a release of before there were any.
    """

    encoder: Encoder
    rows: ItemRows
    neighbours: Neighbours
    popularity: Popularity
    blend: Blend
    horizon: float
    reminders: np.ndarray | None = None


@dataclass(frozen=True)
class Ranked:
    """A ranking of m items, best first. `explaining.explain` says what carried those that are shown.

    positions : (m,) intp.  scores : (m,) float32, log-odds up to a constant of the list.
    evidence : what was ranked, None for a session without an item.
    columns : (m,) intp, the items' places in the evidence; popular items that fill the list up come after them.
    opening : what a session without an item is shown by; `columns` are then places in it.
    """

    positions: np.ndarray
    scores: np.ndarray
    evidence: Evidence | None
    columns: np.ndarray
    opening: Opening | None = None


def represent(ranker: Ranker, history: History) -> np.ndarray:
    """(d,) float32 unit vector of the session; zero without an item."""
    return encode(ranker.encoder, history)


def affinity(layout: ClusterRows, h: np.ndarray) -> np.ndarray:
    """(C,) float32 probabilities: softmax(centroid . h / 2), centroids in the encoder's own units."""
    pull = layout.centroids @ h * np.float32(0.5)
    if not len(pull):
        return pull
    pull -= np.maximum.reduce(pull)
    np.exp(pull, out=pull)
    return pull / np.add.reduce(pull)


def rank(
    ranker: Ranker,
    history: History,
    h: np.ndarray,
    *,
    clusters: ItemClusters,
    layout: ClusterRows,
    selection: Selection,
    item_weight: Mapping[int, float] | None,
    exclude: np.ndarray,
    keep: int,
    cluster_weight: Mapping[int, float] | None = None,
    opening: Opening | None = None,
) -> Ranked:
    """The best `keep` items for a session.

    h : (d,) from `represent`.  layout : `lay_out` of the clusters.  item_weight : item position -> multiplier of its odds.
    exclude : (x,) positions that must not appear.  cluster_weight : cluster position -> multiplier, for the clusters
    that adaptation changed; by default those of the selection. Multipliers stay outside the learned blend, so that
    what lowers a cluster or an item always lowers it in the ranking.
    A session without an item is ranked by its `opening`, or by popularity where none is given.
    """
    if len(history):
        evidence = gather(ranker, history, h, clusters=clusters, layout=layout, selection=selection, scratch=_scratch)
        positions = evidence.positions
        scores = blending.score(ranker.blend, evidence.features)
        opening = None
    elif opening is not None:
        evidence, positions, scores = None, opening.positions, opening.scores.copy()
    else:
        evidence, positions = None, ranker.popularity.top
        scores = ranker.popularity.facts[positions, 1].copy()
    weights = cluster_weight if cluster_weight is not None else _changed(selection)
    if weights:
        scores = scores + _cluster_log_weight(clusters, weights, positions)
    if item_weight:
        scores = scores + _item_log_weight(item_weight, positions, ranker)
    if len(exclude):
        out = _scratch.zeros("exclude", len(ranker.encoder.row_of), bool)
        out[exclude] = True
        scores[out[positions]] = -np.inf
        out[exclude] = False
    order = _best(scores, keep)
    ranked = Ranked(positions[order], scores[order], evidence, order, opening)
    return ranked if len(order) >= keep else _filled(ranker, ranked, exclude, keep)


def _changed(selection: Selection) -> dict[int, float]:
    changed = selection.weight != 1.0
    return dict(zip(selection.rows[changed].tolist(), selection.weight[changed].tolist(), strict=True)) if changed.any() else {}


def _cluster_log_weight(clusters: ItemClusters, weights: Mapping[int, float], positions: np.ndarray) -> np.ndarray:
    """(m,) log of the mean multiplier of each item's clusters, weighted by membership."""
    multiplier = np.ones(len(clusters.cluster_ids), dtype=np.float32)
    multiplier[list(weights)] = list(weights.values())
    of_item = clusters.of_item
    starts = of_item.indptr[positions].astype(np.int64)
    lengths = of_item.indptr[positions + 1] - starts
    entries = segments(starts, lengths)
    item = np.repeat(np.arange(len(positions)), lengths)
    membership = of_item.data[entries]
    total = np.bincount(item, membership, minlength=len(positions))
    weighted = np.bincount(item, membership * multiplier[of_item.indices[entries]], minlength=len(positions))
    mean = np.where(total > 0, weighted / np.maximum(total, 1e-12), 1.0)
    return np.maximum(np.log(np.maximum(mean, 1e-30)), DROPPED).astype(np.float32)


def _item_log_weight(weights: Mapping[int, float], positions: np.ndarray, ranker: Ranker) -> np.ndarray:
    changed = np.fromiter(weights, dtype=np.int64)
    log_weight = _scratch.zeros("item_weight", len(ranker.encoder.row_of), np.float32)
    log_weight[changed] = [max(float(np.log(max(w, 1e-30))), float(DROPPED)) for w in weights.values()]
    result = log_weight[positions]
    log_weight[changed] = 0.0
    return result


def _best(scores: np.ndarray, keep: int) -> np.ndarray:
    """(<= keep,) indices of the highest finite scores, best first."""
    order = (-scores).argsort(kind="stable")[:keep]
    return order[np.isfinite(scores[order])]


def _filled(ranker: Ranker, ranked: Ranked, exclude: np.ndarray, keep: int) -> Ranked:
    """The ranking with popular items in the places that no expert could fill."""
    top = ranker.popularity.top
    more = top[~np.isin(top, np.concatenate((ranked.positions, exclude)))][: keep - len(ranked.positions)]
    lowest = float(ranked.scores[-1]) if len(ranked.scores) else 0.0
    return Ranked(
        positions=np.concatenate((ranked.positions, more)),
        scores=np.concatenate((ranked.scores, lowest - 1.0 - np.arange(len(more), dtype=np.float32))),
        evidence=ranked.evidence,
        columns=ranked.columns,
        opening=ranked.opening,
    )


def train_ranker(
    log: SessionLog,
    catalogue: Catalogue,
    clusters: ItemClusters,
    *,
    select: Select | None = None,
    held_out: Collection[str] | None = None,
    seed: int = 0,
    most_examples: int | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> Ranker:
    """Experts fitted on all but the tail, the blend on the tail's prefixes, then the experts again on everything.

    select : by default the engine's own selection, from the prefix's clusters and affinity and an even belief.
    held_out : keys of the sessions that the blend learns from, or None for those of the last days.
    most_examples : bound on the encoder's examples, and on the blend's in proportion, for a first release that must not
        keep anyone waiting; None for none.
    progress : told (done, of).
    """
    tell = _telling(progress)
    log = item_actions(log)
    n = len(catalogue)
    tail = default_tail(log) if held_out is None else np.isin(log.keys, list(held_out))
    early = log.take(~tail)
    horizon = best_horizon(early, log.take(tail), n)
    first = _experts(early, n, clusters, horizon, seed, most_examples, tell(0.0, 0.4))
    most_lists = MAX_EXAMPLES if most_examples is None else min(MAX_EXAMPLES, most_examples // WORK_A_LIST)
    lists = _lists(first, log, tail, clusters, select or _selecting(clusters), most_lists, seed, tell(0.4, 0.55))
    blend = first.blend
    if lists is not None and len(lists[0]) >= MIN_EXAMPLES:
        blend = blending.train_blend(*lists, seed=seed, progress=tell(0.55, 0.65))
    del lists
    ranker = _experts(log, n, clusters, horizon, seed, most_examples, tell(0.65, 1.0))
    return replace(ranker, blend=blend, reminders=learn_reminders(log, np.exp(ranker.popularity.facts[:, 0])))


def _telling(progress: Callable[[float, float], None] | None) -> Callable[[float, float], Callable[[float], None]]:
    def part(low: float, high: float) -> Callable[[float], None]:
        def tell(done: float) -> None:
            if progress:
                progress(low + (high - low) * done, 1.0)

        return tell

    return part


def _experts(
    log: SessionLog,
    n: int,
    clusters: ItemClusters,
    horizon: float,
    seed: int,
    most_examples: int | None,
    tell: Callable[[float], None],
) -> Ranker:
    """Every expert fitted on `log`, with a plain blend."""
    block = clusters.primary
    weight = session_weights(log, horizon)
    encoder = train_encoder(log, n, block=block, seed=seed, most_examples=most_examples, progress=lambda done: tell(0.8 * done))
    rows = build_rows(log, n, block=block, weight=weight)
    tell(0.95)
    plain = np.array([1.0 if f.startswith("log_share:") else 0.0 for f in FEATURES], dtype=np.float32) / len(VOTERS)
    ranker = Ranker(
        encoder=encoder,
        rows=rows,
        neighbours=build_neighbours(log, n),
        popularity=build_popularity(log, n, weight=weight),
        blend=blending.linear_blend(plain),
        horizon=float(horizon),
    )
    tell(1.0)
    return ranker


def _lists(
    ranker: Ranker,
    log: SessionLog,
    tail: np.ndarray,
    clusters: ItemClusters,
    select: Select,
    most: int,
    seed: int,
    tell: Callable[[float], None],
) -> tuple[np.ndarray, np.ndarray] | None:
    """At most `most` lists (N, LIST, F) of the tail's prefixes whose next item is a candidate, the target first; and which
    entries count."""
    rng = np.random.default_rng(seed)
    layout = lay_out(ranker.encoder, clusters)
    session = log.session_of
    known = np.zeros(len(ranker.encoder.row_of), dtype=bool)
    known[log.position[~tail[session]]] = True
    at = np.flatnonzero((np.arange(len(session)) > log.offsets[session]) & tail[session] & known[log.position])
    if not len(at):
        return None
    at = np.sort(rng.choice(at, min(most, len(at)), replace=False))
    features = np.zeros((len(at), LIST, len(FEATURES)), dtype=np.float16)
    valid = np.zeros((len(at), LIST), dtype=bool)
    count = 0
    ranks = slice(2 * len(VOTERS), 3 * len(VOTERS))
    for done, row in enumerate(at.tolist()):
        history = prefix(log, int(log.offsets[session[row]]), row)
        h = represent(ranker, history)
        selection = select(row - 1, history, affinity(layout, h))
        evidence = gather(ranker, history, h, clusters=clusters, layout=layout, selection=selection, scratch=_scratch)
        target = np.flatnonzero(evidence.positions == log.position[row])
        if len(target):
            vote = evidence.features[ranks].sum(axis=0)
            vote[target] = np.inf
            order = np.argsort(-vote, kind="stable")
            order = np.concatenate((order[:LIST_BEST], rng.permutation(order[LIST_BEST:])[: LIST - LIST_BEST]))
            features[count, : len(order)] = evidence.features[:, order].T
            valid[count, : len(order)] = True
            count += 1
        if done % 200 == 0:
            tell(done / len(at))
    return features[:count], valid[:count]


def _selecting(clusters: ItemClusters) -> Select:
    """The engine's selection for a shopper of whom nothing is known but the clusters they looked at."""
    personas, attributes = clusters.persona_lift.shape[1], clusters.attribute_match.shape[1]
    belief = np.full(personas, 1.0 / max(personas, 1))
    decay = Bounds().decay

    def select(row: int, history: History, pull: np.ndarray) -> Selection:
        mass: dict[int, float] = {}
        indptr = clusters.of_item.indptr
        for lag, position in enumerate(history.positions[::-1].tolist()):
            for entry in range(indptr[position], indptr[position + 1]):
                cluster = int(clusters.cluster_ids[clusters.of_item.indices[entry]])
                mass[cluster] = mass.get(cluster, 0.0) + float(clusters.of_item.data[entry]) * decay**lag
        return select_clusters(
            clusters,
            AdaptedClusters(mass=mass),
            belief=belief,
            attributes=np.zeros(attributes),
            affinity=pull,
            active=(),
        )

    return select
