"""The personas: beliefs of simulated shoppers against the exact posterior, held-out real sequences, first slates, and cost.

What is measured, and how, is said in `recommendations/evaluation/personas/`; here are the data, the settings and the clock.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from django.conf import settings

from clusters.catalogue import ItemRow, build_catalogue
from personas import profile
from personas.archetypes import Archetype, Attribute, default_personas, starting_model
from personas.encoding import ItemFacts, encode_steps, gaps
from personas.events import CODE
from personas.fitting import fit
from personas.hmm import condition, predict
from personas.profile import Signal
from personas.repeats import steps_once
from personas.sessions import SessionLog
from recommendations.benchmarks.load import BenchmarkError
from recommendations.benchmarks.persona_shops import LENGTH, STATES, demo_shop, made_shop, made_steps, train_model
from recommendations.benchmarks.stages import Report, Stages
from recommendations.evaluation.datasets import Dataset, DatasetError, Split, read_dataset, split_dataset
from recommendations.evaluation.personas.beliefs import follow_all, measures
from recommendations.evaluation.personas.openings import first_items
from recommendations.evaluation.personas.priors import MEASURES, NothingToAsk, first_slates, gains
from recommendations.evaluation.personas.sequences import Sequences, Shop, compare, names_kept
from recommendations.evaluation.personas.statistics import Interval
from recommendations.evaluation.simulation import build_world, simulate, to_log
from recommendations.training import QUICK, item_facts, train_engine

PARTS = ("cost", "simulated", "sequences", "slates")
"""Cost comes first, so that the peak of memory is the fit's own."""

SHOPS = ("fashion", "outfitter")
START = 1_700_000_000.0

PERIOD_S = 28 * 86_400.0
"""Completejourney is a sample of lines: its baskets hold one or two. What a household buys in four weeks stands for a visit."""

COST_EVENTS = (250_000, 500_000, 1_000_000)
COST_ITERATIONS = 20

Results = dict[str, float | int | str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        help="folder that holds eshop_clothing_2008, serenade_bol, online_retail_uci, completejourney; what it lacks is left out",
    )
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts to measure, of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--shop", action="append", choices=SHOPS, help="shops of the simulated part (default: all)")
    parser.add_argument("--train", type=int, default=6_000, help="simulated sessions to train on (default: 6,000)")
    parser.add_argument("--test", type=int, default=4_000, help="simulated sessions to measure on (default: 4,000)")
    parser.add_argument("--slates", type=int, default=1_500, help="first slates a data set is asked for (default: 1,500)")
    parser.add_argument("--splits", type=int, default=10, help="random halvings for the names (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same figures, times apart")


def run(options: argparse.Namespace) -> Results:
    """All figures of the parts asked for. Raises BenchmarkError."""
    parts = [part.strip() for part in options.only.split(",") if part.strip()]
    if unknown := sorted(set(parts) - set(PARTS)):
        raise BenchmarkError(f"--only: {unknown[0]!r} is not one of {', '.join(PARTS)}")
    for name in ("train", "test", "slates", "splits"):
        if getattr(options, name) < 1:
            raise BenchmarkError(f"--{name}: {getattr(options, name)} is not a positive number")
    if options.data is not None and not options.data.is_dir():
        raise BenchmarkError(f"--data: {options.data} is not a folder")
    results: Results = {}
    with Stages("personas") as stages:
        if "cost" in parts:
            results |= cost(stages, seed=options.seed)
        if "simulated" in parts:
            for shop in options.shop or SHOPS:
                results |= simulated(shop, stages, train=options.train, test=options.test, seed=options.seed)
        if {"sequences", "slates"} & set(parts):
            results |= real(options, stages, parts)
    return results


