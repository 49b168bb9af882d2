"""Clusters of co-visits on real logs: what the selected ones cover and hold, what gating to them costs, how they last, and
what building them takes.

A prefix is hit where the item that comes next is a member, weak ones too, of a selected cluster. Coverage is the mean share of
the items visited in training that are members of a selected cluster. Repeats count, as in the next-item measure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clusters import adaptation, alignment
from clusters.adaptation import AdaptedClusters, Reach, Step
from clusters.catalogue import Catalogue
from clusters.item_clusters import ItemClusters, build_clusters
from clusters.policy import default_policy
from personas.events import ENGAGEMENT, ITEM_ACTIONS, NAMES, Event
from personas.sessions import NO_ITEM, SessionLog
from recommendations import engine as loop
from recommendations.benchmarks.made_logs import made_catalogue, made_log, measured_build
from recommendations.engine import Engine
from recommendations.evaluation.datasets import Split, read_dataset, split_dataset
from recommendations.evaluation.metrics import CUT
from recommendations.ranking.ranker import rank
from recommendations.session import SessionState
from recommendations.training import train_engine

Report = Callable[[int, int], None]
"""Takes (done, of)."""

SPLITS = {"serenade_bol": "days=3"}
"""How a data set is split where its default is too small a test (931 prefixes)."""

SHARES = (0.02, 0.05, 0.1, 0.2)
"""Bounds on coverage for the curve; a tenth is the selection's own."""

CURVE = 8
"""The curve is drawn from one session or example in so many."""

WINDOWS = 5
OVERLAPPING = 0.8
"""Rolling windows of the sessions, and what each has in common with the last."""

MADE_ITEMS, MADE_EVENTS = 12_000, 300_000
"""Of the made log whose windows are compared."""

RANKED = 400
"""Of a ranking that is then gated: all candidates of a step, of which there are some 300."""

_ACTION = np.array([name in ITEM_ACTIONS for name in NAMES])


def coverage(folder: Path, report: Report | None = None) -> dict[str, float]:
    """Share of test prefixes that are hit, and coverage, of the engine's selection without personas and affinity; the curve
    by bound on coverage without limit to the number of clusters, on one session of `CURVE`."""
    split = _split(folder)
    clusters = build_clusters(split.train, split.catalogue)
    known = _visited(split)
    belief, attributes = np.zeros(0), np.zeros(0)
    seen = {"": _Seen(clusters, known), **{f"_at_{share:g}": _Seen(clusters, known) for share in SHARES}}
    for done, of, adapted, target in _adapted(clusters, split):
        for name, held in seen.items():
            if name and done % CURVE:
                continue
            limits: dict[str, Any] = {"max_share": float(name[4:]), "few": 0, "count": len(clusters)} if name else {}
            held.add(
                alignment.select(
                    clusters, adapted, belief=belief, attributes=attributes, affinity=None, active=(), **limits
                ).rows,
                target,
            )
        if report and done % 500 == 0:
            report(done, of)
    figures: dict[str, float] = {"clusters": len(clusters), "prefixes": seen[""].prefixes}
    for name, held in seen.items():
        figures |= {f"{key}{name}": value for key, value in held.figures().items()}
    return figures


def gating(folder: Path, report: Report | None = None) -> dict[str, float]:
    """Hit rate in per cent of the trained ranking over all its candidates, and with only the items of the selected clusters and
    those of the session itself left in. Trains the engine, which takes minutes.

    Both leave out what adaptation weighs down, and events lie a second apart. The encoder proposes from the selected clusters
    in both, as it does when it serves: what that costs, `manage.py evaluate --ablate clusters` tells.
    """
    split = _split(folder)
    contexts = [split.contexts.get(key, {}) for key in split.train.keys.tolist()]
    engine = train_engine(split.train, split.catalogue, contexts=contexts if any(contexts) else None, held_out=split.valid)
    held = _Seen(engine.clusters, _visited(split))
    hits, gated = 0, 0
    nothing = np.zeros(0, dtype=np.intp)
    for done, of, state, target in _states(engine, split):
        seen = loop.view(engine, state, now=state.last_at)
        ranked = rank(
            engine.ranker,
            seen.history,
            seen.representation,
            clusters=engine.clusters,
            layout=engine.layout,
            selection=seen.selection,
            item_weight=None,
            exclude=nothing,
            keep=RANKED,
        ).positions
        inside = held.add(seen.selection.rows, target)
        inside[seen.history.positions] = True
        hits += target in ranked[:CUT]
        gated += target in ranked[inside[ranked]][:CUT]
        if report and done % 500 == 0:
            report(done, of)
    n = max(held.prefixes, 1)
    return {
        "prefixes": held.prefixes,
        f"hr@{CUT}_ungated": round(100.0 * hits / n, 2),
        f"hr@{CUT}_gated": round(100.0 * gated / n, 2),
        **held.figures(),
    }


def identity(folder: Path, report: Report | None = None) -> dict[str, float]:
    """Share of clusters that keep their id when rebuilt on the next window of the training sessions, in order of time."""
    split = _split(folder)
    return _kept(split.train, split.catalogue, report)


