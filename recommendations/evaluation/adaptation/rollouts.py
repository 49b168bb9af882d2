"""What an option brings: the next slates of the same visit, were it taken and all later decisions at "keep".

An expansion looks well for one slate, as fresh goods do to a shopper who is bored, and stays for the visit: so an option is
tried over as many slates as a decision is credited with (`rewards.credit`). The rest of the page happens as it did; then each
slate counts what it brings in expectation (`browsing.Browser.expects`), and the shopper's dice say how it goes on to the next. A
slate that the shopper doesn't stay for brings nothing, and the sum is divided by all of them: that somebody leaves is the
decision's doing too.

All options of a decision meet the same dice (common random numbers), which aren't those that the visit itself will meet: who
knows the shopper doesn't know the future. They are thrown twice or more. The best option of one half of the throws is valued by
the other (as in van Hasselt 2010, "Double Q-learning"): the best of noisy values is too good by its noise, and regret would be
what noise makes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clusters.decision_log import ABSENT
from personas.events import Event
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.evaluation.simulation.browsing import Browser, Page, Worth
from recommendations.session import Request, SessionState, Slate

COUNT = 12
"""Slots of a slate."""

BETWEEN_S = 4.0
"""Seconds from a page to its report, and from a report to what is done."""

THROWS = 2
"""Of the dice, for each decision: two tell the best option from how good it is."""


@dataclass(frozen=True)
class Ahead:
    """What comes after an event. rest : of its page.  browser : who goes on.  now : seconds, when the next page is asked for.
    over : nothing comes, the shopper leaves."""

    rest: Sequence[Event]
    browser: Browser
    now: float
    over: bool


def request(now: float) -> Request:
    """Of a slate, without exploration."""
    return Request(now=now, count=COUNT, explore=0.0, reasons=False)


def positions(engine: Engine, slate: Slate) -> np.ndarray:
    """(m,) of the slate's items."""
    return engine.catalogue.positions([i.item for i in slate.items])


def told_by(engine: Engine, page: Page, slate: Slate, *, now: float, key: str) -> tuple[list[Event], float]:
    """What a page tells of what was done with it, in order; and when the next is asked for. key : begins the events' ids."""
    events: list[Event] = []

    def tell(name: str, items: tuple[int, ...], slots: tuple[int, ...] = (), slate_id: str = "") -> None:
        events.append(
            Event(f"{key}-{len(events)}", name, at=now, received_at=now, items=items, slots=slots, recommendation_id=slate_id)
        )

    now += BETWEEN_S
    if page.told and len(page.screen):
        items = tuple(engine.catalogue.item_ids[page.screen].tolist())
        tell("view_item_list", items, tuple(range(len(items))), slate.recommendation_id)
    now += BETWEEN_S
    if page.item >= 0:
        item = int(engine.catalogue.item_ids[page.item])
        tell("view_item", (item,))
        now += page.dwell_s
        if page.carted:
            tell("add_to_cart", (item,))
    return events, now


def brings(engine: Engine, state: SessionState, ahead: Ahead, worth: Worth, *, slates: int, throw: int) -> float:
    """Looks a slate over the next `slates` of them, from a state on, at a throw of the dice. The engine decides nothing."""
    browser, events, now, total = ahead.browser.beside(throw), ahead.rest, ahead.now, 0.0
    for ordinal in range(slates):
        for event in events:
            state = loop.observe(engine, state, event)
        state, slate = loop.recommend(engine, state, request(now), loop.generator(state))
        shown = positions(engine, slate)
        total += browser.expects(shown, worth)
        if ordinal + 1 == slates:
            break
        page = browser.turn(shown)
        if page.item < 0:
            break
        events, now = told_by(engine, page, slate, now=now, key=f"ahead-{throw}-{ordinal}")
    return total / slates


def missed(value: np.ndarray, action: np.ndarray, propensities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m,) of each decision the best option's value less that of a choice by these propensities; and the best's less the worst's.

    value : (throws, m, O), in looks a slate, NaN throughout where a decision wasn't valued.  action, propensities : (m, O).
    The best and the worst are found in one half of the throws and valued in the other, by turns: on average the first is
    no more than what is missed, and less by what too few throws don't show.
    """
    rows, half = np.arange(len(action)), len(value) // 2
    there = action != ABSENT
    halves = [value[:half].mean(axis=0), value[half:].mean(axis=0)]
    regret, stake = np.zeros(len(action)), np.zeros(len(action))
    for found, judged in (halves, halves[::-1]):
        best = np.where(there, found, -np.inf).argmax(axis=1)
        worst = np.where(there, found, np.inf).argmin(axis=1)
        regret += judged[rows, best] - np.where(there, judged * propensities, 0.0).sum(axis=1)
        stake += judged[rows, best] - judged[rows, worst]
    return regret / 2.0, stake / 2.0
