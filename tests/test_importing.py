"""Imports: what a file says is in the database once, whatever else the file holds."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import random
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

import clusters.importing
import personas.files
from clusters.catalogue import ItemRow, build_catalogue
from clusters.importing import import_catalogue, import_events
from clusters.models import Item
from personas import importing
from personas.events import CODE
from personas.files import FileError
from personas.importing import import_users
from personas.models import ArchivedEvent, Session, Shop, Shopper

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 1, tzinfo=UTC)

ITEMS = (
    "item_id,title,category,colour,price,tags,views\nA1,Blue skirt,skirts,blue,28.5,summer|sale,12\nB2,Plain top,blouses,,,,\n"
)
EVENTS = (
    "session_id,position,timestamp,event_type,item_id,country,price\n"
    "7,1,2008-04-01,view_item,A1,Poland,28\n"
    "7,2,2008-04-01,view,B2,Poland,\n"
    "8,1,2008-04-02,view_item,ZZ,,10\n"
)


@pytest.fixture
def shop() -> Shop:
    return Shop.objects.create(slug="s", name="S")


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_catalogue_becomes_the_rows_that_training_reads(shop: Shop, tmp_path: Path) -> None:
    report = import_catalogue(shop, written(tmp_path / "i.csv", ITEMS))
    assert (report.added, report.known, report.rejected) == (2, 0, 0)
    a, b = Item.objects.of_shop(shop).as_rows()
    assert a == ItemRow(a.item_id, "A1", "Blue skirt", "skirts", "", "blue", 28.5, True, ("summer", "sale"))
    assert b == ItemRow(b.item_id, "B2", "Plain top", "blouses", "", "", None, True, ())
    assert Item.objects.get(external_id="A1").attributes == {"views": "12"}


@pytest.mark.parametrize("column", ["cost", "cost_price", "cost_of_goods_sold"])
def test_what_an_item_costs_the_shop_is_taken_from_any_of_its_columns(shop: Shop, tmp_path: Path, column: str) -> None:
    path = tmp_path / "items.csv"
    path.write_text(f"item_id,price,{column}\na,10,4.25\nb,10,\nc,10,-1\nd,10,nan\n")
    report = import_catalogue(shop, path)
    assert [(r.line, r.field) for r in report.rejects] == [(4, "cost"), (5, "cost")]
    assert [row.cost for row in Item.objects.filter(shop=shop).as_rows()] == [4.25, None]


@pytest.mark.parametrize("column", ["regular_price", "list_price", "compare_at_price"])
def test_a_regular_price_above_the_price_makes_an_item_reduced(shop: Shop, tmp_path: Path, column: str) -> None:
    text = f"item_id,price,{column}\nA1,8,10\nB2,8,\nC3,8,-1\n"
    report = import_catalogue(shop, written(tmp_path / "i.csv", text))
    assert [r.field for r in report.rejects] == ["regular_price"]
    rows = list(Item.objects.of_shop(shop).as_rows())
    assert [r.regular_price for r in rows] == [10.0, None]
    assert build_catalogue(rows).reduced.tolist() == [True, False]


def test_catalogue_twice_keeps_ids_and_updates_only_the_columns_it_has(shop: Shop, tmp_path: Path) -> None:
    import_catalogue(shop, written(tmp_path / "i.csv", ITEMS))
    ids = dict(Item.objects.values_list("external_id", "pk"))
    report = import_catalogue(shop, written(tmp_path / "p.jsonl", '{"sku": "A1", "price": 20, "availability": "out of stock"}\n'))
    assert (report.added, report.known) == (0, 1)
    item = Item.objects.get(external_id="A1")
    assert (item.title, float(item.price or 0), item.in_stock) == ("Blue skirt", 20.0, False)
    assert dict(Item.objects.values_list("external_id", "pk")) == ids


def test_events_keep_day_position_context_and_unknown_items(shop: Shop, tmp_path: Path) -> None:
    import_catalogue(shop, written(tmp_path / "i.csv", ITEMS))
    report = import_events(shop, written(tmp_path / "e.csv", EVENTS), now=NOW)
    assert (report.read, report.added, report.rejected) == (3, 3, 0)
    session = Session.objects.get(session_id="7")
    assert (session.events, session.clock, session.origin, session.context) == (2, "day", "import", {"country": "Poland"})
    first, second = ArchivedEvent.objects.of_session(session)
    assert first.at == datetime(2008, 4, 1, tzinfo=UTC)
    assert (first.place, first.price, first.code) == (1, 28.0, CODE["view_item"])
    assert (second.place, second.price, second.item) == (2, None, Item.objects.get(external_id="B2").pk)
    unknown = ArchivedEvent.objects.get(session__session_id="8")
    assert (unknown.item, unknown.item_ref) == (0, "ZZ")
    shop.refresh_from_db()
    assert shop.settings["clock"] == "day"


@pytest.mark.parametrize("compressed", [False, True])
def test_events_twice_change_nothing(shop: Shop, tmp_path: Path, compressed: bool) -> None:
    content = gzip.compress(EVENTS.encode()) if compressed else EVENTS.encode()
    path = written(tmp_path / "events", content)
    import_events(shop, path, now=NOW)
    before = list(ArchivedEvent.objects.order_by("pk").values()), list(Session.objects.order_by("pk").values())
    report = import_events(shop, path, now=NOW)
    assert (report.added, report.known, report.failed) == (0, 3, False)
    assert (list(ArchivedEvent.objects.order_by("pk").values()), list(Session.objects.order_by("pk").values())) == before


def test_repeated_line_without_position_counts_twice_and_stays_so(shop: Shop, tmp_path: Path) -> None:
    line = "536365,17850,2010-12-01T08:26:00Z,purchase,85123A,6,2.55\n"
    path = written(tmp_path / "e.csv", "session_id,user_id,timestamp,event_type,item_id,quantity,price\n" + line * 2)
    assert import_events(shop, path, now=NOW).added == 2
    assert import_events(shop, path, now=NOW).added == 0
    event = ArchivedEvent.objects.first()
    assert event is not None
    assert event.session.shopper == Shopper.objects.get(external_id="17850")
    assert (event.quantity, event.place) == (6.0, 1_291_191_960_000_000)


def test_return_with_negative_quantity_is_a_refund(shop: Shop, tmp_path: Path) -> None:
    rows = "session_id,timestamp,event_type,item_id,quantity\nC1,1291196940,return,A,-12\nC2,1291196940,purchase,A,-12\n"
    report = import_events(shop, written(tmp_path / "e.csv", rows), now=NOW)
    assert [(r.line, r.field) for r in report.rejects] == [(3, "quantity")]
    event = ArchivedEvent.objects.get()
    assert (event.code, event.quantity) == (CODE["refund"], 12.0)


@pytest.mark.parametrize(
    "stamp", ["2020-06-20T16:44:01.250Z", "2020-06-20 18:44:01.250+02:00", "1592671441.25", "1592671441250", "1592671441250000"]
)
def test_times_in_every_form_are_the_same_moment(shop: Shop, tmp_path: Path, stamp: str) -> None:
    import_events(shop, written(tmp_path / "e.csv", f"session,time,event,item\n1,{stamp},view,A\n"), now=NOW)
    [row] = ArchivedEvent.objects.for_training(shop)
    assert row[3] == pytest.approx(1_592_671_441.25, abs=1e-6)


def test_training_reads_by_session_and_place_to_the_microsecond(shop: Shop, tmp_path: Path) -> None:
    lines = ["b,3,1592671441.000001", "a,2,1592671443.5", "b,1,1592671442", "a,1,1592671444"]
    head = "session_id,position,timestamp\n"
    rows = "\n".join(f"{line},view_item,A" for line in lines)
    path = written(tmp_path / "e.csv", head.replace("\n", ",event_type,item_id\n") + rows)
    import_events(shop, path, now=NOW)
    names = {s.pk: s.session_id for s in Session.objects.all()}
    assert [(names[r[0]], r[4], round(r[3], 6)) for r in ArchivedEvent.objects.for_training(shop)] == [
        ("b", 1, 1592671442.0),
        ("b", 3, 1592671441.000001),
        ("a", 1, 1592671444.0),
        ("a", 2, 1592671443.5),
    ]


def test_order_without_any_clock_is_kept_and_said(shop: Shop, tmp_path: Path) -> None:
    path = written(tmp_path / "e.csv", "session_id,position,item_id\n1,2,A\n1,1,B\n2,,C\n")
    report = import_events(shop, path, now=NOW)
    assert [(r.line, r.field) for r in report.rejects] == [(4, "timestamp")]
    session = Session.objects.get()
    assert session.clock == "order"
    assert [e.item_ref for e in ArchivedEvent.objects.of_session(session)] == ["B", "A"]
    assert shop.settings["clock"] == "order"


def test_json_lines_of_the_api_form_keep_lists_and_slots(shop: Shop, tmp_path: Path) -> None:
    import_catalogue(shop, written(tmp_path / "i.csv", ITEMS))
    record = {
        "session_id": "1",
        "event_id": "e1",
        "name": "view_item_list",
        "timestamp": 1592671441,
        "recommendation_id": "r",
        "items": [{"item_id": "B2", "index": 4}, {"item_id": "nope", "index": 5}],
        "context": {"device": "phone"},
    }
    import_events(shop, written(tmp_path / "e.jsonl", json.dumps(record) + "\n"), now=NOW)
    event = ArchivedEvent.objects.get()
    b2 = Item.objects.get(external_id="B2").pk
    assert (event.event_id, event.item, event.item_ref) == ("e1", b2, "B2")
    assert event.data == {"items": [b2, 0], "slots": [4, 5], "recommendation_id": "r"}
    assert event.session.context == {"device": "phone"}


def test_future_event_is_dated_now_and_marked(shop: Shop, tmp_path: Path) -> None:
    report = import_events(
        shop, written(tmp_path / "e.csv", "session_id,timestamp,event_type,item_id\n1,2099-01-01,view_item,A\n"), now=NOW
    )
    event = ArchivedEvent.objects.get()
    assert (event.at, event.data) == (NOW, {"clock_ahead": True})
    assert any("future" in note for note in report.notes)


HOSTILE = [
    b"",
    b",,,,",
    b"1,2020-01-01,view_item",
    b"1,2020-01-01,view_item,A,1,extra",
    b"\xff\xfe,2020-01-01,view_item,A,1",
    b'"1,2020-01-01,view_item,A,1',
    b'"1" x,2020-01-01,view_item,A,1',
    b"1,yesterday,view_item,A,1",
    b"1,1999-12-31,view_item,A,1",
    b"1,0001-01-01,view_item,A,1",
    b"1,99999-01-01,view_item,A,1",
    b"1,-5,view_item,A,1",
    b"1,1e400,view_item,A,1",
    b"1,2020-01-01,DROP TABLE,A,1",
    b"1,2020-01-01,,A,1",
    b"1,2020-01-01,view_item,,1",
    b"1,2020-01-01,view_item,A,NaN",
    b"1,2020-01-01,view_item,A,inf",
    b"1,2020-01-01,view_item,A,-1",
    b"1,2020-01-01,view_item,A,28;50",
    b"1,2020-01-01,view_item,A,1e300",
    b"1,2020-01-01,search,A,1",
    b"1\x00,2020-01-01,view_item,A,1",
    b"1\x07,2020-01-01,view_item,A,1",
    b"x" * 129 + b",2020-01-01,view_item,A,1",
    b"1,2020-01-01,view_item," + b"y" * 129 + b",1",
    b"z" * 1_200_000,
]


def test_hostile_lines_cost_only_themselves(shop: Shop, tmp_path: Path) -> None:
    good = b"good,2020-01-01T00:00:%02d,view_item,A,1"
    lines = [b"session_id,timestamp,event_type,item_id,price"]
    for i in range(100):
        lines += [HOSTILE[i % len(HOSTILE)], good % (i % 60)]
    rejects = tmp_path / "rejects.csv"
    report = import_events(shop, written(tmp_path / "e.csv", b"\n".join(lines)), now=NOW, rejects=rejects)
    blank = sum(HOSTILE[i % len(HOSTILE)] == b"" for i in range(100))
    assert (report.added, report.rejected) == (100, 100 - blank)
    assert ArchivedEvent.objects.count() == 100
    assert len(report.rejects) == 20
    with rejects.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == report.rejected
    assert {int(r["line"]) for r in rows} == {2 + 2 * i for i in range(100) if HOSTILE[i % len(HOSTILE)] != b""}
    by_line = {int(r["line"]): (r["field"], r["reason"]) for r in rows}
    assert by_line[2 + 2 * 7] == ("timestamp", "'yesterday' is not ISO 8601, a day or seconds since 1970")
    assert by_line[2 + 2 * 16] == ("price", "'NaN' is not a finite number")
    assert by_line[2 + 2 * 3] == ("", "has 6 fields, the header has 5")


HOSTILE_JSON = [
    "[1]",
    "3",
    "{",
    '{"a":' * 5000,
    '{"item_id": {"$gt": ""}}',
    '{"item_id": "\\ud800"}',
    '{"price": 1}',
    '{"item_id": true}',
]


def test_hostile_json_lines_cost_only_themselves(shop: Shop, tmp_path: Path) -> None:
    lines = [f'{{"item_id": "{i}"}}\n{bad}\n' for i, bad in enumerate(HOSTILE_JSON)]
    report = import_catalogue(shop, written(tmp_path / "i.jsonl", "".join(lines)))
    assert (report.added, report.rejected) == (len(HOSTILE_JSON), len(HOSTILE_JSON))


def test_quoted_fields_may_hold_commas_quotes_and_line_ends(shop: Shop, tmp_path: Path) -> None:
    content = 'item_id;title;description\n1;"WRAP; ""CAROUSEL""";"two\nlines"\n2;12" nails;plain\n3;"open\n4;fine;\n'
    report = import_catalogue(shop, written(tmp_path / "i.csv", "\ufeff" + content))
    items = {i.external_id: i for i in Item.objects.all()}
    assert (items["1"].title, items["2"].title) == ('WRAP; "CAROUSEL"', '12" nails')
    assert set(items) == {"1", "2", "4"}
    assert [r.line for r in report.rejects] == [5]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_half_a_gzip_keeps_all_that_can_be_read(shop: Shop, tmp_path: Path, share: float) -> None:
    head, numbers = "session_id,timestamp,event_type,item_id\n", random.Random(7)
    text = head + "".join(f"{i},2020-01-01T00:00:00,view_item,{numbers.randrange(997)}\n" for i in range(1_500))
    whole = gzip.compress(text.encode())
    part = whole[: int(len(whole) * share)]
    readable = io.BytesIO()
    stream = gzip.GzipFile(fileobj=io.BytesIO(part))
    with contextlib.suppress(EOFError):
        while chunk := stream.read1(64):
            readable.write(chunk)
    expected = max(readable.getvalue().count(b"\n") - 1, 0)
    report = import_events(shop, written(tmp_path / "e.csv.gz", part), now=NOW)
    assert report.failed
    assert f"after line {expected + 1}" in report.broke
    assert ArchivedEvent.objects.count() == expected


