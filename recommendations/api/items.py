"""Items over the API: reading, one or many written and deleted, and what one sells for, which shoppers see within seconds."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import authentication, permissions
from rest_framework.exceptions import ParseError, UnsupportedMediaType, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.catalogue_writing import write_batch, write_records
from clusters.item_records import item_fields, whole_item
from clusters.models import Item
from clusters.signals import catalogue_changed
from personas.events import MAX_ID, EventError, check_id
from personas.files import FileError, RecordFile
from personas.models import ApiKey, Shop
from recommendations.api.access import KeyAuthentication, MayManage, OneShop, ShopRows
from recommendations.api.flags import Flag
from recommendations.api.hot import ProblemOut
from recommendations.api.item_shapes import (
    MOST_ITEMS,
    OFFER,
    BulkOut,
    DeletedOut,
    FactsIn,
    ItemIdsIn,
    ItemsIn,
    ItemsOut,
    OfferIn,
    OfferOut,
)
from recommendations.api.rows import ItemSerializer
from recommendations.api.tagged import TaggedRows, check_match

JSON_LINES = ("application/x-ndjson", "application/jsonl", "application/json-lines")

# Calls


class MayWrite(MayManage):
    """As `MayManage`; of staff, writing many asks for both "add" and "change"."""

    rights: ClassVar = {"create": ("add", "change"), "update": ("add", "change"), "destroy": ("delete",)}

    def has_permission(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, ApiKey) or request.method in permissions.SAFE_METHODS:
            return super().has_permission(request, view)
        user = request.user
        rights = [f"clusters.{right}_item" for right in self.rights.get(getattr(view, "action", ""), view.rights)]
        return bool(user and user.is_active and user.is_staff and user.has_perms(rights))


class ItemFilter(filters.FilterSet):
    in_stock = Flag()

    class Meta:
        model = Item
        fields = ("category", "brand", "colour", "in_stock", "item_group_id")


class Items(TaggedRows, ShopRows):
    """What the shop sells. What is written is recommended, and priced, so within seconds, without a training."""

    queryset = Item.objects.select_related("shop").order_by("pk")
    serializer_class = ItemSerializer
    permission_classes = (MayWrite,)
    rights = ("change",)
    lookup_field = "external_id"
    lookup_value_regex = "[^/\\0]+"
    filterset_class = ItemFilter
    together = frozenset({"create", "partial_update", "update", "destroy"})

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
        fields = _fields(external_id, given, item_fields)
        with transaction.atomic():
            item = self._held()
            check_match(request, self.told(item))
            fields.pop("external_id")
            for name, value in fields.items():
                setattr(item, name, value)
            item.save(update_fields=[*fields, "updated_at"])
        return Response(OfferOut(item).data)

    @extend_schema(
        request=FactsIn,
        responses={200: ItemSerializer, 201: ItemSerializer, "4XX": ProblemOut},
        examples=[
            OpenApiExample(
                "A variant of a product",
                value={
                    "title": "Blue skirt, M",
                    "category": "skirts",
                    "price": 19.9,
                    "currency": "EUR",
                    "item_group_id": "skirt-9",
                },
                request_only=True,
            )
        ],
    )
    def update(self, request: Request, external_id: str) -> Response:
        """Write an item as a whole: what isn't given is empty then, whatever was known of it. 201 for one that was not there."""
        shop, given = self.written_shop(), request.data
        if not isinstance(given, Mapping):
            raise ValidationError({"body": ["must be an object"]})
        if given.get("item_id", external_id) != external_id:
            raise ValidationError({"item_id": ["is another than the address names"]})
        fields = _fields(external_id, given, whole_item)
        rows = Item.objects.filter(shop=shop, external_id=fields["external_id"]).select_related("shop")
        with transaction.atomic():
            Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
            row = rows.first()
            check_match(request, None if row is None else self.told(row))
            write_batch(shop, {fields["external_id"]: fields})
        catalogue_changed.send(sender=Item, shop_id=shop.pk)
        return Response(self.told(rows.get()), status=201 if row is None else 200)

    @extend_schema(responses={204: None, "4XX": ProblemOut})
    def destroy(self, request: Request, external_id: str) -> Response:
        """Take an item out of the catalogue, and out of slates within seconds. Sent again later, it is a new one."""
        with transaction.atomic():
            item = self._held()
            check_match(request, self.told(item))
            item.delete()
        return Response(status=204)

    def _held(self) -> Item:
        """The item of the address as it is now, which nobody else writes until the transaction ends. Raises Http404."""
        rows = Item.objects.select_related("shop").select_for_update(of=("self",))
        return get_object_or_404(rows, pk=self.get_object().pk)

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
        written = write_batch(shop, fields)
        if fields:
            catalogue_changed.send(sender=Item, shop_id=shop.pk)
        for result in results:
            result.setdefault("status", "added" if result["item_id"] in written.added else "updated")
        counts = {name: sum(result["status"] == name for result in results) for name in ("added", "updated", "rejected")}
        return Response({**counts, "results": results})


