"""Sessions and shoppers over the API: what happened and why, what is held, consent, merge, export, erasure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.db.models import F, Q, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import authentication, generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from personas.events import EventError, check_id
from personas.models import ApiKey, Origin, Session, Shop, Shopper
from recommendations import audit, exporting, rights
from recommendations.api.access import KeyAuthentication, MayManage, OneShop, whole
from recommendations.api.hot import ProblemOut
from recommendations.serving import memory
from recommendations.serving.problems import Problem, invalid
from recommendations.timelines import timeline

SHOWN_SESSIONS = 50
MOST_SESSIONS = 200
SHOWN_STEPS = 500
MOST_STEPS = 2_000

_WORD = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}], "description": "Numbers are taken as words."}
ONE_SHOP = OpenApiParameter("shop", str, description="The shop's slug; for staff only, a key knows its shop.")


# Shapes


class SessionSerializer(serializers.ModelSerializer[Session]):
    shopper_id = serializers.CharField(source="shopper.external_id", default=None, allow_null=True)
    belief = serializers.SerializerMethodField(help_text="Persona id -> probability after the latest event.")
    shares = serializers.SerializerMethodField(help_text="Persona id -> share of the session's latest steps.")

    class Meta:
        model = Session
        fields = ("session_id", "shopper_id", "started_at", "last_at", "events", "origin", "context", "belief", "shares")

    def get_belief(self, session: Session) -> dict[str, float]:
        return (session.persona or {}).get("belief") or {}

    def get_shares(self, session: Session) -> dict[str, float]:
        return (session.persona or {}).get("shares") or {}


class TimelineShareOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    key = serializers.CharField()
    name = serializers.CharField()
    icon = serializers.CharField()
    colour = serializers.CharField()
    share = serializers.FloatField()


class TimelineEntryOut(serializers.Serializer[Any]):
    session_id = serializers.CharField()
    started_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    origin = serializers.ChoiceField(choices=Origin.choices)
    events = serializers.IntegerField()
    purchases = serializers.IntegerField()
    personas = TimelineShareOut(many=True, help_text="Largest share first; empty where no persona was inferred live.")


class TimelineOut(serializers.Serializer[Any]):
    shopper_id = serializers.CharField()
    sessions = TimelineEntryOut(many=True, help_text="The latest first.")


class ConsentIn(serializers.Serializer[Any]):
    demographics = serializers.BooleanField(help_text="False deletes the demographics at once, wherever they are held.")


class ConsentOut(serializers.Serializer[Any]):
    demographics = serializers.BooleanField()
    at = serializers.DateTimeField(allow_null=True)


class MemoryOut(serializers.Serializer[Any]):
    personas = serializers.DictField(child=serializers.FloatField(), help_text="Persona id -> share, of earlier sessions.")
    sessions = serializers.IntegerField()
    history = serializers.DictField(child=serializers.CharField(), help_text="Evidence of purchases.")
    demographics = serializers.DictField(child=serializers.CharField())
    at = serializers.FloatField(help_text="When it was made, seconds since 1970.")


class ShopperOut(serializers.Serializer[Any]):
    shopper_id = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField(), help_text="Ids of guests who were merged into them.")
    consent = ConsentOut()
    demographics = serializers.DictField(child=serializers.CharField())
    sessions = serializers.IntegerField()
    memory = MemoryOut(allow_null=True, help_text="What their next visit starts from; null if nothing is remembered.")


class MergeIn(serializers.Serializer[Any]):
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"from": serializers.CharField(max_length=128, help_text="The guest's id.")}


class MergeOut(serializers.Serializer[Any]):
    shopper_id = serializers.CharField()
    sessions = serializers.IntegerField(help_text="Sessions that moved; 0 when it was done before.")
    aliases = serializers.ListField(child=serializers.CharField())


class ErasureOut(serializers.Serializer[Any]):
    erased_at = serializers.DateTimeField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="How much went, by store.")


class FactorOut(serializers.Serializer[Any]):
    factor = serializers.CharField()
    value = serializers.CharField()
    nats = serializers.DictField(child=serializers.FloatField())


class ShiftOut(serializers.Serializer[Any]):
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        texts = {name: serializers.CharField() for name in ("from", "to", "factor", "value")}
        return {**texts, "at": serializers.FloatField(), "nats": serializers.FloatField()}


class StepOut(serializers.Serializer[Any]):
    event_id = serializers.CharField()
    event = serializers.CharField()
    at = serializers.FloatField(help_text="The time that the event counted as.")
    item_id = serializers.CharField(allow_null=True)
    search_term = serializers.CharField(allow_null=True)
    before = serializers.DictField(child=serializers.FloatField(), help_text="Persona key -> probability.")
    time = serializers.DictField(help_text="`elapsed_s`, and `nats` by persona: what the time gone by did.")
    factors = FactorOut(many=True)
    after = serializers.DictField(child=serializers.FloatField())
    shares = serializers.DictField(child=serializers.FloatField())
    unsure = serializers.BooleanField()
    several = serializers.BooleanField()
    active = serializers.ListField(child=serializers.CharField())
    shift = ShiftOut(allow_null=True)
    decisions = serializers.ListField(child=serializers.DictField())
    blocked = serializers.ListField(child=serializers.DictField())
    clusters = serializers.ListField(child=serializers.DictField(), help_text="Whose weight the event changed.")


class LedgerOut(serializers.Serializer[Any]):
    session_id = serializers.CharField()
    release = serializers.CharField(help_text="The active one, on which the session was replayed.")
    started_at = serializers.FloatField()
    personas = serializers.ListField(child=serializers.DictField())
    evidence = serializers.DictField(child=serializers.CharField(), help_text="What the prior was told, by name.")
    count = serializers.IntegerField(help_text="Steps in all.")
    cut = serializers.IntegerField(help_text="Events that are beyond the longest replay.")
    steps = StepOut(many=True)


# Sessions


class SessionFilter(filters.FilterSet):
    shopper = filters.CharFilter(method="of_shopper", help_text="A shopper's id, or that of a guest merged into them.")
    origin = filters.ChoiceFilter(choices=Origin.choices)
    since = filters.IsoDateTimeFilter(field_name="last_at", lookup_expr="gte", help_text="Latest event at or after, ISO 8601.")
    until = filters.IsoDateTimeFilter(field_name="last_at", lookup_expr="lt", help_text="Latest event before, ISO 8601.")

    class Meta:
        model = Session
        fields = ("shopper", "origin", "since", "until")

    def of_shopper(self, rows: QuerySet[Session], name: str, value: str) -> QuerySet[Session]:
        alias = Q(shopper__aliases__external_id=value, shopper__aliases__shop=F("shop"))
        return rows.filter(Q(shopper__external_id=value) | alias).distinct()


class Call(OneShop, APIView):
    """What every call of this module shares: a key with `read` to read, with `manage` to change, or staff who may."""

    authentication_classes = (KeyAuthentication, authentication.SessionAuthentication)
    permission_classes = (MayManage,)


class Sessions(OneShop, generics.ListAPIView[Session]):
    """Visits, the latest first, a page after the other: follow `next`."""

    queryset = Session.objects.select_related("shopper").order_by("-last_at", "-pk")
    serializer_class = SessionSerializer
    authentication_classes = Call.authentication_classes
    permission_classes = Call.permission_classes
    filterset_class = SessionFilter

    def get_queryset(self) -> QuerySet[Session]:
        if getattr(self, "swagger_fake_view", False):
            return super().get_queryset()
        return super().get_queryset().filter(shop=self.written_shop())


class Ledger(Call):
    """Why the session's personas were believed in."""

    queryset = Session.objects.select_related("shop", "shopper")

    @extend_schema(
        parameters=[
            OpenApiParameter("offset", int),
            OpenApiParameter("limit", int, description=f"At most {MOST_STEPS}."),
            ONE_SHOP,
        ],
        responses={200: LedgerOut, "4XX": ProblemOut, 503: ProblemOut},
    )
    def get(self, request: Request, session_id: str) -> Response:
        """The whole evidence ledger of an archived session, replayed on the active release: every event, every factor,
        every persona, in nats (log P(value | persona) - log P(value))."""
        from recommendations import releases, stories  # the numeric stack, which the other calls do without

        try:
            name = check_id("session_id", session_id)
        except EventError as error:
            raise invalid(error) from error
        session = self.queryset.filter(shop=self.written_shop(), session_id=name).first()
        if session is None:
            raise Problem(404, "not_found", "No session of this id is archived; a live one is a few seconds after its events.")
        offset = whole(request, "offset", default=0, most=10**9)
        limit = whole(request, "limit", default=SHOWN_STEPS, most=MOST_STEPS)
        try:
            story = stories.tell(session)
        except releases.ReleaseError as error:
            raise Problem(503, "no_release", str(error)) from error
        return Response(stories.ledger_json(story, stories.Page(offset, limit)))


