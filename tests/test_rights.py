"""A shopper's rights, over real stores: consent, merge, export, and that an erasure leaves nothing anywhere."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis
from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from personas.models import Archetype, ArchivedEvent, Attribute, Erasure, Session, Shop, Shopper, ShopperAlias, moment
from recommendations import retention, rights, tasks
from recommendations.engine import Engine
from recommendations.exporting import export
from recommendations.models import AdaptationDecision, ServedSlate
from recommendations.serving import archiving, held, idempotency, memory, process, turns
from recommendations.serving.activity import Entry, encode_record, log_key
from recommendations.serving.problems import Problem
from recommendations.serving.process import Process
from recommendations.serving.store import decode_state, state_key
from tests.live_shops import SHOP, start_process
from tests.test_archiving import make_record
from tests.worlds import make_world, train_world

ANNA, GUEST, BOB = "anna-7f31c", "guest-9c1e0", "bob-55aa2"
VISITS = ("visit-anna-first", "visit-anna-live", "visit-of-guest")
TURNS = 5
NAMES = (ANNA, GUEST, *VISITS)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return replace(train_world(make_world(sessions=150)), release="1")


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    yield await start_process(redis_url, engine)
    await process.stop()


@pytest.fixture
def shop(transactional_db: None, redis_client: redis.Redis) -> Shop:
    return Shop.objects.create(pk=SHOP, slug="s", name="S")


async def visit(here: Process, session: str, shopper: str = "", *, now: float | None = None, **context: str) -> None:
    """Some turns: looks, reports of what was seen, a slate each."""
    at = time.time() if now is None else now
    slate: dict[str, Any] = {"items": [{"item_id": "sku-1"}]}
    for n in range(TURNS):
        item = [{"item_id": f"sku-{1 + 13 * n}"}]  # from group to group, which gives the adaptation something to decide
        given = [
            {"event_id": f"{session}-{n}", "name": "view_item", "items": item},
            {"event_id": f"{session}-{n}b", "name": "purchase", "items": item},
            {"event_id": f"{session}-{n}c", "name": "view_item_list", **slate},
        ]
        turn = await turns.take(here, turns.Visit(SHOP, session, shopper, context), given, ask=turns.Ask(count=4), now=at + n)
        assert turn.slate is not None
        seen = [{"item_id": f"sku-{i.item}", "index": i.slot} for i in turn.slate.items]
        slate = {"items": seen, "recommendation_id": turn.slate.recommendation_id}


def archive() -> None:
    archiving.archive(archiving.open_log(), consumer="test")
    memory.rebuild_wanted()


async def fill(here: Process) -> None:
    """Anna in every store: two visits archived, one of them still live, one as a guest, one more not archived yet."""
    await visit(here, VISITS[0], ANNA, now=time.time() - 600.0)
    await visit(here, VISITS[2], GUEST, now=time.time() - 300.0)
    await visit(here, "visit-of-bob", BOB)
    await visit(here, "visit-of-nobody")
    await sync_to_async(_fill_rows)()
    await visit(here, VISITS[1], ANNA, country="PL")  # not archived


def _fill_rows() -> None:
    archive()
    shop = Shop.objects.get()
    rights.merge(shop, ANNA, GUEST)
    rights.set_consent(shop, ANNA, demographics=True)
    rights.set_demographics(shop, ANNA, {"age_band": "30-39", "household": "two adults"})
    user = get_user_model().objects.create(username="staff")
    for model, name in ((Shopper, ANNA), (Session, VISITS[0])):
        row = model.objects.get(**{"external_id" if model is Shopper else "session_id": name})
        kind = ContentType.objects.get_for_model(model)
        LogEntry.objects.create(user=user, content_type=kind, object_id=row.pk, object_repr=name, action_flag=CHANGE)
    client = held.connect()
    record = make_record(SHOP, VISITS[0], 0, shopper=ANNA)
    client.xadd(held.aside_key(3), {b"id": b"0-1", b"r": encode_record(record)})
    client.xadd(held.aside_key(3), {b"id": b"0-2", b"r": encode_record(record)[:-40]})  # set aside because it is cut off
    client.xadd(held.aside_key(3), {b"id": b"0-3", b"r": encode_record(make_record(SHOP, "visit-of-bob", 0, shopper=BOB))})


def rows_naming(names: tuple[str, ...]) -> list[str]:
    """Every row of every table of the database that has one of the names in any of its columns."""
    found = []
    for model in apps.get_models(include_auto_created=True):
        columns = [field.attname for field in model._meta.concrete_fields]
        for row in model._default_manager.values(*columns):
            text = json.dumps(row, default=str)
            found += [f"{model.__name__}: {name} in {text}" for name in names if name in text]
    return found


def keys_naming(client: redis.Redis, names: tuple[str, ...]) -> list[str]:
    """Every key of Redis that has one of the names in itself or in what it holds, streams and binary values included."""
    found = []
    for key in client.scan_iter():
        match client.type(key):
            case b"string":
                value = client.get(key)
            case b"stream":
                value = client.xrange(key)
            case b"set":
                value = client.smembers(key)
            case b"hash":
                value = client.hgetall(key)
            case b"list":
                value = client.lrange(key, 0, -1)
            case b"zset":
                value = client.zrange(key, 0, -1)
            case other:
                raise AssertionError(f"{key!r} is a {other!r}, of which nobody looked inside")
        held_there = b"%b=%b" % (key, value if isinstance(value, bytes) else repr(value).encode())
        found += [f"{name} in {key!r}" for name in names if name.encode() in held_there]
    return found


@pytest.mark.django_db(transaction=True)
async def test_an_erasure_leaves_nothing_anywhere(here: Process, shop: Shop, redis_client: redis.Redis) -> None:
    """The oracle is a search of every column of every table and of every key of Redis, which finds her before and not after."""
    await fill(here)
    others = ("visit-of-bob", BOB)

    def erase_and_look() -> None:
        before = rows_naming(NAMES)
        assert {line.split(":")[0] for line in before} >= {
            *("Session", "Shopper", "ShopperAlias", "ArchivedEvent", "ServedSlate", "AdaptationDecision", "LogEntry"),
        }, "the test fills every table that could name her"
        kept = {m: m.objects.count() for m in (Session, ArchivedEvent, ServedSlate, AdaptationDecision)}
        found = keys_naming(redis_client, NAMES)
        assert {word for line in found for word in (":state:", ":ids:", ":log", ":aside", ":shopper:") if word in line} == {
            *(":state:", ":ids:", ":log", ":aside", ":shopper:")
        }, "and every kind of key"
        bobs = len(keys_naming(redis_client, others)), len(rows_naming(others))
        done = rights.erase(shop, GUEST, by="a key")
        assert rows_naming(NAMES) == []
        assert keys_naming(redis_client, NAMES) == []
        assert (len(keys_naming(redis_client, others)), len(rows_naming(others))) == bobs, "others are left alone"
        assert (done.counts["sessions"], done.counts["shoppers"], done.counts["aliases"]) == (2, 1, 1)
        assert done.counts["events"] == kept[ArchivedEvent] - ArchivedEvent.objects.count() == 2 * 3 * TURNS
        assert done.counts["slates"] == kept[ServedSlate] - ServedSlate.objects.count() == 2 * TURNS
        assert (done.counts["live sessions"], done.counts["memories"]) == (3, 2)
        assert done.counts["log entries"] == TURNS + 2, "the turns that were not archived, two entries set aside"
        assert (done.by, Erasure.objects.get()) == ("a key", done)

    await sync_to_async(erase_and_look)()

    # Her page is still open, and a turn that was under way commits late, with her name in it.
    await visit(here, VISITS[1], ANNA)
    assert keys_naming(redis_client, NAMES) != []
    await sync_to_async(archive)()
    assert await sync_to_async(rows_naming)(NAMES) == []
    assert keys_naming(redis_client, NAMES) == [], "the archiver drops it, and the state that it came with"

    # A visit that nobody knew of, begun before the erasure: refused as well. One begun after it is a stranger's.
    stale = make_record(SHOP, "visit-in-flight", 0, shopper=ANNA, started_at=time.time() - 30.0)
    redis_client.xadd("{0}:log", {b"r": encode_record(stale)})
    await sync_to_async(archive)()
    assert await sync_to_async(rows_naming)(("visit-in-flight", ANNA)) == []
    await visit(here, "visit-anew", ANNA, now=time.time() + 1.0)
    await sync_to_async(archive)()
    assert await Session.objects.aget(session_id="visit-anew", shopper__external_id=ANNA)
    with pytest.raises(Problem) as nobody:
        await sync_to_async(rights.erase)(shop, "never-heard-of")
    assert nobody.value.status == 404


def test_an_erasure_takes_the_answers_that_were_kept_for_repeats(shop: Shop, redis_client: redis.Redis) -> None:
    Shopper.objects.create(shop=shop, external_id=ANNA)
    for name in (ANNA, BOB):
        held_back = idempotency.ticket(shop.pk, "", name, name.encode())
        assert idempotency.begin_sync(held_back) is None
        idempotency.finish_sync(held_back, idempotency.Answer(200, "application/json", b'{"shopper_id":"%b"}' % name.encode()))
    assert rights.erase(shop, ANNA).counts["answers"] == 1
    assert len(redis_client.keys("idempotent:*:*")) == 1


def test_ids_that_look_like_keys_stand_in_nobodys_way(shop: Shop, redis_client: redis.Redis) -> None:
    """An id may hold any printable character; the set of event ids of such a session is no state of the shop it spells."""
    rights.set_consent(shop, ANNA, demographics=True)
    redis_client.sadd(f"{{3}}:ids:99:x:state:{SHOP}:y", "e1")
    redis_client.sadd(f"{{3}}:ids:99:x:shopper:{SHOP}:y", "e1")
    assert memory.sync(shop) == 1
    assert export(shop, ANNA)["live_sessions"] == []
    rights.set_consent(shop, ANNA, demographics=False)
    assert rights.erase(shop, ANNA).counts["shoppers"] == 1


@pytest.mark.django_db(transaction=True)
async def test_who_is_only_in_redis_is_erased_too(here: Process, shop: Shop, redis_client: redis.Redis) -> None:
    await visit(here, VISITS[1], ANNA)
    done = await sync_to_async(rights.erase)(shop, ANNA)
    assert (done.counts["live sessions"], done.counts["log entries"], done.counts["sessions"]) == (1, TURNS, 0)
    assert keys_naming(redis_client, (ANNA, VISITS[1])) == []


def test_releases_hold_no_ids_of_people(shop: Shop, data_dir: Path) -> None:
    """Trained from a log whose sessions, shoppers and events are named: no byte of the release has one of the names."""
    from recommendations.runs import train_shop
    from tests.worlds import MONDAY

    _trainable(shop, MONDAY)
    train_shop(shop, quick=True)
    files = [path for path in (data_dir / "releases").rglob("*") if path.is_file()]
    assert len(files) > 20
    content = b"".join(path.read_bytes() for path in files)
    assert b"sku-1" in content, "the search would find an id"
    assert not any(word in content for word in (b"someone-", b"visit-named-", b"event-named-"))
    assert not [
        line for line in rows_naming(("someone-", "visit-named-")) if line.startswith(("Release", "Component", "Training"))
    ]


def _trainable(shop: Shop, start: float) -> None:
    from clusters.models import Item
    from personas.models import EventRow

    world = make_world(sessions=60)
    items = Item.objects.bulk_create(
        Item(shop=shop, external_id=f"sku-{n}", title=f"thing {n}", category=f"kind {n % 4}", price=5.0 + n) for n in range(1, 73)
    )
    Attribute.objects.create(shop=shop, key="a", name="A", weights={"category=kind 0": 1.0})
    Attribute.objects.create(shop=shop, key="b", name="B", weights={"category=kind 1": 1.0})
    Archetype.objects.create(shop=shop, key="a", name="A", mix={"a": 1.0})
    Archetype.objects.create(shop=shop, key="b", name="B", mix={"b": 1.0})
    rows = []
    for s in range(len(world.log)):
        at = moment(start + 1000.0 * s)
        shopper, _ = Shopper.objects.get_or_create(shop=shop, external_id=f"someone-{s % 20}")
        session = Session.objects.create(shop=shop, session_id=f"visit-named-{s}", shopper=shopper, started_at=at, last_at=at)
        events = world.log.position[world.log.offsets[s] : world.log.offsets[s + 1]].tolist()
        for i, position in enumerate(events):
            then = moment(start + 1000.0 * s + 10.0 * i)
            item = items[position]
            rows.append(EventRow(session.pk, f"event-named-{s}-{i}", 0, then, then, i, item.pk, item.external_id))
    ArchivedEvent.objects.append(shop=shop, rows=rows, origin="live")


# Consent


@pytest.mark.django_db(transaction=True)
async def test_a_withdrawal_deletes_demographics_everywhere_at_once(here: Process, shop: Shop, redis_client: redis.Redis) -> None:
    """They came with a request (`consent`: true), were recorded, and are remembered: none of it is found afterwards."""
    words = ("thirty-something", "two-adults-and-a-cat")
    await visit(here, VISITS[0], ANNA, now=time.time() - 600.0, age_band=words[0])

    def record() -> None:
        archive()
        rights.set_consent(shop, ANNA, demographics=True)
        rights.set_demographics(shop, ANNA, {"age_band": words[0], "household": words[1]})

    await sync_to_async(record)()
    await visit(here, VISITS[1], ANNA, country="PL", age_band=words[0])
    assert keys_naming(redis_client, words)
    assert await sync_to_async(rows_naming)(words)

    def withdraw() -> None:
        row = rights.set_consent(shop, ANNA, demographics=False)
        assert rows_naming(words) == []
        assert keys_naming(redis_client, words) == []
        again = rights.set_consent(shop, ANNA, demographics=False)
        assert (row.consent_at, row.demographics) == (again.consent_at, {})
        with pytest.raises(Problem) as refused:
            rights.set_demographics(shop, ANNA, {"age_band": words[0]})
        assert (refused.value.status, refused.value.code) == (409, "consent_missing")

    await sync_to_async(withdraw)()
    data = redis_client.get(state_key(held.part_of(SHOP, VISITS[1]), SHOP, VISITS[1]))
    state = decode_state(data)
    assert (state.context["country"], state.events) == ("PL", 3 * TURNS), "the visit goes on with what may be used"
    assert (await Session.objects.aget(session_id=VISITS[1])).context["country"] == "PL"


@pytest.mark.django_db(transaction=True)
def test_what_another_archiver_has_in_hand_keeps_no_demographics(shop: Shop, redis_client: redis.Redis) -> None:
    """It had read the entries, and not locked the shop yet, when the consent was withdrawn; one names the shopper, one their
    session only."""
    known = make_record(SHOP, VISITS[0], 0, shopper=ANNA)
    archiving.write(shop, [(Entry(0, "1-0", b""), known)])
    log = archiving.open_log()
    for session, shopper in ((VISITS[0], ""), (VISITS[1], ANNA), ("visit-of-bob", BOB)):
        late = make_record(SHOP, session, 1, shopper=shopper, context={"age_band": "30-39", "country": "PL"})
        redis_client.xadd(log_key(held.part_of(SHOP, session)), {b"r": encode_record(late)})
    in_hand = log.read_group("another", count=10, idle_ms=60_000)
    assert len(in_hand) == 3
    rights.set_consent(shop, ANNA, demographics=False)
    archiving.keep(log, in_hand)
    contexts = dict(Session.objects.values_list("session_id", "context"))
    assert contexts[VISITS[0]] == contexts[VISITS[1]] == {"country": "PL"}
    assert contexts["visit-of-bob"]["age_band"] == "30-39", "who was never asked let them be used for the visit"


@pytest.mark.django_db(transaction=True)
def test_a_withdrawal_takes_what_was_set_aside_too(shop: Shop, redis_client: redis.Redis) -> None:
    for n, context in enumerate(({"age_band": "30-39"}, {"country": "PL"})):
        aside = make_record(SHOP, VISITS[0], n, shopper=ANNA, context=context)
        redis_client.xadd(held.aside_key(1), {b"r": encode_record(aside)})
    rights.set_consent(shop, ANNA, demographics=False)
    assert keys_naming(redis_client, ("30-39",)) == []
    assert redis_client.xlen(held.aside_key(1)) == 1


@pytest.mark.django_db(transaction=True)
async def test_a_withdrawal_that_was_cut_off_is_done_by_the_next(
    here: Process, shop: Shop, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names that the shop has for demographics of its own are in the row no more; the live state tells them."""

    def record() -> None:
        rights.set_consent(shop, ANNA, demographics=True)
        rights.set_demographics(shop, ANNA, {"household": "two-adults-and-a-cat"})

    await sync_to_async(record)()
    await visit(here, VISITS[0], ANNA)
    assert len(keys_naming(redis_client, ("two-adults-and-a-cat",))) == 2

    def withdraw() -> None:
        with monkeypatch.context() as broken:
            broken.setattr(held, "live_states", lambda *_, **__: (_ for _ in ()).throw(redis.ConnectionError()))
            with pytest.raises(redis.ConnectionError):
                rights.set_consent(shop, ANNA, demographics=False)
        assert len(keys_naming(redis_client, ("two-adults-and-a-cat",))) == 1, "no new visit is told them already"
        rights.set_consent(shop, ANNA, demographics=False)
        assert keys_naming(redis_client, ("two-adults-and-a-cat",)) == []

    await sync_to_async(withdraw)()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"history_tier": "top"}, "demographics.history_tier"),
        ({"age": None}, "demographics.age"),
        ({"age": [34]}, "demographics.age"),
        ({"age": float("nan")}, "demographics.age"),
        ({"age": "x" * 81}, "demographics.age"),
        ({"age": "a\nb"}, "demographics.age"),
        ({"n" * 41: "x"}, "demographics"),
        ({f"n{i}": "x" for i in range(21)}, "demographics"),
        (["age"], "demographics"),
    ],
)
def test_demographics_out_of_bounds_are_refused_by_name(values: Any, field: str) -> None:
    with pytest.raises(Problem) as refused:
        rights.read_demographics(values)
    assert (refused.value.status, refused.value.field) == (422, field)


