"""Personas over the API: who may edit the draft, what is refused, and how it is published."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from clusters.models import Item
from personas.models import ApiKey, Archetype, Attribute, PersonaVersion, Shop
from recommendations import demo

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    shop = Shop.objects.create(slug="one", name="One")
    Shop.objects.create(slug="two", name="Two")
    Item.objects.create(shop=shop, external_id="a", title="Blue skirt", category="skirts", price=10)
    Attribute.objects.create(shop=shop, key="budget", name="Budget", weights={"price_tier=low": 1.0})
    Archetype.objects.create(shop=shop, key="saver", name="Saver", icon="tag", mix={"budget": 1.0})
    return shop


@pytest.fixture
def key(shop: Shop) -> str:
    return ApiKey.objects.issue(shop=shop, name="m", scopes=["read", "manage"])[1]


def call(client: Client, method: str, path: str, key: str = "", body: object = None) -> HttpResponse:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    data = None if body is None else json.dumps(body)
    return client.generic(method, f"/api/v1/{path}", data or "", content_type="application/json", headers=headers)


def test_a_draft_is_made_looked_at_published_and_brought_back(client: Client, shop: Shop, key: str) -> None:
    first = call(client, "POST", "persona-versions/", key, {"note": "As we began"})
    assert (first.status_code, first.json()["number"], first.json()["note"]) == (201, 1, "As we began")
    new = {"key": "skirts", "name": "Skirts", "weights": {"category=skirts": 1.0, "colour=gold": 0.5}}
    made = call(client, "POST", "attributes/", key, new)
    assert (made.status_code, made.json()["behaviours"]) == (201, {})
    persona = {"key": "skirted", "name": "Skirt fan", "mix": {"skirts": 1.0, "budget": 0.2}}
    assert call(client, "POST", "personas/", key, persona).json()["icon"] == "user"
    renamed = call(client, "PATCH", f"attributes/{Attribute.objects.get(key='budget').pk}/", key, {"name": "Thrift"})
    assert renamed.json()["name"] == "Thrift"
    draft = call(client, "GET", "persona-versions/draft/", key).json()
    assert draft == {
        "version": 1,
        "changes": ["Skirt fan: added as persona.", "Skirts: added as attribute.", "Budget: renamed to Thrift."],
        "warnings": ["Skirts: no item has colour=gold; it counts for nothing until one does."],
        "problem": None,
    }
    assert call(client, "POST", "persona-versions/", key, {}).json()["number"] == 2
    again = call(client, "POST", "persona-versions/", key, {})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert "same as version 2" in again.json()["detail"]
    back = call(client, "POST", "persona-versions/1/restore/", key)
    assert (back.status_code, back.json()["number"], back.json()["restores"]) == (201, 3, 1)
    assert list(Archetype.objects.values_list("key", flat=True)) == ["saver"]
    listed = call(client, "GET", "persona-versions/", key).json()["results"]
    assert [row["number"] for row in listed] == [3, 2, 1]
    whole = call(client, "GET", "persona-versions/2/", key).json()
    assert [a["key"] for a in whole["definition"]["archetypes"]] == ["saver", "skirted"]


@pytest.mark.parametrize(
    ("path", "body", "field", "reason"),
    [
        ("attributes/", {"key": "a", "name": "A", "weights": {"x=1": 2}}, "weights", "not a number from -1 to 1"),
        ("attributes/", {"key": "a", "name": "A", "weights": {"x=1": "nan"}}, "weights", "not a number"),
        ("attributes/", {"key": "a", "name": "A", "weights": [1]}, "weights", "must be an object"),
        ("attributes/", {"key": "a", "name": "A", "behaviours": {"event=jump": 1}}, "behaviours", "'jump' is not one of"),
        ("attributes/", {"key": "budget", "name": "A"}, "key", "taken"),
        ("attributes/", {"key": "No Way", "name": "A"}, "key", ""),
        ("attributes/", {"key": "a"}, "name", "required"),
        ("personas/", {"key": "a", "name": "A", "mix": {}}, "mix", "positive weight"),
        ("personas/", {"key": "a", "name": "A", "mix": {"gone": 1}}, "mix", "'gone' is not an attribute's key"),
        ("personas/", {"key": "a", "name": "A", "mix": {"budget": -1}}, "mix", "from 0 to 1"),
        ("personas/", {"key": "a", "name": "A", "mix": {"budget": 1}, "colour": "red"}, "colour", ""),
        ("personas/", {"key": "saver", "name": "A", "mix": {"budget": 1}}, "key", "taken"),
        ("persona-versions/", {"note": "x" * 301}, "note", "300"),
    ],
)
def test_what_can_not_be_taken_is_told_by_field(
    client: Client, key: str, path: str, body: dict[str, Any], field: str, reason: str
) -> None:
    answer = call(client, "POST", path, key, body)
    assert (answer.status_code, answer["content-type"]) == (400, "application/problem+json"), answer.content
    assert answer.json()["field"] == field
    assert reason in answer.json()["detail"]


def test_a_form_is_refused_and_changes_nothing(client: Client, shop: Shop, key: str) -> None:
    headers = {"authorization": f"Bearer {key}"}
    form = client.post(
        "/api/v1/persona-versions/", '{"note": "x"}', content_type="application/x-www-form-urlencoded", headers=headers
    )
    assert (form.status_code, form.json()["code"]) == (415, "json_needed")
    assert not PersonaVersion.objects.filter(shop=shop).exists()


def test_keys_stay_and_what_is_in_use_stays(client: Client, shop: Shop, key: str) -> None:
    attribute, persona = Attribute.objects.get(), Archetype.objects.get()
    moved = call(client, "PATCH", f"attributes/{attribute.pk}/", key, {"key": "other"})
    assert (moved.status_code, moved.json()["field"]) == (400, "key")
    refused = call(client, "DELETE", f"attributes/{attribute.pk}/", key)
    assert (refused.status_code, refused.json()["detail"]) == (409, "Budget is part of Saver: take it out of the mix first.")
    assert call(client, "DELETE", f"personas/{persona.pk}/", key).status_code == 409, "the last one"
    Archetype.objects.create(shop=shop, key="b", name="B", mix={"budget": 1.0})
    assert call(client, "DELETE", f"personas/{persona.pk}/", key).status_code == 204


def test_a_draft_that_can_not_be_published_says_so_before_and_at_publishing(client: Client, key: str) -> None:
    Archetype.objects.update(mix={"gone": 1.0})
    draft = call(client, "GET", "persona-versions/draft/", key).json()
    assert draft["problem"] == "archetypes[0].mix: 'gone' is not an attribute's key"
    answer = call(client, "POST", "persona-versions/", key, {})
    assert (answer.status_code, answer.json()["detail"]) == (409, draft["problem"])


def test_reading_keys_and_other_shops_change_nothing(client: Client, shop: Shop, key: str) -> None:
    reading = ApiKey.objects.issue(shop=shop, name="r", scopes=["read", "ingest"])[1]
    other = ApiKey.objects.issue(shop=Shop.objects.get(slug="two"), name="o", scopes=["read", "manage"])[1]
    attribute = f"attributes/{Attribute.objects.get().pk}/"
    for method, path in (("POST", "attributes/"), ("PATCH", attribute), ("DELETE", attribute), ("POST", "persona-versions/")):
        refused = call(client, method, path, reading, {})
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    assert call(client, "GET", attribute, reading).status_code == 200
    assert call(client, "PATCH", attribute, other, {"name": "Mine"}).status_code == 404
    assert call(client, "POST", "persona-versions/1/restore/", other).status_code == 404
    empty = call(client, "POST", "persona-versions/", other, {})
    assert (empty.status_code, empty.json()["detail"]) == (409, "archetypes: is empty; at least one is needed")
    assert not PersonaVersion.objects.exists()


def test_merchandisers_publish_and_mere_viewers_do_not(client: Client, shop: Shop, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    client.force_login(demo.merchandiser(get_user_model(), "a password of the demo"))
    assert call(client, "POST", "persona-versions/").json()["field"] == "shop"
    made = call(client, "POST", "persona-versions/?shop=one")
    assert (made.status_code, made.json()["published_by"]) == (201, demo.USER)
    viewer = get_user_model().objects.create(username="viewer", is_staff=True)
    viewer.user_permissions.set(demo.merchandisers().permissions.filter(codename__startswith="view_"))
    client.force_login(viewer)
    assert call(client, "GET", "persona-versions/?shop=one").status_code == 200
    assert call(client, "POST", "persona-versions/?shop=one").status_code == 403
    assert call(client, "POST", "personas/?shop=one", body={"key": "a", "name": "A", "mix": {"budget": 1}}).status_code == 403


def test_the_schema_is_valid_and_has_the_versions() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    validate_schema(schema)
    assert {"get", "post"} <= set(schema["paths"]["/api/v1/persona-versions/"])
    assert "post" in schema["paths"]["/api/v1/persona-versions/{number}/restore/"]
    assert {"get", "put", "patch", "delete"} <= set(schema["paths"]["/api/v1/attributes/{id}/"])
