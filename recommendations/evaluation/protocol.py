"""The next-item measure: every prefix of a test session foretells the item that comes next.

The engine goes through the same `advance` as production, with the evaluation profile. The protocol is session-rec's
(Ludewig & Jannach, 2018): items unseen in training are out, repeats may be recommended, ties count against the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clusters.catalogue import Catalogue
from personas.events import ITEM_ACTIONS, NAMES, Event
from personas.sessions import NO_ITEM, SessionLog
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.evaluation.baselines import FIT, SETTINGS, Baseline
from recommendations.evaluation.metrics import CUT, Metrics, measure, rank_in_scores, rank_in_slate
from recommendations.ranking.history import item_actions
from recommendations.ranking.recency import default_tail
from recommendations.session import SessionState, evaluation_request
from recommendations.training import train_engine

Progress = Callable[[str, float], None]
Clock = Callable[[], float]
"""Seconds, for what is measured; passed in, for a pure module reads none."""

SHOP = 1
TUNING_PREFIXES = 2_000
_ACTION = np.array([name in ITEM_ACTIONS for name in NAMES])


@dataclass(frozen=True)
class Test:
    """What is to be foretold: sessions, or published pairs of a prefix and its target."""

    sessions: SessionLog | None
    examples: list[tuple[tuple[int, ...], int]] | None
    contexts: Mapping[str, Mapping[str, str]]
    starts_at: float = 0.0


@dataclass(frozen=True)
class Result:
    """One model's figures."""

    metrics: Metrics
    train_seconds: float
    ms_per_prediction: float

    def as_json(self) -> dict[str, float]:
        m = self.metrics
        return {
            f"hr@{CUT}": round(m.hr, 3),
            f"mrr@{CUT}": round(m.mrr, 3),
            f"ndcg@{CUT}": round(m.ndcg, 3),
            f"coverage@{CUT}": round(m.coverage, 3),
            "examples": m.examples,
            "train_seconds": round(self.train_seconds, 3),
            "ms_per_prediction": round(self.ms_per_prediction, 4),
        }


def evaluate(
    train: SessionLog,
    catalogue: Catalogue,
    test: Test,
    *,
    valid: frozenset[str] | None,
    clock: Clock,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Result]:
    """Figures of the engine and of the three baselines. valid : keys of the sessions that tuning uses, or None."""
    results = {"engine": _engine(train, catalogue, test, valid=valid, clock=clock, seed=seed, progress=progress)}
    for name in FIT:
        results[name] = _baseline(name, train, len(catalogue), test, valid=valid, clock=clock, progress=progress)
    return results


def _engine(
    train: SessionLog,
    catalogue: Catalogue,
    test: Test,
    *,
    valid: frozenset[str] | None,
    clock: Clock,
    seed: int,
    progress: Progress | None,
) -> Result:
    began = clock()
    contexts = [test.contexts.get(key, {}) for key in train.keys.tolist()]
    engine = train_engine(
        train,
        catalogue,
        contexts=contexts if any(contexts) else None,
        held_out=valid,
        seed=seed,
        progress=(lambda stage, share: progress(f"engine: {stage}", share)) if progress else None,
    )
    trained = clock()
    ranks: list[int] = []
    recommended: set[int] = set()
    steps = _by_example(engine, test) if test.examples is not None else _by_session(engine, test)
    for done, of, slate, target in steps:
        ranks.append(rank_in_slate(slate, target))
        recommended.update(slate.tolist())
        if progress and len(ranks) % 500 == 0:
            progress("engine: predicting", done / of)
    seconds = clock() - trained
    metrics = measure(np.array(ranks), recommended=len(recommended), items=_items_seen(train))
    return Result(metrics, trained - began, 1e3 * seconds / max(len(ranks), 1))


def _by_session(engine: Engine, test: Test) -> Iterator[tuple[int, int, np.ndarray, int]]:
    """(session, sessions, slate, target) for every item action that follows another, through `advance`."""
    log = test.sessions
    assert log is not None
    action = _ACTION[log.code] & (log.position != NO_ITEM)
    for done, rows in enumerate(log.slices()):
        key = str(log.keys[done])
        state = loop.start(engine, shop=SHOP, session=key, at=float(log.at[rows.start]), context=test.contexts.get(key, {}))
        acted = False
        for row in range(rows.start, rows.stop):
            acted = acted or bool(action[row])
            event = _event(engine, log, row)
            if acted and row + 1 < rows.stop and action[row + 1]:
                state, slate = loop.advance(engine, state, event, evaluation_request(event.at, CUT))
                yield done, len(log), _positions(engine, slate), int(log.position[row + 1])
            elif row + 1 < rows.stop:
                state = loop.observe(engine, state, event)


