"""A whole release from a made log: seconds of clock and of processor, in all and by stage, and the memory that it takes."""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from personas.components import to_parts
from recommendations.benchmarks.load import BenchmarkError
from recommendations.benchmarks.made_logs import made_catalogue, made_log
from recommendations.benchmarks.stages import Stages
from recommendations.engine import Engine
from recommendations.training import train_engine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--items", type=int, default=40_000, help="size of the made catalogue (default: 40,000)")
    parser.add_argument("--events", type=int, default=1_000_000, help="events in the made log (default: 1,000,000)")
    parser.add_argument("--seed", type=int, default=0, help="of the training (default: 0)")
    parser.add_argument("--twice", action="store_true", help="train again and compare: the same seed gives the same release")


def run(options: argparse.Namespace) -> dict[str, float | int | str]:
    """Seconds, megabytes at the peak, and a digest of all that was learned. The log is not part of the time, but of the memory.
    `cpu` are seconds of all processors together, which a machine that does other things tells more truly than the clock's.

    Raises BenchmarkError if a second training gives another release.
    """
    with Stages("train") as stages:
        results = trained(options.items, options.events, options.seed, stages)
        if options.twice:
            again = trained(options.items, options.events, options.seed, stages)
            if again["digest"] != results["digest"]:
                raise BenchmarkError(f"two trainings with seed {options.seed} differ: {results['digest']}, {again['digest']}")
            results["trainings_alike"] = 2
    return results


def trained(items: int, events: int, seed: int, stages: Stages) -> dict[str, float | int | str]:
    """One training in a process of its own, whose stages are told as they come."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    worker = context.Process(target=_train, args=(theirs, items, events, seed), daemon=True)
    worker.start()
    theirs.close()
    told: Any = None
    while not isinstance(told, dict):
        stage = "making the log" if told is None else told[0]
        with stages.stage(stage) as report:
            while True:
                try:
                    told = ours.recv()
                except EOFError:
                    raise BenchmarkError(f"the training ended while {stage}") from None
                if isinstance(told, dict) or told[0] != stage:
                    break
                report(round(1000 * told[1]), 1000)
    worker.join()
    return told


def _train(told: Connection, items: int, events: int, seed: int) -> None:
    catalogue, log = made_catalogue(items), made_log(items, events)
    log_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    stages: dict[str, np.ndarray] = {}
    began = _clocks()
    engine = train_engine(log, catalogue, seed=seed, progress=_timed(stages, told.send))
    seconds, cpu = _clocks() - began
    results: dict[str, float | int | str] = {"items": items, "events": len(log.code)}
    results |= {"seconds": round(seconds, 1), "cpu": round(cpu, 1)}
    for stage, (seconds, cpu) in stages.items():
        results |= {f"seconds_{stage}": round(seconds, 1), f"cpu_{stage}": round(cpu, 1)}
    results |= {"log_mb": round(log_mb, 1), "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}
    results |= {"clusters": len(engine.clusters), "digest": digest(engine)}
    told.send(results)


def _clocks() -> np.ndarray:
    """(2,) seconds of the clock, and of the processors in this process."""
    return np.array([time.perf_counter(), time.process_time()])


def _timed(stages: dict[str, np.ndarray], send: Callable[[tuple[str, float]], None]) -> Callable[[str, float], None]:
    """Progress that adds up what each stage took: the time between two reports counts for the later one's stage."""
    last = _clocks()

    def progress(stage: str, share: float) -> None:
        nonlocal last
        now = _clocks()
        stages[stage] = stages.get(stage, np.zeros(2)) + now - last
        last = now
        send((stage, share))

    return progress


def digest(engine: Engine) -> str:
    """Names all arrays of an engine's components, to the last bit."""
    found = hashlib.blake2b(digest_size=8)
    for kind in ("catalogue", "personas", "clusters", "ranker", "policy"):
        arrays, _ = to_parts(getattr(engine, kind))
        for name, array in sorted(arrays.items()):
            found.update(name.encode())
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
