"""`manage.py evaluate PATH`: next-item accuracy of our engine beside its peers, on files; no server is needed."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from recommendations.evaluation.datasets import MAX_SHOWN, Dataset, DatasetError, read_dataset, split_dataset
from recommendations.evaluation.protocol import Result, Test, evaluate

PREFIXES = "every prefix of a test session foretells the next item"
PAIRS = "each published prefix foretells its target"
RULES = "repeats allowed; ties count against the model"


class Command(BaseCommand):
    help = "Measure next-item accuracy on PATH/events.csv[.gz]: the engine, popularity, sequential rules and V-SKNN."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="folder with events.csv[.gz] and, optionally, items, users, test_examples")
        parser.add_argument("--split", help="examples, column, days=N or from=DATE (default: the first that applies, or a tenth)")
        parser.add_argument("--json", action="store_true", help="only JSON on standard output")
        parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same figures")

    def handle(self, *, path: Path, split: str | None, seed: int, **options: Any) -> None:
        console = Console(stderr=True)
        bar = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        told = {"stage": ""}

        def progress(stage: str, share: float) -> None:
            bar.update(task, description=stage, completed=min(share, 1.0))
            if not console.is_terminal and stage != told["stage"]:
                told["stage"] = stage
                console.print(f"evaluating {path.name}: {stage}", highlight=False)

        try:
            with bar:
                task = bar.add_task("reading", total=1.0)
                progress("reading", 0.0)
                data = read_dataset(path)
                _tell_rejected(data, console)
                parts = split_dataset(data, split)
                del data
                results = evaluate(
                    parts.train,
                    parts.catalogue,
                    Test(parts.test, parts.examples, parts.contexts, starts_at=float(parts.train.at.max()) + 1.0),
                    valid=parts.valid,
                    clock=time.perf_counter,
                    seed=seed,
                    progress=progress,
                )
        except (DatasetError, ValueError) as error:
            raise CommandError(str(error)) from error
        protocol = f"{parts.protocol}: {PREFIXES if parts.examples is None else PAIRS}; {RULES}"
        if options["json"]:
            models = {name: result.as_json() for name, result in results.items()}
            self.stdout.write(json.dumps({"dataset": parts.name, "protocol": protocol, "models": models}))
        else:
            self.stdout.write(f"{parts.name}, split {protocol}\n\n{_table(results)}")


def _tell_rejected(data: Dataset, console: Console) -> None:
    if not data.rejected:
        return
    console.print(f"{len(data.rejected):,} lines were not taken:", highlight=False)
    for file, reject in data.rejected[:MAX_SHOWN]:
        console.print(f"  {file} line {reject.line}: {reject.field or 'the line'} {reject.reason}", highlight=False, markup=False)


def _table(results: dict[str, Result]) -> str:
    heads = list(next(iter(results.values())).as_json())
    rows = [["model", *heads]]
    for name, result in results.items():
        values = result.as_json()
        rows.append([name, *(f"{values[h]:,.0f}" if h == "examples" else f"{values[h]:,.2f}" for h in heads)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [row[0].ljust(widths[0]) + "".join(f"  {c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True)) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines) + "\n"
