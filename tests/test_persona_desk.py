"""Personas on the desk: numbers are sums of the tallies, the preview is what would be served, nobody overrules unawares."""

from __future__ import annotations

import copy
import csv
import datetime as dt
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from clusters.models import ItemCluster
from personas import archetypes as definitions
from personas import versions
from personas.models import Archetype, ArchivedEvent, Attribute, PersonaVersion, Session, Shop, moment
from personas.sessions import NO_ITEM
from recommendations import daily, hourly, stories
from recommendations import engine as loop
from recommendations.desk.personas import drawing, trying, weighing
from recommendations.desk.personas.drafts import NotFittedError, drafted_engine
from recommendations.desk.personas.overview import fits, overview
from recommendations.desk.personas.portraits import portrait
from recommendations.desk.personas.rates import pairs
from recommendations.engine import Engine
from recommendations.models import Release, ServedSlate, TrainingRun
from recommendations.reading import read_session, read_sessions
from recommendations.replaying import read, stand
from recommendations.session import Request
from tests.overlay_shops import make_shop, serve
from tests.worlds import MONDAY, World, make_world, train_world

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 11, 23, 10, 30, tzinfo=dt.UTC)
TODAY = NOW.date()
DEFINITION: versions.Definition = {
    "attributes": [
        {"id": 1, "key": "skirts", "name": "Skirts", "description": "", "weights": {"category=skirts": 1.0}, "behaviours": {}},
        {"id": 2, "key": "shoes", "name": "Shoes", "description": "", "weights": {"category=shoes": 1.0}, "behaviours": {}},
        {
            "id": 3, "key": "comparer", "name": "Comparer", "description": "", "weights": {},
            "behaviours": {"novelty=return": 0.8, "novelty=repeat": 0.6},
        },
    ],
    "archetypes": [
        {
            "id": 11, "key": "dresser", "name": "Dresser", "icon": "tag", "colour": "#E69F00",
            "mix": {"skirts": 0.8, "comparer": 0.2},
        },
        {"id": 12, "key": "walker", "name": "Walker", "icon": "gem", "colour": "#56B4E9", "mix": {"shoes": 1.0}},
        {"id": 13, "key": "careful", "name": "Careful", "icon": "repeat", "colour": "#009E73", "mix": {"comparer": 1.0}},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(sessions=240)


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    attributes, archetypes = definitions.parse_personas(DEFINITION)
    return train_world(world, attributes=attributes, archetypes=archetypes)


@pytest.fixture(autouse=True)
def _alone(settings: Settings, tmp_path: Path, redis_client: redis.Redis) -> None:
    settings.RELEASES_DIR = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    trying._courses.clear()
    stories._load.cache_clear()
    stories._under.cache_clear()


def write_personas(shop: Shop) -> None:
    for a in DEFINITION["attributes"]:
        Attribute.objects.create(pk=a["id"], shop=shop, **{k: copy.deepcopy(v) for k, v in a.items() if k != "id"})
    for place, p in enumerate(DEFINITION["archetypes"]):
        Archetype.objects.create(pk=p["id"], shop=shop, place=place, **{k: copy.deepcopy(v) for k, v in p.items() if k != "id"})


@pytest.fixture
def shop(db: None) -> Shop:
    """Personas published, nothing trained."""
    shop = Shop.objects.create(slug="one", name="One")
    write_personas(shop)
    versions.publish(shop)
    return shop


@pytest.fixture
def served(db: None, engine: Engine, world: World) -> Shop:
    """A shop that is served, with the first forty sessions of its log as visits."""
    shop = make_shop(engine)
    write_personas(shop)
    version = versions.publish(shop)
    entries = [{"id": i, "share": 1 / 3, "drift": 0.1, "kept": 0.9, "drifted": False, "name": str(i)} for i in (11, 12, 13)]
    TrainingRun.objects.create(
        shop=shop, state="done", release=Release.objects.active(shop),
        report={"version": version.number, "events": len(world.log.code), "archetypes": entries},
    )  # fmt: skip
    log, ids = world.log, engine.catalogue.item_ids
    for s in range(60):
        rows = range(int(log.offsets[s]), int(log.offsets[s + 1]))
        at = [MONDAY + 5e6 + 100.0 * s + 10.0 * n for n in range(len(rows))]
        session = Session.objects.create(
            shop=shop, session_id=f"v{s}", started_at=moment(at[0]), last_at=moment(at[-1]), events=len(rows), origin="live"
        )
        ArchivedEvent.objects.bulk_create(
            ArchivedEvent(
                shop=shop, session=session, event_id=f"e{s}-{n}", code=int(log.code[row]), at=moment(at[n]),
                received_at=moment(at[n]), place=n, origin="live",
                item=int(ids[log.position[row]]) if log.position[row] != NO_ITEM else 0,
            )
            for n, row in enumerate(rows)
        )  # fmt: skip
    return shop


def page(name: str, *args: object) -> str:
    return reverse(f"admin:personas_{name}", args=args)


def count_hours(shop: Shop, rows: list[tuple[dt.datetime, int, float]], origin: str = "live") -> None:
    tally: hourly.Tally = defaultdict(float)
    for at, persona, much in rows:
        tally[hourly.hour_of(at), "persona", str(persona), origin] += much
    hourly.add(shop, tally)


def count_days(shop: Shop, rows: list[tuple[str, str, float]], day: dt.date = TODAY, origin: str = "live") -> None:
    tally: daily.Tally = defaultdict(float)
    for measure, key, much in rows:
        tally[day, measure, key, origin] += much
    daily.add(shop, tally)


# Numbers


def test_shares_are_of_the_period_and_of_the_last_hours(shop: Shop) -> None:
    day = dt.timedelta(days=1)
    count_hours(shop, [(NOW, 11, 30), (NOW, 12, 10), (NOW - 3 * day, 12, 60), (NOW - 40 * day, 13, 900), (NOW, 999, 50)])
    count_hours(shop, [(NOW, 13, 500)], origin="import")
    dresser, walker, careful = overview(shop, 28, NOW)
    assert [t.share for t in (dresser, walker, careful)] == pytest.approx([0.3, 0.7, 0.0])
    assert [t.now for t in (dresser, walker, careful)] == pytest.approx([0.75, 0.25, 0.0])
    assert walker.by_day[-4] == pytest.approx(1.0)
    assert [(p.name, p.percent) for p in dresser.parts] == [("Skirts", pytest.approx(80)), ("Comparer", pytest.approx(20))]
    assert dresser.since_fit == "Not fitted yet."


def test_rates_are_by_persona_and_cluster_with_wilsons_interval(shop: Shop) -> None:
    picnic = ItemCluster.objects.create(shop=shop, name="Picnic")
    count_days(
        shop,
        [
            ("pair_seen", f"11:{picnic.pk}", 300), ("pair_click", f"11:{picnic.pk}", 60), ("pair_seen", "11:9999", 10),
            ("pair_seen", f"12:{picnic.pk}", 700), ("pair_click", f"12:{picnic.pk}", 14), ("pair_seen", "0:5", 5),
        ],
    )  # fmt: skip
    count_days(shop, [("pair_seen", f"11:{picnic.pk}", 5000)], day=TODAY - dt.timedelta(days=28))
    told = pairs(shop, TODAY - dt.timedelta(days=27), TODAY)
    first, gone = told.reached(11, {picnic.pk: "Picnic"})
    assert (first.name, first.rate.seen, first.rate.clicked) == ("Picnic", 300, 60)
    assert (first.rate.low, first.rate.high) == pytest.approx((15.86, 24.90), abs=0.02), "Wilson 1927, of 60 in 300"
    assert (first.everybody.seen, first.everybody.clicked) == (1000, 74)
    assert first.told == "better than with everybody"
    assert (gone.name, gone.told) == ("", "too few to tell")
    assert told.reached(12, {})[0].told == "worse than with everybody"


def test_a_portrait_sets_a_persona_beside_the_average(shop: Shop) -> None:
    count_days(
        shop,
        [
            ("category", "11:skirts", 80), ("category", "11:shoes", 20), ("category", "12:shoes", 100),
            ("tier", "11:3", 100), ("tier", "12:0", 100), ("hour", "11:9", 12), ("country", "11:Poland", 40),
        ],
    )  # fmt: skip
    category, tier, hour, country = portrait(shop, 11, TODAY, TODAY)
    assert [(v.name, v.share, v.average) for v in category.values] == [("skirts", 0.8, 0.4), ("shoes", 0.2, 0.6)]
    assert (
        category.sentence
        == "More often than the shop on average: skirts (80 against 40 in 100); less often: shoes (20 against 60 in 100)."
    )
    assert [v.share for v in tier.values] == [0.0, 0.0, 0.0, 1.0]
    assert "the top prices (100 against 50 in 100)" in tier.sentence
    assert (hour.known, len(hour.values)) == (False, 24)
    assert hour.sentence == "Not known yet: 12 of the 30 events that it takes to tell."
    assert country.sentence == "Much as everybody."


def test_the_course_of_fits_is_that_of_their_reports(shop: Shop) -> None:
    for n, share in enumerate((0.2, 0.3)):
        entry = {"id": 11, "share": share, "drift": 0.2, "kept": None if n else 0.5, "drifted": not n}
        TrainingRun.objects.create(shop=shop, kind="personas", state="done", report={"version": n + 1, "archetypes": [entry]})
    TrainingRun.objects.create(shop=shop, kind="clusters", state="done", report={})
    TrainingRun.objects.create(shop=shop, kind="personas", state="failed")
    assert [(f.version, f.share, f.kept, f.drifted) for f in fits(shop, 11)] == [(1, 0.2, 0.5, True), (2, 0.3, None, False)]
    assert fits(shop, 12) == []


# Pages


def test_pages_say_what_to_do_where_there_is_nothing(merchandiser: Client, shop: Shop) -> None:
    text = merchandiser.get(page("archetype_overview")).content.decode()
    assert "Nobody was here in the last 28 days" in text
    assert "Nothing was reported as seen in these days." in text
    text = merchandiser.get(page("archetype_portrait", 11)).content.decode()
    assert "No event of these days was taken for Dresser." in text
    assert "It was not fitted yet" in text
    text = merchandiser.post(page("archetype_try", 11), {"mix-name": "skirts", "mix-weight": "1"}).content.decode()
    assert "train it first" in text
    Shop.objects.create(slug="empty", name="Empty")
    assert "has no personas yet" in merchandiser.get(page("archetype_overview"), {"shop": "empty"}).content.decode()
    assert merchandiser.get(page("archetype_overview"), {"shop": "none"}).status_code == 404
    assert merchandiser.get(page("archetype_portrait", 999)).status_code == 404
    assert merchandiser.get(page("archetype_portrait", 11), {"csv": "passwords"}).status_code == 404


def test_files_have_what_the_pages_have(merchandiser: Client, shop: Shop) -> None:
    now = timezone.now().astimezone(dt.UTC)
    count_hours(shop, [(now, 11, 3), (now, 12, 1)])
    count_days(shop, [("pair_seen", "11:5", 10), ("category", "11:=cmd()", 40)], day=now.date())

    def file(at: str, **query: str) -> list[dict[str, str]]:
        answer = merchandiser.get(at, query)
        assert answer["Content-Type"].startswith("text/csv")
        return list(csv.DictReader(b"".join(answer).decode("utf-8-sig").splitlines()))  # type: ignore[arg-type]

    rows = file(page("archetype_overview"), csv="1")
    assert [(r["key"], r["share in 28 days"]) for r in rows] == [("dresser", "0.75"), ("walker", "0.25"), ("careful", "0.0")]
    assert file(page("archetype_portrait", 11), csv="clusters")[0]["seen"] == "10.0"
    assert file(page("archetype_portrait", 11), csv="share", days="7")[-1]["share"] == "0.75"
    assert file(page("archetype_portrait", 11), csv="who")[0]["value"] == "'=cmd()", "no formula for a spreadsheet to run"
    assert file(page("archetype_portrait", 11), csv="fits") == []


def test_queries_do_not_grow_with_personas_clusters_or_days(
    merchandiser: Client, shop: Shop, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    now = timezone.now().astimezone(dt.UTC)
    for at in (page("archetype_overview"), page("archetype_portrait", 11)):
        merchandiser.get(at)
    for n in range(20):
        cluster = ItemCluster.objects.create(shop=shop, name=f"Cluster {n}")
        count_days(shop, [("pair_seen", f"{p}:{cluster.pk}", 10) for p in (11, 12, 13)], day=now.date())
        Archetype.objects.create(pk=100 + n, shop=shop, key=f"more{n}", name=f"More {n}", mix={"skirts": 1.0})
        count_hours(shop, [(now - dt.timedelta(days=n), 11, 5)])
    with django_assert_max_num_queries(22):
        merchandiser.get(page("archetype_overview"))
    with django_assert_max_num_queries(22):
        merchandiser.get(page("archetype_portrait", 11), {"days": "90"})
    with django_assert_max_num_queries(18):
        merchandiser.get(page("archetype_weights", 11))


def test_who_may_look_tries_and_does_not_save(viewer: Client, shop: Shop) -> None:
    for at in (page("archetype_overview"), page("archetype_portrait", 11), page("archetype_weights", 11)):
        assert viewer.get(at).status_code == 200
    assert viewer.get(page("personaversion_compare", shop.pk)).status_code == 200
    assert "saving is for merchandisers" in viewer.get(page("archetype_weights", 11)).content.decode()
    assert viewer.post(page("archetype_weights", 11), {"mix-name": "skirts", "mix-weight": "1"}).status_code == 403
    assert viewer.post(page("archetype_try", 11), {"mix-name": "skirts", "mix-weight": "1"}).status_code == 200
    assert viewer.get(page("archetype_try", 11)).status_code == 405
    get_user_model().objects.get(username="viewer").user_permissions.clear()
    for at in (page("archetype_overview"), page("archetype_portrait", 11), page("archetype_weights", 11)):
        assert viewer.get(at).status_code == 403
    assert viewer.post(page("archetype_try", 11)).status_code == 403
    assert viewer.get(page("personaversion_compare", shop.pk)).status_code == 403


# Weights


def form_of(shop: Shop, **changed: dict[str, float]) -> dict[str, Any]:
    """What the page of Dresser posts. changed : lists of weights by field, `_` for `-`."""
    sent: dict[str, Any] = {}
    for part in weighing.parts_of(Archetype.objects.select_related("shop").get(pk=11)):
        values = changed.get(part.field.replace("-", "_"), part.values)
        sent[f"{part.field}-name"], sent[f"{part.field}-weight"] = list(values), [str(v) for v in values.values()]
        sent[f"seen-{part.field}"] = part.seen
    return sent


def test_weights_are_saved_to_the_draft_alone(merchandiser: Client, shop: Shop) -> None:
    at = page("archetype_weights", 11)
    text = merchandiser.get(at).content.decode()
    assert "Also in Careful: what you change here changes it too." in " ".join(text.split())
    sent = form_of(shop, mix={"skirts": 0.5, "comparer": 0.5}, weights_1={"category=skirts": 0.7, "colour=red": -0.2})
    assert "Saved to the draft" in merchandiser.post(at, sent, follow=True).content.decode()
    assert Archetype.objects.get(pk=11).mix == {"skirts": 0.5, "comparer": 0.5}
    assert Attribute.objects.get(pk=1).weights == {"category=skirts": 0.7, "colour=red": -0.2}
    assert Attribute.objects.get(pk=3).behaviours == DEFINITION["attributes"][2]["behaviours"]
    assert PersonaVersion.objects.count() == 1, "nothing is published"
    assert "Nothing was changed." in merchandiser.post(at, form_of(shop), follow=True).content.decode()


def test_what_somebody_else_changed_meanwhile_is_told_and_kept_until_one_saves_again(merchandiser: Client, shop: Shop) -> None:
    at = page("archetype_weights", 11)
    sent = form_of(shop, mix={"skirts": 1.0, "comparer": 1.0})
    Archetype.objects.filter(pk=11).update(mix={"skirts": 0.3, "comparer": 0.2})
    Attribute.objects.filter(pk=1).update(weights={"category=skirts": 0.9})
    answer = merchandiser.post(at, sent)
    text = answer.content.decode()
    assert "Not saved. Mix of attributes was changed meanwhile: now skirts 0.3, comparer 0.2." in text
    assert Archetype.objects.get(pk=11).mix == {"skirts": 0.3, "comparer": 0.2}
    seen = {f"seen-{part.field}": value for part, _, value in answer.context["parts"]}
    assert "Saved to the draft" in merchandiser.post(at, {**sent, **seen}, follow=True).content.decode()
    assert Archetype.objects.get(pk=11).mix == {"skirts": 1.0, "comparer": 1.0}


def test_a_list_that_was_left_alone_keeps_what_somebody_else_set(merchandiser: Client, shop: Shop) -> None:
    sent = form_of(shop, mix={"skirts": 1.0, "comparer": 1.0})
    Attribute.objects.filter(pk=1).update(weights={"category=skirts": 0.9})
    merchandiser.post(page("archetype_weights", 11), sent)
    assert Attribute.objects.get(pk=1).weights == {"category=skirts": 0.9}
    assert Archetype.objects.get(pk=11).mix == {"skirts": 1.0, "comparer": 1.0}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"mix": {"gone": 1.0}}, "is not an attribute"),
        ({"mix": {}}, "needs an attribute with a positive weight"),
        ({"weights_1": {"category=skirts": 3.0}}, "is not between"),
        ({"behaviours_3": {"event=jump": 1.0}}, "is not one of"),
    ],
)
def test_weights_that_can_not_be_taken_are_told_when_tried_and_when_saved(
    merchandiser: Client, served: Shop, changed: dict[str, dict[str, float]], told: str
) -> None:
    before = versions.draft(served)
    sent = form_of(served, **changed)
    tried = merchandiser.post(page("archetype_try", 11), sent)
    assert (tried.status_code, told in tried.content.decode()) == (200, True)
    assert told in merchandiser.post(page("archetype_weights", 11), sent).content.decode()
    assert versions.draft(served) == before


