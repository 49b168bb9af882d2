"""A past session replayed: what was served is what is told, step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import redis
from asgiref.sync import sync_to_async

from personas.events import MAX_DWELL_S
from personas.models import Session, Shop
from recommendations import engine as loop
from recommendations import rights
from recommendations.engine import Engine
from recommendations.models import AdaptationDecision
from recommendations.reading import read_session
from recommendations.replaying import Past, ReplayedStep, replay
from recommendations.serving import archiving, process, turns
from recommendations.serving.activity import Entry, encode_record
from recommendations.serving.process import Process
from recommendations.stories import past_of
from tests.live_shops import SHOP, start_process
from tests.test_archiving import NOW, make_record
from tests.worlds import MONDAY, event, make_world, train_world

STARTED = MONDAY + 1_000_000.0


@pytest.fixture(scope="module")
def engine() -> Engine:
    return replace(train_world(make_world(sessions=150)), release="1")


def told(engine: Engine, *events: Any, **options: Any) -> tuple[ReplayedStep, ...]:
    given = {"shopper": "", "context": {"country": "PL"}, "started_at": STARTED} | options
    return replay(engine, Past(shop=SHOP, session="s", events=events, **given))


EVENTS = (
    event(0, item=1),
    event(1, "search", query="blue skirts"),
    event(2, item=2, dwell_s=40.0),
    event(3, "view_item_list", items=(1, 2, 3), slots=(0, 1, 2)),
    event(4, "user_engagement", item=2, dwell_s=15.0),
    event(5, "add_to_cart", item=9_999),
    event(60, "purchase", item=30),
)


def test_a_replay_is_observe_after_observe(engine: Engine) -> None:
    state = loop.start(engine, shop=SHOP, session="s", at=STARTED, context={"country": "PL"})
    for step, each in zip(told(engine, *EVENTS), EVENTS, strict=True):
        state = loop.observe(engine, state, each)
        assert step.state == state
        assert step.after.belief == pytest.approx(np.exp(state.persona.log_belief).tolist(), abs=1e-12)


def test_every_step_adds_up(engine: Engine) -> None:
    """Belief before, what time did and the factors' nats make the belief after (Bayes), whatever the event."""
    steps = told(engine, *EVENTS)
    for step in steps:
        logs = step.evidence.before + step.evidence.time + sum((f.nats for f in step.evidence.factors), np.zeros(1))
        belief = np.exp(logs - np.logaddexp.reduce(logs))
        assert step.after.belief == pytest.approx(belief.tolist(), abs=1e-9)
        assert step.before.belief == pytest.approx(np.exp(step.evidence.before).tolist(), abs=1e-12)
    silent = steps[3]
    assert (silent.evidence.factors, silent.before, silent.evidence.step) == ((), silent.after, False), "a list says nothing"
    assert {f.factor for f in steps[0].evidence.factors} >= {"event", "category"}
    assert [round(s.evidence.elapsed_s) for s in steps] == [0, 10, 10, 10, 20, 30, 550]
    assert not steps[0].evidence.time.any(), "nothing went by before the first event"
    assert abs(steps[6].evidence.time).max() > 0.1, "nine minutes relax the belief"


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    yield await start_process(redis_url, engine)
    await process.stop()


def live(n: int, name: str = "view_item", item: int = 1, **fields: Any) -> dict[str, Any]:
    items = {} if name == "search" else {"items": [{"item_id": f"sku-{item}"}]}
    return {"event_id": f"e{n}", "name": name, **items, **fields}


