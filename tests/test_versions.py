"""Drafts and versions of personas: what is published is what training reads, and nothing is lost on the way."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from personas import versions
from personas.archetypes import PersonaError
from personas.models import Archetype, Attribute, PersonaVersion, Shop
from personas.versions import VersionError, difference

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    shop = Shop.objects.create(slug="s", name="S")
    Attribute.objects.create(shop=shop, key="luxury", name="Luxury", weights={"price_tier=top": 1.0})
    Attribute.objects.create(shop=shop, key="budget", name="Budget", weights={"price_tier=low": 1})
    Archetype.objects.create(shop=shop, key="seeker", name="Luxury Seeker", icon="gem", mix={"luxury": 1.0}, place=0)
    Archetype.objects.create(shop=shop, key="saver", name="Saver", icon="tag", mix={"budget": 1.0}, place=1)
    return shop


def test_first_use_publishes_the_draft_and_later_edits_wait(shop: Shop) -> None:
    attributes, archetypes = versions.current(shop)
    assert [a.key for a in attributes] == ["luxury", "budget"]
    assert [(a.id, a.key) for a in archetypes] == list(Archetype.objects.order_by("place").values_list("pk", "key"))
    Attribute.objects.filter(key="luxury").update(weights={"price_tier=top": 0.8})
    assert versions.current(shop) == (attributes, archetypes), "training reads what was published"
    assert versions.unpublished(shop) == ["Luxury: price_tier=top 1 → 0.8."]
    user = get_user_model().objects.create(username="ann")
    version = versions.publish(shop, note=" Less top. ", user=user)
    assert (version.number, version.note, version.published_by, version.restores) == (2, "Less top.", user, None)
    assert versions.current(shop)[0][0].weights == {"price_tier=top": 0.8}
    assert versions.unpublished(shop) == []


def test_a_first_version_that_a_merchandiser_was_quicker_to_publish_is_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the training's look and its own attempt."""
    looks = iter([None])
    published = versions.publish(shop, note="By hand.")
    monkeypatch.setattr(versions, "latest", lambda shop, latest=versions.latest: next(looks, latest(shop)))
    assert versions.in_force(shop) == published


def test_a_shop_without_archetypes_has_no_version(shop: Shop) -> None:
    Archetype.objects.all().delete()
    assert versions.current(shop) == ((), ())
    assert not PersonaVersion.objects.exists()


def test_an_unchanged_draft_is_refused(shop: Shop) -> None:
    versions.publish(shop)
    with pytest.raises(VersionError, match="same as version 1"):
        versions.publish(shop)
    Attribute.objects.filter(key="budget").update(weights={"price_tier=low": 1.0})  # was the integer
    with pytest.raises(VersionError, match="same as version 1"):
        versions.publish(shop)
    with pytest.raises(VersionError, match="301 characters"):
        versions.publish(shop, note="x" * 301)


@pytest.mark.parametrize(
    ("mix", "reason"),
    [({}, "needs an attribute"), ({"gone": 1.0}, "'gone' is not an attribute's key"), ({"luxury": -1.0}, "from 0 to 1")],
)
def test_a_draft_that_can_not_be_taken_is_refused_by_field(shop: Shop, mix: dict[str, float], reason: str) -> None:
    versions.publish(shop)
    Archetype.objects.filter(key="seeker").update(mix=mix)
    with pytest.raises(PersonaError, match=reason) as refused:
        versions.publish(shop)
    assert refused.value.field == "archetypes[0].mix"
    assert PersonaVersion.objects.count() == 1


def test_restoring_brings_back_rows_with_their_ids(shop: Shop) -> None:
    """Oracle: the published definition itself, ids included."""
    first = versions.publish(shop)
    luxury = Attribute.objects.get(key="luxury").pk
    Archetype.objects.filter(key="seeker").delete()
    Attribute.objects.filter(key="luxury").delete()
    Attribute.objects.create(shop=shop, key="green", name="Green", weights={"colour=green": 1.0})
    Archetype.objects.create(shop=shop, key="gardener", name="Gardener", icon="leaf", mix={"green": 1.0}, place=5)
    Archetype.objects.filter(key="saver").update(name="Thrifty", place=9)
    versions.publish(shop)
    Archetype.objects.filter(key="gardener").update(name="Never published")
    third = versions.restore(shop, first.number)
    assert (third.number, third.restores, third.note) == (3, 1, "Restores version 1.")
    assert third.definition == first.definition
    assert versions.unpublished(shop) == []
    assert Attribute.objects.get(key="luxury").pk == luxury
    assert not Archetype.objects.filter(key="gardener").exists()
    assert not Attribute.objects.filter(key="green").exists()


