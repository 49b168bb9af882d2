"""The ranker of a release: five experts, a blend of them, and the one function that ranks with it; `fitting` makes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from clusters.alignment import Selection
from clusters.item_clusters import ItemClusters
from personas.sessions import NO_ITEM
from recommendations.ranking import encoder_kernels, scoring
from recommendations.ranking.blend import Blend
from recommendations.ranking.companions import Companions
from recommendations.ranking.encoder import Encoder, encode
from recommendations.ranking.features import Evidence, gather, tables_of
from recommendations.ranking.history import History, Scratch, own
from recommendations.ranking.kinship import Kinship
from recommendations.ranking.layout import ClusterRows
from recommendations.ranking.neighbours import Neighbours
from recommendations.ranking.opening import Opening
from recommendations.ranking.popularity import Popularity
from recommendations.ranking.tables import Tables, plain
from recommendations.ranking.transitions import ItemRows

__all__ = ["History", "Pool", "Ranked", "Ranker", "affinity", "rank", "read", "represent"]

DROPPED = float(np.float32(np.log(1e-6)))
"""Log-weight of what was dropped: below everything else, yet still there if nothing else is left."""

FEW = 300
"""So many are put in order once they are found, more by sorting all: a slate whose rules balance it asks for 300."""

SCRATCH = Scratch()
"""For all that a step does, one call after the other: what the ranking touched is still near when it is made without a cause."""

_NONE = np.zeros(0, dtype=np.int64)
_NO_WEIGHTS = (_NONE, np.zeros(0, dtype=np.float64))


class Pool(NamedTuple):
    """Items that a request names or implies. positions : (x,) each once.  log_weight : (x,) added to their log-odds.
    only : whether nothing else may appear."""

    positions: np.ndarray
    log_weight: np.ndarray
    only: bool


class Moves(NamedTuple):
    """What rules add to log-odds. signature : (n,) int32 of each item.  by_signature : (S,) float32, -inf for what is out."""

    signature: np.ndarray
    by_signature: np.ndarray

    def of(self, positions: np.ndarray) -> np.ndarray:
        """(m,) float32 of the items at m positions."""
        return np.asarray(self.by_signature[self.signature[positions]])


_NO_MOVES = Moves(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))


@dataclass(frozen=True)
class Ranker:
    """A component: arrays only, read-only, shared by processes.

    horizon : chosen recency horizon, in spans of the log.
    reminders : (R,) by `reminders.learn_reminders`; None in a release of before there were any.
    companions : what goes with what; None in a release of before there were any.
    entry : weight of what visits begin with in a first slate (`opening.learn_entry`); None in a release of before.
    kinship : who speaks for items that nobody has seen; None where all were, or nothing is known of them.
    """

    encoder: Encoder
    rows: ItemRows
    neighbours: Neighbours
    popularity: Popularity
    blend: Blend
    horizon: float
    reminders: np.ndarray | None = None
    kinship: Kinship | None = None
    companions: Companions | None = None
    entry: float | None = None

    @cached_property
    def tables(self) -> Tables:
        """The experts as compiled loops read them."""
        return tables_of(self)

    @cached_property
    def parts(self) -> tuple[Any, ...]:
        """`tables`, plain."""
        return plain(self.tables)


@dataclass(frozen=True)
class Ranked:
    """A ranking of m items, best first. `explaining.explain` says what carried those that are shown.

    positions : (m,) intp.  scores : (m,) float32, log-odds up to a constant of the list.
    evidence : what was ranked, None for a session without an item.
    columns : (m,) intp, the items' places in the evidence; popular items that fill the list up come after them.
    opening : what a session without an item is shown by; `columns` are then places in it.
    unruled : positions of what merchandisers' rules lower, or leave out, and would be among the first `slots` without them.
    """

    positions: np.ndarray
    scores: np.ndarray
    evidence: Evidence | None
    columns: np.ndarray
    opening: Opening | None = None
    unruled: np.ndarray | None = None


def represent(ranker: Ranker, history: History, *, without: int = NO_ITEM) -> np.ndarray:
    """(d,) float32 unit vector of the session, less its events of the item `without`; zero without an item."""
    return encode(ranker.encoder, history, without=without)


def read(ranker: Ranker, layout: ClusterRows, history: History) -> tuple[np.ndarray, np.ndarray | None]:
    """`represent` and the `affinity` of a session; None for the affinity of one without an item."""
    if not len(history):
        return represent(ranker, history), None
    h, near = encoder_kernels.session_read(*ranker.encoder.loops, *history.loops, layout.means)
    return h, near


def affinity(layout: ClusterRows, h: np.ndarray) -> np.ndarray:
    """(C,) float32 probabilities: softmax(centroid . h / 2), centroids in the encoder's own units."""
    return encoder_kernels.affinities(layout.means, h)


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
    pool: Pool | None = None,
    allowed: np.ndarray | None = None,
    moves: Moves | None = None,
    slots: int = 0,
) -> Ranked:
    """The best `keep` items for a session.

    h : (d,) from `represent`.  layout : `lay_out` of the clusters.  item_weight : item position -> multiplier of its odds.
    exclude : (x,) positions that must not appear.  cluster_weight : cluster position -> multiplier, for the clusters
    that adaptation changed; by default those of the selection. Multipliers stay outside the learned blend, so that
    what lowers a cluster or an item always lowers it in the ranking.
    A session without an item is ranked by its `opening`, or by popularity where none is given.
    pool : what is ranked beside the experts' own candidates, or alone.  allowed : (n,) bool, what may appear.
    moves : what rules add to the items' log-odds.  slots : of the slate, for `unruled`.
    """
    weights = cluster_weight if cluster_weight is not None else _changed(selection)
    if len(history):
        also = pool.positions if pool is not None else _NONE
        evidence = gather(ranker, history, h, layout=layout, selection=selection, scratch=SCRATCH, also=also)
        positions, opening, n = evidence.positions, None, len(ranker.encoder.row_of)
        starts, groups, memberships, _ = clusters.held_by
        changed, multipliers = arrays(weights, np.float64) if weights else _NO_WEIGHTS
        items, item_multipliers = arrays(item_weight, np.float64) if item_weight else _NO_WEIGHTS
        asked = (
            evidence.features,
            positions,
            starts,
            groups,
            memberships,
            len(clusters),
            changed,
            multipliers,
            items,
            item_multipliers,
            DROPPED,
            own(exclude, np.int64),
            SCRATCH.zeros("item_weight", n, np.float32),
            SCRATCH.zeros("exclude", n, bool),
        )
        if keep <= FEW and pool is None and allowed is None:
            signature, by_signature = moves or _NO_MOVES
            order, best, scores, unruled = scoring.ordered(ranker.blend.parts, asked, keep, signature, by_signature, slots)
            ranked = Ranked(best, scores, evidence, order, unruled=unruled)
            return ranked if len(order) >= keep else _filled(ranker, ranked, exclude, keep, None, moves)
        scores = scoring.weighed(ranker.blend.weights, *asked)
    else:
        if opening is not None:
            evidence, positions, scores = None, opening.positions, opening.scores.copy()
        else:
            evidence, positions = None, ranker.popularity.top
            scores = ranker.popularity.facts[positions, 1].copy()
        if weights:
            scores = scores + cluster_log_weight(clusters, weights, positions)
        if item_weight:
            scores = scores + _item_log_weight(item_weight, positions, ranker)
        if len(exclude):
            out = SCRATCH.zeros("exclude", len(ranker.encoder.row_of), bool)
            out[exclude] = True
            scores[out[positions]] = -np.inf
            out[exclude] = False
    if pool is not None:
        scores = scores + _pool_log_weight(pool, positions, ranker)
    if allowed is not None:
        scores[~allowed[positions]] = -np.inf
    kept_out = None
    if moves is not None:
        weight = moves.of(positions)
        kept_out = _kept_out(positions, scores, weight, slots)
        scores = scores + weight
    order = _best(scores, keep)
    ranked = Ranked(positions[order], scores[order], evidence, order, opening, kept_out)
    if len(order) >= keep or (pool is not None and pool.only):
        return ranked
    return _filled(ranker, ranked, exclude, keep, allowed, moves)


