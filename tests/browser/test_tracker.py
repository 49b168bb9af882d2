"""tracker.js on a page of a shop of another origin: real Chromium, a real server that is killed, stopped and brought back."""

from __future__ import annotations

import gzip
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from tests.browser.conftest import CHROMIUM, ROOT, free_port
from tests.small_server import SmallServer, small_server

SIX_KB = 6_000
SHOP = "shop.example"
PORT = free_port()
"""Of the shop's own server."""

BODY = """<!doctype html><title>A shop</title>
<script defer src="{base}/static/tracker.js"></script>
<script type="module">{script}</script>
<body>{body}</body>"""


@pytest.fixture(scope="module")
def server() -> Iterator[SmallServer]:
    with small_server(origins=(f"http://{SHOP}:{PORT}", f"http://localhost:{PORT}")) as made:
        yield made


class Pages:
    """The shop's own server: pages by path, and session tokens for them; `tokens` counts how many were given."""

    def __init__(self, server: SmallServer) -> None:
        self.server = server
        self.pages: dict[str, str] = {}
        self.tokens = 0
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                if url.path in {"/token", "/persona-token"}:
                    shop.tokens += 1
                    session = parse_qs(url.query)["session_id"][0]
                    self.answer("application/json", json.dumps({"session_id": session, "token": server.token(session)}))
                elif url.path in shop.pages:
                    self.answer("text/html", shop.pages[url.path])
                else:
                    self.send_error(404)

            def answer(self, kind: str, text: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def put(self, path: str, script: str, body: str = "") -> None:
        self.pages[path] = BODY.format(base=self.server.base, script=script, body=body)


@pytest.fixture(scope="module")
def shop(server: SmallServer) -> Iterator[Pages]:
    pages = Pages(server)
    yield pages
    pages.http.shutdown()


Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser, shop: Pages) -> Iterator[Visit]:
    """`visit(path, context=None, before="")`: in a new browser profile unless one is given. No page may fail."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def visit(path: str, context: BrowserContext | None = None, before: str = "") -> Page:
        if context is None:
            contexts.append(context := chromium.new_context(viewport={"width": 800, "height": 600}))
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        if before:
            page.add_init_script(before)
        page.goto(f"http://localhost:{PORT}{path}")
        page.wait_for_function("window.persona")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not wrong


def init(session: str = "", **more: Any) -> str:
    settings = {"shop": "small", "tokenAddress": "/token", "live": False, **({"session": session} if session else {}), **more}
    return f"persona.init({json.dumps(settings)});"


def rows(page: Page) -> list[str]:
    """What waits in the browser to be sent."""
    waiting: list[str] = page.evaluate("Object.keys(localStorage).filter(k => k.startsWith('pc:small:e:'))")
    return waiting


def sent_from(page: Page) -> list[dict[str, Any]]:
    """Filled with the events of every request that the page makes from now on."""
    told: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.url.endswith("/api/v1/events") and request.post_data:
            told.extend(json.loads(request.post_data)["events"])

    page.on("request", note)
    return told


def until(true: Callable[[], object], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.1)
    return False


def test_it_is_light() -> None:
    assert len(gzip.compress((ROOT / "static" / "tracker.js").read_bytes(), 9, mtime=0)) < SIX_KB


def test_the_server_dies_while_events_are_made_and_the_archive_has_each_once(
    server: SmallServer, shop: Pages, visit: Visit
) -> None:
    shop.put("/killed", init("killed"))
    page = visit("/killed")
    page.evaluate("""() => { window.made = []; window.more = setInterval(() => {
        const event_id = `k${made.length}`;
        made.push(event_id);
        if (made.length === 60) clearInterval(window.more);
        persona.track("view_item", {event_id, items: [{item_id: `sku-${1 + made.length % 9}`}]});
      }, 40); }""")
    page.wait_for_timeout(600)
    server.kill()
    page.wait_for_timeout(900)
    assert rows(page), "what nobody confirmed is kept"
    page.wait_for_function("made.length === 60")
    server.start()
    made: list[str] = page.evaluate("made")
    page.evaluate("dispatchEvent(new Event('online'))")
    assert until(lambda: (page.wait_for_timeout(100), not rows(page))[1])
    archived = server.archived("killed")
    own = [event_id for event_id in archived if event_id.startswith("k")]
    assert sorted(own, key=lambda e: int(e[1:])) == made


def test_what_happens_as_the_page_is_left_arrives(server: SmallServer, shop: Pages, visit: Visit) -> None:
    shop.put("/left", init("left") + "persona.track('view_item', {event_id: 'v', items: [{item_id: 'sku-1'}]});")
    page = visit("/left")
    page.wait_for_function("!Object.keys(localStorage).some(k => k.startsWith('pc:small:e:'))")
    page.wait_for_timeout(600)
    page.evaluate("""() => addEventListener("pagehide", () =>
        persona.track("add_to_cart", {event_id: "last", items: [{item_id: "sku-2"}]}), true)""")
    page.close(run_before_unload=True)
    assert until(lambda: "last" in server.archived("left"))
    archived = server.archived("left")
    assert archived.count("v") == archived.count("last") == 1
    assert len(archived) == 3, "and how long the page was in view"


def test_what_a_page_left_behind_is_sent_by_the_next_one(server: SmallServer, shop: Pages, visit: Visit) -> None:
    """The beacon reached nobody: the server was away."""
    shop.put("/behind", init("behind"))
    page = visit("/behind")
    server.kill()
    page.evaluate("void persona.track('view_item', {event_id: 'b1', items: [{item_id: 'sku-1'}]})")
    page.goto("about:blank")
    server.start()
    page = visit("/behind", page.context)
    page.wait_for_function("!Object.keys(localStorage).some(k => k.startsWith('pc:small:e:'))")
    assert server.archived("behind").count("b1") == 1


@pytest.mark.parametrize(
    "refusal",
    ["Object.defineProperty(navigator, 'doNotTrack', {value: '1'})", "navigator.globalPrivacyControl = true", ""],
    ids=["do not track", "global privacy control", "no consent yet"],
)
def test_nothing_is_sent_or_stored_against_the_shoppers_will(shop: Pages, visit: Visit, refusal: str) -> None:
    consent = {} if refusal else {"consent": "required"}
    body = '<main data-pc-view data-pc-item="sku-1"><button data-pc-event="add_to_cart" data-pc-item="sku-1">Add</button></main>'
    shop.put("/private", init(**consent) + "persona.recommend('', {count: 2}, (slate) => { window.got = slate; });", body)
    page = visit("/private", before=refusal)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button").click()
    assert page.evaluate("persona.track('search', {search_term: 'red'})") is None
    assert page.evaluate("persona.slate({})") is None
    page.wait_for_timeout(2_000)
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    assert page.evaluate("window.got") is None
    assert not asked
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert page.context.cookies() == []


def test_consent_begins_with_what_is_in_view_and_its_withdrawal_leaves_nothing(
    server: SmallServer, shop: Pages, visit: Visit
) -> None:
    body = '<main data-pc-view data-pc-item="sku-3" data-pc-price="12.5"></main>'
    shop.put("/consent", init("consent", consent="required"), body)
    page = visit("/consent")
    told = sent_from(page)
    with page.expect_response("**/api/v1/events"):
        page.evaluate("persona.consent(true)")
    assert [(e["name"], e["items"]) for e in told] == [("view_item", [{"item_id": "sku-3", "price": 12.5}])]
    page.reload()
    page.wait_for_function("window.persona")
    assert page.evaluate("persona.track('search', {search_term: 'red'})") is not None, "it holds on the next page"
    page.evaluate("persona.consent(false)")
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert page.evaluate("persona.track('search', {search_term: 'blue'})") is None


def test_a_visit_stays_one_while_the_storage_is_full_and_after(server: SmallServer, shop: Pages, visit: Visit) -> None:
    shop.put("/full", init())
    page = visit("/full")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(json.loads(request.post_data or "{}").get("session_id", "")))
    page.evaluate("""() => { const set = Storage.prototype.setItem; window.mend = () => { Storage.prototype.setItem = set; };
        Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); }; }""")
    page.clock.install()
    told = [page.evaluate("persona.track('search', {search_term: 'red'})")]
    page.evaluate("mend()")
    for _ in range(3):
        page.clock.fast_forward(20 * 60_000)
        told.append(page.evaluate("persona.track('search', {search_term: 'red'})"))
    assert None not in told
    assert len({session for session in asked if session}) == 1


def test_a_token_that_is_refused_in_json_costs_no_event(server: SmallServer, shop: Pages, visit: Visit) -> None:
    shop.put("/no-token", init("no-token"))
    page = visit("/no-token")
    page.route("**/token?*", lambda route: route.fulfill(status=500, json={"code": "internal", "detail": "Something failed."}))
    page.evaluate("void persona.track('view_item', {event_id: 'waits', items: [{item_id: 'sku-1'}]})")
    page.wait_for_timeout(500)
    assert len(rows(page)) == 1
    page.unroute("**/token?*")
    assert until(lambda: "waits" in server.archived("no-token"), 60.0)


def test_what_is_answered_after_consent_was_withdrawn_is_not_kept(server: SmallServer, shop: Pages, visit: Visit) -> None:
    shop.put("/late", init())
    page = visit("/late")
    page.evaluate("""() => { const get = fetch; window.fetch = async (...how) => { const answer = await get(...how);
        await new Promise((go) => { window.go = go; }); return answer; }; }""")
    page.evaluate("persona.recommend('', {count: 2}, () => {})")
    page.wait_for_function("'go' in window")
    page.evaluate("persona.consent(false); setInterval(() => go(), 20); undefined")
    page.wait_for_timeout(1_000)
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


SENDING = """window.sent = []; window.overlaps = 0; window.failed = 0;
const get = fetch, note = (answer) => { window.failed += answer?.ok ? 0 : 1; return answer; };
window.fetch = (address, how) => {
  if (!String(address).endsWith("/api/v1/events")) return get(address, how);
  for (const {event_id: id, timestamp_micros: at} of JSON.parse(how.body).events) sent.push([id, Date.now() - at / 1000]);
  return navigator.locks.request("sending", {ifAvailable: true}, (alone) => {
    window.overlaps += alone ? 0 : 1;
    return get(address, how).then(note, (error) => { note(null); throw error; });
  });
};"""
"""What a tab sends, each event with its age in milliseconds; how often while another was sending; how often in vain."""


def test_two_tabs_send_each_event_once(server: SmallServer, shop: Pages, visit: Visit) -> None:
    """However slow the machine: one sends at a time, and another's events only once that one has had its ten seconds."""
    shop.put("/tabs", init("tabs"))
    one = visit("/tabs", before=SENDING)
    two = visit("/tabs", one.context, before=SENDING)
    tabs = {"p": one, "q": two}
    for name, page in tabs.items():
        page.evaluate(
            """name => { window.made = 0; for (let i = 0; i < 30; i += 1) setTimeout(() => { window.made += 1;
                persona.track("view_item", {event_id: `${name}${i}`, items: [{item_id: "sku-1"}]}); }, 25 * i); }""",
            name,
        )
    for page in tabs.values():
        page.wait_for_function(
            "made === 30 && !Object.keys(localStorage).some(k => k.startsWith('pc:small:e:'))", timeout=120_000
        )
    made = {f"{name}{i}" for name in tabs for i in range(30)}
    sent = {name: [(event, age) for event, age in page.evaluate("sent") if event in made] for name, page in tabs.items()}
    assert {event for told in sent.values() for event, _ in told} == made
    assert [page.evaluate("overlaps") for page in tabs.values()] == [0, 0]
    for name, told in sent.items():
        own = [event for event, _ in told if event.startswith(name)]
        assert tabs[name].evaluate("failed") or len(own) == len(set(own)), "again only what wasn't answered"
        assert all(age >= 10_000 for event, age in told if not event.startswith(name))
    archived = [e for e in server.archived("tabs") if e in made]
    assert len(archived) == len(set(archived)) == len(made)


