"""How a ranker is made: experts fitted on all but the log's tail, a blend learned on the tail, the experts again on all.

Where one tail holds too few prefixes to learn from, as in a small shop, the tail before it is used too, with experts that were
fitted before that one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from clusters.adaptation import AdaptedClusters, Bounds
from clusters.alignment import Selection
from clusters.alignment import select as select_clusters
from clusters.catalogue import Catalogue
from clusters.item_clusters import ItemClusters
from personas.sessions import SessionLog
from recommendations.ranking import blend as blending
from recommendations.ranking.companions import learn_companions
from recommendations.ranking.encoder import TEMPERATURE, Encoder, train_encoder
from recommendations.ranking.features import FEATURES, VOTERS, gather
from recommendations.ranking.history import History, Scratch, item_actions, prefix
from recommendations.ranking.layout import lay_out
from recommendations.ranking.listwise import Lists, joined, train_blend
from recommendations.ranking.neighbours import build_neighbours
from recommendations.ranking.new_items import with_unseen
from recommendations.ranking.opening import learn_entry
from recommendations.ranking.popularity import build_popularity
from recommendations.ranking.ranker import Ranker, affinity, represent
from recommendations.ranking.recency import best_horizon, default_tail, session_weights
from recommendations.ranking.reminders import learn_reminders
from recommendations.ranking.temperature import best_temperature
from recommendations.ranking.transitions import build_rows

Select = Callable[[int, History, np.ndarray], Selection]
"""(row of the log that closes the prefix, the prefix, (C,) affinity) -> the clusters that would be selected then."""

MAX_EXAMPLES = 25_000
WORK_A_LIST = 200
"""Encoder examples that one list of the blend costs as much as, its eight epochs included: a bound on the work holds for both."""

TAILS = 3
"""Tails, each just before the last, that lists are taken from while there are fewer than `MAX_EXAMPLES`. Their experts cost as
much again, so where one tail is enough there is one; and in a first release, which must not keep anyone waiting."""

LIST = 80
LIST_BEST = 40
"""Candidates of a training list: the target, the best by a plain vote, and some drawn to stand for all the others."""

TUNED, REHEARSED, BLENDED = 0.12, 0.58, 0.67
"""How far a training is when its temperature is chosen, its lists are taken, and its blend is learned."""

MIN_EXAMPLES = 300
"""Below this the blend would learn noise; a plain sum of the log-shares serves."""

_PLAIN = np.array([1.0 if f.startswith("log_share:") else 0.0 for f in FEATURES], dtype=np.float32) / len(VOTERS)
_scratch = Scratch()


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
        keep anyone waiting and is therefore of the usual temperature; None for none.
    progress : told (done, of).
    """
    tell = _telling(progress)
    log = item_actions(log)
    n = len(catalogue)
    tail = default_tail(log) if held_out is None else np.isin(log.keys, list(held_out))
    most_lists = MAX_EXAMPLES if most_examples is None else min(MAX_EXAMPLES, most_examples // WORK_A_LIST)
    rehearsals = _rehearsals(log, tail, n, most_lists, TAILS if most_examples is None else 1)
    horizon = best_horizon(log.take(~tail), log.take(tail), n)
    temperature = TEMPERATURE
    if most_examples is None:
        temperature = best_temperature(
            log.take(~tail), log.take(tail), n, block=clusters.primary, seed=seed, progress=tell(0.0, TUNED)
        )
    select = select or _selecting(clusters)
    entry = _entry(log.take(~tail), log.take(tail), n, horizon)
    parts: list[Lists] = []
    start: Encoder | None = None
    for i, rehearsal in enumerate(rehearsals):
        low, high = (TUNED + (REHEARSED - TUNED) * done / len(rehearsals) for done in (i, i + 1))
        fitted = 0.3 * low + 0.7 * high
        early = _experts(log.take(rehearsal.early), n, clusters, horizon, temperature, seed, most_examples, tell(low, fitted))
        start = start or early.encoder  # the first has seen the most of the log
        most = most_lists - sum(len(part) for part in parts)
        parts.append(_lists(early, log, rehearsal.targets, clusters, select, most, seed, tell(fitted, high)))
        del early
    lists = joined(parts) if parts else None
    parts.clear()
    blend = blending.linear_blend(_PLAIN)
    if lists is not None and len(lists) >= MIN_EXAMPLES:
        blend = train_blend(lists, seed=seed, progress=tell(REHEARSED, BLENDED))
    del lists
    ranker = _experts(log, n, clusters, horizon, temperature, seed, most_examples, tell(BLENDED, 1.0), start=start)
    ranker = replace(
        ranker,
        blend=blend,
        reminders=learn_reminders(log, np.exp(ranker.popularity.facts[:, 0])),
        companions=learn_companions(log, catalogue, session_weights(log, horizon)),
        entry=entry,
    )
    return with_unseen(ranker, catalogue.item_descriptors)


@dataclass(frozen=True)
class _Rehearsal:
    """early : (S,) bool, sessions that experts are fitted on.  targets : rows of the log, of the tail after these, whose items
    come next and are known to the experts."""

    early: np.ndarray
    targets: np.ndarray


def _rehearsals(log: SessionLog, tail: np.ndarray, n: int, most: int, tails: int) -> list[_Rehearsal]:
    """At most `tails`, the last tail first, until they hold `most` targets."""
    found: list[_Rehearsal] = []
    session = log.session_of
    follows = np.arange(len(session)) > log.offsets[session]
    early = ~tail
    missing = most
    while len(found) < tails and missing > 0:
        known = np.zeros(n, dtype=bool)
        known[log.position[early[session]]] = True
        targets = np.flatnonzero(follows & tail[session] & known[log.position])
        if not len(targets):
            break
        found.append(_Rehearsal(early, targets))
        missing -= len(targets)
        tail = np.zeros(len(log), dtype=bool)
        tail[np.flatnonzero(early)[default_tail(log.take(early))]] = True
        early = early & ~tail
    return found


def _entry(early: SessionLog, late: SessionLog, n: int, horizon: float) -> float:
    """What `late` sessions begin with, foretold from the `early` ones: the weight of what those began with."""
    first = late.position[late.offsets[:-1]]
    known = np.bincount(early.position, minlength=n) > 0
    return learn_entry(build_popularity(early, n, weight=session_weights(early, horizon)), first[known[first]])


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
    temperature: float,
    seed: int,
    most_examples: int | None,
    tell: Callable[[float], None],
    start: Encoder | None = None,
) -> Ranker:
    """Every expert fitted on `log`, with a plain blend."""
    block = clusters.primary
    weight = session_weights(log, horizon)
    encoder = train_encoder(
        log,
        n,
        block=block,
        seed=seed,
        temperature=temperature,
        start=start,
        most_examples=most_examples,
        progress=lambda done: tell(0.8 * done),
    )
    rows = build_rows(log, n, block=block, weight=weight)
    tell(0.95)
    ranker = Ranker(
        encoder=encoder,
        rows=rows,
        neighbours=build_neighbours(log, n),
        popularity=build_popularity(log, n, weight=weight),
        blend=blending.linear_blend(_PLAIN),
        horizon=float(horizon),
    )
    tell(1.0)
    return ranker


