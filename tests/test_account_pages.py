"""The admin's page of why: what it says, and who may see it. What-if is a visit's time line (`test_visits`)."""

from __future__ import annotations

import re
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


def _main(page: str) -> str:
    return page.partition("<main")[2].partition("</main>")[0]


def _seen() -> None:
    slate = ServedSlate.objects.order_by("at").last()
    assert slate is not None
    item = slate.items[0]["item"]
    why = reverse("admin:recommendations_servedslate_why", args=[slate.pk, item])
    nobody, staff = viewer(), viewer("view_servedslate", "view_session")
    assert (nobody.get(why).status_code, Client().get(why).status_code) == (403, 302)
    listed = staff.get(reverse("admin:recommendations_servedslate_change", args=[slate.pk])).content.decode()
    assert why in listed
    page = staff.get(why).content.decode()
    assert "What its score is made of" in page
    assert "the score is the one that was served" in page
    assert page.count("<rect ") > 6
    assert not [word for word in ("expert", "holds", "candidate") if word in _main(page)]
    (link,) = re.findall(r'href="(/admin/personas/session/visits/\d+/\?step=\d+)"', page)
    assert "?step=" not in _main(viewer("view_servedslate").get(why).content.decode())
    assert why in staff.get(link).content.decode(), "the step that the link leads to shows the slate"
    assert staff.get(reverse("admin:recommendations_servedslate_why", args=[slate.pk, 999_999])).status_code == 404
    slate.versions = {"release": "9"}
    slate.save()
    assert "can&#x27;t be read any more" in staff.get(why).content.decode()
    Session.objects.all().delete()
    assert "isn&#x27;t archived any more" in staff.get(why).content.decode()