class ManyItems(OneShop, APIView):
    """What the calls on many items at once share."""

    queryset: ClassVar[QuerySet[Item]] = Item.objects.all()
    authentication_classes = (KeyAuthentication, authentication.SessionAuthentication)
    permission_classes = (MayWrite,)
    rights: ClassVar[tuple[str, ...]] = ("add", "change")


class BulkItems(ManyItems):
    repeatable = False

    @extend_schema(
        request={"application/x-ndjson": {"type": "string", "description": "One item a line, as for `POST items/`."}},
        responses={200: BulkOut, "4XX": ProblemOut},
        examples=[
            OpenApiExample(
                "One line was not taken",
                value={
                    "read": 3,
                    "added": 1,
                    "updated": 1,
                    "unchanged": 0,
                    "rejected": 1,
                    "rejects": [{"line": 3, "field": "price", "reason": "'dear' is not a number"}],
                },
                response_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Add or change any number of items, one a line of JSON (`application/x-ndjson`), gzip'd or not.

        Lines are taken as they come, 500 in a transaction; one that can't be is rejected by its number, the others are kept. Send
        it again where it broke off: what was written is left alone then.
        """
        kind = request.content_type.partition(";")[0].strip().lower()
        if kind not in JSON_LINES:
            raise UnsupportedMediaType(
                kind or "none", detail=f"Send lines of JSON, as {JSON_LINES[0]}; this is {kind or 'untold'}."
            )
        shop = self.written_shop()
        with tempfile.TemporaryFile() as body:
            shutil.copyfileobj(request._request, body)
            body.seek(0)
            try:
                with RecordFile(body) as file:
                    report = write_records(shop, file, wrote=self.on_record)
                    report.broke = file.broke
            except FileError as error:
                raise ParseError(str(error)) from error
        if not report.read and not report.broke:
            raise ParseError("There is no item in what was sent: send one a line of JSON, beginning with {.")
        return Response(report.as_json())


class DeleteItems(ManyItems):
    rights: ClassVar[tuple[str, ...]] = ("delete",)
    together = frozenset({"post"})

    @extend_schema(
        request=ItemIdsIn,
        responses={200: DeletedOut, "4XX": ProblemOut},
        examples=[OpenApiExample("Two", value={"items": ["sku-8", "sku-9"]}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Take up to 500 items out of the catalogue; those that it lacks are told, and stop nothing."""
        shop, body = self.written_shop(), request.data
        given = body.get("items") if isinstance(body, Mapping) else None
        if not isinstance(given, list) or not 1 <= len(given) <= MOST_ITEMS:
            raise ValidationError({"items": [f"must be a list of 1 to {MOST_ITEMS} ids"]})
        try:
            ids = list(dict.fromkeys(check_id("items", each) for each in given))
        except EventError as error:
            raise ValidationError({error.field: [error.reason]}) from error
        with transaction.atomic():
            known = Item.objects.ids_of(shop, ids)
            Item.objects.filter(pk__in=known.values()).delete()
        return Response({"deleted": len(known), "unknown": [each for each in ids if each not in known]})


def _fields(external_id: str, given: Mapping[str, Any], read: Callable[[Mapping[str, object]], dict[str, Any]]) -> dict[str, Any]:
    try:
        return read({**given, "item_id": external_id})
    except EventError as error:
        raise ValidationError({error.field: [error.reason]}) from error


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