# Merge


@pytest.mark.django_db(transaction=True)
async def test_a_merged_guest_is_the_shopper_from_then_on(here: Process, shop: Shop) -> None:
    await visit(here, VISITS[0], ANNA, now=time.time() - 600.0)
    await visit(here, VISITS[2], GUEST, now=time.time() - 300.0)

    def merge() -> None:
        archive()
        expected = {"shopper_id": ANNA, "sessions": 1, "aliases": [GUEST]}
        assert rights.merge(shop, ANNA, GUEST) == expected
        assert rights.merge(shop, ANNA, GUEST) == expected | {"sessions": 0}, "again is no harm"
        assert rights.find(shop, GUEST).ids == (ANNA, GUEST)
        told = memory.read(SHOP, ANNA)
        assert told is not None
        assert told.sessions == 2, "the memory is of both"
        assert memory.read(SHOP, GUEST).alias_of == ANNA  # type: ignore[union-attr]

    await sync_to_async(merge)()
    await visit(here, "visit-later", GUEST)  # a page that still knows the guest only

    def look() -> None:
        archive()
        assert set(Session.objects.filter(shopper__external_id=ANNA).values_list("session_id", flat=True)) == {
            *(VISITS[0], VISITS[2], "visit-later")
        }
        assert list(Shopper.objects.values_list("external_id", flat=True)) == [ANNA]

    await sync_to_async(look)()


