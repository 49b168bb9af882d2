"""The merchandiser's settings of adaptation: checked at the form, acting on sessions within one version of the overlay."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.bounds import Bounds
from clusters.models import Item, ItemCluster
from personas.models import Shop
from recommendations.learning.bounds import read_bounds
from recommendations.learning.models import AdaptationSettings
from recommendations.learning.policies import rewards_of
from recommendations.overlay import NO_OVERLAY, Overlay
from recommendations.overlay_deltas import Delta, applied, between, summary
from recommendations.overlays import from_json, to_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    shop = Shop.objects.create(slug="corner", name="Corner")
    for n, category in enumerate(("swimwear", "ski wear", "hats")):
        Item.objects.create(shop=shop, external_id=f"sku-{n}", title=category, category=category)
    return shop


def given(shop: Shop, **changed: object) -> dict[str, object]:
    """What the page sends."""
    fields: dict[str, object] = {
        **{"shop": shop.pk, "enabled": "on", "consistent_outside": 2, "consistent_ignored": 3, "floor": 0.05, "margin_floor": ""},
        **{"pairs": "", "drift_budget": 0.1, "ignored_cost": 0.05, "half_life_days": 28, "least_effective_sample": 200},
        **{"goes_live_by_itself": "on", "worth_view_item": 1, "worth_add_to_wishlist": 2, "worth_add_to_cart": 3},
        **{"worth_purchase": 5, "worth_remove_from_cart": -2, "worth_refund": -3},
    }
    fields |= changed
    return {name: value for name, value in fields.items() if value is not None}


ADD = "admin:recommendations_adaptationsettings_add"
CHANGE = "admin:recommendations_adaptationsettings_change"


def test_a_shop_without_settings_has_the_defaults_of_the_code(shop: Shop) -> None:
    assert read_bounds(shop) == Bounds()
    AdaptationSettings.objects.create(shop=shop)
    assert read_bounds(shop) == Bounds(), "and so has a row that nobody changed"


def test_sizes_of_clusters_reach_sessions_through_the_overlay(shop: Shop) -> None:
    sized = {"minimum_size": 3, "maximum_size": 9}
    one = ItemCluster.objects.create(shop=shop, name="Swim", **sized)
    ItemCluster.objects.create(shop=shop, name="Plain")
    ItemCluster.objects.create(shop=shop, name="Gone", retired_at=timezone.now(), **sized)
    bounds = read_bounds(shop)
    assert bounds == Bounds(limits=((one.pk, 3, 9),))
    change = between(NO_OVERLAY, Overlay(bounds=bounds))
    assert applied(NO_OVERLAY, from_json(to_json(change)), 1).bounds == bounds


def test_what_the_page_saves_is_what_sessions_and_rewards_follow(admin_client: Client, shop: Shop) -> None:
    sent = given(
        shop, consistent_outside=4, margin_floor=0.2, pairs="swimwear | ski wear\n\nski wear|swimwear", worth_purchase=20
    )
    answer = admin_client.post(reverse(ADD), sent)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    row = AdaptationSettings.objects.get(shop=shop)
    assert read_bounds(shop) == Bounds(consistent_outside=4, margin_floor=0.2, apart=(("swimwear", "ski wear"),))
    assert row.reward_weights == {"purchase": 20}, "only what isn't the default"
    assert max(rewards_of(row).weights.values()) == 20
    page = admin_client.get(reverse(CHANGE, args=[row.pk])).content.decode()
    assert "swimwear | ski wear" in page
    admin_client.post(reverse(CHANGE, args=[row.pk]), given(shop, enabled=None))
    assert read_bounds(shop) == Bounds(adapts=False)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("pairs", "swimwear", "Line 1: write two categories"),
        ("pairs", "hats | hats", "can’t be kept apart from itself"),
        ("pairs", "hats | boots", "no category “boots”"),
        ("floor", 0.5, "less than or equal to 0.25"),
        ("consistent_ignored", 0, "greater than or equal to 1"),
        ("margin_floor", 1.5, "less than or equal to 0.99"),
        ("worth_purchase", 1e9, "less than or equal to 100"),
        ("worth_view_item", "nan", "Enter a number"),
    ],
)
def test_what_makes_no_sense_is_told_at_its_field(
    admin_client: Client, shop: Shop, field: str, value: object, reason: str
) -> None:
    answer = admin_client.post(reverse(ADD), given(shop, **{field: value}))
    assert answer.status_code == 200
    assert reason in " ".join(answer.context["adminform"].form.errors[field]).replace("'", "’")
    assert not AdaptationSettings.objects.exists()


def test_who_may_look_may_not_change(client: Client, shop: Shop) -> None:
    row = AdaptationSettings.objects.create(shop=shop)
    client.force_login(User.objects.create_user("guest", is_staff=True))
    assert client.get(reverse(CHANGE, args=[row.pk])).status_code == 403
    assert client.post(reverse(CHANGE, args=[row.pk]), given(shop)).status_code == 403


def test_bounds_are_told_with_the_overlay_and_found_again_in_its_versions() -> None:
    strict = Overlay(bounds=Bounds(consistent_outside=5, margin_floor=0.3, apart=(("a", "b"),)))
    delta = between(NO_OVERLAY, strict)
    assert summary(delta) == "how clusters adapt"
    assert applied(NO_OVERLAY, from_json(to_json(delta)), 1).bounds == strict.bounds
    assert between(strict, strict) == Delta()
    assert applied(strict, between(strict, NO_OVERLAY), 2).bounds == Bounds()
