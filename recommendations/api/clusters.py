"""Clusters over the API: what is in them and why, the merchandiser's hand on them, and their lineage with its undo."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import permissions, serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request
from rest_framework.response import Response

from clusters import editing
from clusters.cluster_files import import_clusters
from clusters.editing import Actor, EditConflict, EditError
from clusters.lineage import history
from clusters.models import ClusterChange, ItemCluster
from personas.models import ApiKey, Shop
from recommendations.api.access import Conflict, MayManage, ShopRows
from recommendations.api.cluster_shapes import (
    AlignedOut,
    ChangeSerializer,
    ClusterIn,
    ClusterSerializer,
    EditOut,
    ImportIn,
    ImportOut,
    MemberOut,
    MembersIn,
    MergeClustersIn,
    NameIn,
    OneClusterSerializer,
    PatchIn,
    ReasonIn,
    SplitIn,
    WholeChangeSerializer,
)
from recommendations.api.flags import Flag, Id
from recommendations.api.tagged import TaggedRows, check_match
from recommendations.cluster_reasons import alignment, reasons
from recommendations.cluster_runs import request_publish
from recommendations.engine import Engine
from recommendations.releases import ReleaseError
from recommendations.stories import engine_of

VERBS = {"remove": editing.remove_items, "exclude": editing.exclude, "core": editing.set_core, "clear": editing.clear_rule}
"""By the lists of `MembersIn`, in the order in which they are carried out."""


class MayEdit(MayManage):
    """As `MayManage`; of staff, what changes a cluster asks for "change", what makes one for "add", and an import for both."""

    rights: ClassVar = {"create": ("add",), "import_clusters": ("add", "change")}

    def has_permission(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, ApiKey) or request.method in permissions.SAFE_METHODS:
            return super().has_permission(request, view)
        user = request.user
        rights = [f"clusters.{right}_itemcluster" for right in self.rights.get(view.action, ("change",))]
        return bool(user and user.is_active and user.is_staff and user.has_perms(rights))


class ClusterFilter(filters.FilterSet):
    q = filters.CharFilter(field_name="name", lookup_expr="icontains", label="Part of the name.")
    kind = filters.ChoiceFilter(choices=ItemCluster.Kind.choices)
    locked = Flag()
    retired = Flag(
        field_name="retired_at",
        lookup_expr="isnull",
        exclude=True,
        label="True: those that were taken out, not the live.",
    )

    class Meta:
        model = ItemCluster
        fields = ("kind", "locked")


class ChangeFilter(filters.FilterSet):
    cluster = Id()
    actor = filters.ChoiceFilter(choices=ClusterChange.Actor.choices)
    action = filters.ChoiceFilter(choices=ClusterChange.Action.choices)
    batch = filters.UUIDFilter()

    class Meta:
        model = ClusterChange
        fields = ("cluster", "actor", "action", "batch")


# The views


class EditsClusters(ShopRows):
    """What views share that edit clusters."""

    permission_classes = (MayEdit,)

    def actor(self) -> Actor:
        """The key, by its name, or the member of staff."""
        if isinstance(self.request.auth, ApiKey):
            return Actor(ClusterChange.Actor.API, who=self.request.auth.name)
        return Actor(ClusterChange.Actor.MERCHANDISER, user=self.request.user)

    def edited(
        self,
        shop: Shop,
        edit: Callable[[], Iterable[ClusterChange]],
        *,
        code: int = 200,
        shown: Iterable[ItemCluster] = (),
        seen: ItemCluster | None = None,
    ) -> Response:
        """What an edit changed, once it is asked to be published. shown : clusters to tell of where it changed nothing.
        seen : the one that `If-Match` speaks of.

        All of it is done while nobody else edits the shop's clusters: what it reads first is so when it writes.
        """
        try:
            with editing.editing(shop):
                if seen is not None:
                    seen.refresh_from_db()
                    check_match(self.request, OneClusterSerializer(seen).data)
                changes = list(edit())
                if changes:
                    request_publish(shop)
        except EditConflict as error:
            raise Conflict(str(error)) from error
        except EditError as error:
            raise ValidationError({error.field: [error.reason]}) from error
        ids = list(dict.fromkeys(change.cluster_id for change in changes)) or [cluster.pk for cluster in shown]
        rows = ItemCluster.objects.in_bulk(ids)
        body = {"clusters": [rows[pk] for pk in ids], "changes": changes}
        return Response(EditOut(body).data, status=code)

    def given(self, form: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The request's body, checked."""
        serializer = form(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        if unknown := [name for name in self.request.data if name not in serializer.fields]:
            raise ValidationError({str(unknown[0])[:60]: [f"is not known; this takes {', '.join(serializer.fields)}"]})
        values: dict[str, Any] = serializer.validated_data
        return values


class Clusters(TaggedRows, EditsClusters):
    """Clusters, live ones unless `?retired=true`. An edit is shown at once and reaches shoppers within seconds."""

    together = frozenset({"create", "partial_update", "destroy", "edit_items", "merge", "split", "give_back", "restore"})
    queryset = ItemCluster.objects.exclude(name="").select_related("shop").order_by("pk")
    filter_backends = (filters.DjangoFilterBackend, OrderingFilter)
    filterset_class = ClusterFilter
    ordering_fields: ClassVar = ("id", "name", "size", "share", "updated_at")

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return OneClusterSerializer if self.action == "retrieve" else ClusterSerializer

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        return (
            rows.filter(retired_at__isnull=True) if self.action == "list" and "retired" not in self.request.query_params else rows
        )

    @extend_schema(request=ClusterIn, responses={201: EditOut})
    def create(self, request: Request) -> Response:
        """Make a cluster by hand."""
        given, shop = self.given(ClusterIn), self.written_shop()
        return self.edited(
            shop,
            lambda: editing.create(
                shop=shop,
                name=given["name"],
                items=_weighted(shop, given["items"], "items"),
                core=_found(shop, given["core"], "core"),
                locked=given["locked"],
                minimum_size=given.get("minimum_size"),
                maximum_size=given.get("maximum_size"),
                by=self.actor(),
                reason=given["reason"],
            ),
            code=status.HTTP_201_CREATED,
        )

    @extend_schema(request=PatchIn, responses=EditOut)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename, lock or bound a cluster, or keep kinds of items out of it. What is not named stays as it is."""
        cluster, given = self.get_object(), self.given(PatchIn)
        by = {"cluster": cluster, "by": self.actor(), "reason": given["reason"]}

        def edit() -> Iterable[ClusterChange]:
            if "name" in given:
                yield from editing.rename(name=given["name"], **by)
            if "locked" in given:
                yield from editing.set_locked(locked=given["locked"], **by)
            if given.keys() & {"minimum_size", "maximum_size"}:
                cluster.refresh_from_db(fields=["minimum_size", "maximum_size"])
                bounds = {name: given.get(name, getattr(cluster, name)) for name in ("minimum_size", "maximum_size")}
                yield from editing.set_bounds(**bounds, **by)
            if "kept_out" in given:
                wanted, kept = editing.check_kinds(given["kept_out"]), set(cluster.bars.values_list("kind", flat=True))
                if gone := sorted(kept.difference(wanted)):
                    yield from editing.let_in(kinds=gone, **by)
                if fresh := [kind for kind in wanted if kind not in kept]:
                    yield from editing.keep_out(kinds=fresh, **by)

        return self.edited(cluster.shop, edit, shown=[cluster], seen=cluster)

    @extend_schema(
        request=None,
        responses={200: EditOut},
        parameters=[OpenApiParameter("reason", str, description="At most 300 characters.")],
    )
    def destroy(self, request: Request, pk: str) -> Response:
        """Take a cluster out. It keeps its id and items, and can be restored."""
        cluster, reason = self.get_object(), request.query_params.get("reason", "")
        edit = {"cluster": cluster, "by": self.actor(), "reason": reason}
        return self.edited(cluster.shop, lambda: editing.retire(**edit), seen=cluster)

    @extend_schema(responses=MemberOut(many=True), filters=False)
    @action(detail=True, methods=["get"])
    def items(self, request: Request, pk: str) -> Response:
        """Its items, the most typical first, each with why it is there."""
        cluster = self.get_object()
        page = self.paginate_queryset(cluster.memberships.select_related("item").order_by("-weight", "item_id")) or []
        ids = [membership.item_id for membership in page]
        context = {
            "rules": dict(cluster.item_rules.filter(item_id__in=ids).values_list("item_id", "rule")),
            "why": reasons(cluster, page, engine=_engine(cluster.shop)),
        }
        return self.get_paginated_response(MemberOut(page, many=True, context=context).data)

    @extend_schema(request=MembersIn, responses=EditOut)
    @items.mapping.post
    def edit_items(self, request: Request, pk: str) -> Response:
        """Take items in or out, make them core, exclude them, or lift their rule; all of it or nothing."""
        cluster, given = self.get_object(), self.given(MembersIn)
        shop, by = cluster.shop, {"cluster": cluster, "by": self.actor(), "reason": given["reason"]}

        def edit() -> Iterable[ClusterChange]:
            _check_once({name: [e[0] for e in given[name]] if name == "add" else given[name] for name in (*VERBS, "add")})
            if given["add"]:
                yield from editing.add_items(items=_weighted(shop, given["add"], "add"), **by)
            for name, verb in VERBS.items():
                if given[name]:
                    yield from verb(items=_found(shop, given[name], name), **by)

        return self.edited(shop, edit, shown=[cluster], seen=cluster)

    @extend_schema(request=MergeClustersIn, responses=EditOut)
    @action(detail=False, methods=["post"])
    def merge(self, request: Request) -> Response:
        """Make one cluster of several. The first keeps its id; the others are taken out."""
        given = self.given(MergeClustersIn)
        rows = {row.pk: row for row in self.get_queryset().filter(pk__in=[pk for pk in given["clusters"] if 0 < pk < 2**63])}
        if missing := [pk for pk in given["clusters"] if pk not in rows]:
            raise ValidationError({"clusters": [f"there is no cluster {missing[0]}"]})
        clusters = [rows[pk] for pk in given["clusters"]]
        if not clusters:
            raise ValidationError({"clusters": ["must be 2 to 20 different ones"]})
        edit = {"name": given.get("name"), "by": self.actor(), "reason": given["reason"]}
        return self.edited(clusters[0].shop, lambda: editing.merge(clusters=clusters, **edit))

    @extend_schema(request=SplitIn, responses=EditOut)
    @action(detail=True, methods=["post"])
    def split(self, request: Request, pk: str) -> Response:
        """Make clusters of some of its items, or of some of its parts. It keeps its id and the rest."""
        cluster, given = self.get_object(), self.given(SplitIn)
        if bool(given["groups"]) == bool(given["parts"]):
            raise ValidationError({"groups": ["give either groups or parts"]})
        names = [group["name"] for group in given["groups"]]
        if len(set(names)) < len(names):
            raise ValidationError({"groups": ["have two of one name"]})

        def edit() -> Iterable[ClusterChange]:
            groups = {group["name"]: _found(cluster.shop, group["items"], "groups") for group in given["groups"]}
            cluster.refresh_from_db(fields=["parts"])
            groups |= editing.items_of_parts(cluster, given["parts"])
            return editing.split(cluster=cluster, groups=groups, by=self.actor(), reason=given["reason"])

        return self.edited(cluster.shop, edit)

    @extend_schema(request=ReasonIn, responses=EditOut)
    @action(detail=True, methods=["post"], url_path="give-back")
    def give_back(self, request: Request, pk: str) -> Response:
        """Let learning decide on its items again."""
        cluster, given = self.get_object(), self.given(ReasonIn)
        return self.edited(cluster.shop, lambda: editing.give_back(cluster=cluster, by=self.actor(), reason=given["reason"]))

    @extend_schema(request=NameIn, responses=EditOut)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str) -> Response:
        """Bring a cluster back that was taken out, with its items, as one made by hand."""
        cluster, given = self.get_object(), self.given(NameIn)
        edit = {"name": given.get("name"), "by": self.actor(), "reason": given["reason"]}
        return self.edited(cluster.shop, lambda: editing.restore(cluster=cluster, **edit))

    @extend_schema(responses=ChangeSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"])
    def changes(self, request: Request, pk: str) -> Response:
        """What became of it, the latest first."""
        page = self.paginate_queryset(history(self.get_object()).defer("delta", "undone_by__delta"))
        return self.get_paginated_response(ChangeSerializer(page, many=True).data)

    @extend_schema(request=ImportIn, responses=ImportOut)
    @action(detail=False, methods=["post"], url_path="import")
    def import_clusters(self, request: Request) -> Response:
        """Take in clusters of the shop's own, known by their names: what is given is what is in them."""
        given, shop = self.given(ImportIn), self.written_shop()
        try:
            report = import_clusters(shop, given["clusters"], by=self.actor(), reason=given["reason"])
        except EditError as error:
            raise ValidationError({error.field: [error.reason]}) from error
        if report.made or report.changed:
            request_publish(shop)
        told = {name: getattr(report, name) for name in ("read", "added", "known", "rejected", "notes")}
        return Response(ImportOut({**told, "rejects": [reject._asdict() for reject in report.rejects]}).data)

    @extend_schema(responses=AlignedOut(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def alignment(self, request: Request, pk: str) -> Response:
        """How well it suits each persona of the active release, and why; empty until a release has it."""
        cluster = self.get_object()
        engine = _engine(cluster.shop)
        told = () if engine is None else alignment(engine, cluster.pk)
        body = [{**each._asdict(), "terms": [term._asdict() for term in each.terms]} for each in told]
        return Response(AlignedOut(body, many=True).data)


class ClusterChanges(EditsClusters):
    """What became of the shop's clusters: when, by whom or what, why. The latest first."""

    together = frozenset({"undo"})
    queryset = ClusterChange.objects.for_list().order_by("-pk")
    filterset_class = ChangeFilter

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        return rows.defer("delta", "undone_by__delta") if self.action == "list" else rows  # of a rebuild it may be large

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return WholeChangeSerializer if self.action == "retrieve" else ChangeSerializer

    @extend_schema(request=ReasonIn, responses=EditOut)
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, pk: str) -> Response:
        """Take it back; a merge or a split as a whole. 409 where what it touched changed since, saying by what."""
        change, given = self.get_object(), self.given(ReasonIn)
        return self.edited(change.shop, lambda: editing.undo(change=change, by=self.actor(), reason=given["reason"]))


def _engine(shop: Shop) -> Engine | None:
    try:
        return engine_of(shop)
    except ReleaseError:
        return None


def _found(shop: Shop, external_ids: list[str], field: str) -> list[int]:
    return editing.find_items(shop, external_ids, field)


def _weighted(shop: Shop, items: list[tuple[str, float | None]], field: str) -> dict[int, float | None]:
    """Item id -> weight, None where none is given. Raises EditError."""
    ids = _found(shop, list(dict.fromkeys(external for external, _ in items)), field)
    return dict(zip(ids, dict(items).values(), strict=True))


def _check_once(lists: dict[str, list[str]]) -> None:
    """Raises EditError on an item that two lists name, since it would depend on their order what becomes of it."""
    seen: dict[str, str] = {}
    for name, items in lists.items():
        for item in items:
            if seen.setdefault(item, name) != name:
                raise EditError(name, f"names {item!r}, which {seen[item]} names too")
