"""Shoppers who come again: what is kept of them, where it is read, and what it does to a visit's prior."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import redis
from asgiref.sync import async_to_sync
from django.db import OperationalError

from personas.events import CODE
from personas.evidence import EvidenceNetwork
from personas.importing import import_users
from personas.models import ArchivedEvent, EventRow, Session, Shop, Shopper, ShopperAlias, moment
from personas.profile import shares
from recommendations import engine as loop
from recommendations import releases, tasks
from recommendations.engine import Engine, clock_evidence
from recommendations.ranking.reminders import REMINDERS
from recommendations.serving import archiving, memory, process
from recommendations.serving.activity import Record, decode_record, log_key
from recommendations.serving.memory import Memory
from recommendations.serving.process import Process
from recommendations.serving.store import encode_state
from recommendations.session import SessionState
from tests.live_shops import KEY, SHOP, call, put_key, start_process, view
from tests.worlds import event, make_world, train_world

EVENTS = "/api/v1/events"
NOW = 1_700_000_000.0


def taught(engine: Engine) -> Engine:
    """The engine with a network that ties the first persona to three pieces of evidence: 4 to 1 for each."""
    k = len(engine.personas.archetype_ids)
    table = np.full((k, 2), 0.5)
    table[0] = (0.8, 0.2)
    table[1:] = (0.2, 0.8)
    names = ("age", "history", "weather")
    values = (("34", "70"), ("many", "none"), ("rain", "clear"))
    network = EvidenceNetwork(engine.personas.network.log_initial, names, values, (np.log(table),) * 3)
    return replace(engine, personas=replace(engine.personas, network=network))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return taught(train_world(make_world(sessions=150)))


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    put_key(redis_client, KEY)
    yield await start_process(redis_url, engine)
    await process.stop()


def remember(client: redis.Redis, shopper: str, held: Memory) -> None:
    client.set(memory.key(SHOP, shopper, 16), memory._encode(held))


def known(engine: Engine, **changes: Any) -> Memory:
    """Ten whole sessions as the second persona, last night."""
    fields: dict[str, Any] = {"personas": {engine.personas.ids[1]: 1.0}, "weight": 8.0, "sessions": 10, "at": time.time()}
    return Memory(**fields | changes)


async def state_of(here: Process, session: str) -> SessionState:
    state = (await here.store.load(SHOP, session)).state
    assert state is not None
    return state


def belief(state: SessionState) -> list[float]:
    return [math.exp(p) for p in state.persona.log_belief]


def prior(state: SessionState) -> np.ndarray:
    return np.exp(state.persona.log_prior)


def records(client: redis.Redis) -> list[Record]:
    return [decode_record(fields[b"r"]) for part in range(16) for _, fields in client.xrange(log_key(part))]


# On the hot path


async def test_a_returning_shopper_starts_from_what_earlier_sessions_left(
    here: Process, engine: Engine, redis_client: redis.Redis
) -> None:
    remember(redis_client, "anna", known(engine))
    for session, shopper in (("guest", None), ("back", "anna")):
        await call("POST", EVENTS, {"session_id": session, "shopper_id": shopper, "events": [view("e1")]})
    guest, back = await state_of(here, "guest"), await state_of(here, "back")
    assert prior(back)[1] > prior(guest)[1] + 0.3
    # The oracle: half of the prior is the blend, of which 8 / (8 + 1) is hers and the rest nobody's in particular.
    initial = np.exp(engine.personas.hmm.log_initial)
    share = 8 / 9 * np.eye(len(initial))[1] + 1 / 9 * initial
    assert prior(back) == pytest.approx(0.5 * prior(guest) + 0.5 * share, abs=1e-4)
    record = next(r for r in records(redis_client) if r.session == "back")
    assert record.earlier == pytest.approx({engine.personas.ids[1]: 8 / 9}, abs=1e-5)


async def test_who_is_away_for_long_is_remembered_less(here: Process, engine: Engine, redis_client: redis.Redis) -> None:
    remember(redis_client, "anna", known(engine))
    remember(redis_client, "old", known(engine, at=time.time() - 5 * 365 * 86_400))
    for shopper in ("anna", "old", ""):
        await call("POST", EVENTS, {"session_id": f"s-{shopper}", "shopper_id": shopper, "events": [view("e1")]})
    anna, old, nobody = [prior(await state_of(here, f"s-{name}"))[1] for name in ("anna", "old", "")]
    assert anna > old
    assert old == pytest.approx(nobody, abs=0.01)


async def test_a_log_in_in_mid_session_revises_the_prior_and_keeps_what_the_events_said(
    here: Process, engine: Engine, redis_client: redis.Redis
) -> None:
    """Bayes' rule: the belief's odds change by what the prior's odds change, and by nothing else."""
    remember(redis_client, "anna", known(engine, history={"history": "many"}))
    await call("POST", EVENTS, {"session_id": "s", "events": [view(f"e{n}", f"sku-{n + 1}") for n in range(3)]})
    before = await state_of(here, "s")
    await call("POST", EVENTS, {"session_id": "s", "shopper_id": "anna", "events": []})
    after = await state_of(here, "s")
    assert (after.shopper, after.events, after.context) == ("anna", 3, {"history": "many"})
    gained = np.log(belief(after)) - np.log(belief(before))
    expected = np.log(prior(after)) - np.log(prior(before))
    assert gained - gained[0] == pytest.approx(expected - expected[0], abs=1e-6)
    assert [r.shopper for r in records(redis_client)] == ["", "anna"], "the archive hears of it, event or not"


