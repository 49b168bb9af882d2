"""Run as a program by the browser tests: weeks of tallies of `fashion`'s personas, as the archiver would have counted them."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

import django
import numpy as np


def main() -> None:
    """Shares by the hour, categories, prices, countries, and what clusters' items were seen and clicked."""
    django.setup()
    from django.utils import timezone

    from clusters.models import ItemCluster
    from personas.models import Archetype, Shop
    from recommendations import daily, hourly

    rng = np.random.default_rng(5)
    shop, now = Shop.objects.get(slug="fashion"), timezone.now().astimezone(dt.UTC)
    people = list(Archetype.objects.filter(shop=shop).values_list("pk", flat=True))
    clusters = list(ItemCluster.objects.filter(shop=shop).order_by("pk").values_list("pk", flat=True)[:12])
    hours: hourly.Tally = defaultdict(float)
    days: daily.Tally = defaultdict(float)
    for back in range(40):
        at = now - dt.timedelta(days=back)
        for p, persona in enumerate(people):
            much = float(rng.poisson(40 + 10 * p))
            hours[hourly.hour_of(at), "persona", str(persona), "live"] += much
            day = at.date()
            for c, category in enumerate(("trousers", "skirts", "blouses", "sale")):
                days[day, "category", f"{persona}:{category}", "live"] += float(rng.poisson(30 if c == p % 4 else 8))
            for tier in range(4):
                days[day, "tier", f"{persona}:{tier}", "live"] += float(rng.poisson(10 + 5 * ((p + tier) % 4)))
            for hour in range(24):
                days[day, "hour", f"{persona}:{hour}", "live"] += float(rng.poisson(3 + hour % 12))
            for country in ("Poland", "Germany", "Sweden"):
                days[day, "country", f"{persona}:{country}", "live"] += float(rng.poisson(9))
            for n, cluster in enumerate(clusters):
                seen = float(rng.poisson(30))
                days[day, "pair_seen", f"{persona}:{cluster}", "live"] += seen
                days[day, "pair_click", f"{persona}:{cluster}", "live"] += float(rng.binomial(int(seen), 0.03 + 0.01 * n))
    hourly.add(shop, hours)
    daily.add(shop, days)


if __name__ == "__main__":
    main()
