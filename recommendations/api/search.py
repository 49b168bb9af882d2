"""The catalogue search over the API: what the storefront and the generator of clusters find, for a page of the shop's own."""

from __future__ import annotations

import math
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import authentication, exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.catalogue import PRICE_TIERS
from clusters.models import Item
from clusters.search_index import FACETS, Filters, search, suggest
from clusters.searching import index_of
from personas.events import MAX_QUERY
from recommendations.api.access import KeyAuthentication, MayRead, OneShop, whole
from recommendations.api.hot import ProblemOut
from recommendations.api.rows import ItemSerializer

SHOWN = 24
MOST_SHOWN = 100
MOST_SUGGESTED = 20
MAX_OFFSET = 1_000_000
MAX_VALUES = 50
MAX_VALUE = 120
ONE_SHOP = OpenApiParameter("shop", str, description="The shop's slug; for staff only, a key knows its shop.")
QUERY = OpenApiParameter("q", str, required=True, description=f"At most {MAX_QUERY} characters.")


# Shapes


class WordOut(serializers.Serializer[Any]):
    typed = serializers.CharField()
    how = serializers.ChoiceField(choices=("exact", "prefix", "spelling", "unknown"))
    read = serializers.ListField(child=serializers.CharField(), help_text="The words that it stood for.")


class FoundItemOut(ItemSerializer):
    score = serializers.FloatField()

    class Meta:
        model = Item
        fields = (*ItemSerializer.Meta.fields, "score")


class FacetValueOut(serializers.Serializer[Any]):
    value = serializers.CharField()
    count = serializers.IntegerField()


class FacetsOut(serializers.Serializer[Any]):
    category = FacetValueOut(many=True)
    brand = FacetValueOut(many=True)
    colour = FacetValueOut(many=True)
    price_tier = FacetValueOut(many=True)


class SearchOut(serializers.Serializer[Any]):
    total = serializers.IntegerField(help_text="Items found in all.")
    offset = serializers.IntegerField()
    relaxed = serializers.BooleanField(help_text="No item goes by all the words; these go by some of them.")
    words = WordOut(many=True)
    items = FoundItemOut(many=True)
    facets = FacetsOut(help_text="Counted without the field's own filter, most frequent first.")


class SuggestedItemOut(serializers.Serializer[Any]):
    item_id = serializers.CharField()
    title = serializers.CharField()


class SuggestOut(serializers.Serializer[Any]):
    queries = serializers.ListField(child=serializers.CharField())
    categories = serializers.ListField(child=serializers.CharField())
    brands = serializers.ListField(child=serializers.CharField())
    items = SuggestedItemOut(many=True)


# Calls


class Call(OneShop, APIView):
    """A key with `read`, or staff who may view items."""

    queryset = Item.objects.all()
    authentication_classes = (KeyAuthentication, authentication.SessionAuthentication)
    permission_classes = (MayRead,)


class Search(Call):
    """Which items a shopper's words are about."""

    @extend_schema(
        parameters=[
            QUERY,
            *(OpenApiParameter(name, str, many=True, description="Repeat it for alternatives.") for name in FACETS[:-1]),
            OpenApiParameter("price_tier", str, many=True, enum=PRICE_TIERS, description="Quartile within the item's category."),
            OpenApiParameter("price_from", float),
            OpenApiParameter("price_to", float),
            OpenApiParameter("in_stock", bool),
            OpenApiParameter("count", int, description=f"{SHOWN} if left out, at most {MOST_SHOWN}."),
            OpenApiParameter("offset", int),
            ONE_SHOP,
        ],
        responses={200: SearchOut, "4XX": ProblemOut},
    )
    def get(self, request: Request) -> Response:
        """Items by how well they fit the words, with what they can be narrowed by. Misspelled words are read as the nearest
        ones that items have. An item must have all the words; where none goes by them all, some will do: `relaxed` says so."""
        shop = self.written_shop()
        query = read_query(request)
        filters = read_filters(request)
        count = whole(request, "count", default=SHOWN, most=MOST_SHOWN)
        offset = whole(request, "offset", default=0, most=MAX_OFFSET)
        found = search(index_of(shop), query, filters=filters, count=count, offset=offset)
        rows = Item.objects.of_shop(shop).select_related("shop").in_bulk(found.item_ids.tolist())
        items = []
        for pk, score in zip(found.item_ids.tolist(), found.scores.tolist(), strict=True):
            if pk in rows:  # one that was erased a moment ago is still in the index
                items.append({**ItemSerializer(rows[pk]).data, "score": round(score, 4)})
        facets = {name: [{"value": v, "count": n} for v, n in values] for name, values in found.facets.items()}
        words = [word._asdict() for word in found.words]
        body = {"total": found.total, "offset": offset, "relaxed": found.relaxed, "words": words, "items": items}
        return Response({**body, "facets": facets})