# Shoppers


class ShopperCall(Call):
    queryset: ClassVar[QuerySet[Shopper]] = Shopper.objects.all()


class OneShopper(ShopperCall):
    @extend_schema(parameters=[ONE_SHOP], responses={200: ShopperOut, "4XX": ProblemOut})
    def get(self, request: Request, shopper_id: str) -> Response:
        """A shopper, by their id or that of a guest merged into them: consent, demographics, what is remembered."""
        shop = self.written_shop()
        person, row = rights.known(shop, shopper_id)
        return Response(
            {
                "shopper_id": row.external_id,
                "aliases": list(person.ids[1:]),
                "consent": _consent(row),
                "demographics": row.demographics,
                "sessions": row.sessions.count(),
                "memory": _memory(shop, row),
            }
        )

    @extend_schema(parameters=[ONE_SHOP], responses={200: ErasureOut, "4XX": ProblemOut})
    def delete(self, request: Request, shopper_id: str) -> Response:
        """Erase the shopper and everything held of them, in every store. It can't be undone."""
        done = rights.erase(self.written_shop(), shopper_id, by=_who(request))
        return Response({"erased_at": done.at, "counts": done.counts})


class Timeline(ShopperCall):
    @extend_schema(
        parameters=[OpenApiParameter("limit", int, description=f"At most {MOST_SESSIONS}."), ONE_SHOP],
        responses={200: TimelineOut, "4XX": ProblemOut},
    )
    def get(self, request: Request, shopper_id: str) -> Response:
        """The personas of the shopper's visits, the latest first."""
        shop = self.written_shop()
        _, row = rights.known(shop, shopper_id)
        limit = whole(request, "limit", default=SHOWN_SESSIONS, most=MOST_SESSIONS)
        return Response({"shopper_id": row.external_id, "sessions": timeline(shop, row, limit=limit)})


