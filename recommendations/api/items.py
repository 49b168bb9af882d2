"""Items over the API: reading, many written at once, and what one sells for, which shoppers see within seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import transaction
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import permissions, serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.importing import item_fields, write_items
from clusters.models import Item
from clusters.signals import catalogue_changed
from personas.events import MAX_ID, EventError
from personas.models import ApiKey, Shop
from recommendations.api.access import MayManage, ShopRows
from recommendations.api.hot import ProblemOut
from recommendations.api.rows import ItemSerializer

MOST_ITEMS = 500
"""Items in one request; they are written together."""

OFFER = ("price", "regular_price", "cost", "in_stock")
"""What may be changed of an item by itself."""


# Shapes


class OfferOut(ItemSerializer):
    class Meta:
        model = Item
        fields = ("item_id", *OFFER, "updated_at")


class OfferIn(serializers.Serializer[Any]):
    price = serializers.FloatField(required=False, allow_null=True, help_text="0 to 1e9; null where it isn't known.")
    regular_price = serializers.FloatField(required=False, allow_null=True, help_text="Before any reduction.")
    cost = serializers.FloatField(required=False, allow_null=True, help_text="What the shop pays; rules on margins need it.")
    in_stock = serializers.BooleanField(required=False, help_text="Or a number of pieces: above 0 is in stock.")


class ItemIn(OfferIn):
    item_id = serializers.CharField(help_text="The shop's own id.")
    title = serializers.CharField(required=False)
    description = serializers.CharField(required=False)
    category = serializers.CharField(required=False)
    brand = serializers.CharField(required=False)
    colour = serializers.CharField(required=False)
    currency = serializers.CharField(required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    image_url = serializers.CharField(required=False)


class ItemsIn(serializers.Serializer[Any]):
    items = ItemIn(many=True, help_text=f"1 to {MOST_ITEMS}; every field that isn't named here is kept as an attribute.")


class WrittenOut(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="Place in the request, from 0.")
    item_id = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(choices=("added", "updated", "rejected"))
    field = serializers.CharField(required=False)
    reason = serializers.CharField(required=False)


class ItemsOut(serializers.Serializer[Any]):
    added = serializers.IntegerField()
    updated = serializers.IntegerField()
    rejected = serializers.IntegerField()
    results = WrittenOut(many=True)


# Calls


class MayWrite(MayManage):
    """As `MayManage`; of staff, writing many asks for both "add" and "change"."""

    rights: ClassVar = {"create": ("add", "change")}

    def has_permission(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, ApiKey) or request.method in permissions.SAFE_METHODS:
            return super().has_permission(request, view)
        user = request.user
        rights = [f"clusters.{right}_item" for right in self.rights.get(view.action, ("change",))]
        return bool(user and user.is_active and user.is_staff and user.has_perms(rights))


class Items(ShopRows):
    """What the shop sells. What is written is recommended, and priced, so within seconds, without a training."""

    queryset = Item.objects.order_by("pk")
    serializer_class = ItemSerializer
    permission_classes = (MayWrite,)
    lookup_field = "external_id"
    lookup_value_regex = "[^/\\0]+"
    filterset_fields = ("category", "brand", "colour", "in_stock")

    @extend_schema(
        request=OfferIn,
        responses={200: OfferOut, "4XX": ProblemOut},
        examples=[OpenApiExample("Sold out", value={"in_stock": False}, request_only=True)],
    )
    def partial_update(self, request: Request, external_id: str) -> Response:
        """Change what an item sells for, and whether it can be bought. Fields that aren't given stay."""
        given = request.data
        if not isinstance(given, Mapping) or not given:
            raise ValidationError({"body": [f"must be an object with some of {', '.join(OFFER)}"]})
        if strange := [name for name in given if name not in OFFER]:
            raise ValidationError({str(strange[0])[:60]: [f"can't be changed here; {', '.join(OFFER)} can"]})
        if "in_stock" in given and given["in_stock"] in (None, ""):
            raise ValidationError({"in_stock": ["must be true, false, or a number of pieces"]})
        try:
            fields = item_fields({"item_id": external_id, **given})
        except EventError as error:
            raise ValidationError({error.field: [error.reason]}) from error
        item = self.get_object()
        fields.pop("external_id")
        for name, value in fields.items():
            setattr(item, name, value)
        item.save(update_fields=[*fields, "updated_at"])
        return Response(OfferOut(item).data)

    @extend_schema(
        request=ItemsIn,
        responses={200: ItemsOut, "4XX": ProblemOut},
        examples=[
            OpenApiExample(
                "One new item",
                value={
                    "items": [{"item_id": "sku-9", "title": "Blue skirt", "category": "skirts", "price": 19.9, "in_stock": 4}]
                },
                request_only=True,
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Add items, or change those that there are: fields that aren't given stay. A bad one is rejected, the others kept."""
        shop = self.written_shop()
        body = request.data
        given = body.get("items") if isinstance(body, Mapping) else None
        if not isinstance(given, list) or not 1 <= len(given) <= MOST_ITEMS:
            raise ValidationError({"items": [f"must be a list of 1 to {MOST_ITEMS} items"]})
        results, fields = _read(given)
        with transaction.atomic():
            Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
            known = Item.objects.ids_of(shop, fields)
            write_items(shop, fields.values())
        if fields:
            catalogue_changed.send(sender=Item, shop_id=shop.pk)
        for result in results:
            result.setdefault("status", "updated" if result["item_id"] in known else "added")
        counts = {name: sum(result["status"] == name for result in results) for name in ("added", "updated", "rejected")}
        return Response({**counts, "results": results})


def _read(given: list[Any]) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """What became of each, those that may be written without a status; and the fields of these by external id."""
    results: list[dict[str, Any]] = []
    fields: dict[str, dict[str, Any]] = {}
    for index, raw in enumerate(given):
        try:
            if not isinstance(raw, dict):
                raise EventError("item", "must be an object")
            values = item_fields(raw)
            if values["external_id"] in fields:
                raise EventError("item_id", f"{values['external_id'][:40]!r} is given twice")
        except EventError as error:
            named = raw.get("item_id") if isinstance(raw, dict) else ""
            item_id = named[:MAX_ID].encode(errors="backslashreplace").decode() if isinstance(named, str) else ""
            told = {"status": "rejected", "field": error.field, "reason": error.reason}
            results.append({"index": index, "item_id": item_id, **told})
            continue
        fields[values["external_id"]] = values
        results.append({"index": index, "item_id": values["external_id"]})
    return results, fields
