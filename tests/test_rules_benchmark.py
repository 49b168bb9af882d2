"""What is measured of rules is what rules do."""

from __future__ import annotations

from recommendations.benchmarks.rules import compared, made_rules
from recommendations.benchmarks.step import made_engine
from recommendations.overlay import Overlay, with_overlay


def test_the_rules_that_are_measured_are_resolved_and_act() -> None:
    engine, _ = made_engine(items=600, events=3_000)
    rules = made_rules(engine, 60, placed=True)
    resolved = with_overlay(engine, Overlay(version=1, rules=rules)).rule_set
    assert sum(len(positions) > 0 for positions in resolved.positions) > 30
    assert len(resolved.pins) == 4
    figures = compared(engine, rules, 600, 25)
    assert figures["acting_p50"] > 30
    assert figures["with_p50_us"] > 0.0
    assert figures["without_p50_us"] > 0.0
