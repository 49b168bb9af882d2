"""The demo shops: rows from the data that ships with the project, and the people who look after them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from django.apps import apps
from django.contrib.auth.models import AbstractUser, Group, Permission
from django.db import transaction

from clusters.importing import import_catalogue, import_events
from personas.archetypes import parse_personas
from personas.importing import ImportReport, Progress
from personas.models import Archetype, Attribute, Shop

USER = "merchandiser"
GROUP = "Merchandisers"
EDITED = ("shop", "attribute", "archetype", "item", "itemcluster", "release")
"""Models that a merchandiser may change; all others of ours may be looked at, API keys apart."""

OWNED = ("attribute", "archetype")
"""Models of which they may add and delete rows too; a persona version they may add, which is publishing."""

HIDDEN = ("apikey",)

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
    Raises DemoError.
    """
    folder = root / slug
    if slug not in demo_shops(root):
        raise DemoError(f"there is no demo shop {slug!r}; there are: {', '.join(demo_shops(root)) or 'none'}")
    facts = json.loads((folder / "shop.json").read_text())
    shop, _ = Shop.objects.get_or_create(slug=slug, defaults={"name": facts["name"], "currency": facts["currency"], "demo": True})
    fingerprint = _fingerprint(folder)
    if shop.settings.get("demo_data") == fingerprint:
        return {}
    if not shop.demo:
        raise DemoError(f"shop {slug!r} exists and is no demo shop; its data is left alone")
    write_personas(shop, folder / "personas.json")
    with shown("items") as progress:
        items = import_catalogue(shop, folder / "items.csv.gz", progress=progress)
    with shown("events") as progress:
        events = import_events(shop, folder / "events.csv.gz", now=now, progress=progress)
    reports = {"items": items, "events": events}
    for name, report in reports.items():
        if report.failed:
            raise DemoError(f"{folder / name}.csv.gz could not be imported: {report.broke or 'nothing in it could be taken'}")
    shop.settings = {**shop.settings, "demo_data": fingerprint}
    shop.save(update_fields=["settings"])
    return reports


def _fingerprint(folder: Path) -> str:
    digest = sha256()
    for name in ("items.csv.gz", "events.csv.gz", "personas.json"):
        digest.update(sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


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
    group, _ = Group.objects.get_or_create(name=GROUP)
    names = []
    for label in ("personas", "clusters", "recommendations"):
        for model in apps.get_app_config(label).get_models():
            name = model._meta.model_name or ""
            if name not in HIDDEN:
                names += [f"view_{name}", *([f"change_{name}"] if name in EDITED else [])]
    names += [*(f"{right}_{name}" for name in OWNED for right in ("add", "delete")), "add_personaversion"]
    ours = Permission.objects.filter(content_type__app_label__in=("personas", "clusters", "recommendations"))
    group.permissions.add(*ours.filter(codename__in=names))
    return group


def merchandiser(users: type[AbstractUser], password: str) -> AbstractUser:
    """The demo's user, whose password is the one given: it is what the start of the demo prints."""
    user, _ = users._default_manager.get_or_create(username=USER, defaults={"first_name": "Demo", "last_name": "Merchandiser"})
    if not user.check_password(password):
        user.set_password(password)
    user.is_staff = user.is_active = True
    user.save()
    user.groups.add(merchandisers())
    return user
