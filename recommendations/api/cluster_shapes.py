"""What the API tells of clusters and their lineage, and what it takes to edit them: shapes, for views and for the schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from clusters.cluster_drafts import MAX_ITEMS, MAX_NAME
from clusters.editing import MOST_MERGED
from clusters.kept_out import MOST
from clusters.lineage import MAX_REASON
from clusters.models import ClusterChange, ClusterItemRule, ItemCluster
from personas.events import EventError, check_id
from recommendations.api.texts import Text

MOST_RECORDS = 20_000
"""Records that one import over the API may bring."""


# What is told


class ClusterSerializer(serializers.ModelSerializer[ItemCluster]):
    class Meta:
        model = ItemCluster
        fields = (
            "id", "name", "kind", "size", "share", "descriptors", "locked", "minimum_size", "maximum_size", "retired_at",
            "updated_at",
        )  # fmt: skip


class OneClusterSerializer(ClusterSerializer):
    core = serializers.SerializerMethodField(help_text="Items that never leave it.")
    excluded = serializers.SerializerMethodField(help_text="Items that are never in it.")
    kept_out = serializers.SerializerMethodField(help_text="Kinds of items that it takes in none of, core ones apart.")

    class Meta(ClusterSerializer.Meta):
        more = ("named_by_hand", "parts", "provenance", "core", "excluded", "kept_out", "created_at")
        fields = (*ClusterSerializer.Meta.fields, *more)  # type: ignore[assignment]

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_core(self, cluster: ItemCluster) -> list[str]:
        return self._ruled(cluster, ClusterItemRule.Rule.CORE)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_excluded(self, cluster: ItemCluster) -> list[str]:
        return self._ruled(cluster, ClusterItemRule.Rule.EXCLUDED)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_kept_out(self, cluster: ItemCluster) -> list[str]:
        return list(cluster.bars.order_by("kind").values_list("kind", flat=True))

    def _ruled(self, cluster: ItemCluster, rule: str) -> list[str]:
        return list(cluster.item_rules.filter(rule=rule).values_list("item__external_id", flat=True))


class MemberOut(serializers.Serializer[Any]):
    item_id = serializers.CharField(source="item.external_id")
    title = serializers.CharField(source="item.title")
    category = serializers.CharField(source="item.category")
    price = serializers.DecimalField(source="item.price", max_digits=14, decimal_places=4, allow_null=True)
    in_stock = serializers.BooleanField(source="item.in_stock")
    weight = serializers.FloatField(help_text="Above 0, at most 1 for the most typical.")
    part = serializers.IntegerField(allow_null=True, help_text="Number of the cluster's part that it is shown in.")
    rule = serializers.SerializerMethodField(help_text="`core`, `taken` (in by learning), `lessened`, or null.")
    why = serializers.SerializerMethodField(help_text="Sentences, the strongest reason first.")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_rule(self, membership: Any) -> str | None:
        rules: dict[int, str] = self.context["rules"]
        return rules.get(membership.item_id)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_why(self, membership: Any) -> list[str]:
        return list(self.context["why"].get(membership.item_id, ()))


class ChangeSerializer(serializers.ModelSerializer[ClusterChange]):
    name = serializers.CharField(source="cluster.name", help_text="The cluster's name by now.")
    user = serializers.CharField(source="user.username", default=None, allow_null=True)
    undone_by = serializers.SerializerMethodField(help_text="Id of the change that took it back, or null.")

    class Meta:
        model = ClusterChange
        fields = (
            "id", "cluster", "name", "at", "actor", "user", "who", "action", "summary", "reason", "batch", "others", "undoes",
            "undone_by",
        )  # fmt: skip

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_undone_by(self, change: ClusterChange) -> int | None:
        undone = getattr(change, "undone_by", None)
        return None if undone is None else undone.pk


class WholeChangeSerializer(ChangeSerializer):
    class Meta(ChangeSerializer.Meta):
        fields = (*ChangeSerializer.Meta.fields, "delta")  # type: ignore[assignment]


class EditOut(serializers.Serializer[Any]):
    clusters = ClusterSerializer(many=True, help_text="Those that were changed, as they are now.")
    changes = ChangeSerializer(many=True, help_text="What was recorded; nothing where all was so already.")


class RejectOut(serializers.Serializer[Any]):
    line = serializers.IntegerField(help_text="Of the record, from 1.")
    field = serializers.CharField(allow_blank=True, help_text="Empty where the record as a whole is at fault.")
    reason = serializers.CharField()


class ImportOut(serializers.Serializer[Any]):
    read = serializers.IntegerField(help_text="Records.")
    added = serializers.IntegerField(help_text="Items that came into a cluster.")
    known = serializers.IntegerField(help_text="Items that were there already.")
    rejected = serializers.IntegerField()
    rejects = serializers.ListField(child=RejectOut(), help_text="The first of them.")
    notes = serializers.ListField(child=serializers.CharField())


class TermOut(serializers.Serializer[Any]):
    kind = serializers.CharField(help_text="`everybody`, `persona` or `descriptor`.")
    name = serializers.CharField(allow_blank=True)
    attribute = serializers.CharField(allow_blank=True, help_text="Whose descriptor it is.")
    value = serializers.FloatField()


class AlignedOut(serializers.Serializer[Any]):
    archetype_id = serializers.IntegerField()
    name = serializers.CharField()
    score = serializers.FloatField(help_text="0 to 1; 1/2 is as everybody.")
    terms = TermOut(many=True, help_text="They add up to the score.")


# What is given


class ReasonIn(serializers.Serializer[Any]):
    reason = Text(required=False, allow_blank=True, max_length=MAX_REASON, default="")


class NameIn(ReasonIn):
    name = Text(required=False, max_length=MAX_NAME, help_text="Another name than it has.")


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {"item_id": {"type": "string"}, "weight": {"type": "number"}},
                "required": ["item_id"],
            },
        ]
    }
)
class ItemField(serializers.Field[Any, Any, Any, Any]):
    """ "sku", or {"item_id": "sku", "weight": 0.5}; as (id, weight or None)."""

    def to_internal_value(self, data: Any) -> tuple[str, float | None]:
        entry = data if isinstance(data, dict) else {"item_id": data}
        external, weight = entry.get("item_id"), entry.get("weight")
        if entry.keys() - {"item_id", "weight"}:
            raise ValidationError('must be an item\'s id, or {"item_id", "weight"}')
        try:
            external = check_id("item_id", external)
        except EventError as error:
            raise ValidationError(str(error)) from error
        if weight is not None and (isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 1):
            raise ValidationError("weights are numbers above 0 and at most 1")
        return external, weight

    def to_representation(self, value: Any) -> Any:
        return value


def weighted_items(**options: Any) -> Any:
    return serializers.ListField(child=ItemField(), max_length=MAX_ITEMS, **options)


def item_ids(**options: Any) -> Any:
    return serializers.ListField(child=Text(max_length=300), max_length=MAX_ITEMS, **options)


def bound() -> Any:
    return serializers.IntegerField(required=False, allow_null=True, help_text="Items; null for no bound.")


class ClusterIn(ReasonIn):
    name = Text(max_length=MAX_NAME)
    items = weighted_items(allow_empty=False)
    core = item_ids(required=False, default=list)
    locked = serializers.BooleanField(required=False, default=False)
    minimum_size = bound()
    maximum_size = bound()


class PatchIn(ReasonIn):
    name = Text(required=False, max_length=MAX_NAME)
    locked = serializers.BooleanField(required=False)
    minimum_size = bound()
    maximum_size = bound()
    kept_out = serializers.ListField(
        child=Text(max_length=200),
        required=False,
        max_length=MOST,
        help_text="All kinds of items that it takes in none of: `category`, `brand`, `colour` or `tag` with its value, "
        '"discount=reduced", "price_tier=top" (or `upper`, `middle`, `low`), "price=20..100", "price=100..". '
        "What isn't named may be in it again.",
    )


class MembersIn(ReasonIn):
    remove = item_ids(required=False, default=list, help_text="Out; of a learned cluster they are excluded.")
    add = weighted_items(required=False, default=list, help_text="In; in a learned cluster they become core.")
    core = item_ids(required=False, default=list, help_text="In, never to leave.")
    exclude = item_ids(required=False, default=list, help_text="Out, never to come in.")
    clear = item_ids(required=False, default=list, help_text="Neither core nor excluded any more.")


class MergeClustersIn(NameIn):
    clusters = serializers.ListField(
        child=serializers.IntegerField(),
        max_length=MOST_MERGED,
        help_text="Ids, 2 to 20; the first takes in the others and keeps its id and lock.",
    )


class GroupIn(serializers.Serializer[Any]):
    name = Text(max_length=MAX_NAME)
    items = item_ids(allow_empty=False)


class SplitIn(ReasonIn):
    groups = GroupIn(  # type: ignore[call-arg]  # the list's, which the stubs don't know
        many=True, required=False, default=list, max_length=MOST_MERGED, help_text="Clusters to make of some of its items."
    )
    parts = serializers.ListField(
        child=serializers.IntegerField(),
        required=False,
        default=list,
        max_length=MOST_MERGED,
        help_text="Or numbers of its parts, each to be a cluster.",
    )


class ImportIn(ReasonIn):
    clusters = serializers.ListField(
        child=serializers.JSONField(allow_null=True),  # an entry that is none is rejected by its line, the rest kept
        allow_empty=False,
        max_length=MOST_RECORDS,
        help_text='{"name", "items": ["sku", {"item_id", "weight", "core"}], "locked", "minimum_size", "maximum_size"}, or '
        '{"cluster", "item_id", "weight", "core"} for one item.',
    )
