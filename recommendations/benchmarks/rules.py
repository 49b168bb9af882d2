"""What merchandisers' rules cost a slate: the same steps with and without them, by turns, one process, no network."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from personas.events import Event
from recommendations import engine as loop
from recommendations.benchmarks.step import GROUP, START, WARM_UP, made_engine
from recommendations.engine import Engine
from recommendations.overlay import Overlay, with_overlay
from recommendations.ranking.rules import Rule, Scope, Target
from recommendations.session import Request
from recommendations.slates import make

CATEGORIES = 30
"""Of the made catalogue."""

DAY = 86_400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--items", type=int, default=43_000, help="size of the made catalogue (default: 43,000)")
    parser.add_argument("--events", type=int, default=200_000, help="events in the made log (default: 200,000)")
    parser.add_argument("--rules", type=int, default=200, help="rules that are switched on (default: 200)")
    parser.add_argument("--steps", type=int, default=2_000, help="steps that are timed (default: 2,000)")


def run(options: argparse.Namespace) -> dict[str, float]:
    """Microseconds of this thread's processor that a slate takes without rules, and what each kind adds to it: `moving` (boosts,
    buries, what leaves out), and `all`, with four pins and a balance among them."""
    engine, _ = made_engine(items=options.items, events=options.events)
    results: dict[str, float] = {"items": options.items, "rules": options.rules}
    for kind, placed in (("moving", False), ("all", True)):
        rules = made_rules(engine, options.rules, placed=placed)
        results |= {f"{kind}_{name}": value for name, value in compared(engine, rules, options.items, options.steps).items()}
    return results


def made_rules(engine: Engine, count: int, *, placed: bool) -> tuple[Rule, ...]:
    """Rules such as a shop has, all in their dates: of categories, prices and named items; a third of them for one persona,
    two clusters or a place. placed : whether four pins and a balance are among them."""
    rng = np.random.default_rng(3)
    clusters, personas, ids = engine.clusters.cluster_ids, engine.personas.ids, engine.catalogue.item_ids
    scopes: tuple[Callable[[], Scope], ...] = (
        lambda: Scope(personas=(personas[int(rng.integers(len(personas)))],)),
        lambda: Scope(clusters=tuple(clusters[rng.integers(len(clusters), size=2)].tolist())),
        lambda: Scope(contexts=("home",)),
    )
    rules: list[Rule] = []
    for n in range(count):
        scope = scopes[n % 3]() if n % 9 < 3 else Scope(starts=START - DAY, ends=START + 30 * DAY)
        low = float(rng.integers(5, 180))
        target = (
            Target(categories=(f"category {int(rng.integers(CATEGORIES))}",), price_min=low, price_max=low + 20.0),
            Target(items=tuple(ids[rng.integers(len(ids), size=20)].tolist())),
        )[n % 2]
        action = ("boost", "bury", "boost", "exclude")[n % 4]
        rules.append(Rule(n + 1, f"rule {n + 1}", action, target, scope, strength=float(rng.uniform(1.2, 3.0))))
    if placed:
        for slot in range(4):
            pinned = Target(items=tuple(ids[rng.integers(len(ids), size=3)].tolist()))
            rules[slot] = Rule(slot + 1, f"pin {slot}", "pin", pinned, slot=3 * slot)
        rules[4] = Rule(5, "balance", "balance", share=0.4)
    return tuple(rules)


def compared(engine: Engine, rules: tuple[Rule, ...], items: int, steps: int) -> dict[str, float]:
    """Microseconds of slates `without` the rules and `with` them, what they `add` at p50, and how many act there.

    Visits take turns, so that each slate is made once, of what its step finds in memory, as when shoppers are served.
    """
    ruled = with_overlay(engine, Overlay(version=1, rules=rules))
    rng, acting = np.random.default_rng(7), []
    times: dict[bool, list[float]] = {False: [], True: []}
    state, group, visits = None, 0, 0
    for n in range(2 * steps + WARM_UP):
        now = START + n
        if state is None or state.events >= rng.geometric(0.12):
            state, group = loop.start(engine, shop=1, session=f"s{n}", at=now), int(rng.integers(max(1, items // GROUP)))
            visits += 1
        with_rules = visits % 2 == 0
        item = 1 + (group * GROUP + int(rng.integers(GROUP))) % items
        observed = loop.observe(engine, state, Event(f"e{n}", "view_item", now, now, (item,)))
        request = Request(now=now, reasons=False)
        began = time.thread_time()
        made = make(ruled if with_rules else engine, observed, request, loop.draws(observed))
        took, state = time.thread_time() - began, made.state
        if n >= WARM_UP:
            times[with_rules].append(took * 1e6)
            if with_rules:
                acting.append(len(made.ruling.ids))
    results = {
        f"{name}_p{q}_us": round(float(np.percentile(times[with_rules], q)), 1)
        for name, with_rules in (("without", False), ("with", True))
        for q in (50, 99)
    }
    return results | {
        "added_p50_us": round(results["with_p50_us"] - results["without_p50_us"], 1),
        "acting_p50": float(np.percentile(acting, 50)),
    }
