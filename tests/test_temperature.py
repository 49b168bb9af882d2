"""The encoder's temperature: chosen by what is new to a session, where the tail holds enough to choose by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from personas.sessions import SessionLog
from recommendations.ranking import temperature
from recommendations.ranking.encoder import TEMPERATURE, Encoder, arrange
from recommendations.ranking.encoder_training import Descent
from recommendations.ranking.temperature import TEMPERATURES, best_temperature

ITEMS = 30
BLOCK = np.zeros(ITEMS, dtype=np.int32)


def log_of(*visits: list[int], times: int = 1) -> SessionLog:
    visits = visits * times
    session = np.repeat(np.arange(len(visits)), [len(v) for v in visits])
    return SessionLog.of(session, np.concatenate(visits), np.arange(len(session), dtype=float))


def favouring(items: list[int]) -> Encoder:
    """Whatever the session, these items in this order, then the others."""
    bias = np.zeros(ITEMS, dtype=np.float32)
    bias[items] = 1e6 * np.arange(len(items), 0, -1)
    model = Descent(np.random.default_rng(0), ITEMS, 4, lags=10, temperature=1.0, dropout=0.0, event_dropout=0.0)
    mixing = model.mixing
    return arrange(model.inputs, bias, np.exp(model.lags), np.exp(model.codes), mixing[:, :4], BLOCK, mixing[:, 4:])


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> dict[float, Encoder]:
    """What training gives at each temperature."""
    encoders: dict[float, Encoder] = {}

    def train(*_: Any, temperature: float, **__: Any) -> Encoder:
        return encoders[temperature]

    monkeypatch.setattr(temperature, "train_encoder", train)
    return encoders


def chosen(early: SessionLog, tail: SessionLog) -> float:
    return best_temperature(early, tail, ITEMS, block=BLOCK, seed=0)


def test_the_better_order_of_new_items_is_chosen(trained: dict[float, Encoder]) -> None:
    usual, other = TEMPERATURES
    early, tail = log_of(list(range(ITEMS))), log_of([1, 7], times=300)
    trained |= {usual: favouring([9, 7]), other: favouring([7, 9])}
    assert chosen(early, tail) == other
    trained |= {usual: favouring([7, 9]), other: favouring([9, 7])}
    assert chosen(early, tail) == usual


def test_items_of_the_session_are_neither_asked_for_nor_in_the_way(trained: dict[float, Encoder]) -> None:
    usual, other = TEMPERATURES
    # Of 1, 2, 1, 7 only the 2 and the 7 are new. The other ranks 1 above 2, and 2 and 1 above 7: they are the session's own.
    early, tail = log_of(list(range(ITEMS))), log_of([1, 2, 1, 7], times=150)
    trained |= {usual: favouring([3, 2, 7]), other: favouring([1, 2, 7])}
    assert chosen(early, tail) == other


def test_an_item_that_is_no_better_than_the_twentieth_earns_nothing(trained: dict[float, Encoder]) -> None:
    usual, other = TEMPERATURES
    early, tail = log_of(list(range(ITEMS))), log_of([0, 29], times=300)
    trained |= {usual: favouring([*range(1, 21), 29]), other: favouring([*range(1, 20), 29])}
    assert chosen(early, tail) == other


def test_an_encoder_that_diverged_is_never_chosen(trained: dict[float, Encoder]) -> None:
    usual, other = TEMPERATURES
    early, tail = log_of(list(range(ITEMS))), log_of([1, 7], times=300)
    lost = favouring([7])
    trained |= {usual: favouring([7]), other: replace(lost, outputs=np.full_like(lost.outputs, np.nan))}
    assert chosen(early, tail) == usual


def test_alike_orders_and_short_tails_leave_the_usual_one(trained: dict[float, Encoder]) -> None:
    usual, other = TEMPERATURES
    assert usual == TEMPERATURE
    early = log_of(list(range(ITEMS)))
    trained |= {usual: favouring([7]), other: favouring([7])}
    assert chosen(early, log_of([1, 7], times=300)) == usual
    trained |= {usual: favouring([9]), other: favouring([7])}
    assert chosen(early, log_of([1, 7], times=299)) == usual  # too few to say
    assert chosen(log_of([1, 2, 3], times=9), log_of([1, 7], times=300)) == usual  # nobody could know 7
