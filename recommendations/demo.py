"""The demo shops: rows from the data that ships with the project, and the people who look after them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path

from django.contrib.auth.models import AbstractUser, Group
from django.db import transaction

from clusters.importing import archive_events, import_catalogue, import_events
from clusters.models import Item
from clusters.search_index import build_index
from personas.archetypes import parse_personas
from personas.event_records import EventRecord
from personas.events import CODE
from personas.importing import ImportReport, Progress
from personas.models import Archetype, Attribute, Clock, Origin, Shop, Shopper
from recommendations import daily, hourly, roles
from recommendations.evaluation.simulation import SimulatedSession, World, build_world, simulate
from recommendations.evaluation.simulation.missions import (
    MissionSession,
    index_search,
    parse_occasions,
    plant,
    shop_for,
)
from recommendations.reading import read_catalogue

USER = "merchandiser"
SIMULATED_DAYS, SIMULATED_SEED = 30, 3
"""The days before set-up in which a simulated shop's sessions lie, and the seed from which its shoppers come."""

LAST_SESSION_S = 7_200.0
"""A session that starts just before the last midnight has this long to end before now."""

SIMULATED = ("sessions", "missions")
"""Kinds of simulated sessions, as `shop.json` numbers them: of shoppers led by taste, and of those who come for an occasion."""

SESSIONS_AT_ONCE = 250
"""Simulated sessions written in one transaction."""

Shown = Callable[[str], AbstractContextManager[Progress]]


class DemoError(ValueError):
    """A demo shop that can't be set up, with the reason."""


def demo_shops(root: Path) -> list[str]:
    """Slugs of the demo shops whose data is there."""
    return sorted(path.parent.name for path in root.glob("*/shop.json"))


def set_up(*, root: Path, slug: str, now: datetime, shown: Shown) -> dict[str, ImportReport]:
    """The demo shop with its personas, items and log; reports by file, none if all of it was there already.

    Interrupted, it takes up where it stopped: every step may be repeated. When the shipped data has changed, items are read
    from it again, over what was edited of the columns that it has; personas that merchandisers edited stay.
    A shop whose `shop.json` says that it is simulated ships no log: its sessions are simulated, once, up to the midnight
    before `now`, and so marked; those of shoppers on a mission likewise, where it has occasions. Raises DemoError.
    """
    folder = root / slug
    if slug not in demo_shops(root):
        raise DemoError(f"there is no demo shop {slug!r}; there are: {', '.join(demo_shops(root)) or 'none'}")
    facts = json.loads((folder / "shop.json").read_text())
    simulated = {"simulated": True} if facts.get("simulated") else {}
    shop, _ = Shop.objects.get_or_create(
        slug=slug,
        defaults={
            "name": facts["name"],
            "currency": facts["currency"],
            "demo": True,
            "settings": {**simulated, "preparing": True},
        },
    )
    fingerprint = _fingerprint(folder)
    if shop.settings.get("demo_data") == fingerprint:
        return {}
    if not shop.demo:
        raise DemoError(f"shop {slug!r} exists and is no demo shop; its data is left alone")
    write_personas(shop, folder / "personas.json")
    with shown("items") as progress:
        items = import_catalogue(shop, folder / "items.csv.gz", progress=progress)
    reports = {"items": items}
    with shown("events") as progress:
        if not simulated:
            reports["events"] = import_events(shop, folder / "events.csv.gz", now=now, progress=progress)
        elif not items.failed:
            counts = {
                name: int(facts[name]) for name in SIMULATED if facts.get(name) and not shop.settings.get(f"simulated_{name}")
            }
            if counts:
                reports["events"] = _simulate(shop, folder, counts, now=now, progress=progress)
                hourly.recount(shop)  # what comes live is counted by the archiver
                daily.recount(shop)
    for name, report in reports.items():
        if report.failed:
            raise DemoError(f"{folder / name}.csv.gz could not be imported: {report.broke or 'nothing in it could be taken'}")
    shop.settings = {**shop.settings, **simulated, "demo_data": fingerprint, "preparing": False}
    shop.save(update_fields=["settings"])
    return reports


