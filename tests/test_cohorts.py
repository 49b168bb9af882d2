"""What is due at once is done stage by stage; what comes of it is what comes of each by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis

from recommendations.engine import Engine
from recommendations.serving import turns
from recommendations.serving.cohorts import LARGEST, Cohorts
from recommendations.serving.process import Process
from recommendations.stages import Stages, finished
from tests.live_shops import SHOP, start_process
from tests.worlds import make_world, train_world

NOW = 1_700_000_000.0


def counting(name: str, stages: int, done: list[tuple[str, int]]) -> Stages[str]:
    """Tells of each of its stages as it is done."""
    for stage in range(stages):
        done.append((name, stage))
        yield
    return name


def failing() -> Stages[str]:
    yield
    raise ValueError("as it must")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=150))


@pytest.fixture
async def process(redis_url: str, redis_client: redis.Redis, engine: Engine) -> AsyncIterator[Process]:
    started = await start_process(redis_url, engine)
    yield started
    await started.stop()


async def test_the_same_stage_of_each_comes_before_the_next() -> None:
    done: list[tuple[str, int]] = []
    cohorts = Cohorts()
    asked = [counting("a", 3, done), counting("b", 1, done), counting("c", 2, done)]
    outcomes = await asyncio.gather(*map(cohorts.run, asked))
    assert outcomes == ["a", "b", "c"]
    assert done == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("c", 1), ("a", 2)]


async def test_whom_a_cohort_has_no_room_for_is_of_the_next() -> None:
    done: list[tuple[str, int]] = []
    cohorts = Cohorts()
    await asyncio.gather(*(cohorts.run(counting(f"{n}", 2, done)) for n in range(LARGEST + 1)))
    assert [name for name, _ in done[-2:]] == [f"{LARGEST}", f"{LARGEST}"]
    assert {stage for _, stage in done[:LARGEST]} == {0}
    assert {stage for _, stage in done[LARGEST:-2]} == {1}


async def test_a_failure_is_the_askers_alone() -> None:
    done: list[tuple[str, int]] = []
    cohorts = Cohorts()
    failed, outcome = await asyncio.gather(cohorts.run(failing()), cohorts.run(counting("b", 3, done)), return_exceptions=True)
    assert isinstance(failed, ValueError)
    assert outcome == "b"
    assert len(done) == 3
    assert await cohorts.run(counting("c", 1, done)) == "c"


async def test_who_was_cancelled_is_not_computed_and_holds_nobody_up() -> None:
    done: list[tuple[str, int]] = []
    cohorts = Cohorts()
    gone = asyncio.ensure_future(cohorts.run(counting("gone", 3, done)))
    stays = asyncio.ensure_future(cohorts.run(counting("stays", 2, done)))
    await asyncio.sleep(0)  # both are due now, and computed in the next turn of the loop
    gone.cancel()
    assert await stays == "stays"
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert [stage for name, stage in done if name == "gone"] in ([], [0])


def test_stages_one_right_after_the_other_come_to_the_same() -> None:
    done: list[tuple[str, int]] = []
    assert finished(counting("a", 3, done)) == "a"
    assert done == [("a", 0), ("a", 1), ("a", 2)]


async def test_turns_at_once_lead_where_each_leads_by_itself(process: Process) -> None:
    """Sessions of one name, in the one process's store and then in a store that is empty again, draw the same numbers."""
    visits = [turns.Visit(SHOP, f"s{n}") for n in range(16)]

    async def walk(visit: turns.Visit) -> list[turns.Turn]:
        went = []
        for step in range(4):
            item = f"sku-{1 + (7 * step + int(visit.session[1:])) % 70}"
            event = {"event_id": f"e{step}", "name": "view_item", "items": [{"item_id": item}]}
            ask = turns.Ask(count=6, reasons=step == 2) if step else None
            went.append(await turns.take(process, visit, [event] * (1 + step % 2), ask=ask, now=NOW + step))
        return went

    together = await asyncio.gather(*(walk(visit) for visit in visits))
    await process.client.flushdb()
    by_themselves = [await walk(visit) for visit in visits]
    assert [[(t.state, t.slate, t.results) for t in went] for went in together] == [
        [(t.state, t.slate, t.results) for t in went] for went in by_themselves
    ]
