"""Catalogue feeds over the API: where a shop's file lies, how often to look, and what came of the last fetch."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from kombu.exceptions import OperationalError
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.catalogue_writing import LISTED
from clusters.feed_addresses import FeedError, check_outside
from clusters.feeds import LEAST_MINUTES, MOST_MINUTES
from clusters.models import CatalogueFeed
from clusters.tasks import fetch_feed
from recommendations.api.access import Conflict, MayManage, ShopRows
from recommendations.api.flags import Flag
from recommendations.api.item_shapes import BulkOut
from recommendations.serving.problems import Problem

MOST_FEEDS = 20


class FeedSerializer(serializers.ModelSerializer[CatalogueFeed]):
    url = serializers.URLField(max_length=500, help_text="http or https, to a public address.")
    every_minutes = serializers.IntegerField(min_value=LEAST_MINUTES, max_value=MOST_MINUTES, default=60)
    report = serializers.SerializerMethodField(help_text=f"Of the last fetch that brought a file; rejects, the first {LISTED:,}.")

    class Meta:
        model = CatalogueFeed
        fields = ("id", "url", "every_minutes", "enabled", "state", "told", "checked_at", "changed_at", "report")
        read_only_fields = ("state", "told", "checked_at", "changed_at")

    @extend_schema_field(BulkOut(allow_null=True))
    def get_report(self, feed: CatalogueFeed) -> dict[str, Any] | None:
        return feed.report or None

    def validate_url(self, address: str) -> str:
        try:
            check_outside(address, settings.FEED_PRIVATE_HOSTS)
        except FeedError as error:
            raise serializers.ValidationError(str(error)) from error
        return address


class FeedFilter(filters.FilterSet):
    enabled = Flag()

    class Meta:
        model = CatalogueFeed
        fields = ("state", "enabled")


@extend_schema(
    examples=[OpenApiExample("Hourly", value={"url": "https://shop.example/feed.xml", "every_minutes": 60}, request_only=True)]
)
class Feeds(mixins.CreateModelMixin, mixins.UpdateModelMixin, mixins.DestroyModelMixin, ShopRows):
    """Files of the shop's items that are fetched on a schedule. What a file lacks stays as it is."""

    queryset = CatalogueFeed.objects.select_related("shop").order_by("pk")
    serializer_class = FeedSerializer
    permission_classes = (MayManage,)
    filterset_class = FeedFilter
    together = frozenset({"create", "partial_update", "destroy"})
    lookup_value_regex = "[0-9]{1,18}"
    http_method_names = ("get", "post", "patch", "delete", "head", "options")

    def perform_create(self, serializer: Any) -> None:
        shop = self.written_shop()
        if CatalogueFeed.objects.filter(shop=shop).count() >= MOST_FEEDS:
            raise Conflict(f"There are {MOST_FEEDS} already, which is as many as there may be.")
        self._saved(serializer, shop=shop)

    def perform_update(self, serializer: Any) -> None:
        other = serializer.validated_data.get("url", serializer.instance.url) != serializer.instance.url
        self._saved(serializer, **({"etag": "", "last_modified": ""} if other else {}))

    def _saved(self, serializer: Any, **more: Any) -> None:
        try:
            with transaction.atomic():
                serializer.save(**more)
        except IntegrityError as error:
            raise serializers.ValidationError({"url": ["is fetched already"]}) from error

    @extend_schema(request=None, responses={202: FeedSerializer})
    @action(detail=True, methods=["post"])
    def fetch(self, request: Request, pk: str) -> Response:
        """Fetch it now, whether it changed or not; read the feed again to see how it goes."""
        feed = self.get_object()
        try:
            fetch_feed.apply_async((feed.pk,), {"anew": True}, retry=False)
        except OperationalError as error:
            raise Problem(503, "storage_unavailable", "The worker can't be reached.", headers={"retry-after": "5"}) from error
        return Response(FeedSerializer(feed).data, status=status.HTTP_202_ACCEPTED)
