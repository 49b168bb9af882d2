"""Every page that the sidebar leads to, on a phone and in the dark, and the API's page."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from .conftest import Open
from .test_rules import enter
from .test_storefront import axe_faults


def test_no_page_of_the_desk_is_wider_than_a_phone_and_each_has_one_heading(open_page: Open) -> None:
    page = enter(open_page, "/admin/", color_scheme="dark", viewport={"width": 390, "height": 800})
    expect(page.locator("#nav-sidebar")).to_be_attached()
    links = page.locator("#nav-sidebar a[href^='/admin/']").evaluate_all("links => links.map(a => a.getAttribute('href'))")
    assert len(set(links)) > 30
    site, wrong = page.url.split("/admin/")[0], []
    for path in dict.fromkeys(links):
        page.goto(f"{site}{path}")
        seen = page.evaluate(
            """() => [document.documentElement.scrollWidth, document.querySelectorAll("h1").length,
            getComputedStyle(document.documentElement).colorScheme]"""
        )
        if seen != [390, 1, "dark"]:
            wrong.append((path, seen))
    assert not wrong


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_api_s_page_can_be_read_and_has_headings_one_below_the_other(open_page: Open, scheme: str) -> None:
    """As screen readers count them: Swagger's own leave out the second level."""
    page = open_page("/api/docs/", color_scheme=scheme)
    page.locator(".opblock-tag").first.click()
    page.locator(".opblock-summary-control").first.click()
    expect(page.locator("h4.opblock-title").first).to_be_visible()
    levels = page.locator("h1, h2, h3, h4, h5, h6").evaluate_all("all => all.map(h => Number(h.ariaLevel ?? h.localName[1]))")
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in pairwise(levels)), levels
    # A call's line is a button with the address to be copied in it, which only Swagger could part.
    assert [fault for fault in axe_faults(page) if fault[0] != "nested-interactive"] == []


def test_the_api_s_page_is_dark_where_the_system_is_and_follows_it(open_page: Open) -> None:
    page = open_page("/api/docs/", color_scheme="dark")
    expect(page.locator("html")).to_have_class(re.compile("dark-mode"))
    expect(page.locator("body")).to_have_css("background-color", "rgb(28, 32, 34)")
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).not_to_have_class(re.compile("dark-mode"))
