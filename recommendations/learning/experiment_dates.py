"""When experiments begin and end by themselves: what may be planned, and how it is told. `experiment_schedule` keeps to it.

A shop's shoppers are in one experiment at a time, so that plans of one shop may not overlap; one that has no end runs for ever.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.utils import timezone

from clusters.cluster_drafts import EditConflict, EditError
from personas.models import Shop
from recommendations.learning.models import Experiment

State = Experiment.State

SHORTEST = dt.timedelta(hours=1)
"""Under which nobody can have been counted, let alone told apart."""

LONGEST_AHEAD = dt.timedelta(days=366)

SLACK = dt.timedelta(minutes=1)
"""So long ago a beginning is still "now": forms are told in minutes, and take some to be sent."""


def check(
    shop: Shop,
    starts_at: dt.datetime | None,
    ends_at: dt.datetime | None,
    *,
    now: dt.datetime | None = None,
    but: Experiment | None = None,
) -> None:
    """Whether an experiment that hasn't begun may have these dates; within the shop's lock, if they are to hold.

    starts_at, ends_at : aware; None for by hand.  but : the experiment itself, where it is there already.
    Raises EditError with the field and the reason, EditConflict where it would overlap with another.
    """
    now = now or timezone.now()
    for name, moment in (("starts_at", starts_at), ("ends_at", ends_at)):
        if moment is not None and timezone.is_naive(moment):
            raise EditError(name, "must tell its time zone")
        if moment is not None and moment - now > LONGEST_AHEAD:
            raise EditError(name, f"must be within {LONGEST_AHEAD.days} days")
    if starts_at is not None and starts_at < now - SLACK:
        raise EditError("starts_at", "has passed already")
    _check_end(max(starts_at or now, now), ends_at)
    if starts_at is not None:
        check_free(shop, starts_at, ends_at, now=now, but=but)


def _check_end(begins: dt.datetime, ends_at: dt.datetime | None) -> None:
    if ends_at is not None and ends_at - begins < SHORTEST:
        raise EditError("ends_at", "must be at least an hour after it begins")


def check_free(
    shop: Shop,
    begins: dt.datetime,
    ends: dt.datetime | None,
    *,
    now: dt.datetime | None = None,
    but: Experiment | None = None,
    field: str = "starts_at",
) -> None:
    """Raises EditConflict where another experiment of the shop runs, or is planned, at a time between these."""
    now = now or timezone.now()
    rows = Experiment.objects.filter(shop=shop, state__in=(State.DRAFT, State.RUNNING)).order_by("pk")
    for row in rows if but is None else rows.exclude(pk=but.pk):
        window = window_of(row)
        if window is None or (ends is not None and window[0] >= ends) or (window[1] is not None and window[1] <= begins):
            continue
        told = f"runs {_until(row.ends_at)}" if row.state == State.RUNNING else f"is planned {said(row)}"
        raise EditConflict(field, f"would overlap with “{row.name}”, which {told}: shoppers are in one experiment at a time")


def window_of(row: Experiment) -> tuple[dt.datetime, dt.datetime | None] | None:
    """From when to when it runs, or will; its end None for open. None where that isn't planned."""
    begins = row.starts_at if row.state == State.DRAFT else row.started_at
    if begins is None:
        return None
    return begins, row.ends_at if row.state != State.STOPPED else row.stopped_at


def plan(experiment: Experiment, *, starts_at: dt.datetime | None, ends_at: dt.datetime | None) -> bool:
    """Set when it begins and ends by itself, None for by hand; whether that is another plan than before.

    Of one that runs only the end may be set. Raises EditError, EditConflict.
    """
    with transaction.atomic():
        Shop.objects.select_for_update(no_key=True).get(pk=experiment.shop_id)
        row = Experiment.objects.select_related("shop").get(pk=experiment.pk)
        if row.state == State.STOPPED:
            raise EditConflict("experiment", "has ended: make a new one, so that no visit counts twice")
        changed = (row.starts_at, row.ends_at) != (starts_at, ends_at)
        if row.state == State.RUNNING:
            if starts_at != row.starts_at:
                raise EditError("starts_at", "can't be changed: it runs already")
            if changed:
                now = timezone.now()
                _check_end(now, ends_at)
                if ends_at is not None and ends_at - now > LONGEST_AHEAD:
                    raise EditError("ends_at", f"must be within {LONGEST_AHEAD.days} days")
                check_free(row.shop, now, ends_at, now=now, but=row, field="ends_at")
        elif changed:
            check(row.shop, starts_at, ends_at, but=row)
        if changed:
            # What went wrong with an earlier plan is over with a new one.
            Experiment.objects.filter(pk=row.pk).update(
                starts_at=starts_at, ends_at=ends_at, reason="" if row.state == State.DRAFT else row.reason
            )
    experiment.refresh_from_db()
    return changed


# In words

VERDICTS = {"better": "is better", "worse": "is worse", "unknown": "can't be told apart yet"}
"""Of an arm against the control, to follow its name."""


def moment_words(moment: dt.datetime, now: dt.datetime) -> str:
    """ "today, 18:00", "tomorrow, 09:00", "on Thu 3 Dec, 09:00", in the installation's time zone."""
    at, today = timezone.localtime(moment), timezone.localtime(now).date()
    days = (at.date() - today).days
    year = f" {at:%Y}" if at.year != today.year else ""
    day = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get(days, f"on {at:%a %-d %b}{year}")
    return f"{day}, {at:%H:%M}"


def said(row: Experiment) -> str:
    """ "from 3 Dec 2026, 09:00 until 10 Dec 2026, 09:00", "" where nothing is planned."""
    begins = f"from {_moment(row.starts_at)}" if row.starts_at is not None else ""
    ends = _until(row.ends_at) if row.ends_at is not None or begins else ""
    return f"{begins} {ends}".strip()


def _until(ends: dt.datetime | None) -> str:
    return "with no end planned" if ends is None else f"until {_moment(ends)}"


def _moment(moment: dt.datetime) -> str:
    return f"{timezone.localtime(moment):%-d %b %Y, %H:%M}"


def zone_words() -> str:
    """The zone that all of these times are in, as people call it."""
    return f"{timezone.localtime():%Z}"
