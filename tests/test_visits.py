"""Visits on the desk: the list with its filters, and one visit step by step, beside what it would have been."""

from __future__ import annotations

import csv
import datetime as dt
import html
import io
import re
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from personas.events import CODE
from personas.models import Archetype, ArchivedEvent, EventRow, Session, Shop
from recommendations import releases, stories
from recommendations.counterfactual import Edit, counterfactual
from recommendations.engine import Engine
from recommendations.models import ServedSlate
from recommendations.replaying import Past
from recommendations.serving.archiving import _path
from recommendations.serving.held import course_key
from recommendations.serving.process import Process
from recommendations.serving.watching import pseudonym
from recommendations.session import Request
from recommendations.visits import course as courses
from recommendations.visits import edits, listing
from recommendations.visits.beside import SMALL, beside, told
from recommendations.visits.course import Course, course_of
from tests.test_account_pages import viewer
from tests.test_accounts import engine as engine  # fixtures
from tests.test_accounts import here as here
from tests.test_accounts import live_through, make_shop
from tests.test_accounts import shelf as shelf
from tests.test_archiving import NOW, make_record

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:personas_session_visits"


def text_of(answer: Any) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


# The list


@pytest.fixture
def shop(redis_client: redis.Redis) -> Shop:
    """Seven visits: of one, then of another persona, some with a purchase, one imported, one of a test key."""
    shop = Shop.objects.create(slug="s", name="S", currency="USD")
    ids = [Archetype.objects.create(shop=shop, key=k, name=f"<{k}>", mix={}, colour="#0072b2").pk for k in ("saver", "lover")]
    began = timezone.now() - dt.timedelta(days=2)
    for n in range(7):
        at = began + dt.timedelta(hours=n)
        path = [*([ids[0]] if n == 3 else []), ids[n % 2]]
        persona = {"belief": {str(ids[n % 2]): 0.9, str(ids[1 - n % 2]): 0.1}, "path": path}
        origin = {5: "import", 6: "test"}.get(n, "live")
        row = Session.objects.create(
            shop=shop, session_id=f"v{n}", started_at=at, last_at=at + dt.timedelta(seconds=40), events=2, origin=origin,
            persona=None if origin == "import" else persona,
        )  # fmt: skip
        rows = [EventRow(row.pk, f"e{k}", CODE["purchase" if n in (1, 4) and k else "view_item"], at, at, k) for k in range(2)]
        ArchivedEvent.objects.append(shop=shop, rows=rows, origin=origin)
    return shop


def listed(answer: Any) -> list[str]:
    """The names of the visits that a page lists."""
    return re.findall(r'<th scope="row"><a href="[^"]*/visits/\d+/">([0-9a-f]+)</a>', answer.content.decode())


@pytest.mark.parametrize(
    ("query", "visits"),
    [
        ("", [5, 4, 3, 2, 1, 0]),
        ("origin=test", [6]),
        ("bought=yes", [4, 1]),
        ("bought=no&origin=live", [3, 2, 0]),
        ("persona=saver", [4, 3, 2, 0]),
        ("persona=lover&bought=yes", [1]),
        ("shift=yes", [3]),
        ("day=2000-01-01", []),
    ],
)
def test_the_list_holds_the_visits_that_the_address_asks_for(
    admin_client: Client, shop: Shop, query: str, visits: list[int]
) -> None:
    for key in ("saver", "lover"):
        query = query.replace(f"persona={key}", f"persona={Archetype.objects.get(key=key).pk}")
    answer = admin_client.get(f"{reverse(LIST)}?shop=s&{query}")
    assert listed(answer) == [pseudonym(shop.pk, f"v{n}") for n in visits]
    assert "v3" not in text_of(answer), "the shop's own ids are for the raw rows"
    if not visits:
        assert "No visit is like that" in text_of(answer)


def test_whom_a_visit_was_taken_for_stands_in_order_and_names_are_escaped(admin_client: Client, shop: Shop) -> None:
    page = admin_client.get(reverse(LIST), {"shop": "s", "shift": "yes"}).content.decode()
    assert re.search(r"&lt;saver&gt;.*→.*&lt;lover&gt; 90<", page, re.S)
    assert "<saver>" not in page