def _changed(selection: Selection) -> dict[int, float]:
    changed = selection.weight != 1.0
    return dict(zip(selection.rows[changed].tolist(), selection.weight[changed].tolist(), strict=True)) if changed.any() else {}


def cluster_log_weight(clusters: ItemClusters, weights: Mapping[int, float], positions: np.ndarray) -> np.ndarray:
    """(m,) log of the mean multiplier of each item's clusters, weighted by membership."""
    multiplier = np.ones(len(clusters.cluster_ids), dtype=np.float32)
    multiplier[list(weights)] = list(weights.values())
    return scoring.log_weights(np.array(positions, dtype=np.int64), *clusters.held_by[:3], multiplier, DROPPED)


def arrays(weights: Mapping[int, float], dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """The positions and what belongs to each."""
    return np.array(tuple(weights), dtype=np.int64), np.array(tuple(weights.values()), dtype=dtype)


def _item_log_weight(weights: Mapping[int, float], positions: np.ndarray, ranker: Ranker) -> np.ndarray:
    changed = np.fromiter(weights, dtype=np.int64)
    log_weight = SCRATCH.zeros("item_weight", len(ranker.encoder.row_of), np.float32)
    log_weight[changed] = [max(float(np.log(max(w, 1e-30))), DROPPED) for w in weights.values()]
    result = log_weight[positions]
    log_weight[changed] = 0.0
    return result


def _pool_log_weight(pool: Pool, positions: np.ndarray, ranker: Ranker) -> np.ndarray:
    """(m,) what the pool adds to each candidate; -inf for those outside it where it stands alone."""
    held = SCRATCH.zeros("held", len(ranker.encoder.row_of), bool)
    told = SCRATCH.zeros("told", len(ranker.encoder.row_of), np.float32)
    held[pool.positions] = True
    told[pool.positions] = pool.log_weight
    result = told[positions]
    if pool.only:
        result = np.where(held[positions], result, np.float32(-np.inf))
    held[pool.positions] = False
    told[pool.positions] = 0.0
    return result


def _kept_out(positions: np.ndarray, scores: np.ndarray, weight: np.ndarray, slots: int) -> np.ndarray | None:
    """`Ranked.unruled`."""
    if not slots or weight.min(initial=0.0) >= 0:  # what only rises keeps nothing out
        return None
    least = np.partition(scores, len(scores) - slots)[len(scores) - slots] if len(scores) > slots else -np.inf
    return positions[(weight < 0) & (scores >= least) & np.isfinite(scores)]


def _best(scores: np.ndarray, keep: int) -> np.ndarray:
    """(<= keep,) indices of the highest finite scores, best first."""
    if keep <= FEW:
        return scoring.leading(scores, keep)
    order = (-scores).argsort(kind="stable")[:keep]
    return order[np.isfinite(scores[order])]


def _filled(
    ranker: Ranker,
    ranked: Ranked,
    exclude: np.ndarray,
    keep: int,
    allowed: np.ndarray | None,
    moves: Moves | None,
) -> Ranked:
    """The ranking with popular items in the places that no expert could fill."""
    top = ranker.popularity.top
    if allowed is not None:
        top = top[allowed[top]]
    if moves is not None:
        top = top[np.isfinite(moves.of(top))]
    there = SCRATCH.zeros("filled", len(ranker.encoder.row_of), bool)
    there[ranked.positions] = there[exclude] = True
    more = top[~there[top]][: keep - len(ranked.positions)]
    there[ranked.positions] = there[exclude] = False
    lowest = float(ranked.scores[-1]) if len(ranked.scores) else 0.0
    return Ranked(
        positions=np.concatenate((ranked.positions, more)),
        scores=np.concatenate((ranked.scores, lowest - 1.0 - np.arange(len(more), dtype=np.float32))),
        evidence=ranked.evidence,
        columns=ranked.columns,
        opening=ranked.opening,
        unruled=ranked.unruled,
    )