def _fingerprint(folder: Path) -> str:
    digest = sha256()
    for name in ("items.csv.gz", "events.csv.gz", "personas.json", "occasions.json"):
        if (folder / name).exists():  # a simulated shop has no events, others have no occasions
            digest.update(sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def _simulate(shop: Shop, folder: Path, counts: Mapping[str, int], *, now: datetime, progress: Progress) -> ImportReport:
    """Simulated sessions into the archive, marked as such; their known shoppers with consent and demographics.

    counts : how many of each kind of `SIMULATED`; a shop set up before there was a kind gets it later.
    The day on which they end is kept before the first is written: taken up again on another day, an interrupted
    simulation goes on as it began.
    """
    until = int(shop.settings.get("simulated_until") or (now.timestamp() - LAST_SESSION_S) // 86_400 * 86_400)
    shop.settings = {**shop.settings, "simulated_until": until}
    shop.save(update_fields=["settings"])
    catalogue = read_catalogue(shop)
    world = build_world(catalogue, *parse_personas(json.loads((folder / "personas.json").read_text())), seed=SIMULATED_SEED)
    external = {item: name for name, item in catalogue.id_of.items()}
    sessions = chain.from_iterable(_sessions(name, shop, world, folder, count, until) for name, count in counts.items())
    total = sum(counts.values())

    def batches() -> Iterator[list[EventRecord]]:
        done = events = 0
        while part := list(islice(sessions, SESSIONS_AT_ONCE)):
            _write_shoppers(shop, {s.shopper: s.demographics for s in part if s.shopper}, now)
            records = [record for session in part for record in _records(session, external)]
            yield records
            done, events = done + len(part), events + len(records)
            progress(done, total, events)

    report = archive_events(shop, batches(), now=now, origin=Origin.SIMULATED)
    shop.settings = {**shop.settings, **{f"simulated_{name}": count for name, count in counts.items()}}
    return report


def _sessions(
    kind: str, shop: Shop, world: World, folder: Path, count: int, until: float
) -> Iterator[SimulatedSession | MissionSession]:
    """Sessions of one kind of `SIMULATED` that end by `until`. Raises DemoError on occasions that can't be served."""
    start = until - SIMULATED_DAYS * 86_400.0
    if kind == "sessions":
        yield from simulate(world, sessions=count, seed=SIMULATED_SEED, start_at=start, days=SIMULATED_DAYS)
        return
    try:
        occasions = parse_occasions(json.loads((folder / "occasions.json").read_text()))
    except (OSError, ValueError) as error:
        raise DemoError(f"{folder / 'occasions.json'}: {error}") from error
    index = build_index(Item.objects.of_shop(shop).as_documents())
    missions = plant(world.catalogue, occasions, index_search(index, world.catalogue))
    yield from shop_for(world, missions, sessions=count, seed=SIMULATED_SEED, start_at=start, days=SIMULATED_DAYS)


def _records(session: SimulatedSession | MissionSession, external: Mapping[int, str]) -> Iterator[EventRecord]:
    for event in session.events:
        yield EventRecord(
            session_id=session.key,
            user_id=session.shopper,
            event_id=event.event_id,
            code=CODE[event.name],
            at=event.at,
            place=round(event.at * 1e6),
            clock=Clock.SECOND.value,
            items=tuple(external[item] for item in event.items),
            slots=event.slots,
            price=event.price,
            quantity=event.quantity,
            dwell_s=event.dwell_s,
            query=event.query,
            recommendation_id="",
            context=session.context,
            clock_ahead=False,
        )


def _write_shoppers(shop: Shop, demographics: Mapping[str, dict[str, str]], now: datetime) -> None:
    """Simulated shoppers, who all consent; those that are there stay as they are."""
    Shopper.objects.bulk_create(
        [
            Shopper(shop=shop, external_id=key, consent_demographics=True, consent_at=now, demographics=told)
            for key, told in demographics.items()
        ],
        ignore_conflicts=True,
    )


def write_personas(shop: Shop, path: Path) -> None:
    """Attributes and archetypes of a personas file; those whose key the shop has are left as they are."""
    attributes, archetypes = parse_personas(json.loads(path.read_text()))
    with transaction.atomic():
        for attribute in attributes:
            Attribute.objects.get_or_create(
                shop=shop,
                key=attribute.key,
                defaults={
                    "name": attribute.name,
                    "description": attribute.description,
                    "weights": dict(attribute.weights),
                    "behaviours": dict(attribute.behaviours),
                },
            )
        for place, archetype in enumerate(archetypes):
            Archetype.objects.get_or_create(
                shop=shop,
                key=archetype.key,
                defaults={
                    "name": archetype.name,
                    "icon": archetype.icon,
                    "colour": archetype.colour,
                    "mix": dict(archetype.mix),
                    "place": place,
                },
            )


def merchandisers() -> Group:
    """The group, with the permissions that it needs; permissions given to it by hand stay."""
    return roles.role(roles.MERCHANDISERS)


def managers() -> Group:
    """The group of those who answer for the shop: all that merchandisers may, and letting through what isn't known yet."""
    return roles.role(roles.MANAGERS)


def merchandiser(users: type[AbstractUser], password: str) -> AbstractUser:
    """The demo's user, whose password is the one given: it is what the start of the demo prints."""
    user, _ = users._default_manager.get_or_create(username=USER, defaults={"first_name": "Demo", "last_name": "Merchandiser"})
    if not user.check_password(password):
        user.set_password(password)
    user.is_staff = user.is_active = True
    user.save()
    user.groups.add(merchandisers())
    managers()
    return user
