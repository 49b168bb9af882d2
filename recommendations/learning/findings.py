"""What archived decisions say of lasting changes: rows in, the findings of `clusters.lasting` out."""

from __future__ import annotations

import datetime as dt
import zlib

import numpy as np
from django.db.models import Max

from clusters.lasting import Criteria, Found, find
from clusters.models import ClusterItemRule, ClusterMembership, ItemCluster
from clusters.rewards import looks
from clusters.sights import slates_of
from personas.models import Shop
from recommendations.learning.models import AdaptationSettings
from recommendations.learning.policies import rewards_of
from recommendations.learning.reading import happenings, numbered
from recommendations.models import AdaptationDecision

HALF_LIVES = 2
"""Decisions older than so many half lives are left out: they are of other tastes."""

CHANCE_A_YEAR = 0.05
"""Greatest share, in the mean, of what is let through as better in a year that may be chance.

A change is looked at week after week on decisions that are partly the same, so that rules which hold for one look, or for looks
that have nothing to do with each other (online rules such as LORD, Javanmard & Montanari 2018), don't hold. What may be chance is
spent instead, as looks at a trial spend it (Lan & DeMets 1983): a fifty-second for each week. Each look keeps to its part by
Benjamini & Hochberg's rule (1995), and of all that is let through the share of chance is at most the sum of the looks' shares,
whatever they have to do with each other: V / R <= V1 / R1 + V2 / R2 where V = V1 + V2 and R is no less than R1 and R2.
"""

WEEKS = 365.25 / 7

MOST_DECISIONS = 200_000
"""The latest that are read; more would tell little more, and take long to read."""


def find_changes(shop: Shop, given: AdaptationSettings, now: dt.datetime) -> Found:
    """What the shop's decisions of late say, of those whose reward is known.

    Decisions since the last Monday (UTC) are left for the next: a run looks at the same ones all week, however often it is run.

    Sessions are split in two by their names: one half says what is passed over, the other judges it, in every run the same.
    """
    until = week_start(now)
    since = until - dt.timedelta(days=HALF_LIVES * given.half_life_days)
    rows = AdaptationDecision.objects.filter(shop=shop, at__gte=since, at__lt=until, reward__isnull=False)
    last = rows.aggregate(last=Max("pk"))["last"]
    if last is None:
        return Found((), 0, 0, 0)
    read = numbered(rows.order_by("-pk")[:MOST_DECISIONS])
    rewards = rewards_of(given)
    happened = happenings(shop, read.sessions)
    seen = {
        n: looks(rewards, happened[name].reports, happened[name].engagements)
        for n, name in enumerate(read.sessions)
        if name in happened
    }
    return find(
        read.log,
        slates_of(seen),
        members_of(shop),
        rewards=rewards,
        criteria=criteria_of(given),
        barred=_barred(shop),
        judges=np.array([zlib.crc32(name.encode()) & 1 == 1 for name in read.sessions], dtype=bool),
    )


def week_start(now: dt.datetime) -> dt.datetime:
    """The last Monday's midnight (UTC)."""
    day = now.astimezone(dt.UTC).date()
    return dt.datetime.combine(day - dt.timedelta(days=day.weekday()), dt.time(), dt.UTC)


def criteria_of(given: AdaptationSettings) -> Criteria:
    """What it takes to be let through in one week."""
    return Criteria(least_effective_sample=given.least_effective_sample, false_discoveries=CHANCE_A_YEAR / WEEKS)


def members_of(shop: Shop) -> dict[int, set[int]]:
    """Live cluster id -> ids of its items."""
    members: dict[int, set[int]] = {pk: set() for pk in ItemCluster.objects.live().filter(shop=shop).values_list("pk", flat=True)}
    rows = ClusterMembership.objects.filter(cluster__shop=shop).order_by().values_list("cluster_id", "item_id")
    for cluster, item in rows.iterator(chunk_size=10_000):
        if cluster in members:
            members[cluster].add(item)
    return members


def _barred(shop: Shop) -> dict[int, set[int]]:
    """Cluster id -> items that a merchandiser keeps out of it."""
    barred: dict[int, set[int]] = {}
    rules = ClusterItemRule.objects.filter(cluster__shop=shop, rule=ClusterItemRule.Rule.EXCLUDED)
    for cluster, item in rules.values_list("cluster_id", "item_id"):
        barred.setdefault(cluster, set()).add(item)
    return barred
