"""Merchandisers' rules over the API: what they say, how often each acted, and the merchandiser's hand on them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import permissions, serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.cluster_drafts import MAX_NAME, EditConflict, EditError, external_ids, find_items
from personas.models import ApiKey, Shop
from recommendations import key_hand, rule_editing, rule_words
from recommendations.api.access import Conflict, MayManage, ShopRows, whole
from recommendations.api.flags import Flag
from recommendations.api.tagged import TaggedRows, check_match
from recommendations.api.texts import Text
from recommendations.models import MerchandisingRule
from recommendations.rule_editing import MOST_ITEMS, MOST_NAMES
from recommendations.session import CONTEXTS

T = TypeVar("T")

MOST_DAYS = 400
_PIN = OpenApiExample(
    "A pin for one week",
    {
        "name": "New lantern first",
        "action": "pin",
        "slot": 1,
        "target": {"items": ["lantern-3"]},
        "contexts": ["home"],
        "starts_at": "2026-12-01T00:00:00Z",
        "ends_at": "2026-12-08T00:00:00Z",
    },
    request_only=True,
)
_BOOST = OpenApiExample(
    "A boost for a persona",
    {
        "name": "Sale for bargain hunters",
        "action": "boost",
        "strength": 2.0,
        "target": {"attributes": ["discount=reduced"], "price_max": 40},
        "personas": [3],
    },
    request_only=True,
)


def _names(**options: Any) -> Any:
    return serializers.ListField(child=Text(max_length=300), required=False, **{"max_length": MOST_NAMES, **options})


def _ids(help_text: str) -> Any:
    return serializers.ListField(
        child=serializers.IntegerField(min_value=1), required=False, max_length=MOST_NAMES, help_text=help_text
    )


class TargetShape(serializers.Serializer[Any]):
    """The items that a rule is about: those that meet every condition given."""

    items = _names(max_length=MOST_ITEMS, help_text="Ids as the shop writes them. A pin shows the first that can be shown.")
    categories = _names()
    brands = _names()
    attributes = _names(help_text="`colour=blue`, `tag=sale`, `price_tier=top`, ...; any of them will do.")
    clusters = _ids("Item clusters, any of which the item is in.")
    price_min = serializers.FloatField(required=False, allow_null=True, min_value=0)
    price_max = serializers.FloatField(required=False, allow_null=True, min_value=0)


class RuleIn(serializers.Serializer[Any]):
    name = Text(max_length=MAX_NAME)
    action = serializers.ChoiceField(MerchandisingRule.Action.choices)
    target = TargetShape(required=False)
    personas = _ids("Acts while one of them is active; empty for everybody.")
    contexts = serializers.ListField(
        child=serializers.ChoiceField(CONTEXTS), required=False, help_text="Where it acts; empty for everywhere."
    )
    clusters = _ids("Acts while one of them is selected for the session; empty for always.")
    starts_at = serializers.DateTimeField(required=False, allow_null=True)
    ends_at = serializers.DateTimeField(required=False, allow_null=True)
    slot = serializers.IntegerField(required=False, allow_null=True, help_text="Pin: the place, 1 to 50.")
    strength = serializers.FloatField(required=False, allow_null=True, help_text="Boost, bury: factor of the odds, 1.1 to 1000.")
    share = serializers.FloatField(required=False, allow_null=True, help_text="Balance: largest share of the slots, up to 1.")
    margin = serializers.FloatField(required=False, allow_null=True, help_text="Margin floor: least (price - cost) / price.")
    holdout = serializers.FloatField(
        required=False,
        allow_null=True,
        help_text="Share of visits, 0 to 0.5, drawn by chance, that go without the rule, so that it is known what it brings.",
    )
    enabled = serializers.BooleanField(required=False, default=True)


class RulePatch(RuleIn):
    """What is not named stays; a target is replaced as a whole."""

    name = Text(max_length=MAX_NAME, required=False)
    action = serializers.ChoiceField(MerchandisingRule.Action.choices, required=False)
    enabled = serializers.BooleanField(required=False)


class RuleOut(serializers.ModelSerializer[MerchandisingRule]):
    target = serializers.SerializerMethodField()
    does = serializers.SerializerMethodField(help_text="What it does, in words.")
    acts = serializers.SerializerMethodField(help_text="Where it acts, in words.")

    class Meta:
        model = MerchandisingRule
        fields = ("id", *rule_editing.FIELDS, "does", "acts", "created_at", "updated_at", "retired_at")

    @extend_schema_field(TargetShape)
    def get_target(self, rule: MerchandisingRule) -> dict[str, Any]:
        target = dict(rule.target)
        if items := target.get("items"):
            target["items"] = external_ids(items)
        return target

    @extend_schema_field(serializers.CharField())
    def get_does(self, rule: MerchandisingRule) -> str:
        return rule_words.what(rule, self._of(rule))

    @extend_schema_field(serializers.CharField())
    def get_acts(self, rule: MerchandisingRule) -> str:
        return rule_words.where(rule, self._of(rule))

    def _of(self, rule: MerchandisingRule) -> rule_words.Names:
        names: rule_words.Names = self.context.get("names") or rule_words.Names.of([rule])
        return names


class DayOut(serializers.Serializer[Any]):
    day = serializers.DateField()
    slates = serializers.IntegerField(help_text="Slates that it acted on.")
    items = serializers.IntegerField(help_text="Items that it moved, put in or kept out.")


class TalliesOut(serializers.Serializer[Any]):
    slates = serializers.IntegerField()
    items = serializers.IntegerField()
    days = DayOut(many=True, help_text="In UTC, the latest first; days without any are left out.")


class RuleFilter(filters.FilterSet):
    q = filters.CharFilter(field_name="name", lookup_expr="icontains", label="Part of the name.")
    action = filters.ChoiceFilter(choices=MerchandisingRule.Action.choices)
    enabled = Flag()
    retired = Flag(
        field_name="retired_at", lookup_expr="isnull", exclude=True, label="True: those that were taken out, not the others."
    )

    class Meta:
        model = MerchandisingRule
        fields = ("action", "enabled")


class MayEditRules(MayManage):
    """As `MayManage`; staff need "add" to make a rule, and "change" for all else, taking it out too."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, ApiKey) or request.method in permissions.SAFE_METHODS:
            return super().has_permission(request, view)
        right = "add" if view.action == "create" else "change"
        user = request.user
        return bool(user and user.is_active and user.is_staff and user.has_perm(f"recommendations.{right}_merchandisingrule"))


