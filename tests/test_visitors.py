"""Simulated visitors: what they do at the public doors, how they are marked, and that nothing is learned from them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
import redis
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError

from personas.events import CODE
from personas.models import ArchivedEvent, EventRow, Origin, Session, Shop, moment
from recommendations import tasks
from recommendations.demo import merchandiser
from recommendations.engine import Engine
from recommendations.evaluation.adaptation.trial import world_of
from recommendations.evaluation.simulation.browsing import Habits
from recommendations.evaluation.simulation.crowd import Crowd
from recommendations.models import AdaptationDecision, Release
from recommendations.serving import archiving, live, process
from recommendations.serving.activity import Record, StreamLog, decode_record, log_key
from recommendations.serving.process import Process
from recommendations.visitors import launching, pages, running, standing
from recommendations.visitors.doors import DoorError, Doors
from recommendations.visitors.visit import visit
from tests.live_shops import KEY, call, put_key, start_process
from tests.test_archiving import NOW, append, make_record
from tests.worlds import make_world, train_world

HISTORY = NOW - 86_400.0


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=150))


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    put_key(redis_client, KEY)
    yield await start_process(redis_url, engine)
    await process.stop()


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop.objects.create(slug="outfitter", name="Outfitter")


def records(client: redis.Redis) -> list[Record]:
    return [decode_record(fields[b"r"]) for part in range(16) for _, fields in client.xrange(log_key(part))]


def doors(key: str = KEY) -> Doors:
    return Doors("http://localhost", key, transport=httpx.ASGITransport(app=live.app))  # type: ignore[arg-type]


@pytest.mark.usefixtures("here")
async def test_visits_choose_from_what_was_served_and_are_marked_from_the_first_turn_on(
    engine: Engine, redis_client: redis.Redis
) -> None:
    crowd = Crowd(world_of(engine), Habits(carts=0.0), seed=5)
    async with doors() as them:
        came = []
        for number in range(8):
            shopper, context = crowd.comes(number, time.time())
            rng = np.random.default_rng(number)
            came.append(await visit(them, engine.catalogue, shopper, context, rng=rng, pace=0.0))
    kept = records(redis_client)
    assert {record.origin for record in kept} == {"simulated"}
    assert {record.experiment for record in kept} == {0}
    assert len({record.session for record in kept}) == 8
    events = [event for record in kept for event in record.events]
    assert len(events) == sum(each.events for each in came) > 30
    served = {r.slate.recommendation_id: [i.item for i in r.slate.items] for r in kept if r.slate is not None}
    chosen = [event for event in events if event.code == CODE["select_item"]]
    assert chosen
    assert all(event.items[0] in served[event.recommendation_id] for event in chosen)
    reports = [event for event in events if event.code == CODE["view_item_list"]]
    assert all([served[r.recommendation_id][s] for s in r.slots] == list(r.items) for r in reports)
    assert any(each.bought for each in came)
    assert all(event.price for event in events if event.code == CODE["purchase"]), "so that revenue is told"
    assert not any(0 in event.items for event in events), "all that they name is there"


@pytest.mark.usefixtures("here")
async def test_who_is_refused_says_so_and_a_mark_is_yes_or_no() -> None:
    async with doors("pc_nobodys") as them:
        with pytest.raises(DoorError, match="401"):
            await them.token("s1")
    answer = await call("POST", "/api/v1/session-tokens", {"session_id": "s1", "simulated": "yes"})
    assert (answer.status, answer.body["field"]) == (422, "simulated")


def write(shop: Shop, name: str, at: float, origin: Origin) -> None:
    session = Session.objects.create(shop=shop, session_id=name, started_at=moment(at), last_at=moment(at), origin=origin)
    rows = [EventRow(session.pk, f"{name}-{i}", CODE["view_item"], moment(at + i), moment(at + i), i) for i in range(3)]
    ArchivedEvent.objects.append(shop=shop, rows=rows, origin=origin)


@pytest.mark.parametrize(
    ("settings", "learned"),
    [
        ({}, {"live", "imported"}),
        ({"simulated": True, "simulated_until": HISTORY + 60.0}, {"live", "imported", "history"}),
        ({"learn_from_visitors": True}, {"live", "imported", "history", "visitor"}),
        ({"simulated": True}, {"live", "imported", "history", "visitor"}),
    ],
)
def test_training_reads_a_simulated_history_and_no_visitors_unless_asked(
    shop: Shop, settings: dict[str, object], learned: set[str]
) -> None:
    """The last case is a shop set up before the end of its history was kept, whose log is all simulated."""
    Shop.objects.filter(pk=shop.pk).update(settings=settings)
    shop.refresh_from_db()
    for name, at, origin in (
        ("live", NOW, Origin.LIVE),
        ("imported", HISTORY, Origin.IMPORT),
        ("history", HISTORY, Origin.SIMULATED),
        ("visitor", NOW, Origin.SIMULATED),
        ("test", NOW, Origin.TEST),
    ):
        write(shop, name, at, origin)
    told = {row.pk: row.session_id for row in Session.objects.for_training(shop)}
    assert set(told.values()) == learned
    events = [row[0] for row in ArchivedEvent.objects.for_training(shop)]
    assert sorted(events) == sorted(pk for pk in told for _ in range(3))


@pytest.mark.usefixtures("data_dir")
def test_a_simulated_visit_is_archived_as_such_without_its_decisions(shop: Shop, redis_client: redis.Redis) -> None:
    log = StreamLog(redis_client, partitions=4)
    append(redis_client, make_record(shop.pk, "visitor-1", 1, origin="simulated"))
    append(redis_client, make_record(shop.pk, "s1", 1))
    archiving.archive(log, consumer="a")
    assert dict(Session.objects.values_list("session_id", "origin")) == {"visitor-1": "simulated", "s1": "live"}
    assert set(ArchivedEvent.objects.values_list("session__session_id", "origin")) == {("visitor-1", "simulated"), ("s1", "live")}
    assert list(AdaptationDecision.objects.values_list("session_id", flat=True)) == ["s1"]


@pytest.mark.parametrize(("per_minute", "minutes", "field"), [(0, 5, "per minute"), (121, 5, "per minute"), (5, 241, "minutes")])
def test_how_many_and_how_long_is_bounded(per_minute: int, minutes: int, field: str) -> None:
    with pytest.raises(standing.VisitorsError, match=field):
        standing.check(per_minute, minutes)


@pytest.mark.usefixtures("data_dir", "redis_client")
def test_the_switch_in_the_admin_tells_what_is_and_refuses_in_words(
    client: Client, shop: Shop, redis_client: redis.Redis
) -> None:
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    start, stop = (f"/admin/personas/session/visitors/{shop.pk}/{what}/" for what in ("start", "stop"))
    client.force_login(get_user_model().objects.create_user("looker", is_staff=True))
    assert client.post(start, {"per_minute": 5, "minutes": 5}).status_code == 403
    client.force_login(merchandiser(get_user_model(), "of the test's merchandiser"))
    assert "Let simulated visitors into Outfitter" in client.get("/admin/personas/session/").content.decode()
    assert client.get(start).status_code == 405
    for per_minute, said in (("500", "outside 1 to 120"), ("many", "not a whole number")):
        page = client.post(start, {"per_minute": per_minute, "minutes": "5"}, follow=True).content.decode()
        assert said in page
    with redis_client.lock(standing.lock_of(shop.pk), timeout=15):
        standing.begin(shop.pk, standing.Wanted(5, (timezone.now() + timedelta(minutes=5)).timestamp()), redis_client)
        standing.note(shop.pk, redis_client, visits=7, inside=2)
        assert "7 came, 2 inside" in client.get("/admin/personas/session/").content.decode()
        assert "come there already" in client.post(start, {"per_minute": "5", "minutes": "5"}, follow=True).content.decode()
        assert client.post(stop, follow=True).status_code == 200
        now = standing.read(shop.pk, redis_client)
        assert now is not None
        assert (now.told, now.until <= time.time()) == ("stopped by hand", True)


@pytest.mark.usefixtures("data_dir", "redis_client")
def test_visitors_that_no_worker_could_be_asked_for_do_not_come_later(
    client: Client, shop: Shop, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked was told that nobody was let in, and may ask again at once."""

    def away(*_: object, **__: object) -> None:
        raise OperationalError("the broker is away")

    monkeypatch.setattr(pages.current_app, "send_task", away)
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    client.force_login(merchandiser(get_user_model(), "of the test's merchandiser"))
    for _ in range(2):
        told = client.post(f"/admin/personas/session/visitors/{shop.pk}/start/", {"per_minute": "5", "minutes": "5"}, follow=True)
        assert "nobody was let in" in told.content.decode()
    assert standing.read(shop.pk, redis_client) is None


