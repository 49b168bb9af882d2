"""A shop of the size that the desk must bear, made in a database of its own: each step once, so that one cut short goes on.

Run as `python -m recommendations.benchmarks.made_desk FOLDER SIZES` in an environment that names that database; tells the steps.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import django
import numpy as np

PERSONAS = "fashion"
"""The demo shop whose personas the made shop has."""

DAYS, HOURS = 60, 60 * 24
PER_SESSION = 20
SEED = 5
TRAINED_EVENTS = 60_000
"""What the release is trained from: the pages read what it holds, and its quality is measured elsewhere."""

LONG, LONG_EVENTS = "long", 500
"""The id of a visit that is very long, and its events."""

DRAFTS = 40

WORDS = (
    "red",
    "blue",
    "wool",
    "silk",
    "long",
    "short",
    "summer",
    "winter",
    "skirt",
    "dress",
    "hat",
    "shoe",
    "bag",
    "coat",
    "belt",
    "shirt",
)


def make(folder: Path, sizes: dict[str, int], say: Callable[[str], None]) -> None:
    """Whatever of the shop isn't there yet. sizes : "items", "clusters", "events", "rules", "proposals"."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    marks = folder / "made.json"
    done: dict[str, Any] = json.loads(marks.read_text()) if marks.exists() else {"sizes": sizes, "steps": []}
    if done["sizes"] != sizes:
        raise SystemExit(f"{folder} holds a shop of other sizes; name another folder, or delete it")
    for step in (_shop, _items, _release, _clusters, _sessions, _hours, _days, _lists, _served, _published, _visit, _drafts):
        name = step.__name__.removeprefix("_")
        if name not in done["steps"]:
            started = time.perf_counter()
            step(sizes)
            done["steps"].append(name)
            marks.write_text(json.dumps(done))
            say(f"{name}: {time.perf_counter() - started:.0f} s")