class Rules(TaggedRows, ShopRows):
    """What merchandisers want of slates. A change acts within seconds; nothing is deleted, for logs name rules."""

    queryset = MerchandisingRule.objects.select_related("shop").order_by("pk")
    serializer_class = RuleOut
    permission_classes = (MayEditRules,)
    filter_backends = (filters.DjangoFilterBackend, OrderingFilter)
    filterset_class = RuleFilter
    ordering_fields: ClassVar = ("id", "name", "starts_at", "ends_at", "updated_at")
    lookup_value_regex = "[0-9]{1,18}"

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        return rows.filter(retired_at=None) if self.action == "list" and "retired" not in self.request.query_params else rows

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Rules that were not taken out, or with `?retired=true` those that were."""
        rows = self.filter_queryset(self.get_queryset())
        page = self.paginate_queryset(rows)
        shown = list(rows) if page is None else page
        told = RuleOut(shown, many=True, context={"names": rule_words.Names.of(shown)}).data
        return Response(told) if page is None else self.get_paginated_response(told)

    @extend_schema(request=RuleIn, responses={201: RuleOut}, examples=[_PIN, _BOOST])
    def create(self, request: Request) -> Response:
        """Make a rule. It acts within seconds, if it is enabled and its dates say so."""
        shop = self.written_shop()
        fields = self._given(RuleIn, shop)
        rule = self._done(lambda: rule_editing.create(shop=shop, user=self._user(), **fields))
        self._log(rule, "Made.", ADDITION)
        return Response(RuleOut(rule).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=RulePatch, responses=RuleOut)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a rule, or switch it on or off by `enabled`."""
        rule = self.get_object()
        fields = self._given(RulePatch, rule.shop)
        with self._as_seen(rule):
            if fields.keys() == {"enabled"}:
                changed = ["enabled"] if self._done(lambda: rule_editing.switch(rule=rule, on=fields["enabled"])) else []
            else:
                changed = self._done(lambda: rule_editing.change(rule=rule, **fields))
            if changed:
                self._log(rule, f"Changed: {', '.join(changed)}.")
        return Response(RuleOut(rule).data)

    @extend_schema(responses={200: RuleOut})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take a rule out. It keeps its id and its tallies, and can be restored."""
        rule = self.get_object()
        with self._as_seen(rule):
            if self._done(lambda: rule_editing.retire(rule=rule)):
                self._log(rule, "Taken out.")
        return Response(RuleOut(rule).data)

    @extend_schema(request=None, responses=RuleOut)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str) -> Response:
        """Bring a rule back that was taken out, as it was."""
        rule = self.get_object()
        if self._done(lambda: rule_editing.restore(rule=rule)):
            self._log(rule, "Restored.")
        return Response(RuleOut(rule).data)

    @extend_schema(
        responses=TalliesOut,
        filters=False,
        parameters=[OpenApiParameter("days", int, description=f"Days back with today; else 30, at most {MOST_DAYS}.")],
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def tallies(self, request: Request, pk: str) -> Response:
        """How often the rule acted, by day."""
        rule = self.get_object()
        days = max(1, whole(request, "days", default=30, most=MOST_DAYS))
        since = timezone.now().astimezone(dt.UTC).date() - dt.timedelta(days=days - 1)
        rows = list(rule.tallies.filter(day__gte=since).order_by("-day"))
        body = {"slates": sum(r.slates for r in rows), "items": sum(r.items for r in rows), "days": rows}
        return Response(TalliesOut(body).data)

    # What is given, done, put on record

    @contextmanager
    def _as_seen(self, rule: MerchandisingRule) -> Iterator[None]:
        """For a change of a rule that the caller has seen as it is: nobody else's comes between. Raises Problem (412)."""
        with transaction.atomic():
            Shop.objects.select_for_update().get(pk=rule.shop_id)
            rule.refresh_from_db()
            check_match(self.request, self.told(rule))
            yield

    def _given(self, form: type[serializers.Serializer[Any]], shop: Shop) -> dict[str, Any]:
        """The request's body, checked, with the items' ids of here. Raises ValidationError."""
        serializer = form(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        if unknown := [name for name in self.request.data if name not in serializer.fields]:
            raise ValidationError({str(unknown[0])[:60]: [f"is not known; this takes {', '.join(serializer.fields)}"]})
        given: dict[str, Any] = dict(serializer.validated_data)
        if "target" in given:
            target, sent = dict(given["target"]), self.request.data["target"]
            if unknown := [name for name in sent if name not in TargetShape().fields]:
                raise ValidationError(
                    {f"target.{unknown[0]}"[:60]: [f"is not known; a target takes {', '.join(TargetShape().fields)}"]}
                )
            if target.get("items"):
                target["items"] = self._done(lambda: find_items(shop, list(dict.fromkeys(target["items"])), "target.items"))
            given["target"] = target
        return given

    def _done(self, do: Callable[[], T]) -> T:
        try:
            return do()
        except EditConflict as error:
            raise Conflict(str(error)) from error
        except EditError as error:
            raise ValidationError({error.field: [error.reason]}) from error

    def _user(self) -> Any:
        return None if isinstance(self.request.auth, ApiKey) else self.request.user

    def _log(self, rule: MerchandisingRule, words: str, flag: int = CHANGE) -> None:
        """In the admin's record of the rule: the user, or the key by its name."""
        user = self._user()
        if user is None:
            key_hand.log(self.request.auth, rule, words, flag)
            return
        LogEntry.objects.log_actions(user.pk, [rule], flag, change_message=words, single_object=True)
