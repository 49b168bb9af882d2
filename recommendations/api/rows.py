"""Read-only views of a shop's rows: shops, releases; and the shape of items."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from clusters.models import Item
from personas.models import Shop
from recommendations.api.access import ShopRows
from recommendations.api.tagged import TaggedRows
from recommendations.models import Release


class ShopSerializer(serializers.ModelSerializer[Shop]):
    class Meta:
        model = Shop
        fields = ("id", "slug", "name", "currency")


class ItemSerializer(serializers.ModelSerializer[Item]):
    """Rows must have their shop at hand: `select_related("shop")`."""

    item_id = serializers.CharField(source="external_id")
    currency = serializers.SerializerMethodField(help_text="ISO 4217: the item's own, else the shop's.")
    attributes = serializers.DictField(child=serializers.CharField(), help_text="What else the shop told of it.")
    tags = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Item
        facts = ("title", "description", "category", "brand", "colour", "price", "regular_price", "currency", "item_group_id")
        fields = ("item_id", *facts, "tags", "attributes", "image_url", "in_stock", "updated_at")

    @extend_schema_field(serializers.CharField())
    def get_currency(self, item: Item) -> str:
        return item.currency or item.shop.currency


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    class Meta:
        model = Release
        fields = ("number", "state", "components", "metrics", "notes", "created_at", "activated_at")


class Shops(ShopRows):
    """The key's own shop; staff see all of them."""

    queryset = Shop.objects.order_by("slug")
    serializer_class = ShopSerializer
    shop_field = "pk"


class Releases(TaggedRows, ShopRows):
    """Releases of the shop, the latest first."""

    queryset = Release.objects.order_by("-number")
    serializer_class = ReleaseSerializer
    lookup_field = "number"
    filterset_fields = ("state",)
