"""The Data pages in a browser: a file handed in with the keyboard, imported meanwhile, cancelled; gaps, searches, trainings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from recommendations.demo import USER

from .conftest import ROOT, Open
from .small_shop import PASSWORD
from .test_storefront import axe_faults

AT = "/admin/recommendations/fileimport/"
IMPORT = """
import django
django.setup()
from recommendations import file_imports
from recommendations.models import FileImport
print(file_imports.run(FileImport.objects.latest("pk").pk))
"""
LINES = ["item_id,title,price", *(f"new-{n},Straw hat {n},{'dear' if n % 10 == 9 else 12.5}" for n in range(50))]


def enter(page: Page) -> None:
    page.locator("[name=username]").fill(USER)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    expect(page.get_by_role("navigation", name="Data")).to_be_visible()


def test_a_file_is_handed_in_imported_and_its_bad_lines_taken_away(
    open_page: Open, installation: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "hats.csv"
    file.write_text("\n".join(LINES))
    page = open_page(f"{AT}?shop=fashion")
    enter(page)
    page.get_by_label("File: CSV").set_input_files(file)
    page.get_by_role("button", name="Hand in").press("Enter")
    first = page.locator(".data-imports > li").first
    expect(first).to_contain_text("It waits for a worker")
    command = [sys.executable, "-c", IMPORT]
    told = subprocess.run(command, env=installation[1], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "True"
    expect(first).to_contain_text("50 read: 45 new, 0 known already, 5 not taken", timeout=15_000)
    with page.expect_download() as download:
        first.get_by_role("link", name="All 5 lines").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == 6
    page.get_by_label("File: CSV").set_input_files(file)
    page.get_by_role("button", name="Hand in").click()
    expect(page.locator(".data-imports > li")).to_have_count(2)
    page.get_by_role("button", name="Cancel the import of hats.csv").click()
    expect(first).to_contain_text(f"Cancelled by {USER}.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_no_page_is_wider_than_a_phone(open_page: Open, scheme: str) -> None:
    page = open_page(f"{AT}?shop=fashion", color_scheme=scheme, viewport={"width": 375, "height": 800})
    enter(page)
    for path in ("", "coverage/", "searches/", "training/"):
        page.goto(f"{page.url.split('/admin/')[0]}{AT}{path}?shop=fashion")
        assert axe_faults(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path


def test_gaps_lead_to_their_items_by_keyboard_and_a_training_waits_to_be_begun(open_page: Open) -> None:
    page = open_page(f"{AT}coverage/?shop=fashion")
    enter(page)
    gap = page.get_by_role("link", name="Seen by nobody in 28 days")
    gap.press("Enter")
    expect(page.get_by_role("heading", name="Seen by nobody in 28 days")).to_be_visible()
    page.get_by_role("searchbox", name="Title or id").fill("there is no such thing")
    page.get_by_role("searchbox", name="Title or id").press("Enter")
    expect(page.get_by_text("No item meets these filters.")).to_be_visible()
    page.get_by_role("navigation", name="Data").get_by_role("link", name="Training").click()
    page.get_by_role("button", name="Personas only").press("Enter")
    expect(page.get_by_text("It waits for a worker.")).to_be_visible()
