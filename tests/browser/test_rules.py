"""Rules, roles and the audit log in a browser: a rule on trial, a copy of it, a role given, and what all that left on record."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from recommendations.demo import USER

from .conftest import Open
from .small_shop import PASSWORD
from .test_storefront import axe_faults

RULES = "/admin/recommendations/merchandisingrule/"
PAGES = (RULES, f"{RULES}add/", "/admin/auth/group/people/", "/admin/recommendations/auditentry/")


def enter(open_page: Open, path: str, **options: object) -> Page:
    page = open_page(path, **options)
    page.locator("[name=username]").fill(USER)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    page.wait_for_url(f"**{path}")
    return page


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 768), ("light", 390)])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_page(open_page: Open, scheme: str, width: int) -> None:
    page = enter(open_page, RULES, color_scheme=scheme, viewport={"width": width, "height": 900})
    site = page.url.split("/admin/")[0]
    for path in PAGES:
        page.goto(f"{site}{path}")
        page.wait_for_load_state("networkidle")
        assert axe_faults(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_rule_is_made_put_on_trial_and_copied_and_all_of_it_is_on_record(open_page: Open) -> None:
    page = enter(open_page, f"{RULES}add/")
    page.get_by_label("Name", exact=True).fill("Skirts first")
    page.locator("#id_action").select_option("boost")
    page.locator("summary", has_text="Categories").click()
    page.locator("[name=categories]").first.check()
    page.locator("summary", has_text="Dates").click()
    page.locator("[name=starts_at]").fill("2026-01-01T00:00")
    expect(page.locator(".rule-count")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Nobody can know: every visit has the rule")).to_be_visible()
    assert axe_faults(page) == []
    page.get_by_role("button", name="Let 10 % go without it").click()
    expect(page.get_by_text("10 in 100 visits go without it from now on")).to_be_visible()
    expect(page.get_by_text("Not known yet").first).to_be_visible()
    assert axe_faults(page) == []
    page.get_by_role("link", name="Make another like it").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Skirts first, again")
    page.goto(f"{page.url.split('/admin/')[0]}{RULES}")
    # Experiments with dates stand on the same calendar.
    bar = page.locator("svg.rule-calendar a").filter(has_text="Skirts first")
    expect(bar).to_have_count(1)
    bar.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Skirts first")).to_be_visible()
    page.goto(f"{page.url.split('/admin/')[0]}/admin/recommendations/auditentry/?actor={USER}&q=%22Skirts+first%22")
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    with page.expect_download() as got:
        page.get_by_role("link", name="As a file (CSV)").click()
    assert "go without it" in got.value.path().read_text(encoding="utf-8-sig")


def test_people_and_roles_say_who_may_what_and_offer_nothing_to_who_may_not_give(open_page: Open) -> None:
    page = enter(open_page, "/admin/auth/group/people/")
    row = page.locator("tr", has_text="Let through what is")
    expect(row.locator("td")).to_have_text(["–may not", "–may not", "✓may"])
    expect(page.get_by_role("button", name="Give")).to_have_count(0)
