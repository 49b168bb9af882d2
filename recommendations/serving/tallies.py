"""How often merchandisers' rules acted, and bounds kept the adaptation from something, by day, counted as the log is archived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date

from personas.models import ArchivedEvent, Shop, in_chunks, moment
from recommendations.learning.models import BlockedAction
from recommendations.models import MerchandisingRule, RuleTally
from recommendations.serving.activity import LoggedBlocked, LoggedSlate


def count(shop: Shop, slates: Iterable[LoggedSlate]) -> None:
    """Add what rules did in slates that were not counted yet. Whoever calls holds the shop's lock, within a transaction.

    A slate counts once for each rule that acted on it; items are those that the rule moved or put in, and those it kept out.
    """
    acted: Counter[tuple[int, date]] = Counter()
    moved: Counter[tuple[int, date]] = Counter()
    for slate in slates:
        day = moment(slate.at).date()
        acted.update((rule, day) for rule in {*slate.rules})
        moved.update((rule, day) for rule in slate.rules)
    if not acted:
        return
    there: set[int] = set()
    for chunk in in_chunks({rule for rule, _ in acted}):
        there.update(MerchandisingRule.objects.filter(shop=shop, pk__in=chunk).values_list("pk", flat=True))
    of = {key: (acted[key], moved[key]) for key in acted if key[0] in there}
    known: list[RuleTally] = []
    for chunk in in_chunks({rule for rule, _ in of}):
        rows = RuleTally.objects.filter(rule__in=chunk, day__in={day for _, day in of})
        known += [row for row in rows if (row.rule_id, row.day) in of]
    for row in known:
        slates_more, items_more = of.pop((row.rule_id, row.day))
        row.slates += slates_more
        row.items += items_more
    RuleTally.objects.bulk_update(known, ["slates", "items"], batch_size=100)
    new = [RuleTally(rule_id=rule, day=day, slates=slates, items=items) for (rule, day), (slates, items) in of.items()]
    RuleTally.objects.bulk_create(new, batch_size=500)


def count_blocked(shop: Shop, stopped: Sequence[tuple[int, str, LoggedBlocked]]) -> None:
    """Add what bounds kept visits from. Whoever calls holds the shop's lock, within a transaction, and archives the events next.

    stopped : (pk of the session, its id, what was blocked).  What comes with an event that is archived already was counted.
    """
    there: set[tuple[int, str]] = set()
    for chunk in in_chunks({pk for pk, _, _ in stopped}):
        events = {blocked.event_id for pk, _, blocked in stopped if pk in set(chunk)}
        for part in in_chunks(events):
            there.update(ArchivedEvent.objects.filter(session__in=chunk, event_id__in=part).values_list("session_id", "event_id"))
    times: Counter[tuple[date, int, str, str]] = Counter()
    last: dict[tuple[date, int, str, str], tuple[float, str]] = {}
    for pk, session, blocked in stopped:
        if (pk, blocked.event_id) not in there:
            key = (moment(blocked.at).date(), blocked.cluster, blocked.action, blocked.bound)
            times[key] += 1
            last[key] = max(last.get(key, (blocked.at, session)), (blocked.at, session))
    if not times:
        return
    where = BlockedAction.Where.SESSION
    days = {day for day, *_ in times}
    for row in BlockedAction.objects.filter(shop=shop, where=where, day__in=days, cluster__in={c for _, c, *_ in times}):
        key = (row.day, row.cluster, row.action, row.bound)
        if key in times:
            at, session = last[key]
            row.times += times.pop(key)
            if moment(at) >= row.last_at:
                row.last_at, row.example = moment(at), session
            row.save(update_fields=["times", "last_at", "example"])
    BlockedAction.objects.bulk_create(
        BlockedAction(
            shop=shop,
            day=day,
            where=where,
            cluster=cluster,
            action=action,
            bound=bound,
            times=count,
            last_at=moment(last[day, cluster, action, bound][0]),
            example=last[day, cluster, action, bound][1],
        )
        for (day, cluster, action, bound), count in times.items()
    )
