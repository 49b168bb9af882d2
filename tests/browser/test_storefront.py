"""A visitor clicks through the storefront: real server, real release, real browser."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Request, expect

from .conftest import Open
from .told import Told

FIRST_PAGE_BYTES = 150_000

POST_VIEWS = """async ([ids, count]) => {
  const s = JSON.parse(document.getElementById("panel-settings").textContent);
  const events = Array.from({length: count}, (_, i) => ({
    event_id: `elsewhere-${Math.random()}-${i}`, name: "view_item", items: [{item_id: ids[i % ids.length]}]}));
  const answer = await fetch("/api/v1/events", {method: "POST",
    headers: {authorization: `Bearer ${s.token}`, "content-type": "application/json"},
    body: JSON.stringify({session_id: s.session, events})});
  return (await answer.json()).version;
}"""
"""Posts views of these items for the page's session, as another window of the same visit would."""


COUNT_EVENTS = """async () => {
  const s = JSON.parse(document.getElementById("panel-settings").textContent);
  const answer = await fetch(`/api/v1/sessions/${s.session}/profile`, {headers: {authorization: `Bearer ${s.token}`}});
  return (await answer.json()).events;
}"""


def recommended(page: Page) -> list[str]:
    """Item ids on the rail, by slot, once the rail is the system's and not the page's own mixture."""
    page.wait_for_selector("#rail .rail-card[data-recommendation]")
    ids: list[str] = page.eval_on_selector_all("#rail .rail-card", "cards => cards.map(c => c.dataset.item)")
    return ids


def changed(page: Page, old: list[str]) -> None:
    """Waits until the rail holds something else."""
    script = "old => [...document.querySelectorAll('#rail .rail-card')].map(c => c.dataset.item).join() !== old"
    page.wait_for_function(script, arg=",".join(old))


def belief(page: Page) -> list[str]:
    return page.locator("#personas .share").all_text_contents()


def live(page: Page) -> None:
    expect(page.locator("#link-state")).to_have_text("Live")


SETTLED = """() => Promise.all(document.getAnimations()
  .filter((one) => Number.isFinite(one.effect.getComputedTiming().endTime))
  .map((one) => one.finished.catch(() => null)))"""


def axe_faults(page: Page) -> list[tuple[str, str]]:
    # What is still fading in has less contrast than it will have, and a push may bring more while axe reads.
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(SETTLED)
    found: dict[str, Any] = Axe().run(page).response
    page.emulate_media(reduced_motion="no-preference")
    serious = [v for v in found["violations"] if v["impact"] in {"serious", "critical"}]
    return [(v["id"], v["nodes"][0]["html"][:160]) for v in serious]


def test_each_click_moves_the_belief_and_the_rail(open_page: Open) -> None:
    page = open_page("/")
    assert page.url.endswith("/shop/fashion/")
    live(page)
    before, rail = belief(page), recommended(page)
    assert len(rail) == len(set(rail)) == 12

    page.locator(".categories a", has_text="Trousers").click()
    page.locator(".grid a").first.click()
    expect(page.locator("#evidence")).to_contain_text("moved you")
    live(page)
    evidence = page.locator("#evidence").inner_text()
    after_one = recommended(page)
    assert belief(page) != before
    assert after_one != rail

    page.locator("#rail .rail-card a").nth(2).click()
    expect(page.locator("#evidence")).not_to_have_text(evidence)
    live(page)
    changed(page, after_one)
    assert page.locator("#clusters li .name").count() >= 2
    assert page.locator("#rail .rail-card .why").all_text_contents().count("") == 0
    expect(page.locator("#belief-words")).not_to_contain_text("Nothing seen yet")


