"""The whole shopping walk, on a desk and on a phone, with and without what makes it live: real server, real browser."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Open
from .test_storefront import COUNT_EVENTS, axe_faults, live, recommended
from .told import Told

DESK: dict[str, Any] = {}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
SHIFTS = """() => { window.shift = 0; new PerformanceObserver(list => {
  for (const e of list.getEntries()) if (!e.hadRecentInput) window.shift += e.value;
}).observe({type: "layout-shift", buffered: true}); }"""

BAG = {"add_to_cart", "add_to_wishlist", "remove_from_cart", "purchase"}

ADDRESS = {
    "name": "Ada Example",
    "email": "ada@shop.example",
    "street": "1 High Street",
    "postcode": "AB1 2CD",
    "city": "Anytown",
}


def add(page: Page, item: str, pieces: int = 1) -> None:
    page.goto(f"{page.url.split('/shop/')[0]}/shop/fashion/item/{item}/")
    before = int(page.locator("#bag-count").inner_text())
    page.get_by_label("Pieces").select_option(str(pieces))
    page.get_by_role("button", name="Add to bag").click()
    expect(page.locator("#bag-count")).to_have_text(str(before + pieces))


def order(page: Page) -> None:
    """From the bag's page to the order's, once with nothing filled in."""
    page.get_by_role("link", name="Check out").last.click()
    page.get_by_role("button", name="Place the order").click()
    wrong = page.get_by_role("alert")
    expect(wrong).to_contain_text("Postcode: Fill this in")
    assert axe_faults(page) == []
    for name, value in ADDRESS.items():
        page.locator(f"[name={name}]").fill(value)
    page.locator(".address [name=country]").select_option("Germany")
    page.locator("[name=postcode]").fill("?")
    page.get_by_role("button", name="Place the order").click()
    expect(wrong).to_contain_text("A postcode has 3 to 12 letters and numbers")
    assert page.locator("[name=name]").input_value() == ADDRESS["name"], "what was right stays"
    page.locator("[name=postcode]").fill(ADDRESS["postcode"])
    page.get_by_role("button", name="Place the order").click()
    page.wait_for_url("**/order/*/")
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()


@pytest.mark.parametrize("options", [DESK, PHONE], ids=["desk", "phone"])
def test_the_whole_walk(open_page: Open, options: dict[str, Any]) -> None:
    page = open_page("/shop/fashion/", **options)
    told = Told(page)
    live(page)
    page.locator(".categories a", has_text="Trousers").click()
    page.get_by_role("link", name="Cheapest first").click()
    prices = [float(text.strip().lstrip("$").split()[0]) for text in page.locator(".grid .price").all_inner_texts()]
    assert prices == sorted(prices)
    page.locator(".grid a").first.click()
    live(page)
    add(page, "A1", 2)
    add(page, "C20")
    page.locator("#bag summary").click()
    page.locator("#bag-sheet").get_by_role("link", name="See the bag").click()
    live(page)
    page.wait_for_selector("#rail-cart .rail-card[data-recommendation]")
    first = page.locator(".bag-lines li").first
    each = float(first.locator(".price").inner_text().lstrip("$"))
    first.get_by_label("Pieces of").fill("3")
    first.get_by_label("Pieces of").press("Tab")
    expect(first.locator(".bag-total")).to_contain_text(f"${3 * each:.2f}")
    expect(page.locator("#bag-count")).to_have_text("4")
    page.locator(".bag-lines li").nth(1).get_by_role("button", name="Take out").click()
    expect(page.locator(".bag-lines li")).to_have_count(1)
    expect(page.locator("#undo")).to_be_focused()
    page.locator("#undo").press("Enter")
    expect(page.locator(".bag-lines li")).to_have_count(2)
    assert axe_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
    order(page)
    live(page)
    expect(page.locator("#bag-count")).to_have_text("0")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
    for _ in range(40):
        if "purchase" in told.names():
            break
        page.wait_for_timeout(500)
    moved = [(e["name"], e["items"][0]["item_id"], e["items"][0].get("quantity")) for e in told.events() if "cart" in e["name"]]
    assert moved == [
        ("add_to_cart", "A1", 2), ("add_to_cart", "C20", 1), ("add_to_cart", "A1", 1),
        ("remove_from_cart", "C20", 1), ("add_to_cart", "C20", 1),
    ]  # fmt: skip
    (bought,) = [e for e in told.events() if e["name"] == "purchase"]
    assert [(i["item_id"], i["quantity"]) for i in bought["items"]] == [("A1", 3), ("C20", 1)]


def test_an_order_is_told_once_however_often_its_page_is_loaded(open_page: Open) -> None:
    page = open_page("/shop/fashion/")
    add(page, "A1")
    page.goto(page.url.split("/item/")[0] + "/bag/")
    order(page)
    live(page)
    page.wait_for_timeout(800)
    told = Told(page)
    counted = page.evaluate(COUNT_EVENTS)
    page.reload()
    live(page)
    page.wait_for_timeout(500)
    assert not {"purchase", "remove_from_cart"} & set(told.names())
    # Another window of the visit remembers nothing, and tells it under the same id.
    page.evaluate("localStorage.clear()")
    with page.expect_response(lambda r: "/api/v1/events" in r.url and "purchase" in (r.request.post_data or "")) as sent:
        page.reload()
    assert {r["status"] for r in sent.value.json()["results"]} == {"duplicate"}
    live(page)
    page.wait_for_timeout(500)
    own = [name for name in told.names() if name != "purchase"]
    assert page.evaluate(COUNT_EVENTS) <= counted + len(own) + 3, "dwell of pages that were left may come beside"


def test_without_scripts_one_can_buy(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/A1/", java_script_enabled=False)
    page.get_by_role("button", name="Add to bag").click()
    page.wait_for_url("**/bag/")
    page.get_by_label("Pieces of").fill("2")
    page.get_by_role("button", name="Change").click()
    expect(page.locator(".bag-sum")).to_contain_text("2 pieces")
    page.get_by_role("button", name="Take out").click()
    expect(page.locator(".undo")).to_contain_text("was taken out")
    page.get_by_role("button", name="Put it back").click()
    expect(page.locator(".bag-sum")).to_contain_text("2 pieces")
    order_without_axe(page)
    page.goto(page.url.split("/order/")[0] + "/")
    expect(page.get_by_role("heading", name="Continue")).to_be_visible()


def order_without_axe(page: Page) -> None:
    page.get_by_role("link", name="Check out").last.click()
    for name, value in ADDRESS.items():
        page.locator(f"[name={name}]").fill(value)
    page.locator(".address [name=country]").select_option("Poland")
    page.get_by_role("button", name="Place the order").click()
    page.wait_for_url("**/order/*/")


def test_with_the_live_side_away_one_can_buy(chromium: Browser, site: str) -> None:
    context = chromium.new_context()
    page = context.new_page()
    thrown: list[str] = []
    page.on("pageerror", lambda e: thrown.append(str(e)))
    page.route("**/api/**", lambda route: route.abort())
    page.route_web_socket(re.compile("/ws/v1/"), lambda socket: socket.close(code=1013))
    page.goto(f"{site}/shop/fashion/")
    assert page.locator("#rail .rail-card").count() == 12
    add(page, "A1")
    page.goto(f"{site}/shop/fashion/bag/")
    order_without_axe(page)
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert not thrown
    context.close()


def test_saved_goods_are_kept_and_told(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/A1/")
    with page.expect_request(lambda r: "add_to_wishlist" in (r.post_data or "")):
        page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="On your list")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("link", name="Saved").click()
    expect(page.locator(".wishes .card")).to_have_count(1)
    page.get_by_role("button", name="Take off the list").click()
    expect(page.locator(".products")).to_contain_text("Nothing saved yet")


def test_a_page_that_was_left_open_tells_nothing_twice(open_page: Open) -> None:
    old = open_page("/shop/fashion/item/A1/")
    live(old)
    told = Told(old)
    page = old.context.new_page()
    more = Told(page)
    base = old.url.split("/shop/")[0]
    page.goto(f"{base}/shop/fashion/")
    add(page, "A2")
    page.get_by_role("button", name="Save").click()
    page.goto(f"{base}/shop/fashion/bag/")
    order(page)
    old.get_by_role("button", name="Add to bag").click()
    expect(old.locator("#bag-count")).to_have_text("1")
    page.reload()
    live(page)
    page.wait_for_timeout(1_500)
    known = {e["event_id"]: e["name"] for e in [*told.events(), *more.events()]}.values()
    assert sorted(name for name in known if name in BAG) == ["add_to_cart", "add_to_cart", "add_to_wishlist", "purchase"]


def test_with_the_browsers_storage_blocked_the_page_is_whole(open_page: Open) -> None:
    blocked = """for (const kind of ["localStorage", "sessionStorage"])
        Object.defineProperty(window, kind, {get() { throw new DOMException("blocked", "SecurityError"); }});"""
    page = open_page("/shop/fashion/item/A1/", before=lambda made: made.add_init_script(blocked))
    live(page)
    told = Told(page)
    with page.expect_request(lambda r: "add_to_cart" in (r.post_data or "")):  # where nothing can be noted, it must be seen
        page.get_by_role("button", name="Add to bag").click()
    expect(page.locator("#bag-count")).to_have_text("1")
    page.goto(page.url)
    live(page)
    page.wait_for_timeout(1_500)
    assert told.names().count("add_to_cart") == 1


def test_while_paused_nothing_is_told_and_the_rail_is_anybodys(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/C20/")
    live(page)
    recommended(page)
    visit = page.evaluate("JSON.parse(document.getElementById('panel-settings').textContent).session")
    page.wait_for_timeout(600)
    page.get_by_role("button", name="Pause personalisation").click()
    expect(page.locator("#panel")).to_contain_text("Personalisation is paused")
    page.wait_for_timeout(800)
    counted = Told(page)
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    for item in ("A1", "B4"):
        add(page, item)
        recommended(page)
        page.wait_for_timeout(1_300)
    page.goto(page.url)
    assert (counted.events(), sockets) == ([], [])
    asked_as = page.evaluate("JSON.parse(document.getElementById('panel-settings').textContent).session")
    assert asked_as != visit
    page.get_by_role("button", name="Go on being followed").click()
    live(page)
    assert page.evaluate("JSON.parse(document.getElementById('panel-settings').textContent).session") == visit
    page.wait_for_timeout(600)
    assert "add_to_cart" not in counted.names(), "what was done while paused stays untold"


def test_circumstances_can_be_tried_and_taken_back(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/A1/")
    live(page)
    page.get_by_text("What if it were").click()
    country = page.get_by_label("Country")
    shares = page.locator("#personas .share").all_text_contents()
    value = country.locator("option").nth(2).get_attribute("value")
    country.select_option(value)
    expect(page.locator("#used")).to_contain_text(f"country: {value}")
    expect(page.locator("#circumstances [role=status]")).to_contain_text("counts it now")
    page.locator("#rail .rail-card a").first.click()
    live(page)
    expect(page.locator("#used")).to_contain_text(f"country: {value}")
    page.get_by_text("What if it were").click()
    assert page.get_by_label("Country").input_value() == value
    page.get_by_label("Country").select_option("")
    expect(page.locator("#used")).not_to_contain_text(f"country: {value}")
    assert shares


def test_the_panel_draws_the_visits_course(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/A1/")
    for item in ("C20", "B4"):
        live(page)
        expect(page.locator("#evidence .nats").first).to_be_visible()
        page.goto(page.url.split("/item/")[0] + f"/item/{item}/")
    live(page)
    expect(page.locator("#course path").first).to_be_attached()
    assert page.locator("#course path").count() == page.locator("#personas li").count()
    # The three who led last: whoever led at first is among them, unless every step had another.
    begun, gone_on = r"^\S.* before the first step(, then .+ from step \d+){0,2}\.", r"^\S.*( from step \d+.*){3}\."
    expect(page.locator("#course figcaption")).to_have_text(re.compile(f"{begun}|{gone_on}"))
    page.get_by_text("In numbers").click()
    assert page.locator("#course tbody tr").count() >= 2


def test_each_card_says_why_by_keyboard(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/C20/")
    live(page)
    recommended(page)
    ask = page.locator("#rail .ask").first
    ask.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Why am I seeing this?")
    expect(dialog).to_be_visible()
    assert dialog.locator(".why-words").inner_text()
    assert axe_faults(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(ask).to_be_focused()


@pytest.mark.parametrize("options", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("path", ["", "item/C20/", "bag/"])
def test_nothing_shifts_from_the_first_paint_on(open_page: Open, path: str, options: dict[str, Any]) -> None:
    page = open_page("/shop/fashion/", **options)
    add(page, "A1")
    page.goto(page.url.split("/item/")[0] + f"/{path}")
    page.evaluate(SHIFTS)
    live(page)
    recommended(page)
    page.wait_for_timeout(1_200)
    assert page.evaluate("window.shift") < 0.02


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(open_page: Open, scheme: str) -> None:
    page = open_page("/shop/fashion/", color_scheme=scheme, reduced_motion="reduce")
    base = page.url
    for path in ("", "category/trousers/?sort=name", "wishes/", "bag/"):
        page.goto(base + path)
        live(page)
        recommended(page)
        assert axe_faults(page) == [], path
    add(page, "A1")
    page.locator("#bag summary").click()
    page.wait_for_selector("#bag-sheet .rail-card[data-recommendation]")
    assert axe_faults(page) == [], "the bag, open"
    page.goto(base + "checkout/")
    assert axe_faults(page) == [], "checkout"
    page.get_by_text("What if it were").click()
    page.get_by_text("In numbers").click()
    assert axe_faults(page) == [], "the panel, unfolded"
    page.get_by_role("button", name="Pause personalisation").click()
    assert axe_faults(page) == [], "paused"
    page.goto(base + "bag/")
    order_without_axe(page)
    assert axe_faults(page) == [], "the order"