# The preview


def drawn_to_skirts() -> versions.Definition:
    """The draft with Walker drawn to skirts too."""
    definition = copy.deepcopy(DEFINITION)
    definition["attributes"][1]["weights"]["category=skirts"] = 0.8
    return definition


def skirtless() -> versions.Definition:
    """The draft with Walker drawn to skirts, and Dresser away from them."""
    definition = drawn_to_skirts()
    definition["attributes"][0]["weights"] = {"category=skirts": -0.8, "category=blouses": 1.0}
    return definition


def test_the_preview_is_what_publishing_it_without_a_fit_would_serve(served: Shop) -> None:
    """Oracle: the draft's engine as a release of its own, saved, loaded, and each archived visit observed by it one by one."""
    definition = skirtless()
    visits = trying.sample(served)
    tried = trying.try_out(served, definition, visits)
    assert len(tried.trials) == len(visits) > 20
    assert any(t.taken_anew for t in tried.trials), "the change is one that shows"
    serve(served, drafted_engine(served, definition))
    now = stories.engine_of(served)
    for trial in tried.trials:
        past = read_session(tried.sessions[trial.place], most=trying.TOLD)
        state = stand(now, stories.past_of(now, served, past))
        assert dict(zip(now.personas.ids, read(now, state.persona).belief, strict=True)) == pytest.approx(trial.after.belief)
        request = Request(now=state.last_at, count=8, explore=0.0, reasons=False)
        _, slate = loop.recommend(now, state, request, loop.generator(state))
        assert tuple(item.item for item in slate.items) == trial.after.items


