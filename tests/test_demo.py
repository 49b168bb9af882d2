"""The demo shops: what ships can be set up, once, and an interrupted set-up is taken up again."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.utils import timezone

from clusters.models import Item
from personas.archetypes import parse_personas
from personas.events import CODE
from personas.importing import Progress
from personas.models import Archetype, ArchivedEvent, Session, Shop, Shopper, teaches
from recommendations import demo, hourly
from recommendations.learning.findings import week_start
from recommendations.management.commands import prepare_demo
from recommendations.models import AdaptationDecision, Release, TrainingRun
from recommendations.visitors import week

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHIPPED = Path(django_settings.BASE_DIR) / "data"


def silent(noun: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, size, records: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The shipped shops with the first 300 events of each; the simulated one is to have 300 sessions and 60 missions."""
    shutil.copytree(SHIPPED / "outfitter", tmp_path / "outfitter")
    facts = json.loads((SHIPPED / "outfitter" / "shop.json").read_text())
    (tmp_path / "outfitter" / "shop.json").write_text(json.dumps({**facts, "sessions": 300, "missions": 60}))
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
def test_what_is_simulated_says_so_and_lies_before_now(root: Path) -> None:
    reports = demo.set_up(root=root, slug="outfitter", now=NOW, shown=silent)
    shop = Shop.objects.get(slug="outfitter")
    assert shop.settings["simulated"] is True
    assert shop.settings["clock"] == "second"
    assert (reports["items"].added, Item.objects.exclude(regular_price=None).count()) == (2_465, 349)
    assert Session.objects.count() == 360
    assert Session.objects.filter(session_id__contains="mission").count() == 60
    assert set(Session.objects.values_list("origin", flat=True)) == {"simulated"}
    assert ArchivedEvent.objects.count() == reports["events"].added > 3_000
    assert set(ArchivedEvent.objects.values_list("origin", flat=True)) == {"simulated"}
    assert not ArchivedEvent.objects.filter(item=0).exclude(code=CODE["search"]).exists()
    counted = hourly.read(shop, NOW - timedelta(days=31), NOW)
    assert counted.of("session").sum() == 360, "the desk's first page tells of them"
    assert counted.of("event").sum() == ArchivedEvent.objects.count()
    assert not ArchivedEvent.objects.filter(at__gt=NOW).exists()
    assert not ArchivedEvent.objects.filter(at__lt=NOW - timedelta(days=31)).exists()
    assert ArchivedEvent.objects.filter(code=CODE["search"]).exclude(query="").exists()
    assert ArchivedEvent.objects.filter(code=CODE["view_item_list"], data__slots__0=0).exists()
    assert all("country" in context for context in Session.objects.values_list("context", flat=True))
    known = Shopper.objects.filter(sessions__isnull=False).distinct()
    assert 22 <= known.count() <= 36
    assert all(s.consent_demographics and s.consent_at == NOW and s.demographics["age_band"] for s in known)
    assert demo.set_up(root=root, slug="outfitter", now=NOW, shown=silent) == {}


