"""Items of the catalogue, and the clusters they form, as database rows with append-only ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import models
from django.utils import timezone

from clusters.catalogue import ItemRow
from personas.events import MAX_ID
from personas.models import Shop, in_chunks


class ItemQuerySet(models.QuerySet["Item"]):
    def of_shop(self, shop: Shop) -> ItemQuerySet:
        return self.filter(shop=shop)

    def as_rows(self) -> Iterator[ItemRow]:
        """What `clusters.catalogue.build_catalogue` reads, ascending by id, streamed."""
        columns = ("pk", "external_id", "title", "category", "brand", "colour", "price", "in_stock", "tags", "regular_price")
        for pk, external, title, category, brand, colour, price, in_stock, tags, regular in (
            self.order_by("pk").values_list(*columns).iterator(chunk_size=5_000)
        ):
            yield ItemRow(
                item_id=pk,
                external_id=external,
                title=title,
                category=category,
                brand=brand,
                colour=colour,
                price=None if price is None else float(price),
                in_stock=in_stock,
                tags=tuple(tags),
                regular_price=None if regular is None else float(regular),
            )

    def ids_of(self, shop: Shop, external_ids: Iterable[str]) -> dict[str, int]:
        """External id -> item id, for those that exist."""
        found: dict[str, int] = {}
        for chunk in in_chunks(external_ids):
            found.update(self.filter(shop=shop, external_id__in=chunk).values_list("external_id", "pk"))
        return found


class Item(models.Model):
    """One product. Its id is what everything else stores; `external_id` is the shop's own."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="items", db_index=False)
    external_id = models.CharField(max_length=MAX_ID)
    title = models.CharField(max_length=300, blank=True)
    description = models.TextField(blank=True)
    category = models.CharField(max_length=120, blank=True)
    brand = models.CharField(max_length=120, blank=True)
    colour = models.CharField(max_length=60, blank=True)
    price = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    regular_price = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, blank=True, help_text="Before any reduction; empty where it isn't known."
    )
    currency = models.CharField(max_length=3, blank=True)
    tags = models.JSONField(default=list, blank=True)
    attributes = models.JSONField(default=dict, blank=True)
    image_url = models.CharField(max_length=500, blank=True)
    in_stock = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ItemQuerySet.as_manager()

    class Meta:
        ordering = ("pk",)
        constraints = [models.UniqueConstraint(fields=["shop", "external_id"], name="item_external_id_once")]
        indexes = [models.Index(fields=["shop", "category"]), models.Index(fields=["shop", "brand"])]

    def __str__(self) -> str:
        return self.title or self.external_id


class ItemClusterQuerySet(models.QuerySet["ItemCluster"]):
    def live(self) -> ItemClusterQuerySet:
        """Those not retired."""
        return self.filter(retired_at__isnull=True)


class ItemCluster(models.Model):
    """A named, overlapping group of items. The primary key is its id for ever; a rebuild matches new to old.

    size : items.  share : of the shop's engagement, 0 to 1.  descriptors : [{"name": "colour=blue", "lift": 3.1}], best first.
    """

    class Kind(models.TextChoices):
        CO_VISIT = "co_visit", "Viewed together"
        SEARCH = "search", "Searched together"
        IMPORTED = "imported", "Imported"
        MANUAL = "manual", "Made by hand"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="clusters", db_index=False)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.CO_VISIT)
    size = models.PositiveIntegerField(default=0)
    share = models.FloatField(default=0.0)
    descriptors = models.JSONField(default=list, blank=True)
    locked = models.BooleanField(default=False, help_text="Learning leaves a locked cluster alone.")
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ItemClusterQuerySet.as_manager()

    class Meta:
        ordering = ("pk",)
        indexes = [models.Index(fields=["shop", "retired_at", "-size"])]

    def __str__(self) -> str:
        return self.name


class ClusterMembership(models.Model):
    """An item in a cluster; weight above 0, at most 1 for the cluster's most typical item."""

    cluster = models.ForeignKey(ItemCluster, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="memberships")
    weight = models.FloatField(default=1.0)

    class Meta:
        ordering = ("cluster", "-weight", "item")
        constraints = [models.UniqueConstraint(fields=["cluster", "item"], name="member_once")]
        indexes = [models.Index(fields=["cluster", "-weight"])]

    def __str__(self) -> str:
        return f"{self.item} in {self.cluster}"


class ClusterRelation(models.Model):
    """How strongly sessions in `source` go on to `target`; expansion follows it."""

    source = models.ForeignKey(ItemCluster, on_delete=models.CASCADE, related_name="relations", db_index=False)
    target = models.ForeignKey(ItemCluster, on_delete=models.CASCADE, related_name="+")
    weight = models.FloatField()

    class Meta:
        ordering = ("source", "-weight")
        constraints = [models.UniqueConstraint(fields=["source", "target"], name="relation_once")]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"
