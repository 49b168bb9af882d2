"""How often merchandisers' rules acted, by day, counted as slates are archived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date

from personas.models import Shop, in_chunks, moment
from recommendations.models import MerchandisingRule, RuleTally
from recommendations.serving.activity import LoggedSlate


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
