"""The clusters: planted groups of simulated searches, words of real queries, co-visits on real logs, cost, identity.

Planted: shoppers of `outfitter` on a mission search for things of an occasion together; the occasions are what query
clusters and item clusters are to bring back (`recommendations/evaluation/planted.py`). All of it is simulated. What
co-visits are worth is said in `covisits`. Data that doesn't ship is read from `--data`; what it lacks is left out, and said so.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path

import numpy as np
from django.conf import settings
from scipy import sparse

from clusters.item_clusters import build_clusters
from clusters.learned import CO_VISIT, SEARCH
from clusters.query_clusters import cluster_terms
from clusters.search_clusters import build_search_clusters, search_of, terms_of
from clusters.search_history import read_searches
from clusters.search_index import SearchIndex, build_index
from recommendations.benchmarks import covisits
from recommendations.benchmarks.load import BenchmarkError
from recommendations.benchmarks.persona_shops import demo_documents, demo_shop
from recommendations.benchmarks.stages import Report, Stages
from recommendations.evaluation.datasets import DatasetError
from recommendations.evaluation.planted import (
    agreement,
    cosearched_groups,
    groups_of_queries,
    planted_queries,
    planted_things,
    together,
)
from recommendations.evaluation.search_terms import check_normalisation, tfidf_groups
from recommendations.evaluation.simulation import World, build_world, simulate, to_log
from recommendations.evaluation.simulation.missions import Missions, index_search, parse_occasions, plant, shop_for

PARTS = ("cost", "planted", "normalisation", "covisits", "identity", "gating")
"""Cost comes first, and gating, which trains an engine, last."""

SHOP = "outfitter"
START = 1_700_000_000.0

GAP_S = 1_800.0
"""The inactivity gap that shops have unless they say otherwise."""

COVISITS: dict[str, tuple[Callable[[Path, Report], Mapping[str, float]], tuple[str, ...]]] = {
    "covisits": (covisits.coverage, ("serenade_bol", "retailrocket_cotrec")),
    "identity": (covisits.identity, ("serenade_bol",)),
    "gating": (covisits.gating, ("serenade_bol", "retailrocket_cotrec")),
}
"""Part -> what measures a data set, and the data sets."""

COST_EVENTS, COST_ITEMS = 1_000_000, 40_000
THIN = 10
"""The missions are measured once more with this part of them: how little is enough."""

Results = dict[str, float | int | str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        help="folder that holds wands_queries, serenade_bol, retailrocket_cotrec; what it lacks is left out",
    )
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts to measure, of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--missions", type=int, default=2_500, help="simulated sessions on a mission (default: 2,500)")
    parser.add_argument("--sessions", type=int, default=6_000, help="other simulated sessions, to mix in (default: 6,000)")
    parser.add_argument("--seeds", type=int, default=3, help="simulated logs of each kind (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same figures, times apart")


def run(options: argparse.Namespace) -> Results:
    """All figures of the parts asked for. Raises BenchmarkError."""
    parts = [part.strip() for part in options.only.split(",") if part.strip()]
    if unknown := sorted(set(parts) - set(PARTS)):
        raise BenchmarkError(f"--only: {unknown[0]!r} is not one of {', '.join(PARTS)}")
    for name in ("missions", "sessions", "seeds"):
        if getattr(options, name) < 1:
            raise BenchmarkError(f"--{name}: {getattr(options, name)} is not a positive number")
    if options.data is not None and not options.data.is_dir():
        raise BenchmarkError(f"--data: {options.data} is not a folder")
    results: Results = {}
    with Stages("clusters") as stages:
        if "cost" in parts:
            with stages.stage("cost"):
                results |= named("cost", covisits.cost(COST_EVENTS, COST_ITEMS))
        if "planted" in parts:
            results |= planted(stages, options)
        if "normalisation" in parts:
            results |= of_data("", "wands_queries", options.data, stages, normalisation)
        if "identity" in parts:
            with stages.stage("identity: made log") as report:
                results |= named("identity_made", covisits.made_identity(report))
        for part, (measure, sets) in COVISITS.items():
            for name in sets if part in parts else ():
                results |= of_data(f"{part}_", name, options.data, stages, measure)
    return results


def of_data(
    prefix: str, name: str, data: Path | None, stages: Stages, measure: Callable[[Path, Report], Mapping[str, float | int | str]]
) -> Results:
    """A data set's figures, its name before each; one that isn't there is left out. Raises BenchmarkError if it can't be read."""
    folder = None if data is None else data / name
    if folder is None or not folder.is_dir():
        stages.say(f"{prefix}{name}: left out, {'give --data' if folder is None else 'the folder lacks it'}")
        return {f"{prefix}{name}": "left out: no --data" if folder is None else "left out: not there"}
    try:
        with stages.stage(f"{prefix}{name}") as report:
            return named(f"{prefix}{name}", measure(folder, report))
    except DatasetError as error:
        raise BenchmarkError(f"{name}: {error}") from error


def named(prefix: str, figures: Mapping[str, float | int | str]) -> Results:
    """The figures, each with that before its name, and none more exact than people read; "unknown" for what JSON lacks."""
    return {f"{prefix}_{name}": _told(value) for name, value in figures.items()}


def _told(value: float | int | str) -> float | int | str:
    if not isinstance(value, float):
        return value
    return round(value, 4) if math.isfinite(value) else "unknown"


