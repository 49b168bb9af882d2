"""What the adaptation learns, over the API: experiments, proposals of lasting changes, policies; read, and decided on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import exceptions, permissions, serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.cluster_drafts import EditConflict, EditError
from clusters.lineage import MAX_REASON, Actor
from clusters.models import ClusterChange, Item
from personas.models import ApiKey
from recommendations import audit
from recommendations.api.access import Conflict, MayManage, ShopRows
from recommendations.api.flags import Id
from recommendations.api.tagged import TaggedRows
from recommendations.api.texts import Text
from recommendations.key_hand import account_of_keys, signed
from recommendations.learning.models import ClusterProposal, Experiment, PolicyVersion

T = TypeVar("T")


# Shapes


class ArmOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    share = serializers.FloatField(help_text="Of the shoppers, 0 to 1.")
    policy = serializers.CharField(allow_blank=True, help_text="Version of the policy's component; empty for the release's own.")
    clusters = serializers.CharField(allow_blank=True, help_text="The same of its clusters.")
    adapts = serializers.BooleanField(help_text="Whether its sessions adapt at all.")


class GuardrailOut(serializers.Serializer[Any]):
    metric = serializers.CharField()
    least = serializers.FloatField(help_text="Relative change under which the experiment stops by itself.")


class ExperimentOut(serializers.ModelSerializer[Experiment]):
    arms = ArmOut(many=True, help_text="The control first.")
    guardrails = GuardrailOut(many=True)
    stopped_by = serializers.CharField(source="stopped_by.username", default=None, allow_null=True)

    class Meta:
        model = Experiment
        fields = (
            "id", "name", "state", "metric", "arms", "guardrails", "created_at", "starts_at", "ends_at", "started_at",
            "stopped_at", "stopped_by", "reason",
        )  # fmt: skip


class ArmIn(serializers.Serializer[Any]):
    name = Text(max_length=40)
    share = serializers.FloatField(min_value=0.01, max_value=1.0)
    policy = Text(required=False, allow_blank=True, default="", max_length=64)
    clusters = Text(required=False, allow_blank=True, default="", max_length=64)
    adapts = serializers.BooleanField(required=False, default=True)


BEGINS = "When it begins by itself; null for by hand. Plans of one shop may not overlap."
ENDS = "When it ends by itself; null for by hand."


class GuardrailIn(serializers.Serializer[Any]):
    metric = Text(max_length=40)
    least = serializers.FloatField()


class ExperimentIn(serializers.Serializer[Any]):
    name = Text(max_length=120)
    metric = Text(max_length=40, required=False, default="reward")
    arms = ArmIn(many=True, help_text="2 to 4, the control first.")
    guardrails = GuardrailIn(many=True, required=False, default=list)
    starts_at = serializers.DateTimeField(required=False, allow_null=True, default=None, help_text=BEGINS)
    ends_at = serializers.DateTimeField(required=False, allow_null=True, default=None, help_text=ENDS)


class PlanIn(serializers.Serializer[Any]):
    starts_at = serializers.DateTimeField(required=False, allow_null=True, help_text=BEGINS)
    ends_at = serializers.DateTimeField(required=False, allow_null=True, help_text=ENDS)


class ExperimentResultOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=Experiment.State.choices)
    result = serializers.DictField(help_text="As counted by now: of each arm and measure, with intervals; empty before.")


class WhyIn(serializers.Serializer[Any]):
    reason = Text(required=False, allow_blank=True, max_length=MAX_REASON // 2, default="")


class ProposalOut(serializers.ModelSerializer[ClusterProposal]):
    cluster_name = serializers.CharField(source="cluster.name")
    items = serializers.SerializerMethodField(help_text="Ids as the shop writes them, with the weight they would have.")
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)

    class Meta:
        model = ClusterProposal
        fields = (
            "id", "cluster", "cluster_name", "target", "kind", "state", "summary", "items", "effect", "low", "high", "verdict",
            "bound", "batch", "change", "experiment", "created_at", "decided_at", "decided_by", "overridden", "reason",
        )  # fmt: skip

    @extend_schema_field(
        {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["item_id", "weight"],
                "properties": {"item_id": {"type": "string"}, "weight": {"type": "number", "nullable": True}},
            },
        }
    )
    def get_items(self, proposal: ClusterProposal) -> list[dict[str, Any]]:
        names: dict[int, str] = self.context["items"]
        return [
            {"item_id": names[each["item"]], "weight": each.get("weight")} for each in proposal.items if each["item"] in names
        ]


class ApproveIn(WhyIn):
    items = serializers.ListField(
        child=Text(max_length=300),
        required=False,
        max_length=500,
        help_text="Some of its items; else all.",
    )


class PolicyOut(serializers.ModelSerializer[PolicyVersion]):
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)
    verdict = serializers.DictField(help_text="Of the gate, against the policy that served; empty before there is one.")
    learned = serializers.DictField(help_text="What it learned from; empty of one that learned nothing.")

    class Meta:
        model = PolicyVersion
        fields = (
            "id", "version", "component", "state", "against", "verdict", "learned", "created_at", "decided_at", "decided_by",
            "overridden", "reason",
        )  # fmt: skip


# What they share


class MayDecide(MayManage):
    """As `MayManage`; of staff, every verb asks for "change", and making one for "add"."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, ApiKey) or request.method in permissions.SAFE_METHODS:
            return super().has_permission(request, view)
        meta, user = view.queryset.model._meta, request.user
        right = f"{meta.app_label}.{'add' if view.action == 'create' else 'change'}_{meta.model_name}"
        return bool(user and user.is_active and user.is_staff and user.has_perm(right))