def soon(minutes: float = 5) -> float:
    return time.time() + 60 * minutes


def test_visitors_whose_process_ended_are_gone_on_with_once_and_nobody_elses(
    shop: Shop, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart of the worker: due still, and no process holds the lock."""
    started: list[Shop] = []
    monkeypatch.setattr(launching, "launch_again", started.append)
    tasks.resume_visitors()
    assert not started, "nobody was asked for"
    standing.begin(shop.pk, standing.Wanted(5, soon()), redis_client)
    standing.note(shop.pk, redis_client, visits=7, bought=2)
    with redis_client.lock(standing.lock_of(shop.pk), timeout=15):
        tasks.resume_visitors()
    assert not started, "a process brings them"
    tasks.resume_visitors()
    tasks.resume_visitors()
    assert started == [shop], "one process, which has a minute to begin"
    left = standing.unfinished(shop.pk, redis_client)
    assert left is not None
    assert (left.per_minute, left.visits, left.bought) == (5, 7, 2)
    for end in ({"told": "stopped by hand"}, {"told": "", "until": str(soon(-1))}):
        standing.begin(shop.pk, standing.Wanted(5, soon()), redis_client)
        standing.note(shop.pk, redis_client, **end)
        tasks.resume_visitors()
    assert started == [shop], "what was ended, by hand or by its time, stays so"


def test_a_process_that_goes_on_keeps_the_time_and_the_numbers(
    shop: Shop, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    came: list[tuple[int, int, int]] = []

    async def bring(self: running._Coming, base: str, key: str) -> None:
        came.append((self.per_minute, self.visits, self.bought))

    monkeypatch.setattr(running, "_crowd", lambda *_: None)
    monkeypatch.setattr(running._Coming, "bring", bring)
    assert running.resume(shop, base="http://localhost") is None, "nobody was asked for"
    until = soon()
    standing.begin(shop.pk, standing.Wanted(5, until), redis_client)
    standing.note(shop.pk, redis_client, visits=7, bought=2, inside=3)
    after = running.resume(shop, base="http://localhost")
    assert came == [(5, 7, 2)]
    assert after is not None
    assert (after.per_minute, after.until) == (5, pytest.approx(until))


@pytest.mark.parametrize("resumed", [True, False])
def test_a_stop_before_the_first_visitor_came_holds(
    shop: Shop, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, resumed: bool
) -> None:
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    came: list[float] = []

    async def bring(self: running._Coming, base: str, key: str) -> None:
        came.append(time.time())

    monkeypatch.setattr(running, "_crowd", lambda *_: None)
    monkeypatch.setattr(running._Coming, "bring", bring)
    standing.ask(shop.pk, 5, 5)
    if resumed:  # the stop comes after the look at who is due
        due = standing.unfinished(shop.pk, redis_client)
        monkeypatch.setattr(standing, "unfinished", lambda *_: due)
    standing.ask_to_stop(shop.pk, redis_client)
    how: dict[str, Any] = {} if resumed else {"per_minute": 5, "minutes": 5, "asked": True}
    after = (running.resume if resumed else running.run)(shop, base="http://localhost", **how)
    assert not came
    assert after is not None
    assert (after.told, after.coming, after.running) == ("stopped by hand", False, False)
    standing.ask(shop.pk, 5, 5)
    running.run(shop, base="http://localhost", per_minute=5, minutes=5, asked=True)
    assert len(came) == 1, "whoever asks again gets them at once"
    standing.ask_to_stop(shop.pk, redis_client)
    running.run(shop, base="http://localhost", per_minute=5, minutes=5)
    assert len(came) == 2, "a command in a shell is no answer to what was asked in the admin"


def test_who_stops_and_asks_again_gets_what_they_asked_for_last(shop: Shop, redis_client: redis.Redis) -> None:
    """The process that was asked for first may begin after the second asking."""
    standing.ask(shop.pk, 60, 100)
    standing.ask_to_stop(shop.pk, redis_client)
    standing.ask(shop.pk, 5, 5)
    first = standing.begin(shop.pk, standing.Wanted(60, time.time() + 6_000), redis_client, asked=True)
    assert first is not None
    assert first.per_minute == 5
    assert first.until < time.time() + 301


def test_visitors_who_cannot_go_on_are_not_tried_again_till_their_time_is_over(shop: Shop, redis_client: redis.Redis) -> None:
    standing.begin(shop.pk, standing.Wanted(5, soon()), redis_client)
    with redis_client.lock(standing.lock_of(shop.pk), timeout=15):
        assert running.resume(shop, base="http://localhost") is None, "others bring them"
    with pytest.raises(standing.VisitorsError, match="no release"):
        running.resume(shop, base="http://localhost")
    left = standing.read(shop.pk, redis_client)
    assert left is not None
    assert "no release" in left.told
    assert not standing.ask_to_resume(shop.pk, redis_client)
