"""Items of the catalogue, and the clusters they form, as database rows with append-only ids."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import connections, models
from django.utils import timezone

from clusters.catalogue import ItemRow, group_number
from clusters.currencies import CURRENCIES
from clusters.search_index import Document
from personas.events import MAX_ID
from personas.models import Shop, in_chunks


class ItemQuerySet(models.QuerySet["Item"]):
    def of_shop(self, shop: Shop) -> ItemQuerySet:
        return self.filter(shop=shop)

    def as_rows(self) -> Iterator[ItemRow]:
        """What `clusters.catalogue.build_catalogue` reads, ascending by id, streamed."""
        words = ("external_id", "title", "category", "brand", "colour")
        columns = ("pk", *words, "price", "in_stock", "tags", "regular_price", "cost", "item_group_id", "currency")
        for pk, external, title, category, brand, colour, price, in_stock, tags, regular, cost, group, currency in (
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
                cost=None if cost is None else float(cost),
                group=group_number(group),
                currency=currency if currency in CURRENCIES else "",
            )

    def as_documents(self) -> Iterator[Document]:
        """What `clusters.search_index.build_index` reads, ascending by id, streamed."""
        columns = ("pk", "title", "category", "brand", "colour", "tags", "description", "price", "in_stock")
        for pk, title, category, brand, colour, tags, description, price, in_stock in (
            self.order_by("pk").values_list(*columns).iterator(chunk_size=5_000)
        ):
            yield Document(
                item_id=pk,
                title=title,
                category=category,
                brand=brand,
                colour=colour,
                tags=tuple(str(tag) for tag in tags),
                description=description,
                price=None if price is None else float(price),
                in_stock=in_stock,
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
    cost = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, blank=True, help_text="What the shop pays for it; rules on margins need it."
    )
    currency = models.CharField(max_length=3, blank=True)
    item_group_id = models.CharField(
        max_length=MAX_ID,
        blank=True,
        help_text="What the variants of one product, its sizes say, have in common; a slate shows one of them.",
    )
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
        indexes = [
            models.Index(fields=["shop", "category"]),
            models.Index(fields=["shop", "brand"]),
            models.Index(fields=["shop", "updated_at"]),
            models.Index(fields=["shop", "item_group_id"], condition=~models.Q(item_group_id=""), name="item_group"),
        ]

    def __str__(self) -> str:
        return self.title or self.external_id


class CatalogueFeed(models.Model):
    """A file of a shop's items that is fetched on a schedule.

    etag, last_modified : what the server said of the last file, so that one that hasn't changed isn't sent again.
    report : of the last fetch that brought a file: {"added", "updated", "rejected", "rejects": [{"line", "field", "reason"}]}.
    """

    class State(models.TextChoices):
        NEW = "new", "Not fetched yet"
        RUNNING = "running", "Fetching"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="feeds")
    url = models.URLField(max_length=500, verbose_name="address")
    every_minutes = models.PositiveIntegerField(default=60, help_text="How often to look; a day has 1,440 minutes.")
    enabled = models.BooleanField(default=True)
    state = models.CharField(max_length=10, choices=State, default=State.NEW, editable=False)
    told = models.TextField(blank=True, editable=False)
    etag = models.CharField(max_length=200, blank=True, editable=False)
    last_modified = models.CharField(max_length=100, blank=True, editable=False)
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    changed_at = models.DateTimeField(null=True, blank=True, editable=False)
    report = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        ordering = ("pk",)
        constraints = [models.UniqueConstraint(fields=["shop", "url"], name="feed_address_once")]

    def __str__(self) -> str:
        return self.url


class ClusterSettings(models.Model):
    """How a shop's clusters are built. A shop without a row has the defaults."""

    class SearchHistory(models.TextChoices):
        AUTO = "auto", "Where there is enough of it"
        OFF = "off", "Never"

    shop = models.OneToOneField(Shop, on_delete=models.CASCADE, related_name="cluster_settings")
    search_history = models.CharField(
        max_length=10,
        choices=SearchHistory,
        default=SearchHistory.AUTO,
        help_text="Clusters of what shoppers search for together. Clusters of what they view together are always made.",
    )
    inactivity_minutes = models.PositiveSmallIntegerField(
        default=30, help_text="A pause of this length ends a search; what comes after belongs to another one."
    )
    minimum_support = models.PositiveSmallIntegerField(
        default=3,
        help_text="Different visitors who must have searched for two terms together before they say anything; 2 at least.",
    )

    class Meta:
        verbose_name_plural = "cluster settings"

    def __str__(self) -> str:
        return f"clusters of {self.shop}"


class ItemClusterQuerySet(models.QuerySet["ItemCluster"]):
    def live(self) -> ItemClusterQuerySet:
        """Those not retired."""
        return self.filter(retired_at__isnull=True)

    def reserve(self, shop: Shop, count: int) -> list[int]:
        """New ids, ascending, that the database gives to nobody else: each is held by a retired row without a name."""
        rows = [ItemCluster(shop=shop, retired_at=timezone.now()) for _ in range(count)]
        return sorted(row.pk for row in ItemCluster.objects.bulk_create(rows))

    def reserved(self, shop: Shop) -> ItemClusterQuerySet:
        """Rows that `reserve` made and that no cluster took."""
        return self.filter(shop=shop, name="", retired_at__isnull=False)