@pytest.mark.django_db(transaction=True)
async def test_an_archived_live_session_replays_to_what_was_served(engine: Engine, here: Process) -> None:
    """Real store, real archiver, same release. The oracle is the state that the store holds, and the decisions logged.

    The session meets late and early events, an item of no catalogue, words, dwell, reported impressions of its slates and
    a slate before its first event; its first event is older than its first turn.
    """
    await sync_to_async(Shop.objects.create)(pk=SHOP, slug="s", name="S")
    visit = turns.Visit(SHOP, "visit-1", "anna", {"country": "PL", "device": "mobile"})
    turn = await turns.take(here, visit, ask=turns.Ask(count=6), now=STARTED)
    clock = STARTED
    for n in range(0, 48, 3):
        clock += 20.0 + n
        seen = [{"item_id": f"sku-{i.item}", "index": i.slot} for i in (turn.slate.items if turn.slate else ())]
        batch = [
            live(n, item=1 + n, timestamp=clock - (500.0 if n % 2 else 5.0), engagement_time_msec=900.0 * n),
            live(n + 1, ("search", "user_engagement", "add_to_cart")[n % 3], 1 + n, search_term="red shoes"),
            {
                "event_id": f"e{n + 2}",
                "name": "view_item_list",
                "items": seen or [{"item_id": "no-such"}],
                "recommendation_id": turn.slate.recommendation_id if turn.slate else "none",
            },
        ]
        turn = await turns.take(here, visit, batch, ask=turns.Ask(count=6), now=clock)
        assert {r.status for r in turn.results} == {"accepted"}
    served = (await here.store.load(SHOP, "visit-1")).state
    assert served is not None

    def archived() -> tuple[tuple[ReplayedStep, ...], set[tuple[Any, ...]]]:
        archiving.archive(archiving.open_log(), consumer="test")
        past = read_session(Session.objects.get(session_id="visit-1"))
        logged = set(AdaptationDecision.objects.values_list("event_id", "cluster", "action", "target"))
        steps = replay(engine, Past(shop=SHOP, **past._asdict() | {"earlier": None}))
        return steps, logged

    steps, logged = await sync_to_async(archived)()
    assert len(steps) == 48
    final = steps[-1].state
    assert final.persona.log_belief == pytest.approx(served.persona.log_belief, abs=1e-6)
    assert final.persona.steps == served.persona.steps
    assert final.touches[-1][:2] == served.touches[-1][:2]
    assert (final.adapted.weight, final.adapted.expanded) == (served.adapted.weight, served.adapted.expanded)
    assert {(s.event.event_id, d.cluster, d.action, d.target) for s in steps for d in s.decisions} == logged
    assert logged, "the adaptation had something to decide"
    assert any(step.changed for step in steps)
    assert 0 < steps[0].event.received_at - steps[0].event.at < MAX_DWELL_S
    assert steps[0].at >= STARTED


@pytest.mark.django_db(transaction=True)
async def test_a_returning_shoppers_session_replays_with_what_was_remembered(engine: Engine, here: Process) -> None:
    """The prior came from memory: earlier visits, purchases, demographics under consent. Oracle: the store's own state."""
    shop = await sync_to_async(Shop.objects.create)(pk=SHOP, slug="s", name="S")

    async def come(session: str, at: float) -> None:
        visit = turns.Visit(SHOP, session, "anna", {"country": "PL"})
        for n in range(6):
            given = [live(n, ("view_item", "purchase")[n % 2], 30 + n)]
            await turns.take(here, visit, given, ask=None, now=at + 30.0 * n)

    def settle() -> None:
        archiving.archive(archiving.open_log(), consumer="test")
        rights.set_consent(shop, "anna", demographics=True)
        rights.set_demographics(shop, "anna", {"age_band": "30-39"})

    await come("visit-1", STARTED)
    await sync_to_async(settle)()
    await come("visit-2", STARTED + 86_400.0)
    served = (await here.store.load(SHOP, "visit-2")).state
    assert served is not None
    assert served.earlier
    assert {"age_band", "history"} <= served.context.keys()

    def archived() -> tuple[ReplayedStep, ...]:
        archiving.archive(archiving.open_log(), consumer="test")
        past = read_session(Session.objects.get(session_id="visit-2"))
        return replay(engine, past_of(engine, Shop.objects.get(pk=SHOP), past))

    steps = await sync_to_async(archived)()
    assert steps[-1].state.persona.log_belief == pytest.approx(served.persona.log_belief, abs=1e-6)
    assert steps[-1].state.persona.log_prior == pytest.approx(served.persona.log_prior, abs=1e-6)


@pytest.mark.django_db
def test_what_an_earlier_life_of_an_id_did_is_left_out(engine: Engine) -> None:
    """An id that comes back after its state ran out starts from the prior; its archive holds both lives."""
    shop = Shop.objects.create(slug="s", name="S")
    records = [make_record(shop.pk, "s1", 0), make_record(shop.pk, "s1", 1_000_000, started_at=NOW + 1_000_000)]
    for n, record in enumerate(records):
        archiving.write(shop, [(Entry(0, f"{n + 1}-0", encode_record(record)), record)])
    past = read_session(Session.objects.get())
    assert [e.event_id for e in past.events] == ["e1000000.0", "e1000000.1"]
    assert past.started_at == NOW + 1_000_000
    assert (past.context, [s.pending.recommendation_id for s in past.served]) == ({"country": "PL"}, ["s1-r1000000"])