def test_what_the_address_can_not_mean_is_said_and_the_rest_kept(admin_client: Client, shop: Shop) -> None:
    answer = admin_client.get(reverse(LIST), {"shop": "s", "day": "soon", "persona": "<x>", "origin": "live"})
    words = text_of(answer)
    assert answer.status_code == 200
    assert "day: “soon” is no date" in words
    assert "persona: “<x>” is none of" in words
    assert len(listed(answer)) == 5
    assert admin_client.get(reverse(LIST), {"shop": "none"}).status_code == 404


def test_pages_of_the_list_follow_one_another_and_miss_nothing(shop: Shop) -> None:
    wanted, seen, personas = listing.Asked(), [], {}
    while True:
        found = listing.found(shop, wanted, personas, most=2)
        seen += [row.name for row in found.rows]
        if not found.further:
            break
        wanted = listing.asked({"before": found.further}, personas)
    assert seen == [pseudonym(shop.pk, f"v{n}") for n in (5, 4, 3, 2, 1, 0)]


def test_a_search_row_by_row_goes_on_where_it_broke_off(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "CHUNK", 2)
    monkeypatch.setattr(listing, "LOOKED", 2)
    wanted, seen, looks = listing.Asked(bought="yes"), [], 0
    while True:
        found = listing.found(shop, wanted, {}, most=50)
        looks += 1
        seen += [row.name for row in found.rows]
        if not found.further:
            break
        wanted = listing.asked({"bought": "yes", "before": found.further}, {})
    assert (seen, looks > 2) == ([pseudonym(shop.pk, f"v{n}") for n in (4, 1)], True)


