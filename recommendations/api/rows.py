"""Read-only views of a shop's rows: shops, releases; and the shape of items."""

from __future__ import annotations

from rest_framework import serializers

from clusters.models import Item
from personas.models import Shop
from recommendations.api.access import ShopRows
from recommendations.models import Release


class ShopSerializer(serializers.ModelSerializer[Shop]):
    class Meta:
        model = Shop
        fields = ("id", "slug", "name", "currency")


class ItemSerializer(serializers.ModelSerializer[Item]):
    item_id = serializers.CharField(source="external_id")

    class Meta:
        model = Item
        facts = ("title", "description", "category", "brand", "colour", "price", "currency", "tags", "image_url", "in_stock")
        fields = ("item_id", *facts)


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    class Meta:
        model = Release
        fields = ("number", "state", "components", "metrics", "notes", "created_at", "activated_at")


class Shops(ShopRows):
    queryset = Shop.objects.order_by("slug")
    serializer_class = ShopSerializer
    shop_field = "pk"


class Releases(ShopRows):
    queryset = Release.objects.order_by("-number")
    serializer_class = ReleaseSerializer
    lookup_field = "number"
    filterset_fields = ("state",)
