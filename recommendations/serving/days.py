"""What records of the activity log add to the days of `recommendations.daily`, as they are archived."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from clusters.models import Item
from personas.events import ITEM_ACTIONS, NAMES, UNKNOWN_ITEM
from personas.models import ArchivedEvent, Origin, Shop, in_chunks, moment
from recommendations import daily
from recommendations.daily import ITEM_MEASURE, Brought, Tally, count_report, term_of
from recommendations.serving.activity import LoggedEvent, Record

CUTS_S = 600.0
"""Seconds for which a shop's price tiers are taken as they were: they move as slowly as a range of goods does."""

Cuts = Mapping[str, Sequence[float]]
"""Category -> the prices at which its second, third and fourth quarter begin; as `clusters.catalogue.price_tiers` has them."""

_cuts: dict[tuple[int, object], tuple[float, Cuts]] = {}


def count(shop: Shop, events: Sequence[tuple[Record, LoggedEvent]], slates: Mapping[str, Brought]) -> None:
    """Add what is new to its days. Whoever calls holds the shop's lock, within a transaction.

    slates : recommendation id -> what its items were brought by, of those that the events name.
    """
    tally: Tally = defaultdict(float)
    facts = _facts(shop, {item for _, event in events if NAMES[event.code] in ITEM_ACTIONS for item in event.items})
    for record, event in events:
        at, origin, name = moment(event.at), record.origin, NAMES[event.code]
        day = at.date()
        shared: Counter[tuple[str, str]] = Counter({("hour", str(at.hour)): 1})
        if country := record.context.get("country", ""):
            shared["country", country] = 1
        if name == "search" and (term := term_of(event.query)):
            tally[day, "search", term, origin] += 1
        if measure := ITEM_MEASURE.get(name):
            for item in event.items:
                if item != UNKNOWN_ITEM:
                    tally[day, measure, str(item), origin] += 1
                    category, tier = facts.get(item, ("", ""))
                    if category:
                        shared["category", category] += 1
                    if tier:
                        shared["tier", tier] += 1
        for (measure, key), times in shared.items():
            for persona, share in record.belief.items():
                tally[day, measure, f"{persona}:{key}", origin] += share * times
        if brought := slates.get(event.recommendation_id):
            count_report(tally, day, origin, event.code, event.items, brought)
    _count_led(shop, events, tally)
    daily.add(shop, tally)


def _count_led(shop: Shop, events: Sequence[tuple[Record, LoggedEvent]], tally: Tally) -> None:
    """Searches that led to one of these events, which are archived by now, as the searches before them are."""
    looks = {(record.session, event.event_id): event.at for record, event in events if event.code in daily.LOOKS}
    if not looks:
        return
    since = moment(min(looks.values())) - daily.LED_WITHIN
    for chunk in in_chunks({session for session, _ in looks}):
        rows = ArchivedEvent.objects.filter(at__gte=since).exclude(origin=Origin.TEST)
        theirs = rows.filter(session__shop=shop, session__session_id__in=chunk, code=daily.SEARCH)
        searched = set(theirs.values_list("session_id", flat=True).order_by())
        if not searched:
            continue
        for led in daily.led_on(rows.filter(session__in=searched), "session__session_id"):
            if led.by in looks:
                tally[led.day, "search_led", led.term, led.origin] += 1


def _facts(shop: Shop, items: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Item id -> category, and price tier "0" to "3"; "" where unknown."""
    found: dict[int, tuple[str, str]] = {}
    cuts = _cuts_of(shop) if items else {}
    for chunk in in_chunks(items):
        rows = Item.objects.filter(shop=shop, pk__in=chunk).order_by()
        for pk, category, price in rows.values_list("pk", "category", "price"):
            of = cuts.get(category)
            found[pk] = (category, str(bisect_left(of, float(price))) if price is not None and of else "")
    return found


def _cuts_of(shop: Shop) -> Cuts:
    name, now = (shop.pk, shop.created_at), time.monotonic()
    until, cuts = _cuts.get(name, (0.0, {}))
    if now >= until:
        prices: dict[str, list[float]] = defaultdict(list)
        rows = Item.objects.filter(shop=shop, price__isnull=False).order_by()
        for category, price in rows.values_list("category", "price").iterator(chunk_size=5_000):
            prices[category].append(float(price or 0.0))
        cuts = {category: np.quantile(of, (0.25, 0.5, 0.75)).tolist() for category, of in prices.items()}
        _cuts[name] = (now + CUTS_S, cuts)
    return cuts
