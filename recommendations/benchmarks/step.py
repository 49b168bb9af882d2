"""The cost of one step: `observe`, `recommend` and `advance` over a catalogue of a given size, one process, no network."""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import django
import numpy as np

from clusters.catalogue import ItemRow, build_catalogue
from personas.events import CODE, Event
from personas.sessions import SessionLog
from recommendations import engine as loop
from recommendations.benchmarks.replicated import replicate
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
    parser.add_argument("--scale", type=int, default=0, help="also over about so many items, made by replication with noise")


def run(options: argparse.Namespace) -> dict[str, float]:
    """Microseconds at p50 and p99 of each part, with reasons and, named `plain`, without them, as the doors answer unless reasons
    are asked for; bytes of state, what a release weighs, seconds of training. Seeded, so that the work is the same; with `scale`,
    the same over more items, and the ratio."""
    engine, train_s = made_engine(items=options.items, events=options.events)
    results: dict[str, float] = {"items": options.items, "train_seconds": round(train_s, 1)}
    results |= timed(engine, items=options.items, steps=options.steps)
    plain = timed(engine, items=options.items, steps=options.steps, reasons=False)
    results |= {f"plain_{name}": value for name, value in plain.items() if name.endswith("_us")}
    results |= weighed(engine)
    if copies := round(options.scale / options.items):
        large = replicate(engine, copies)
        del engine
        figures = timed(large, items=options.items * copies, steps=options.steps)
        results["scaled_items"] = options.items * copies
        results |= {f"scaled_{name}": value for name, value in figures.items()}
        for q in (50, 99):
            results[f"scaled_ratio_p{q}"] = round(figures[f"advance_p{q}_us"] / results[f"advance_p{q}_us"], 2)
    return results


def timed(engine: Engine, *, items: int, steps: int, reasons: bool = True) -> dict[str, float]:
    """Microseconds of wall clock, and of this thread's processor for `advance`, which other programs don't add to.

    reasons : whether slates are asked for with them.
    """
    from recommendations.serving.live import settle_memory  # needs Django set up, as in `weighed`

    settle_memory()  # as a process that serves does before its first request
    times: dict[str, list[float]] = {"observe": [], "recommend": [], "advance": [], "advance_cpu": []}
    sizes: list[int] = []
    rng = np.random.default_rng(7)
    state, group = None, 0
    groups = max(1, items // GROUP)
    for n in range(steps + WARM_UP):
        now = START + n
        if state is None or state.events >= rng.geometric(0.12):
            if state is not None:
                sizes.append(len(encode_state(state)))
            state, group = loop.start(engine, shop=1, session=f"s{n}", at=now), int(rng.integers(groups))
        item = 1 + (group * GROUP + int(rng.integers(GROUP))) % items
        event = Event(f"e{n}", "view_item", now, now, (item,))
        began, t0 = time.thread_time(), time.perf_counter()
        observed = loop.observe(engine, state, event)
        t1 = time.perf_counter()
        state, _ = loop.recommend(engine, observed, Request(now=now, reasons=reasons), loop.draws(observed))
        t2, ended = time.perf_counter(), time.thread_time()
        if n >= WARM_UP:
            for name, seconds in (
                ("observe", t1 - t0),
                ("recommend", t2 - t1),
                ("advance", t2 - t0),
                ("advance_cpu", ended - began),
            ):
                times[name].append(seconds * 1e6)
    results = {f"{name}_p{q}_us": round(float(np.percentile(v, q)), 1) for name, v in times.items() for q in (50, 99)}
    results["state_bytes_p99"] = round(float(np.percentile(sizes, 99)), 0)
    return results


def weighed(engine: Engine) -> dict[str, float]:
    """Megabytes of a release: its files, which all processes map, and what each process that serves it adds of its own."""
    from recommendations.releases import save_engine  # needs Django set up, which a new process does after it has this module

    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        root = Path(folder)
        manifest = save_engine(root, engine)
        files = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
        # A process of its own, since this one has trained.
        with multiprocessing.get_context("spawn").Pool(1, _set_up) as pool:
            private, resident = pool.apply(_serve, (root, manifest))
    return {"release_mb": round(files / 1e6, 1), "private_mb": round(private / 1e6, 1), "resident_mb": round(resident / 1e6, 1)}


def _set_up() -> None:
    django.setup()


def _serve(root: Path, manifest: dict[str, str]) -> tuple[float, float]:
    """Bytes that loading a release and serving with it add: written to by this process alone, and resident in all."""
    from recommendations.releases import load_engine

    before = _memory()
    engine = load_engine(root, manifest, release="1")
    item_ids = engine.catalogue.item_ids
    state = loop.start(engine, shop=1, session="s", at=START)
    for n in range(200):
        event = Event(f"e{n}", "view_item", START + n, START + n, (int(item_ids[n * 97 % len(item_ids)]),))
        state, _ = loop.advance(engine, state, event, Request(now=START + n))
    engine.catalogue.ids_of(["sku-1"])
    after = _memory()
    return after["Private_Dirty"] - before["Private_Dirty"], after["Rss"] - before["Rss"]


def _memory() -> dict[str, float]:
    """Bytes by kind, as the kernel adds them up for this process."""
    lines = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return {name.rstrip(":"): 1024.0 * int(value) for name, value, *_ in lines}


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