def simulated(slug: str, stages: Stages, *, train: int, test: int, seed: int) -> Results:
    """A demo shop's simulated shoppers: a model trained on some of them, measured on others of the same world."""
    folder = Path(settings.BASE_DIR) / "data" / slug
    if not (folder / "items.csv.gz").is_file():
        stages.say(f"{slug}: left out, its data is not there")
        return {f"{slug}": "left out: no data"}
    catalogue, attributes, archetypes = demo_shop(folder)
    world = build_world(catalogue, attributes, archetypes, seed=seed)
    made = []
    for purpose, count, offset in (("training", train, 1), ("test", test, 2)):
        with stages.stage(f"{slug}: {purpose} shoppers") as report:
            sessions = []
            for session in simulate(world, sessions=count, seed=seed + offset, start_at=START):
                sessions.append(session)
                report(len(sessions), count)
            made.append(sessions)
    with stages.stage(f"{slug}: fit") as report:
        log, contexts = to_log(made[0], catalogue)
        model = train_model(log, contexts, catalogue, attributes, archetypes, report)
    with stages.stage(f"{slug}: filter") as report:
        followed = follow_all(model, world.personas, catalogue, made[1], report)
    with stages.stage(f"{slug}: measures"):
        return _flat({f"{slug}_{name}": figure for name, figure in measures(followed, seed=seed).items()})


def real(options: argparse.Namespace, stages: Stages, parts: Sequence[str]) -> Results:
    """Sequences and first items of eshop and bol, first slates of completejourney and online_retail_uci, of the `parts` asked
    for; what is not there is left out."""
    results: Results = {}
    eshop, bol = ("eshop_clothing_2008", "from=2008-08-01"), ("serenade_bol", "days=3")
    measures_of: list[tuple[str, str, Callable[[Dataset], Results]]] = [
        ("sequences", eshop[0], lambda d: sequences(d, eshop[1], ("category", "price_tier"), stages, options)),
        ("sequences", bol[0], lambda d: sequences(d, bol[1], ("category", "gap"), stages, options)),
        ("slates", eshop[0], lambda d: openings(d, eshop[1], stages, options)),
        ("slates", bol[0], lambda d: openings(d, bol[1], stages, options)),
        ("slates", "completejourney", lambda d: slates(in_periods(d), households(options.data / d.name), stages, options)),
        ("slates", "online_retail_uci", lambda d: slates(d, None, stages, options)),
    ]
    for part, name, measure in measures_of:
        if part not in parts:
            continue
        folder = None if options.data is None else options.data / name
        if folder is None or not folder.is_dir():
            stages.say(f"{name}: left out, {'give --data' if folder is None else 'the folder lacks it'}")
            results[name] = "left out: not given" if folder is None else "left out: not there"
            continue
        try:
            with stages.stage(f"{name}: reading"):
                data = read_dataset(folder)
            results |= {f"{name}_{figure}": value for figure, value in measure(data).items()}
        except (DatasetError, NothingToAsk) as error:
            raise BenchmarkError(f"{name}: {error}") from error
    return results


def sequences(data: Dataset, split: str, factors: tuple[str, ...], stages: Stages, options: argparse.Namespace) -> Results:
    """Held-out log-likelihoods beside simpler models, and names on random halves of the training sessions."""
    parts = split_dataset(data, split)
    assert parts.test is not None
    facts = item_facts(parts.catalogue, parts.train)
    shop = Shop(*default_personas(facts), facts, parts.catalogue.descriptors, parts.catalogue.item_descriptors)
    train, test = (read_steps(facts, log) for log in (parts.train, parts.test))
    with stages.stage(f"{data.name}: likelihoods"):
        told = compare(shop, train, test, factors)
    with stages.stage(f"{data.name}: names on halves") as report:
        seeds = [options.seed + i for i in range(options.splits)]
        names = names_kept(shop, train, seeds=seeds, progress=report)
    return {
        "states": len(shop.archetypes),
        "test_steps": int(test.later.sum()),
        **{f"log_likelihood_{name}": round(value, 4) for name, value in told.items()},
        **{f"names_{name}": round(value, 4) for name, value in names.items()},
    }


def read_steps(facts: ItemFacts, log: SessionLog) -> Sequences:
    """A log's steps as the chain sees them."""
    steps = steps_once(encode_steps(facts, log))
    return Sequences(steps.codes, steps.offsets, gaps(log)[steps.rows])


