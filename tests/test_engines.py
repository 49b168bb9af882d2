"""Engines of a process as they are swapped: nothing is made on a shopper's request, and a bad overlay stops nobody."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property

import pytest

from recommendations.engine import Engine
from recommendations.overlay import NO_OVERLAY, Offer, Overlay, with_overlay
from recommendations.ranking.rules import Rule
from recommendations.serving.engines import Engines, warm
from tests.worlds import make_world, train_world

SHOP = 1


class Told:
    """Overlays, told by a test."""

    def __init__(self) -> None:
        self.now = NO_OVERLAY
        self.broken = False

    def versions(self, shops: Iterable[int]) -> dict[int, int]:
        return dict.fromkeys(shops, self.now.version)

    def read(self, shop: int, release: str) -> Overlay:
        if self.broken:
            raise ValueError("no overlay can be made of this")
        return self.now


@pytest.fixture(scope="module")
def bare() -> Engine:
    return replace(train_world(make_world(sessions=150)), release="1")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def engines(bare: Engine, told: Told) -> Iterator[Engines]:
    made = Engines(find=lambda: {SHOP: "1"}, load=lambda _: replace(bare))
    made._overlays = told  # type: ignore[assignment]
    yield made
    made.close()


def lacking(engine: Engine) -> set[str]:
    """What of an engine is still to be made when it is first needed."""
    return {name for name, value in vars(Engine).items() if isinstance(value, cached_property)} - vars(engine).keys()


async def test_whatever_changes_nothing_is_left_to_be_made_on_a_request(engines: Engines, told: Told) -> None:
    rules = (Rule(1, "No first item", "exclude"),)
    changes = (
        NO_OVERLAY,
        Overlay(1, {3: Offer(1.0, None, False)}),
        Overlay(2, {3: Offer(1.0, None, False)}, rules=rules),
        Overlay(3, {4: Offer(2.0, 3.0, True)}, gone=frozenset({7}), rules=rules),
    )
    for told.now in changes:
        await engines.refresh()
        served = engines.get(SHOP)
        assert served is not None
        assert served.overlay.version == told.now.version
        assert lacking(served) == set()


async def test_an_overlay_at_fault_stops_nobody_and_is_told_once(
    engines: Engines, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    told.now, told.broken = Overlay(1, {3: Offer(1.0, None, False)}), True
    await engines.refresh()
    served = engines.get(SHOP)
    assert served is not None, "served with the release alone"
    assert (served.overlay, engines.refused(SHOP), lacking(served)) == (NO_OVERLAY, "", set())
    for _ in range(3):
        await engines.refresh()
    assert caplog.text.count("version 1 of the live overlay of shop 1 can't be served with") == 1
    told.broken = False
    await engines.refresh()
    served = engines.get(SHOP)
    assert served is not None
    assert served.overlay == told.now, "and is taken up as soon as it can be"


def test_companions_of_an_old_release_outlive_a_price(bare: Engine) -> None:
    """They are made of rows and categories, which takes seconds in a large shop."""
    old = replace(bare, ranker=replace(bare.ranker, companions=None))
    first = with_overlay(old, Overlay(1, {3: Offer(1.0, None, True)}))
    warm(first, time.time())
    second = with_overlay(first, Overlay(2, {3: Offer(2.0, None, True)}))
    assert second.companions is first.companions
    assert second.sieve is not first.sieve, "which knows prices"
