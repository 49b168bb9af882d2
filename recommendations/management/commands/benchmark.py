"""`manage.py benchmark NAME [--json]`: a figure with what it was measured on."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from recommendations import benchmarks
from recommendations.benchmarks.load import BenchmarkError


class Command(BaseCommand):
    help = "Measure what a part of the system costs and what it is worth."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        chosen = parser.add_subparsers(dest="name", required=True, metavar="NAME")
        for name in names():
            module = load(name)
            one = chosen.add_parser(name, help=(module.__doc__ or "").partition("\n")[0])
            one.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
            module.add_arguments(one)

    def handle(self, *, name: str, **options: Any) -> None:
        try:
            results = load(name).run(argparse.Namespace(**options))
        except BenchmarkError as error:
            raise CommandError(str(error)) from error
        report = {"name": name, "commit": commit(), "machine": machine(), "results": results}
        if options["json"]:
            self.stdout.write(json.dumps(report))
            return
        self.stdout.write(f"{name} at {report['commit']} on {report['machine']}")
        width = max(map(len, results), default=0)
        for figure, value in results.items():
            self.stdout.write(
                f"  {figure:<{width}} {value:>12,.3f}" if isinstance(value, float) else f"  {figure:<{width}} {value:>12}"
            )


def load(name: str) -> ModuleType:
    """A benchmark: `add_arguments(parser)`, and `run(options)`, which returns figure -> value."""
    return import_module(f"recommendations.benchmarks.{name}")


def names() -> list[str]:
    """The benchmarks there are: modules of `recommendations.benchmarks` with a function `run`."""
    folder = Path(next(iter(benchmarks.__path__)))
    return sorted(path.stem for path in folder.glob("*.py") if "\ndef run(" in path.read_text())


def commit() -> str:
    """The checkout's commit, marked if files differ from it; "unknown" outside a checkout."""
    git = ["git", "-C", str(settings.BASE_DIR)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+" if changed.strip() else head


def machine() -> str:
    """Processor, cores and Python."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name"))
        model = next(lines, model)
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"
