"""Why an item was shown, and what a session would have been, over the API. Both only read."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import authentication, exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from personas.events import MAX_ID, MAX_QUERY, NAMES, EventError, check_id
from personas.models import Session, Shop
from recommendations.api.access import KeyAuthentication, MayRead, OneShop
from recommendations.api.hot import ProblemOut
from recommendations.api.texts import Text
from recommendations.models import ServedSlate
from recommendations.serving.problems import Problem, invalid
from recommendations.session import CONTEXTS

MOST_EDITS = 20
MOST_COUNT = 50
MOST_SLATES = 50
MOST_CONTEXT = 20

_FIELDS = {"item": "item_id", "query": "search_term"}
"""Names that this API has for what `counterfactual.Edit` calls otherwise."""

ONE_SHOP = OpenApiParameter("shop", str, description="The shop's slug; for staff only, a key knows its shop.")


# Shapes


class PartOut(serializers.Serializer[Any]):
    part = serializers.CharField(help_text="An expert, or what is added outside the blend: `rules`, `cluster weights`, ...")
    value = serializers.FloatField(help_text="Log-odds.")


class CauseOut(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=("item", "expert", "cluster", "persona", "page"))
    id = serializers.JSONField(allow_null=True, help_text="Of the item (the shop's own), cluster or persona.")
    name = serializers.CharField()
    fall = serializers.FloatField(allow_null=True, help_text="By how much the item's log-odds would fall without it.")
    holds = serializers.BooleanField(help_text="Whether that is more than rounding. Only such causes are ever named.")


class WhyOut(serializers.Serializer[Any]):
    recommendation_id = serializers.CharField()
    session_id = serializers.CharField()
    item_id = serializers.CharField()
    slot = serializers.IntegerField()
    context = serializers.CharField()  # type: ignore[assignment]
    at = serializers.FloatField()
    release = serializers.CharField(help_text="That served the slate, under version `overlay` of the live overlay.")
    overlay = serializers.IntegerField()
    told_on = serializers.DictField(help_text="Release and overlay that the numbers are of: those of then, where they are kept.")
    exact = serializers.BooleanField(help_text="The score made again is the one that was served.")
    note = serializers.CharField(allow_null=True, help_text="What is not as it was then.")
    score = serializers.FloatField()
    served_score = serializers.FloatField()
    propensity = serializers.FloatField()
    baseline = serializers.FloatField(help_text="The score of the average candidate. With the parts it adds up to `score`.")
    parts = PartOut(many=True)
    place = serializers.IntegerField(help_text="In the ranking, from 1.")
    ranked = serializers.IntegerField()
    log_odds = serializers.FloatField(allow_null=True, help_text="Of the item against the others of the ranking.")
    causes = CauseOut(many=True)
    persona = serializers.DictField(allow_null=True)
    cluster = serializers.DictField(allow_null=True)
    expert = serializers.CharField(allow_blank=True)
    because = serializers.CharField(allow_null=True)
    rules = serializers.ListField(child=serializers.DictField())
    reason = serializers.CharField(allow_null=True, help_text="For the shopper.")
    sentences = serializers.ListField(child=serializers.CharField(), help_text="For the merchandiser.")


class EditIn(serializers.Serializer[Any]):
    op = serializers.ChoiceField(choices=("remove", "replace", "insert"))
    event_id = Text(
        max_length=MAX_ID, required=False, default="", allow_blank=True, help_text="Which event; for insert, the one before."
    )
    name = serializers.ChoiceField(choices=[n for n in NAMES if n != "view_item_list"], required=False, default="")
    item_id = Text(max_length=MAX_ID, required=False, default="", allow_blank=True)
    search_term = Text(max_length=MAX_QUERY, required=False, default="", allow_blank=True)
    after_s = serializers.FloatField(min_value=0.0, max_value=86_400.0, required=False, default=1.0)


class AskedIn(serializers.Serializer[Any]):
    context = serializers.ChoiceField(  # type: ignore[assignment]
        choices=[c for c in CONTEXTS if c != "search"], required=False, default="home"
    )
    count = serializers.IntegerField(min_value=1, max_value=MOST_COUNT, required=False, default=12)


class CounterfactualIn(serializers.Serializer[Any]):
    edits = EditIn(many=True, required=False, default=list, help_text=f"At most {MOST_EDITS}.")
    context = serializers.DictField(  # type: ignore[assignment]
        child=Text(max_length=80, allow_blank=True),
        required=False,
        default=dict,
        help_text="Evidence by name that replaces the session's; an empty value leaves one out.",
    )
    recommend = AskedIn(required=False, default=None, help_text="How slates are asked for; by default as the last one was.")
    slates = serializers.IntegerField(
        min_value=1, max_value=MOST_SLATES, required=False, default=10, help_text="Moments, the last ones, that have a slate."
    )

    def validate_edits(self, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len(given) > MOST_EDITS:
            raise serializers.ValidationError(f"has {len(given)} edits, more than {MOST_EDITS}")
        return given

    def validate_context(self, given: dict[str, str]) -> dict[str, str]:
        if len(given) > MOST_CONTEXT:
            raise serializers.ValidationError(f"has {len(given)} names, more than {MOST_CONTEXT}")
        return given

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["edits"] and not attrs["context"]:
            raise serializers.ValidationError({"edits": ["name an edit, or evidence in `context`: nothing would change"]})
        return attrs


class CounterfactualOut(serializers.Serializer[Any]):
    session_id = serializers.CharField()
    release = serializers.CharField()
    overlay = serializers.IntegerField()
    note = serializers.CharField(allow_null=True)
    moments = serializers.ListField(
        child=serializers.DictField(),
        help_text="The start, then one an event: `was` and `would`, null where a course lacks the event; each with belief, "
        "shares, clusters and, for the last ones, the slate.",
    )
    end = serializers.DictField(help_text="What differs at the end: belief by persona; clusters and items, out and in.")


# Calls


class ReadingCall(OneShop, APIView):
    """A key with `read`, or staff who may view the rows in the admin. Nothing is changed."""

    authentication_classes = (KeyAuthentication, authentication.SessionAuthentication)
    permission_classes = (MayRead,)
    audited = False


class Why(ReadingCall):
    """Why an item was recommended."""

    queryset = ServedSlate.objects.select_related("shop")

    @extend_schema(parameters=[ONE_SHOP], responses={200: WhyOut, "4XX": ProblemOut, 503: ProblemOut})
    def get(self, request: Request, recommendation_id: str, item_id: str) -> Response:
        """Why a served slate holds an item: what its score is made of, and what it would miss without each cause.

        The slate is made again, on the release and the live overlay of then where they are kept; `exact` says whether its
        score is the one that was served. Parts add up: `baseline` + sum of `parts` = `score`.
        """
        from recommendations import accounts, releases  # the numeric stack, which the other calls do without

        shop = self.written_shop()
        slate = self.queryset.filter(shop=shop, recommendation_id=_id("recommendation_id", recommendation_id)).first()
        if slate is None:
            raise Problem(404, "not_found", "No slate of this id is archived; one is a few seconds after it was served.")
        item = accounts.item_of(shop, _id("item_id", item_id))
        if item is None:
            raise Problem(404, "not_found", f"The catalogue has no item {item_id!r}.")
        try:
            return Response(accounts.why_json(accounts.explain(slate, item)))
        except accounts.NotThereError as error:
            raise Problem(404, "not_found", str(error)) from error
        except releases.ReleaseError as error:
            raise Problem(503, "no_release", str(error)) from error


class Counterfactual(ReadingCall):
    """What a session would have been."""

    queryset = Session.objects.select_related("shop", "shopper")

    @extend_schema(
        parameters=[ONE_SHOP],
        request=CounterfactualIn,
        responses={200: CounterfactualOut, "4XX": ProblemOut, 503: ProblemOut},
        examples=[
            OpenApiExample(
                "Without one event, and with another item in its place",
                request_only=True,
                value={
                    "edits": [
                        {"op": "remove", "event_id": "e3"},
                        {"op": "replace", "event_id": "e4", "item_id": "sku-77"},
                        {"op": "insert", "event_id": "e4", "name": "add_to_cart", "item_id": "sku-77", "after_s": 20},
                    ],
                    "context": {"country": "DE"},
                    "recommend": {"context": "home", "count": 6},
                },
            )
        ],
    )
    def post(self, request: Request, session_id: str) -> Response:
        """An archived session replayed with some events left out, changed or put in, beside the session as it was.

        Nothing is changed, and no learning hears of it. Exploration is left out of both courses.
        """
        from recommendations import accounts, counterfactual, releases  # the numeric stack, which the other calls do without
        from recommendations.session import Request as Asked

        shop = self.written_shop()
        session = self.queryset.filter(shop=shop, session_id=_id("session_id", session_id)).first()
        if session is None:
            raise Problem(404, "not_found", "No session of this id is archived; a live one is a few seconds after its events.")
        given = CounterfactualIn(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        edits = [_edit(shop, i, edit) for i, edit in enumerate(values["edits"])]
        asked = values["recommend"]
        try:
            told = accounts.what_if(
                session,
                edits,
                context=values["context"],
                request=Asked(now=0.0, count=asked["count"], context=asked["context"]) if asked else None,
                slates=values["slates"],
            )
        except counterfactual.EditError as error:
            field = _FIELDS.get(error.field, error.field)
            raise exceptions.ValidationError({f"edits[{error.index}].{field}": [error.reason]}) from error
        except accounts.NotThereError as error:
            raise Problem(404, "not_found", str(error)) from error
        except releases.ReleaseError as error:
            raise Problem(503, "no_release", str(error)) from error
        return Response(accounts.what_if_json(told))


def _edit(shop: Shop, index: int, given: dict[str, Any]) -> Any:
    """The engine's form of an edit. Raises ValidationError where the catalogue has no such item."""
    from recommendations import accounts
    from recommendations.counterfactual import Edit

    item = accounts.item_of(shop, given["item_id"]) if given["item_id"] else 0
    if item is None:
        raise exceptions.ValidationError({f"edits[{index}].item_id": [f"the catalogue has no item {given['item_id']!r}"]})
    return Edit(given["op"], given["event_id"], given["name"], item, given["search_term"], given["after_s"])


def _id(name: str, value: str) -> str:
    try:
        return check_id(name, value)
    except EventError as error:
        raise invalid(error) from error