def test_restoring_is_refused_where_it_changes_nothing_or_there_is_no_such_version(shop: Shop) -> None:
    versions.publish(shop)
    with pytest.raises(VersionError, match="no version 7"):
        versions.restore(shop, 7)
    with pytest.raises(VersionError, match="same as version 1"):
        versions.restore(shop, 1)
    Attribute.objects.filter(key="luxury").update(name="Top")
    with pytest.raises(VersionError):
        versions.restore(shop, 1)
    assert Attribute.objects.get(key="luxury").name == "Top", "a refusal leaves the draft as it was"


def test_who_is_gone_is_still_known_by_name(shop: Shop) -> None:
    seeker, saver = Archetype.objects.order_by("place")
    assert [a.name for a in versions.ever(shop).values()] == ["Luxury Seeker", "Saver"], "drafts, where nothing is published"
    versions.publish(shop)
    Archetype.objects.filter(pk=seeker.pk).delete()
    Archetype.objects.filter(pk=saver.pk).update(name="Thrifty")
    versions.publish(shop)
    new = Archetype.objects.create(shop=shop, key="new", name="New", icon="leaf", mix={"budget": 1.0})
    Archetype.objects.filter(pk=saver.pk).update(name="Draft name")
    told = {id_: a.name for id_, a in versions.ever(shop).items()}
    assert list(told.items()) == [(saver.pk, "Thrifty"), (seeker.pk, "Luxury Seeker"), (new.pk, "New")]


def test_what_was_edited_can_be_discarded(shop: Shop) -> None:
    with pytest.raises(VersionError, match="nothing to go back to"):
        versions.discard(shop)
    versions.publish(shop)
    Attribute.objects.filter(key="luxury").update(name="Top")
    Archetype.objects.filter(key="saver").delete()
    versions.discard(shop)
    assert versions.unpublished(shop) == []
    assert PersonaVersion.objects.count() == 1


def test_a_row_made_anew_under_an_old_key_keeps_its_own_id(shop: Shop) -> None:
    first = versions.publish(shop)
    old = Archetype.objects.get(key="seeker").pk
    Archetype.objects.filter(pk=old).delete()
    again = Archetype.objects.create(shop=shop, key="seeker", name="Luxury Seeker", icon="gem", mix={"luxury": 1.0}, place=0)
    versions.publish(shop)
    Archetype.objects.filter(pk=again.pk).update(name="Other")
    versions.publish(shop)
    versions.restore(shop, first.number)
    assert Archetype.objects.get(key="seeker").pk == again.pk != old


def test_versions_of_two_shops_are_their_own(shop: Shop) -> None:
    versions.publish(shop)
    other = Shop.objects.create(slug="t", name="T")
    with pytest.raises(VersionError):
        versions.restore(other, 1)
    assert versions.current(other) == ((), ())


DEFINITION: dict[str, Any] = {
    "attributes": [
        {"id": 1, "key": "a", "name": "A", "description": "", "weights": {"x=1": 1.0}, "behaviours": {}},
        {"id": 2, "key": "b", "name": "B", "description": "", "weights": {}, "behaviours": {"event=search": 0.5}},
    ],
    "archetypes": [
        {"id": 1, "key": "p", "name": "P", "icon": "tag", "colour": "#000000", "mix": {"a": 1.0}},
        {"id": 2, "key": "q", "name": "Q", "icon": "gem", "colour": "#0072B2", "mix": {"b": 1.0, "a": 0.5}},
    ],
}


def edited(*path: object, to: object = None) -> dict[str, Any]:
    definition = copy.deepcopy(DEFINITION)
    place: Any = definition
    for step in path[:-1]:
        place = place[step]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return definition


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (DEFINITION, []),
        (edited("attributes", 0, "weights", "x=1", to=0.8), ["A: x=1 1 → 0.8."]),
        (edited("attributes", 0, "weights", "x=1"), ["A: x=1 1 → not weighed."]),
        (edited("attributes", 1, "behaviours", "event=refund", to=-0.25), ["B: event=refund not weighed → −0.25."]),
        (edited("attributes", 1, "description", to="Looks"), ["B: description changed."]),
        (edited("archetypes", 0, "name", to="R"), ["P: renamed to R."]),
        (edited("archetypes", 0, "colour", to="#ffffff"), ["P: colour #000000 → #ffffff."]),
        (edited("archetypes", 1), ["Q: persona removed."]),
        (
            edited("archetypes", 0, "id", to=7),
            ["P: made anew; what was learned of the persona of that key before is not its own."],
        ),
        (edited("archetypes", to=DEFINITION["archetypes"][::-1]), ["Order of personas: Q, P."]),
    ],
)
def test_a_difference_is_told_in_a_sentence(new: dict[str, Any], told: list[str]) -> None:
    assert difference(DEFINITION, new) == told
