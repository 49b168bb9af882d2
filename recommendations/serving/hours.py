"""What records of the activity log add, as they are archived, to the hours of `hourly` and the days of `daily`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from personas.events import CODE, NAMES
from personas.models import ArchivedEvent, Shop, moment
from recommendations import hourly
from recommendations.daily import slates_of
from recommendations.hourly import Tally, hour_of
from recommendations.serving import days, rule_trials
from recommendations.serving.activity import LoggedDecision, LoggedEvent, LoggedSlate, Record


class News(NamedTuple):
    """What of a batch of records wasn't in the archive before, each beside its record.

    silent : ids of the sessions that had no event yet: the first one begins the visit.
    bought : ids of the sessions that had bought something.
    """

    silent: Collection[str]
    bought: Collection[str]
    events: Sequence[tuple[Record, LoggedEvent]]
    slates: Sequence[tuple[Record, LoggedSlate]]


def bought_before(sessions: Mapping[str, int], records: Iterable[Record]) -> set[str]:
    """Ids of the sessions (`sessions` : id -> key) that buy something in these records, and had before, by the archive."""
    buying = {record.session for record in records if any(event.code == CODE["purchase"] for event in record.events)}
    if not buying:
        return set()
    rows = ArchivedEvent.objects.filter(session__in=[sessions[name] for name in buying], code=CODE["purchase"]).order_by()
    return set(rows.values_list("session__session_id", flat=True))


def count(shop: Shop, news: News) -> None:
    """Add what is new to its hours and days. The caller holds the shop's lock, in a transaction, and has written the slates."""
    tally: Tally = defaultdict(float)
    first: dict[tuple[str, str], tuple[float, str]] = {}
    for record, event in news.events:
        this = (event.at, record.origin)
        if record.session in news.silent:
            first["session", record.session] = min(first.get(("session", record.session), this), this)
        if event.code == CODE["purchase"] and record.session not in news.bought:
            first["buyer", record.session] = min(first.get(("buyer", record.session), this), this)
    for (measure, _), (at, origin) in first.items():
        tally[hour_of(moment(at)), measure, "", origin] += 1
    for record, slate in news.slates:
        tally[hour_of(moment(slate.at)), "slate", slate.context, record.origin] += 1
    slates = slates_of(shop, {event.recommendation_id for _, event in news.events if event.recommendation_id})
    _count_events(news.events, {name: context for name, (context, _) in slates.items()}, tally)
    hourly.add(shop, tally)
    days.count(shop, news.events, {name: brought for name, (_, brought) in slates.items()})
    rule_trials.count(shop, news.events, news.slates)


def _count_events(events: Sequence[tuple[Record, LoggedEvent]], contexts: Mapping[str, str], tally: Tally) -> None:
    fresh = {(record.session, event.event_id) for record, event in events}
    for record, event in events:
        hour, origin = hour_of(moment(event.at)), record.origin
        tally[hour, "event", NAMES[event.code], origin] += 1
        for persona, share in record.belief.items():
            tally[hour, "persona", str(persona), origin] += share
        if event.code == CODE["purchase"]:
            tally[hour, "order", "", origin] += 1
            worth = event.value if event.value is not None else (event.price or 0.0) * event.quantity
            if worth:
                tally[hour, "revenue", "", origin] += worth
        context = contexts.get(event.recommendation_id) if event.recommendation_id else None
        if context is not None and event.code == CODE["view_item_list"]:
            tally[hour, "seen", context, origin] += len(event.items)
        elif context is not None and event.code == CODE["select_item"]:
            tally[hour, "click", context, origin] += 1
    for record, decision in _decisions({id(record): record for record, _ in events}.values()):
        if (record.session, decision.event_id) in fresh:
            tally[hour_of(moment(decision.at)), "decision", decision.action, record.origin] += 1


def _decisions(records: Iterable[Record]) -> Iterable[tuple[Record, LoggedDecision]]:
    return ((record, decision) for record in records for decision in record.decisions)