async def test_memory_is_read_once_and_only_of_a_shopper(here: Process, engine: Engine, redis_client: redis.Redis) -> None:
    remember(redis_client, "anna", known(engine))

    async def commands(body: Mapping[str, object]) -> dict[str, int]:
        redis_client.config_resetstat()
        await call("POST", EVENTS, body)
        used = redis_client.info("commandstats")
        return {name.removeprefix("cmdstat_"): row["calls"] for name, row in used.items() if "config" not in name}

    await call("POST", EVENTS, {"session_id": "warm", "events": [view("e1")]})
    turn = {
        "get": 1,
        "smismember": 2,
        "scard": 1,
        "evalsha": 1,
        "sadd": 1,
        "expire": 1,
        "set": 1,
        "xadd": 1,
        "publish": 1,
        "getrange": 1,
    }
    again = {name: calls for name, calls in turn.items() if name != "get"} | {"smismember": 1}  # what it left itself isn't read
    for expected in (turn, again):
        assert await commands({"session_id": "guest", "events": [view(f"e-{len(expected)}")]}) == expected
    first = await commands({"session_id": "s", "shopper_id": "anna", "events": [view("e1")]})
    assert first == turn | {"get": 2}
    assert await commands({"session_id": "s", "shopper_id": "anna", "events": [view("e2")]}) == again


async def test_an_unknown_shopper_is_a_guest_and_is_looked_up(here: Process, redis_client: redis.Redis) -> None:
    await call("POST", EVENTS, {"session_id": "s", "shopper_id": "new", "events": [view("e1")]})
    state = await state_of(here, "s")
    assert (state.shopper, state.earlier, state.remembered) == ("new", {}, ())
    assert [memory._decode_wanted(m) for m in redis_client.smembers(memory.WANTED)] == [(SHOP, "new")]


async def test_what_cannot_be_read_is_a_miss(here: Process, redis_client: redis.Redis) -> None:
    redis_client.set(memory.key(SHOP, "anna", 16), b"\xc1 garbage")
    answer = await call("POST", EVENTS, {"session_id": "s", "shopper_id": "anna", "events": [view("e1")]})
    assert answer.status == 200
    assert redis_client.scard(memory.WANTED) == 1