def normalisation(folder: Path, report: Report) -> Results:
    """What the written form of words does to real queries. Raises BenchmarkError on a file that can't be read."""
    paths = sorted(folder.glob("queries.csv*"))
    if not paths:
        raise BenchmarkError(f"{folder.name}: there is no queries.csv or queries.csv.gz")
    with gzip.open(paths[0], "rt", newline="") if paths[0].suffix == ".gz" else paths[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"query", "category"} <= set(rows[0]):
        raise BenchmarkError(f"{folder.name}: {paths[0].name} has no columns query and category")
    told = check_normalisation([row["query"] for row in rows], [row["category"] or "" for row in rows])
    counted = {name: len(value) if isinstance(value, list) else value for name, value in told.items()}
    across = "; ".join(" = ".join(group) for group in told["merged_across_classes"])
    return {**counted, "merged_across_classes_are": across or "none"}


def planted(stages: Stages, options: argparse.Namespace) -> Results:
    """Mean and least over the seeds, with the missions' log alone and mixed with that of shoppers led by taste."""
    folder = Path(settings.BASE_DIR) / "data" / SHOP
    if not (folder / "items.csv.gz").is_file():
        stages.say(f"planted: left out, the data of {SHOP} is not there")
        return {"planted": "left out: no data"}
    catalogue, attributes, archetypes = demo_shop(folder)
    index = build_index(demo_documents(folder))
    occasions = parse_occasions(json.loads((folder / "occasions.json").read_text()))
    missions = plant(catalogue, occasions, index_search(index, catalogue))
    results: Results = {"planted_occasions": len(missions.occasions), "planted_things": len(planted_things(missions)[0])}
    thin = max(1, options.missions // THIN)
    for kind, count, others in (("alone", options.missions, 0), ("thin", thin, 0), ("mixed", options.missions, options.sessions)):
        results |= {f"planted_{kind}_missions": count, f"planted_{kind}_other_sessions": others}
        seen: dict[str, list[float]] = {}
        for seed in range(options.seed, options.seed + options.seeds):
            with stages.stage(f"planted {kind}: seed {seed}"):
                world = build_world(catalogue, attributes, archetypes, seed=seed)
                figures = one_log(world, missions, index, count=count, others=others, seed=seed)
            for name, figure in figures.items():
                seen.setdefault(name, []).append(figure)
        for name, values in seen.items():
            results[f"planted_{kind}_{name}"] = round(float(np.mean(values)), 4)
            if name.startswith(("ami", "things_")):
                results[f"planted_{kind}_{name}_min"] = round(min(values), 4)
    return results


def one_log(world: World, missions: Missions, index: SearchIndex, *, count: int, others: int, seed: int) -> dict[str, float]:
    """Figures of one simulated log of so many missions and other sessions.

    Baselines are told how many groups there are: TF-IDF k-means of the queries' words with as many as occasions, and, which
    suits words better, as many as things; and k-means of what queries are searched with, with as many as occasions.
    """
    catalogue = world.catalogue
    made = list(shop_for(world, missions, sessions=count, seed=seed, start_at=START))
    led_by_taste = simulate(world, sessions=others, seed=seed, start_at=START) if others else ()
    log, contexts = to_log(chain(made, led_by_taste), catalogue)
    stats = read_searches(log, catalogue.item_ids, contexts, gap_s=GAP_S)
    terms = terms_of(stats, catalogue)
    groups = cluster_terms(stats, terms)
    queries = [stats.queries[q] for q in range(len(stats.queries))]
    place = {query: q for q, query in enumerate(queries)}
    things, occasion = planted_things(missions)
    truth = planted_queries(one for each in made for one in each.sought)
    typed, meant = _known(truth, place)
    plain, planted_in = _known(dict(zip(things, occasion.tolist(), strict=True)), place)
    k = len(missions.occasions)
    labels = {
        "": groups_of_queries(terms, groups),
        "_tfidf": tfidf_groups(queries, k, seed),
        "_tfidf_things": tfidf_groups(queries, len(things), seed),
        "_cosearched": cosearched_groups(stats, k, seed),
    }
    clusters = build_search_clusters(stats, terms, groups, catalogue, search_of(index, catalogue))
    built = build_clusters(log, catalogue, searched=clusters)
    # Each membership as its row has it: made to sum to 1 over an item's clusters, what only one cluster has would weigh most.
    weight = sparse.csr_matrix((built.weight, built.items.indices, built.items.indptr), shape=built.items.shape)
    searched, visited = (
        together(missions, sparse.csr_matrix(weight[[c for c, of in enumerate(built.kinds) if of == kind]].T))
        for kind in (SEARCH, CO_VISIT)
    )
    return {
        "queries": len(queries),
        "groups": int(groups.group.max(initial=-1)) + 1,
        **{f"ami{name}": agreement(planted_in, of_query[plain]) for name, of_query in labels.items()},
        **{f"ami_of_queries{name}": agreement(meant, of_query[typed]) for name, of_query in labels.items()},
        "item_clusters": built.kinds.count(SEARCH),
        "covisit_clusters": built.kinds.count(CO_VISIT),
        "things_together": searched.things,
        "occasions_together": searched.occasions,
        "own_items": searched.own,
        "covisit_things_together": visited.things,
        "covisit_own_items": visited.own,
    }


def _known(labels: Mapping[str, int], place: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """(rows, labels) of the queries that were searched for at all."""
    kept = [(place[query], label) for query, label in labels.items() if query in place]
    rows, of_row = zip(*kept, strict=True) if kept else ((), ())
    return np.array(rows, dtype=np.int64), np.array(of_row, dtype=np.int64)
