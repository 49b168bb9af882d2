"""The archiver keeps every entry of the activity log exactly once, however often it is delivered or killed."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import redis
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from clusters.adaptation import Decision, Option
from personas.events import CODE, Event
from personas.models import ArchivedEvent, Session, Shop, Shopper, moment
from recommendations.learning.models import BlockedAction
from recommendations.models import AdaptationDecision, MerchandisingRule, Release, RuleTally, ServedSlate
from recommendations.serving import archiving
from recommendations.serving.activity import (
    Entry,
    LoggedBlocked,
    LoggedDecision,
    LoggedEvent,
    LoggedItem,
    LoggedSlate,
    Record,
    StreamLog,
    decode_record,
    encode_record,
    log_key,
    partition,
)

PARTITIONS = 4
NOW = 1_700_000_000.25


def make_record(shop: int, session: str, n: int, **changes: object) -> Record:
    """The n-th commit of a session: two events, a decision, a slate."""
    events = tuple(
        LoggedEvent(f"e{n}.{i}", CODE["view_item"], NOW + n + i / 2, NOW + n + i / 2, (n + 1,), (f"sku-{n}",), price=9.5)
        for i in range(2)
    )
    fields: dict[str, object] = {
        "shop": shop,
        "session": session,
        "shopper": "",
        "context": {"country": "PL"},
        "release": "1",
        "version": n + 1,
        "started_at": NOW,
        "at": NOW + n,
        "events": events,
        "decisions": (LoggedDecision(f"e{n}.1", NOW + n, 4, "expand", 9, 0.25, (1.0, 0.5), "p1"),),
        "slate": LoggedSlate(f"{session}-r{n}", NOW + n, "home", (LoggedItem(3, 0, 0.5, 0.9, 1, 4, "blend"),)),
        "belief": {1: 0.75, 2: 0.25},
    }
    return Record(**fields | changes)  # type: ignore[arg-type]


def append(client: redis.Redis, record: Record) -> None:
    client.xadd(log_key(partition(record.shop, record.session, PARTITIONS)), {b"r": encode_record(record)})


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop.objects.create(slug="fashion", name="Fashion")


@pytest.fixture
def log(redis_client: redis.Redis) -> StreamLog:
    return StreamLog(redis_client, partitions=PARTITIONS)


def test_everything_of_a_record_is_archived(shop: Shop, log: StreamLog) -> None:
    Release.objects.create(shop=shop, number=1, components={"ranker": "abc"})
    code = CODE["view_item_list"]
    seen = LoggedEvent("list", code, NOW, NOW, (5, 0), ("a", "b"), (0, 3), recommendation_id="r9", clock_ahead=True)
    search = LoggedEvent("q", CODE["search"], NOW + 1, NOW + 2, query="blue skirt")
    append(log.client, make_record(shop.pk, "s1", 0, events=(seen, search), shopper="anna"))
    assert archiving.archive(log, consumer="c") == 1
    session = Session.objects.get()
    assert (session.session_id, session.events, session.origin, session.context) == ("s1", 2, "live", {"country": "PL"})
    assert session.shopper == Shopper.objects.get(external_id="anna")
    assert session.persona["belief"] == {"1": 0.75, "2": 0.25}
    first, second = ArchivedEvent.objects.of_session(session)
    assert first.data == {"items": [5, 0], "refs": ["a", "b"], "slots": [0, 3], "recommendation_id": "r9", "clock_ahead": True}
    assert (first.item, first.item_ref, first.at.timestamp()) == (5, "a", NOW)
    assert (second.query, second.item, second.data, second.received_at.timestamp()) == ("blue skirt", 0, None, NOW + 2)
    slate = ServedSlate.objects.get()
    assert slate.versions == {"release": "1", "ranker": "abc", "overlay": 0}
    assert slate.items[0] == {
        "item": 3, "slot": 0, "score": 0.5, "propensity": 0.9, "persona": 1, "cluster": 4, "expert": "blend",
    }  # fmt: skip
    decision = AdaptationDecision.objects.get()
    assert (decision.action, decision.target, decision.propensity, decision.features) == ("expand", 9, 0.25, [1.0, 0.5])
    assert (decision.options, decision.propensities, decision.reward) == ([], [], None), "a record of before options were logged"


def test_a_decision_is_kept_with_all_that_it_chose_among(shop: Shop, log: StreamLog) -> None:
    options = (Option(0, 0, 0, (0.1, 0.2)), Option(1, 9, 6, (0.3, 0.4)))
    event = Event("e0.1", "view_item", NOW, NOW, (1,))
    decision = LoggedDecision.of(event, Decision(4, options, 1, (0.4, 0.6), "p2"))
    append(log.client, make_record(shop.pk, "s1", 0, decisions=(decision,)))
    archiving.archive(log, consumer="c")
    row = AdaptationDecision.objects.get()
    assert row.options == [[0, 0, [0.1, 0.2], 0], [1, 9, [0.3, 0.4], 6]]
    assert (row.choice, row.propensities, row.propensity) == (1, [0.4, 0.6], 0.6)
    assert (row.action, row.target, row.features, row.policy) == ("expand", 9, [0.3, 0.4], "p2")


def test_what_bounds_stopped_is_counted_by_day_once_however_often_it_is_delivered(shop: Shop, log: StreamLog) -> None:
    day = 86_400.0
    for n, (session, cluster, bound) in enumerate(
        [("s1", 4, "locked"), ("s2", 4, "locked"), ("s2", 4, "core"), ("s2", 5, "locked")]
    ):
        at = NOW + day * (n == 1)
        append(log.client, make_record(shop.pk, session, n, blocked=(LoggedBlocked(f"e{n}.1", at, cluster, "contract", bound),)))
    entries = log.read_group("c", count=10, idle_ms=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "ack", lambda _entries: None)  # dies between the commit and the acknowledgement
        archiving.keep(log, entries)
    archiving.archive(log, consumer="d", idle_ms=0)
    more = make_record(shop.pk, "s3", 9, blocked=(LoggedBlocked("e9.1", NOW + 5, 4, "contract", "locked"),) * 2)
    append(log.client, more)
    archiving.archive(log, consumer="d")
    told = {
        (str(b.day), b.cluster, b.bound): (b.times, b.example) for b in BlockedAction.objects.filter(shop=shop, where="session")
    }
    today, tomorrow = (str(moment(at).date()) for at in (NOW, NOW + day))
    assert told == {
        (today, 4, "locked"): (3, "s3"),
        (tomorrow, 4, "locked"): (1, "s2"),
        (today, 4, "core"): (1, "s2"),
        (today, 5, "locked"): (1, "s2"),
    }


def test_delivered_twice_is_kept_once(shop: Shop, log: StreamLog) -> None:
    for n in range(3):
        append(log.client, make_record(shop.pk, "s1", n))
    entries = log.read_group("c", count=10, idle_ms=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "ack", lambda _entries: None)  # dies between the commit and the acknowledgement
        archiving.keep(log, entries)
    assert archiving.archive(log, consumer="d", idle_ms=0) == 3
    assert ArchivedEvent.objects.count() == 6
    assert ServedSlate.objects.count() == 3
    assert AdaptationDecision.objects.count() == 3
    assert Session.objects.get().events == 6
    assert log.backlog() == 0
    assert all(log.client.xlen(log_key(p)) == 0 for p in range(PARTITIONS)), "what is archived is trimmed"


def test_rules_that_acted_are_kept_with_the_slate_and_counted_once_a_day_however_often_it_is_delivered(
    shop: Shop, log: StreamLog
) -> None:
    pin, bar = [MerchandisingRule.objects.create(shop=shop, name=name, action=name) for name in ("pin", "exclude")]
    elsewhere = Shop.objects.create(slug="gifts", name="Gifts")
    foreign = MerchandisingRule.objects.create(shop=elsewhere, name="pin", action="pin")
    items = (LoggedItem(3, 0, 0.5, 1.0, 1, 4, "blend", (pin.pk,)), LoggedItem(4, 1, 0.4, 0.9, 1, 4, "blend"))
    gone = foreign.pk + 1_000
    acted = (pin.pk, bar.pk, bar.pk, bar.pk, foreign.pk, gone)  # once for each item; two of rules that the shop hasn't
    slates = [LoggedSlate(f"r{n}", NOW + n * 86_400, "home", items, 7, acted if n < 3 else ()) for n in (0, 0, 1, 3)]
    records = [make_record(shop.pk, "s1", n, slate=slate) for n, slate in enumerate(slates)]
    entries = [Entry(0, f"{n + 1}-0", encode_record(record)) for n, record in enumerate(records)]
    archiving.keep(log, entries[:2])  # the same slate twice in one batch
    archiving.keep(log, entries)  # and again, with others
    archiving.keep(log, entries)
    assert ServedSlate.objects.count() == 3
    first = ServedSlate.objects.get(recommendation_id="r0")
    assert [entry.get("rules") for entry in first.items] == [[pin.pk], None]
    assert first.versions["overlay"] == 7
    told = {(row.rule_id, row.day.isoformat()): (row.slates, row.items) for row in RuleTally.objects.all()}
    days = ("2023-11-14", "2023-11-15")
    assert told == {(rule, day): (1, n) for rule, n in ((pin.pk, 1), (bar.pk, 3)) for day in days}


def test_a_redelivered_old_record_does_not_turn_a_session_back(shop: Shop, log: StreamLog) -> None:
    old = Entry(0, "1-0", encode_record(make_record(shop.pk, "s1", 0, belief={1: 1.0})))
    new = Entry(0, "2-0", encode_record(make_record(shop.pk, "s1", 1, belief={2: 1.0}, context={"country": "DE"})))
    archiving.keep(log, [new])
    archiving.keep(log, [old])
    session = Session.objects.get()
    assert session.persona["belief"] == {"2": 1.0}
    assert session.context == {"country": "DE"}
    assert session.events == 4


def test_what_cannot_be_written_is_set_aside_and_stops_nothing(shop: Shop, log: StreamLog) -> None:
    log.client.xadd(log_key(0), {b"r": b"\xc1 no record"})
    append(log.client, make_record(shop.pk + 999, "s2", 0))
    append(log.client, make_record(shop.pk, "s1", 0))
    assert archiving.archive(log, consumer="c") == 3
    assert ArchivedEvent.objects.count() == 2
    aside = [fields[b"r"] for p in range(PARTITIONS) for _, fields in log.client.xrange(f"{{{p}}}:aside")]
    assert len(aside) == 2
    assert decode_record(next(a for a in aside if a != b"\xc1 no record")).session == "s2"
    assert log.backlog() == 0


@pytest.mark.django_db(transaction=True)
def test_an_entry_that_no_table_takes_holds_up_no_other(redis_client: redis.Redis) -> None:
    shop, log = Shop.objects.create(slug="fashion", name="Fashion"), StreamLog(redis_client, partitions=PARTITIONS)
    beyond = LoggedEvent("x", CODE["view_item"], 1e15, 1e15, (1,), ("sku-1",))
    for n in range(5):
        append(redis_client, make_record(shop.pk, "s1", n, **({"events": (beyond,)} if n == 2 else {})))
    assert archiving.archive(log, consumer="c") == 5
    assert set(ArchivedEvent.objects.values_list("event_id", flat=True)) == {f"e{n}.{i}" for n in (0, 1, 3, 4) for i in range(2)}
    assert ServedSlate.objects.count() == 4, "nothing of the bad entry is kept in part"
    aside = [fields[b"r"] for p in range(PARTITIONS) for _, fields in redis_client.xrange(f"{{{p}}}:aside")]
    assert [decode_record(a).version for a in aside] == [3]
    assert log.backlog() == 0


def test_shops_are_locked_in_one_order_whatever_came_first(redis_client: redis.Redis, shop: Shop, log: StreamLog) -> None:
    """Two archivers that each hold the shop that the other wants next would wait for ever."""
    other = Shop.objects.create(slug="gifts", name="Gifts")
    for session, of in (("s1", other), ("s2", shop)):
        redis_client.xadd(log_key(0), {b"r": encode_record(make_record(of.pk, session, 0))})
    with CaptureQueriesContext(connection) as queries:
        archiving.archive(log, consumer="a")
    locked = [q["sql"] for q in queries if q["sql"].startswith("SELECT") and 'FROM "personas_shop"' in q["sql"]]
    assert [f'"id" = {pk}' in sql for pk, sql in zip((shop.pk, other.pk), locked, strict=True)] == [True, True]


def test_what_cannot_be_written_is_not_quoted_in_the_log(
    redis_client: redis.Redis,
    shop: Shop,
    log: StreamLog,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise IntegrityError("DETAIL:  Failing row contains (7, anna-7f31c, thirty-something).")  # as PostgreSQL tells it

    append(redis_client, make_record(shop.pk, "s1", 0))
    monkeypatch.setattr(archiving, "write", refuse)
    archiving.archive(log, consumer="a")
    assert "is set aside: writing failed (IntegrityError)" in caplog.text
    assert "anna-7f31c" not in caplog.text


def test_a_log_that_was_emptied_is_taken_up_again(shop: Shop, log: StreamLog) -> None:
    archiving.archive(log, consumer="c")
    log.client.flushall()
    append(log.client, make_record(shop.pk, "s1", 0))
    assert archiving.archive(log, consumer="c") == 1


# Sets up a database, then forks an archiver for every line it reads: a real process, without the cost of importing.
_ARCHIVERS = """
import os, sys
import django
django.setup()
from django.core.management import call_command
from django.db import connections
from personas.models import Shop
from recommendations.serving import archiving
call_command("migrate", verbosity=0)
Shop.objects.create(pk=1, slug="s", name="s")
connections.close_all()
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        log = archiving.open_log()
        while True:
            archiving.archive(log, consumer=archiving.consumer_name(), batch=8, idle_ms=50)
    print(child, flush=True)
    os.waitpid(child, 0)