def _lists(
    ranker: Ranker,
    log: SessionLog,
    targets: np.ndarray,
    clusters: ItemClusters,
    select: Select,
    most: int,
    seed: int,
    tell: Callable[[float], None],
) -> Lists:
    """Lists of at most `most` of the prefixes that come before targets, those whose next item is a candidate."""
    rng = np.random.default_rng(seed)
    layout = lay_out(ranker.encoder, clusters)
    session = log.session_of
    at = np.sort(rng.choice(targets, min(most, len(targets)), replace=False))
    features = np.zeros((len(at), LIST, len(FEATURES)), dtype=np.float16)
    log_weight = np.full((len(at), LIST), -np.inf, dtype=np.float32)
    count = 0
    ranks = slice(2 * len(VOTERS), 3 * len(VOTERS))
    for done, row in enumerate(at.tolist()):
        history = prefix(log, int(log.offsets[session[row]]), row)
        h = represent(ranker, history)
        selection = select(row - 1, history, affinity(layout, h))
        evidence = gather(ranker, history, h, layout=layout, selection=selection, scratch=_scratch)
        target = np.flatnonzero(evidence.positions == log.position[row])
        if len(target):
            vote = evidence.features[ranks].sum(axis=0)
            vote[target] = np.inf
            order = np.argsort(-vote, kind="stable")
            others = len(order) - LIST_BEST
            order = np.concatenate((order[:LIST_BEST], rng.permutation(order[LIST_BEST:])[: LIST - LIST_BEST]))
            features[count, : len(order)] = evidence.features[:, order].T
            log_weight[count, : len(order)] = 0.0
            if others > LIST - LIST_BEST:
                log_weight[count, LIST_BEST:] = np.log(others / (LIST - LIST_BEST))
            count += 1
        if done % 200 == 0:
            tell(done / len(at))
    return Lists(features[:count], log_weight[:count])


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