def test_merges_that_make_no_sense_are_refused(shop: Shop) -> None:
    """A guest not archived yet may be merged; one id can't be two people's, nor its own guest."""
    assert rights.merge(shop, ANNA, GUEST)["sessions"] == 0
    for into, guest, status in (
        (ANNA, ANNA, 422),
        (BOB, GUEST, 409),
        (GUEST, ANNA, 409),
        (ANNA, "x" * 200, 422),
        (ANNA, None, 422),
    ):
        with pytest.raises(Problem) as refused:
            rights.merge(shop, into, guest)  # type: ignore[arg-type]
        assert refused.value.status == status, (into, guest)
    assert list(ShopperAlias.objects.values_list("external_id", "shopper__external_id")) == [(GUEST, ANNA)]
    assert not Shopper.objects.filter(external_id=BOB).exists(), "what is refused leaves nothing"


def test_a_guests_consent_holds_only_for_who_was_never_asked(shop: Shop) -> None:
    for name in (GUEST, "guest-2"):
        rights.set_consent(shop, name, demographics=True)
        rights.set_demographics(shop, name, {"age_band": name})
    rights.merge(shop, ANNA, GUEST)
    assert Shopper.objects.get(external_id=ANNA).demographics == {"age_band": GUEST}
    rights.set_consent(shop, ANNA, demographics=False)
    rights.merge(shop, ANNA, "guest-2")
    anna = Shopper.objects.get(external_id=ANNA)
    assert (anna.consent_demographics, anna.demographics) == (False, {})


