"""Releases: what is saved is what is loaded; damage is noticed; activation moves the pointer and can be undone."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from personas.models import Shop
from recommendations import engine as loop
from recommendations import releases
from recommendations.engine import Engine
from recommendations.models import Component, Release
from recommendations.releases import ReleaseError
from recommendations.session import Request
from tests.worlds import MONDAY, event, make_world, train_world

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world())


@pytest.fixture
def shop(settings: object, tmp_path: Path) -> Shop:
    settings.RELEASES_DIR = tmp_path  # type: ignore[attr-defined]
    return Shop.objects.create(slug="boutique", name="Boutique")


def slate_of(engine: Engine) -> object:
    state = loop.start(engine, shop=1, session="s", at=MONDAY)
    return loop.advance(engine, state, event(0, item=3), Request(now=MONDAY + 2e6))[1].items


def test_a_loaded_release_answers_as_the_trained_engine(shop: Shop, engine: Engine) -> None:
    release = releases.publish(shop, engine, metrics={})
    loaded = releases.load_engine(releases.root_of(shop), release.components, release=engine.release)
    assert slate_of(loaded) == slate_of(engine)


def test_arrays_are_mapped_read_only(shop: Shop, engine: Engine) -> None:
    releases.activate(releases.publish(shop, engine, metrics={}))
    loaded = releases.load_active(shop.pk)
    assert isinstance(loaded.clusters.primary.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        loaded.clusters.primary[0] = 1


def test_same_content_is_the_same_component(shop: Shop, engine: Engine) -> None:
    first, second = releases.publish(shop, engine, metrics={}), releases.publish(shop, engine, metrics={})
    assert first.components == second.components
    assert (first.number, second.number) == (1, 2)
    assert Component.objects.filter(shop=shop).count() == len(releases.KINDS)


def test_a_flipped_byte_is_refused_and_the_active_release_stays(
    shop: Shop, engine: Engine, django_capture_on_commit_callbacks: object
) -> None:
    good = releases.publish(shop, engine, metrics={})
    releases.activate(good)
    path = next((releases.root_of(shop) / "clusters" / good.components["clusters"]).glob("*.npy"))
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    again = releases.publish(shop, engine, metrics={})
    with pytest.raises(ReleaseError, match=rf"{path.name} is missing or damaged"):
        releases.activate(again)
    assert Release.objects.get(state=Release.State.ACTIVE) == good


def test_changed_description_is_refused(shop: Shop, engine: Engine) -> None:
    release = releases.publish(shop, engine, metrics={})
    path = releases.root_of(shop) / "policy" / release.components["policy"] / "component.json"
    path.write_text(path.read_text().replace("policy", "Policy", 1))
    with pytest.raises(ReleaseError, match=r"component\.json was changed"):
        releases.activate(release)


def test_a_component_of_another_version_of_the_software_is_told_apart(shop: Shop, engine: Engine) -> None:
    manifest = releases.publish(shop, engine, metrics={}).components
    root = releases.root_of(shop)
    described = json.loads((root / "policy" / manifest["policy"] / "component.json").read_text())
    del described["meta"]["floor"]
    text = json.dumps(described, sort_keys=True)
    older = hashlib.sha256(text.encode()).hexdigest()[:16]
    shutil.copytree(root / "policy" / manifest["policy"], root / "policy" / older)
    (root / "policy" / older / "component.json").write_text(text)
    with pytest.raises(ReleaseError, match=r"another version of this software.*train again"):
        releases.load_engine(root, manifest | {"policy": older}, release="1")


@pytest.mark.parametrize(
    ("without", "told"),
    [(("factors", "reduced", "topics"), "facts.reduced"), ((), "factors event, category, price_tier; this version has event")],
    ids=["of before searches and discounts", "of other factors"],
)
def test_personas_of_other_factors_are_not_misread(shop: Shop, engine: Engine, without: tuple[str, ...], told: str) -> None:
    manifest = releases.publish(shop, engine, metrics={}).components
    folder = releases.root_of(shop) / "personas"
    described = json.loads((folder / manifest["personas"] / "component.json").read_text())
    facts = described["meta"]["facts"]
    facts["factors"] = facts["factors"][:3]
    for field in without:
        facts.pop(field, None)
        described["arrays"] = {n: c for n, c in described["arrays"].items() if not n.startswith(f"facts.{field}")}
    text = json.dumps(described, sort_keys=True)
    older = hashlib.sha256(text.encode()).hexdigest()[:16]
    shutil.copytree(folder / manifest["personas"], folder / older)
    (folder / older / "component.json").write_text(text)
    with pytest.raises(ReleaseError, match=rf"another version of this software.*{told}.*train again"):
        releases.load_engine(releases.root_of(shop), manifest | {"personas": older}, release="1")


def test_components_of_different_catalogues_do_not_mix(shop: Shop, engine: Engine) -> None:
    other = train_world(make_world(seed=1))
    mine, theirs = releases.publish(shop, engine, metrics={}), releases.publish(shop, other, metrics={})
    mixed = mine.components | {"ranker": theirs.components["ranker"]}
    with pytest.raises(ReleaseError, match="belongs to catalogue"):
        releases.load_engine(releases.root_of(shop), mixed, release="3")


def test_activation_moves_the_pointer_and_rolling_back_moves_it_again(
    shop: Shop, engine: Engine, django_capture_on_commit_callbacks: object
) -> None:
    client = releases.redis_client()
    first, second = releases.publish(shop, engine, metrics={}), releases.publish(shop, engine, metrics={})
    for release in (first, second):
        with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
            releases.activate(release)
        assert client.get(releases.pointer(shop.pk)) == str(release.number).encode()
    assert Release.objects.get(state=Release.State.ACTIVE) == second
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        releases.activate(releases.earlier(shop))
    assert Release.objects.active(shop) == first
    assert client.get(releases.pointer(shop.pk)) == b"1"


def test_rolling_back_the_only_release_is_refused(shop: Shop, engine: Engine) -> None:
    releases.activate(releases.publish(shop, engine, metrics={}))
    with pytest.raises(ReleaseError, match="no earlier release"):
        releases.earlier(shop)


def test_a_shop_without_a_release_is_told_to_train(shop: Shop) -> None:
    with pytest.raises(ReleaseError, match=r"manage\.py train"):
        releases.load_active(shop.pk)


def test_pruning_keeps_what_can_still_be_rolled_back_to(shop: Shop, engine: Engine) -> None:
    other = train_world(make_world(seed=1))
    old = releases.publish(shop, other, metrics={})
    releases.activate(releases.publish(shop, engine, metrics={}))
    assert releases.prune(shop, keep=1) >= 4
    assert releases.load_active(shop.pk).catalogue is not None
    assert not (releases.root_of(shop) / "ranker" / old.components["ranker"]).exists()
