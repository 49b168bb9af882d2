"""What the commands that train share: the shop by its slug, and progress on the console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from personas.models import Shop
from recommendations.releases import ReleaseError
from recommendations.run_records import TrainingBusy, TrainingCancelled
from recommendations.training import Progress as Told


def shop_of(slug: str) -> Shop:
    """The shop of a slug. Raises CommandError, naming those that there are."""
    row = Shop.objects.filter(slug=slug).first()
    if row is None:
        known = ", ".join(Shop.objects.values_list("slug", flat=True)) or "none yet: run manage.py setup_demo"
        raise CommandError(f"there is no shop {slug!r}; there are: {known}")
    return row


@contextmanager
def told_on_console(doing: str) -> Iterator[Told]:
    """A bar on a terminal, a line a stage elsewhere; what a training refuses becomes a CommandError.

    doing : such as "training fashion".
    """
    columns = TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn()
    console = Console(stderr=True)
    try:
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("reading", total=1.0)
            told = {"stage": ""}

            def progress(stage: str, share: float) -> None:
                bar.update(task, description=stage, completed=share)
                if not console.is_terminal and stage != told["stage"]:
                    told["stage"] = stage
                    console.print(f"{doing}: {stage}")

            yield progress
            bar.update(task, description="done", completed=1.0)
    except (TrainingBusy, TrainingCancelled, ReleaseError, ValueError) as error:
        raise CommandError(str(error)) from error
