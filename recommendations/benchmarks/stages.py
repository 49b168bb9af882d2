"""How far a benchmark is, on standard error: standard output is the figures' alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

Report = Callable[[int, int], None]
"""Takes (done, of)."""


class Stages:
    """What is being done, on standard error: bars on a terminal, a line for each stage elsewhere."""

    def __init__(self, benchmark: str) -> None:
        self.benchmark = benchmark
        self.console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:<44}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> Stages:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @contextmanager
    def stage(self, name: str) -> Iterator[Report]:
        """A stage; call what it yields with (done, of)."""
        if not self.console.is_terminal:
            self.say(name)
        task = self._bars.add_task(name, total=1.0)
        yield lambda done, of: self._bars.update(task, completed=done / of if of else 1.0)
        self._bars.update(task, completed=1.0)

    def say(self, text: str) -> None:
        self.console.print(f"{self.benchmark}: {text}", highlight=False, markup=False)
