"""`manage.py evaluate PATH`: next-item accuracy of our engine beside its peers, on files; no server is needed."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.template.loader import render_to_string
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from recommendations.evaluation.ablations import ABLATIONS
from recommendations.evaluation.asked import Test
from recommendations.evaluation.datasets import MAX_SHOWN, Dataset, DatasetError, Split, read_dataset, split_dataset
from recommendations.evaluation.figures import figures, table
from recommendations.evaluation.protocol import evaluate, plan
from recommendations.evaluation.report_page import sections, verdict
from recommendations.evaluation.resampling import DRAWS
from recommendations.management.commands.benchmark import commit, machine

PREFIXES = "every prefix of a test session foretells the next item"
PAIRS = "each published prefix foretells its target"
RULES = "repeats allowed; ties count against the model"
READING = "reading"
QUARTERS = 4
"""How often a stage is heard of where there is no terminal to draw a bar on."""


class Command(BaseCommand):
    help = "Measure next-item accuracy on PATH/events.csv[.gz]: the engine, popularity, sequential rules and V-SKNN."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="folder with events.csv[.gz] and, optionally, items, users, test_examples")
        parser.add_argument("--split", help="examples, column, days=N or from=DATE (default: the first that applies, or a tenth)")
        parser.add_argument("--json", action="store_true", help="only JSON on standard output")
        parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a page with plots and tables, one file")
        parser.add_argument(
            "--ablate",
            type=_parts,
            default=(),
            metavar="PARTS",
            help=f"also measure the engine without parts, of {', '.join(ABLATIONS)}; several by commas, or all",
        )
        parser.add_argument(
            "--diversity",
            type=_diversities,
            default=(),
            metavar="SHARES",
            help="also measure the engine with lists that are so diverse, 0 to 1; several by commas",
        )
        parser.add_argument("--draws", type=int, default=DRAWS, help=f"resamples behind the intervals (default {DRAWS})")
        parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same figures")

    def handle(
        self,
        *,
        path: Path,
        split: str | None,
        seed: int,
        ablate: tuple[str, ...],
        diversity: tuple[float, ...],
        draws: int,
        report: Path | None,
        **options: Any,
    ) -> None:
        if draws < 1:
            raise CommandError(f"--draws {draws} must be at least 1")
        if report is not None and not report.resolve().parent.is_dir():
            raise CommandError(f"--report {report}: {report.resolve().parent} is not a folder")
        console = Console(stderr=True)
        measured = commit()  # of the code that is loaded: a checkout may move on meanwhile
        told = _Told(console, path.name, (READING, *plan(ablate, diversity)))
        try:
            with told.bar:
                told(READING, 0.0)
                data = read_dataset(path, told)
                _tell_rejected(data, console)
                parts = split_dataset(data, split)
                del data
                evaluation = evaluate(
                    parts.train,
                    parts.catalogue,
                    Test(
                        parts.test,
                        parts.examples,
                        parts.contexts,
                        starts_at=float(parts.train.at.max()) + 1.0,
                        ids=parts.ids or None,
                    ),
                    valid=parts.valid,
                    clock=time.perf_counter,
                    seed=seed,
                    ablate=ablate,
                    diversity=diversity,
                    draws=draws,
                    progress=told,
                )
        except (DatasetError, ValueError) as error:
            raise CommandError(str(error)) from error
        protocol = f"{parts.protocol}: {PREFIXES if parts.examples is None else PAIRS}; {RULES}"
        about = {
            "dataset": parts.name,
            "split": parts.protocol,
            "protocol": protocol,
            "commit": measured,
            "machine": machine(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "peak_memory_mib": _peak_memory_mib(),
            "data": _counts(parts),
        }
        results = about | figures(evaluation)
        if report is not None:
            report.write_text(_page(results), encoding="utf-8")
            console.print(f"the report is in {report}", highlight=False)
        if options["json"]:
            self.stdout.write(json.dumps(results))
        else:
            self.stdout.write(f"{parts.name}, split {protocol}\n\n{table(results)}")


class _Told:
    """Progress on the console: a bar a stage on a terminal, elsewhere a line a quarter of it."""

    def __init__(self, console: Console, name: str, stages: tuple[str, ...]) -> None:
        self._console, self._name, self._stages = console, name, stages
        self._last = ("", -1)
        self.bar = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self.bar.add_task(READING, total=1.0)

    def __call__(self, stage: str, share: float) -> None:
        share = min(share, 1.0)
        words = f"{self._stages.index(stage) + 1} of {len(self._stages)}, {stage}"
        self.bar.update(self._task, description=words, completed=share)
        quarter = (stage, int(share * QUARTERS))
        if not self._console.is_terminal and quarter != self._last:
            self._last = quarter
            self._console.print(f"evaluating {self._name}: {words}, {100 * share:.0f} %", highlight=False)


def _parts(value: str) -> tuple[str, ...]:
    """Parts to leave out, in the order of `ABLATIONS`."""
    named = set(ABLATIONS) if value == "all" else {part.strip() for part in value.split(",") if part.strip()}
    if unknown := sorted(named - set(ABLATIONS)):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is not one of {', '.join(ABLATIONS)}, all")
    return tuple(part for part in ABLATIONS if part in named)


def _diversities(value: str) -> tuple[float, ...]:
    """Shares, each once, ascending."""
    try:
        shares = sorted({float(part) for part in value.split(",") if part.strip()})
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is not one or more numbers") from error
    if not all(0.0 < share <= 1.0 for share in shares):
        raise argparse.ArgumentTypeError(f"{value!r} has a share that isn't above 0 and at most 1")
    return tuple(shares)


def _counts(parts: Split) -> dict[str, int]:
    train = parts.train
    tested = {"pairs": len(parts.examples)} if parts.examples is not None else {}
    if parts.test is not None:
        tested = {"test_sessions": len(parts.test), "test_events": len(parts.test.code)}
    return {
        "train_sessions": len(train),
        "train_events": len(train.code),
        "items": len(parts.catalogue),
        "categories": len(parts.catalogue.categories),
        **tested,
    }


def _peak_memory_mib() -> int:
    """Of this process so far, files that it maps included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _page(results: dict[str, Any]) -> str:
    counts, drawn = results["data"], results["intervals"]
    method = [
        ("Protocol", results["protocol"]),
        (
            "Engine",
            "through the same step as live serving, with the evaluation profile: no exploration, no rules, no shared slots",
        ),
        ("Peers", "each with the best of a few published settings on the validation part, fitted again on all of training"),
        (
            "Intervals",
            f"{drawn['level']:.0f} % of {drawn['draws']:,} resamples, seed {drawn['seed']}; resampled: {drawn['resampled']} "
            f"({drawn['count']:,})",
        ),
        ("Data", f"{results['dataset']}: " + ", ".join(f"{v:,} {k.replace('_', ' ')}" for k, v in counts.items())),
        ("Commit", f"{results['commit']} (a + says that files differed from it)"),
        ("Machine", f"{results['machine']}; {results['peak_memory_mib']:,} MiB of memory at most"),
        ("Date", results["date"]),
    ]
    return render_to_string(
        "evaluation/report.html",
        {
            **{key: results[key] for key in ("dataset", "split", "date", "commit")},
            "tokens": (settings.BASE_DIR / "static" / "tokens.css").read_text(encoding="utf-8"),
            "verdict": verdict(results),
            "sections": sections(results),
            "method": method,
        },
    )


def _tell_rejected(data: Dataset, console: Console) -> None:
    if not data.rejected:
        return
    console.print(f"{len(data.rejected):,} lines were not taken:", highlight=False)
    for file, reject in data.rejected[:MAX_SHOWN]:
        console.print(f"  {file} line {reject.line}: {reject.field or 'the line'} {reject.reason}", highlight=False, markup=False)