def test_a_packed_line_without_an_end_is_not_read_for_ever(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personas.files, "MAX_DRAINED", 3)
    endless = EVENTS.encode() + b"x" * 10 * personas.files.MAX_LINE
    report = import_events(shop, written(tmp_path / "e.csv.gz", gzip.compress(endless)), now=NOW)
    assert (report.added, report.rejects[0].line, report.broke) == (3, 5, "line 5 has no end within 3 MB")


def test_corrupted_gzip_is_told(shop: Shop, tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(EVENTS.encode()))
    whole[-6] ^= 0xFF
    assert "breaks off" in import_events(shop, written(tmp_path / "e.gz", bytes(whole)), now=NOW).broke


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"[{}]", "JSON array"),
        ("session_id,item_id\n".encode("utf-16"), "neither UTF-8"),
        (b"session_id,Item ID,item_id\ns,A,B\n", "names a column twice: item_id"),
        (b"session_id,timestamp,item_id\rs,1700000000,A\r", "carriage return alone"),
        (b'session_id,"timestamp,item_id\ns,1700000000,A\n', "no usable header: unexpected end"),
        (b"session_id,\x00\ns,1\n", "no usable header: it holds zero bytes"),
    ],
)
def test_unreadable_file_is_refused_with_the_reason(shop: Shop, tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(FileError, match=reason):
        import_events(shop, written(tmp_path / "e", content), now=NOW)


def test_demographics_are_kept_only_with_consent(shop: Shop, tmp_path: Path) -> None:
    path = written(tmp_path / "u.csv", "user_id,age,consent\n1,45-54,true\n2,19-24,false\n3,65+,\n4,35-44,perhaps\n")
    report = import_users(shop, path, now=NOW)
    assert (report.added, [(r.line, r.field) for r in report.rejects]) == (3, [(5, "consent")])
    assert dict(Shopper.objects.values_list("external_id", "demographics")) == {"1": {"age": "45-54"}, "2": {}, "3": {}}
    assert Shopper.objects.get(external_id="1").consent_at == NOW


def test_consent_flag_covers_all_but_a_stated_no_and_withdrawal_clears(shop: Shop, tmp_path: Path) -> None:
    path = written(tmp_path / "u.csv", "user_id,age,consent\n1,45-54,\n2,19-24,no\n")
    import_users(shop, path, now=NOW, consent=True)
    assert dict(Shopper.objects.values_list("external_id", "consent_demographics")) == {"1": True, "2": False}
    import_users(shop, path, now=NOW.replace(year=2027), consent=True)
    assert Shopper.objects.get(external_id="1").consent_at == NOW
    import_users(shop, written(tmp_path / "n.csv", "user_id,consent\n1,false\n"), now=NOW)
    shopper = Shopper.objects.get(external_id="1")
    assert (shopper.consent_demographics, shopper.consent_at, shopper.demographics) == (False, None, {})


def test_memory_does_not_grow_with_the_file(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The bounds scaled down with the files, so that what they bound would show.
    monkeypatch.setattr(importing, "BATCH", 100)
    monkeypatch.setattr(clusters.importing, "CACHE", 50)

    def peak(run: str, lines: int) -> int:
        rows = "".join(f"{run}{i // 5},{i % 5},2020-01-01,view_item,{i % 100}\n" for i in range(lines))
        path = written(tmp_path / f"{run}.csv", "session_id,position,timestamp,event_type,item_id\n" + rows)
        del rows
        tracemalloc.start()
        import_events(shop, path, now=NOW)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak("a", 500)  # fills what Python itself keeps
    small, large = peak("b", 500), peak("c", 2_500)
    growth = (large - small) / 2_000
    # A record that is held costs over 500 bytes; what remains here is the database driver's cache of statements.
    assert growth < 200, f"{small:,} bytes for 500 lines, {large:,} for 2,500: {growth:.0f} a line"


def test_command_reports_and_exits(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = written(tmp_path / "e.csv", EVENTS + "9,1,never,view_item,A1,,\n")
    call_command("import_events", "s", str(bad))
    out, err = capsys.readouterr()
    assert "4 events read" in out
    assert "3 new, 0 known already, 1 lines rejected" in out
    assert "line 5: timestamp 'never' is not ISO 8601" in err
    with pytest.raises(CommandError, match="there is no shop 'x'; there are: s"):
        call_command("import_events", "x", str(bad))
    with pytest.raises(CommandError, match="can't open"):
        call_command("import_catalogue", "s", str(tmp_path / "nowhere"))
    with pytest.raises(CommandError, match="breaks off after line"):
        call_command("import_events", "s", str(written(tmp_path / "b.gz", gzip.compress(EVENTS.encode() * 50)[:-9])))
    with pytest.raises(CommandError, match="nothing in"):
        call_command("import_users", "s", str(written(tmp_path / "u.csv", "user_id,age\n,1\n")))


def test_columns_without_a_name_are_left_out(shop: Shop, tmp_path: Path) -> None:
    report = import_events(shop, written(tmp_path / "e.csv", "session_id,timestamp,item_id,,\ns,1700000000,A,,x\n"), now=NOW)
    assert (report.added, report.rejected) == (1, 0)
    assert not [note for note in report.notes if "not used" in note]


def test_decimal_commas_are_read_and_what_is_ambiguous_is_not(shop: Shop, tmp_path: Path) -> None:
    rows = "item_id;price\nA;9,50\nB;1.234,5\nC;1,234\nD;-3,00\n"
    report = import_catalogue(shop, written(tmp_path / "i.csv", rows))
    assert dict(Item.objects.values_list("external_id", "price")) == {"A": Decimal("9.5"), "B": Decimal("1234.5")}
    assert [(r.line, r.field) for r in report.rejects] == [(4, "price"), (5, "price")]


def test_stock_may_be_a_number_of_pieces(shop: Shop, tmp_path: Path) -> None:
    rows = "item_id,stock\nA,12\nB,0\nC,\nD,out of stock\nE,yes\nF,-1\nG,2.0\nH,perhaps\n"
    report = import_catalogue(shop, written(tmp_path / "i.csv", rows))
    stock = dict(Item.objects.values_list("external_id", "in_stock"))
    assert stock == {"A": True, "B": False, "C": True, "D": False, "E": True, "F": False, "G": True}
    assert [r.line for r in report.rejects] == [9]


def test_of_several_names_of_one_column_the_first_listed_counts(shop: Shop, tmp_path: Path) -> None:
    """`sku` is an alias after `product_id`, `name` one after `event`, whatever the order in the file."""
    import_catalogue(shop, written(tmp_path / "i.csv", "product_id,sku,name\nP,S,Mug\n"))
    assert Item.objects.get().external_id == "P"
    rows = "event,name,session_id,timestamp,item_id\nview,Mug,s,1700000000,P\n"
    assert import_events(shop, written(tmp_path / "e.csv", rows), now=NOW).added == 1


def test_a_day_without_hyphens_is_a_day(shop: Shop, tmp_path: Path) -> None:
    import_events(shop, written(tmp_path / "e.csv", "session_id,date,item_id\ns,20240131,A\n"), now=NOW)
    session = Session.objects.get()
    assert (session.clock, session.started_at) == ("day", datetime(2024, 1, 31, tzinfo=UTC))
