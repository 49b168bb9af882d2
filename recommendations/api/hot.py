"""The hot endpoints as the schema tells them; `recommendations.serving.live` answers them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import permissions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from recommendations.api.access import PROBLEM_TYPE, KeyAuthentication
from recommendations.serving.problems import Problem


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


class AskIn(serializers.Serializer[Any]):
    context = serializers.CharField(required=False, help_text="The page or place: `home`, `product`, `cart`.")  # type: ignore[assignment]
    count = serializers.IntegerField(required=False, min_value=1, max_value=50)
    allow_seen = serializers.BooleanField(required=False)
    allow_current = serializers.BooleanField(required=False)
    allow_out_of_stock = serializers.BooleanField(required=False)
    exclude = serializers.ListField(child=serializers.CharField(), required=False)


class VisitIn(serializers.Serializer[Any]):
    session_id = serializers.CharField(max_length=128)
    shopper_id = serializers.CharField(required=False, max_length=128)
    context = serializers.DictField(required=False, help_text="Evidence by name: country, device, weather...")  # type: ignore[assignment]
    consent = serializers.BooleanField(required=False, help_text="True lets demographic evidence be used, false none at all.")
    recommend = AskIn(required=False)


class EventsIn(VisitIn):
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
    category = serializers.CharField(allow_null=True)
    colour = serializers.CharField(allow_null=True)
    slot = serializers.IntegerField()
    score = serializers.FloatField()
    propensity = serializers.FloatField()
    persona = PersonaOut(allow_null=True)
    cluster = Named(allow_null=True)
    because = serializers.CharField(allow_null=True)
    expert = serializers.CharField()
    experts = serializers.DictField(child=serializers.FloatField())
    reason = serializers.CharField()


class SlateOut(serializers.Serializer[Any]):
    recommendation_id = serializers.CharField()
    session_id = serializers.CharField()
    context = serializers.CharField()  # type: ignore[assignment]
    version = serializers.IntegerField()
    release = serializers.CharField()
    items = SlateItemOut(many=True)


class ResultOut(serializers.Serializer[Any]):
    event_id = serializers.CharField()
    status = serializers.ChoiceField(choices=("accepted", "duplicate", "rejected"))
    field = serializers.CharField(required=False)
    reason = serializers.CharField(required=False)
    notes = serializers.ListField(child=serializers.CharField(), required=False)


class EventsOut(serializers.Serializer[Any]):
    results = ResultOut(many=True)
    version = serializers.IntegerField()
    release = serializers.CharField()
    slate = SlateOut(required=False)


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


class TokenOut(serializers.Serializer[Any]):
    token = serializers.CharField()
    session_id = serializers.CharField()
    websocket = serializers.CharField()


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
            OpenApiParameter("session_id", str, required=True),
            OpenApiParameter("shopper_id", str),
            OpenApiParameter("count", int),
            OpenApiParameter("context", str),
            OpenApiParameter("exclude", str, description="Item ids, separated by commas."),
            OpenApiParameter("allow_seen", bool),
            OpenApiParameter("allow_current", bool),
            OpenApiParameter("allow_out_of_stock", bool),
        ],
        responses={200: SlateOut, "4XX": ProblemOut, 503: ProblemOut},
    )
    def get(self, request: Request) -> Response:
        """A slate for a session as it stands."""
        return self.elsewhere()

    @extend_schema(request=VisitIn, responses={200: SlateOut, "4XX": ProblemOut, 503: ProblemOut})
    def post(self, request: Request) -> Response:
        """A slate for a session as it stands, with evidence given along."""
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
