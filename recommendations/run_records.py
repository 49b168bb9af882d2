"""Work on a shop that only one process may do at a time, and the row that tells how it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.utils import timezone
from redis.exceptions import RedisError

from personas.models import Shop
from recommendations import releases
from recommendations.locks import renewed
from recommendations.models import Release, TrainingRun
from recommendations.training import Progress

LOCK_S = 60.0
"""Seconds a training lock outlives its last renewal."""


CANCEL_S = 86_400
"""Seconds for which it is remembered that a run is to end: longer than any takes."""


class TrainingBusy(RuntimeError):
    """Another training of the shop is under way."""


class TrainingCancelled(RuntimeError):
    """Somebody cancelled the run."""


def on_record(shop: Shop, kind: str, progress: Progress | None, work: Callable[[TrainingRun, Progress], Release]) -> TrainingRun:
    """Do the work alone, and tell how it goes in a row of its own, which names the release that came of it.

    One at a time a shop. Raises TrainingBusy, TrainingCancelled, and what the work raises; the row then says why it failed.
    """
    with alone(shop):
        _bury_interrupted(shop)
        run = TrainingRun.objects.create(
            shop=shop, kind=kind, state=TrainingRun.State.RUNNING, stage="reading", started_at=timezone.now()
        )
        told: dict[str, Any] = {"at": 0.0, "stage": ""}

        def tell(stage: str, share: float) -> None:
            if progress:
                progress(stage, share)
            # The row is for people: once a second is as often as they look, but a stage may be long before it tells more.
            if stage != told["stage"] or time.perf_counter() - told["at"] > 1.0:
                told.update(at=time.perf_counter(), stage=stage)
                TrainingRun.objects.filter(pk=run.pk).update(stage=stage, progress=share)
                _heed(run)

        try:
            release = work(run, tell)
        except TrainingCancelled as cancelled:
            _finish(run, TrainingRun.State.FAILED, error=str(cancelled))
            raise
        except Exception as error:
            _finish(run, TrainingRun.State.FAILED, error=f"{type(error).__name__}: {error}")
            raise
        _finish(run, TrainingRun.State.DONE, release=release)
        return run


def under_way(shop: Shop) -> TrainingRun | None:
    """The shop's run that is at work; not one whose process was killed, though its row says that it runs."""
    run = TrainingRun.objects.filter(shop=shop, state=TrainingRun.State.RUNNING).first()
    if run is None:
        return None
    try:
        return run if releases.redis_client().exists(f"training:{shop.pk}") else None
    except RedisError:
        return run


def cancel(run: TrainingRun, who: str) -> None:
    """Have a run end at its next step; what serves goes on serving. One that is about to be activated ends well instead."""
    releases.redis_client().set(_cancelled(run), who, ex=CANCEL_S)


def is_cancelled(run: TrainingRun) -> bool:
    """Whether somebody cancelled it; it may not have come to its next step yet."""
    try:
        return bool(releases.redis_client().exists(_cancelled(run)))
    except RedisError:
        return False


def _heed(run: TrainingRun) -> None:
    """Raises TrainingCancelled where somebody said so. A Redis that is away says nothing."""
    try:
        who = releases.redis_client().get(_cancelled(run))
    except RedisError:
        return
    if who is not None:
        raise TrainingCancelled(f"cancelled by {who.decode() if isinstance(who, bytes) else who}")


def _cancelled(run: TrainingRun) -> str:
    return f"cancelled-training:{run.pk}"


@contextmanager
def alone(shop: Shop) -> Iterator[None]:
    """Hold the shop's training lock, renewed while we live: one that is killed frees it within `LOCK_S` seconds."""
    lock = releases.redis_client().lock(f"training:{shop.pk}", timeout=LOCK_S, blocking=False, thread_local=False)
    if not lock.acquire():
        raise TrainingBusy(f"a training of {shop.slug} is under way; wait for it, or see Training runs in the admin")
    with renewed(lock, every=LOCK_S / 3):
        yield


def _bury_interrupted(shop: Shop) -> None:
    """Tell of runs that were killed, and take back the releases that they had saved and nobody will ever activate."""
    for run in TrainingRun.objects.filter(shop=shop, state=TrainingRun.State.RUNNING):
        saved = Release.objects.filter(shop=shop, state=Release.State.READY, created_at__gte=run.started_at, training_runs=None)
        for release in saved.exclude(metrics__has_key="of"):  # those of edits are made beside a run
            releases.discard(release, f"Run {run.pk} was interrupted before it was done.")
        _finish(run, TrainingRun.State.FAILED, error="interrupted")


def _finish(run: TrainingRun, state: str, *, error: str = "", release: Release | None = None) -> None:
    run.state, run.error, run.release, run.finished_at = state, error, release, timezone.now()
    run.stage, run.progress = ("done", 1.0) if release else (run.stage, run.progress)
    run.save()