async def test_demographics_count_but_are_not_copied_into_the_log(
    here: Process, engine: Engine, redis_client: redis.Redis
) -> None:
    remember(redis_client, "anna", Memory(demographics={"age": "34"}, history={"history": "many"}, at=time.time()))
    body = {"session_id": "s", "shopper_id": "anna", "context": {"device": "phone"}, "events": [view("e1")]}
    await call("POST", EVENTS, body)
    state = await state_of(here, "s")
    assert state.context == {"device": "phone", "age": "34", "history": "many"}
    assert sorted(state.remembered) == ["age", "history"]
    assert prior(state)[0] > np.exp(engine.personas.hmm.log_initial)[0]
    (record,) = records(redis_client)
    assert (record.context, record.history) == ({"device": "phone"}, {"history": "many"})
    await call("POST", EVENTS, {"session_id": "s", "context": {"weather": "rain"}, "events": []})
    assert records(redis_client)[-1].context == {"device": "phone", "weather": "rain"}


async def test_consent_refused_in_the_request_leaves_demographics_out(here: Process, redis_client: redis.Redis) -> None:
    remember(redis_client, "anna", Memory(demographics={"age": "34"}, history={"history": "many"}, at=time.time()))
    await call("POST", EVENTS, {"session_id": "no", "shopper_id": "anna", "consent": False, "events": [view("e1")]})
    assert (await state_of(here, "no")).context == {"history": "many"}
    body = {"session_id": "late", "shopper_id": "anna", "consent": True, "context": {"income": "high"}, "events": [view("e1")]}
    await call("POST", EVENTS, body)
    used = await state_of(here, "late")
    assert used.context == {"age": "34", "history": "many", "income": "high"}
    await call("POST", EVENTS, {"session_id": "late", "consent": False, "events": []})
    withdrawn = await state_of(here, "late")
    assert withdrawn.context == {"history": "many"}
    assert withdrawn.persona.log_prior == pytest.approx((await state_of(here, "no")).persona.log_prior), "as if never told"


async def test_the_next_shopper_at_the_same_screen_inherits_nothing(
    here: Process, engine: Engine, redis_client: redis.Redis
) -> None:
    remember(redis_client, "anna", known(engine, demographics={"age": "34"}, own=(3, 4)))
    remember(redis_client, "bob", Memory(history={"history": "none"}, at=time.time()))
    await call("POST", EVENTS, {"session_id": "s", "shopper_id": "anna", "events": [view("e1")]})
    assert (await state_of(here, "s")).own == (3, 4)
    await call("POST", EVENTS, {"session_id": "s", "context": {"weather": "rain"}, "events": []})
    assert (await state_of(here, "s")).own == (3, 4), "more of the context takes nothing away"
    await call("POST", EVENTS, {"session_id": "s", "shopper_id": "bob", "events": [view("e2")]})
    state = await state_of(here, "s")
    assert (state.shopper, state.context, state.earlier, state.own) == ("bob", {"history": "none", "weather": "rain"}, {}, ())


async def test_a_guest_who_was_merged_is_the_shopper(here: Process, engine: Engine, redis_client: redis.Redis) -> None:
    remember(redis_client, "anna", known(engine))
    remember(redis_client, "cookie-7", Memory(alias_of="anna"))
    await call("POST", EVENTS, {"session_id": "s", "shopper_id": "cookie-7", "events": [view("e1")]})
    state = await state_of(here, "s")
    assert state.shopper == "cookie-7", "the archive resolves it; the page goes on under the id it knows"
    assert state.earlier


# Late context