class Consent(ShopperCall):
    @extend_schema(parameters=[ONE_SHOP], request=ConsentIn, responses={200: ConsentOut, "4XX": ProblemOut})
    def put(self, request: Request, shopper_id: str) -> Response:
        """Record whether the shopper lets demographics be kept and used. A withdrawal deletes them at once."""
        given = request.data.get("demographics") if isinstance(request.data, dict) else None
        if not isinstance(given, bool):
            raise invalid(EventError("demographics", "must be true or false"))
        row = rights.set_consent(self.written_shop(), shopper_id, demographics=given, wrote=self.on_record)
        return Response(_consent(row))


class Demographics(ShopperCall):
    @extend_schema(
        parameters=[ONE_SHOP],
        request={"application/json": {"type": "object", "additionalProperties": _WORD}},
        responses={200: OpenApiTypes.OBJECT, "4XX": ProblemOut},
    )
    def put(self, request: Request, shopper_id: str) -> Response:
        """Replace the shopper's demographics, {name: value}. Only with recorded consent (409 otherwise)."""
        row = rights.set_demographics(self.written_shop(), shopper_id, request.data, wrote=self.on_record)
        return Response(row.demographics)


class Merge(ShopperCall):
    @extend_schema(parameters=[ONE_SHOP], request=MergeIn, responses={200: MergeOut, "4XX": ProblemOut})
    def post(self, request: Request, shopper_id: str) -> Response:
        """A guest logged in: their id is another of the shopper's from now on. Done again, it changes nothing."""
        guest = request.data.get("from") if isinstance(request.data, dict) else None
        return Response(rights.merge(self.written_shop(), shopper_id, guest, wrote=self.on_record))


class Export(ShopperCall):
    @extend_schema(parameters=[ONE_SHOP], responses={200: OpenApiTypes.OBJECT, "4XX": ProblemOut})
    def get(self, request: Request, shopper_id: str) -> Response:
        """Everything held of the shopper, as one JSON document to hand over."""
        shop = self.written_shop()
        given = exporting.export(shop, shopper_id)
        who = audit.key(request.auth) if isinstance(request.auth, ApiKey) else audit.person(request.user)
        audit.record(who, audit.EXPORTED, shop=shop, model=Shopper, what="Everything held of a shopper was handed out.")
        return Response(
            given, headers={"Content-Disposition": 'attachment; filename="shopper.json"', "Cache-Control": "no-store"}
        )


def _consent(row: Shopper) -> dict[str, datetime | bool | None]:
    return {"demographics": row.consent_demographics, "at": row.consent_at}


def _memory(shop: Shop, row: Shopper) -> dict[str, Any] | None:
    held = memory.read(shop.pk, row.external_id)
    if held is None:
        return None
    names = ("sessions", "history", "demographics", "at")
    return {"personas": {str(i): p for i, p in held.personas.items()}} | {name: getattr(held, name) for name in names}


def _who(request: Request) -> str:
    return f"API key {request.auth.name}" if isinstance(request.auth, ApiKey) else request.user.get_username()
