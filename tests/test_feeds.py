"""Catalogue feeds: what is fetched from where, never from inside; files of every kind; schedule, report, admin and API."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
from django.test import Client
from django.utils import timezone

from clusters import feed_addresses, feeds
from clusters.feed_addresses import FeedError, check_address, check_outside, fetch, is_outside
from clusters.feed_files import FeedFile
from clusters.models import CatalogueFeed, Item
from personas.files import FileError, Record, Reject
from personas.models import ApiKey, Shop

State = CatalogueFeed.State


class Files(BaseHTTPRequestHandler):
    """What a test put at each path: (status, headers, body). asked : headers of what came, by path."""

    at: dict[str, tuple[int, dict[str, str], bytes]]
    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        status, headers, body = self.at.get(self.path, (404, {}, b""))
        if status == 200 and "ETag" in headers and self.headers.get("if-none-match") == headers["ETag"]:
            status, body = 304, b""
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(settings: Any) -> Iterator[type[Files]]:
    handler = type("Handler", (Files,), {"at": {}, "asked": []})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.base = f"http://127.0.0.1:{running.server_port}"  # type: ignore[attr-defined]
    handler.port = running.server_port  # type: ignore[attr-defined]
    threading.Thread(target=running.serve_forever, daemon=True).start()
    settings.FEED_PRIVATE_HOSTS = ["127.0.0.1"]
    yield handler
    running.shutdown()
    running.server_close()


@pytest.fixture
def shop(db: None, redis_client: redis.Redis) -> Shop:
    return Shop.objects.create(slug="one", name="One")


# Addresses


@pytest.mark.parametrize(
    "number",
    [
        "127.0.0.1", "10.0.0.7", "172.16.3.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255",
        "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::a00:1",
        "2002:7f00:1::",
    ],
)  # fmt: skip
def test_numbers_of_private_networks_are_known_however_written(number: str) -> None:
    assert not is_outside(number)


@pytest.mark.parametrize("number", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:93.184.215.14"])
def test_public_numbers_are_known(number: str) -> None:
    assert is_outside(number)


@pytest.mark.parametrize(
    "address",
    ["", "feed.csv", "ftp://x.example/f", "file:///etc/passwd", "http://", "https://u:p@x.example/f",
     "http://x.example/" + "a" * 500, "http://[::1"],
)  # fmt: skip
def test_what_is_no_address_of_the_web_is_refused(address: str) -> None:
    with pytest.raises(FeedError):
        check_address(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.7", "[::1]", "2130706433", "0x7f000001", "127.1", "localhost", "db", "a.local", "b.internal."]
)
def test_a_private_host_is_refused_as_it_is_written_down(host: str) -> None:
    with pytest.raises(FeedError, match="private network"):
        check_outside(f"https://{host}/feed.csv")


def test_public_and_allowed_hosts_may_be_written_down() -> None:
    for address in (
        "https://shop.example/feed.csv",
        "http://93.184.215.14/f",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/f",
    ):
        check_outside(address)
    check_outside("http://10.0.0.7/f", private=["10.0.0.7"])


def test_a_private_address_is_refused_unless_it_is_allowed(server: Any, tmp_path: Path) -> None:
    server.at["/f"] = (200, {}, b"id\na\n")
    for address in (f"{server.base}/f", f"http://localhost:{server.port}/f", f"http://2130706433:{server.port}/f"):
        with pytest.raises(FeedError, match="private network|is not known"):
            fetch(address, tmp_path / "f", most=1_000)
    assert server.asked == []
    assert fetch(f"{server.base}/f", tmp_path / "f", most=1_000, private=["127.0.0.1"]).size == 5


def test_a_redirect_is_checked_like_the_first_address(server: Any, tmp_path: Path) -> None:
    server.at["/in"] = (302, {"location": f"http://localhost:{server.port}/f"}, b"")
    server.at["/on"] = (301, {"location": "/f"}, b"")
    server.at["/round"] = (307, {"location": "/round"}, b"")
    server.at["/file"] = (302, {"location": "file:///etc/passwd"}, b"")
    server.at["/f"] = (200, {}, b"id\na\n")

    def get(path: str) -> Any:
        return fetch(server.base + path, tmp_path / "f", most=1_000, private=["127.0.0.1"])

    assert get("/on").changed
    with pytest.raises(FeedError, match="localhost lies in a private network"):
        get("/in")
    with pytest.raises(FeedError, match="no http or https"):
        get("/file")
    with pytest.raises(FeedError, match="more than 5 redirects"):
        get("/round")


def test_the_name_is_looked_up_once_and_told_to_the_server(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that stands for a public address when it is checked, and for a private one a moment later, leads to the first."""
    server.at["/f"] = (200, {}, b"id\na\n")
    answers = iter([[(2, 1, 6, "", ("127.0.0.1", server.port))]])
    real = socket.getaddrinfo

    def look_up(host: str, *more: Any, **named: Any) -> Any:
        return next(answers) if host == "shop.example" else real(host, *more, **named)

    monkeypatch.setattr(feed_addresses.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(feed_addresses, "is_outside", lambda number: True)
    assert fetch(f"http://shop.example:{server.port}/f", tmp_path / "f", most=1_000).changed
    assert server.asked[0][1]["host"] == f"shop.example:{server.port}"


@pytest.mark.parametrize("said", [True, False])
def test_a_file_that_is_too_large_is_left(server: Any, tmp_path: Path, said: bool) -> None:
    server.at["/f"] = (200, {} if said else {"content-length": "", "connection": "close"}, b"x" * 5_000)
    with pytest.raises(FeedError, match="more than 1,000 bytes|can't be read from"):
        fetch(f"{server.base}/f", tmp_path / "f", most=1_000, private=["127.0.0.1"])


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n"])
def test_a_server_that_says_a_byte_now_and_then_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    """It never runs into a timeout of reading, in its headers or after them, and would keep a worker for days."""
    monkeypatch.setattr(feed_addresses, "WHOLE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            taken, _ = listening.accept()
            with taken, contextlib.suppress(OSError):
                taken.recv(4_096)
                taken.sendall(start)
                for _ in range(300):
                    taken.sendall(b"x")
                    time.sleep(0.1)

        threading.Thread(target=drip, daemon=True).start()
        begun = time.monotonic()
        with pytest.raises(FeedError, match="took longer"):
            fetch(f"http://127.0.0.1:{listening.getsockname()[1]}/f", tmp_path / "f", most=1_000, private=["127.0.0.1"])
    assert time.monotonic() - begun < 10.0


# Files

MERCHANT = """<?xml version="1.0"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>
<title>Shop</title><link>https://shop.example</link><description>All there is</description>
<item>
  <g:id>TV_123456</g:id><g:title>LG 22LB4510 &amp; more</g:title><g:description>Attractively styled</g:description>
  <g:link>https://shop.example/tv</g:link><g:image_link>https://images.example/TV.png</g:image_link>
  <g:additional_image_link>https://images.example/2.png</g:additional_image_link>
  <g:condition>used</g:condition><g:availability>in_stock</g:availability><g:price>159.00 USD</g:price>
  <g:sale_price>149.00 USD</g:sale_price><g:item_group_id>TV</g:item_group_id>
  <g:shipping><g:country>US</g:country><g:price>14.95 USD</g:price></g:shipping>
  <g:google_product_category>Electronics &gt; Video &gt; Televisions</g:google_product_category>
  <g:product_type>Home &gt; TVs &gt; Flat screens</g:product_type>
</item>
<item><g:id>sold</g:id><title>Out</title><g:availability>out_of_stock</g:availability><g:google_product_category>404</g:google_product_category></item>
<item><g:title>Nobody</g:title></item>
</channel></rss>"""


def records(tmp_path: Path, content: bytes, *, most: int = 10**6) -> tuple[list[Record | Reject], str]:
    (tmp_path / "feed").write_bytes(content)
    file = FeedFile(tmp_path / "feed", most=most)
    return list(file), file.broke


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        b"id,title\na,A\nb,B\n",
        b"id\ttitle\na\tA\nb\tB\n",
        b'{"id": "a", "title": "A"}\n{"id": "b", "title": "B"}\n',
        b'[{"id": "a", "title": "A"}, {"id": "b", "title": "B"}]',
        b"<rss><channel><item><id>a</id><title>A</title></item><item><id>b</id><title>B</title></item></channel></rss>",
        b'<feed xmlns:g="x"><entry><g:id>a</g:id><g:title>A</g:title></entry><entry><id>b</id><title>B</title></entry></feed>',
    ],
)
def test_every_kind_of_file_is_told_by_its_content(tmp_path: Path, content: bytes, packed: bool) -> None:
    found, broke = records(tmp_path, gzip.compress(content) if packed else content)
    assert [record.values for record in found if isinstance(record, Record)] == [
        {"id": "a", "title": "A"},
        {"id": "b", "title": "B"},
    ]
    assert broke == ""