async def test_late_context_revises_the_prior_and_loses_nothing(here: Process, engine: Engine, redis_client: redis.Redis) -> None:
    """Context that comes with the first event and context that comes after it lead to the same prior."""
    remember(redis_client, "anna", known(engine, history={"history": "many"}))
    early = {"session_id": "early", "shopper_id": "anna", "context": {"weather": "rain"}, "events": [view("e1")]}
    await call("POST", EVENTS, early)
    await call("POST", EVENTS, {"session_id": "late", "shopper_id": "anna", "events": [view("e1")]})
    first = await state_of(here, "late")
    await call("POST", EVENTS, {"session_id": "late", "context": {"weather": "rain"}, "events": []})
    one, other = await state_of(here, "early"), await state_of(here, "late")
    assert other.context == one.context == {"weather": "rain", "history": "many"}
    assert other.persona.log_prior == pytest.approx(one.persona.log_prior, abs=1e-5)
    assert (other.events, other.touches) == (first.events, first.touches)
    assert prior(other)[0] > prior(first)[0]


async def test_the_same_context_again_is_nothing_new(here: Process, redis_client: redis.Redis) -> None:
    body = {"session_id": "s", "context": {"weather": "rain"}, "events": [view("e1")]}
    await call("POST", EVENTS, body)
    before = await state_of(here, "s")
    await call("POST", EVENTS, {"session_id": "s", "context": {"weather": "rain"}, "events": []})
    assert await state_of(here, "s") == before
    assert len(records(redis_client)) == 1


async def test_beyond_twenty_names_old_ones_may_change_and_new_ones_may_not(here: Process) -> None:
    many = {f"v{n}": "1" for n in range(20)}
    await call("POST", EVENTS, {"session_id": "s", "context": many, "events": [view("e1")]})
    await call("POST", EVENTS, {"session_id": "s", "context": {"v0": "2", "more": "1"}, "events": []})
    assert (await state_of(here, "s")).context == many | {"v0": "2"}


async def test_a_release_swap_maps_memory_by_id(here: Process, engine: Engine, redis_client: redis.Redis) -> None:
    ids = engine.personas.ids
    remember(redis_client, "anna", known(engine, personas={ids[1]: 0.5, 999_999: 0.5}))
    remember(redis_client, "gone", known(engine, personas={999_999: 1.0}))
    for shopper in ("anna", "gone", ""):
        await call("POST", EVENTS, {"session_id": f"s-{shopper}", "shopper_id": shopper, "events": [view("e1")]})
    anna, gone, nobody = [prior(await state_of(here, f"s-{name}")) for name in ("anna", "gone", "")]
    assert anna[1] > nobody[1]
    assert gone == pytest.approx(nobody)


async def test_a_pages_token_names_nobody_but_its_own_shopper(here: Process, engine: Engine, redis_client: redis.Redis) -> None:
    remember(redis_client, "anna", known(engine))
    bare = (await call("POST", "/api/v1/session-tokens", {"session_id": "s1"})).body["token"]
    answer = await call("POST", EVENTS, {"session_id": "s1", "shopper_id": "anna", "events": [view("e1")]}, key=bare)
    assert (answer.status, answer.body["code"]) == (403, "foreign_shopper")
    hers = (await call("POST", "/api/v1/session-tokens", {"session_id": "s2", "shopper_id": "anna"})).body["token"]
    assert (await call("POST", EVENTS, {"session_id": "s2", "events": [view("e1")]}, key=hers)).status == 200
    assert (await state_of(here, "s2")).earlier, "the token says who it is"
    body = {"session_id": "s2", "shopper_id": "bob", "events": [view("e2")]}
    assert (await call("POST", EVENTS, body, key=hers)).body["code"] == "foreign_shopper"


async def test_a_state_with_memory_stays_small(here: Process, engine: Engine, redis_client: redis.Redis) -> None:
    everyone = {i: 1 / len(engine.personas.ids) for i in engine.personas.ids}
    held = known(engine, personas=everyone, history={"history": "many", "history_tier": "upper", "history_category": "skirts"})
    remember(redis_client, "anna", held)
    await call("POST", EVENTS, {"session_id": "guest", "events": [view("e1")]})
    await call("POST", EVENTS, {"session_id": "s", "shopper_id": "anna", "events": [view("e1")]})
    sizes = [len(encode_state(await state_of(here, name))) for name in ("guest", "s")]
    assert sizes[1] - sizes[0] < 300
    state = await state_of(here, "s")
    largest = tuple(range(2**32 - REMINDERS, 2**32))
    assert len(encode_state(replace(state, own=largest))) - len(encode_state(state)) <= 60