def test_a_refusal_holds_for_the_visits_of_a_guest_who_is_merged(shop: Shop) -> None:
    guest = make_record(SHOP, VISITS[2], 0, shopper=GUEST, context={"age_band": "30-39", "country": "PL"})
    archiving.write(shop, [(Entry(0, "1-0", b""), guest)])
    rights.set_consent(shop, ANNA, demographics=False)
    rights.merge(shop, ANNA, GUEST)
    assert Session.objects.get().context == {"country": "PL"}


def test_what_the_admin_noted_of_a_merged_guest_is_erased_with_the_shopper(shop: Shop) -> None:
    rights.set_consent(shop, GUEST, demographics=True)
    user = get_user_model().objects.create(username="staff")
    kind = ContentType.objects.get_for_model(Shopper)
    pk = Shopper.objects.get().pk
    LogEntry.objects.create(user=user, content_type=kind, object_id=pk, object_repr=GUEST, action_flag=CHANGE)
    rights.merge(shop, ANNA, GUEST)
    assert len(export(shop, ANNA)["admin_history"]) == 1
    rights.erase(shop, ANNA)
    assert rows_naming((GUEST, ANNA)) == []


def test_a_merge_while_a_shopper_is_erased_stops_the_erasure(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else those of whoever they were merged with would go half: their rows, and not what Redis holds of them."""
    rights.set_consent(shop, ANNA, demographics=True)
    rights.set_consent(shop, GUEST, demographics=True)
    forget = held.forget_sessions

    def merged_meanwhile(*given: Any) -> int:
        rights.merge(shop, ANNA, GUEST)
        return forget(*given)

    monkeypatch.setattr(held, "forget_sessions", merged_meanwhile)
    with pytest.raises(Problem) as refused:
        rights.erase(shop, GUEST)
    assert (refused.value.status, Shopper.objects.count(), Erasure.objects.count()) == (409, 1, 0)
    monkeypatch.undo()
    assert rights.erase(shop, GUEST).counts["shoppers"] == 1
    assert rows_naming((ANNA, GUEST)) == []


# Export


@pytest.mark.django_db(transaction=True)
async def test_an_export_holds_all_that_an_erasure_would_delete(here: Process, shop: Shop) -> None:
    await fill(here)

    def look() -> None:
        given = export(shop, GUEST)
        text = json.dumps(given)
        assert given["shopper"]["demographics"] == {"age_band": "30-39", "household": "two adults"}
        assert given["aliases"][0]["shopper_id"] == GUEST
        assert {s["session_id"] for s in given["sessions"]} == {VISITS[0], VISITS[2]}
        first = next(s for s in given["sessions"] if s["session_id"] == VISITS[0])
        assert [e["event"] for e in first["events"]][:3] == ["view_item", "purchase", "view_item_list"]
        assert first["events"][0]["item_id"] == "sku-1"
        assert len(first["recommendations"]) == TURNS
        assert {s["session_id"] for s in given["live_sessions"]} == set(VISITS)
        state = given["live_sessions"][0]["state"]
        assert state["persona"]["log_belief"]
        assert state["persona"]["ledger"][-1]["factor"], "named, though a state is kept without its names"
        assert state["touches"][0]["item"]
        assert len(given["log"]) == TURNS + 1, "what is not archived yet, and one set aside that can be read"
        assert len(given["admin_history"]) == 2, "of the shopper and of a session"
        assert given["memory"][ANNA]["demographics"] == given["shopper"]["demographics"]
        counts = rights.erase(shop, ANNA).counts
        assert counts["events"] == sum(len(s["events"]) for s in given["sessions"])
        assert counts["decisions"] == sum(len(s["decisions"]) for s in given["sessions"])
        assert "visit-of-bob" not in text
        assert BOB not in text

    await sync_to_async(look)()


# Retention


def _old(shop: Shop, days: float, n: int, shopper: Shopper | None = None) -> Session:
    record = make_record(shop.pk, f"visit-{n}", n, shopper=shopper.external_id if shopper else "")
    archiving.write(shop, [(Entry(0, f"{n + 1}-0", b""), record)])
    session = Session.objects.get(session_id=f"visit-{n}")
    Session.objects.filter(pk=session.pk).update(last_at=timezone.now() - timedelta(days=days))
    return session


def test_what_is_older_than_the_shop_keeps_goes(shop: Shop, redis_client: redis.Redis) -> None:
    other = Shop.objects.create(slug="o", name="O", retention_days=None)
    Shop.objects.filter(pk=shop.pk).update(retention_days=30)
    shop.refresh_from_db()
    left, stays, asked = (Shopper.objects.create(shop=shop, external_id=name) for name in ("left", "stays", "asked"))
    rights.set_consent(shop, "asked", demographics=True)
    ShopperAlias.objects.create(shop=shop, external_id="left-as-guest", shopper=left)
    for n, (days, who) in enumerate([(31, left), (45, stays), (29.9, stays), (400, asked), (31, None), (1, None)]):
        _old(shop, days, n, who)
    _old(other, 400, 77)
    for age_days, session in ((40, "visit-0"), (2, "visit-5")):
        entry = f"{int(1000 * (time.time() - age_days * 86_400))}-0"
        redis_client.xadd("{2}:aside", {b"r": encode_record(make_record(shop.pk, session, 0))}, id=entry)
    assert retention.expire(other) == {}
    with CaptureQueriesContext(connection) as queries:
        counts = retention.expire(shop, batch=2)
    looks = [q["sql"] for q in queries if "personas_" in q["sql"]]
    assert 'FROM "personas_shop"' in looks[0], "the archiver's lock comes before any look at what may go"
    assert connection.vendor != "postgresql" or "FOR NO KEY UPDATE" in looks[0]
    assert set(Session.objects.values_list("session_id", flat=True)) == {"visit-2", "visit-5", "visit-77"}
    assert set(ServedSlate.objects.values_list("session_id", flat=True)) == {"visit-2", "visit-5", "visit-77"}
    assert set(AdaptationDecision.objects.values_list("session_id", flat=True)) == {"visit-2", "visit-5", "visit-77"}
    assert set(ArchivedEvent.objects.values_list("session__session_id", flat=True)) == {"visit-2", "visit-5", "visit-77"}
    assert set(Shopper.objects.values_list("external_id", flat=True)) == {"stays", "asked"}, "consent is kept"
    assert not ShopperAlias.objects.exists()
    assert {k: counts[k] for k in ("sessions", "events", "slates", "decisions", "shoppers", "log entries")} == {
        **{"sessions": 4, "events": 8, "slates": 4, "decisions": 4},
        **{"shoppers": 1, "log entries": 1},
    }
    assert redis_client.xlen("{2}:aside") == 1
    assert retention.expire(shop)["sessions"] == 0


def test_slates_without_a_session_grow_old_too(shop: Shop, redis_client: redis.Redis) -> None:
    Shop.objects.filter(pk=shop.pk).update(retention_days=30)
    shop.refresh_from_db()
    for n in range(5):
        record = make_record(shop.pk, f"~{n}", n, alone=True, events=(), decisions=())
        archiving.write(shop, [(Entry(0, f"{n + 1}-0", b""), record)])
    ServedSlate.objects.update(at=timezone.now() - timedelta(days=31))
    ServedSlate.objects.filter(session_id="~4").update(at=timezone.now() - timedelta(days=29))
    assert retention.expire(shop, batch=2)["slates"] == 4
    assert ServedSlate.objects.get().session_id == "~4"


def test_every_night_asks_for_the_shops_that_keep_for_a_time_only(
    shop: Shop, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.CELERY_BEAT_SCHEDULE["expire-nightly"]["task"] == tasks.expire_all_shops.name
    asked: list[int] = []
    monkeypatch.setattr(tasks.expire_shop, "delay", asked.append)  # the broker's side
    Shop.objects.create(slug="o", name="O")
    Shop.objects.filter(pk=shop.pk).update(retention_days=30)
    tasks.expire_all_shops()
    assert asked == [shop.pk]
    _old(shop, 31, 0)
    tasks.expire_shop(shop.pk)
    assert not Session.objects.exists()
