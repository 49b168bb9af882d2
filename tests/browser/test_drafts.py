"""A change that waits: drafted on its page, seen as a shopper in the preview, published; and two people at one cluster."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from recommendations.demo import USER

from .conftest import Open
from .small_shop import PASSWORD
from .test_storefront import axe_faults

DRAFTS = "/admin/recommendations/draftedit/"
HERE = f"{DRAFTS}?shop=fashion"
RULE = "/admin/recommendations/merchandisingrule/add/?action=exclude"


def enter(open_page: Open, path: str, **options: object) -> Page:
    page = open_page(path, **options)
    page.locator("[name=username]").fill(USER)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    expect(page.locator("main h1")).to_be_visible()
    return page


def at(page: Page, path: str) -> None:
    page.goto(f"{page.url.split('/admin/')[0]}{path}")


def draft_a_rule(page: Page, name: str) -> None:
    """A rule that leaves all skirts out, as a draft."""
    at(page, RULE)
    page.locator("#id_name").fill(name)
    page.locator("[name=categories][value=skirts]").locator("xpath=ancestor::details").locator("summary").click()
    page.locator("[name=categories][value=skirts]").check()
    page.get_by_role("button", name="Save as a draft").click()
    expect(page.get_by_text("Kept as a draft.")).to_be_visible()


def test_a_rule_is_drafted_previewed_and_published(open_page: Open) -> None:
    page = enter(open_page, HERE)
    draft_a_rule(page, "No skirts")
    expect(page.get_by_text("A new rule “No skirts”: leaves out skirts.")).to_be_visible()
    page.get_by_role("link", name="Preview as a shopper").click()
    page.get_by_role("searchbox", name="Find items").press_sequentially("skirts")
    page.get_by_role("button", name=re.compile("^Look at: .*skirts")).first.click()
    expect(page.locator(".preview-clicks li")).to_have_count(1)
    expect(page.locator(".preview-gone").first).to_be_visible()
    page.get_by_role("slider").first.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"p\.[a-z-]+=5.*do=view_item"))
    shared = page.url
    at(page, HERE)
    page.get_by_role("button", name="Discard what is ticked").click()
    page.get_by_role("button", name=re.compile("^Bring (it|them) back$")).click()
    page.get_by_role("button", name="Publish what is ticked").click()
    expect(page.get_by_text("Published: 1 change.")).to_be_visible()
    expect(page.get_by_text("Everything is published.")).to_be_visible()
    page.goto(shared)
    expect(page.locator(".preview-clicks li")).to_have_count(1)
    at(page, "/admin/recommendations/merchandisingrule/")
    page.get_by_role("link", name="No skirts").first.click()
    page.get_by_role("button", name="Take it out").click()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 768), ("light", 390)])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_page(open_page: Open, scheme: str, width: int) -> None:
    page = enter(open_page, HERE, color_scheme=scheme, viewport={"width": width, "height": 900})
    draft_a_rule(page, f"Draft {scheme} {width}")
    for path in (HERE, f"{DRAFTS}preview/?shop=fashion&do=search:red+skirts"):
        at(page, path)
        expect(page.locator("main h1")).to_be_visible()
        assert axe_faults(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    at(page, HERE)
    page.get_by_role("button", name="Discard what is ticked").click()


def test_the_corner_of_other_pages_tells_of_what_waits(open_page: Open) -> None:
    page = enter(open_page, HERE)
    draft_a_rule(page, "Waits")
    at(page, "/admin/recommendations/merchandisingrule/")
    page.get_by_role("link", name="1 unpublished change").click()
    expect(page.locator("main h1")).to_have_text("Unpublished changes")
    page.get_by_role("button", name="Discard what is ticked").click()


@pytest.mark.parametrize("width", [1440, 768])
def test_the_corner_leaves_the_buttons_of_a_form_free(open_page: Open, width: int) -> None:
    """Oracle: what a click in the middle of *Save* would hit, at the end of the page."""
    page = enter(open_page, HERE, viewport={"width": width, "height": 900})
    draft_a_rule(page, f"Waits at {width}")
    at(page, "/admin/recommendations/adaptationsettings/add/")
    expect(page.get_by_role("link", name="1 unpublished change")).to_be_visible()
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    for name in ("Save", "Save and continue editing", "Save and add another"):
        hit = page.get_by_role("button", name=name, exact=True).evaluate(
            """button => { const box = button.getBoundingClientRect();
            return [box.left + 8, box.left + box.width / 2, box.right - 8].every(
              x => button.contains(document.elementFromPoint(x, box.top + box.height / 2))) }"""
        )
        assert hit, name
    at(page, HERE)
    page.get_by_role("button", name="Discard what is ticked").click()