def test_the_file_has_the_rows_of_the_list(admin_client: Client, shop: Shop) -> None:
    answer = admin_client.get(reverse(LIST), {"shop": "s", "bought": "yes", "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert [(row["visit"], row["bought"], row["taken for"]) for row in rows] == [
        (pseudonym(shop.pk, "v4"), "yes", "<saver>"),
        (pseudonym(shop.pk, "v1"), "yes", "<lover>"),
    ]


def test_the_list_asks_as_often_for_many_visits_as_for_few(
    admin_client: Client, shop: Shop, django_assert_max_num_queries: Any
) -> None:
    for n in range(60):
        at = timezone.now() - dt.timedelta(seconds=n)
        Session.objects.create(shop=shop, session_id=f"m{n}", started_at=at, last_at=at, events=1, persona={"belief": {"1": 0.9}})
    for query in ({}, {"bought": "no"}, {"shift": "yes"}):
        with django_assert_max_num_queries(14):
            assert admin_client.get(reverse(LIST), {"shop": "s", **query}).status_code == 200


def test_visits_take_the_right_to_see_them(client: Client, shop: Shop) -> None:
    pk = Session.objects.earliest("pk").pk
    pages = [reverse(LIST), reverse("admin:personas_session_visit", args=[pk]), reverse("admin:personas_session_named")]
    pages += [reverse("admin:personas_session_items", args=[shop.pk])]
    assert {client.get(at).status_code for at in pages} == {302}
    nobody = viewer("view_item")
    assert {nobody.get(at).status_code for at in pages} == {403}


def test_a_name_leads_to_its_visit_and_one_that_is_not_there_yet_is_waited_for(admin_client: Client, shop: Shop) -> None:
    at = reverse("admin:personas_session_named")
    row = Session.objects.get(session_id="v2")
    found = admin_client.get(at, {"shop": "s", "name": pseudonym(shop.pk, "v2"), "follow": "1"})
    assert found["location"] == reverse("admin:personas_session_visit", args=[row.pk]) + "?follow=1"
    missing = admin_client.get(at, {"shop": "s", "name": "feedbeef00"})
    assert (missing.status_code, "looks again by itself" in text_of(missing)) == (202, True)


def test_the_path_of_a_visit_is_whom_it_was_surely_taken_for_in_order() -> None:
    """Told once, however often and in what parts its records are delivered."""
    beliefs = ({7: 0.4, 8: 0.3}, {7: 0.8}, {7: 0.9}, {8: 0.7}, {7: 0.45}, {8: 0.9}, {7: 0.6})
    records = [make_record(1, "v", n, belief=belief, at=NOW + n) for n, belief in enumerate(beliefs)]
    whole = _path({}, records)
    assert whole == [7, 8, 7]
    part: dict[str, Any] = {"path": _path({}, records[:4]), "at": records[3].at}
    assert _path(part, records) == whole
    assert _path({"path": whole, "at": records[-1].at}, records) == whole


# One visit


async def test_a_course_is_the_replay_kept_or_not(engine: Engine, here: Process, shelf: Any) -> None:
    """Oracle: `stories.tell`, the replay that the API tells; every state and every number is the same, from Redis too."""
    await sync_to_async(make_shop)(engine)
    await live_through(here, engine)

    def check() -> None:
        session = Session.objects.select_related("shop", "shopper").get()
        story = stories.tell(session)
        for kept in (False, True):
            client = releases.redis_client()
            assert bool(client.exists(course_key(session.pk))) == kept
            found = course_of(session)
            assert found.last == len(story.steps)
            for number, step in enumerate(story.steps, 1):
                assert found.standings[number].reading == step.after
                assert found.state(number) == step.state
                assert found.step(number).after == step.after
                assert found.step(number).evidence.time.tolist() == step.evidence.time.tolist()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(courses, "EVERY", 2)
        await sync_to_async(check)()


async def test_without_redis_the_course_is_replayed_each_time(
    engine: Engine, here: Process, shelf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sync_to_async(make_shop)(engine)
    await live_through(here, engine)

    def check() -> None:
        session = Session.objects.select_related("shop", "shopper").get()
        whole = course_of(session).standings
        monkeypatch.setattr(releases, "redis_client", lambda: redis.Redis(port=1))
        assert course_of(session).standings == whole

    await sync_to_async(check)()


async def test_what_would_have_been_is_the_counterfactual(engine: Engine, here: Process, shelf: Any) -> None:
    """Oracle: `counterfactual`, which replays both courses whole, at the step and at the end, for every kind of change."""
    await sync_to_async(make_shop)(engine)
    await live_through(here, engine)

    def check() -> None:
        session = Session.objects.select_related("shop", "shopper").get()
        found = course_of(session)
        items = [Edit("insert", "e2", "add_to_cart", int(engine.catalogue.item_ids[40])), Edit("insert", "", "view_item", 5)]
        ends = [Edit("remove", "e0"), Edit("remove", "e5")]
        for changed in ([Edit("remove", "e4")], [Edit("replace", "e1", "", 61)], items, ends):
            request = Request(now=0.0, count=6)
            whole = counterfactual(found.engine, _past(found), changed, request=request, slates=99)
            for step in range(found.last + 1):
                both = beside(found, changed, step, request)
                place = max(j for i, j in _until(whole.pairs, step) if j is not None)
                assert both.here.was.belief == whole.was[step].belief
                assert both.here.would.belief == whole.would[place].belief
                assert both.end.would.belief == whole.would[-1].belief
                assert both.here.would.state == whole.would[place].state
                assert [s.reading.belief for s in both.standings] == [m.belief for m in whole.would]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(courses, "EVERY", 2)
        patch.setattr("recommendations.visits.beside.EVERY", 2)
        await sync_to_async(check)()


def _until(pairs: Any, step: int) -> list[tuple[int | None, int | None]]:
    """The pairs up to the next event of the course as it was."""
    kept = []
    for was, would in pairs:
        if was is not None and was > step:
            break
        kept.append((was, would))
    return kept


def _past(found: Course) -> Past:
    return stories.past_of(found.engine, found.session.shop, found.past._replace(earlier={}))


async def test_the_page_of_a_visit(engine: Engine, here: Process, shelf: Any, django_assert_max_num_queries: Any) -> None:
    await sync_to_async(make_shop)(engine)
    await live_through(here, engine)
    await sync_to_async(_walked)(django_assert_max_num_queries)


def _walked(django_assert_max_num_queries: Any) -> None:
    session = Session.objects.get()
    at = reverse("admin:personas_session_visit", args=[session.pk])
    staff = viewer("view_servedslate", "view_session", "view_item", "view_itemcluster")
    slate = ServedSlate.objects.order_by("at")[3]
    with django_assert_max_num_queries(20):
        answer = staff.get(at, {"step": 3})
    words, page = text_of(answer), answer.content.decode()
    assert "Step 3 of 6" in words
    assert session.session_id not in page, "names stand for visits"
    assert "as it was served" in words
    for entry in slate.items:
        assert reverse("admin:recommendations_servedslate_why", args=[slate.pk, entry["item"]]) in page
    assert f"{at}?step=2" in page
    assert f"{at}?step=4" in page
    assert "The start" in text_of(staff.get(at, {"step": 0}))
    assert "Step 6 of 6" in text_of(staff.get(at))
    assert "Step 6 of 6" in text_of(staff.get(at, {"step": "999"}))
    part = staff.get(at, {"step": 3}, headers={"x-part": "1"}).content.decode()
    assert part.lstrip().startswith("<main")
    assert len(part) < len(page)
    few = viewer("view_session")
    told_few = few.get(at, {"step": 3}).content.decode()
    assert reverse("admin:recommendations_servedslate_why", args=[slate.pk, slate.items[0]["item"]]) not in told_few
    assert "/admin/clusters/item/" not in told_few

    # What if
    moved = staff.get(at, {"step": 5, "op": "in", "kind": "add_to_cart", "what": "sku-61", "edit": "out:1"})
    assert moved["location"] == f"{at}?step=5&edit=out%3A1&edit=in%3A5%3Aadd_to_cart%3Asku-61"
    with django_assert_max_num_queries(24):
        answer = staff.get(moved["location"])
    words, page = text_of(answer), answer.content.decode()
    assert "What would have been" in words
    assert "With these two changes, " in words
    assert f"{at}?step=5&amp;edit=in%3A5%3Aadd_to_cart%3Asku-61" in page, "the first undone"
    assert f"{at}?step=5&amp;edit=out%3A1" in page, "the second undone"
    one = text_of(staff.get(at, {"step": 5, "edit": "out:5"}))
    assert re.search(r"Without the look at “[^”]+”, .* would have been \d+ in 100 instead of \d+", one)
    for edit, reason in (
        ("out:99", "“99” is no step of this visit: they are 1 to 6"),
        ("sideways:1", "is none of out:STEP"),
        ("as:2:view_item:<none>", "the catalogue has no item “<none>”"),
        ("as:2::", "say what the event is to be"),
        ("in:2:view_item:", "view_item needs an item"),
        ("in:2:search:", "a search needs words"),
    ):
        answer = staff.get(at, {"step": 2, "edit": edit})
        assert (answer.status_code, reason in text_of(answer)) == (200, True), edit
        assert "What would have been" not in text_of(answer)
    assert "there are 21 changes" in text_of(staff.get(at, {"edit": ["out:1"] * 21}))
    title = Session.objects.get().shop
    by_title = edits.items_of(title, {"sku-61", engine_title(title)})
    assert set(by_title) == {"sku-61", engine_title(title)}

    # Releases that are gone, or not those of then
    Session.objects.update(last_at=timezone.now())
    assert staff.get(at, {"follow": "1", "have": "6"}).status_code == 204
    assert staff.get(at, {"follow": "1", "have": "5"}).status_code == 200
    assert "As it would be taken today" in text_of(staff.get(at))
    ServedSlate.objects.filter(pk=slate.pk).update(versions={"release": "0"})
    assert "It was served on releases 1, 0: all of it is told on 1." in text_of(staff.get(at))
    ServedSlate.objects.update(versions={"release": "9"})
    words = text_of(staff.get(at))
    assert "Release 9 can't be read any more: told on release 1." in words
    assert "What was served then is shown as it was logged." in words
    ServedSlate.objects.all().delete()
    assert "nobody knows which release served it" in text_of(staff.get(at))
    ArchivedEvent.objects.all().delete()
    assert "No event of this visit is archived." in text_of(staff.get(at))
    assert staff.get(reverse("admin:personas_session_visit", args=[999_999])).status_code == 404


def engine_title(shop: Shop) -> str:
    """A title of the shop's in another case."""
    from clusters.models import Item

    return Item.objects.filter(shop=shop).earliest("pk").title.upper()


async def test_a_sentence_says_what_differs_and_when_nothing_does(engine: Engine, here: Process, shelf: Any) -> None:
    await sync_to_async(make_shop)(engine)
    await live_through(here, engine)

    def check() -> None:
        found = course_of(Session.objects.select_related("shop", "shopper").get())
        names = found.engine.personas.archetype_names
        same = beside(found, [], 3, Request(now=0.0))
        assert told(same.here, names, ["without x, step 9"]) == "Without x, nothing would have been another here."
        both = beside(found, [Edit("remove", "e4")], 5, Request(now=0.0))
        words = told(both.here, names, ["without the look at “A”, step 5"])
        assert words.startswith("Without the look at “A”, ")
        gone = len(both.here.gone)
        assert (f"{SMALL[gone]} of twelve items would differ" in words) == bool(gone)

    await sync_to_async(check)()