def made_identity(report: Report | None = None) -> dict[str, float]:
    """The same on a made log of planted groups."""
    return _kept(made_log(MADE_ITEMS, MADE_EVENTS), made_catalogue(MADE_ITEMS), report)


def cost(events: int = 1_000_000, items: int = 40_000) -> dict[str, float]:
    """Seconds and MB at the peak of building clusters from a made log, in a process of its own."""
    return measured_build(items, events)


def _split(folder: Path) -> Split:
    return split_dataset(read_dataset(folder), SPLITS.get(folder.resolve().name))


def _visited(split: Split) -> np.ndarray:
    """(n,) bool, items visited in training."""
    visited = np.zeros(len(split.catalogue), dtype=bool)
    visited[split.train.position[split.train.position != NO_ITEM]] = True
    return visited


class _Seen:
    """Counts what selections hold."""

    def __init__(self, clusters: ItemClusters, known: np.ndarray) -> None:
        self._items, self._known, self._total = clusters.items, known, max(int(known.sum()), 1)
        self.prefixes, self._hits, self._covered, self._selected = 0, 0, 0.0, 0

    def add(self, rows: np.ndarray, target: int) -> np.ndarray:
        """(n,) bool, members of the selected clusters."""
        inside = np.zeros(len(self._known), dtype=bool)
        for row in rows.tolist():
            inside[self._items.indices[self._items.indptr[row] : self._items.indptr[row + 1]]] = True
        self.prefixes += 1
        self._hits += bool(inside[target])
        self._covered += int((inside & self._known).sum()) / self._total
        self._selected += len(rows)
        return inside

    def figures(self) -> dict[str, float]:
        n = max(self.prefixes, 1)
        return {
            "next_item_inside": round(self._hits / n, 4),
            "coverage": round(self._covered / n, 4),
            "clusters_selected": round(self._selected / n, 2),
        }


def _adapted(clusters: ItemClusters, split: Split) -> Iterator[tuple[int, int, AdaptedClusters, int]]:
    """(done, of, the session's clusters after a prefix, the item that came next), through adaptation as it is served."""
    policy, reach, rng = default_policy(), Reach(clusters), np.random.default_rng(0)
    for done, of, prefix in _prefixes(split):
        adapted = adaptation.start()
        for age, (code, position, target, asked) in enumerate(prefix):
            step = Step(
                code=code,
                clusters=clusters.of(position),
                log_belief=(),
                item=int(clusters.item_ids[position]),
                engagement=ENGAGEMENT.get(NAMES[code], 0.0),
                age=age,
            )
            adapted = adaptation.observe(reach, policy, adapted, step, lambda: rng).adapted
            if asked:
                yield done, of, adapted, target


def _states(engine: Engine, split: Split) -> Iterator[tuple[int, int, SessionState, int]]:
    """(done, of, the engine's state after a prefix, the item that came next)."""
    for done, of, prefix in _prefixes(split):
        state = loop.start(engine, shop=1, session=f"test {done}", at=0.0)
        for age, (code, position, target, asked) in enumerate(prefix):
            item = int(engine.catalogue.item_ids[position])
            event = Event(event_id=str(age), name=NAMES[code], at=float(age), received_at=float(age), items=(item,))
            state = loop.observe(engine, state, event)
            if asked:
                yield done, of, state, target


def _prefixes(split: Split) -> Iterator[tuple[int, int, list[tuple[int, int, int, bool]]]]:
    """(done, of, steps) of a session: event code, item, the item that comes next, and whether that is to be foretold."""
    if split.examples is not None:
        view = NAMES.index("view_item")
        for done, (items, target) in enumerate(split.examples):
            steps = [(view, item, after, False) for item, after in zip(items, items[1:], strict=False)]
            yield done, len(split.examples), [*steps, (view, items[-1], target, True)]
        return
    assert split.test is not None
    log = split.test.where(_ACTION[split.test.code] & (split.test.position != NO_ITEM))
    for done, rows in enumerate(log.slices()):
        code, position = log.code[rows].tolist(), log.position[rows].tolist()
        yield done, len(log), [(c, p, after, True) for c, p, after in zip(code, position, position[1:], strict=False)]


def _kept(log: SessionLog, catalogue: Catalogue, report: Report | None) -> dict[str, float]:
    width = int(len(log) / (1.0 + (WINDOWS - 1) * (1.0 - OVERLAPPING)))
    first = np.linspace(0, len(log) - width, WINDOWS).astype(int)
    previous: ItemClusters | None = None
    kept: list[float] = []
    sizes: list[int] = []
    for done, start in enumerate(first.tolist()):
        clusters = build_clusters(log.take(np.arange(start, start + width)), catalogue, previous=previous)
        if previous is not None:
            kept.append(float(np.isin(previous.cluster_ids, clusters.cluster_ids).mean()))
        sizes.append(len(clusters))
        previous = clusters
        if report:
            report(done + 1, WINDOWS)
    return {
        "windows": WINDOWS,
        "sessions_a_window": width,
        "clusters_first": sizes[0],
        "clusters_last": sizes[-1],
        "ids_kept": round(float(np.mean(kept)), 4),
        "ids_kept_min": round(min(kept), 4),
    }