def _the_shop() -> Any:
    from personas.models import Shop

    return Shop.objects.get(slug="made")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def _chunks(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while chunk := list(islice(rows, size)):
        yield chunk


def _shop(sizes: dict[str, int]) -> None:
    from django.conf import settings

    from personas.models import Shop
    from recommendations.demo import write_personas

    shop, _ = Shop.objects.get_or_create(slug="made", defaults={"name": "Made"})
    write_personas(shop, settings.BASE_DIR / "data" / PERSONAS / "personas.json")


def _items(sizes: dict[str, int]) -> None:
    from clusters.models import Item
    from recommendations.benchmarks.made_logs import made_catalogue

    shop, rng, catalogue = _the_shop(), np.random.default_rng(SEED), made_catalogue(sizes["items"])
    stock, bare = rng.random(len(catalogue)) > 0.07, rng.random(len(catalogue)) < 0.02
    titles = rng.integers(0, len(WORDS), (len(catalogue), 3))
    Item.objects.filter(shop=shop).delete()
    rows = (
        Item(
            pk=int(catalogue.item_ids[i]),
            shop=shop,
            external_id=catalogue.external_ids[i],
            title=f"{' '.join(WORDS[w] for w in titles[i])} {i}",
            category="" if bare[i] else catalogue.categories[catalogue.category[i]],
            brand=f"brand {i % 400}",
            price=None if bare[i] else round(float(catalogue.price[i]), 2),
            in_stock=bool(stock[i]),
        )
        for i in range(len(catalogue))
    )
    for chunk in _chunks(rows, 2_000):
        Item.objects.bulk_create(chunk, batch_size=80)


def _release(sizes: dict[str, int]) -> None:
    from clusters.lineage import Actor
    from clusters.models import ClusterChange
    from personas import versions
    from recommendations import activation, cluster_runs, releases
    from recommendations.benchmarks.made_logs import made_log
    from recommendations.models import Release, TrainingRun
    from recommendations.reading import read_catalogue
    from recommendations.training import QUICK, train_engine

    shop = _the_shop()
    attributes, archetypes = versions.read(versions.in_force(shop))
    first = cluster_runs.first_free_id(shop)
    log = made_log(sizes["items"], TRAINED_EVENTS)
    engine = train_engine(
        log,
        read_catalogue(shop),
        attributes=attributes,
        archetypes=archetypes,
        first_cluster_id=first,
        most_examples=QUICK,
    )
    engine = replace(engine, clusters=cluster_runs.settle_ids(shop, engine.clusters, first))
    metrics = {"events": len(log.code), "sessions": len(log), "items": sizes["items"], "clusters": len(engine.clusters)}
    release = releases.publish(shop, engine, metrics=metrics)
    activation.activate(release, by=Actor(ClusterChange.Actor.TRAINING, who="made"))
    old = [
        Release(shop=shop, number=release.number + n, state="retired", metrics=metrics, components=release.components)
        for n in range(1, 61)
    ]
    Release.objects.bulk_create(old)
    TrainingRun.objects.bulk_create(
        TrainingRun(shop=shop, state="done", release=row, finished_at=_now() - dt.timedelta(days=n)) for n, row in enumerate(old)
    )


def _clusters(sizes: dict[str, int]) -> None:
    from clusters.models import ClusterChange, ClusterMembership, ClusterRelation, Item, ItemCluster

    shop, rng = _the_shop(), np.random.default_rng(SEED + 1)
    wanted = max(0, sizes["clusters"] - ItemCluster.objects.filter(shop=shop).live().count())
    kinds = ["co_visit", "search", "manual", "imported"]
    ItemCluster.objects.bulk_create(
        (
            ItemCluster(
                shop=shop,
                name=f"{WORDS[n % len(WORDS)].title()} {WORDS[(n * 7 + 3) % len(WORDS)]} {n}",
                kind=kinds[n % 4],
                size=50,
                share=1.0 / sizes["clusters"],
                locked=n % 11 == 0,
                descriptors=[{"name": f"colour={WORDS[n % 2]}", "lift": 3.1}, {"name": "category=category 3", "lift": 2.0}],
            )
            for n in range(wanted)
        ),
        batch_size=80,
    )
    items = np.array(Item.objects.filter(shop=shop).order_by("pk").values_list("pk", flat=True))
    clusters = list(ItemCluster.objects.filter(shop=shop).live().order_by("pk").values_list("pk", flat=True))
    bare = clusters[-wanted:] if wanted else []
    members = (
        (cluster, int(item), float(weight), None, "[]")
        for cluster in bare
        for item, weight in zip(
            rng.choice(items, min(50, len(items)), replace=False), np.linspace(1, 0.2, min(50, len(items))), strict=True
        )
    )
    for chunk in _chunks(members, 20_000):
        ClusterMembership.objects.put(chunk)
    ClusterRelation.objects.bulk_create(
        (
            ClusterRelation(source_id=bare[n], target_id=bare[(n + step) % len(bare)], weight=1.0 / step, overlap=0.3)
            for n in range(len(bare))
            for step in (1, 2, 5, 11)
        ),
        batch_size=150,
        ignore_conflicts=True,
    )
    now = _now()
    ClusterChange.objects.bulk_create(
        (
            ClusterChange(
                shop=shop,
                cluster_id=clusters[n % len(clusters)],
                at=now - dt.timedelta(minutes=17 * n),
                actor="merchandiser" if n % 3 else "training",
                action="items" if n % 2 else "renamed",
                summary="4 items in, 2 out",
                delta={"members": {str(int(items[n % len(items)])): [None, 0.5]}},
            )
            for n in range(5_000)
        ),
        batch_size=60,
    )


def _sessions(sizes: dict[str, int]) -> None:
    from personas.events import CODE
    from personas.models import Archetype, ArchivedEvent, EventRow, Session, Shopper

    shop, rng, now = _the_shop(), np.random.default_rng(SEED + 2), _now()
    ArchivedEvent.objects.filter(shop=shop).delete()
    Session.objects.filter(shop=shop).delete()
    sessions = sizes["events"] // PER_SESSION
    Shopper.objects.bulk_create(
        (Shopper(shop=shop, external_id=f"p{n}") for n in range(sessions // 3)), batch_size=150, ignore_conflicts=True
    )
    shoppers = list(Shopper.objects.filter(shop=shop).values_list("pk", flat=True))
    ids = list(Archetype.objects.filter(shop=shop).order_by("pk").values_list("pk", flat=True))
    back = np.sort(rng.uniform(0, DAYS * 86_400, sessions))[::-1]
    names = np.array(["view_item", "select_item", "view_item_list", "search", "add_to_cart", "purchase"])
    for first in range(0, sessions, 2_000):
        part = range(first, min(first + 2_000, sessions))
        beliefs = rng.dirichlet(np.full(len(ids), 0.5), len(part)).round(4)
        made = Session.objects.bulk_create(
            (
                Session(
                    shop=shop,
                    session_id=f"s{n}",
                    shopper_id=shoppers[n % len(shoppers)] if n % 3 == 0 else None,
                    started_at=now - dt.timedelta(seconds=back[n]),
                    last_at=now - dt.timedelta(seconds=max(0.0, back[n] - 600)),
                    events=PER_SESSION,
                    context={"country": "PL", "device": "mobile"},
                    persona={
                        "at": 0.0,
                        "version": PER_SESSION,
                        "release": "1",
                        "steps": PER_SESSION,
                        "belief": dict(zip(map(str, ids), belief.tolist(), strict=True)),
                        "shares": dict(zip(map(str, ids), belief.tolist(), strict=True)),
                    },
                )
                for n, belief in zip(part, beliefs, strict=True)
            ),
            batch_size=80,
        )
        which = rng.choice(names, (len(part), PER_SESSION), p=[0.6, 0.1, 0.15, 0.08, 0.05, 0.02])
        what = rng.integers(1, sizes["items"] + 1, (len(part), PER_SESSION))
        rows = []
        for i, session in enumerate(made):
            for k in range(PER_SESSION):
                at = session.started_at + dt.timedelta(seconds=30 * k)
                query = f"{WORDS[what[i, k] % 16]} {WORDS[what[i, k] % 11]}" if which[i, k] == "search" else ""
                item = 0 if query else int(what[i, k])
                rows.append(
                    EventRow(session.pk, f"e{k}", CODE[str(which[i, k])], at, at, k, item, f"sku-{item}", 20.0, query=query)
                )
        ArchivedEvent.objects.append(shop=shop, rows=rows, origin="live")


def _hours(sizes: dict[str, int]) -> None:
    from personas.models import Archetype
    from recommendations import hourly
    from recommendations.models import HourTally

    shop, now = _the_shop(), hourly.hour_of(_now())
    HourTally.objects.filter(shop=shop).delete()
    personas = Archetype.objects.filter(shop=shop).values_list("pk", flat=True)
    keys = [("session", ""), ("buyer", ""), ("order", ""), ("revenue", "")]
    keys += [("event", name) for name in ("view_item", "search", "add_to_cart", "purchase")]
    keys += [(measure, place) for measure in ("slate", "seen", "click") for place in ("home", "item", "cart", "search")]
    keys += [("persona", str(pk)) for pk in personas] + [("decision", name) for name in ("expand", "keep", "contract")]
    rng = np.random.default_rng(SEED + 3)
    values = rng.integers(1, 200, (HOURS, len(keys)))
    tally = {
        (now - back * hourly.HOUR, measure, key, "live"): float(values[back, k])
        for back in range(HOURS)
        for k, (measure, key) in enumerate(keys)
    }
    hourly.add(shop, tally)


def _days(sizes: dict[str, int]) -> None:
    from clusters.models import ItemCluster
    from personas.models import Archetype
    from recommendations import daily
    from recommendations.models import DayTally

    shop, rng, today = _the_shop(), np.random.default_rng(SEED + 4), _now().date()
    DayTally.objects.filter(shop=shop).delete()
    personas = list(Archetype.objects.filter(shop=shop).values_list("pk", flat=True))
    clusters = list(ItemCluster.objects.filter(shop=shop).live().values_list("pk", flat=True))
    for back in range(DAYS):
        day, tally = today - dt.timedelta(days=back), {}
        for measure, share in (("item_view", 0.1), ("item_seen", 0.1), ("item_cart", 0.02), ("item_buy", 0.01)):
            for item in rng.integers(1, sizes["items"] + 1, int(share * sizes["items"])).tolist():
                tally[day, measure, str(item), "live"] = 3.0
        for cluster in clusters:
            tally[day, "cluster_seen", str(cluster), "live"] = 40.0
            tally[day, "cluster_click", str(cluster), "live"] = 3.0
            for persona in rng.choice(personas, 3, replace=False).tolist():
                tally[day, "pair_seen", f"{persona}:{cluster}", "live"] = 13.0
                tally[day, "pair_click", f"{persona}:{cluster}", "live"] = 1.0
        for persona in personas:
            tally |= {(day, "category", f"{persona}:category {c}", "live"): 5.0 + c for c in range(30)}
            tally |= {(day, "tier", f"{persona}:{t}", "live"): 30.0 for t in range(4)}
            tally |= {(day, "country", f"{persona}:{c}", "live"): 20.0 for c in ("PL", "DE", "CZ", "GB")}
            tally |= {(day, "hour", f"{persona}:{h}", "live"): 9.0 for h in range(24)}
        for n in rng.integers(0, 5_000, 500).tolist():
            tally[day, "search", f"{WORDS[n % 16]} {WORDS[n % 13]} {n % 300 or ''}".strip(), "live"] = 2.0
        daily.add(shop, tally)


def _lists(sizes: dict[str, int]) -> None:
    from clusters.models import ItemCluster
    from recommendations.learning.models import BlockedAction, ClusterProposal
    from recommendations.models import AuditEntry, FileImport, MerchandisingRule, RuleTally

    shop, now = _the_shop(), _now()
    clusters = list(ItemCluster.objects.filter(shop=shop).live().values_list("pk", flat=True))
    rules = MerchandisingRule.objects.bulk_create(
        MerchandisingRule(
            shop=shop,
            name=f"Rule {n}",
            action=("boost", "bury", "exclude")[n % 3],
            target={"categories": [f"category {n % 30}"]} if n % 2 else {"brands": [f"brand {n}"]},
            strength=2.0 if n % 3 < 2 else None,
            starts_at=now - dt.timedelta(days=n % 20),
            ends_at=now + dt.timedelta(days=n % 9 + 1),
        )
        for n in range(sizes["rules"])
    )
    RuleTally.objects.bulk_create(
        (
            RuleTally(rule=rule, day=now.date() - dt.timedelta(days=back), slates=50, items=70)
            for rule in rules
            for back in range(30)
        ),
        batch_size=200,
    )
    ClusterProposal.objects.bulk_create(
        (
            ClusterProposal(
                shop=shop,
                cluster_id=clusters[n % len(clusters)],
                kind="add" if n % 2 else "drop",
                state="open" if n < 0.8 * sizes["proposals"] else "rejected",
                items=[{"item": n % sizes["items"] + 1, "weight": 0.5, "evidence": {}}],
                effect=0.02,
                low=-0.01,
                high=0.05,
                summary="3 items come in",
            )
            for n in range(sizes["proposals"])
        ),
        batch_size=40,
    )
    BlockedAction.objects.bulk_create(
        (
            BlockedAction(
                shop=shop,
                day=now.date() - dt.timedelta(days=n % 30),
                where="session",
                cluster=clusters[n % len(clusters)],
                action="expand",
                bound=f"bound {n // 900}",
                times=3,
                last_at=now,
            )
            for n in range(900)
        ),
        batch_size=80,
        ignore_conflicts=True,
    )
    AuditEntry.objects.bulk_create(
        (
            AuditEntry(
                shop=shop,
                at=now - dt.timedelta(minutes=5 * n),
                by="person",
                actor=f"person {n % 7}",
                action="changed",
                subject_type="recommendations.merchandisingrule",
                subject_id=str(n % 200),
                subject=f"Rule {n % 200}",
                what="Changed the strength.",
            )
            for n in range(20_000)
        ),
        batch_size=80,
    )
    FileImport.objects.bulk_create(
        FileImport(shop=shop, kind="items", state="done", name=f"{n}.csv", folder="", counts={"read": 9}) for n in range(100)
    )


def _served(sizes: dict[str, int]) -> None:
    from clusters.models import ItemCluster
    from personas.models import Archetype, Session
    from recommendations.models import AdaptationDecision, ServedSlate

    shop, rng = _the_shop(), np.random.default_rng(SEED + 6)
    clusters = list(ItemCluster.objects.filter(shop=shop).live().values_list("pk", flat=True))
    personas = list(Archetype.objects.filter(shop=shop).values_list("pk", flat=True))
    last = list(Session.objects.filter(shop=shop).order_by("-last_at").values_list("session_id", "last_at")[:20_000])
    entry = {"score": 1.0, "propensity": 0.5, "expert": "covisit"}

    def slates() -> Iterator[Any]:
        for n, (session, at) in enumerate(last):
            items = rng.integers(1, sizes["items"] + 1, 8).tolist()
            told = [
                {"item": i, "slot": k, "persona": personas[i % len(personas)], "cluster": clusters[i % len(clusters)], **entry}
                for k, i in enumerate(items)
            ]
            yield ServedSlate(
                shop=shop,
                recommendation_id=f"r{n}",
                session_id=session,
                at=at,
                context="home",
                items=told,
                versions={"release": "1"},
            )

    for chunk in _chunks(slates(), 2_000):
        ServedSlate.objects.bulk_create(chunk, batch_size=120, ignore_conflicts=True)
    decisions = (
        AdaptationDecision(
            shop=shop,
            session_id=session,
            event_id=f"e{k}",
            at=at,
            cluster=clusters[(n + k) % len(clusters)],
            action="keep",
            propensity=0.6,
            policy="p",
        )
        for n, (session, at) in enumerate(last)
        for k in range(3)
    )
    for chunk in _chunks(decisions, 2_000):
        AdaptationDecision.objects.bulk_create(chunk, batch_size=60, ignore_conflicts=True)


def _published(sizes: dict[str, int]) -> None:
    """All clusters serve, as on any shop's quiet day; those that no training made, because somebody locked them."""
    from clusters.models import ItemCluster
    from recommendations import activation, releases
    from recommendations.models import Release

    shop = _the_shop()
    engine = releases.load(Release.objects.get(shop=shop, state=Release.State.ACTIVE))
    learned = engine.clusters.learned.cluster_ids.tolist()
    ItemCluster.objects.filter(shop=shop).live().exclude(pk__in=learned).update(locked=True)
    activation.publish_edits(shop)


def _visit(sizes: dict[str, int]) -> None:
    """A visit of 500 events, the latest of the shop, with slates along its way."""
    from personas.events import CODE
    from personas.models import ArchivedEvent, EventRow, Session
    from recommendations.models import Release, ServedSlate

    shop, rng, now = _the_shop(), np.random.default_rng(SEED + 7), _now()
    release = Release.objects.get(shop=shop, state=Release.State.ACTIVE)
    Session.objects.filter(shop=shop, session_id=LONG).delete()
    last = Session.objects.filter(shop=shop).latest("last_at")
    began = now - dt.timedelta(minutes=260)
    session = Session.objects.create(
        shop=shop,
        session_id=LONG,
        started_at=began,
        last_at=now,
        events=LONG_EVENTS,
        context=last.context,
        persona=(last.persona or {}) | {"version": LONG_EVENTS, "steps": LONG_EVENTS, "release": str(release.number)},
    )
    names = rng.choice(["view_item", "add_to_cart", "search", "select_item"], LONG_EVENTS, p=[0.8, 0.05, 0.1, 0.05])
    near = (rng.integers(1, sizes["items"] + 1) + rng.integers(0, 400, LONG_EVENTS)) % sizes["items"] + 1
    rows = []
    for k, (name, item) in enumerate(zip(names.tolist(), near.tolist(), strict=True)):
        at, query = began + dt.timedelta(seconds=30 * k), f"{WORDS[k % 16]} {WORDS[k % 11]}" if name == "search" else ""
        item = 0 if query else item
        rows.append(EventRow(session.pk, f"e{k}", CODE[name], at, at, k, item, f"sku-{item}", 20.0, query=query))
    ArchivedEvent.objects.append(shop=shop, rows=rows, origin="live")
    entry = {"persona": 0, "cluster": 0, "score": 1.0, "propensity": 0.5, "expert": "covisit"}
    ServedSlate.objects.filter(shop=shop, session_id=LONG).delete()
    ServedSlate.objects.bulk_create(
        ServedSlate(
            shop=shop,
            recommendation_id=f"{LONG}-{k}",
            session_id=LONG,
            at=began + dt.timedelta(seconds=30 * k + 1),
            context="home",
            items=[{"item": i, "slot": slot, **entry} for slot, i in enumerate(rng.integers(1, sizes["items"], 8).tolist())],
            versions={"release": str(release.number)},
        )
        for k in range(0, LONG_EVENTS, 10)
    )


def _drafts(sizes: dict[str, int]) -> None:
    """Unpublished changes of many clusters."""
    from django.contrib.auth import get_user_model

    from clusters.models import ItemCluster
    from recommendations.drafts import drafting
    from recommendations.models import DraftEdit

    shop = _the_shop()
    by, _ = get_user_model().objects.get_or_create(username="root", defaults={"is_staff": True, "is_superuser": True})
    DraftEdit.objects.filter(shop=shop).delete()
    clusters = ItemCluster.objects.filter(shop=shop).live().order_by("-pk")[:DRAFTS]
    for n, cluster in enumerate(clusters):
        if n % 2:
            items = list(cluster.memberships.order_by("weight").values_list("item", flat=True)[:3])
            drafting.keep(shop, "cluster", "exclude", by=by, subject=cluster.pk, values={"items": items})
        else:
            drafting.keep(shop, "cluster", "rename", by=by, subject=cluster.pk, values={"name": f"Renamed {n}"})


if __name__ == "__main__":
    django.setup()
    make(Path(sys.argv[1]), json.loads(sys.argv[2]), lambda line: print(line, file=sys.stderr, flush=True))
