"""Days are counted as the log is archived: each thing once, on the day on which it happened, as the archive has it too."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

import numpy as np
import pytest
import redis

from clusters.models import Item
from personas.events import CODE
from personas.models import ArchivedEvent, EventRow, Origin, Session, Shop, Shopper, moment
from recommendations import daily, retention, rights
from recommendations.models import DayTally
from recommendations.serving import archiving, held
from recommendations.serving.activity import (
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
NOON = 1_700_049_600.0
"""12:00 UTC on 2023-11-15."""
DAY, NEXT = dt.date(2023, 11, 15), dt.date(2023, 11, 16)

Counted = dict[tuple[dt.date, str, str, str], float]


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop.objects.create(slug="fashion", name="Fashion")


@pytest.fixture
def items(shop: Shop) -> list[int]:
    """Four blouses at 10, 20, 30, 40, one to each price tier; a thing without category and price."""
    for i in range(4):
        Item.objects.create(shop=shop, external_id=f"b{i}", category="blouses", price=10 * (i + 1))
    Item.objects.create(shop=shop, external_id="thing")
    return list(Item.objects.order_by("pk").values_list("pk", flat=True))


@pytest.fixture
def log(redis_client: redis.Redis) -> StreamLog:
    return StreamLog(redis_client, partitions=PARTITIONS)


def event(name: str, event_id: str, at: float, items: tuple[int, ...] = (), **more: object) -> LoggedEvent:
    return LoggedEvent(event_id, CODE[name], at, at, items, tuple("x" for _ in items), **more)  # type: ignore[arg-type]


def send(log: StreamLog, shop: Shop, session: str, version: int, *events: LoggedEvent, **more: object) -> None:
    at = max((event.at for event in events), default=NOON)
    fields: dict[str, object] = {"belief": {1: 0.75, 2: 0.25}, "context": {"country": "PL"}}
    given = {"shopper": "", **fields, **more}
    shopper, context = given.pop("shopper"), given.pop("context")
    record = Record(shop.pk, session, shopper, context, "1", version, NOON, at, events, **given)  # type: ignore[arg-type]
    log.client.xadd(log_key(partition(shop.pk, session, PARTITIONS)), {b"r": encode_record(record)})


def archive(log: StreamLog) -> None:
    archiving.archive(log, consumer="c")


def counted(*measures: str) -> Counted:
    """The days' rows, once the weeks' were seen to be what they add up to."""
    rows, weeks, sums = {}, {}, defaultdict[tuple[dt.date, str, str, str], float](float)
    for day, measure, key, origin, value in DayTally.objects.values_list(*FIELDS):
        if measure.startswith(daily.WEEK):
            weeks[day, measure.removeprefix(daily.WEEK), key, origin] = value
            continue
        rows[day, measure, key, origin] = value
        if measure in daily.WEEKLY:
            sums[day - dt.timedelta(days=day.weekday()), measure, key, origin] += value
    assert weeks == pytest.approx(sums)
    return {name: value for name, value in rows.items() if not measures or name[1] in measures}


FIELDS = ("day", "measure", "key", "origin", "value")


def a_visit(log: StreamLog, shop: Shop, session: str, items: list[int], **more: object) -> None:
    """A slate; two of its three items are seen and one is picked, put into the bag and, past midnight, bought with another."""
    first, second, third, fourth, thing = items
    entries = (
        LoggedItem(first, 0, 0.0, 1.0, 1, 4, ""),
        LoggedItem(second, 1, 0.0, 1.0, 2, 5, ""),
        LoggedItem(thing, 2, 0.0, 1.0, 0, 0, ""),
    )
    slate = LoggedSlate(f"{session}-r", NOON, "home", entries)
    send(log, shop, session, 1, event("search", "a", NOON, query="Red Dresses!"), slate=slate, **more)
    seen = event("view_item_list", "b", NOON + 1, (first, second, fourth), slots=(0, 1, 2), recommendation_id=f"{session}-r")
    picked = event("select_item", "c", NOON + 2, (second,), recommendation_id=f"{session}-r")
    send(log, shop, session, 3, seen, picked, event("add_to_cart", "d", NOON + 3, (second,)), **more)
    bought = event("purchase", "e", NOON + 43_200, (second, thing), price=20.0)
    send(log, shop, session, 4, bought, belief={2: 1.0}, **more)


def of_one(items: list[int]) -> dict[tuple[dt.date, str, str], float]:
    first, second, _, _, thing = (str(item) for item in items)
    return {
        (DAY, "search", "red dress"): 1,
        (DAY, "search_led", "red dress"): 1,
        (DAY, "item_seen", first): 1,
        (DAY, "item_seen", second): 1,
        (DAY, "cluster_seen", "4"): 1,
        (DAY, "cluster_seen", "5"): 1,
        (DAY, "pair_seen", "1:4"): 1,
        (DAY, "pair_seen", "2:5"): 1,
        (DAY, "cluster_click", "5"): 1,
        (DAY, "pair_click", "2:5"): 1,
        (DAY, "item_view", second): 1,
        (DAY, "item_cart", second): 1,
        (NEXT, "item_buy", second): 1,
        (NEXT, "item_buy", thing): 1,
        (DAY, "category", "1:blouses"): 1.5,
        (DAY, "category", "2:blouses"): 0.5,
        (DAY, "tier", "1:1"): 1.5,
        (DAY, "tier", "2:1"): 0.5,
        (DAY, "country", "1:PL"): 3.0,
        (DAY, "country", "2:PL"): 1.0,
        (DAY, "hour", "1:12"): 3.0,
        (DAY, "hour", "2:12"): 1.0,
        (NEXT, "category", "2:blouses"): 1,
        (NEXT, "tier", "2:1"): 1,
        (NEXT, "country", "2:PL"): 1,
        (NEXT, "hour", "2:0"): 1,
    }


def of(origin: str, items: list[int], times: int = 1) -> Counted:
    return {(*name, origin): float(times * value) for name, value in of_one(items).items()}


def test_everything_counts_on_its_day_and_under_its_origin(shop: Shop, log: StreamLog, items: list[int]) -> None:
    for session, origin in (("s1", "live"), ("s2", "live"), ("s3", "simulated"), ("s4", "test")):
        a_visit(log, shop, session, items, origin=origin)
    archive(log)
    assert counted() == of("live", items, 2) | of("simulated", items)


def test_what_is_delivered_again_counts_no_more(shop: Shop, log: StreamLog, items: list[int]) -> None:
    a_visit(log, shop, "s1", items)
    archive(log)
    a_visit(log, shop, "s1", items)
    send(log, shop, "s1", 9, event("view_item", "c", NOON, (items[0],)), event("view_item", "n", NOON, (items[0],)), belief={})
    archive(log)
    more = {(DAY, "item_view", str(items[0]), "live"): 1.0}
    assert counted() == of("live", items) | more


def test_a_count_of_the_archive_says_the_same(shop: Shop, log: StreamLog, items: list[int]) -> None:
    for session, origin in (("s1", "live"), ("s2", "simulated"), ("s3", "test")):
        a_visit(log, shop, session, items, origin=origin)
    send(log, shop, "s4", 1, event("view_item", "u", NOON, (0,)), event("purchase", "v", NOON, (items[3],)))
    archive(log)
    before = counted()
    DayTally.objects.filter(measure__in=daily.TOLD_BY_ARCHIVE).update(value=77)
    assert daily.recount(shop) > 0
    assert counted() == before
    DayTally.objects.filter(measure__in=daily.TOLD_BY_ARCHIVE).update(value=0.25)
    daily.recount(shop, since=moment(NOON + 50_000))
    assert counted("item_buy")[NEXT, "item_buy", str(items[1]), "live"] == 1.0
    assert counted("search")[DAY, "search", "red dress", "live"] == 0.25, "days before are left as they are"


def test_sums_by_whole_weeks_are_those_of_their_days(shop: Shop) -> None:
    rng, span = np.random.default_rng(3), 100
    days = [DAY + dt.timedelta(days=n) for n in range(span)]
    values = rng.integers(0, 9, (span, 3)).astype(float)
    for measure in ("pair_seen", "item_view"):
        for part in (slice(0, 50), slice(30, span)):  # some days come twice, as late events do
            daily.add(
                shop,
                {
                    (day, measure, f"{key}:7", "live"): values[n, key] / (2 if 30 <= n < 50 else 1)
                    for n, day in list(enumerate(days))[part]
                    for key in range(3)
                },
            )
    assert len(counted()) == 6 * span
    ends = sorted(map(sorted, rng.integers(0, span, (60, 2)).tolist()))
    for first, last in [*ends, (0, span - 1), *((5, 5 + n) for n in range(16))]:
        sums = values[first : last + 1].sum(axis=0)
        for measure in ("pair_seen", "item_view"):
            told = daily.totals(shop, measure, days[first], days[last])
            assert told == pytest.approx({f"{key}:7": sums[key] for key in range(3)}), (measure, days[first], days[last])
        assert daily.totals(shop, "pair_seen", days[first], days[last], prefix="2:") == pytest.approx({"2:7": sums[2]})


def test_what_comes_and_goes_while_the_archive_is_counted_is_counted_as_it_is(
    shop: Shop, log: StreamLog, items: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_visit(log, shop, "s1", items)
    archive(log)
    told_by, meanwhile = daily._told_by, [lambda: a_visit(log, shop, "s2", items)]

    def slowly(*given: object) -> object:
        tally = told_by(*given)  # type: ignore[arg-type]
        while meanwhile:
            meanwhile.pop()()
            archive(log)
        return tally

    monkeypatch.setattr(daily, "_told_by", slowly)
    daily.recount(shop)
    assert counted() == of("live", items, 2)
    send(log, shop, "s3", 1, event("search", "a", NOON, query="wool for ada"), shopper="ada")
    archive(log)
    meanwhile.append(lambda: rights.erase(shop, "ada"))
    daily.recount(shop)
    assert counted("search") == {(DAY, "search", "red dress", "live"): 2.0}, "no word of hers comes back"


def test_what_was_imported_counts_as_such(shop: Shop, items: list[int]) -> None:
    session = Session.objects.create(shop=shop, session_id="i", started_at=moment(NOON), last_at=moment(NOON))
    row = EventRow(session.pk, "a", CODE["view_item"], moment(NOON), moment(NOON), 1, item=items[0])
    ArchivedEvent.objects.append(shop=shop, rows=[row], origin=Origin.IMPORT)
    daily.recount(shop)
    assert counted() == {(DAY, "item_view", str(items[0]), "import"): 1.0}
    assert daily.totals(shop, "item_view", DAY, DAY) == {}
    assert daily.totals(shop, "item_view", DAY, DAY, origins=["import"]) == {str(items[0]): 1.0}


def test_what_an_erased_shopper_searched_for_goes_and_what_others_did_stays(shop: Shop, log: StreamLog) -> None:
    send(log, shop, "s1", 1, event("search", "a", NOON, query="Wool for Ada Lovelace"), shopper="ada")
    send(log, shop, "s1", 2, event("search", "b", NOON + 1, query="red dress"), shopper="ada")
    send(log, shop, "s2", 1, event("search", "a", NOON, query="red dresses"), shopper="bob")
    archive(log)
    assert counted("search") == {
        (DAY, "search", "wool for ada lovelace", "live"): 1.0,
        (DAY, "search", "red dress", "live"): 2.0,
    }
    rights.erase(shop, "ada")
    assert not Shopper.objects.filter(external_id="ada").exists()
    assert counted("search") == {(DAY, "search", "red dress", "live"): 1.0}


def test_a_search_led_on_where_a_look_came_next_within_half_an_hour(shop: Shop, log: StreamLog, items: list[int]) -> None:
    """Oracle: by hand. Batches are cut between searches and looks; a count of the archive says the same."""
    ada = {"shopper": "ada"}
    send(log, shop, "s1", 1, event("search", "a", NOON, query="hat"), **ada)
    archive(log)
    send(log, shop, "s1", 2, event("view_item", "b", NOON + 5, (items[0],)), **ada)  # counts
    send(log, shop, "s1", 3, event("view_item", "c", NOON + 9, (items[1],)), **ada)  # the second look doesn't
    archive(log)
    send(log, shop, "s2", 1, event("search", "a", NOON, query="hat"), event("search", "b", NOON + 3, query="cap"))
    send(log, shop, "s2", 2, event("add_to_cart", "c", NOON + 6, (items[0],)))  # cap led there, hat didn't
    send(log, shop, "s3", 1, event("search", "a", NOON, query="hat"))
    send(log, shop, "s3", 2, event("view_item", "b", NOON + 1_801, (items[0],)))  # too late
    send(log, shop, "s4", 1, event("search", "a", NOON + 43_199, query="hat"), origin="simulated")
    send(log, shop, "s4", 2, event("view_item", "b", NOON + 43_202, (items[0],)), origin="simulated")  # of the search's day
    send(log, shop, "s5", 1, event("search", "a", NOON, query="hat"), event("view_item", "b", NOON, (items[0],)), origin="test")
    archive(log)
    wanted = {
        (DAY, "search_led", "hat", "live"): 1.0,
        (DAY, "search_led", "cap", "live"): 1.0,
        (DAY, "search_led", "hat", "simulated"): 1.0,
    }
    assert counted("search_led") == wanted
    daily.recount(shop)
    assert counted("search_led") == wanted
    rights.erase(shop, "ada")
    del wanted[DAY, "search_led", "hat", "live"]
    assert counted("search_led") == wanted


def test_a_look_that_comes_while_all_is_counted_anew_is_its_searchs(
    shop: Shop, log: StreamLog, items: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    send(log, shop, "s1", 1, event("search", "a", NOON, query="hat"))
    send(log, shop, "s2", 1, event("search", "a", NOON, query="hat"), event("view_item", "b", NOON + 1, (items[0],)))
    archive(log)
    count_led, once = daily._count_led, [None]

    def slowly(*given: object, **named: object) -> None:
        count_led(*given, **named)  # type: ignore[arg-type]
        while once:
            once.pop()
            send(log, shop, "s1", 2, event("view_item", "b", NOON + 5, (items[0],)))
            send(log, shop, "s2", 2, event("view_item", "c", NOON + 5, (items[0],)))
            archive(log)

    monkeypatch.setattr(daily, "_count_led", slowly)
    daily.recount(shop)
    assert counted("search_led") == {(DAY, "search_led", "hat", "live"): 2.0}


@pytest.mark.parametrize("way", ["erased", "expired"])
def test_what_is_kept_of_a_visits_course_goes_with_the_visit(
    shop: Shop, log: StreamLog, way: str, django_capture_on_commit_callbacks: object
) -> None:
    send(log, shop, "s1", 1, event("view_item", "a", NOON, (0,)), shopper="ada")
    archive(log)
    key = held.course_key(Session.objects.get().pk)
    log.client.set(key, b"her course")
    shop.retention_days = 1
    with django_capture_on_commit_callbacks() as callbacks:  # type: ignore[operator]
        rights.erase(shop, "ada") if way == "erased" else retention.expire(shop)
        log.client.set(key, b"a page that was under way keeps it once more")
    assert not Session.objects.exists()
    for callback in callbacks:
        callback()
    assert not log.client.exists(key)


@pytest.mark.parametrize(
    ("query", "term"),
    [("  Crème   Brûlées ", "creme brulee"), ("!!", "!!"), ("x", "x"), ("word " * 60, ("word " * 60)[:200].strip()), (" ", "")],
)
def test_a_search_counts_under_what_it_is_read_as(query: str, term: str) -> None:
    assert daily.term_of(query) == term


def test_totals_and_days_add_up(shop: Shop, log: StreamLog, items: list[int]) -> None:
    a_visit(log, shop, "s1", items)
    a_visit(log, shop, "s2", items, origin="simulated")
    archive(log)
    assert daily.totals(shop, "pair_seen", DAY, NEXT, prefix="1:") == {"1:4": 2.0}
    assert daily.by_day(shop, ("item_buy", "item_cart"), str(items[1]), DAY, NEXT)["item_buy"] == {NEXT: 2.0}
    assert daily.totals(shop, "item_buy", DAY, DAY) == {}
