"""The cost of one step: `observe`, `recommend` and `advance` over a catalogue of a given size, one process, no network."""

from __future__ import annotations

import argparse
import time

import numpy as np

from clusters.catalogue import ItemRow, build_catalogue
from personas.events import CODE, Event
from personas.sessions import SessionLog
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.serving.store import encode_state
from recommendations.session import Request
from recommendations.training import train_engine

GROUP = 120
"""Items that sessions of the made log stay among; real co-visitation clusters hold about this many."""

START = 1_700_000_000.0
WARM_UP = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--items", type=int, default=43_000, help="size of the made catalogue (default: 43,000)")
    parser.add_argument("--events", type=int, default=200_000, help="events in the made log (default: 200,000)")
    parser.add_argument("--steps", type=int, default=2_000, help="steps that are timed (default: 2,000)")


def run(options: argparse.Namespace) -> dict[str, float]:
    """Microseconds at p50 and p99 of each part, bytes of state, seconds of training. Seeded, so the work is the same."""
    engine, train_s = made_engine(items=options.items, events=options.events)
    times: dict[str, list[float]] = {"observe": [], "recommend": [], "advance": []}
    sizes: list[int] = []
    rng = np.random.default_rng(7)
    state, group = None, 0
    groups = max(1, options.items // GROUP)
    for n in range(options.steps + WARM_UP):
        now = START + n
        if state is None or state.events >= rng.geometric(0.12):
            if state is not None:
                sizes.append(len(encode_state(state)))
            state, group = loop.start(engine, shop=1, session=f"s{n}", at=now), int(rng.integers(groups))
        item = 1 + (group * GROUP + int(rng.integers(GROUP))) % options.items
        event = Event(f"e{n}", "view_item", now, now, (item,))
        t0 = time.perf_counter()
        observed = loop.observe(engine, state, event)
        t1 = time.perf_counter()
        state, _ = loop.recommend(engine, observed, Request(now=now), loop.generator(observed))
        t2 = time.perf_counter()
        if n >= WARM_UP:
            for name, seconds in (("observe", t1 - t0), ("recommend", t2 - t1), ("advance", t2 - t0)):
                times[name].append(seconds * 1e6)
    results: dict[str, float] = {"items": options.items, "train_seconds": round(train_s, 1)}
    for name, values in times.items():
        for q in (50, 99):
            results[f"{name}_p{q}_us"] = round(float(np.percentile(values, q)), 1)
    results["state_bytes_p99"] = round(float(np.percentile(sizes, 99)), 0)
    return results


def made_engine(*, items: int, events: int, seed: int = 0) -> tuple[Engine, float]:
    """An engine trained on a made log of grouped items, and the seconds that it took."""
    rng = np.random.default_rng(seed)
    groups = max(1, items // GROUP)
    rows = (
        ItemRow(i + 1, f"sku-{i + 1}", f"item {i + 1}", f"category {i // GROUP % 30}", price=float(5 + i * 37 % 200))
        for i in range(items)
    )
    catalogue = build_catalogue(rows)
    length = 5
    sessions = max(1, events // length)
    # Within a group the n-th item is drawn with weight 1/n: shops' sales have such a tail.
    weight = 1.0 / np.arange(1, GROUP + 1)
    within = rng.choice(GROUP, size=(sessions, length), p=weight / weight.sum())
    home = rng.integers(groups, size=(sessions, 1))
    strays = rng.random((sessions, length)) < 0.1
    group = np.where(strays, rng.integers(groups, size=(sessions, length)), home)
    position = ((group * GROUP + within) % items).ravel()
    at = (START - 30 * 86_400 + np.sort(rng.uniform(0, 30 * 86_400, sessions)))[:, None] + np.arange(length) * 40.0
    log = SessionLog.of(
        np.repeat(np.arange(sessions), length),
        position,
        at.ravel(),
        code=np.full(len(position), CODE["view_item"], dtype=np.int8),
    )
    t0 = time.perf_counter()
    engine = train_engine(log, catalogue)
    return engine, time.perf_counter() - t0
