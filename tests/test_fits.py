"""A fit of the personas alone: what it changes in the release, what it leaves, and what it tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clusters.models import Item
from personas import versions
from personas.models import Archetype, ArchivedEvent, Attribute, EventRow, Session, Shop, moment
from recommendations import engine as loop
from recommendations import releases
from recommendations.models import Release, TrainingRun
from recommendations.releases import ReleaseError
from recommendations.run_records import TrainingBusy
from recommendations.runs import fit_personas, is_behind, train_shop
from tests.worlds import CATEGORIES, MONDAY, World, event, make_world

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(sessions=200)


@pytest.fixture
def shop(world: World, settings: Any, tmp_path: Path) -> Shop:
    """The world as rows, with a persona for each of the first three categories."""
    settings.RELEASES_DIR = tmp_path
    shop = Shop.objects.create(slug="boutique", name="Boutique")
    c = world.catalogue
    Item.objects.bulk_create(
        Item(
            shop=shop,
            external_id=c.external_ids[i],
            title=c.titles[i],
            category=c.categories[c.category[i]],
            colour=c.colours[c.colour[i]],
            price=round(float(c.price[i]), 2),
        )
        for i in range(len(c))
    )
    add_sessions(shop, world, range(150))
    for name in CATEGORIES[:3]:
        Attribute.objects.create(shop=shop, key=name, name=name.title(), weights={f"category={name}": 1.0})
        Archetype.objects.create(shop=shop, key=name, name=f"{name.title()} fan", icon="tag", mix={name: 1.0})
    return shop


def add_sessions(shop: Shop, world: World, which: range) -> None:
    items = dict(Item.objects.filter(shop=shop).values_list("external_id", "pk"))
    slices = list(world.log.slices())
    for s in which:
        rows, key = slices[s], world.log.keys[s]
        at = world.log.at[rows]
        session = Session.objects.create(shop=shop, session_id=key, started_at=moment(at[0]), last_at=moment(at[-1]))
        skus = [world.catalogue.external_ids[p] for p in world.log.position[rows].tolist()]
        codes = world.log.code[rows].tolist()
        ArchivedEvent.objects.append(
            shop=shop,
            origin="import",
            rows=[
                EventRow(session.pk, f"{key}-{n}", code, moment(t), moment(t), n, items[sku], sku)
                for n, (code, t, sku) in enumerate(zip(codes, at, skus, strict=True))
            ],
        )


def test_a_fit_changes_personas_alone(shop: Shop, world: World) -> None:
    """Oracle: components' versions, which are hashes of their content."""
    first = train_shop(shop)
    add_sessions(shop, world, range(150, 200))
    told: list[float] = []
    second = fit_personas(shop, progress=lambda stage, share: told.append(share))
    assert told == sorted(told)
    assert (second.number, second.state) == (first.number + 1, Release.State.ACTIVE)
    kept = {kind for kind in first.components if first.components[kind] == second.components[kind]}
    assert kept == {"catalogue", "ranker", "policy", "searches"}
    before, after = (releases.load_engine(releases.root_of(shop), release.components, release="x") for release in (first, second))
    assert after.clusters.cluster_ids.tolist() == before.clusters.cluster_ids.tolist()
    assert np.array_equal(after.clusters.of_item.toarray(), before.clusters.of_item.toarray())
    assert not np.array_equal(after.clusters.persona_lift, before.clusters.persona_lift)
    run = TrainingRun.objects.get(kind=TrainingRun.Kind.PERSONAS)
    assert (run.state, run.release, run.progress) == (TrainingRun.State.DONE, second, 1.0)