def test_xml_that_is_none_or_holds_a_bomb_is_refused(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss><item><id>&b;</id></item></rss>'
    outside = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><rss><item><id>&a;</id></item></rss>'
    for content, reason in (
        (bomb, "document type"),
        (outside, "document type"),
        (b"<rss>", "not XML"),
        (b"<html></html>", "no items"),
    ):
        with pytest.raises(FileError, match=reason):
            records(tmp_path, content)


def test_a_tag_that_never_ends_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"<rss><item><id>a</id></item><item b='" + b"x" * 3_000_000)
    with pytest.raises(FileError, match="a tag or a comment of more than"):
        list(FeedFile(path, most=10_000_000))


def test_a_file_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    whole = b"<rss>" + b"".join(b"<item><id>%d</id></item>" % n for n in range(9_000)) + b"</rss>"
    found, broke = records(tmp_path, whole[: len(whole) // 2])
    assert (len(found) > 3_000, "breaks off" in broke) == (True, True)
    packed = gzip.compress(b"id\n" + b"".join(b"%d\n" % (n * 7_919 % 104_729) for n in range(50_000)))
    found, broke = records(tmp_path, packed[: len(packed) // 2])
    assert (len(found) > 1_000, "breaks off" in broke) == (True, True)


def test_what_unpacks_to_more_than_may_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="unpacked"):
        records(tmp_path, gzip.compress(b"id\n" + b"a" * 10**7), most=10**6)


# The run


@pytest.fixture
def feed(shop: Shop, server: Any) -> CatalogueFeed:
    server.at["/f"] = (200, {"ETag": '"1"'}, MERCHANT.encode())
    return CatalogueFeed.objects.create(shop=shop, url=f"{server.base}/f", every_minutes=60)


def test_a_merchant_feed_comes_in_and_is_not_sent_twice(feed: CatalogueFeed, server: Any) -> None:
    assert feeds.run(feed)
    assert (feed.state, feed.etag, feed.report["added"], feed.report["rejected"]) == (State.DONE, '"1"', 2, 1)
    assert [(each["line"], each["field"]) for each in feed.report["rejects"]] == [(15, "item_id")]
    tv = Item.objects.get(external_id="TV_123456")
    assert (tv.title, float(tv.price or 0), float(tv.regular_price or 0), tv.currency) == ("LG 22LB4510 & more", 149, 159, "USD")
    assert (tv.category, tv.item_group_id, tv.image_url) == ("Flat screens", "TV", "https://images.example/TV.png")
    assert tv.attributes == {"condition": "used"}
    assert not Item.objects.get(external_id="sold").in_stock
    before = feed.report
    assert feeds.run(feed)
    feed.refresh_from_db()
    assert (server.asked[-1][1]["if-none-match"], feed.told, feed.report) == ('"1"', "The file is the one of before.", before)
    assert feeds.run(feed, anew=True)
    assert "if-none-match" not in server.asked[-1][1]
    assert (feed.report["unchanged"], feed.report["added"]) == (2, 0)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((404, {}, b""), "answered 404"),
        ((500, {}, b""), "answered 500"),
        ((200, {}, b""), "is empty"),
        ((200, {}, b"\x89PNG\r\n\x1a\n"), "neither UTF-8"),
        ((200, {}, b"id\n\n"), "0 read"),
    ],
)
def test_what_went_wrong_is_on_the_row_and_no_tag_is_kept(feed: CatalogueFeed, server: Any, answer: Any, told: str) -> None:
    server.at["/f"] = answer
    feeds.run(feed)
    feed.refresh_from_db()
    assert (feed.state, told in feed.told, feed.etag) == (State.FAILED, True, "")


def test_feeds_are_due_by_their_time_and_fetched_by_one(feed: CatalogueFeed, server: Any) -> None:
    now = timezone.now()
    assert feeds.due(now) == [feed.pk]
    feeds.run(feed)
    assert feeds.due(now) == []
    assert feeds.due(now + dt.timedelta(minutes=61)) == [feed.pk]
    CatalogueFeed.objects.update(state=State.RUNNING, checked_at=now)
    assert not feeds.run(feed), "somebody is at it"
    assert feeds.due(now + dt.timedelta(minutes=20)) == []
    assert feeds.due(now + dt.timedelta(minutes=90)) == [feed.pk], "who was at it is gone"
    CatalogueFeed.objects.update(enabled=False)
    assert feeds.due(now + dt.timedelta(days=2)) == []


# Admin and API


def test_the_admin_shows_how_it_went_and_refuses_what_is_no_feed(admin_client: Client, feed: CatalogueFeed, shop: Shop) -> None:
    feeds.run(feed)
    page = admin_client.get(f"/admin/clusters/cataloguefeed/{feed.pk}/change/").content.decode()
    assert "3 read: 2 new, 0 changed, 0 as before, 1 not taken." in page
    assert "Save and fetch now" in page
    given = {"shop": shop.pk, "url": "https://u:p@x.example/f", "every_minutes": 1, "enabled": "on"}
    page = admin_client.post("/admin/clusters/cataloguefeed/add/", given).content.decode()
    assert "holds a password" in page
    assert "greater than or equal to 5" in page
    done = admin_client.post("/admin/clusters/cataloguefeed/add/", {**given, "url": "https://x.example/f", "every_minutes": 30})
    assert (done.status_code, CatalogueFeed.objects.count()) == (302, 2)


def test_feeds_are_managed_over_the_api(client: Client, shop: Shop) -> None:
    key = ApiKey.objects.issue(shop=shop, name="k", scopes=["read", "manage"])[1]

    def call(method: str, path: str, body: object = None) -> Any:
        headers = {"authorization": f"Bearer {key}"}
        return client.generic(method, f"/api/v1/feeds/{path}", json.dumps(body), content_type="application/json", headers=headers)

    made = call("POST", "", {"url": "https://shop.example/f.xml"})
    assert (made.status_code, made.json()["every_minutes"], made.json()["state"], made.json()["report"]) == (201, 60, "new", None)
    for body, field in (
        ({"url": "https://shop.example/f.xml"}, "url"),
        ({"url": "ftp://shop.example/f"}, "url"),
        ({"url": "https://u:p@shop.example/f"}, "url"),
        ({"url": "https://shop.example/g", "every_minutes": 1}, "every_minutes"),
    ):
        assert call("POST", "", body).json()["field"] == field
    path = f"{made.json()['id']}/"
    CatalogueFeed.objects.update(etag='"1"')
    assert call("PATCH", path, {"every_minutes": 30}).json()["every_minutes"] == 30
    assert CatalogueFeed.objects.get().etag == '"1"'
    call("PATCH", path, {"url": "https://shop.example/other.csv"})
    assert CatalogueFeed.objects.get().etag == ""
    assert call("POST", f"{path}fetch/").status_code == 202
    assert call("DELETE", path).status_code == 204
    assert not CatalogueFeed.objects.exists()