def test_what_a_tab_that_is_gone_left_is_sent_by_another(server: SmallServer, shop: Pages, visit: Visit) -> None:
    """One event of a minute ago, and one that is young: its clock is an hour ahead, so that no stall makes it old."""
    shop.put("/gone", init("gone"))
    page = visit("/gone", before=SENDING)
    page.evaluate(
        """() => { for (const [name, ms] of [["old", -60e3], ["young", 3600e3]]) {
            const at = Date.now() + ms, row = `pc:small:e:gone:${at.toString(36)}another-tab${name}`;
            const event = {event_id: name, timestamp_micros: at * 1000, name: "search", search_term: "red"};
            localStorage[row] = JSON.stringify(event); } }"""
    )
    page.evaluate("persona.track('search', {event_id: 'own', search_term: 'blue'})")
    page.wait_for_function("Object.keys(localStorage).filter(k => k.startsWith('pc:small:e:')).length === 1", timeout=120_000)
    assert sorted(event for event, _ in page.evaluate("sent")) == ["old", "own"]
    assert [key[-5:] for key in rows(page)] == ["young"]


def test_a_server_that_hangs_does_not_break_the_page(server: SmallServer, shop: Pages, visit: Visit) -> None:
    script = (
        init("hangs") + "persona.recommend('', {count: 3}, (slate, how) => { window.got = [slate?.items.length, how.stale]; });"
    )
    shop.put(
        "/hangs", script, '<button onclick="window.clicked = true" data-pc-event="add_to_cart" data-pc-item="sku-1">Add</button>'
    )
    page = visit("/hangs")
    page.wait_for_function("window.got")
    assert page.evaluate("window.got") == [3, False]
    page.goto("about:blank")
    token = server.token("hangs")
    shop.put(
        "/hangs-again", script.replace('"tokenAddress": "/token"', f'"token": "{token}"'), shop.pages["/hangs"].split("<body>")[1]
    )
    page.route("**/static/tracker.js", lambda route: route.fulfill(path=ROOT / "static" / "tracker.js"))
    server.send(signal.SIGSTOP)
    try:
        page.goto(f"http://localhost:{PORT}/hangs-again")
        began = time.monotonic()
        page.get_by_role("button").click()
        assert page.evaluate("window.clicked") is True
        page.wait_for_function("window.got")
        assert page.evaluate("window.got") == [3, True], "the last slate, and said to be old"
        assert time.monotonic() - began < 6
        assert rows(page)
    finally:
        server.send(signal.SIGCONT)
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_function("!Object.keys(localStorage).some(k => k.startsWith('pc:small:e:'))", timeout=30_000)
    archived = server.archived("hangs")
    assert len(archived) == len(set(archived))


