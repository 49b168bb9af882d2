"""The hot endpoints as the schema tells them; `recommendations.serving.live` answers them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import permissions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.catalogue import PRICE_TIERS
from recommendations.api.access import PROBLEM_TYPE, KeyAuthentication
from recommendations.serving.asks import LISTS, PRICES
from recommendations.serving.problems import Problem
from recommendations.session import CONTEXTS


class EventItem(serializers.Serializer[Any]):
    item_id = serializers.CharField(max_length=128)
    index = serializers.IntegerField(required=False, help_text="Slot in which the item was seen, from 0.")
    price = serializers.FloatField(required=False)
    quantity = serializers.FloatField(required=False)


class EventIn(serializers.Serializer[Any]):
    event_id = serializers.CharField(max_length=128, help_text="Counts once, however often it is sent.")
    name = serializers.CharField(help_text="A GA4 e-commerce event, `view_item` for one.")
    timestamp = serializers.FloatField(required=False, help_text="Seconds since 1970; the time of receipt if left out.")
    items = EventItem(many=True, required=False)
    search_term = serializers.CharField(required=False, max_length=256)
    engagement_time_msec = serializers.FloatField(required=False)
    recommendation_id = serializers.CharField(required=False)


class FiltersIn(serializers.Serializer[Any]):
    category = serializers.ListField(child=serializers.CharField(), required=False, help_text="Any of these; case doesn't count.")
    brand = serializers.ListField(child=serializers.CharField(), required=False)
    colour = serializers.ListField(child=serializers.CharField(), required=False)
    tag = serializers.ListField(child=serializers.CharField(), required=False)
    price_tier = serializers.ListField(
        child=serializers.ChoiceField(choices=PRICE_TIERS), required=False, help_text="Quartile within the item's category."
    )
    price_from = serializers.FloatField(required=False, min_value=0)
    price_to = serializers.FloatField(required=False, min_value=0)


@extend_schema_serializer(
    examples=[
        OpenApiExample("Beside an item", value={"context": "similar", "item_id": "sku-77", "count": 8}),
        OpenApiExample("With the cart", value={"context": "cart", "items": ["sku-77", "sku-12"], "count": 4}),
        OpenApiExample("A search for this visit", value={"context": "search", "query": "red dress", "count": 24}),
        OpenApiExample("With the words for the shopper", value={"count": 12, "reasons": True}),
        OpenApiExample("Filtered", value={"filters": {"category": ["shoes"], "colour": ["red", "blue"], "price_to": 60}}),
    ]
)
class AskIn(serializers.Serializer[Any]):
    context = serializers.ChoiceField(choices=CONTEXTS, required=False, help_text="Where the slate stands; `home` if left out.")  # type: ignore[assignment]
    count = serializers.IntegerField(required=False, min_value=1, max_value=50)
    item_id = serializers.CharField(
        required=False, help_text="Of `similar`, `complementary`, `cart`: what the slate stands beside."
    )
    items = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="The same, several; of `search` what was found, most relevant first. By default what the session has.",
    )
    query = serializers.CharField(required=False, max_length=256, help_text="Of `search`: found, then ordered for the visit.")
    filters = FiltersIn(required=False)
    diversity = serializers.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        help_text="Share of its score that an item loses for a twin above it. 0.3 for `complementary` and `cart`, else 0.",
    )
    allow_seen = serializers.BooleanField(required=False)
    allow_current = serializers.BooleanField(required=False)
    allow_out_of_stock = serializers.BooleanField(required=False)
    reasons = serializers.BooleanField(
        required=False,
        help_text="Have each item told why it is there, which takes as long again; the items are the same without.",
    )
    exclude = serializers.ListField(child=serializers.CharField(), required=False)


class VisitIn(serializers.Serializer[Any]):
    session_id = serializers.CharField(required=False, max_length=128, help_text="Of a slate alone it may be left out.")
    shopper_id = serializers.CharField(required=False, max_length=128)
    context = serializers.DictField(required=False, help_text="Evidence by name: country, device, weather...")  # type: ignore[assignment]
    consent = serializers.BooleanField(required=False, help_text="True lets demographic evidence be used, false none at all.")
    recommend = AskIn(required=False)
    token = serializers.CharField(required=False, help_text="A session token, of a request without headers (`sendBeacon`).")


class EventsIn(VisitIn):
    session_id = serializers.CharField(max_length=128)
    events = EventIn(many=True)


class Named(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()


class PersonaOut(Named):
    key = serializers.CharField()
    icon = serializers.CharField()
    colour = serializers.CharField()


class BeliefOut(PersonaOut):
    probability = serializers.FloatField()


class SlateItemOut(serializers.Serializer[Any]):
    item_id = serializers.CharField()
    title = serializers.CharField()
    price = serializers.FloatField(allow_null=True)
    currency = serializers.CharField(allow_null=True, help_text="ISO 4217; the shop's, where the item has none of its own.")
    category = serializers.CharField(allow_null=True)
    colour = serializers.CharField(allow_null=True)
    slot = serializers.IntegerField()
    score = serializers.FloatField()
    propensity = serializers.FloatField()
    persona = PersonaOut(allow_null=True)
    cluster = Named(allow_null=True)
    because = serializers.CharField(
        allow_null=True, required=False, help_text="This and what follows where `reasons` were asked for."
    )
    expert = serializers.CharField(allow_blank=True, required=False)
    experts = serializers.DictField(child=serializers.FloatField(), required=False)
    reason = serializers.CharField(required=False)


class SlateOut(serializers.Serializer[Any]):
    recommendation_id = serializers.CharField()
    session_id = serializers.CharField()
    context = serializers.CharField()  # type: ignore[assignment]
    version = serializers.IntegerField()
    release = serializers.CharField()
    notes = serializers.ListField(child=serializers.CharField(), help_text="What was asked for and could not be had.")
    items = SlateItemOut(many=True)


class ResultOut(serializers.Serializer[Any]):
    event_id = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(
        choices=("accepted", "duplicate", "rejected", "ignored"), help_text="`ignored`: it has no meaning here."
    )
    field = serializers.CharField(required=False)
    reason = serializers.CharField(required=False)
    notes = serializers.ListField(child=serializers.CharField(), required=False)


class EventsOut(serializers.Serializer[Any]):
    results = ResultOut(many=True)
    version = serializers.IntegerField()
    release = serializers.CharField()
    slate = SlateOut(required=False)


class MovedOut(serializers.Serializer[Any]):
    session_id = serializers.CharField()
    version = serializers.IntegerField()
    release = serializers.CharField()


class AliasedOut(serializers.Serializer[Any]):
    results = ResultOut(many=True, help_text="Of every entry, in its place.")
    sessions = MovedOut(many=True, help_text="That the payload moved.")


class ProfileOut(serializers.Serializer[Any]):
    session_id = serializers.CharField()
    version = serializers.IntegerField()
    release = serializers.CharField()
    events = serializers.IntegerField()
    belief = BeliefOut(many=True)
    entropy = serializers.FloatField()
    unsure = serializers.BooleanField()
    several = serializers.BooleanField()
    together = serializers.FloatField()
    mixing = serializers.FloatField()
    shares = serializers.DictField(child=serializers.FloatField())
    active = serializers.ListField(child=serializers.CharField())
    shift = serializers.DictField(allow_null=True)
    attributes = serializers.ListField(child=serializers.DictField())
    evidence = serializers.ListField(child=serializers.DictField())
    evidence_used = serializers.DictField(child=serializers.CharField())
    learned = serializers.ListField(child=serializers.CharField())
    clusters = serializers.ListField(child=serializers.DictField())


class TokenIn(serializers.Serializer[Any]):
    session_id = serializers.CharField(max_length=128)
    shopper_id = serializers.CharField(required=False, max_length=128, help_text="Who is logged in: the token vouches for them.")
    ttl_s = serializers.IntegerField(required=False)
    simulated = serializers.BooleanField(
        required=False, help_text="Whether the visitor is simulated: the session is marked so, and nothing is learned from it."
    )


class TokenOut(serializers.Serializer[Any]):
    token = serializers.CharField()
    session_id = serializers.CharField()
    websocket = serializers.CharField()


@extend_schema_serializer(component_name="Problem")
class ProblemOut(serializers.Serializer[Any]):
    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    field = serializers.CharField(required=False)


class HotView(APIView):
    """An address that the live process answers. A request that gets here came to a process that serves pages only."""

    authentication_classes = (KeyAuthentication,)
    permission_classes = (permissions.AllowAny,)

    def elsewhere(self) -> Response:
        detail = "This address is answered by the live (ASGI) process; route it there, as the operators' guide shows."
        body = Problem(status.HTTP_421_MISDIRECTED_REQUEST, "misdirected", detail).as_json()
        return Response(body, status=status.HTTP_421_MISDIRECTED_REQUEST, content_type=PROBLEM_TYPE)


class EventsView(HotView):
    @extend_schema(request=EventsIn, responses={200: EventsOut, "4XX": ProblemOut, 503: ProblemOut})
    def post(self, request: Request) -> Response:
        """Take up to 500 events of a session, in order, and answer with a slate if `recommend` is given."""
        return self.elsewhere()


class RecommendationsView(HotView):
    @extend_schema(
        parameters=[
            OpenApiParameter("session_id", str, description="Without one, a slate alone: of a shopper, or beside an item."),
            OpenApiParameter("shopper_id", str, description="Whose visit it is, or would be."),
            OpenApiParameter("count", int),
            OpenApiParameter("context", str, enum=CONTEXTS),
            OpenApiParameter("item_id", str, description="What the slate stands beside."),
            OpenApiParameter("items", str, description="Item ids, separated by commas: the cart, or what a search found."),
            OpenApiParameter("query", str, description="With the context `search`."),
            *(OpenApiParameter(name, str, many=True, description="Repeat it for alternatives.") for name in LISTS),
            *(OpenApiParameter(name, float) for name in PRICES),
            OpenApiParameter("diversity", float),
            OpenApiParameter("exclude", str, description="Item ids, separated by commas."),
            OpenApiParameter("allow_seen", bool),
            OpenApiParameter("allow_current", bool),
            OpenApiParameter("allow_out_of_stock", bool),
            OpenApiParameter("reasons", bool, description="Have each item told why it is there."),
        ],
        responses={200: SlateOut, "4XX": ProblemOut, 503: ProblemOut},
    )
    def get(self, request: Request) -> Response:
        """A slate for a session as it stands; without one, for a shopper as their next visit would open, or beside an item."""
        return self.elsewhere()

    @extend_schema(request=VisitIn, responses={200: SlateOut, "4XX": ProblemOut, 503: ProblemOut})
    def post(self, request: Request) -> Response:
        """A slate for a session as it stands, with evidence given along."""
        return self.elsewhere()


_PAYLOAD = {"type": "object", "additionalProperties": True}


class SegmentView(HotView):
    @extend_schema(request={"application/json": _PAYLOAD}, responses=AliasedOut)
    def post(self, request: Request) -> Response:
        """Take a payload of Segment's HTTP tracking API as it stands: track, page, screen, identify, or a batch of them."""
        return self.elsewhere()


class GoogleRetailView(HotView):
    @extend_schema(request={"application/json": _PAYLOAD}, responses=AliasedOut)
    def post(self, request: Request) -> Response:
        """Take a user event of Google's Retail API as it stands, or several as `{"userEvents": [...]}`."""
        return self.elsewhere()


class Ga4View(HotView):
    @extend_schema(request={"application/json": _PAYLOAD}, responses=AliasedOut)
    def post(self, request: Request) -> Response:
        """Take a payload of the GA4 Measurement Protocol as it stands."""
        return self.elsewhere()


class ProfileView(HotView):
    @extend_schema(responses={200: ProfileOut, "4XX": ProblemOut, 503: ProblemOut})
    def get(self, request: Request, session_id: str) -> Response:
        """Who the session's shopper is taken for, why, and the clusters that follow from it."""
        return self.elsewhere()


class TokensView(HotView):
    @extend_schema(request=TokenIn, responses={200: TokenOut, "4XX": ProblemOut})
    def post(self, request: Request) -> Response:
        """A signed token that opens one session to a page, for REST and the websocket."""
        return self.elsewhere()