def in_periods(data: Dataset) -> Dataset:
    """The data set with a session for each shopper and period of `PERIOD_S`, counted from its first day."""
    log = data.log
    users = log.users[log.session_of]
    first = np.floor(log.at.min() / 86_400.0) * 86_400.0
    keys = np.array([f"{u}/{p:.0f}" for u, p in zip(users.tolist(), ((log.at - first) // PERIOD_S).tolist(), strict=True)])
    whole = SessionLog.of(keys, log.position, log.at, code=log.code, user=users, price=log.price, clock=log.clock)
    found = whole.keys.tolist()
    return replace(data, log=whole, split=dict.fromkeys(found, ""), contexts={key: {} for key in found})


def households(folder: Path) -> dict[str, dict[str, str]]:
    """Demographics by household. The set is published for research with its households' consent and has no such column."""
    with gzip.open(folder / "users.csv.gz", "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["user_id"]: {name: value for name, value in row.items() if name != "user_id" and value} for row in rows}


def slates(
    data: Dataset, demographics: Mapping[str, Mapping[str, str]] | None, stages: Stages, options: argparse.Namespace
) -> Results:
    """First slates of returning shoppers, by an engine trained on the sessions that start in the first 80 % of the events."""
    log = data.log
    moment = float(np.quantile(log.at, 0.8))
    if demographics is not None:  # a period begins for all at once
        first = np.floor(log.at.min() / 86_400.0) * 86_400.0
        moment = first + np.floor((moment - first) / PERIOD_S) * PERIOD_S
    seen = set(data.items)
    known = replace(data, facts={item: row for item, row in data.facts.items() if item in seen})
    parts: Split = split_dataset(known, f"from={time.strftime('%Y-%m-%d', time.gmtime(moment))}")
    assert parts.test is not None
    contexts = {
        key: {**parts.contexts.get(key, {}), **(demographics or {}).get(user, {})}
        for key, user in zip(parts.train.keys.tolist(), parts.train.users.tolist(), strict=True)
    }
    with stages.stage(f"{data.name}: training") as report:
        engine = train_engine(
            parts.train,
            parts.catalogue,
            contexts=[contexts[key] for key in parts.train.keys.tolist()],
            most_examples=QUICK,
            seed=options.seed,
            progress=lambda _, share: report(int(1_000 * share), 1_000),
        )
    with stages.stage(f"{data.name}: first slates") as report:
        scored = first_slates(
            engine,
            parts.train,
            parts.test,
            contexts=parts.contexts,
            demographics=demographics,
            at_most=options.slates,
            seed=options.seed,
            progress=report,
        )
    figures = {f"{m}_{name}": figure for m in MEASURES for name, figure in gains(scored, m, seed=options.seed).items()}
    return {"slates": len(scored.shopper), "shoppers": len(np.unique(scored.shopper)), **_flat(figures)}


def openings(data: Dataset, split: str, stages: Stages, options: argparse.Namespace) -> Results:
    """First items of sessions of whom nobody knows more than clock and context."""
    parts = split_dataset(data, split)
    assert parts.test is not None
    contexts = [parts.contexts.get(key, {}) for key in parts.train.keys.tolist()]
    with stages.stage(f"{data.name}: training") as report:
        engine = train_engine(
            parts.train,
            parts.catalogue,
            contexts=contexts if any(contexts) else None,
            most_examples=QUICK,
            seed=options.seed,
            progress=lambda _, share: report(int(1_000 * share), 1_000),
        )
    with stages.stage(f"{data.name}: first items") as report:
        scored = first_items(
            engine,
            parts.train,
            parts.test,
            contexts=parts.contexts,
            at_most=options.slates,
            seed=options.seed,
            progress=report,
        )
    of_first = MEASURES[1:]  # a session is asked for one item, so that NDCG says no more
    figures = {f"{m}_{name}": figure for m in of_first for name, figure in gains(scored, m, seed=options.seed).items()}
    return {"openings": len(scored.shopper), **_flat(figures)}


def cost(stages: Stages, *, seed: int) -> Results:
    """Seconds of a fit by its number of events, and microseconds of a filter step, on made events of `STATES` states."""
    results: Results = {"cost_states": STATES, "cost_iterations": COST_ITERATIONS}
    attributes, archetypes, facts = made_shop()
    before = peak_mb()
    for events in COST_EVENTS:
        steps = made_steps(facts, attributes, archetypes, events, seed=seed)
        start, pseudo = starting_model(attributes, archetypes, facts, codes=steps.codes, sessions=len(steps.offsets) - 1)
        with stages.stage(f"cost: fit of {events:,} events") as report:
            t0, cpu0 = time.perf_counter(), time.process_time()
            _, told = fit(
                steps.codes, steps.offsets, start=start, pseudo_counts=pseudo, iterations=COST_ITERATIONS, progress=report
            )
            seconds, cpu = time.perf_counter() - t0, time.process_time() - cpu0
        passes = len(told.log_likelihood)  # an E-step more than iterations; EM stops where nothing moves any more
        name = f"fit_{events // 1_000}k"
        results[f"{name}_seconds"] = round(seconds, 2)
        results[f"{name}_cpu_seconds"] = round(cpu, 2)
        results[f"{name}_iterations"] = passes - 1
        results[f"{name}_cpu_seconds_at_{COST_ITERATIONS}"] = round(cpu * (COST_ITERATIONS + 1) / passes, 2)
    results["fit_memory_mb"] = round(peak_mb() - before)
    with stages.stage("cost: filter steps") as report:
        results |= step_cost(attributes, archetypes, facts, report, seed=seed)
    return results


def step_cost(
    attributes: tuple[Attribute, ...], archetypes: tuple[Archetype, ...], facts: ItemFacts, report: Report, *, seed: int
) -> Results:
    """Microseconds at p50 of predict and condition, and of `profile.update`, ledger and all."""
    rng = np.random.default_rng(seed)
    names = [f"category={name}" for name in facts.category_names]
    catalogue = build_catalogue(
        ItemRow(i + 1, f"i{i}", f"item {i}", facts.category_names[c], price=float(5 + i % 50))
        for i, c in enumerate(facts.category.tolist())
    )
    position = rng.integers(len(catalogue), size=20_000)
    log = SessionLog.of(np.repeat(np.arange(2_500), LENGTH), position, START + 30.0 * np.arange(len(position)))
    assert set(names) <= set(catalogue.descriptors)
    model = train_model(log, [{} for _ in range(len(log))], catalogue, attributes, archetypes, report)
    prior, codes = model.hmm.log_initial, encode_steps(model.facts, log).codes.tolist()
    belief, times = prior, []
    for row in codes[:5_000]:
        t0 = time.perf_counter()
        predicted = predict(model.hmm, belief, elapsed_s=30.0, log_prior=prior)
        belief, _ = condition(model.hmm, predicted, row)
        times.append(time.perf_counter() - t0)
    updates = []
    for n, p in enumerate(position[:5_000].tolist()):
        if n % LENGTH == 0:
            state = profile.start(model, evidence={}, at=START)
        signal = Signal(f"e{n}", CODE["view_item"], p, START + 30.0 * n, None, 0)
        t0 = time.perf_counter()
        state = profile.update(model, state, signal)
        updates.append(time.perf_counter() - t0)
    return {
        "filter_step_p50_us": round(1e6 * float(np.median(times)), 1),
        "update_p50_us": round(1e6 * float(np.median(updates)), 1),
        "update_p99_us": round(1e6 * float(np.quantile(updates, 0.99)), 1),
    }


def peak_mb() -> float:
    """The process's peak of memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def _flat(figures: Mapping[str, Interval]) -> Results:
    """Each figure, and the ends of its interval; "unknown" where there was nothing to take it from, for JSON has no NaN."""
    flat: Results = {}
    for name, figure in figures.items():
        for suffix, value in (("", figure.value), ("_low", figure.low), ("_high", figure.high)):
            flat[name + suffix] = "unknown" if math.isnan(value) else round(value, 4)
    return flat
