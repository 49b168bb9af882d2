"""The demo shops: what ships can be set up, once, and an interrupted set-up is taken up again."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from clusters.models import Item
from personas.archetypes import parse_personas
from personas.importing import Progress
from personas.models import Archetype, ArchivedEvent, Session, Shop
from recommendations import demo

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHIPPED = Path(django_settings.BASE_DIR) / "data"


def silent(noun: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, size, records: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The shipped shops with the first 300 events of each."""
    for slug in ("fashion", "gifts"):
        shutil.copytree(SHIPPED / slug, tmp_path / slug)
        with gzip.open(SHIPPED / slug / "events.csv.gz", "rt") as source:
            (tmp_path / slug / "events.csv.gz").write_bytes(gzip.compress("".join(islice(source, 301)).encode()))
    return tmp_path


@pytest.mark.parametrize(("slug", "items", "events"), [("fashion", 217, 165_474), ("gifts", 4_695, 536_429)])
def test_shipped_data_has_the_counts_that_its_description_names(slug: str, items: int, events: int) -> None:
    for name, lines in (("items", items), ("events", events)):
        with gzip.open(SHIPPED / slug / f"{name}.csv.gz", "rb") as stream:
            assert sum(block.count(b"\n") for block in iter(lambda stream=stream: stream.read(1 << 20), b"")) == lines + 1
    attributes, archetypes = parse_personas(json.loads((SHIPPED / slug / "personas.json").read_text()))
    assert len(archetypes) >= 4
    assert {key for a in archetypes for key in a.mix} <= {a.key for a in attributes}


def test_every_gift_has_a_category_that_its_title_bears_out() -> None:
    with gzip.open(SHIPPED / "gifts" / "items.csv.gz", "rt", newline="") as stream:
        category = {row["title"]: row["category"] for row in csv.DictReader(stream)}
    assert len(set(category.values())) == 12
    assert "" not in category.values()
    assert {c for title, c in category.items() if "CHRISTMAS" in title} == {"Christmas"}
    assert category["LUNCH BAG RED RETROSPOT"] == "Bags"
    assert category["REGENCY CAKESTAND 3 TIER"] == "Kitchen and baking"


@pytest.mark.django_db
@pytest.mark.parametrize(("slug", "items"), [("fashion", 217), ("gifts", 4_695)])
def test_set_up_twice_leaves_one_shop_and_edits_alone(root: Path, slug: str, items: int) -> None:
    reports = demo.set_up(root=root, slug=slug, now=NOW, shown=silent)
    assert [(r.added, r.rejected) for r in reports.values()] == [(items, 0), (300, 0)]
    Archetype.objects.filter(place=0).update(name="First")
    shop = Shop.objects.get()
    assert demo.set_up(root=root, slug=slug, now=NOW, shown=silent) == {}
    shop.settings = {}
    shop.save()  # as if the first run had been interrupted at its end
    assert [r.added for r in demo.set_up(root=root, slug=slug, now=NOW, shown=silent).values()] == [0, 0]
    assert (Item.objects.count(), ArchivedEvent.objects.count()) == (items, 300)
    assert Archetype.objects.get(place=0).name == "First"
    assert not Session.objects.filter(context={}).exists()
    assert Shop.objects.get().demo


@pytest.mark.django_db
def test_broken_data_and_foreign_shops_are_refused(root: Path) -> None:
    with pytest.raises(demo.DemoError, match="no demo shop 'nope'; there are: fashion, gifts"):
        demo.set_up(root=root, slug="nope", now=NOW, shown=silent)
    events = root / "fashion" / "events.csv.gz"
    events.write_bytes(events.read_bytes()[:-20])
    with pytest.raises(demo.DemoError, match="breaks off"):
        demo.set_up(root=root, slug="fashion", now=NOW, shown=silent)
    Shop.objects.create(slug="gifts", name="Somebody's own")
    with pytest.raises(demo.DemoError, match="is no demo shop"):
        demo.set_up(root=root, slug="gifts", now=NOW, shown=silent)


@pytest.mark.django_db
def test_command_makes_the_login_that_the_file_holds(root: Path, tmp_path: Path, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.BASE_DIR = tmp_path / "base"
    shutil.copytree(root, settings.BASE_DIR / "data", ignore=shutil.ignore_patterns("base"))
    password = tmp_path / "login.txt"
    with pytest.raises(CommandError, match="can't read"):
        call_command("setup_demo", "fashion", "--password-file", str(password))
    for text in ("first password\n", "second password\n"):
        password.write_text(text)
        call_command("setup_demo", "fashion", "--password-file", str(password))
        user = authenticate(username=demo.USER, password=text.strip())
        assert user is not None
        assert user.has_perm("clusters.change_itemcluster")
        assert not user.has_perm("personas.view_apikey")
    assert authenticate(username=demo.USER, password="first password") is None
