"""Clusters in the admin, as a merchandiser edits them: by search and ticks, with the keyboard, back again with an undo."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from recommendations.demo import USER

from .conftest import Open
from .small_shop import PASSWORD
from .test_storefront import axe_faults


def enter(page: Page) -> None:
    page.locator("[name=username]").fill(USER)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    expect(page.locator("#result_list")).to_be_visible()


def test_items_found_by_words_are_added_and_the_addition_is_undone(open_page: Open) -> None:
    page = open_page("/admin/clusters/itemcluster/")
    enter(page)
    page.locator("a[href*='/itemcluster/'][href*='/change/']").first.click()
    title = page.locator("main h1").inner_text()
    size = count(page)
    search = page.get_by_role("searchbox", name="Find items")
    search.press_sequentially("blue")
    offered = page.locator("#found input:not([disabled])")
    offered.first.check()
    search.fill("")
    search.press_sequentially("black")
    expect(page.locator("#found")).to_contain_text("Ticked items stay")
    search.press("Enter")
    expect(page.locator("#found input:checked")).to_have_count(1)
    page.get_by_role("button", name="Add them").click()
    expect(page.get_by_text("Shoppers see it within seconds.")).to_be_visible()
    assert count(page) == size + 1
    expect(page.locator("#changes li").first).to_contain_text("1 item in, 1 now core")
    page.get_by_role("button", name="Undo: 1 item in").click()
    expect(page.locator("#changes li").nth(1)).to_contain_text("undone")
    assert count(page) == size
    assert page.locator("main h1").inner_text() == title


def count(page: Page) -> int:
    found = re.search(r"([\d,]+) items", page.locator(".cluster-facts").inner_text())
    assert found
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_no_page_is_wider_than_a_phone(open_page: Open, scheme: str) -> None:
    page = open_page("/admin/clusters/itemcluster/", color_scheme=scheme, viewport={"width": 375, "height": 800})
    enter(page)
    address = page.locator("a[href*='/itemcluster/'][href*='/change/']").first.get_attribute("href") or ""
    one = address.split("/change/")[0]
    for path in (f"{one}/change/", f"{one}/split/", "add/?q=blue", "import/", "../clustersettings/build/1/"):
        page.goto(page.url.split("/admin/")[0] + (path if path.startswith("/") else f"/admin/clusters/itemcluster/{path}"))
        assert axe_faults(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path