def _by_example(engine: Engine, test: Test) -> Iterator[tuple[int, int, np.ndarray, int]]:
    """The same for published pairs. They are taken in the order of their prefixes, so that a shared head is observed once."""
    assert test.examples is not None
    head: list[int] = []
    states: list[SessionState] = []
    for done, (prefix, target) in enumerate(sorted(test.examples)):
        shared = 0
        while shared < min(len(head), len(prefix) - 1) and head[shared] == prefix[shared]:
            shared += 1
        del head[shared:], states[shared + 1 :]
        if not states:
            states.append(loop.start(engine, shop=SHOP, session="example", at=test.starts_at))
        for i in range(shared, len(prefix) - 1):
            head.append(prefix[i])
            states.append(loop.observe(engine, states[-1], _view(engine, prefix[i], i, test.starts_at + i)))
        last = len(prefix) - 1
        event = _view(engine, prefix[last], last, test.starts_at + last)
        _, slate = loop.advance(engine, states[-1], event, evaluation_request(event.at, CUT))
        yield done, len(test.examples), _positions(engine, slate), target


def _event(engine: Engine, log: SessionLog, row: int) -> Event:
    """The log's event as it arrives live: how long the shopper will dwell is not known yet."""
    name = NAMES[int(log.code[row])]
    position, at = int(log.position[row]), float(log.at[row])
    dwell = float(log.dwell_s[row])
    price = float(log.price[row])
    return Event(
        event_id=str(row),
        name=name,
        at=at,
        received_at=at,
        items=(int(engine.catalogue.item_ids[position]),) if position != NO_ITEM else (),
        dwell_s=None if np.isnan(dwell) or name != "user_engagement" else dwell,
        price=None if np.isnan(price) else price,
    )


def _view(engine: Engine, position: int, place: int, at: float) -> Event:
    item = int(engine.catalogue.item_ids[position])
    return Event(event_id=str(place), name="view_item", at=at, received_at=at, items=(item,))


def _positions(engine: Engine, slate: Any) -> np.ndarray:
    return engine.catalogue.positions(entry.item for entry in slate.items)


def _items_seen(train: SessionLog) -> int:
    return len(np.unique(train.position[train.position != NO_ITEM]))


def _baseline(
    name: str,
    train: SessionLog,
    n: int,
    test: Test,
    *,
    valid: frozenset[str] | None,
    clock: Clock,
    progress: Progress | None,
) -> Result:
    """The best of the published settings on the validation part, fitted again on all of training."""
    began = clock()
    log = item_actions(train)
    tail = default_tail(log) if valid is None else np.isin(log.keys, list(valid))
    settings = SETTINGS[name][0]
    if len(SETTINGS[name]) > 1 and tail.any() and not tail.all():
        early, pairs = log.take(~tail), _pairs(log.take(tail))
        known = np.zeros(n, dtype=bool)
        known[early.position] = True
        pairs = [(prefix[known[prefix]], target) for prefix, target in pairs[-TUNING_PREFIXES:] if known[target]]
        pairs = [(prefix, target) for prefix, target in pairs if len(prefix)]
        tried = [(_score(FIT[name](early, n, **s), pairs, n).ndcg, -i) for i, s in enumerate(SETTINGS[name])]
        settings = SETTINGS[name][-max(tried)[1]]
    model = FIT[name](log, n, **settings)
    trained = clock()
    if test.examples is not None:
        pairs = [(np.array(prefix), target) for prefix, target in test.examples]
    else:
        assert test.sessions is not None
        pairs = _pairs(item_actions(test.sessions))
    if progress:
        progress(name, 0.5)
    metrics = _score(model, pairs, n, items=_items_seen(train))
    seconds = clock() - trained
    if progress:
        progress(name, 1.0)
    return Result(metrics, trained - began, 1e3 * seconds / max(len(pairs), 1))


def _pairs(log: SessionLog) -> list[tuple[np.ndarray, int]]:
    """Every prefix of at least one item with the item that follows it."""
    return [
        (log.position[rows.start : row], int(log.position[row]))
        for rows in log.slices()
        for row in range(rows.start + 1, rows.stop)
    ]


def _score(model: Baseline, pairs: list[tuple[np.ndarray, int]], n: int, items: int = 0) -> Metrics:
    ranks = np.empty(len(pairs), dtype=np.int64)
    recommended = np.zeros(n, dtype=bool)
    for i, (prefix, target) in enumerate(pairs):
        scores = model.scores(prefix)
        ranks[i] = rank_in_scores(scores, target)
        top = np.argpartition(-scores, min(CUT, n) - 1)[:CUT]
        recommended[top[scores[top] > 0]] = True
    return measure(ranks, recommended=int(recommended.sum()), items=items or n)
