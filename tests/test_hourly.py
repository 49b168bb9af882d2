"""Hours are counted as the log is archived: each thing once, in the hour in which it happened, as the archive has it too."""

from __future__ import annotations

import datetime as dt

import pytest
import redis
from django.core.management import CommandError, call_command

from personas.events import CODE
from personas.models import Shop, moment
from recommendations import hourly
from recommendations.models import HourTally
from recommendations.serving import archiving
from recommendations.serving.activity import (
    LoggedDecision,
    LoggedEvent,
    LoggedItem,
    LoggedSlate,
    Record,
    StreamLog,
    encode_record,
    log_key,
    partition,
)

PARTITIONS = 4
HOUR = 1_700_002_800.0
"""The beginning of an hour."""

Counted = dict[tuple[float, str, str, str], float]


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop.objects.create(slug="fashion", name="Fashion")


@pytest.fixture
def log(redis_client: redis.Redis) -> StreamLog:
    return StreamLog(redis_client, partitions=PARTITIONS)


def event(name: str, event_id: str, at: float, items: tuple[int, ...] = (1,), **more: object) -> LoggedEvent:
    return LoggedEvent(event_id, CODE[name], at, at, items, tuple("x" for _ in items), **more)  # type: ignore[arg-type]


def send(log: StreamLog, shop: Shop, session: str, version: int, at: float, *events: LoggedEvent, **more: object) -> None:
    fields: dict[str, object] = {"belief": {1: 0.75, 2: 0.25}}
    record = Record(shop.pk, session, "", {}, "1", version, at, at, events, **fields | more)  # type: ignore[arg-type]
    log.client.xadd(log_key(partition(shop.pk, session, PARTITIONS)), {b"r": encode_record(record)})


def counted() -> Counted:
    rows = HourTally.objects.values_list("hour", "measure", "key", "origin", "value")
    return {(hour.timestamp(), measure, key, origin): value for hour, measure, key, origin, value in rows}


def a_visit(log: StreamLog, shop: Shop, session: str, **more: object) -> None:
    """A look at 10 to the hour beside a slate, and then what was seen, clicked and bought after it struck."""
    slate = LoggedSlate(f"{session}-r", HOUR - 600, "cart", tuple(LoggedItem(i, i - 1, 0.0, 1.0, 1, 4, "") for i in (1, 2, 3)))
    decision = LoggedDecision("a", HOUR - 600, 4, "expand", 9, 0.5, (), "p1")
    send(log, shop, session, 1, HOUR - 600, event("view_item", "a", HOUR - 600), slate=slate, decisions=(decision,), **more)
    seen = event("view_item_list", "b", HOUR + 1, (1, 2), slots=(0, 1), recommendation_id=f"{session}-r")
    click = event("select_item", "c", HOUR + 2, (2,), recommendation_id=f"{session}-r")
    bought = event("purchase", "d", HOUR + 3, (2,), price=12.5, quantity=2.0)
    send(log, shop, session, 4, HOUR + 3, seen, click, bought, **more)


OF_ONE = {
    (HOUR - 3600, "session", ""): 1,
    (HOUR - 3600, "event", "view_item"): 1,
    (HOUR - 3600, "slate", "cart"): 1,
    (HOUR - 3600, "decision", "expand"): 1,
    (HOUR - 3600, "persona", "1"): 0.75,
    (HOUR - 3600, "persona", "2"): 0.25,
    (HOUR, "event", "view_item_list"): 1,
    (HOUR, "event", "select_item"): 1,
    (HOUR, "event", "purchase"): 1,
    (HOUR, "order", ""): 1,
    (HOUR, "buyer", ""): 1,
    (HOUR, "revenue", ""): 25.0,
    (HOUR, "seen", "cart"): 2,
    (HOUR, "click", "cart"): 1,
    (HOUR, "persona", "1"): 2.25,
    (HOUR, "persona", "2"): 0.75,
}


def of(origin: str, times: int = 1) -> Counted:
    return {(*name, origin): float(times * value) for name, value in OF_ONE.items()}


def test_everything_counts_in_its_hour_and_under_its_origin(shop: Shop, log: StreamLog) -> None:
    for session, origin in (("s1", "live"), ("s2", "live"), ("s3", "simulated"), ("s4", "test")):
        a_visit(log, shop, session, origin=origin)
    archiving.archive(log, consumer="c")
    assert counted() == of("live", 2) | of("simulated")


