"""The next-item measure: every prefix of a test session foretells the item that comes next.

The engine goes through the same `advance` as production, with the evaluation profile. The protocol is session-rec's
(Ludewig & Jannach, 2018): items unseen in training are out, repeats may be recommended, ties count against the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from clusters.catalogue import Catalogue
from personas.events import ITEM_ACTIONS, NAMES, Event
from personas.sessions import NO_ITEM, SessionLog
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.evaluation.ablations import RETRAINED, without
from recommendations.evaluation.asked import Test, asked_of, pairs_of, prefixes_of, segments_of
from recommendations.evaluation.baselines import FIT, SETTINGS, Baseline
from recommendations.evaluation.breakdown import popularity_bins
from recommendations.evaluation.metrics import CUT, gains, rank_in_scores, rank_in_slate
from recommendations.evaluation.resampling import DRAWS
from recommendations.evaluation.tally import ENGINE, Clock, Evaluation, Progress, Result, Setting, Tally, at_diversity, labels_of
from recommendations.ranking.history import item_actions
from recommendations.ranking.recency import default_tail
from recommendations.session import SessionState, evaluation_request
from recommendations.training import train_engine

SHOP = 1
TUNING_PREFIXES = 2_000
TRAINING, PREDICTING = "engine: training", "engine: predicting"
TOLD = 200
"""Predictions from one word of progress to the next."""

_ACTION = np.array([name in ITEM_ACTIONS for name in NAMES])


def plan(ablate: Sequence[str] = (), diversity: Sequence[float] = ()) -> tuple[str, ...]:
    """The stages of an evaluation in their order, as its progress names them."""
    return (TRAINING, PREDICTING, *map(at_diversity, diversity), *(f"without {part}" for part in ablate), *FIT)


def evaluate(
    train: SessionLog,
    catalogue: Catalogue,
    test: Test,
    *,
    valid: frozenset[str] | None,
    clock: Clock,
    seed: int = 0,
    ablate: Sequence[str] = (),
    diversity: Sequence[float] = (),
    draws: int = DRAWS,
    progress: Progress | None = None,
) -> Evaluation:
    """Figures of the engine, of the three baselines, and of the engine without each of `ablate` (`ablations.ABLATIONS`).

    diversity : of `Request`, what the engine is measured with beside none.
    valid : keys of the sessions that tuning uses, or None.  draws : resamples of the test sessions that intervals rest on.
    Memory grows with the training and by some 400 bytes a test session; no list is kept.
    """
    tell = progress or (lambda stage, share: None)
    asked = asked_of(test)
    popularity = popularity_bins(np.bincount(item_actions(train).position, minlength=len(catalogue)))
    began = clock()
    contexts = [test.contexts.get(key, {}) for key in train.keys.tolist()]
    engine = train_engine(
        train,
        catalogue,
        contexts=contexts if any(contexts) else None,
        held_out=valid,
        seed=seed,
        progress=lambda stage, share: tell(TRAINING, share),
    )
    train_seconds = clock() - began
    setting = Setting(
        asked=asked,
        segments=segments_of(asked, popularity),
        labels=(labels_of(catalogue.category), labels_of(engine.clusters.primary)),
        items=len(catalogue),
        items_seen=_items_seen(train),
        seed=seed,
        draws=draws,
        clock=clock,
        progress=tell,
    )
    models = {ENGINE: replace(_engine(engine, test, setting, PREDICTING), train_seconds=train_seconds)}
    diverse = {asked_for: _engine(engine, test, setting, at_diversity(asked_for), diversity=asked_for) for asked_for in diversity}
    ablations = {}
    for part in ablate:
        stage = f"without {part}"
        anew = _training_share(models[ENGINE]) if part == RETRAINED else 0.0
        began = clock()
        less = without(
            engine,
            part,
            train,
            held_out=valid,
            seed=seed,
            progress=lambda done, of, stage=stage, anew=anew: tell(stage, anew * done / of),  # type: ignore[misc]
        )
        spent = clock() - began
        ablations[part] = replace(_engine(less, test, setting, stage, beyond=anew), train_seconds=spent)
    for name in FIT:
        models[name] = _baseline(name, train, test, setting, valid=valid)
    return Evaluation(
        asked=asked,
        models=models,
        ablations=ablations,
        popularity=popularity,
        items_seen=setting.items_seen,
        clusters=len(engine.clusters),
        seed=seed,
        diverse=diverse,
    )


def _training_share(result: Result) -> float:
    """Of the time that training and predicting took together."""
    predicting = result.ms_per_prediction * result.metrics.examples / 1e3
    return result.train_seconds / max(result.train_seconds + predicting, 1e-9)


def _engine(engine: Engine, test: Test, setting: Setting, stage: str, *, beyond: float = 0.0, diversity: float = 0.0) -> Result:
    """beyond : share of the stage that was done before."""
    tally = Tally(setting)
    began = setting.clock()
    walk = _by_example if test.examples is not None else _by_session
    steps = walk(engine, test, diversity)
    for _, _, slate, target in steps:
        tally.add(slate, rank_in_slate(slate, target), target)
        if tally.done % TOLD == 0:
            setting.progress(stage, beyond + (1.0 - beyond) * tally.done / len(tally.ranks))
    result = tally.result(train_seconds=0.0, predict_seconds=setting.clock() - began, settings={})
    setting.progress(stage, 1.0)
    return result


def _by_session(engine: Engine, test: Test, diversity: float = 0.0) -> Iterator[tuple[int, int, np.ndarray, int]]:
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
                state, slate = loop.advance(engine, state, event, evaluation_request(event.at, CUT, diversity))
                yield done, len(log), _positions(engine, slate), int(log.position[row + 1])
            elif row + 1 < rows.stop:
                state = loop.observe(engine, state, event)


def _by_example(engine: Engine, test: Test, diversity: float = 0.0) -> Iterator[tuple[int, int, np.ndarray, int]]:
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
        _, slate = loop.advance(engine, states[-1], event, evaluation_request(event.at, CUT, diversity))
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


def _baseline(name: str, train: SessionLog, test: Test, setting: Setting, *, valid: frozenset[str] | None) -> Result:
    """The best of the published settings on the validation part, fitted again on all of training."""
    began = setting.clock()
    n, asked = setting.items, len(setting.asked.target)
    log = item_actions(train)
    tail = default_tail(log) if valid is None else np.isin(log.keys, list(valid))
    tried = SETTINGS[name]
    settings = tried[0]
    work, done = asked, 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        setting.progress(name, min(done / max(work, 1), 1.0))

    if len(tried) > 1 and tail.any() and not tail.all():
        early = log.take(~tail)
        known = np.zeros(n, dtype=bool)
        known[early.position] = True
        late = list(pairs_of(log.take(tail)))[-TUNING_PREFIXES:]
        pairs = [(prefix[known[prefix]], target) for prefix, target in late if known[target]]
        pairs = [(prefix, target) for prefix, target in pairs if len(prefix)]
        work += len(tried) * len(pairs)
        scored = [(_ndcg(FIT[name](early, n, **s), pairs, told), -i) for i, s in enumerate(tried)]
        settings = tried[-max(scored)[1]]
    model = FIT[name](log, n, **settings)
    trained = setting.clock()
    tally = Tally(setting)
    for prefix, target in prefixes_of(test):
        scores = model.scores(prefix)
        top = np.argpartition(-scores, min(CUT, n) - 1)[:CUT]
        tally.add(top[scores[top] > 0], rank_in_scores(scores, target), target)
        if tally.done % TOLD == 0:
            told(TOLD)
    result = tally.result(train_seconds=trained - began, predict_seconds=setting.clock() - trained, settings=settings)
    setting.progress(name, 1.0)
    return result


def _ndcg(model: Baseline, pairs: Sequence[tuple[np.ndarray, int]], told: Callable[[int], None]) -> float:
    ranks = np.empty(len(pairs), dtype=np.int64)
    for i, (prefix, target) in enumerate(pairs):
        ranks[i] = rank_in_scores(model.scores(prefix), target)
        if (i + 1) % TOLD == 0:
            told(TOLD)
    told(len(pairs) % TOLD)
    return float(gains(ranks)[:, -1].mean()) if len(ranks) else 0.0