def test_both_trainings_report_what_the_fit_made_of_each_persona(shop: Shop, world: World) -> None:
    first = train_shop(shop)
    trained = TrainingRun.objects.get(release=first).report
    assert [entry["key"] for entry in trained["archetypes"]] == list(CATEGORIES[:3])
    assert sum(entry["share"] for entry in trained["archetypes"]) == pytest.approx(1.0, abs=1e-3)
    assert {entry["share_before"] for entry in trained["archetypes"]} == {None}
    assert trained["version"] == 1
    add_sessions(shop, world, range(150, 200))
    fit_personas(shop)
    report = TrainingRun.objects.get(kind=TrainingRun.Kind.PERSONAS).report
    assert report == json.loads(json.dumps(report, allow_nan=False))
    assert [e["share_before"] for e in report["archetypes"]] == [e["share"] for e in trained["archetypes"]]
    assert (report["sessions"], report["events"]) == (200, ArchivedEvent.objects.count())
    engine = releases.load_active(shop.pk)
    for k, entry in enumerate(report["archetypes"]):
        for moved in entry["moved"]:
            f = loop.personas.FACTORS.index(moved["factor"])
            v = loop.personas.value_names(engine.personas.facts)[f].index(moved["value"])
            assert moved["after"] == pytest.approx(np.exp(engine.personas.hmm.log_emission[f][k, v]), abs=1e-4)


def test_training_reads_what_was_published_and_not_the_draft(shop: Shop) -> None:
    train_shop(shop)
    Archetype.objects.filter(key="skirts").update(name="Renamed")
    fit_personas(shop)
    assert "Renamed" not in releases.load_active(shop.pk).personas.archetype_names
    versions.publish(shop)
    fit_personas(shop)
    assert "Renamed" in releases.load_active(shop.pk).personas.archetype_names


def test_a_session_in_progress_goes_on_when_a_persona_came_and_another_went(shop: Shop) -> None:
    train_shop(shop)
    old = releases.load_active(shop.pk)
    state = loop.start(old, shop=shop.pk, session="s", at=MONDAY)
    for n in range(3):
        state = loop.observe(old, state, event(n, item=int(old.catalogue.item_ids[n])))
    gone = Archetype.objects.get(key="trousers")
    new = Archetype.objects.create(shop=shop, key="shoes", name="Shoe fan", icon="star", mix={"skirts": 1.0}, place=3)
    before = dict(zip(state.persona.archetypes, np.exp(state.persona.log_belief), strict=True))
    Archetype.objects.filter(pk=gone.pk).delete()
    versions.publish(shop)
    fit_personas(shop)
    report = TrainingRun.objects.get(kind=TrainingRun.Kind.PERSONAS).report
    assert report["removed"] == ["Trousers fan"]
    engine = releases.load_active(shop.pk)
    moved = loop.rebase(old, engine, state)
    after = dict(zip(moved.persona.archetypes, np.exp(moved.persona.log_belief), strict=True))
    assert set(after) == set(engine.personas.ids)
    assert new.pk in after
    assert gone.pk not in after
    assert sum(after.values()) == pytest.approx(1.0)
    one, two = (Archetype.objects.get(key=key).pk for key in ("skirts", "blouses"))
    assert after[one] / after[two] == pytest.approx(before[one] / before[two]), "what was believed of those that stay"
    assert loop.observe(engine, moved, event(9, item=int(engine.catalogue.item_ids[0]))).persona.steps == 4


def test_without_a_release_the_reason_is_told_and_recorded(shop: Shop) -> None:
    with pytest.raises(ReleaseError, match="boutique has no release whose personas could be fitted: train it first"):
        fit_personas(shop)
    run = TrainingRun.objects.get()
    assert (run.state, run.kind) == (TrainingRun.State.FAILED, TrainingRun.Kind.PERSONAS)
    assert "train it first" in run.error


def test_a_fit_never_runs_beside_a_training(shop: Shop) -> None:
    with releases.redis_client().lock(f"training:{shop.pk}", timeout=30), pytest.raises(TrainingBusy, match="under way"):
        fit_personas(shop)


def test_a_release_is_behind_after_new_events_or_a_new_version(shop: Shop, world: World) -> None:
    train_shop(shop)
    assert not is_behind(shop)
    add_sessions(shop, world, range(150, 152))
    assert is_behind(shop)
    fit_personas(shop)
    assert not is_behind(shop)
    Archetype.objects.filter(key="skirts").update(name="Renamed")
    assert not is_behind(shop), "a draft is nothing yet"
    versions.publish(shop)
    assert is_behind(shop)
    train_shop(shop)
    assert not is_behind(shop)