class ItemCluster(models.Model):
    """A named, overlapping group of items. The primary key is its id for ever; a rebuild matches new to old.

    Rows tell what the active release serves; edits change them at once, and the release that follows takes them up.

    size : items.  share : of the shop's engagement, 0 to 1.  descriptors : [{"name": "colour=blue", "lift": 3.1}], best first.
    parts : [{"number": 1, "name": "Red skirts", "size": 40}] where the cluster is too large to show at once, else empty.
    provenance : of a cluster made from searches, what it was made of: see `clusters.search_clusters.Trace`; else empty.
    """

    class Kind(models.TextChoices):
        CO_VISIT = "co_visit", "Viewed together"
        SEARCH = "search", "Searched together"
        IMPORTED = "imported", "Imported"
        MANUAL = "manual", "Made by hand"

    HAND_KINDS = frozenset({Kind.IMPORTED, Kind.MANUAL})
    """Kinds whose items are the merchandiser's."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="clusters", db_index=False)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.CO_VISIT)
    size = models.PositiveIntegerField(default=0)
    share = models.FloatField(default=0.0)
    descriptors = models.JSONField(default=list, blank=True)
    locked = models.BooleanField(default=False, help_text="Learning leaves a locked cluster alone: its items stay as they are.")
    named_by_hand = models.BooleanField(default=False, editable=False)
    minimum_size = models.PositiveIntegerField(
        null=True, blank=True, help_text="Items it never has fewer of; the nearest ones fill it up. Empty for no bound."
    )
    maximum_size = models.PositiveIntegerField(
        null=True, blank=True, help_text="Items it never has more of; the least typical give way, core items never."
    )
    parts = models.JSONField(default=list, blank=True, editable=False)
    provenance = models.JSONField(default=dict, blank=True, editable=False)
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ItemClusterQuerySet.as_manager()

    class Meta:
        ordering = ("pk",)
        indexes = [models.Index(fields=["shop", "retired_at", "-size"])]

    def __str__(self) -> str:
        return self.name

    @property
    def is_hand_owned(self) -> bool:
        """Whether its items are the merchandiser's: learning leaves them as they are."""
        return self.locked or self.kind in self.HAND_KINDS


class MembershipRow(NamedTuple):
    """One row for `ClusterMembership.objects.put`; `via` is JSON text."""

    cluster: int
    item: int
    weight: float
    part: int | None = None
    via: str = "[]"


class ClusterMembershipQuerySet(models.QuerySet["ClusterMembership"]):
    def put(self, rows: Sequence[MembershipRow]) -> None:
        """Write rows, over those of the same cluster and item.

        As one `executemany`: making forty thousand model objects costs several times the writing itself.
        """
        connection = connections[self.db]
        table = connection.ops.quote_name(ClusterMembership._meta.db_table)
        sql = (
            f"INSERT INTO {table} (cluster_id, item_id, weight, part, via) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (cluster_id, item_id) DO UPDATE SET weight = excluded.weight, part = excluded.part, via = excluded.via"
        )
        with connection.cursor() as cursor:
            cursor.executemany(sql, rows)


class ClusterMembership(models.Model):
    """An item in a cluster; weight above 0, at most 1 for the cluster's most typical item.

    part : number of the cluster's part that the item is shown in.  via : how a search found it: [[descriptor, rank], ...],
        places in the cluster's provenance and ranks from 1; empty where no search did.
    """

    cluster = models.ForeignKey(ItemCluster, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="memberships")
    weight = models.FloatField(default=1.0)
    part = models.PositiveSmallIntegerField(null=True, blank=True)
    via = models.JSONField(default=list, blank=True)

    objects = ClusterMembershipQuerySet.as_manager()

    class Meta:
        ordering = ("cluster", "-weight", "item")
        constraints = [models.UniqueConstraint(fields=["cluster", "item"], name="member_once")]
        indexes = [models.Index(fields=["cluster", "-weight"])]

    def __str__(self) -> str:
        return f"{self.item} in {self.cluster}"


class ClusterItemRule(models.Model):
    """A merchandiser's word on an item in a cluster, or learning's that stands, which outlives every rebuild.

    "taken" : as "core", but learning said so and may take it back: a core item is a merchandiser's, and learning leaves it.
    factor : of "lessened", by which the item's weight is multiplied, in (0, 1); of "taken" where that weighs less since, too;
        null otherwise.
    """

    class Rule(models.TextChoices):
        CORE = "core", "Never leaves"
        EXCLUDED = "excluded", "Never in it"
        LESSENED = "lessened", "Weighs less"
        TAKEN = "taken", "Taken in by learning"

    cluster = models.ForeignKey(ItemCluster, on_delete=models.CASCADE, related_name="item_rules", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="cluster_rules")
    rule = models.CharField(max_length=10, choices=Rule)
    factor = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("cluster", "rule", "pk")
        constraints = [models.UniqueConstraint(fields=["cluster", "item"], name="cluster_rule_once")]

    def __str__(self) -> str:
        return f"{self.item}: {self.get_rule_display().lower()} {self.cluster}"