def test_what_is_delivered_again_counts_no_more_and_what_is_new_beside_it_does(shop: Shop, log: StreamLog) -> None:
    a_visit(log, shop, "s1")
    archiving.archive(log, consumer="c")
    a_visit(log, shop, "s1")
    a_visit(log, shop, "s2")
    send(log, shop, "s2", 9, HOUR + 9, event("view_item", "a", HOUR + 9), event("view_item", "e", HOUR + 9), belief={})
    archiving.archive(log, consumer="c")
    assert counted() == of("live", 2) | {(HOUR, "event", "view_item", "live"): 1.0}


def test_a_purchase_is_worth_all_of_it(shop: Shop, log: StreamLog) -> None:
    whole = event("purchase", "w", HOUR, (1, 2), price=10.0, value=64.5)
    first = event("purchase", "f", HOUR + 1, (1,), price=10.0, quantity=3.0, value=30.0)
    unknown = event("purchase", "u", HOUR + 2, (1,))
    send(log, shop, "s1", 3, HOUR + 2, whole, first, unknown)
    archiving.archive(log, consumer="c")
    assert counted()[HOUR, "revenue", "", "live"] == 94.5
    hourly.recount(shop)
    assert counted()[HOUR, "revenue", "", "live"] == 94.5


def test_a_visit_that_buys_twice_is_one_that_buys(shop: Shop, log: StreamLog) -> None:
    send(log, shop, "s1", 2, HOUR, event("purchase", "a", HOUR - 5), event("purchase", "b", HOUR))
    archiving.archive(log, consumer="c")
    send(log, shop, "s1", 3, HOUR + 9, event("purchase", "c", HOUR + 9))
    send(log, shop, "s2", 1, HOUR + 9, event("purchase", "a", HOUR + 9))
    archiving.archive(log, consumer="c")
    live = {(HOUR - 3600, "buyer", "", "live"): 1.0, (HOUR, "buyer", "", "live"): 1.0}
    assert live.items() <= counted().items()
    assert (counted()[HOUR - 3600, "order", "", "live"], counted()[HOUR, "order", "", "live"]) == (1, 3)
    before = counted()
    hourly.recount(shop)
    assert counted() == before
    hourly.recount(shop, since=moment(HOUR))
    assert counted() == before, "the first purchase of s1 lies before"


def test_a_count_of_the_archive_says_the_same(shop: Shop, log: StreamLog) -> None:
    for session, origin in (("s1", "live"), ("s2", "simulated"), ("s3", "test")):
        a_visit(log, shop, session, origin=origin)
    archiving.archive(log, consumer="c")
    before = counted()
    HourTally.objects.filter(measure="event").update(value=77)
    assert hourly.recount(shop) > 0
    assert counted() == before
    HourTally.objects.update(value=0)
    hourly.recount(shop, since=moment(HOUR + 1800))
    now = counted()
    assert now[HOUR, "revenue", "", "live"] == 25.0
    assert now[HOUR - 3600, "session", "", "live"] == 0, "hours before are left as they are"


def test_hours_are_read_as_rows_of_numbers(shop: Shop, log: StreamLog) -> None:
    a_visit(log, shop, "s1")
    a_visit(log, shop, "s2", origin="simulated")
    archiving.archive(log, consumer="c")
    hours = hourly.read(shop, moment(HOUR - 7200), moment(HOUR + 1800))
    assert (hours.start, hours.length) == (moment(HOUR - 7200), 3)
    assert hours.of("event").tolist() == [0, 2, 6]
    assert hours.of("event", "purchase").tolist() == [0, 0, 2]
    assert hours.of("refund").tolist() == [0, 0, 0]
    assert hours.keys("persona") == ["1", "2"]
    assert hours.part(1, 2).of("slate").tolist() == [2]
    assert hourly.read(shop, moment(HOUR), moment(HOUR), origins=["simulated"]).of("order").tolist() == [1]
    assert hourly.read(shop, moment(HOUR), moment(HOUR) - dt.timedelta(days=1)).length == 0


def test_the_command_counts_again_and_says_what_it_can_not(
    shop: Shop, log: StreamLog, capsys: pytest.CaptureFixture[str]
) -> None:
    a_visit(log, shop, "s1")
    archiving.archive(log, consumer="c")
    HourTally.objects.exclude(measure__in=["persona", "decision"]).delete()
    call_command("recount_hours", "fashion")
    assert "counts by the hour" in capsys.readouterr().out
    assert counted() == of("live")
    with pytest.raises(CommandError, match="no shop 'nobodys'; there are: fashion"):
        call_command("recount_hours", "nobodys")
    with pytest.raises(CommandError, match="--days"):
        call_command("recount_hours", "fashion", days=0)
