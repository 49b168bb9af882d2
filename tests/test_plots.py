"""Plots of an evaluation: well-formed, escaped, every figure in words, every mark where its figure is."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from recommendations.evaluation import plots
from recommendations.evaluation.plots import Mark, Series
from recommendations.evaluation.resampling import Interval


def test_a_forest_has_a_row_a_mark_on_one_scale() -> None:
    marks = [Mark("engine", Interval(60.0, 50.0, 70.0)), Mark("<peer> & co", Interval(20.0, 10.0, 30.0), 1)]
    tree = ElementTree.fromstring(plots.forest(marks, sentence='says "it"'))
    assert tree.get("role") == "img"
    assert tree.get("aria-label") == 'says "it"'
    spans = [line for line in tree.iter("line") if line.get("class") == "span"]
    widths = [float(s.get("x2", 0)) - float(s.get("x1", 0)) for s in spans]
    assert widths == pytest.approx([widths[0]] * 2, abs=0.2), "both intervals are 20 wide"
    dot = tree.find(".//circle")
    assert dot is not None
    assert float(dot.get("cx", 0)) == pytest.approx((float(spans[0].get("x1", 0)) + float(spans[0].get("x2", 0))) / 2, abs=0.2)
    assert {t.text for t in tree.iter("text")} >= {"<peer> & co", "60.0 (50.0 to 70.0)"}


def test_differences_show_where_zero_is_even_when_all_are_below() -> None:
    svg = plots.forest([Mark("peer", Interval(-0.04, -0.06, -0.02))], sentence="s", unit="points", signed=True)
    tree = ElementTree.fromstring(svg)
    assert [line.get("class") for line in tree.iter("line")].count("zero") == 1
    assert plots.signed_text(-0.004) == "0.00", "nothing has no sign"
    assert "\N{MINUS SIGN}0.04 (\N{MINUS SIGN}0.06 to \N{MINUS SIGN}0.02)" in svg


@pytest.mark.parametrize("high", [0.0, 0.003, 1.0, 7.0, 99.9, 100.0])
def test_ticks_hold_the_figures_and_are_few(high: float) -> None:
    ticks = plots._ticks(0.0, high)
    assert ticks[0] == 0.0
    assert ticks[-1] >= high - 1e-9
    assert 2 <= len(ticks) <= 9


def test_categories_without_a_figure_have_no_mark() -> None:
    series = [Series("engine", [Interval(10.0, 5.0, 15.0), None], 0), Series("peer", [None, None], 2)]
    tree = ElementTree.fromstring(plots.by_category(["1", "2 or more"], series, sentence="s", axis="items so far"))
    titles = [t.text for t in tree.iter("title")]
    assert titles == ["engine: 10.0 (5.0 to 15.0) %"]
    assert {"1", "2 or more", "items so far", "engine", "peer"} <= {t.text for t in tree.iter("text")}
