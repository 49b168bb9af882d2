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
    for path in (
        f"{one}/change/", f"{one}/split/", f"{one}/keep-out/", "add/?q=blue", "import/", "../clustersettings/build/1/",
        "grid/?shop=fashion", "grid/?shop=fashion&view=suits",
    ):  # fmt: skip
        page.goto(page.url.split("/admin/")[0] + (path if path.startswith("/") else f"/admin/clusters/itemcluster/{path}"))
        assert axe_faults(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path


def grid(open_page: Open, **options: object) -> Page:
    page = open_page("/admin/clusters/itemcluster/", **options)
    enter(page)
    page.goto(page.url.split("/admin/")[0] + "/admin/clusters/itemcluster/grid/?shop=fashion")
    expect(page.locator(".grid-tile").first).to_be_visible()
    return page


def test_a_tile_dragged_onto_another_leads_to_a_merge_that_shows_what_will_come_of_it(open_page: Open) -> None:
    page = grid(open_page)
    tiles = page.locator(".grid-tile")
    onto, dragged = (tiles.nth(n).get_attribute("data-name") or "" for n in (0, 1))
    tiles.nth(1).drag_to(tiles.nth(0))
    expect(page.locator("main h1")).to_have_text("Merge 2 clusters")
    expect(page.locator("[name=name]")).to_have_value(onto)
    effect = page.locator(".effect")
    expect(effect).to_contain_text("What will come of it", timeout=60_000)
    expect(effect).to_contain_text(f"Merged into “{onto}”")
    row = effect.locator("tbody tr", has=page.get_by_role("link", name=dragged, exact=True))
    expect(row).to_contain_text("gone")
    assert axe_faults(page) == []
    page.get_by_role("button", name="Save as a draft").click()
    expect(page.get_by_text("Kept as a draft")).to_be_visible()
    page.goto(page.url.split("/admin/")[0] + "/admin/clusters/itemcluster/grid/?shop=fashion&q=" + dragged)
    expect(page.locator(f'.grid-tile[data-name="{dragged}"]')).to_be_visible()
    page.goto(page.url.split("/admin/")[0] + "/admin/recommendations/draftedit/?shop=fashion")
    page.get_by_role("button", name="Discard what is ticked").click()
    expect(page.get_by_text("1 change is discarded.").first).to_be_visible()


def test_ticks_do_the_same_by_keyboard_and_one_is_too_few(open_page: Open) -> None:
    page = grid(open_page)
    boxes = page.locator(".grid-tile input")
    boxes.nth(0).press("Space")
    expect(page.locator("#chosen")).to_have_text("1 chosen")
    page.get_by_role("button", name="Merge").press("Enter")
    expect(page.locator("#chosen")).to_have_text("Tick at least two to merge")
    boxes.nth(2).press("Space")
    page.get_by_role("button", name="Merge").press("Enter")
    expect(page.locator("main h1")).to_have_text("Merge 2 clusters")


def test_a_cluster_is_split_with_the_arrow_keys_and_put_together_again(open_page: Open) -> None:
    page = grid(open_page)
    page.locator(".grid-tile h2 a").first.click()
    size = count(page)
    page.get_by_role("link", name="Split").click()
    page.locator(".split-live li[tabindex='0']").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator("[data-column='1'] .split-count")).to_have_text("3")
    expect(page.locator(".split-said")).to_contain_text("3 items")
    page.locator("[data-column='0'] li").nth(1).drag_to(page.locator("[data-column='1'] ul"))
    expect(page.locator("[data-column='1'] .split-count")).to_have_text("4")
    page.locator("[name=name]").fill("By hand")
    page.locator("[name=name]").press("Tab")
    expect(page.locator(".effect")).to_contain_text("4 items split off into “By hand”", timeout=60_000)
    assert axe_faults(page) == []
    page.get_by_role("button", name="Split", exact=True).click()
    expect(page.get_by_text("Shoppers see it within seconds.")).to_be_visible()
    assert count(page) == size - 4
    page.get_by_role("button", name=re.compile("Undo: 4 items split off")).click()
    expect(page.locator("#changes li").nth(1)).to_contain_text("undone")
    assert count(page) == size


def test_items_of_a_kind_are_kept_out_after_a_look_at_what_comes_of_it(open_page: Open) -> None:
    page = grid(open_page)
    page.locator(".grid-tile h2 a").first.click()
    page.get_by_role("link", name="Keep items out").click()
    page.get_by_label("named").fill("nobody’s")
    page.get_by_label("named").press("Tab")
    expect(page.locator("[name=kind][value=other]")).to_be_checked()
    expect(page.locator(".effect")).to_contain_text("Takes in no items of the category nobody’s: 0 items out", timeout=60_000)
    page.get_by_role("button", name="Keep them out").click()
    expect(page.locator(".cluster-kept-out")).to_contain_text("It takes in no items of the category nobody’s.")
    page.get_by_role("link", name="Change that").click()
    page.get_by_role("button", name="Let items of the category nobody’s in again", exact=True).click()
    expect(page.locator(".cluster-kept-out")).to_have_count(0)
    page.get_by_role("link", name="Keep items out").click()
    some = page.locator(".cluster-kinds label", has_text=re.compile(r"[1-9]\d* item"))
    some.locator("input:not([disabled])").first.check()
    page.get_by_label("Only those of now").check()
    expect(page.locator(".effect")).to_contain_text("now excluded", timeout=60_000)
    page.get_by_role("button", name="Keep them out").click()
    expect(page.locator("#changes li").first).to_contain_text("now excluded")
    page.locator("#changes button").first.click()
    expect(page.locator("#changes li").nth(1)).to_contain_text("undone")