"""


def _rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, timeout=20)) as database:
        return database.execute(sql).fetchall()


@pytest.fixture
def archivers(redis_url: str, tmp_path: Path) -> Iterator[tuple[Path, Callable[[], int]]]:
    """A database of its own, and what starts an archiver on it and gives its process id."""
    path = tmp_path / "archive.sqlite3"
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{path}",
        "REDIS_URL": redis_url,
        "ACTIVITY_PARTITIONS": str(PARTITIONS),
        "SQLITE_SYNCHRONOUS": "OFF",  # a killed process needs no sync, only a killed machine
    }
    forker = subprocess.Popen(
        [sys.executable, "-c", _ARCHIVERS], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert forker.stdin is not None
    assert forker.stdout is not None
    started: list[int] = []

    def start() -> int:
        forker.stdin.write("\n")
        forker.stdin.flush()
        started.append(int(forker.stdout.readline()))
        return started[-1]

    assert forker.stdout.readline() == "ready\n"
    yield path, start
    forker.kill()
    for pid in started[-1:]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    forker.wait()
    forker.stdin.close()
    forker.stdout.close()


@pytest.mark.parametrize(("kills", "seed"), [(8, 0), pytest.param(80, 1, marks=[pytest.mark.proof, pytest.mark.timeout(600)])])
def test_an_archiver_killed_at_any_point_neither_loses_nor_doubles(
    redis_client: redis.Redis, archivers: tuple[Path, Callable[[], int]], kills: int, seed: int
) -> None:
    """Events flow while real archivers are killed at random; the oracle is what was appended."""
    path, start = archivers
    rng = random.Random(seed)
    sent = 0

    def flow(seconds: float) -> None:
        nonlocal sent
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            append(redis_client, make_record(1, f"s{sent % 17}", sent))
            sent += 1
            time.sleep(0.005)

    for _ in range(kills):
        archived = _rows(path, "SELECT COUNT(*) FROM personas_archivedevent")
        pid = start()
        deadline = time.monotonic() + 30
        while _rows(path, "SELECT COUNT(*) FROM personas_archivedevent") == archived and time.monotonic() < deadline:
            flow(0.01)
        flow(rng.uniform(0, 0.2))
        os.kill(pid, signal.SIGKILL)
    start()
    log = StreamLog(redis_client, partitions=PARTITIONS)
    deadline = time.monotonic() + 60
    while log.backlog() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert log.backlog() == 0
    events = _rows(path, "SELECT event_id, COUNT(*) FROM personas_archivedevent GROUP BY event_id")
    assert {e for e, _ in events} == {f"e{n}.{i}" for n in range(sent) for i in range(2)}
    assert {count for _, count in events} == {1}
    assert _rows(path, "SELECT COUNT(*), COUNT(DISTINCT recommendation_id) FROM recommendations_servedslate") == [(sent, sent)]
    assert _rows(path, "SELECT COUNT(*) FROM recommendations_adaptationdecision") == [(sent,)]
    assert _rows(path, "SELECT SUM(events) FROM personas_session") == [(2 * sent,)]
    assert _rows(path, "SELECT COUNT(*) FROM personas_session") == [(min(sent, 17),)]
