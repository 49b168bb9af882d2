"""Attributes and archetypes over the API: the draft, which keys with the scope `manage` may edit, and its versions."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import IntegrityError, models, transaction
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, permissions, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from personas import versions
from personas.archetypes import MAX_ARCHETYPES, MAX_ATTRIBUTES, PersonaError, parse_personas
from personas.models import ApiKey, Archetype, Attribute, PersonaVersion, Shop
from recommendations import publishing, vocabulary
from recommendations.api.access import Conflict, MayManage, ShopRows
from recommendations.api.tagged import TaggedRows, check_match
from recommendations.api.texts import Slug, Text

BARE_ARCHETYPE = {"key": "any", "name": "Any", "icon": "tag", "colour": "#000000"}


@extend_schema_field({"type": "object", "additionalProperties": {"type": "number"}})
class Weights(serializers.JSONField):
    """{name: weight}; `parse_personas` checks what is in it."""


class DraftSerializer(serializers.ModelSerializer[Any]):
    """A row of the draft, checked as publishing will check it."""

    serializer_field_mapping: ClassVar = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: Text,
        models.SlugField: Slug,
        models.TextField: Text,
    }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if self.instance is not None and attrs.get("key", self.instance.key) != self.instance.key:
            raise serializers.ValidationError({"key": [f"stays {self.instance.key!r}: mixes and integrators name it"]})
        row = self.instance or self.Meta.model(shop=self.context["view"].written_shop())  # type: ignore[misc]
        entry = {name: attrs.get(name, getattr(row, name)) for name in self.Meta.fields if name not in ("id", "place")}
        try:
            parse_personas(self.definition(entry, row.shop))
        except PersonaError as error:
            raise serializers.ValidationError({error.field.rpartition(".")[2]: [error.reason]}) from error
        return attrs

    def definition(self, entry: dict[str, Any], shop: Shop) -> dict[str, Any]:
        """The entry with just what it has to agree with."""
        raise NotImplementedError


class AttributeSerializer(DraftSerializer):
    weights = Weights(required=False, help_text="Item descriptors, -1 to 1, such as `price_tier=low`.")
    behaviours = Weights(required=False, help_text="Behaviours, -1 to 1, such as `event=search`.")

    class Meta:
        model = Attribute
        fields = ("id", "key", "name", "description", "weights", "behaviours")

    def definition(self, entry: dict[str, Any], shop: Shop) -> dict[str, Any]:
        return {"attributes": [entry], "archetypes": [{**BARE_ARCHETYPE, "mix": {str(entry["key"]): 1.0}}]}


class ArchetypeSerializer(DraftSerializer):
    icon = Text(max_length=30, default="user")
    mix = Weights(help_text="Attributes by key, 0 to 1; they need not sum to 1.")

    class Meta:
        model = Archetype
        fields = ("id", "key", "name", "icon", "colour", "mix", "place")

    def definition(self, entry: dict[str, Any], shop: Shop) -> dict[str, Any]:
        return {"attributes": versions.draft(shop)["attributes"], "archetypes": [entry]}


class DraftRows(
    TaggedRows,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    ShopRows,
):
    """Rows of the draft. What is changed here reaches shoppers when it is published (`POST persona-versions/`)."""

    permission_classes = (MayManage,)
    together = frozenset({"create", "update", "partial_update", "destroy"})
    most: ClassVar[int]

    def get_object(self) -> Any:
        """The row, as `If-Match` would have it where it is to be changed; nobody else changes it until it was."""
        row = super().get_object()
        if self.request.method not in permissions.SAFE_METHODS:
            row = get_object_or_404(self.get_queryset().select_for_update(of=("self",)), pk=row.pk)
            check_match(self.request, self.told(row))
        return row

    def perform_create(self, serializer: Any) -> None:
        shop = self.written_shop()
        if serializer.Meta.model.objects.filter(shop=shop).count() >= self.most:
            raise Conflict(f"There are {self.most} already, which is as many as there may be.")
        try:
            with transaction.atomic():
                serializer.save(shop=shop)
        except IntegrityError as error:
            raise serializers.ValidationError({"key": [f"{serializer.validated_data['key']!r} is taken"]}) from error


class Attributes(DraftRows):
    queryset = Attribute.objects.order_by("pk")
    serializer_class = AttributeSerializer
    most = MAX_ATTRIBUTES

    def perform_destroy(self, instance: Attribute) -> None:
        users = [a.name for a in Archetype.objects.filter(shop=instance.shop_id) if instance.key in a.mix]
        if users:
            raise Conflict(f"{instance.name} is part of {', '.join(users)}: take it out of the mix first.")
        instance.delete()


class Personas(DraftRows):
    queryset = Archetype.objects.order_by("place", "pk")
    serializer_class = ArchetypeSerializer
    most = MAX_ARCHETYPES

    def perform_destroy(self, instance: Archetype) -> None:
        if Archetype.objects.filter(shop=instance.shop_id).count() == 1:
            raise Conflict(f"{instance.name} is the last persona; a shop needs one.")
        instance.delete()


class VersionSerializer(serializers.ModelSerializer[PersonaVersion]):
    published_by = serializers.CharField(source="published_by.username", default=None, allow_null=True, read_only=True)

    class Meta:
        model = PersonaVersion
        fields = ("number", "note", "restores", "published_at", "published_by")
        read_only_fields = ("number", "restores", "published_at")


class WholeVersionSerializer(VersionSerializer):
    definition = serializers.DictField(read_only=True, help_text="Attributes and archetypes, as they were published.")

    class Meta(VersionSerializer.Meta):
        fields = (*VersionSerializer.Meta.fields, "definition")  # type: ignore[assignment]


class PublishIn(serializers.Serializer[Any]):
    note = serializers.CharField(required=False, allow_blank=True, max_length=versions.MAX_NOTE, default="")


class DraftOut(serializers.Serializer[Any]):
    version = serializers.IntegerField(allow_null=True, help_text="Number of the version in force.")
    changes = serializers.ListField(child=serializers.CharField(), help_text="What the draft changes, a sentence each.")
    warnings = serializers.ListField(child=serializers.CharField(), help_text="What it weighs that no item has.")
    problem = serializers.CharField(allow_null=True, help_text="Why it can't be published, by field; null if it can.")


class PersonaVersions(TaggedRows, ShopRows):
    """What was published, and when. Training reads the latest."""

    queryset = PersonaVersion.objects.select_related("published_by").order_by("-number")
    permission_classes = (MayManage,)
    together = frozenset({"create", "restore"})
    lookup_field = "number"
    lookup_value_regex = r"\d{1,9}"

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return WholeVersionSerializer if self.action == "retrieve" else VersionSerializer

    @extend_schema(request=PublishIn, responses={201: VersionSerializer})
    def create(self, request: Request) -> Response:
        """Publish the draft, and fit the personas on it. 409 if it changes nothing or can't be taken."""
        given = PublishIn(data=request.data)
        given.is_valid(raise_exception=True)
        return self._published(lambda shop, user: publishing.publish(shop, note=given.validated_data["note"], user=user))

    @extend_schema(request=None, responses={201: VersionSerializer})
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, number: str) -> Response:
        """Bring an earlier version back, as the draft and as a new version."""
        self.get_object()
        return self._published(lambda shop, user: publishing.restore(shop, int(number), user=user))

    @extend_schema(responses=DraftOut)
    @action(detail=False, methods=["get"], pagination_class=None)
    def draft(self, request: Request) -> Response:
        """What the draft changes against the version in force, and what to look at before it is published."""
        shop = self.written_shop()
        drafted, version = versions.draft(shop), versions.latest(shop)
        problem = versions.problem(drafted)
        body = {
            "version": version.number if version else None,
            "changes": versions.unpublished(shop),
            "warnings": vocabulary.warnings(shop, drafted),
            "problem": str(problem) if problem else None,
        }
        return Response(DraftOut(body).data)

    def _published(self, publish: Any) -> Response:
        user = None if isinstance(self.request.auth, ApiKey) else self.request.user
        try:
            version = publish(self.written_shop(), user)
        except (versions.VersionError, PersonaError) as error:
            raise Conflict(str(error)) from error
        return Response(VersionSerializer(version).data, status=status.HTTP_201_CREATED)
