"""Personas on the desk, as a merchandiser works with them: who they are, a weight that is moved and tried, saved, compared."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from recommendations.demo import USER

from .conftest import ROOT, Open
from .small_shop import PASSWORD
from .test_storefront import axe_faults

OVERVIEW = "/admin/personas/archetype/overview/?shop=fashion"
TRIED_MS = 30_000
"""What trying, and the first page after the start, may take on a busy machine."""


@pytest.fixture(scope="module", autouse=True)
def counted(installation: tuple[str, dict[str, str]]) -> None:
    """Tallies of some weeks."""
    made = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("persona_tallies.py"))],
        env=installation[1], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert made.returncode == 0, f"the tallies could not be made:\n{made.stderr[-3000:]}"


def enter(open_page: Open, **options: object) -> Page:
    page = open_page(OVERVIEW, **options)
    page.locator("[name=username]").fill(USER)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    expect(page.locator(".persona-tiles")).to_be_visible(timeout=TRIED_MS)
    return page


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 768), ("light", 390)])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_page(open_page: Open, scheme: str, width: int) -> None:
    page = enter(open_page, color_scheme=scheme, viewport={"width": width, "height": 900})
    addresses = [page.url]
    first = page.locator(".persona-tile").first
    for name in ("Who it is", "Weights"):
        addresses.append(page.url.split("/admin/")[0] + str(first.get_by_text(name, exact=True).get_attribute("href")))
    addresses.append(page.url.split("/admin/")[0] + str(page.get_by_text("Versions, compared").get_attribute("href")))
    for address in addresses:
        page.goto(address)
        if "/weights/" in address:
            expect(page.locator(".weigh-sum")).to_be_visible(timeout=TRIED_MS)
        assert axe_faults(page) == [], address
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address


def test_a_weight_is_moved_by_keyboard_tried_saved_and_compared(open_page: Open) -> None:
    page = enter(open_page)
    page.get_by_role("link", name="Luxury Seeker", exact=True).click()
    expect(page.get_by_role("heading", name="Who they are in the data")).to_be_visible()
    expect(page.locator(".persona-clusters tbody tr").first).to_be_visible()
    page.get_by_role("link", name="Change its weights").click()
    tried = page.locator(".weigh-sum")
    expect(tried).to_contain_text(re.compile(r"0 of \d+ visits"), timeout=TRIED_MS)
    slider = page.get_by_label("Slider of price_tier=top")
    slider.focus()
    for _ in range(24):
        slider.press("ArrowLeft")
    expect(page.get_by_label("Weight of price_tier=top, -1.0 to 1.0")).to_have_value(re.compile(r"^-0\.2"))
    expect(page.locator(".weigh-visits li").first).to_be_visible(timeout=TRIED_MS)
    expect(page.locator(".weigh-bars").first).to_be_visible()
    page.get_by_role("button", name="Save to the draft").click()
    expect(page.get_by_text("Saved to the draft; shoppers see it once it is published.")).to_be_visible()
    expect(page.get_by_text("not published yet; it counts in the preview")).to_be_visible()
    page.goto(page.url.split("/admin/")[0] + OVERVIEW)
    page.get_by_role("link", name="Versions, compared").click()
    expect(page.locator(".persona-sentences li").first).to_contain_text("Luxury Seeker: price_tier=top 1 → −0.2")
    expect(page.locator(".persona-compare > div")).to_have_count(1)


def test_a_weight_that_can_not_be_taken_is_told_beside_the_sliders(open_page: Open) -> None:
    page = enter(open_page)
    page.get_by_role("link", name="Weights of Smart Casual").click()
    expect(page.locator(".weigh-sum")).to_be_visible(timeout=TRIED_MS)
    page.locator("#id_mix .weights-number").first.fill("7")
    expect(page.locator("#tried-here [role=alert]")).to_contain_text("is not between", timeout=TRIED_MS)
