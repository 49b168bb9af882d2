"""Searching with the keyboard, with a pointer, without scripts, and in the dark on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .conftest import Open
from .test_storefront import axe_faults


def test_suggestions_by_keyboard(open_page: Open) -> None:
    page = open_page("/shop/fashion/")
    field, listbox = page.get_by_role("combobox", name="Search the shop"), page.get_by_role("listbox", name="Suggestions")
    expect(listbox).to_be_hidden()
    field.press_sequentially("tro")
    expect(listbox).to_be_visible()
    expect(field).to_have_attribute("aria-expanded", "true")
    assert axe_faults(page) == []
    field.press("ArrowDown")
    first = listbox.get_by_role("option", selected=True)
    expect(first).to_have_count(1)
    assert field.get_attribute("aria-activedescendant") == first.get_attribute("id")
    field.press("ArrowUp")
    expect(first).to_have_count(0)
    field.press("ArrowUp")
    assert first.get_attribute("id") == listbox.get_by_role("option").last.get_attribute("id")
    field.press("Escape")
    expect(listbox).to_be_hidden()
    expect(field).to_have_value("tro")
    field.press("ArrowDown")
    expect(listbox).to_be_visible()
    field.press("ArrowDown")
    field.press("Enter")
    page.wait_for_url("**/search/?q=trousers")
    expect(page.get_by_role("heading", level=1)).to_have_text("“trousers”")


def test_suggestions_by_pointer_and_what_is_stale_never_shows(open_page: Open) -> None:
    page = open_page("/shop/fashion/")
    field = page.get_by_role("combobox", name="Search the shop")
    field.press_sequentially("trousers x", delay=10)
    field.fill("bl")
    blouses = page.get_by_role("group", name="Categories").get_by_role("option", name="Blouses")
    expect(blouses).to_be_visible()
    blouses.click()
    page.wait_for_url("**/category/blouses/")


def test_enter_searches_for_what_is_typed(open_page: Open) -> None:
    page = open_page("/shop/fashion/")
    page.get_by_role("combobox", name="Search the shop").fill("trouzers")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search/?q=trouzers")
    expect(page.locator(".read")).to_contain_text("Showing results for “trousers”")


@pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}, "has_touch": True}], ids=str
)
def test_the_search_page_is_for_everyone(open_page: Open, options: dict[str, object]) -> None:
    page = open_page("/shop/fashion/search/?q=trousers&colour=black", **options)
    expect(page.locator(".grid .card").first).to_be_visible()
    for summary in page.locator(".facet summary").all():
        summary.click()
        assert axe_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_scripts_choices_narrow(open_page: Open) -> None:
    page = open_page("/shop/fashion/search/?q=trousers", java_script_enabled=False)
    every = page.locator(".grid-head p").inner_text()
    page.locator(".facet summary", has_text="Colour").click()
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Show items").click()
    assert "colour=" in page.url
    assert page.locator(".grid-head p").inner_text() != every
    page.locator(".narrowed a").first.click()
    assert page.locator(".grid-head p").inner_text() == every