CARDS = """<style>li { height: 400px } main.gone { display: none }</style><main><ul>
<li data-pc-slate="SLATE" data-pc-item="sku-1" data-pc-slot="0"><a href="#one">1</a></li>
<li data-pc-slate="SLATE" data-pc-item="sku-2" data-pc-slot="1"><a href="#two">2</a></li>
<li data-pc-slate="SLATE" data-pc-item="sku-3" data-pc-slot="2"><a href="#three">3</a></li></ul></main>"""


def test_what_was_seen_is_told_once_and_only_what_was_seen(server: SmallServer, shop: Pages, visit: Visit) -> None:
    shop.put("/seen", init("seen"), CARDS)
    page = visit("/seen")
    told = sent_from(page)

    def shown() -> list[tuple[str, int]]:
        return [(i["item_id"], i["index"]) for e in told if e["name"] == "view_item_list" for i in e["items"]]

    page.wait_for_timeout(400)
    first = page.evaluate("(scrollTo(0, 500), performance.now())")
    page.wait_for_timeout(300)
    again = page.evaluate(
        "async () => { scrollTo(0, 0); const at = performance.now(); await new Promise(r => setTimeout(r, 700));"
        " return performance.now() - at; }"
    )
    if max(first, again) < 1_000:  # by the page's own clock: a busy machine may have let more than a second go by
        assert shown() == [], "nothing was in view for a second yet"
    page.wait_for_timeout(2_500)
    assert shown() == [("sku-1", 0)], "the second is less than half in view"
    page.evaluate("scrollTo(0, 500)")
    page.wait_for_timeout(3_500)
    assert shown() == [("sku-1", 0), ("sku-2", 1), ("sku-3", 2)]
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(3_000)
    assert len(shown()) == 3, "each once"
    page.evaluate("document.querySelector('li').dataset.pcSlate = 'NEXT'")
    page.wait_for_timeout(3_500)
    assert [(e["recommendation_id"], len(e["items"])) for e in told if e["name"] == "view_item_list"][-1] == ("NEXT", 1)
    page.get_by_text("1", exact=True).click()
    page.wait_for_timeout(500)
    (chosen,) = [e for e in told if e["name"] == "select_item"]
    assert (chosen["recommendation_id"], chosen["items"]) == ("NEXT", [{"item_id": "sku-1", "index": 0}])