class Suggest(Call):
    """What may be meant by what is being typed."""

    @extend_schema(parameters=[QUERY, OpenApiParameter("count", int), ONE_SHOP], responses={200: SuggestOut, "4XX": ProblemOut})
    def get(self, request: Request) -> Response:
        """Completions of the last word, categories, brands and items, likeliest first; at most `count` of each."""
        shop = self.written_shop()
        count = whole(request, "count", default=8, most=MOST_SUGGESTED)
        found = suggest(index_of(shop), read_query(request, strip=False), count=count)
        rows = Item.objects.of_shop(shop).only("external_id", "title").in_bulk(found.item_ids.tolist())
        items = [{"item_id": rows[pk].external_id, "title": str(rows[pk])} for pk in found.item_ids.tolist() if pk in rows]
        return Response({"queries": found.queries, "categories": found.categories, "brands": found.brands, "items": items})


# Reading parameters


def read_query(request: Request, *, strip: bool = True) -> str:
    """The words. strip : without the space at the end, which says that the last word is done. Raises ValidationError."""
    text = request.query_params.get("q", "")
    if not text.strip():
        raise exceptions.ValidationError({"q": ["give the words to search for"]})
    if len(text) > MAX_QUERY:
        raise exceptions.ValidationError({"q": [f"has {len(text)} characters, more than {MAX_QUERY}"]})
    return text.strip() if strip else text


def read_filters(request: Request) -> Filters:
    """The filters of a request. Raises ValidationError, which names the field."""
    values = {name: _texts(request, name) for name in FACETS}
    strange = [value for value in values["price_tier"] if value not in PRICE_TIERS]
    if strange:
        raise exceptions.ValidationError({"price_tier": [f"{strange[0][:40]!r} is none of {', '.join(PRICE_TIERS)}"]})
    stock = request.query_params.get("in_stock", "").lower()
    if stock not in ("", "true", "false", "1", "0"):
        raise exceptions.ValidationError({"in_stock": [f"{stock[:40]!r} is neither true nor false"]})
    return Filters(
        **values,
        price_from=_price(request, "price_from"),
        price_to=_price(request, "price_to"),
        in_stock=stock in ("true", "1") if stock else None,
    )


def _texts(request: Request, name: str) -> tuple[str, ...]:
    values = tuple(dict.fromkeys(value for value in request.query_params.getlist(name) if value))
    if len(values) > MAX_VALUES:
        raise exceptions.ValidationError({name: [f"is given {len(values)} times, more than {MAX_VALUES}"]})
    if any(len(value) > MAX_VALUE for value in values):
        raise exceptions.ValidationError({name: [f"has a value of more than {MAX_VALUE} characters"]})
    return values


def _price(request: Request, name: str) -> float | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    try:
        price = float(text)
    except ValueError:
        price = math.nan
    if not math.isfinite(price):
        raise exceptions.ValidationError({name: [f"{text[:40]!r} is not a price"]})
    return price