# In the worker


@pytest.fixture
def shop(db: None, redis_client: redis.Redis) -> Shop:
    return Shop.objects.create(pk=SHOP, slug="fashion", name="Fashion")


def add_session(shop: Shop, name: str, shopper: Shopper | None, at: float, **fields: Any) -> Session:
    when = moment(at)
    return Session.objects.create(
        shop=shop, session_id=name, shopper=shopper, started_at=when, last_at=when, **{"events": 5} | fields
    )


def buy(shop: Shop, session: Session, *items: int) -> None:
    rows = [
        EventRow(session.pk, f"b{n}", CODE["purchase"], session.started_at, session.started_at, n, item=i)
        for n, i in enumerate(items)
    ]
    ArchivedEvent.objects.append(shop=shop, rows=rows, origin="live")


def test_what_is_written_of_a_shopper_is_what_the_database_holds(shop: Shop) -> None:
    anna = Shopper.objects.create(shop=shop, external_id="anna")
    for n, persona in enumerate(("7", "8")):
        add_session(shop, f"s{n}", anna, NOW + n, persona={"shares": {persona: 1.0}, "steps": 5})
    buy(shop, Session.objects.get(session_id="s0"), 1)
    assert memory.rebuild(shop, ["anna", "stranger"], now=NOW) == 1
    held = memory.read(shop.pk, "anna")
    assert held is not None
    assert held.personas == pytest.approx({7: 0.5, 8: 0.5}, abs=1e-6)
    assert (held.sessions, held.weight, held.at) == (2, pytest.approx(1.0), NOW)
    assert held.history == {"history": "few"}, "no release: the item's category and tier aren't known"
    assert held.own == (1,)
    assert memory.read(shop.pk, "stranger") is None
    again = memory.rebuild(shop, ["anna"], now=NOW)
    assert (again, memory.read(shop.pk, "anna")) == (1, held), "writing again changes nothing"


def test_the_items_wanted_on_most_visits_are_held_then_the_latest(shop: Shop) -> None:
    """Across visits, whichever was archived first; a look is no want, nor is what no catalogue knows."""
    anna = Shopper.objects.create(shop=shop, external_id="anna")
    later = add_session(shop, "s2", anna, NOW + 86_400.0)
    first = add_session(shop, "s1", anna, NOW)
    buy(shop, first, 5, 6, 0)
    buy(shop, later, 7, 5)
    when = later.started_at
    rows = [
        EventRow(later.pk, "c", CODE["add_to_cart"], when, when, 9, item=8),
        EventRow(later.pk, "v", CODE["view_item"], when, when, 10, item=9),
    ]
    ArchivedEvent.objects.append(shop=shop, rows=rows, origin="live")
    memory.rebuild(shop, ["anna"], now=NOW)
    held = memory.read(shop.pk, "anna")
    assert held is not None
    assert held.own == (5, 8, 7, 6)


def test_demographics_are_held_only_with_consent(shop: Shop, redis_client: redis.Redis) -> None:
    anna = Shopper.objects.create(shop=shop, external_id="anna", consent_demographics=True, demographics={"age": 34})
    memory.rebuild(shop, ["anna"])
    held = memory.read(shop.pk, "anna")
    assert held is not None
    assert held.demographics == {"age": "34"}
    anna.consent_demographics, anna.demographics = False, {}
    anna.save()
    memory.rebuild(shop, ["anna"])
    held = memory.read(shop.pk, "anna")
    assert held is not None
    assert held.demographics == {}
    assert b"34" not in redis_client.get(memory.key(shop.pk, "anna", 16))  # type: ignore[operator]