HIDDEN = """hidden => { Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange")); }"""


def test_dwell_stops_while_the_page_is_hidden(shop: Pages, visit: Visit) -> None:
    shop.put("/dwell", init("dwell"), '<main data-pc-view data-pc-item="sku-4"></main>')
    page = visit("/dwell")
    told = sent_from(page)
    page.wait_for_timeout(800)
    page.evaluate(HIDDEN, True)
    page.wait_for_timeout(3_000)
    page.evaluate(HIDDEN, False)
    page.wait_for_timeout(700)
    page.evaluate(HIDDEN, True)
    page.wait_for_timeout(1_000)
    dwell = [e for e in told if e["name"] == "user_engagement"]
    assert [e["items"] for e in dwell] == [[{"item_id": "sku-4"}]] * 2
    first, second = (e["engagement_time_msec"] for e in dwell)
    assert 700 < first < 6_000
    assert 650 < second < 2_500, "three seconds in the background count for nothing"


def test_a_poisoned_batch_is_split_and_the_rest_arrives(server: SmallServer, shop: Pages, visit: Visit) -> None:
    """A proxy on the way refuses every body with a certain word in it."""
    shop.put("/poison", init("poison") + "persona.on('refused', (event) => { window.refused = event.event_id; });")
    page = visit("/poison")
    posts: list[int] = []

    def proxy(route: Any) -> None:
        body = route.request.post_data or ""
        posts.append(len(body))
        headers = {"access-control-allow-origin": "*"}
        route.fulfill(status=413, json={}, headers=headers) if "bad-word" in body else route.continue_()

    page.route("**/api/v1/events", proxy)
    page.evaluate("""() => { for (let i = 0; i < 20; i += 1) persona.track("search",
        {event_id: `w${i}`, search_term: i === 11 ? "bad-word" : "good"}); }""")
    page.wait_for_function("!Object.keys(localStorage).some(k => k.startsWith('pc:small:e:'))")
    assert page.evaluate("window.refused") == "w11"
    assert len(posts) <= 2 * 5 + 2
    assert [e for e in server.archived("poison") if e.startswith("w")] == [f"w{i}" for i in range(20) if i != 11]


