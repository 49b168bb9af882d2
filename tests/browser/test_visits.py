"""Visits on the desk, as a merchandiser walks through them: the list, step by step, what would have been, the live page."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from playwright.sync_api import Page, expect

from recommendations.demo import USER

from .conftest import ROOT, Open
from .small_shop import PASSWORD
from .test_storefront import axe_faults, live

ARCHIVE = """
import django
django.setup()
from recommendations.serving import archiving
archiving.archive(archiving.open_log(), consumer="test", seconds=1.0, idle_ms=0)
"""
"""What a worker does all the time, once."""

VISITS = "/admin/personas/session/visits/"


def enter(open_page: Open, path: str, **options: object) -> Page:
    page = open_page(path, **options)
    page.locator("[name=username]").fill(USER)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    expect(page.locator("h1").first).to_contain_text("Visit")
    return page


def longest(page: Page) -> Page:
    """Opens a visit of the list with four events or more."""
    rows = page.locator(".visits-table tbody tr")
    for row in rows.all():
        if int(row.locator("td.visits-n").first.inner_text()) >= 4:
            row.locator("th a").click()
            break
    expect(page.locator("#step-heading")).to_be_visible()
    return page


def step(page: Page) -> str:
    return page.locator(".visit-steps b").inner_text()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 768), ("light", 390)])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_page(open_page: Open, scheme: str, width: int) -> None:
    page = enter(open_page, f"{VISITS}?shop=fashion", color_scheme=scheme, viewport={"width": width, "height": 900})
    assert axe_faults(page) == []
    longest(page)
    for more in ("?step=2", "?step=0", "?step=3&edit=out:2&edit=in:3:view_item:A1", "?edit=out:99"):
        page.goto(page.url.split("?")[0] + more)
        assert axe_faults(page) == [], more
        assert page.evaluate("document.documentElement.scrollWidth") <= width, more


def test_a_visit_is_stepped_through_by_buttons_keys_list_and_chart_and_the_address_holds_the_step(open_page: Open) -> None:
    page = longest(enter(open_page, f"{VISITS}?shop=fashion"))
    last = int(step(page).split()[-1])
    page.get_by_role("link", name="← Back").click()
    expect(page.locator(".visit-steps b")).to_have_text(f"Step {last - 1} of {last}")
    assert page.url.endswith(f"?step={last - 1}")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".visit-steps b")).to_have_text(f"Step {last - 2} of {last}")
    expect(page.locator("#visit-live")).to_contain_text(f"Step {last - 2} of {last}")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".visit-steps b")).to_have_text(f"Step {last - 1} of {last}")
    page.locator(".visit-all-steps a").first.click()
    expect(page.locator(".visit-steps b")).to_have_text(f"Step 1 of {last}")
    page.locator(".visit-ways a").nth(1).click()
    expect(page.locator(".visit-steps b")).to_have_text(f"Step 2 of {last}")
    page.go_back()
    expect(page.locator(".visit-steps b")).to_have_text(f"Step 1 of {last}")
    page.reload()
    expect(page.locator(".visit-steps b")).to_have_text(f"Step 1 of {last}")


def test_what_would_have_been_is_shared_by_its_address_and_undone(open_page: Open) -> None:
    page = longest(enter(open_page, f"{VISITS}?shop=fashion"))
    page.locator("#way-back").click()
    page.get_by_text("What if this event had been another?").click()
    page.get_by_role("link", name="Leave this event out").click()
    expect(page.locator(".visit-told").first).to_contain_text("Without the look at")
    page.locator("form:has([value=in]) [name=what]").fill("B10")
    page.locator("form:has([value=in]) button").click()
    expect(page.locator(".visit-changes li")).to_have_count(3)
    expect(page.locator(".visit-told").first).to_contain_text("With these two changes")
    page.reload()
    expect(page.locator(".visit-told").first).to_contain_text("With these two changes")
    page.locator(".visit-changes a").first.click()
    expect(page.locator(".visit-changes li")).to_have_count(1)
    page.locator(".visit-changes a").first.click()
    expect(page.locator("#both-heading")).to_have_count(0)


def test_every_step_is_a_page_of_its_own_without_the_pages_script(open_page: Open) -> None:
    def without(page: Page) -> None:
        page.route("**/visit*.js", lambda route: route.fulfill(body="", content_type="text/javascript"))

    page = longest(enter(open_page, f"{VISITS}?shop=fashion", before=without))
    before = step(page)
    page.locator("#way-back").click()
    expect(page.locator(".visit-steps b")).not_to_have_text(before)
    page.get_by_text("What if this event had been another?").click()
    page.locator("form:has([value=in]) [name=what]").fill("B10")
    page.locator("form:has([value=in]) button").click()
    expect(page.locator(".visit-told").first).to_contain_text("put in after step")


def test_a_visit_that_goes_on_is_found_on_the_live_page_and_followed(
    open_page: Open, installation: tuple[str, dict[str, str]]
) -> None:
    def archive() -> None:
        subprocess.run([sys.executable, "-c", ARCHIVE], env=installation[1], cwd=ROOT, check=True, timeout=120)

    shopper = open_page("/shop/fashion/item/A1/")
    live(shopper)
    archive()
    page = enter(open_page, f"{VISITS}?shop=fashion&origin=live")
    page.goto(page.url.split("visits/")[0] + "live/?shop=fashion")
    page.locator("#live-sessions a").first.click(timeout=15_000)
    expect(page.locator("#step-heading")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("link", name="Stop following")).to_be_visible()
    before = step(page)
    shopper.goto(shopper.url.replace("A1", "B10"))
    live(shopper)
    archive()
    expect(page.locator(".visit-steps b")).not_to_have_text(before, timeout=20_000)
    assert re.search(r"follow=1", page.url)
