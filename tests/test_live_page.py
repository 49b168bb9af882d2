"""The admin's live page: for who may see visits; what fills it is tested in `test_desk_socket`."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from personas.models import Shop
from recommendations.desk.live_pages import FIGURES

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> User:
    user = User.objects.create_user("mia", is_staff=True)
    client.force_login(user)
    return user


def test_it_takes_the_right_to_see_visits(client: Client, staff: User) -> None:
    address = reverse("admin:personas_session_live")
    assert client.get(address).status_code == 403
    staff.user_permissions.add(Permission.objects.get(content_type__app_label="personas", codename="view_session"))
    assert "There is no shop yet." in client.get(address).content.decode()


def test_it_has_a_place_for_each_counter_of_the_shop_that_was_named(admin_client: Client) -> None:
    Shop.objects.create(slug="one", name="One")
    Shop.objects.create(slug="two", name="Two")
    address = reverse("admin:personas_session_live")
    page = admin_client.get(address, {"shop": "two"}).content.decode()
    assert 'data-shop="two"' in page
    assert all(f'data-counter="{name}"' in page for name, _, _ in FIGURES)
    assert 'data-shop="one"' in admin_client.get(address).content.decode()
    assert admin_client.get(address, {"shop": "three"}).status_code == 404
