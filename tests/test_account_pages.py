"""The admin's pages of why and what-if: what they say, who may see them, and what a mistyped id is answered."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from personas.models import Session
from recommendations.engine import Engine
from recommendations.models import ServedSlate
from recommendations.serving.process import Process
from tests.test_accounts import engine as engine  # fixtures
from tests.test_accounts import here as here
from tests.test_accounts import live_through, make_shop
from tests.test_accounts import shelf as shelf

pytestmark = pytest.mark.django_db(transaction=True)


def viewer(*rights: str) -> Client:
    user = get_user_model().objects.create_user(username=f"u{len(rights)}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


async def test_pages(engine: Engine, here: Process, shelf: Any) -> None:
    await sync_to_async(make_shop)(engine)
    await live_through(here, engine)
    await sync_to_async(_seen)()


def _seen() -> None:
    slate, session = ServedSlate.objects.order_by("at").last(), Session.objects.get()
    assert slate is not None
    item = slate.items[0]["item"]
    why = reverse("admin:recommendations_servedslate_why", args=[slate.pk, item])
    what_if = reverse("admin:personas_session_what_if", args=[session.pk])
    nobody, staff = viewer(), viewer("view_servedslate", "view_session")
    assert {nobody.get(at).status_code for at in (why, what_if)} == {403}
    assert {Client().get(at).status_code for at in (why, what_if)} == {302}
    listed = staff.get(reverse("admin:recommendations_servedslate_change", args=[slate.pk])).content.decode()
    assert why in listed
    page = staff.get(why).content.decode()
    assert "What its score is made of" in page
    assert "the score is the one that was served" in page
    assert page.count("<rect ") > 6
    assert staff.get(reverse("admin:recommendations_servedslate_why", args=[slate.pk, 999_999])).status_code == 404

    assert what_if in staff.get(reverse("admin:personas_session_change", args=[session.pk])).content.decode()
    plain = staff.get(what_if).content.decode()
    assert plain.count('name="out"') == 6
    assert "At the end of the visit" not in plain
    told = staff.get(what_if, {"out": ["e0", "e1"], "item-e5": "sku-60", "add": "sku-61", "kind": "add_to_cart", "after": "e5"})
    page = told.content.decode()
    assert "At the end of the visit" in page
    assert "<b>comes</b>" in page
    assert "<b>goes</b>" in page
    assert 'value="sku-60"' in page
    mistyped = staff.get(what_if, {"add": "<none>"}).content.decode()
    assert "The catalogue has no item “&lt;none&gt;”" in mistyped
    assert "At the end of the visit" not in mistyped
    unknown = staff.get(what_if, {"out": "e99"}).content.decode()
    assert "Event: this session has no event" in unknown
    many = staff.get(what_if, {"out": [f"e{n}" for n in range(25)]}).content.decode()
    assert "Changes: there are 25, and at most 20 are taken at once." in many
    assert staff.get(reverse("admin:personas_session_what_if", args=[999_999])).status_code == 404
    slate.versions = {"release": "9"}
    slate.save()
    assert "can&#x27;t be read any more" in staff.get(why).content.decode()
    Session.objects.all().delete()
    assert "isn&#x27;t archived any more" in staff.get(why).content.decode()
