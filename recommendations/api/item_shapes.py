"""What the API tells of items, and what it takes to write them: shapes, for views and for the schema."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from clusters.catalogue_writing import LISTED
from clusters.models import Item
from personas.events import MAX_ID
from recommendations.api.cluster_shapes import RejectOut
from recommendations.api.rows import ItemSerializer

MOST_ITEMS = 500
"""Items in one request of JSON; they are written together."""

OFFER = ("price", "regular_price", "cost", "in_stock")
"""What may be changed of an item by itself."""


class OfferOut(ItemSerializer):
    class Meta:
        model = Item
        fields = ("item_id", *OFFER, "currency", "updated_at")


class OfferIn(serializers.Serializer[Any]):
    price = serializers.FloatField(
        required=False, allow_null=True, min_value=0, max_value=1e9, help_text="Null where it isn't known."
    )
    regular_price = serializers.FloatField(
        required=False, allow_null=True, min_value=0, max_value=1e9, help_text="Before any reduction."
    )
    cost = serializers.FloatField(
        required=False, allow_null=True, min_value=0, max_value=1e9, help_text="What the shop pays; rules on margins need it."
    )
    in_stock = serializers.BooleanField(required=False, help_text="Or a number of pieces: above 0 is in stock.")


class FactsIn(OfferIn):
    title = serializers.CharField(required=False, allow_blank=True, max_length=300)
    description = serializers.CharField(required=False, allow_blank=True, max_length=20_000)
    category = serializers.CharField(required=False, allow_blank=True, max_length=120)
    brand = serializers.CharField(required=False, allow_blank=True, max_length=120)
    colour = serializers.CharField(required=False, allow_blank=True, max_length=60)
    currency = serializers.CharField(required=False, allow_blank=True, help_text="ISO 4217; the shop's if left out.")
    item_group_id = serializers.CharField(
        required=False, allow_blank=True, max_length=MAX_ID, help_text="Common to the variants of one product: a slate shows one."
    )
    tags = serializers.ListField(child=serializers.CharField(max_length=60), required=False, max_length=50)
    image_url = serializers.CharField(required=False, allow_blank=True, max_length=500)


class ItemIn(FactsIn):
    item_id = serializers.CharField(max_length=MAX_ID, help_text="The shop's own id.")


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


class BulkOut(serializers.Serializer[Any]):
    read = serializers.IntegerField(help_text="Records.")
    added = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField(help_text="They were so already, and were not written again.")
    rejected = serializers.IntegerField()
    rejects = RejectOut(many=True, help_text=f"The first {LISTED:,} of them.")
    broke = serializers.CharField(required=False, help_text="Why what was sent ended early; what came before was taken.")


class ItemIdsIn(serializers.Serializer[Any]):
    items = serializers.ListField(
        child=serializers.CharField(max_length=MAX_ID), min_length=1, max_length=MOST_ITEMS, help_text="The shop's own ids."
    )


class DeletedOut(serializers.Serializer[Any]):
    deleted = serializers.IntegerField()
    unknown = serializers.ListField(child=serializers.CharField(), help_text="Ids that the catalogue lacked.")