def test_an_alias_says_whose_it_is_and_what_comes_under_it_is_kept_for_the_shopper(shop: Shop, redis_client: redis.Redis) -> None:
    anna = Shopper.objects.create(shop=shop, external_id="anna")
    ShopperAlias.objects.create(shop=shop, external_id="cookie-7", shopper=anna)
    memory.rebuild(shop, ["cookie-7"])
    assert memory.read(shop.pk, "cookie-7") == Memory(alias_of="anna")
    assert archiving._write_shoppers(shop, {"cookie-7", "bob"}) == {
        "cookie-7": anna.pk,
        "bob": Shopper.objects.get(external_id="bob").pk,
    }
    assert not Shopper.objects.filter(external_id="cookie-7").exists()


def test_forgetting_leaves_nothing(shop: Shop, redis_client: redis.Redis) -> None:
    Shopper.objects.create(shop=shop, external_id="anna")
    memory.rebuild(shop, ["anna"])
    memory.want(shop.pk, ["anna", "bob"])
    assert memory.forget(shop.pk, ["anna"]) == 1
    assert memory.read(shop.pk, "anna") is None
    assert [memory._decode_wanted(m) for m in redis_client.smembers(memory.WANTED)] == [(shop.pk, "bob")]
    assert memory.forget(shop.pk, []) == 0


def test_sessions_that_no_process_served_are_filtered_as_the_loop_would_have(
    shop: Shop, engine: Engine, data_dir: object
) -> None:
    """The oracle is `engine.observe` over the same events."""
    releases.activate(releases.publish(shop, engine, metrics={}))
    anna = Shopper.objects.create(shop=shop, external_id="anna")
    session = add_session(shop, "imported", anna, NOW, origin="import", context={"weather": "rain"})
    items = [1, 8, 2, 2, 9]
    rows = [
        EventRow(session.pk, f"e{n}", CODE["view_item"], moment(NOW + 20 * n), moment(NOW + 20 * n), n, item=i)
        for n, i in enumerate(items)
    ]
    ArchivedEvent.objects.append(shop=shop, rows=rows, origin="import")
    told = memory.summarise_sessions(shop, [session.pk])[session.pk]
    state = loop.start(engine, shop=SHOP, session="imported", at=NOW, context={"weather": "rain"})
    for n, item in enumerate(items):
        state = loop.observe(engine, state, event(n, item=item, at=NOW + 20 * n))
    assert told["steps"] == state.persona.steps == 5
    ids = [str(i) for i in engine.personas.ids]
    assert [told["belief"][i] for i in ids] == pytest.approx(belief(state), abs=2e-4)
    assert [told["shares"][i] for i in ids] == pytest.approx(shares(state.persona), abs=2e-4)
    session.refresh_from_db()
    assert session.persona == told, "kept with its row"
    memory.rebuild(shop, ["anna"])
    held = memory.read(shop.pk, "anna")
    assert held is not None
    assert held.sessions == 1


def test_a_new_release_and_a_redis_that_lost_its_data_have_every_shopper_written_anew(
    shop: Shop, engine: Engine, data_dir: object, redis_client: redis.Redis
) -> None:
    assert memory.unsynced() == [], "no release yet"
    releases.activate(releases.publish(shop, engine, metrics={}))
    assert memory.unsynced() == [shop.pk]
    assert memory.unsynced() == [], "asked for once"
    recent = Shopper.objects.create(shop=shop, external_id="anna")
    long_ago = Shopper.objects.create(shop=shop, external_id="bob")
    add_session(shop, "s1", recent, time.time(), persona={"shares": {"7": 1.0}, "steps": 3})
    add_session(shop, "s2", long_ago, NOW - 400 * 86_400, persona={"shares": {"7": 1.0}, "steps": 3})
    redis_client.flushall()
    assert memory.unsynced() == [shop.pk]
    tasks.sync_shoppers(shop.pk)
    assert memory.read(shop.pk, "anna") is not None
    assert memory.read(shop.pk, "bob") is None, "who was away for long is looked up when they come"