def test_visits_that_show_the_descriptor_turn_to_the_persona_and_none_of_them_away(served: Shop, engine: Engine) -> None:
    """Oracle: which items each visit looked at, by the rows."""
    tried = trying.try_out(served, drawn_to_skirts(), trying.sample(served))
    skirts = set(engine.catalogue.item_ids[engine.catalogue.category == engine.catalogue.categories.index("skirts")].tolist())
    more, less = [], []
    for trial in tried.trials:
        events = ArchivedEvent.objects.filter(session=tried.sessions[trial.place]).values_list("item", flat=True)
        change = trial.after.belief[12] - trial.before.belief[12]
        share = sum(item in skirts for item in events) / len(events)
        if share >= 0.75:
            more.append(change)
        elif share == 0:
            less.append(change)
    assert len(more) >= 2
    assert len(less) >= 2
    assert min(more) > 0
    assert max(less) <= 1e-9


def test_an_unchanged_draft_changes_nothing_and_the_course_of_today_is_reckoned_once(
    served: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits = trying.sample(served)
    first = trying.try_out(served, DEFINITION, visits)
    assert all(t.moved == 0 and not t.came and not t.taken_anew for t in first.trials)
    monkeypatch.setattr(trying, "read_sessions", lambda *args, **kwargs: pytest.fail("read again"))
    assert trying.try_out(served, skirtless(), visits).trials
    assert len(trying._courses) == 1


def test_visits_are_the_latest_with_enough_events_and_of_this_shop_alone(served: Shop) -> None:
    other = Shop.objects.create(slug="other", name="Other")
    strange = Session.objects.create(shop=other, session_id="x", started_at=NOW, last_at=NOW, events=9)
    chosen = trying.sample(served)
    rows = Session.objects.filter(shop=served, events__gte=trying.LEAST_EVENTS).order_by("-last_at")[: trying.MOST]
    assert chosen == [s.pk for s in rows]
    tried = trying.try_out(served, DEFINITION, [strange.pk, *chosen[:3]])
    assert {s.pk for s in tried.sessions} == set(chosen[:3])
    Session.objects.filter(shop=served).update(origin="test")
    assert trying.sample(served) == []
    Session.objects.filter(shop=served).update(origin="import")
    assert trying.sample(served) == chosen


def test_sessions_read_together_are_as_each_read_alone(served: Shop) -> None:
    session = Session.objects.get(shop=served, session_id="v3")
    items = [{"item": 1, "cluster": 2}]
    for n in (0.0, 15.0, 9_000.0):
        at = moment(session.started_at.timestamp() + n)
        ServedSlate.objects.create(shop=served, session_id="v3", recommendation_id=f"r{n}", at=at, context="home", items=items)
    sessions = list(Session.objects.filter(shop=served).select_related("shopper").order_by("pk")[:10])
    assert read_sessions(sessions, most=4) == [read_session(s, most=4) for s in sessions]


def test_a_page_of_the_preview_tells_how_many_change(merchandiser: Client, served: Shop) -> None:
    visits = trying.sample(served)
    tried = trying.try_out(served, skirtless(), visits)
    # The page of Dresser counts what else the draft changes, too.
    for row in skirtless()["attributes"]:
        Attribute.objects.filter(pk=row["id"]).update(weights=row["weights"])
    sent = {**form_of(served), "visits": ",".join(map(str, visits))}
    text = " ".join(merchandiser.post(page("archetype_try", 11), sent).content.decode().split())
    assert f"{sum(t.taken_anew for t in tried.trials)} of {len(visits)} visits" in text
    assert "item" in text
    assert Release.objects.filter(shop=served).count() == 1, "a preview writes nothing"
    nobody = merchandiser.post(page("archetype_try", 11), {**form_of(served), "visits": "no,1e9,-3"}).content.decode()
    assert "No visit has enough events" in nobody


def test_a_release_of_other_personas_says_so(served: Shop) -> None:
    versions.draft(served)
    Archetype.objects.create(pk=100, shop=served, key="new", name="New", mix={"skirts": 1.0})
    versions.publish(served)
    TrainingRun.objects.update(report={})
    with pytest.raises(NotFittedError, match="fitted to other personas"):
        drafted_engine(served)


# Versions


def test_two_versions_are_compared_in_words_and_weights(merchandiser: Client, shop: Shop) -> None:
    Attribute.objects.filter(pk=1).update(weights={"category=skirts": 0.5, "colour=red": -1.0})
    versions.publish(shop)
    Archetype.objects.filter(pk=12).update(mix={"shoes": 1.0, "comparer": 0.25})
    at = page("personaversion_compare", shop.pk)
    text = " ".join(merchandiser.get(at, {"from": "1", "to": "2"}).content.decode().split())
    assert "2 differences: from version 1 to version 2" in text
    assert "Skirts: category=skirts 1 → 0.5." in text
    assert "Go back to version 1" in text
    assert "Go back to version 2" not in text, "it is in force"
    answer = merchandiser.get(at)
    assert [(w.of, w.name, w.before, w.after) for w in answer.context["found"].weights] == [("Walker", "Comparer", None, 0.25)]
    assert "from version 2 to the draft" in answer.content.decode()
    assert "There is no such version" in merchandiser.get(at, {"from": "7"}).content.decode()
    rows = list(csv.reader(b"".join(merchandiser.get(at, {"from": "1", "to": "2", "csv": "1"})).decode("utf-8-sig").splitlines()))  # type: ignore[arg-type]
    assert rows[1:] == [["Skirts", "category=skirts", "1.0", "0.5"], ["Skirts", "colour=red", "", "-1.0"]]


def test_a_shop_without_a_version_has_nothing_to_compare(merchandiser: Client, db: None) -> None:
    shop = Shop.objects.create(slug="two", name="Two")
    assert "is published yet" in merchandiser.get(page("personaversion_compare", shop.pk)).content.decode()
    assert merchandiser.get(page("personaversion_compare", 999)).status_code == 404


def test_what_a_persona_keeps_is_drawn_within_a_whole() -> None:
    """A fit may show a little more than all of what it is named by; the axis ends at 100 %, and so does what is told."""
    drawn = drawing.fits([1.08, -0.1], [0.1, 0.2], ["1", "2"], sentence="Fits")
    assert ">100 %<" in drawn
    assert "108" not in drawn
    assert "-10" not in drawn