def test_of_more_than_may_be_kept_the_oldest_go_whichever_visit_they_are_of(shop: Pages, visit: Visit) -> None:
    """A thousand events of a visit that sorts last, as the server was away: what is made now stays."""
    shop.put("/kept", init("a-visit"))
    page = visit("/kept")
    page.route("**/api/v1/**", lambda route: route.abort())
    page.evaluate("""() => { for (let i = 0; i < 1000; i += 1) {
        const stamp = (Date.now() - 60000 + i).toString(36);
        localStorage.setItem(`pc:small:e:z-visit:${stamp}old${i}`, JSON.stringify({event_id: `old${i}`, name: "search"})); } }""")
    page.evaluate("() => { persona.track('search', {event_id: 'new', search_term: 'red'}); }")
    page.wait_for_function("Object.keys(localStorage).some((key) => key.endsWith('new'))")
    kept = page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('pc:small:e:'))")
    assert len(kept) == 1_000
    assert not any(key.endswith("old0") for key in kept)
    assert any(key.endswith("old1") for key in kept)


def test_it_waits_as_long_as_it_is_asked_to_and_renews_its_token(server: SmallServer, shop: Pages, visit: Visit) -> None:
    shop.put("/busy", init("busy"))
    page = visit("/busy")
    answers = [(429, "2"), (503, "1"), (401, "")]
    times: list[float] = []

    def proxy(route: Any) -> None:
        times.append(time.monotonic())
        if not answers:
            return route.continue_()
        status, wait = answers.pop(0)
        headers = {"access-control-allow-origin": "*", "access-control-expose-headers": "retry-after", "retry-after": wait}
        return route.fulfill(status=status, json={}, headers=headers)

    page.route("**/api/v1/events", proxy)
    before = shop.tokens
    page.evaluate("void persona.track('search', {event_id: 'r', search_term: 'x'})")
    page.wait_for_timeout(700)
    page.evaluate("dispatchEvent(new Event('online'))")  # no reason to come sooner than was asked for
    page.wait_for_function("!Object.keys(localStorage).some(k => k.startsWith('pc:small:e:'))")
    assert times[1] - times[0] >= 2
    assert times[2] - times[1] >= 1
    assert times[3] - times[2] < 1, "a fresh token is tried at once"
    assert shop.tokens == before + 2, "the first, and a fresh one"
    assert server.archived("busy").count("r") == 1