class ClusterRelation(models.Model):
    """How near `target` is to `source`: where expansion may go.

    weight : what expansion follows.  transition : P(a session's next item lies in target | in source).
    overlap : cosine of their descriptors, 0 to 1.
    """

    source = models.ForeignKey(ItemCluster, on_delete=models.CASCADE, related_name="relations", db_index=False)
    target = models.ForeignKey(ItemCluster, on_delete=models.CASCADE, related_name="+")
    weight = models.FloatField()
    transition = models.FloatField(default=0.0)
    overlap = models.FloatField(default=0.0)

    class Meta:
        ordering = ("source", "-weight")
        constraints = [models.UniqueConstraint(fields=["source", "target"], name="relation_once")]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


class ClusterTie(models.Model):
    """A word that two clusters belong near each other, which outlives every rebuild: expansion may go from one to the other.

    weight : share of `source`'s relations that goes to `target`, in (0, 1].
    """

    source = models.ForeignKey(ItemCluster, on_delete=models.CASCADE, related_name="ties", db_index=False)
    target = models.ForeignKey(ItemCluster, on_delete=models.CASCADE, related_name="+")
    weight = models.FloatField(default=0.2)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("source", "target")
        constraints = [models.UniqueConstraint(fields=["source", "target"], name="tie_once")]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


class ClusterBar(models.Model):
    """A kind of items that a cluster takes in none of, which outlives every rebuild; its core items may be such all the same.

    kind : as `clusters.kept_out.read` writes it, "discount=reduced".
    """

    cluster = models.ForeignKey(ItemCluster, on_delete=models.CASCADE, related_name="bars", db_index=False)
    kind = models.CharField(max_length=140)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("cluster", "kind")
        constraints = [models.UniqueConstraint(fields=["cluster", "kind"], name="cluster_bar_once")]

    def __str__(self) -> str:
        return f"{self.cluster}: no {self.kind}"


class ClusterChangeQuerySet(models.QuerySet["ClusterChange"]):
    def for_list(self) -> ClusterChangeQuerySet:
        return self.select_related("shop", "cluster", "user", "undone_by")


class ClusterChange(models.Model):
    """One change of one cluster: what, when, by whom or what, why, and all that it takes to undo it. Never edited.

    batch : shared by the changes of one operation or one rebuild.  others : ids of the other clusters of a merge or a split.
    delta : {"fields": {name: [before, after]}, "members": {item id: [before, after]}, "rules": {item id: [before, after]},
        "factors": {item id: [before, after]}, "ties": {cluster id: [before, after]}, "bars": {kind: [before, after]}}; null is
        "not there". Only what the change touched is named.
    summary : in words, "42 items in, 7 out".  undoes : the change that this one takes back.
    """

    class Actor(models.TextChoices):
        TRAINING = "training", "Training"
        BUILD = "build", "Rebuild"
        MERCHANDISER = "merchandiser", "Merchandiser"
        API = "api", "API"
        IMPORT = "import", "Import"
        LEARNING = "learning", "Learning"

    class Action(models.TextChoices):
        CREATED = "created", "Created"
        REBUILT = "rebuilt", "Rebuilt"
        RENAMED = "renamed", "Renamed"
        LOCKED = "locked", "Locked"
        UNLOCKED = "unlocked", "Unlocked"
        BOUNDED = "bounded", "Size bounded"
        ITEMS = "items", "Items changed"
        MERGED = "merged", "Merged"
        SPLIT = "split", "Split"
        RETIRED = "retired", "Retired"
        RESTORED = "restored", "Restored"
        GIVEN_BACK = "given_back", "Given back to learning"
        RELATED = "related", "Related"
        UNRELATED = "unrelated", "No longer related"
        KEPT_OUT = "kept_out", "Keeps items out"
        LET_IN = "let_in", "Lets items in again"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="+", db_index=False)
    cluster = models.ForeignKey(ItemCluster, on_delete=models.CASCADE, related_name="changes")
    at = models.DateTimeField(default=timezone.now, editable=False)
    actor = models.CharField(max_length=12, choices=Actor)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    who = models.CharField(max_length=150, blank=True, help_text="Name of the API key, the file or the training behind it.")
    action = models.CharField(max_length=12, choices=Action)
    summary = models.CharField(max_length=300)
    reason = models.CharField(max_length=300, blank=True)
    batch = models.UUIDField(default=uuid.uuid4, db_index=True)
    others = models.JSONField(default=list, blank=True)
    delta = models.JSONField(default=dict, blank=True)
    undoes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="undone_by", help_text="The change it takes back."
    )

    objects = ClusterChangeQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        indexes = [models.Index(fields=["shop", "-at"])]

    def __str__(self) -> str:
        return f"{self.get_action_display()}: {self.cluster}"
