"""A shop whose archived decisions, slates and clicks are those of the planted world of `tests.test_lasting`."""

from __future__ import annotations

import datetime as dt
import json

from django.utils import timezone

from clusters.models import ClusterMembership, Item, ItemCluster
from personas.events import CODE
from personas.models import ArchivedEvent, EventRow, Session, Shop, moment
from recommendations.models import AdaptationDecision
from tests.test_lasting import MEMBERS, world

NAMES = {1: "Skirts", 2: "Blouses", 3: "Coats", 4: "Bags"}


def bare_shop(slug: str = "s") -> Shop:
    """Four clusters of ten items each, of falling weight."""
    shop = Shop.objects.create(slug=slug, name=f"Shop {slug.upper()}")
    items = [
        Item(shop=shop, external_id=str(n), title=f"{NAMES[c][:-1]} {n % 100}", category=NAMES[c], price=100, cost=60)
        for c, own in MEMBERS.items()
        for n in sorted(own)
    ]
    Item.objects.bulk_create(items)
    pk = dict(Item.objects.filter(shop=shop).values_list("external_id", "pk"))
    for c, own in MEMBERS.items():
        cluster = ItemCluster.objects.create(shop=shop, name=NAMES[c], size=len(own), share=0.25)
        ClusterMembership.objects.bulk_create(
            ClusterMembership(cluster=cluster, item_id=pk[str(n)], weight=1.0 - 0.05 * place)
            for place, n in enumerate(sorted(own))
        )
    return shop


def planted_shop(slug: str = "s", *, seed: int = 0, decisions: int = 5_000, pays: bool = True) -> Shop:
    """`bare_shop` with the world's log in its rows, of ten days ago, before the last Monday; rewards are credited."""
    shop = bare_shop(slug)
    pk = dict(Item.objects.filter(shop=shop).values_list("external_id", "pk"))
    cluster = {c: ItemCluster.objects.get(shop=shop, name=name).pk for c, name in NAMES.items()} | {0: 0}
    log, slates = world(seed, decisions=decisions, pays=pays)
    count = int(slates.session.max()) + 1
    start = (timezone.now() - dt.timedelta(days=10)).timestamp()
    Session.objects.bulk_create(
        Session(shop=shop, session_id=f"{slug}-{n}", started_at=moment(start + 10 * n), last_at=moment(start + 10 * n))
        for n in range(count)
    )
    sessions = dict(Session.objects.filter(shop=shop).values_list("session_id", "pk"))
    rows, options = [], [0, 1, 1, 2]
    for n, (session, at, a, b) in enumerate(
        zip(slates.session.tolist(), slates.at.tolist(), slates.starts[:-1].tolist(), slates.starts[1:].tolist(), strict=True)
    ):
        when, own = start + 10 * session + at, sessions[f"{slug}-{session}"]
        data = {
            "items": [pk[str(i)] for i in slates.item[a:b].tolist()],
            "slots": slates.slot[a:b].tolist(),
            "recommendation_id": f"r{n}",
        }
        rows.append(
            EventRow(own, f"seen-{n}", CODE["view_item_list"], moment(when), moment(when), 1_000 * n, data=json.dumps(data))
        )
        for place, item in enumerate(slates.item[a:b][slates.acted[a:b]].tolist(), 1):
            then = moment(when + place)
            rows.append(EventRow(own, f"look-{n}-{place}", CODE["view_item"], then, then, 1_000 * n + place, pk[str(item)]))
    ArchivedEvent.objects.append(shop=shop, rows=rows, origin="live")
    AdaptationDecision.objects.bulk_create(
        [
            AdaptationDecision(
                shop=shop,
                session_id=f"{slug}-{session}",
                event_id=f"e{n}",
                at=moment(start + 10 * session + at),
                cluster=cluster[c],
                action=("keep", "expand", "expand", "contract")[choice],
                target=cluster[targets[choice]],
                propensity=chances[choice],
                policy="planted",
                options=[[code, cluster[t], [1.0]] for code, t in zip(options, targets, strict=True)],
                choice=choice,
                propensities=chances,
                reward=reward,
            )
            for n, (session, at, c, choice, targets, chances, reward) in enumerate(
                zip(
                    *(
                        getattr(log, name).tolist()
                        for name in ("session", "at", "cluster", "choice", "target", "propensities", "reward")
                    ),
                    strict=True,
                )
            )
        ],
        batch_size=1_000,
    )
    return shop