class Decided(TaggedRows, ShopRows):
    """Rows that somebody decides on, by name."""

    permission_classes = (MayDecide,)
    filter_backends = (filters.DjangoFilterBackend, OrderingFilter)
    lookup_value_regex = "[0-9]{1,18}"

    def given(self, form: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        serializer = form(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def by(self) -> Any:
        """The user who decides; of all keys it is one account, which may not override."""
        return account_of_keys() if isinstance(self.request.auth, ApiKey) else self.request.user

    def because(self, given: dict[str, Any]) -> str:
        """The reason that goes on record, with the key's name."""
        reason = str(given.get("reason", ""))
        return signed(self.request.auth, reason) if isinstance(self.request.auth, ApiKey) else reason

    def done(self, do: Callable[[], T]) -> T:
        """What was done. Raises Conflict (409), ValidationError (400), PermissionDenied (403)."""
        from recommendations.learning.policies import PolicyError
        from recommendations.releases import ReleaseError

        try:
            return do()
        except EditConflict as error:
            raise Conflict(str(error)) from error
        except EditError as error:
            if error.field in ("proposal", "experiment", "verdict"):
                raise Conflict(str(error)) from error
            raise ValidationError({error.field: [error.reason]}) from error
        except PermissionDenied as error:
            raise exceptions.PermissionDenied(str(error)) from error
        except (PolicyError, ReleaseError) as error:
            raise Conflict(str(error)) from error


# Experiments


class ExperimentFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=Experiment.State.choices)

    class Meta:
        model = Experiment
        fields = ("state",)


class Experiments(Decided):
    """Shoppers split at random between ways to adapt, to tell which is better."""

    together = frozenset({"create", "start", "plan", "stop"})
    queryset = Experiment.objects.select_related("shop", "stopped_by").order_by("-pk")
    serializer_class = ExperimentOut
    filterset_class = ExperimentFilter
    ordering_fields = ("id", "name", "created_at", "started_at")

    @extend_schema(
        request=ExperimentIn,
        responses={201: ExperimentOut},
        examples=[
            OpenApiExample(
                "Adapting against not adapting",
                value={
                    "name": "Does adapting pay?",
                    "arms": [{"name": "as is", "share": 0.5}, {"name": "still", "share": 0.5, "adapts": False}],
                    "guardrails": [{"metric": "revenue", "least": -0.05}],
                },
                request_only=True,
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Make an experiment; it doesn't run yet."""
        from recommendations.learning import experiments

        given, shop = self.given(ExperimentIn), self.written_shop()
        row = self.done(lambda: experiments.create(shop, **given, user=self.by()))
        return Response(self.told(row), status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=ExperimentOut)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        """Let it run; one at a time runs in a shop."""
        from recommendations.learning import experiments

        row = self.get_object()
        self.done(lambda: experiments.start(row))
        return Response(self.told(row))

    @extend_schema(request=PlanIn, responses=ExperimentOut)
    @action(detail=True, methods=["post"])
    def plan(self, request: Request, pk: str) -> Response:
        """Set when it begins and ends by itself; what isn't named stays. 409 where it would overlap with another."""
        from recommendations.learning import experiment_dates

        row, given = self.get_object(), self.given(PlanIn)
        dates = {"starts_at": row.starts_at, "ends_at": row.ends_at, **given}
        self.done(lambda: experiment_dates.plan(row, **dates))
        return Response(self.told(row))

    @extend_schema(request=WhyIn, responses=ExperimentOut)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """End it: everybody is served as the shop is, within seconds. 409 where it doesn't run."""
        from recommendations.learning import experiments

        row, given = self.get_object(), self.given(WhyIn)
        if not self.done(lambda: experiments.stop(row, by=self.by(), reason=self.because(given))):
            raise Conflict("It doesn't run.")
        return Response(self.told(row))

    @extend_schema(responses=ExperimentResultOut, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def result(self, request: Request, pk: str) -> Response:
        """What is known by now."""
        row = self.get_object()
        return Response({"id": row.pk, "state": row.state, "result": row.result})


# Proposals


class ProposalFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=ClusterProposal.State.choices)
    kind = filters.ChoiceFilter(choices=ClusterProposal.Kind.choices)
    verdict = filters.ChoiceFilter(choices=ClusterProposal.Verdict.choices)
    cluster = Id()
    batch = filters.UUIDFilter()

    class Meta:
        model = ClusterProposal
        fields = ("state", "kind", "verdict", "cluster", "batch")


class Proposals(Decided):
    """Lasting changes of clusters that learning proposes, with what speaks for each."""

    together = frozenset({"reject", "undo"})
    queryset = ClusterProposal.objects.select_related("shop", "cluster", "target", "decided_by").order_by("-pk")
    serializer_class = ProposalOut
    filterset_class = ProposalFilter
    ordering_fields = ("id", "effect", "low", "created_at", "decided_at")

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Proposals, the latest first; `?state=open` those that wait for a decision."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response(ProposalOut(page, many=True, context=_items_of(page)).data)

    def told(self, row: Any) -> Any:
        return ProposalOut(row, context=_items_of([row])).data

    @extend_schema(request=ApproveIn, responses=ProposalOut)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Make the change, with all of its items or some. 409 where it isn't known to be better, is decided, or became stale."""
        from recommendations.cluster_runs import request_publish

        row, given = self.get_object(), self.given(ApproveIn)
        items = None
        if "items" in given:
            known = Item.objects.ids_of(row.shop, given["items"])
            if missing := [each for each in given["items"] if each not in known]:
                raise ValidationError({"items": [f"the catalogue has no item {missing[0][:40]!r}"]})
            items = list(known.values())
        self.done(lambda: self._applied(proposal=row, user=self.by(), reason=self.because(given), items=items))
        request_publish(row.shop)
        return Response(self.told(row))

    def _applied(self, **given: Any) -> None:
        """Applied and on record in one transaction, which keeps what became of a proposal that can't be. Raises EditError."""
        from recommendations.learning.proposals import apply_proposal

        refused: EditError | None = None
        with transaction.atomic():
            try:
                apply_proposal(**given)
                audit.of_call(self.request, self)
            except EditError as error:
                refused = error
        if refused is not None:
            raise refused

    @extend_schema(request=WhyIn, responses=ProposalOut)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """Turn it down."""
        from recommendations.learning import proposals

        row, given = self.get_object(), self.given(WhyIn)
        self.done(lambda: proposals.reject_proposal(proposal=row, user=self.by(), reason=self.because(given)))
        return Response(self.told(row))

    @extend_schema(request=WhyIn, responses=ProposalOut)
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, pk: str) -> Response:
        """Take back what it changed. 409 where what it touched changed since."""
        from recommendations.cluster_runs import request_publish
        from recommendations.learning import proposals

        row, given = self.get_object(), self.given(WhyIn)
        key = self.request.auth if isinstance(self.request.auth, ApiKey) else None
        kind = ClusterChange.Actor.API if key else ClusterChange.Actor.MERCHANDISER
        by = Actor(kind, who=key.name) if key else Actor(kind, user=self.request.user)
        self.done(lambda: proposals.undo_proposal(proposal=row, by=by, reason=given["reason"]))
        request_publish(row.shop)
        return Response(self.told(row))


def _items_of(proposals: list[ClusterProposal]) -> dict[str, Any]:
    """What the serializer needs to name their items: one look for a page."""
    ids = {each["item"] for proposal in proposals for each in proposal.items}
    return {"items": dict(Item.objects.filter(pk__in=ids).values_list("pk", "external_id"))}


# Policies


class PolicyFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=PolicyVersion.State.choices)

    class Meta:
        model = PolicyVersion
        fields = ("state",)


class Policies(Decided):
    """Policies that were learned, and what the gate said of each."""

    together = frozenset({"refuse"})
    queryset = PolicyVersion.objects.select_related("shop", "decided_by").order_by("-pk")
    serializer_class = PolicyOut
    filterset_class = PolicyFilter
    ordering_fields = ("id", "created_at", "decided_at")

    @extend_schema(request=WhyIn, responses=PolicyOut)
    @action(detail=True, methods=["post"], url_path="go-live")
    def go_live(self, request: Request, pk: str) -> Response:
        """Let it serve. A key may only where the gate says that it is better; 409 where it serves already."""
        from recommendations.learning import policies

        row, given = self.get_object(), self.given(WhyIn)
        by, why = self.by(), self.because(given)
        self.done(lambda: policies.go_live(row, by=by, reason=why, also=lambda release: audit.of_call(request, self)))
        row.refresh_from_db()
        return Response(self.told(row))

    @extend_schema(request=WhyIn, responses=PolicyOut)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, pk: str) -> Response:
        """Turn a candidate down."""
        from recommendations.learning import policies

        row, given = self.get_object(), self.given(WhyIn)
        self.done(lambda: policies.refuse(row, by=self.by(), reason=self.because(given)))
        return Response(self.told(row))
