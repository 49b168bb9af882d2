"""The Data pages: what a file brings and what not, what the catalogue lacks, what searches find, a training that is cancelled."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import re
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from clusters.models import ClusterMembership, Item, ItemCluster
from personas import importing
from personas.models import ArchivedEvent, Shop
from recommendations import daily, file_imports, run_records, tasks
from recommendations.desk import data
from recommendations.file_imports import HandInError
from recommendations.management.training_command import told_on_console
from recommendations.models import AuditEntry, DayTally, FileImport, Release, TrainingRun
from recommendations.run_records import TrainingCancelled
from recsite.celery import app

pytestmark = pytest.mark.usefixtures("redis_client")

ITEMS = b"item_id,title,category,price\na,Red skirt,skirts,20\nb,Blue skirt,skirts,dear\nc,Hat,hats,9\n"
EVENTS = (
    b"session_id,event_id,timestamp,event_type,item_id,search_term\n"
    b"s1,1,2023-11-15T12:00:00Z,view_item,a,\ns1,2,2023-11-15T12:01:00Z,search,,Red skirts\ns1,3,yesterday,view_item,a,\n"
)


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop.objects.create(slug="fashion", name="Fashion")


@pytest.fixture
def by(db: None) -> User:
    return User.objects.create_superuser("anna", password="secret")


@pytest.fixture
def page(client: Client, by: User) -> Client:
    client.force_login(by)
    return client


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[object, ...]]]:
    """What was put into the queue; the broker is not ours."""
    tasks: list[tuple[str, tuple[object, ...]]] = []
    monkeypatch.setattr(app, "send_task", lambda name, args=(), **_: tasks.append((name, tuple(args))))
    return tasks


def address(name: str, *args: object) -> str:
    return reverse(f"admin:recommendations_fileimport_{name}", args=args)


def hand_in(shop: Shop, by: User, kind: str, content: bytes, **more: bool) -> FileImport:
    row = file_imports.begin(shop, kind, "goods.csv", len(content), by=by, **more)
    file_imports.take_piece(row, 0, [content])
    return row


def imported(shop: Shop, by: User, kind: str, content: bytes, **more: bool) -> FileImport:
    row = hand_in(shop, by, kind, content, **more)
    assert file_imports.run(row.pk)
    row.refresh_from_db()
    return row


# Imports


def test_good_lines_are_taken_and_bad_ones_told_with_their_reasons(shop: Shop, by: User, page: Client) -> None:
    row = imported(shop, by, "items", ITEMS)
    assert (row.state, row.progress, row.rejected) == ("done", 1.0, 1)
    assert {name: row.counts[name] for name in ("read", "added", "known")} == {"read": 3, "added": 2, "known": 0}
    assert set(Item.objects.values_list("external_id", flat=True)) == {"a", "c"}
    assert not file_imports.file_of(row).exists(), "what was read is not kept"
    text = b"".join(page.get(address("rejected", row.pk)).streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    assert list(csv.reader(io.StringIO(text)))[1][:2] == ["3", "price"]


def test_a_file_that_is_handed_in_again_changes_nothing(shop: Shop, by: User) -> None:
    imported(shop, by, "items", gzip.compress(ITEMS))
    before = list(Item.objects.values_list("pk", "external_id", "title"))
    row = imported(shop, by, "items", ITEMS)
    assert (row.counts["added"], row.counts["known"]) == (0, 2)
    assert list(Item.objects.values_list("pk", "external_id", "title")) == before


def test_events_are_counted_by_the_day_under_their_origin(shop: Shop, by: User) -> None:
    imported(shop, by, "items", ITEMS)
    row = imported(shop, by, "events", EVENTS)
    assert (row.state, row.rejected, ArchivedEvent.objects.count()) == ("done", 1, 2)
    item = str(Item.objects.get(external_id="a").pk)
    rows = DayTally.objects.values_list("day", "measure", "key", "origin", "value")
    day = dt.date(2023, 11, 15)
    assert set(rows) == {(day, "item_view", item, "import", 1.0), (day, "search", "red skirt", "import", 1.0)}


@pytest.mark.parametrize(
    ("kind", "content", "rejected"),
    [("items", ITEMS, 1), ("events", EVENTS, 1), ("clusters", b"cluster,item_id\nSkirts,a\nSkirts,nobody\n", 1)],
)
def test_a_check_says_what_an_import_would_and_changes_nothing(
    shop: Shop, by: User, kind: str, content: bytes, rejected: int
) -> None:
    Item.objects.create(shop=shop, external_id="a")
    row = imported(shop, by, kind, content, check=True)
    assert (row.state, row.rejected, row.counts["check"]) == ("done", rejected, True)
    assert (Item.objects.count(), ArchivedEvent.objects.count(), ItemCluster.objects.count()) == (1, 0, 0)
    real = imported(shop, by, kind, content)
    assert (real.rejected, real.counts["added"]) == (row.rejected, row.counts["added"])


@pytest.mark.parametrize(
    ("kind", "content", "why"),
    [
        ("items", b"\x00\x01\x02", ""),
        ("items", b"item_id,price\na,dear\n", "Nothing of it could be taken."),
        ("events", gzip.compress(EVENTS * 50)[:-40], "breaks off"),
    ],
)
def test_a_file_that_is_none_fails_and_says_why(shop: Shop, by: User, kind: str, content: bytes, why: str) -> None:
    row = imported(shop, by, kind, content)
    assert row.state == "failed"
    assert row.error
    assert why in row.error
    assert str(settings.DATA_DIR) not in row.error, "the page names no path of ours"


def test_pieces_in_any_breakage_make_the_file(shop: Shop, by: User) -> None:
    row = file_imports.begin(shop, "items", "../../etc/goods.csv", len(ITEMS), by=by)
    assert row.name == "goods.csv"
    assert file_imports.take_piece(row, 0, [ITEMS[:20], ITEMS[20:40]]) == 40
    assert file_imports.take_piece(row, 0, [ITEMS[:40]]) == 40, "its answer was lost, so that it came again"
    with pytest.raises(HandInError, match="too early"):
        file_imports.take_piece(row, 41, [b"x"])
    assert not file_imports.run(row.pk), "not before all of it is there"
    with pytest.raises(HandInError, match="more was sent|More was sent"):
        file_imports.take_piece(row, 40, [ITEMS])
    assert file_imports.take_piece(row, 40, [ITEMS[40:]]) == len(ITEMS)
    assert file_imports.file_of(row).read_bytes() == ITEMS
    with pytest.raises(HandInError, match="already"):
        file_imports.take_piece(row, 0, [b"x"])


def test_files_too_large_or_of_nothing_are_refused(shop: Shop, by: User, settings: Settings) -> None:
    settings.IMPORT_MAX_BYTES = 1_000_000
    for size, kind in ((0, "items"), (1_000_001, "items"), (5, "people")):
        with pytest.raises(HandInError):
            file_imports.begin(shop, kind, "x.csv", size, by=by)
    assert not FileImport.objects.exists()


def test_one_that_waits_is_cancelled_at_once_and_one_that_runs_at_its_next_step(
    shop: Shop, by: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = hand_in(shop, by, "items", ITEMS)
    file_imports.cancel(waiting, "anna")
    assert not file_imports.run(waiting.pk)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.error) == ("failed", "Cancelled by anna.")
    monkeypatch.setattr(file_imports, "TELL_S", 0.0)
    running = hand_in(shop, by, "items", ITEMS)
    plain = file_imports.import_catalogue

    def cancelled_on_the_way(*args: object, **options: object) -> object:
        running.refresh_from_db()
        assert file_imports.under_way([running]) == {running.pk}
        with pytest.raises(HandInError, match="under way"):
            file_imports.again(running)
        file_imports.cancel(running, "bob")
        return plain(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(file_imports, "import_catalogue", cancelled_on_the_way)
    assert file_imports.run(running.pk)
    running.refresh_from_db()
    assert (running.state, running.error) == ("failed", "Cancelled by bob; what was taken by then stays.")
    with pytest.raises(HandInError, match="ended"):
        file_imports.cancel(running, "bob")


def test_an_import_whose_worker_was_killed_is_run_again(shop: Shop, by: User, page: Client, sent: list[object]) -> None:
    row = hand_in(shop, by, "items", ITEMS)
    FileImport.objects.filter(pk=row.pk).update(state="running", progress=0.4)
    body = page.get(address("changelist")).content.decode()
    assert "Its worker ended before it was done" in body
    page.post(address("again", row.pk))
    assert sent == [(file_imports.TASK, (row.pk,))]
    assert file_imports.run(row.pk)
    assert Item.objects.count() == 2


def test_an_import_that_was_cancelled_and_interrupted_runs_to_its_end_when_it_is_run_again(shop: Shop, by: User) -> None:
    row = hand_in(shop, by, "items", ITEMS)
    row.state, row.counts = "running", {**row.counts, "cancelled": "anna"}
    row.save()
    file_imports.again(row)
    assert file_imports.run(row.pk)
    row.refresh_from_db()
    assert (row.state, "cancelled" in row.counts) == ("done", False)


def test_a_packed_file_of_bad_lines_neither_fills_the_disk_nor_goes_on_when_it_is_cancelled(
    shop: Shop, by: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "WRITTEN_REJECTS", 100)
    bad = b"item_id,title\n" + b"x\n" * 12_000
    row = imported(shop, by, "items", gzip.compress(bad))
    assert (row.state, row.rejected, len(list(file_imports.rejected(row)))) == ("failed", 12_000, 100)
    row = hand_in(shop, by, "items", gzip.compress(bad))
    row.counts = {**row.counts, "cancelled": "anna"}
    row.save()
    assert file_imports.run(row.pk)
    row.refresh_from_db()
    assert row.error == "Cancelled by anna; what was taken by then stays."


def test_a_file_for_which_the_disk_has_no_room_is_refused(shop: Shop, by: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_imports, "SPARE_BYTES", 10**18)
    with pytest.raises(HandInError, match="no room"):
        file_imports.begin(shop, "items", "goods.csv", 10, by=by)
    assert not FileImport.objects.exists()


def test_reasons_which_may_quote_shoppers_are_for_those_who_import(shop: Shop, by: User, client: Client) -> None:
    row = imported(shop, by, "items", ITEMS)
    viewer = User.objects.create_user("vera", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_fileimport"))
    client.force_login(viewer)
    body = client.get(address("changelist")).content.decode()
    assert "1 not taken" in body
    assert "Why lines were not taken" not in body
    assert client.get(address("rejected", row.pk)).status_code == 403


def test_what_was_rejected_is_kept_for_a_month_and_what_never_came_is_given_up(shop: Shop, by: User, page: Client) -> None:
    old, half = imported(shop, by, "items", ITEMS), file_imports.begin(shop, "items", "half.csv", 10, by=by)
    FileImport.objects.filter(pk=old.pk).update(finished_at=timezone.now() - dt.timedelta(days=31))
    FileImport.objects.filter(pk=half.pk).update(started_at=timezone.now() - dt.timedelta(hours=3))
    folder = file_imports.folder_of(old)
    assert folder.exists()
    tasks.expire_all_shops()  # every night
    half.refresh_from_db()
    assert not folder.exists()
    assert (half.state, half.error) == ("failed", "The file was not sent to its end.")
    assert "kept 30 days" in page.get(address("rejected", old.pk), follow=True).content.decode()
    assert Path(settings.DATA_DIR, "imports").exists(), "an empty folder's name is not taken for one of a file"


def test_a_file_is_handed_in_by_the_page_in_pieces(shop: Shop, page: Client, sent: list[object]) -> None:
    about = {"shop": "fashion", "kind": "items", "name": "goods.csv", "size": str(len(ITEMS))}
    answer = page.post(address("begin"), about)
    to = answer.json()["piece"]
    for at in range(0, len(ITEMS), 30):
        assert page.post(f"{to}?offset={at}", ITEMS[at : at + 30], "application/octet-stream").status_code == 200
    row = FileImport.objects.get()
    assert sent == [(file_imports.TASK, (row.pk,))]
    assert file_imports.file_of(row).read_bytes() == ITEMS
    assert page.post(address("begin"), about | {"size": "0"}).json() == {"error": "The file is empty."}
    assert page.post(f"{to}?offset=x", b"", "application/octet-stream").status_code == 422
    assert page.post(f"{to}?offset=0", b"x", "application/octet-stream").status_code == 409


def test_an_import_of_its_own_address_leads_to_the_list(shop: Shop, by: User, page: Client) -> None:
    row = hand_in(shop, by, "items", ITEMS)
    assert page.get(address("change", row.pk))["Location"] == f"{address('changelist')}?shop=fashion"
    assert [page.get(address("change", pk)).status_code for pk in (row.pk + 1, "x")] == [404, 404]


def test_a_file_is_handed_in_without_scripts(shop: Shop, page: Client, sent: list[object]) -> None:
    file = io.BytesIO(ITEMS)
    file.name = "goods.csv"
    told = page.post(address("hand_in"), {"shop": "fashion", "kind": "items", "file": file}, follow=True)
    assert "It waits for a worker" in told.content.decode()
    assert len(sent) == 1
    assert "Choose a file." in page.post(address("hand_in"), {"shop": "fashion", "kind": "items"}, follow=True).content.decode()


# The catalogue and searches


def test_gaps_are_counted_and_their_items_listed(shop: Shop, page: Client) -> None:
    whole = Item.objects.create(shop=shop, external_id="w", title="Whole", category="hats", price=5)
    bare = Item.objects.create(shop=shop, external_id="b", title="Bare", in_stock=False)
    gone = ItemCluster.objects.create(shop=shop, name="Gone", retired_at=timezone.now())
    ClusterMembership.objects.create(cluster=ItemCluster.objects.create(shop=shop, name="Hats"), item=whole)
    ClusterMembership.objects.create(cluster=gone, item=bare)
    today = timezone.now().astimezone(dt.UTC).date()
    seen = [(whole, today, "simulated"), (bare, today - dt.timedelta(days=29), "live"), (bare, today, "import")]
    for item, day, origin in seen:
        DayTally.objects.create(shop=shop, day=day, measure="item_seen", key=str(item.pk), origin=origin, value=1)
    found = data.coverage(shop)
    assert {gap.key: n for gap, n in found.gaps} == {"cluster": 1, "unseen": 1, "stock": 1, "price": 1, "category": 1}
    for gap in data.GAPS:
        assert list(data.lacking(shop, gap.key, "", "")) == [bare]
    body = page.get(address("coverage"), {"gap": "cluster"}).content.decode()
    assert "Bare" in body
    assert "Whole" not in body
    assert "Whole" in page.get(address("coverage"), {"q": "who"}).content.decode()
    lines = b"".join(page.get(address("coverage"), {"gap": "price", "format": "csv"}).streaming_content).decode()  # type: ignore[attr-defined]
    assert len(lines.splitlines()) == 2


def test_searches_say_what_they_find_and_how_they_are_read(shop: Shop, page: Client) -> None:
    for name in ("Red skirt", "Red hat", "Blue skirt"):
        Item.objects.create(shop=shop, external_id=name, title=name, category=name.split()[1])
    today = timezone.now().astimezone(dt.UTC).date()
    for term, times in (("red skirt", 5), ("skrit", 3), ("trombone", 9), ("red trombone", 1)):
        DayTally.objects.create(shop=shop, day=today, measure="search", key=term, origin="live", value=times)
    terms, total = data.terms(shop, 7)
    told = {term.term: term for term in terms}
    assert [term.term for term in terms] == ["trombone", "red skirt", "skrit", "red trombone"]
    assert total == 18
    assert (told["trombone"].found, told["trombone"].missing) == (0, ("trombone",))
    assert (told["skrit"].found, told["skrit"].read_as) == (2, "skirt")
    assert told["red trombone"].loosely
    body = page.get(address("searches"), {"only": "none"}).content.decode()
    assert re.findall(r'<th scope="row">(.*?)</th>', body) == ["trombone"]
    assert "no item has “trombone”" in body


def test_searches_that_lead_to_few_looks_are_found(shop: Shop, page: Client) -> None:
    for name in ("Red skirt", "Blue hat", "Green hat"):
        Item.objects.create(shop=shop, external_id=name, title=name)
    today = timezone.now().astimezone(dt.UTC).date()
    terms = (("red skirt", 20, 3), ("blue hat", 20, 4), ("green hat", 4, 0), ("trombone", 50, 0))
    for term, times, _ in terms:
        DayTally.objects.create(shop=shop, day=today, measure="search", key=term, origin="live", value=times)
    listed = r'<th scope="row">(.*?)</th>'
    body = page.get(address("searches"), {"only": "few"}).content.decode()
    assert re.findall(listed, body) == ["blue hat", "red skirt"], "none is known to have led on"
    assert "is counted from now on" in body
    for term, _, led in terms:
        DayTally.objects.create(shop=shop, day=today, measure="search_led", key=term, origin="live", value=led)
    body = page.get(address("searches"), {"only": "few"}).content.decode()
    assert re.findall(listed, body) == ["red skirt"], "15 of 100; what finds nothing is told elsewhere"
    assert re.findall(listed, page.get(address("searches"), {"only": "few", "least": "4", "under": "21"}).content.decode()) == [
        "blue hat",
        "red skirt",
        "green hat",
    ]
    assert "1 led to an item in fewer than 20 of 100" in page.get(address("searches")).content.decode()
    for odd in ("x", "-1", "", "9" * 30, "²"):
        assert page.get(address("searches"), {"only": "few", "least": odd, "under": odd}).status_code == 200
    found = page.get(address("searches"), {"only": "few", "format": "csv"})
    lines = b"".join(found.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert lines[1].startswith("red skirt,20,3,15.0,1,")


def test_searches_of_before_it_was_counted_do_not_pass_for_such_as_led_nowhere(shop: Shop, page: Client) -> None:
    """As after an upgrade at noon four days ago: 40 of the 50 searches were before, or that morning."""
    Item.objects.create(shop=shop, external_id="hat", title="Blue hat")
    today = timezone.now().astimezone(dt.UTC).date()
    told = ((5, "search", 20), (4, "search", 20), (4, "search_led", 1), (1, "search", 10), (1, "search_led", 9))
    for back, measure, value in told:
        day = today - dt.timedelta(days=back)
        DayTally.objects.create(shop=shop, day=day, measure=measure, key="blue hat", origin="live", value=value)
    body = page.get(address("searches"), {"only": "few"}).content.decode()
    assert '<th scope="row">blue hat' not in body
    found = page.get(address("searches"), {"format": "csv"})
    lines = b"".join(found.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert lines[1].startswith("blue hat,50,9,90.0,")
    DayTally.objects.filter(shop=shop, day=today - dt.timedelta(days=1)).delete()
    DayTally.objects.filter(shop=shop, measure="search_led").update(day=today)
    assert "is counted from now on" in page.get(address("searches")).content.decode(), "of no whole day yet"
    assert '<th scope="row">blue hat' not in page.get(address("searches"), {"only": "few"}).content.decode()
    lines = b"".join(page.get(address("searches"), {"format": "csv"}).streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert lines[1].startswith("blue hat,40,0,0.0,")


# Trainings


def test_a_training_is_asked_for_cancelled_and_told(
    shop: Shop, page: Client, sent: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    to = page.post(address("training_start", shop.pk), {"kind": "all"})
    assert sent == [("recommendations.tasks.train_shop", (shop.pk,))]
    assert "It waits for a worker" in page.get(to["Location"]).content.decode()
    assert AuditEntry.objects.filter(action="asked", what="Asked for a training of everything.").exists()
    clock = iter(range(0, 1_000, 2))
    monkeypatch.setattr(run_records.time, "perf_counter", lambda: float(next(clock)))

    def work(run: TrainingRun, tell: object) -> Release:
        assert "ends at its next step" not in page.get(address("training")).content.decode()
        page.post(address("training_cancel", run.pk))
        assert "It ends at its next step" in page.get(address("training")).content.decode()
        tell("fitting", 0.5)  # type: ignore[operator]
        raise AssertionError("it went on")

    with pytest.raises(TrainingCancelled):
        run_records.on_record(shop, TrainingRun.Kind.ALL, None, work)
    run = TrainingRun.objects.get()
    assert (run.state, run.error) == ("failed", "cancelled by anna")
    with pytest.raises(CommandError, match="cancelled by anna"), told_on_console("training"):
        raise TrainingCancelled(run.error)
    assert "cancelled by anna" in page.get(address("training")).content.decode()
    assert "It has ended already" in page.post(address("training_cancel", run.pk), follow=True).content.decode()


def test_the_next_run_is_not_cancelled_with_the_last(shop: Shop) -> None:
    release = Release.objects.create(shop=shop, number=1)
    first = TrainingRun.objects.create(shop=shop, kind="all")
    run_records.cancel(first, "anna")
    run = run_records.on_record(shop, TrainingRun.Kind.ALL, None, lambda run, tell: tell("fitting", 0.5) or release)  # type: ignore[func-returns-value]
    assert run.state == "done"


def test_only_what_is_there_is_fitted_or_built(shop: Shop, page: Client, sent: list[object]) -> None:
    told = page.post(address("training_start", shop.pk), {"kind": "personas"}, follow=True).content.decode()
    assert "train everything first" in told
    assert "Say what is to be trained" in page.post(address("training_start", shop.pk), follow=True).content.decode()
    assert not sent


def test_releases_tell_what_they_were_trained_from_and_how_that_went(shop: Shop, page: Client) -> None:
    metrics = {"events": 165_474, "sessions": 24_026, "items": 217}
    release = Release.objects.create(shop=shop, number=3, state="active", metrics=metrics)
    report = {
        "log_likelihood": -2.5,
        "log_likelihood_before": -2.75,
        "events": 165_474,
        "sessions": 24_026,
        "iterations": 12,
        "removed": [],
    }
    TrainingRun.objects.create(shop=shop, kind="all", state="done", release=release, report=report)
    (told,) = data.trained(shop)
    assert told.facts == "165,474 events, 24,026 visits, 217 items"
    assert "−2.750 before, −2.500 now" in told.evaluated[1]
    assert "165,474 events, 24,026 visits" in page.get(address("training")).content.decode()


# Everybody


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("changelist", "view_fileimport"),
        ("progress", "view_fileimport"),
        ("coverage", "view_item"),
        ("searches", "view_session"),
        ("training", "view_trainingrun"),
    ],
)
def test_each_page_has_its_right_and_is_there_without_a_shop(client: Client, db: None, name: str, right: str) -> None:
    staff = User.objects.create_user("staff", is_staff=True)
    client.force_login(staff)
    assert client.get(address(name)).status_code == 403
    staff.user_permissions.add(*Permission.objects.filter(codename=right))
    assert client.get(address(name)).status_code == 200


def test_looking_gives_no_right_to_act(client: Client, shop: Shop, by: User, sent: list[object]) -> None:
    row, run = hand_in(shop, by, "items", ITEMS), TrainingRun.objects.create(shop=shop)
    staff = User.objects.create_user("staff", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(staff)
    acts = [address("hand_in"), address("begin"), *(address(act, row.pk) for act in ("piece", "cancel", "again"))]
    acts += [address("training_start", shop.pk), address("training_cancel", run.pk)]
    assert [client.post(act, {"shop": "fashion"}).status_code for act in acts] == [403] * len(acts)
    assert [client.get(act).status_code for act in acts] == [405] * len(acts)
    assert not sent


def test_pages_take_as_many_queries_for_many_rows_as_for_few(
    shop: Shop, by: User, page: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(60):
        Item.objects.create(shop=shop, external_id=f"i{n}", title=f"Hat {n}")
        release = Release.objects.create(shop=shop, number=n + 1, activated_by=by)
        TrainingRun.objects.create(shop=shop, state="done", release=release)
        FileImport.objects.create(shop=shop, kind="items", name=f"{n}.csv", folder=f"f{n}", by=by, state="done")
    daily.add(shop, {(timezone.now().date(), "search", f"hat {n}", "live"): 1.0 for n in range(60)})
    for name, most in (("changelist", 12), ("coverage", 18), ("searches", 18), ("training", 18)):
        page.get(address(name))
        with django_assert_max_num_queries(most):
            assert page.get(address(name)).status_code == 200


def test_the_broker_away_is_told_and_the_file_kept(
    shop: Shop, by: User, page: Client, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    from kombu.exceptions import OperationalError

    def away(*_: object, **__: object) -> None:
        raise OperationalError

    monkeypatch.setattr(app, "send_task", away)
    row = file_imports.begin(shop, "items", "x.csv", len(ITEMS), by=by)
    answer = page.post(f"{address('piece', row.pk)}?offset=0", ITEMS, "application/octet-stream")
    assert (answer.status_code, file_imports.file_of(row).exists()) == (503, True)
    assert "be reached" in page.post(address("training_start", shop.pk), {"kind": "all"}, follow=True).content.decode()