def test_demographics_withheld_on_the_way_leave_the_archive_too(
    shop: Shop, engine: Engine, redis_client: redis.Redis, redis_url: str
) -> None:
    put_key(redis_client, KEY)

    async def say(body: Mapping[str, object]) -> None:
        await start_process(redis_url, engine)
        await call("POST", EVENTS, {"session_id": "s", "events": []} | body)
        await process.stop()

    async_to_sync(say)({"consent": True, "context": {"age": "34", "device": "phone"}, "events": [view("e1")]})
    tasks.archive_activity()
    assert Session.objects.get().context == {"age": "34", "device": "phone"}
    async_to_sync(say)({"consent": False})
    tasks.archive_activity()
    assert Session.objects.get().context == {"device": "phone"}


def test_a_consent_that_an_import_withdraws_leaves_redis_at_the_next_batch(
    shop: Shop, redis_client: redis.Redis, tmp_path: Path
) -> None:
    users = tmp_path / "users.csv"
    users.write_text("user_id,consent,age\nanna,true,34\n")
    import_users(shop, users, now=moment(NOW))
    assert not redis_client.exists(memory.WANTED), "nobody knew her: nothing is held that could be wrong"
    memory.rebuild(shop, ["anna"])
    users.write_text("user_id,consent,age\nanna,false,34\n")
    import_users(shop, users, now=moment(NOW))
    tasks.archive_activity()
    held = memory.read(shop.pk, "anna")
    assert held is not None
    assert held.demographics == {}


def test_the_nightly_round_lets_go_of_those_whom_the_database_no_longer_knows(shop: Shop) -> None:
    colon = Shopper.objects.create(shop=shop, external_id="a:b:c")
    memory.rebuild(shop, ["a:b:c"])
    colon.delete()
    assert memory.read(shop.pk, "a:b:c") is not None
    assert memory.sync(shop) == 1
    assert memory.read(shop.pk, "a:b:c") is None


def test_what_the_database_could_not_tell_stays_wanted(
    shop: Shop, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> int:
        raise OperationalError("away")

    memory.want(shop.pk, ["anna"])
    with monkeypatch.context() as patch:
        patch.setattr(memory, "rebuild", away)
        with pytest.raises(OperationalError):
            memory.rebuild_wanted()
    assert redis_client.scard(memory.WANTED) == 1
    assert memory.rebuild_wanted() == 1
    assert redis_client.scard(memory.WANTED) == 0


def test_two_sessions_lived_through_move_the_prior_of_the_third(
    shop: Shop, engine: Engine, redis_client: redis.Redis, redis_url: str
) -> None:
    """The whole way: live turns, the log, the archive, the worker, and the next visit."""
    put_key(redis_client, KEY)

    async def visit(session: str, shopper: str, items: list[int]) -> SessionState:
        here = await start_process(redis_url, engine)
        try:
            events = [view(f"e{n}", f"sku-{i}") for n, i in enumerate(items)]
            await call("POST", EVENTS, {"session_id": session, "shopper_id": shopper, "events": events})
            return await state_of(here, session)
        finally:
            await process.stop()

    live = async_to_sync(visit)
    for n in range(2):
        last = live(f"s{n}", "anna", [1, 2, 3, 4, 5, 6, 1, 2])
        tasks.archive_activity()
    row = Session.objects.get(session_id="s1")
    assert row.persona["steps"] == 8
    assert sum(row.persona["shares"].values()) == pytest.approx(1.0, abs=0.01)
    held = memory.read(SHOP, "anna")
    assert held is not None
    assert held.sessions == 2
    guest, back = live("g", "", []), live("s2", "anna", [])
    k = int(np.argmax(belief(last)))
    assert prior(back)[k] > prior(guest)[k] + 0.1
    assert clock_evidence(back.started_at) == clock_evidence(guest.started_at)
