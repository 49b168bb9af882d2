"""Adaptation in the admin, as a merchandiser works with it: what learning proposes, an experiment, a policy taken back."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from recommendations.demo import USER

from .conftest import ROOT, Open
from .small_shop import PASSWORD
from .test_storefront import axe_faults

ADMIN = "/admin/recommendations"
PAGES = (
    "policyversion/", "adaptationsettings/", "experiment/", "experiment/add/", "clusterproposal/", "clusterproposal/day/",
    "blockedaction/",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def adapted(installation: tuple[str, dict[str, str]]) -> None:
    """Decisions, a policy learned from them, proposals, an experiment that ended."""
    made = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("adapted_shop.py"))],
        env=installation[1], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert made.returncode == 0, f"the adaptation could not be made:\n{made.stderr[-3000:]}"


def enter(open_page: Open, path: str, **options: object) -> Page:
    page = open_page(f"{ADMIN}/{path}", **options)
    page.locator("[name=username]").fill(USER)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    expect(page.locator("#result_list")).to_be_visible()
    return page


def at(page: Page, path: str) -> None:
    page.goto(f"{page.url.split('/admin/')[0]}{ADMIN}/{path}")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 820), ("light", 375)])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_page(open_page: Open, scheme: str, width: int) -> None:
    page = enter(open_page, "policyversion/", color_scheme=scheme, viewport={"width": width, "height": 900})
    firsts = []
    for path in ("policyversion/", "adaptationsettings/", "experiment/", "clusterproposal/"):
        at(page, path)
        firsts.append(
            (page.locator("#result_list a[href*='/change/']").first.get_attribute("href") or "").removeprefix(ADMIN + "/")
        )
    trying = f"clusterproposal/experiment/?proposal={firsts[-1].split('/')[1]}"
    for path in (*PAGES, *(first.split("?")[0] for first in firsts), trying):
        at(page, path)
        assert axe_faults(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_proposal_is_approved_and_taken_back(open_page: Open) -> None:
    page = enter(open_page, "clusterproposal/")
    page.get_by_role("link", name="Take 3 items").click()
    expect(page.get_by_text("32 items become 35.").or_(page.get_by_text("items become"))).to_be_visible()
    page.locator("[name=item]").last.uncheck()
    page.get_by_label("Reason").fill("They go together.")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Shoppers see it within seconds.")).to_be_visible()
    expect(page.locator("[role=status]").first).to_contain_text("Applied")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#changes li").first).to_contain_text("Undone: 2 items in")
    at(page, "clusterproposal/day/")
    expect(page.locator("section h2").first).to_contain_text("1 change of 1 cluster")


def test_what_is_not_known_is_tried_in_an_experiment_that_is_started_and_stopped(open_page: Open) -> None:
    page = enter(open_page, "clusterproposal/?verdict__exact=unknown")
    page.get_by_role("link", name="go from").click()
    expect(page.get_by_text("What is missing: The sample is worth 96 decisions")).to_be_visible()
    expect(page.get_by_role("button", name="Apply though not known")).to_have_count(0)
    page.get_by_role("link", name="Try it in an experiment").click()
    page.get_by_role("button", name="Make the experiment").click()
    expect(page.get_by_text("clusters with the proposal as if approved")).to_be_visible()
    page.get_by_role("button", name="Start it").click()
    expect(page.get_by_text("It runs: visits that begin from now on are drawn")).to_be_visible()
    expect(page.locator("#result")).to_contain_text("Nothing has been counted yet")
    page.get_by_role("link", name="go from").click()
    expect(page.get_by_text("Being tried in an experiment")).to_be_visible()
    expect(page.get_by_role("link", name="Try it in an experiment")).to_have_count(0)
    page.locator(".persona-note a").first.click()
    page.get_by_label("Why").fill("Seen enough.")
    page.get_by_role("button", name="Stop it").click()
    expect(page.get_by_text("Seen enough.")).to_be_visible()


def test_the_chosen_proposals_are_tried_together_and_an_experiment_may_be_discarded(open_page: Open) -> None:
    page = enter(open_page, "clusterproposal/")
    for box in page.locator("#result_list input[name=_selected_action]").all()[:2]:
        box.check()
    page.locator("select[name=action]").select_option("try_chosen")
    page.locator("button[name=index]").click()
    expect(page.get_by_text("They are judged together")).to_be_visible()
    page.get_by_role("button", name="Make the experiment").click()
    expect(page.get_by_text("clusters with the 2 proposals as if approved")).to_be_visible()
    page.get_by_role("button", name="Discard it").click()
    expect(page.get_by_text("is gone: nobody was ever in it")).to_be_visible()


def test_a_policy_is_rolled_back(open_page: Open) -> None:
    page = enter(open_page, "policyversion/")
    page.locator("summary", has_text="Roll back").click()
    page.get_by_label("Why (kept with it)").fill("A bad night.")
    page.get_by_role("button", name="Roll back now").click()
    expect(page.get_by_text("The hand rule serves").first).to_be_visible()


def test_an_experiment_is_planned_moved_and_discarded_and_today_tells_of_it(open_page: Open) -> None:
    page = enter(open_page, "experiment/")
    at(page, "experiment/add/")
    page.get_by_label("Name").first.fill("Planned walk")
    page.locator("[name=name_1]").fill("Still")
    page.locator("[name=still_1]").check()
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    page.get_by_label("Begins by itself").fill(f"{tomorrow:%Y-%m-%d}T12:00")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("It begins tomorrow, 12:00").first).to_be_visible()
    assert axe_faults(page) == []
    planned = page.url
    page.locator("summary", has_text="Change when").click()
    page.get_by_label("Ends by itself").fill(f"{tomorrow:%Y-%m-%d}T12:10")
    page.get_by_role("button", name="Save the dates").click()
    expect(page.get_by_text("at least an hour after it begins")).to_be_visible()
    page.get_by_label("Ends by itself").fill(f"{tomorrow:%Y-%m-%d}T23:00")
    page.get_by_role("button", name="Save the dates").click()
    expect(page.get_by_text("It begins tomorrow, 12:00 and ends tomorrow, 23:00").first).to_be_visible()
    page.goto(f"{planned.split('/admin/')[0]}/admin/?shop=fashion")
    expect(page.get_by_role("link", name="Experiment “Planned walk” begins tomorrow, 12:00")).to_be_visible()
    at(page, "experiment/")
    expect(
        page.get_by_role("group", name="Calendar of rules and experiments").get_by_text("Experiment Planned walk").first
    ).to_be_attached()
    page.goto(planned)
    page.get_by_role("button", name="Discard it").click()
    expect(page.get_by_text("is gone: nobody was ever in it")).to_be_visible()
