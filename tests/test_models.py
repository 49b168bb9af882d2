"""Models: keys, constraints, and the queries that other parts rely on."""

from __future__ import annotations

import hashlib

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from personas.models import ApiKey, Archetype, ArchivedEvent, Attribute, EventRow, Session, Shop, Shopper, moment
from recommendations.models import Release

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    return Shop.objects.create(slug="s", name="S")


def test_api_key_is_stored_as_its_hash_only(shop: Shop) -> None:
    key, plaintext = ApiKey.objects.issue(shop=shop, name="server", scopes=["read", "ingest", "read"])
    assert key.sha256 == hashlib.sha256(plaintext.encode()).hexdigest()
    assert (key.prefix, key.scopes) == (plaintext[:8], ["read", "ingest"])
    assert plaintext not in str(ApiKey.objects.values().get())
    assert len(plaintext) >= 40
    assert ApiKey.objects.issue(shop=shop, name="server", scopes=["read"])[1] != plaintext


@pytest.mark.parametrize("scopes", [[], ["root"], ["read", "root"]])
def test_api_key_refuses_unknown_scopes(shop: Shop, scopes: list[str]) -> None:
    with pytest.raises(ValidationError, match="non-empty list out of ingest, read, manage"):
        ApiKey.objects.issue(shop=shop, name="server", scopes=scopes)


def test_revoked_key_leaves_the_live_ones_and_keeps_its_date(shop: Shop) -> None:
    key, _ = ApiKey.objects.issue(shop=shop, name="server", scopes=["read"])
    key.revoke()
    first = key.revoked_at
    key.revoke()
    assert key.revoked_at == first
    assert not ApiKey.objects.live().exists()


def test_a_shop_has_one_active_release(shop: Shop) -> None:
    first = Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    Release.objects.create(shop=Shop.objects.create(slug="t", name="T"), number=1, state=Release.State.ACTIVE)
    Release.objects.create(shop=shop, number=2, state=Release.State.READY)
    with pytest.raises(IntegrityError), transaction.atomic():
        Release.objects.create(shop=shop, number=3, state=Release.State.ACTIVE)
    assert Release.objects.active(shop) == first


def test_demographics_without_consent_are_refused_by_the_database(shop: Shop) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Shopper.objects.create(shop=shop, external_id="1", demographics={"age": "45-54"})
    Shopper.objects.create(shop=shop, external_id="1", demographics={"age": "45-54"}, consent_demographics=True)


def test_append_skips_known_events_and_recount_follows(shop: Shop) -> None:
    start = moment(1_700_000_000.25)
    session = Session.objects.create(shop=shop, session_id="1", started_at=start, last_at=start)
    rows = [
        EventRow(session.pk, f"e{i}", 0, moment(1_700_000_000.25 + i), start, place=i, item=i + 1, data='{"slots": [1]}')
        for i in range(3)
    ]
    assert ArchivedEvent.objects.append(shop=shop, rows=rows[:2], origin="live") == 2
    assert ArchivedEvent.objects.append(shop=shop, rows=rows, origin="live") == 1
    Session.objects.recount([session.pk])
    session.refresh_from_db()
    assert (session.events, session.started_at, session.last_at) == (3, start, moment(1_700_000_002.25))
    event = ArchivedEvent.objects.get(event_id="e1")
    assert (event.at, event.data, event.received_at) == (moment(1_700_000_001.25), {"slots": [1]}, start)


def test_recount_leaves_sessions_without_archived_events_alone(shop: Shop) -> None:
    start = moment(1_700_000_000.0)
    session = Session.objects.create(shop=shop, session_id="1", started_at=start, last_at=start, events=5)
    Session.objects.recount([session.pk])
    session.refresh_from_db()
    assert (session.events, session.started_at) == (5, start)


def test_session_evidence_holds_demographics_only_with_consent(shop: Shop) -> None:
    asked = Shopper.objects.create(shop=shop, external_id="a", demographics={"age": "45-54"}, consent_demographics=True)
    silent = Shopper.objects.create(shop=shop, external_id="b")
    start = moment(0.0)
    for i, shopper in enumerate((asked, silent, None)):
        Session.objects.create(
            shop=shop, session_id=str(i), shopper=shopper, started_at=start, last_at=start, context={"country": "PL"}
        )
    evidence = list(Session.objects.for_training(shop))
    assert [(e.session_id, e.shopper, e.context, e.demographics) for e in evidence] == [
        ("0", "a", {"country": "PL"}, {"age": "45-54"}),
        ("1", "b", {"country": "PL"}, {}),
        ("2", "", {"country": "PL"}, {}),
    ]


def test_personas_are_checked_as_those_of_a_file_are(shop: Shop) -> None:
    attribute = Attribute(shop=shop, key="budget", name="Budget", weights={"price_tier=low": 7})
    with pytest.raises(ValidationError, match="weight 7 of 'price_tier=low' is not a number from -1 to 1"):
        attribute.full_clean()
    attribute.weights = {"price_tier=low": 1.0}
    attribute.full_clean()
    attribute.save()
    archetype = Archetype(shop=shop, key="saver", name="Saver", icon="tag", mix={"budget": 1.0})
    archetype.full_clean()
    archetype.mix = {"luxury": 1.0}
    with pytest.raises(ValidationError, match="'luxury' is not an attribute's key"):
        archetype.full_clean()
