"""The REST API that Django answers: read-only views of a shop's rows, and the hot endpoints' part of the schema.

Events in, slates and profiles out are answered by `recommendations.serving.live`, before Django sees them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404
from django.urls import include, path
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import authentication, exceptions, pagination, permissions, routers, serializers, status, views, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.models import Item, ItemCluster
from personas.models import ApiKey, Archetype, Attribute, Shop, hash_key
from recommendations.models import Release
from recommendations.serving.live import EVENTS, RECOMMENDATIONS, TOKENS
from recommendations.serving.problems import Problem

PROBLEM_TYPE = "application/problem+json"
CODES = {400: "invalid_field", 401: "missing_credentials", 403: "missing_scope", 404: "not_found", 405: "method_not_allowed"}
"""Codes by status, for what the framework raises; an error with a code of ours keeps it."""


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """Django REST framework's exception handler: the same problem documents as on the hot endpoints."""
    answer = views.exception_handler(error, context)
    if answer is None:
        return None
    code, field = CODES.get(answer.status_code, "refused"), ""
    match error:
        case exceptions.AuthenticationFailed():
            code, detail = "invalid_key", str(error.detail)
        case exceptions.ValidationError(detail=dict() as by_field) if by_field:
            field, reasons = next(iter(by_field.items()))
            detail = f"{field}: {' '.join(map(str, reasons))}"
        case Http404() | PermissionDenied():
            detail = "There is nothing at this address, or nothing that this key may see."
        case _:
            detail = str(getattr(error, "detail", error))
    headers = {name: answer[name] for name in ("Allow", "WWW-Authenticate") if name in answer}
    body = Problem(answer.status_code, code, detail, field=field).as_json()
    return Response(body, status=answer.status_code, headers=headers, content_type=PROBLEM_TYPE)


# Who may read


class KeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer KEY`, with the keys of the hot endpoints."""

    keyword = "Bearer"

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        kind, _, credential = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != self.keyword.lower():
            return None
        key = ApiKey.objects.live().select_related("shop").filter(sha256=hash_key(credential.strip())).first()
        if key is None:
            raise exceptions.AuthenticationFailed("The API key is unknown or was revoked.", code="invalid_key")
        from django.contrib.auth.models import AnonymousUser

        return AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:
        return self.keyword


class KeyScheme(OpenApiAuthenticationExtension):
    target_class = "recommendations.api.KeyAuthentication"
    name = "API key or session token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class MayRead(permissions.BasePermission):
    """A key with the scope `read`, or a member of staff who may view the rows in the admin too."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, ApiKey):
            return "read" in request.auth.scopes
        meta = view.queryset.model._meta
        user = request.user
        return bool(user and user.is_active and user.is_staff and user.has_perm(f"{meta.app_label}.view_{meta.model_name}"))


class Pages(pagination.LimitOffsetPagination):
    max_limit = 500


class ShopRows(viewsets.ReadOnlyModelViewSet[Any]):
    """Rows of the key's own shop; staff see every shop's, or one's with `?shop=SLUG`."""

    pagination_class = Pages
    authentication_classes = (KeyAuthentication, authentication.SessionAuthentication)
    permission_classes = (MayRead,)
    shop_field: ClassVar[str] = "shop"

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        if isinstance(self.request.auth, ApiKey):
            return rows.filter(**{self.shop_field: self.request.auth.shop_id})
        slug = self.request.query_params.get("shop")
        if slug:
            return rows.filter(**{"slug" if self.shop_field == "pk" else f"{self.shop_field}__slug": slug})
        if self.detail and self.lookup_field != "pk":
            raise exceptions.ValidationError({"shop": ["name it: several shops may have a row of this name"]})
        return rows


class ShopSerializer(serializers.ModelSerializer[Shop]):
    class Meta:
        model = Shop
        fields = ("id", "slug", "name", "currency")


class ItemSerializer(serializers.ModelSerializer[Item]):
    item_id = serializers.CharField(source="external_id")

    class Meta:
        model = Item
        facts = ("title", "description", "category", "brand", "colour", "price", "currency", "tags", "image_url", "in_stock")
        fields = ("item_id", *facts)


class ClusterSerializer(serializers.ModelSerializer[ItemCluster]):
    class Meta:
        model = ItemCluster
        fields = ("id", "name", "kind", "size", "share", "descriptors", "locked", "updated_at")


class ArchetypeSerializer(serializers.ModelSerializer[Archetype]):
    class Meta:
        model = Archetype
        fields = ("id", "key", "name", "icon", "colour", "mix")


class AttributeSerializer(serializers.ModelSerializer[Attribute]):
    class Meta:
        model = Attribute
        fields = ("id", "key", "name", "description", "weights", "behaviours")


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    class Meta:
        model = Release
        fields = ("number", "state", "components", "metrics", "notes", "created_at", "activated_at")


class Shops(ShopRows):
    queryset = Shop.objects.order_by("slug")
    serializer_class = ShopSerializer
    shop_field = "pk"


class Items(ShopRows):
    queryset = Item.objects.order_by("pk")
    serializer_class = ItemSerializer
    lookup_field = "external_id"
    lookup_value_regex = "[^/\\0]+"
    filterset_fields = ("category", "brand", "colour", "in_stock")


class Clusters(ShopRows):
    queryset = ItemCluster.objects.live().order_by("pk")
    serializer_class = ClusterSerializer
    filterset_fields = ("kind", "locked")


class Personas(ShopRows):
    queryset = Archetype.objects.order_by("place", "pk")
    serializer_class = ArchetypeSerializer


class Attributes(ShopRows):
    queryset = Attribute.objects.order_by("pk")
    serializer_class = AttributeSerializer


class Releases(ShopRows):
    queryset = Release.objects.order_by("-number")
    serializer_class = ReleaseSerializer
    lookup_field = "number"
    filterset_fields = ("state",)


# The hot endpoints, as the schema tells them


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
    consent = serializers.BooleanField(required=False, help_text="True lets demographic evidence be used.")
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
    active = serializers.ListField(child=serializers.CharField())
    attributes = serializers.ListField(child=serializers.DictField())
    evidence = serializers.ListField(child=serializers.DictField())
    clusters = serializers.ListField(child=serializers.DictField())


class TokenIn(serializers.Serializer[Any]):
    session_id = serializers.CharField(max_length=128)
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


router = routers.DefaultRouter()
router.include_root_view = False
for prefix, view in (
    ("shops", Shops),
    ("items", Items),
    ("clusters", Clusters),
    ("personas", Personas),
    ("attributes", Attributes),
    ("releases", Releases),
):
    router.register(prefix, view)

urlpatterns = [
    path(EVENTS.removeprefix("/api/"), EventsView.as_view()),
    path(RECOMMENDATIONS.removeprefix("/api/"), RecommendationsView.as_view()),
    path(TOKENS.removeprefix("/api/"), TokensView.as_view()),
    path("v1/sessions/<str:session_id>/profile", ProfileView.as_view()),
    path("v1/", include(router.urls)),
]