def test_the_rail_changes_by_the_socket_alone(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/A1/")
    live(page)
    rail, shares = recommended(page), belief(page)
    frames: list[str] = []
    page.on("request", lambda r: frames.append(r.url) if "/api/v1/recommendations" in r.url else None)
    page.evaluate(POST_VIEWS, [["C20", "C17", "C33"], 3])
    changed(page, rail)
    expect(page.locator("#personas .share")).not_to_have_text(shares)
    assert not frames, "slates came by the socket, not by asking"


def test_an_update_never_takes_what_the_pointer_is_over(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/A1/")
    live(page)
    recommended(page)
    card = page.locator("#rail .rail-card").nth(1)
    card.hover()
    held = card.get_attribute("data-item")
    place = card.bounding_box()
    old = recommended(page)
    page.evaluate(POST_VIEWS, [["B4", "B10", "B26"], 6])
    changed(page, old)
    page.wait_for_timeout(300)
    now = recommended(page)
    assert now[1] == held
    assert page.locator("#rail .rail-card").nth(1).bounding_box() == place
    assert len(set(now)) == 12


def test_looking_at_rails_moves_none(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/A1/", viewport={"width": 1440, "height": 2200})
    reports: list[dict[str, Any]] = []

    def heard(request: Request) -> None:
        if "view_item_list" in (request.post_data or ""):
            reports.extend(json.loads(request.post_data or "{}")["events"])

    page.on("request", heard)
    live(page)
    for rail in ("#rail-similar", "#rail-complementary", "#rail"):
        page.wait_for_selector(f"{rail} .rail-card[data-recommendation]")
    page.wait_for_timeout(3_000)
    cards = "cards => cards.map(c => [c.dataset.recommendation, c.dataset.item, Number(c.dataset.slot)])"
    shown = page.eval_on_selector_all(".rail-card[data-recommendation]", cards)
    told = [[r["recommendation_id"], i["item_id"], i["index"]] for r in reports for i in r["items"]]
    assert told
    assert all(each in shown for each in told)
    assert len({r["recommendation_id"] for r in reports}) == len(reports), "one report for one look"
    reports.clear()
    page.wait_for_timeout(3_000)
    assert page.eval_on_selector_all(".rail-card[data-recommendation]", cards) == shown
    assert not reports


def test_updates_do_not_shift_the_layout(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/A1/")
    live(page)
    recommended(page)
    page.wait_for_timeout(500)
    page.evaluate("""() => { window.shift = 0; new PerformanceObserver(list => {
        for (const e of list.getEntries()) window.shift += e.value; }).observe({type: "layout-shift"}); }""")
    rail = page.locator("#rail").bounding_box()
    page.evaluate(POST_VIEWS, [["C20", "B4", "A2"], 5])
    page.wait_for_timeout(1_200)
    assert page.evaluate("window.shift") < 0.02
    assert page.locator("#rail").bounding_box() == rail


def test_each_recommendation_names_whom_it_is_for(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/C20/")
    live(page)
    recommended(page)
    personas = set(page.locator("#personas li span:nth-child(2)").all_text_contents())
    told = page.locator("#rail .rail-card .for").all_inner_texts()
    assert len(told) == 12
    assert {text.removeprefix("For").strip() for text in told if text} <= personas
    assert any(told), "at least one slot is a persona's"


SAYINGS = """async ([profile, remembered]) => {
  const m = await import(document.querySelector('script[type=module]').src.replace("panel.js", "belief.js"));
  return [m.sentence(profile), m.shiftSentence(profile.shift, profile.evidence, remembered), ...m.besides(profile.evidence_used)];
}"""


def test_the_panel_tells_one_from_several_from_unsure(open_page: Open) -> None:
    page = open_page("/shop/fashion/")
    names = {"a": "Home Decorator", "b": "Budget-conscious", "c": "Home Cook"}

    def said(shares: dict[str, float], **profile: Any) -> list[str]:
        belief = [{"key": k, "name": names[k], "probability": p} for k, p in shares.items()]
        told = {"events": 5, "belief": belief, "active": list(names)[:2], "several": False, "unsure": False, "evidence": []}
        answer: list[str] = page.evaluate(SAYINGS, [told | profile, {"e7": {"name": "search", "query": "tents"}}])
        return answer

    both = {"a": 0.5, "b": 0.45, "c": 0.05}
    assert said(both, several=True)[0] == "You are shopping as two: Home Decorator and Budget-conscious."
    assert said(both)[0] == "One of these: Home Decorator (50 in 100) and Budget-conscious (45 in 100)."
    assert said(both, unsure=True)[0] == "Not sure yet. Nearest is Home Decorator, 50 in 100."
    one = {"a": 0.98, "b": 0.02, "c": 0.0}
    assert said(one)[0] == "Most like Home Decorator, 98 in 100; then Budget-conscious, 2 in 100."
    assert said(one, events=0)[0] == "Nothing seen yet. What was known before points to Home Decorator, 98 in 100."
    shift = {"from": {"name": "Home Cook"}, "to": {"name": "Home Decorator"}, "at": 3.0, "factor": "query", "value": "outdoors"}
    entry = {"event": "e7", "at": 3.0, "factor": "query", "value": "outdoors", "nats": 1.0}
    told = said(one, shift=shift, evidence=[entry], evidence_used={"weekday": "Sunday", "history": "few"})
    assert told[1] == "Changed from Home Cook to Home Decorator after your search for “tents”."
    assert told[2:] == ["day: Sunday", "bought before: few"]
    assert said(one, shift=shift)[1].endswith("after a search about “outdoors”.")


def test_rail_clicks_dwell_and_bag_are_told(open_page: Open) -> None:
    listening: list[Told] = []
    page = open_page("/shop/fashion/item/A1/", before=lambda page: listening.append(Told(page)))
    (told,) = listening
    live(page)
    recommended(page)
    page.get_by_role("button", name="Add to bag").click()
    expect(page.locator("#bag-count")).to_have_text("1")
    page.locator("#bag summary").click()
    page.locator("#bag-sheet").get_by_role("button", name="Take").click()
    expect(page.locator("#bag-count")).to_have_text("0")
    page.keyboard.press("Escape")
    page.wait_for_timeout(600)
    card = page.locator("#rail .rail-card").first
    wanted = {"item": card.get_attribute("data-item"), "recommendation": card.get_attribute("data-recommendation")}
    card.locator("a").click()
    page.wait_for_url(f"**/item/{wanted['item']}/")
    live(page)
    # What was said as the page went is said again by the next one, once it is no longer taken for another tab's.
    for _ in range(60):
        if "select_item" in told.names() and len(told.events()) >= page.evaluate(COUNT_EVENTS):
            break
        page.wait_for_timeout(500)
    by_name = {e["name"]: e for e in told.events()}
    assert {"add_to_cart", "remove_from_cart", "select_item", "user_engagement", "view_item"} <= set(by_name)
    assert by_name["select_item"]["recommendation_id"] == wanted["recommendation"]
    for _ in range(60):
        if (counted := page.evaluate(COUNT_EVENTS)) == len(told.events()):
            break
        page.wait_for_timeout(500)
    assert counted == len(told.events())


def test_the_bag_keeps_the_keyboards_place(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/A1/")
    page.get_by_role("button", name="Add to bag").click()
    expect(page.locator("#bag-count")).to_have_text("1")
    summary = page.locator("#bag summary")
    summary.press("Enter")
    page.locator("#bag-sheet").get_by_role("button", name="Take").press("Enter")
    expect(summary).to_be_focused()
    expect(page.locator("#bag-count")).to_have_text("0")


def test_dwell_is_what_was_in_view(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/A1/")
    live(page)
    page.wait_for_timeout(700)
    with page.expect_request(lambda r: "user_engagement" in (r.post_data or "")) as sent:
        page.evaluate("""() => { Object.defineProperty(document, "hidden", {value: true, configurable: true});
            document.dispatchEvent(new Event("visibilitychange")); }""")
    told = json.loads(sent.value.post_data or "{}")["events"][0]
    assert told["items"] == [{"item_id": "A1"}]
    assert 700 <= told["engagement_time_msec"] < 60_000


def test_a_search_is_told_and_found(open_page: Open) -> None:
    page = open_page("/")
    page.get_by_label("Search the shop").fill("burgundy")
    with page.expect_request(lambda r: '"search_term":"burgundy"' in (r.post_data or "")):
        page.keyboard.press("Enter")
    assert page.locator(".grid .card").count() == 3


def test_a_new_session_starts_from_nothing(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/P73/")
    expect(page.locator("#evidence .nats").first).to_be_visible()
    before = page.evaluate("JSON.parse(document.getElementById('panel-settings').textContent).session")
    page.get_by_role("button", name="New session").click()
    live(page)
    assert page.evaluate("JSON.parse(document.getElementById('panel-settings').textContent).session") != before
    assert page.evaluate(COUNT_EVENTS) <= 1, "at most the report of what the new rail showed"


def test_without_the_socket_a_quiet_word_and_rest(open_page: Open) -> None:
    def cut(page: Page) -> None:
        page.route_web_socket(re.compile("/ws/v1/"), lambda socket: socket.close(code=1013))

    page = open_page("/shop/fashion/item/A1/", before=cut)
    expect(page.locator("#link-state")).to_contain_text("Live updates are off")
    rail = recommended(page)
    page.evaluate(POST_VIEWS, [["C20", "C17", "C33"], 3])
    changed(page, rail)


def test_without_scripts_the_shop_still_works(open_page: Open) -> None:
    page = open_page("/", java_script_enabled=False)
    assert page.locator(".grid .card").count() == 24
    assert page.locator("#rail .rail-card").count() == 12
    page.locator(".grid .card a").first.click()
    assert "/item/" in page.url
    assert page.locator("h1").inner_text()


def test_a_shop_on_its_way_tells_how_far_it_is_and_opens_by_itself(open_page: Open) -> None:
    """The server's answers are stood in for, but the first: how a shop gets there is not the page's business."""
    page = open_page("/shop/waiting/", viewport={"width": 360, "height": 740})
    words = page.locator(".progress-words")
    expect(words).to_have_text("Its catalogue is being read.")
    assert axe_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    told: dict[str, Any] = {"ready": False, "open": False, "failed": False, "said": "7 goods and 3 past visits are in."}
    page.route("**/shop/waiting/progress/", lambda route: route.fulfill(json=told))
    expect(words).to_have_text(told["said"], timeout=10_000)
    page.route("**/shop/waiting/", lambda route: route.fulfill(body="<title>Open</title>", content_type="text/html"))
    told["open"] = True
    expect(page).to_have_title("Open", timeout=10_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/shop/fashion/", "/shop/fashion/item/C20/", "/shop/fashion/sign-in/"])
def test_axe_finds_nothing_serious(open_page: Open, scheme: str, path: str) -> None:
    page = open_page(path, color_scheme=scheme, reduced_motion="reduce")
    live(page)
    recommended(page)
    assert axe_faults(page) == []


@pytest.mark.parametrize("width", [360, 768, 2560])
def test_no_sideways_scroll(open_page: Open, width: int) -> None:
    for path in ("/shop/fashion/", "/shop/fashion/item/C20/", "/shop/fashion/sign-in/"):
        page = open_page(path, viewport={"width": width, "height": 800})
        recommended(page)
        page.evaluate("document.querySelector('#sign-in .who').textContent = 'Shopper 1234'")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_the_panel_says_who_and_tells_the_rest_when_asked_on_the_next_page_too(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/C20/", viewport={"width": 390, "height": 800})
    live(page)
    more, moved = page.get_by_role("button", name="What moved it, and the clusters"), page.locator("#evidence")
    expect(page.locator("#personas li").first).to_be_visible()
    expect(moved).to_be_hidden()
    more.click()
    expect(more).to_have_attribute("aria-expanded", "true")
    expect(moved).to_be_visible()
    page.goto(page.url.replace("/item/C20/", "/"))
    expect(moved).to_be_visible()
    more.click()
    expect(moved).to_be_hidden()


def test_the_first_page_is_light(open_page: Open) -> None:
    received: list[float] = []

    def count(page: Page) -> None:
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.on("Network.loadingFinished", lambda e: received.append(e["encodedDataLength"]))

    page = open_page("/shop/fashion/", before=count)
    live(page)
    recommended(page)
    page.wait_for_load_state("networkidle")
    assert 20_000 < sum(received) < FIRST_PAGE_BYTES


def test_reduced_motion_is_honoured(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/A1/", reduced_motion="reduce")
    live(page)
    old = recommended(page)
    page.evaluate("""() => { window.moves = 0; const animate = Element.prototype.animate;
        Element.prototype.animate = function (...a) { window.moves += 1; return animate.apply(this, a); }; }""")
    page.evaluate(POST_VIEWS, [["C20", "C17", "C33"], 3])
    changed(page, old)
    assert page.evaluate("window.moves") == 0


def test_the_keyboard_reaches_everything(open_page: Open) -> None:
    page = open_page("/shop/fashion/item/C20/")
    live(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the products"
    reached = set()
    for _ in range(36):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"q", "add", "rail-items-similar"} <= reached
    hint = page.locator("#moved-title .hint")
    hint.focus()
    expect(page.locator("#hint-nats")).to_be_visible()