@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
def test_a_simulation_cut_short_goes_on_as_it_began(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken up three days later, it ends with the same log as one that nothing interrupted."""

    def log() -> list[tuple[object, ...]]:
        rows = ArchivedEvent.objects.order_by("session__session_id", "place", "pk")
        return list(rows.values_list("session__session_id", "event_id", "code", "item_ref", "at", "query"))

    def cut(noun: str) -> AbstractContextManager[Progress]:
        def stop(done: int, size: int, records: int) -> None:
            if noun == "events" and done >= 100:
                raise KeyboardInterrupt

        return nullcontext(stop)

    monkeypatch.setattr(demo, "SESSIONS_AT_ONCE", 50)
    demo.set_up(root=root, slug="outfitter", now=NOW, shown=silent)
    whole = log()
    Shop.objects.all().delete()
    with pytest.raises(KeyboardInterrupt):
        demo.set_up(root=root, slug="outfitter", now=NOW, shown=cut)
    assert 0 < ArchivedEvent.objects.count() < len(whole)
    demo.set_up(root=root, slug="outfitter", now=NOW + timedelta(days=3), shown=silent)
    assert log() == whole


@pytest.mark.django_db
def test_new_data_does_not_simulate_again(root: Path) -> None:
    demo.set_up(root=root, slug="outfitter", now=NOW, shown=silent)
    before = ArchivedEvent.objects.count()
    personas = root / "outfitter" / "personas.json"
    personas.write_text(personas.read_text() + "\n")
    assert list(demo.set_up(root=root, slug="outfitter", now=NOW + timedelta(days=5), shown=silent)) == ["items"]
    assert ArchivedEvent.objects.count() == before


@pytest.mark.django_db
def test_a_shop_set_up_before_there_were_missions_gets_them_once(root: Path) -> None:
    facts = root / "outfitter" / "shop.json"
    whole = facts.read_text()
    occasions = (root / "outfitter" / "occasions.json").rename(root / "later.json")
    facts.write_text(json.dumps({**json.loads(whole), "missions": 0}))
    demo.set_up(root=root, slug="outfitter", now=NOW, shown=silent)
    before = ArchivedEvent.objects.count()
    assert Session.objects.count() == 300
    occasions.rename(root / "outfitter" / "occasions.json")
    facts.write_text(whole)
    for _ in range(2):
        demo.set_up(root=root, slug="outfitter", now=NOW + timedelta(days=5), shown=silent)
        assert Session.objects.count() == 360
    assert ArchivedEvent.objects.count() > before
    assert not ArchivedEvent.objects.filter(at__gt=NOW).exists(), "in the days of the others"


@pytest.mark.django_db
def test_occasions_that_can_not_be_read_are_named(root: Path) -> None:
    (root / "outfitter" / "occasions.json").write_text('[{"name": "trip", "things": "tent"}]')
    with pytest.raises(demo.DemoError, match=r"occasions.json: occasions\[0\].things: not a list of texts"):
        demo.set_up(root=root, slug="outfitter", now=NOW, shown=silent)


@pytest.mark.django_db
def test_broken_data_and_foreign_shops_are_refused(root: Path) -> None:
    with pytest.raises(demo.DemoError, match="no demo shop 'nope'; there are: fashion, gifts, outfitter"):
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


@pytest.fixture
def installed(root: Path, tmp_path: Path, settings: Any, data_dir: Path, redis_client: redis.Redis) -> Any:
    """Settings of an installation whose demo data is that of `root`."""
    settings.BASE_DIR = tmp_path / "base"
    shutil.copytree(root, settings.BASE_DIR / "data", ignore=shutil.ignore_patterns("base"))
    return settings


@pytest.mark.django_db(transaction=True)
def test_a_demo_is_prepared_once_up_to_its_first_release(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for bound in ("LEAST_BROUGHT", "LEAST_CHANCE"):  # of so few sessions no clusters are learned that lead anywhere
        monkeypatch.setattr(week, bound, -1.0)
    for _ in range(2):
        call_command("prepare_demo", "outfitter", visits=40)
    shop = Shop.objects.get()
    assert (shop.settings["preparing"], shop.settings["simulated_sessions"]) == (False, 300)
    assert [run.state for run in TrainingRun.objects.all()] == [TrainingRun.State.DONE], "one training, not two"
    assert Release.objects.active(shop) is not None
    lived = Session.objects.filter(shop=shop, session_id__startswith="week-")
    assert (lived.count(), {visit.origin for visit in lived}) == (40, {"simulated"})
    monday = week_start(timezone.now())
    assert {monday - timedelta(days=7) <= visit.started_at < monday for visit in lived} == {True}
    decided = AdaptationDecision.objects.filter(shop=shop)
    assert decided.exists()
    assert decided.filter(reward__isnull=False).exists(), "what followed is credited, as a worker would"
    assert set(Session.objects.learned_from(shop).filter(pk__in=lived)) == set(lived)
    shop.settings = {**shop.settings, "simulated_until": 0}
    assert not teaches(shop, "simulated", monday.timestamp()), "only what lies in the shop's history teaches"


@pytest.mark.django_db
def test_a_shop_with_real_shoppers_gets_no_simulated_week(redis_client: redis.Redis) -> None:
    Shop.objects.create(slug="real", name="Real")
    with pytest.raises(CommandError, match="the shoppers of Real are real"):
        call_command("simulate_week", "real")


@pytest.mark.django_db(transaction=True)
def test_why_a_demo_could_not_be_prepared_is_told_until_it_is_tried_again(
    installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    told: list[bool] = []

    def train(name: str, *arguments: str, **options: object) -> None:
        told.append("preparing_failed" in Shop.objects.get().settings)

    with monkeypatch.context() as broken:
        broken.setattr(demo, "import_catalogue", fail)
        with pytest.raises(CommandError, match="the disk is full"):
            call_command("prepare_demo", "outfitter")
    assert Shop.objects.get().settings["preparing_failed"] == "OSError: the disk is full"
    monkeypatch.setattr(prepare_demo, "call_command", train)
    call_command("prepare_demo", "outfitter")
    assert told == [False] * 3, "nobody is told of the last time while it is tried again"
    assert "preparing_failed" not in Shop.objects.get().settings
