"""The one composition root of learning: a log and a catalogue in, an engine out.

Pure, so that `manage.py train`, `manage.py evaluate` and the tests train in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from clusters.adaptation import Bounds
from clusters.catalogue import Catalogue
from clusters.covisitation import VisitStats
from clusters.edits import ClusterEdit
from clusters.item_clusters import build_clusters, with_personas
from clusters.learning import coarse_groups
from clusters.policy import default_policy
from clusters.search_clusters import SearchClusters
from personas.archetypes import Archetype, Attribute, default_personas
from personas.encoding import ItemFacts
from personas.events import CODE, ITEM_ACTIONS
from personas.fitting import FitReport
from personas.history import purchase_history
from personas.queries import learn_topics
from personas.sessions import NO_ITEM, SessionLog
from personas.training import train_personas
from recommendations.engine import Engine, clock_evidence
from recommendations.ranking.fitting import train_ranker

Progress = Callable[[str, float], None]
"""Called with what is being done and how far the whole training is, 0 to 1."""

QUICK = 1_100_000
"""`most_examples` of a release that must be there in a minute or two: seven of the ten epochs of a log of 160,000 events, two
of one of half a million."""

MAX_GROUPS = 40
"""Categories the persona model tells apart; a finer factor starves its states of counts."""

STAGES = {"clusters": (0.0, 0.03), "personas": (0.03, 0.1), "ranking": (0.1, 1.0)}
"""Share of the whole that each stage takes, as seen in a first training of `gifts`."""

_ITEM_CODES = np.array([CODE[name] for name in sorted(ITEM_ACTIONS)], dtype=np.int8)


def train_engine(
    log: SessionLog,
    catalogue: Catalogue,
    *,
    attributes: Sequence[Attribute] = (),
    archetypes: Sequence[Archetype] = (),
    contexts: Sequence[Mapping[str, str]] | None = None,
    previous: Engine | None = None,
    edits: Sequence[ClusterEdit] | None = None,
    searched: SearchClusters | None = None,
    stats: VisitStats | None = None,
    first_cluster_id: int = 1,
    held_out: Collection[str] | None = None,
    most_examples: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    progress: Progress | None = None,
    fitted: Callable[[FitReport], None] | None = None,
) -> Engine:
    """An engine fitted on all of `log`.

    attributes, archetypes : the merchandiser's; a shop that has none gets some from its own categories.
    contexts : one mapping of evidence a session of `log`, or None.
    previous : the engine whose cluster ids and persona states are to be kept where they still hold, and what its policy learned.
    edits, searched, stats : of clusters, as `build_clusters` takes them.
    held_out : keys of the sessions that tune the ranking's blend, or None for those of the last days.
    most_examples : bound on the ranking's longest work (`QUICK`), None for none.
    jobs : threads of the personas' fit, -1 for all processors.  fitted : called with how that fit went.
    Raises ValueError on an empty catalogue or a log without one item event.
    """
    if not len(catalogue):
        raise ValueError("the catalogue is empty: import items before training")
    actions = log.where(np.isin(log.code, _ITEM_CODES) & (log.position != NO_ITEM))
    if not len(actions):
        raise ValueError("the log has no event on a known item: import events, or send some, before training")
    clusters = build_clusters(
        actions,
        catalogue,
        previous=previous.clusters if previous else None,
        edits=edits,
        searched=searched,
        stats=stats,
        first_id=first_cluster_id,
        progress=_part(progress, "clusters"),
    )
    facts = item_facts(catalogue, actions)
    if not archetypes:
        attributes, archetypes = default_personas(facts)
    evidence = _evidence(log, contexts, facts)
    persona_model, beliefs, fit = train_personas(
        log,
        facts,
        catalogue.descriptors,
        catalogue.item_descriptors,
        attributes,
        archetypes,
        evidence,
        previous.personas if previous else None,
        progress=_part(progress, "personas"),
        jobs=jobs,
    )
    if fitted:
        fitted(fit)
    clusters = with_personas(clusters, log, beliefs, persona_model.attribute_descriptors)
    ranker = train_ranker(
        actions,
        catalogue,
        clusters,
        held_out=held_out,
        seed=seed,
        most_examples=most_examples,
        progress=_part(progress, "ranking"),
    )
    return Engine(
        catalogue=catalogue,
        personas=persona_model,
        clusters=clusters,
        ranker=ranker,
        # A hand rule that nothing was learned beside goes with the options and bounds of its time: today's takes its place.
        policy=previous.policy if previous and previous.policy.has_learned else default_policy(),
        bounds=previous.bounds if previous else Bounds(),
    )


def opening_log(catalogue: Catalogue) -> SessionLog:
    """What a shop that has no log yet is trained on: one view of each item, each a visit of its own, without a clock.

    It says that every item may be looked at, and nothing else: none goes with another, none is more in demand.
    """
    each = np.arange(len(catalogue))
    return SessionLog.of(each, each, np.zeros(len(each)), clock="order")


def refit_personas(
    engine: Engine,
    log: SessionLog,
    *,
    attributes: Sequence[Attribute] = (),
    archetypes: Sequence[Archetype] = (),
    contexts: Sequence[Mapping[str, str]] | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
    fitted: Callable[[FitReport], None] | None = None,
) -> Engine:
    """The engine with its personas fitted anew on `log`, and with what its clusters know of them; all else as it was.

    log : by positions of the engine's own catalogue, whose facts the personas keep reading: a shop without categories
        keeps its groups, and so its states keep what they know of them.  The rest as for `train_engine`.
    Raises ValueError on a log without an event.
    """
    if not len(log.code):
        raise ValueError("the log is empty: import events, or send some, before fitting")
    facts = engine.personas.facts
    if not archetypes:
        attributes, archetypes = default_personas(facts)
    model, beliefs, fit = train_personas(
        log,
        facts,
        engine.catalogue.descriptors,
        engine.catalogue.item_descriptors,
        attributes,
        archetypes,
        _evidence(log, contexts, facts),
        engine.personas,
        progress=None if progress is None else lambda done, of: progress("personas", done / of if of else 1.0),
        jobs=jobs,
    )
    if fitted:
        fitted(fit)
    clusters = with_personas(engine.clusters, log, beliefs, model.attribute_descriptors)
    return replace(engine, personas=model, clusters=clusters)


def item_facts(catalogue: Catalogue, actions: SessionLog) -> ItemFacts:
    """What the persona model reads of an item: the shop's category, or a coarse co-visit group where it has none.

    What a search is about is learned from the texts of the items of each.
    """
    if len(catalogue.categories) > 1:
        group, names = _largest_categories(catalogue)
    else:
        group, given = coarse_groups(actions, len(catalogue), at_most=MAX_GROUPS)
        names = tuple(given)
    topics = learn_topics(catalogue.texts(), group, len(names))
    return ItemFacts(group, catalogue.price_tier, names, reduced=catalogue.reduced, topics=topics)


def _largest_categories(catalogue: Catalogue) -> tuple[np.ndarray, tuple[str, ...]]:
    """(n,) int16 group and the groups' names: the shop's categories; beyond `MAX_GROUPS`, the smallest are one, "other"."""
    sizes = np.bincount(catalogue.category[catalogue.category >= 0], minlength=len(catalogue.categories))
    if len(sizes) <= MAX_GROUPS:
        return catalogue.category.astype(np.int16), catalogue.categories
    kept = np.sort(np.argsort(-sizes, kind="stable")[: MAX_GROUPS - 1])
    group_of = np.full(len(sizes) + 1, MAX_GROUPS - 1, dtype=np.int16)
    group_of[kept] = np.arange(len(kept))
    group_of[-1] = -1  # a missing category, -1, reads the last entry
    names = (*(catalogue.categories[i] for i in kept.tolist()), "other")
    return group_of[catalogue.category], names


def _evidence(log: SessionLog, contexts: Sequence[Mapping[str, str]] | None, facts: ItemFacts) -> list[dict[str, str]] | None:
    """Evidence of each session, as `engine.start` will see it live: when, what its shopper had bought before, and what came
    with it. Without a clock there is no weekday to know."""
    if contexts is None and log.clock == "order":
        return None
    given = contexts if contexts is not None else [{}] * len(log)
    if len(given) != len(log):
        raise ValueError(f"contexts {len(given)} != sessions {len(log)}")
    if log.clock == "order":
        return [dict(c) for c in given]
    clocks = (clock_evidence(at) for at in log.starts.tolist())
    if log.clock == "day":
        clocks = ({"weekday": c["weekday"]} for c in clocks)
    bought = purchase_history(log, facts)
    return [c | b | dict(g) for c, b, g in zip(clocks, bought, given, strict=True)]


def _part(progress: Progress | None, stage: str) -> Callable[..., None] | None:
    """A stage's own progress (done, of) as a share of the whole."""
    if progress is None:
        return None
    low, high = STAGES[stage]

    def report(done: float, of: float = 1.0) -> None:
        progress(stage, low + (high - low) * min(1.0, done / of if of else 1.0))

    report(0)
    return report