def test_slates_are_pushed_over_the_socket(server: SmallServer, shop: Pages, visit: Visit) -> None:
    script = (
        init("pushed", live=True)
        + """window.got = [];
        persona.on("state", (state) => { window.state = state; });
        persona.recommend("beside", {context: "similar", item_id: "sku-1", count: 3}, (s) => got.push(s.recommendation_id));"""
    )
    shop.put("/pushed", script)
    page = visit("/pushed")
    page.wait_for_function("window.got.length > 0")
    assert page.evaluate("window.state") == "live"
    first = page.evaluate("window.got.length")
    version = page.evaluate("persona.track('view_item', {items: [{item_id: 'sku-2'}]})")
    assert version >= 1
    page.wait_for_function("n => window.got.length > n", arg=first)


def test_the_integrators_page_works_as_written(server: SmallServer, shop: Pages, visit: Visit) -> None:
    text = (ROOT / "docs" / "integrators.md").read_text()
    (block,) = re.findall(r"```html\n(.*?)```", text, re.DOTALL)
    shop.pages["/docs"] = "<!doctype html><title>A shop</title>" + block.replace("https://persona.example", server.base)
    shop.pages["/docs"] = shop.pages["/docs"].replace("A13", "sku-7")  # an item of this shop
    page = visit("/docs")
    told = sent_from(page)
    expect(page.locator("#rail li")).to_have_count(4)
    page.get_by_role("button").click()
    page.get_by_role("textbox").fill("red shoes")
    page.evaluate("document.querySelector('form').addEventListener('submit', (event) => event.preventDefault())")
    page.get_by_role("textbox").press("Enter")
    page.wait_for_timeout(3_000)
    by_name = {e["name"]: e for e in told}
    assert by_name["add_to_cart"]["items"] == [{"item_id": "sku-7", "price": 49.9}]
    assert by_name["search"]["search_term"] == "red shoes"
    assert [i["index"] for i in by_name["view_item_list"]["items"]] == [0, 1, 2, 3]


def test_a_page_of_an_allowed_origin_that_has_no_locks(server: SmallServer, shop: Pages, chromium: Browser) -> None:
    """Over plain http and another name, a browser has neither locks nor randomUUID; the shop's list of origins lets it in."""
    named = ["--no-sandbox", f"--host-resolver-rules=MAP {SHOP} 127.0.0.1"]
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=named)
    page = browser.new_page()
    shop.put("/plain", init("plain") + "persona.track('view_item', {event_id: 'o', items: [{item_id: 'sku-1'}]});")
    page.goto(f"http://{SHOP}:{PORT}/plain")
    page.wait_for_function("window.persona && !Object.keys(localStorage).some(k => k.startsWith('pc:small:e:'))")
    assert page.evaluate("navigator.locks === undefined")
    assert server.archived("plain").count("o") == 1
    browser.close()
