"""What visits with a rule, and those that go without it, came to: counted by the visit as the log is archived.

A visit counts for a rule, under its mark, once a slate was served in it to which the rule makes a difference (`slates.make`).
What is counted beside it, and when, follows from the archive, so that what is delivered again counts nothing.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from personas.events import CODE
from personas.models import ArchivedEvent, Shop, in_chunks
from recommendations import daily
from recommendations.daily import Tally
from recommendations.models import MerchandisingRule, ServedSlate
from recommendations.serving.activity import LoggedEvent, LoggedSlate, Record

CLICK, BOUGHT = CODE["select_item"], CODE["purchase"]

Trial = tuple[int, str, bool]
"""(rule, mark, whether the visit goes without it)."""


def key_of(rule: int, mark: str, *, held: bool) -> str:
    """Of `daily`'s measures `trial_visit`, `trial_click` and `trial_buy`."""
    return f"{rule}:{mark}:{'without' if held else 'with'}"


class _Event(NamedTuple):
    event_id: str
    at: dt.datetime
    recommendation_id: str


def count(shop: Shop, events: Sequence[tuple[Record, LoggedEvent]], slates: Sequence[tuple[Record, LoggedSlate]]) -> None:
    """Add what is new. Whoever calls holds the shop's lock, within a transaction, and has written events and slates.

    events, slates : those that the archive didn't have.
    """
    new = {slate.recommendation_id for record, slate in slates if slate.trials and not record.alone}
    origins = {record.session: record.origin for record, slate in slates if slate.recommendation_id in new}
    acting = [(record, event) for record, event in events if event.code == BOUGHT or event.recommendation_id]
    acting = [(record, event) for record, event in acting if event.code in {CLICK, BOUGHT}]
    if acting and (new or MerchandisingRule.objects.filter(shop=shop, holdout__gt=0).exists()):
        origins |= {record.session: record.origin for record, _ in acting}
    if not origins:
        return
    fresh = {(record.session, event.event_id) for record, event in acting}
    tally: Tally = defaultdict(float)
    of_visit = _slates_of(shop, origins)
    told = _told(shop, of_visit)
    for session, trials in of_visit.items():
        origin = origins[session]
        clicks, bought = told.get((session, CLICK), []), told.get((session, BOUGHT), [])
        for trial, served in trials.items():
            key = key_of(trial[0], trial[1], held=trial[2])
            begun = min(served.values())
            # A click may be archived before its slate, where another archiver died over that: it counts once both are there.
            there = {name: at for name, at in served.items() if name not in new}
            since = min(there.values(), default=None)
            if since is None:
                tally[begun.astimezone(dt.UTC).date(), "trial_visit", key, origin] += 1
            old_clicks = [row for row in clicks if row.recommendation_id in there and (session, row.event_id) not in fresh]
            old_bought = [row for row in bought if since and row.at >= since and (session, row.event_id) not in fresh]
            for measure, rows, counted in (
                ("trial_click", [row for row in clicks if row.recommendation_id in served], old_clicks),
                ("trial_buy", [row for row in bought if row.at >= begun], old_bought),
            ):
                if rows and not counted:
                    day = min(row.at for row in rows).astimezone(dt.UTC).date()
                    tally[day, measure, key, origin] += 1
    daily.add(shop, tally)


def _slates_of(shop: Shop, sessions: Iterable[str]) -> dict[str, dict[Trial, dict[str, dt.datetime]]]:
    """Session -> trial -> {recommendation id: when it was served}, of all that the archive holds."""
    found: dict[str, dict[Trial, dict[str, dt.datetime]]] = defaultdict(lambda: defaultdict(dict))
    for chunk in in_chunks(sessions):
        rows = ServedSlate.objects.filter(shop=shop, session_id__in=chunk, versions__has_key="trials").order_by()
        for name, session, at, versions in rows.values_list("recommendation_id", "session_id", "at", "versions"):
            for rule, mark, held in versions["trials"]:
                found[session][rule, mark, bool(held)][name] = at
    return found


def _told(shop: Shop, sessions: Iterable[str]) -> Mapping[tuple[str, int], list[_Event]]:
    """(session, code) -> its clicks, or purchases, as the archive has them."""
    found: dict[tuple[str, int], list[_Event]] = defaultdict(list)
    for chunk in in_chunks(sessions):
        rows = ArchivedEvent.objects.filter(
            session__shop=shop, session__session_id__in=chunk, code__in=(CLICK, BOUGHT)
        ).order_by()
        for session, code, name, at, data in rows.values_list("session__session_id", "code", "event_id", "at", "data"):
            found[session, code].append(_Event(name, at, (data or {}).get("recommendation_id", "")))
    return found
