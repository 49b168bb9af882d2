"""Releases and what they are made of, training runs, and the logs of what was served and decided."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from personas.events import MAX_ID
from personas.models import Shop
from recommendations.learning import models as _learning  # noqa: F401 - Django finds rows where an app's `models` leads


class Component(models.Model):
    """One immutable part of releases, stored as arrays under `path`, relative to the releases directory."""

    class Kind(models.TextChoices):
        CATALOGUE = "catalogue", "Catalogue"
        PERSONAS = "personas", "Persona model"
        CLUSTERS = "clusters", "Item clusters"
        RANKER = "ranker", "Ranker"
        POLICY = "policy", "Adaptation policy"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="components", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind)
    version = models.CharField(max_length=64)
    path = models.CharField(max_length=255)
    checksum = models.CharField(max_length=64, help_text="SHA-256, hexadecimal.")
    meta = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("-pk",)
        constraints = [models.UniqueConstraint(fields=["shop", "kind", "version"], name="component_version_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.version}"


class ReleaseQuerySet(models.QuerySet["Release"]):
    def for_list(self) -> ReleaseQuerySet:
        return self.select_related("shop", "activated_by")

    def active(self, shop: Shop | int) -> Release | None:
        """The shop's active release, or None."""
        return self.filter(shop=shop, state=Release.State.ACTIVE).first()


class Release(models.Model):
    """A manifest of components that serve a shop together, {kind: version}. At most one per shop is active."""

    class State(models.TextChoices):
        TRAINING = "training", "Training"
        READY = "ready", "Ready"
        ACTIVE = "active", "Active"
        RETIRED = "retired", "Retired"
        FAILED = "failed", "Failed"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="releases", db_index=False)
    number = models.PositiveIntegerField()
    components = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.TRAINING)
    metrics = models.JSONField(default=dict, blank=True)
    notes = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    activated_at = models.DateTimeField(null=True, blank=True)
    activated_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        constraints = [
            models.UniqueConstraint(fields=["shop", "number"], name="release_number_once"),
            models.UniqueConstraint(fields=["shop"], condition=models.Q(state="active"), name="release_one_active"),
        ]

    def __str__(self) -> str:
        return f"{self.shop} release {self.number}"


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    def fit_of(self, release: Release) -> TrainingRun | None:
        """The run that fitted the personas of a release, which later releases with other clusters still serve."""
        fits = self.filter(shop=release.shop_id, kind__in=(TrainingRun.Kind.ALL, TrainingRun.Kind.PERSONAS))
        version = release.components.get(Component.Kind.PERSONAS.value)
        same = models.Q(release__components__personas=version) if version else models.Q(release=release)
        return fits.filter(same).order_by("-pk").first()


class TrainingRun(models.Model):
    """One training of a shop, told as it goes.

    report : how the personas' fit went, and under "clusters" how the clusters compare with those before; {} where nothing was
        made. See `recommendations.fit_reports` and `recommendations.cluster_reports`.
    """

    class Kind(models.TextChoices):
        ALL = "all", "Everything"
        PERSONAS = "personas", "Personas only"
        CLUSTERS = "clusters", "Clusters only"

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="training_runs")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.ALL)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    stage = models.CharField(max_length=60, blank=True)
    progress = models.FloatField(default=0.0, help_text="0 to 1.")
    message = models.TextField(blank=True)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)
    release = models.ForeignKey(Release, null=True, blank=True, on_delete=models.SET_NULL, related_name="training_runs")
    report = models.JSONField(default=dict, blank=True)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.shop}, {self.started_at:%-d %b %Y, %H:%M}"


class ServedSlate(models.Model):
    """A recommendation as it was served, for learning and for answering "why did I see this".

    items : [{"item", "slot", "score", "propensity", "persona", "cluster", "expert", "rules"}] by slot; "rules" where any acted,
        "expert" where reasons were asked for, else "".
    versions : component kind -> version, and "release", "overlay" and "asked", how the request was not as by default; "trials",
        [rule, mark, whether the visit goes without it] of rules with a holdout that make a difference to it.
    """

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="+", db_index=False)
    recommendation_id = models.CharField(max_length=MAX_ID)
    session_id = models.CharField(max_length=MAX_ID)
    at = models.DateTimeField()
    context = models.CharField(max_length=60, blank=True)
    items = models.JSONField(default=list)
    versions = models.JSONField(default=dict)

    class Meta:
        ordering = ("-pk",)
        constraints = [models.UniqueConstraint(fields=["shop", "recommendation_id"], name="slate_once")]
        indexes = [models.Index(fields=["shop", "session_id"]), models.Index(fields=["shop", "at"])]

    def __str__(self) -> str:
        return f"{self.context or 'home'}, {self.at:%-d %b %Y, %H:%M}"


class AdaptationDecision(models.Model):
    """What the policy did with one cluster at one event, with the probability of doing it.

    cluster, target : ids of item clusters (target 0 unless expanding); no foreign keys, so that a log entry always fits.
    options : [[action code, target, features, items], ...], all that it chose among; `choice` is the place of what it took. Empty
        in rows of before options were logged.  propensities : of each option.
    arm : of the experiment that the session was in, "" for none.
    reward : what followed, as far as it is credited to the decision; null before, and where nothing can be told.
    """

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="+", db_index=False)
    session_id = models.CharField(max_length=MAX_ID)
    event_id = models.CharField(max_length=MAX_ID)
    at = models.DateTimeField()
    cluster = models.BigIntegerField()
    action = models.CharField(max_length=20)
    target = models.BigIntegerField(default=0)
    propensity = models.FloatField()
    features = models.JSONField(default=list)
    policy = models.CharField(max_length=64)
    options = models.JSONField(default=list)
    choice = models.PositiveSmallIntegerField(default=0)
    propensities = models.JSONField(default=list)
    arm = models.CharField(max_length=40, blank=True)
    reward = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        constraints = [
            models.UniqueConstraint(fields=["shop", "session_id", "event_id", "cluster"], name="decision_once"),
        ]
        indexes = [models.Index(fields=["shop", "at"]), models.Index(fields=["shop", "session_id"])]

    def __str__(self) -> str:
        return f"{self.action} {self.cluster}"


class MerchandisingRuleQuerySet(models.QuerySet["MerchandisingRule"]):
    def standing(self) -> MerchandisingRuleQuerySet:
        """Those not taken out."""
        return self.filter(retired_at=None)

    def acting(self) -> MerchandisingRuleQuerySet:
        """Those that are switched on, whatever their dates: what processes serve with."""
        return self.standing().filter(enabled=True)


class MerchandisingRule(models.Model):
    """What a merchandiser wants of slates; see `recommendations.ranking.rules`, which the fields mirror.

    target : `rules.Target` as JSON, conditions that are not given left out.
    personas, clusters : ids;  contexts : names. Where the rule acts; empty for everywhere.
    """

    class Action(models.TextChoices):
        PIN = "pin", "Pin to a slot"
        BOOST = "boost", "Boost"
        BURY = "bury", "Bury"
        EXCLUDE = "exclude", "Leave out"
        BALANCE = "balance", "Balance categories"
        MARGIN = "margin", "Margin floor"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="rules")
    name = models.CharField(max_length=120)
    action = models.CharField(max_length=10, choices=Action)
    target = models.JSONField(default=dict, blank=True)
    personas = models.JSONField(default=list, blank=True)
    contexts = models.JSONField(default=list, blank=True)
    clusters = models.JSONField(default=list, blank=True)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    slot = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Pin: the place, from 1.")
    strength = models.FloatField(null=True, blank=True, help_text="Boost, bury: by how much the odds change, 1.1 to 1000.")
    share = models.FloatField(null=True, blank=True, help_text="Balance: the largest share of the slots, 0 to 1.")
    margin = models.FloatField(null=True, blank=True, help_text="Margin floor: the least (price - cost) / price, below 1.")
    holdout = models.FloatField(
        default=0.0,
        help_text="Share of visits, 0 to 0.5, drawn by chance, that go without the rule, so that it is known what it brings.",
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    retired_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="Taken out; the log still names it.")

    objects = MerchandisingRuleQuerySet.as_manager()

    class Meta:
        ordering = ("pk",)
        indexes = [models.Index(fields=["shop", "retired_at"])]

    def __str__(self) -> str:
        return self.name


class RuleTally(models.Model):
    """How often a rule acted on one day (UTC): slates it acted on, and items it moved, put in or kept out."""

    rule = models.ForeignKey(MerchandisingRule, on_delete=models.CASCADE, related_name="tallies", db_index=False)
    day = models.DateField()
    slates = models.PositiveBigIntegerField(default=0)
    items = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ("-day",)
        constraints = [models.UniqueConstraint(fields=["rule", "day"], name="rule_tally_once")]

    def __str__(self) -> str:
        return f"{self.rule}, {self.day}"


class HourTally(models.Model):
    """How much of one thing there was in one hour (UTC): pages tell numbers from these rows, and none scans the archive.

    measure, key : as `recommendations.hourly` says.  origin : of `personas.models.Origin`; what test keys send is not counted.
    """

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="+", db_index=False)
    hour = models.DateTimeField()
    measure = models.CharField(max_length=12)
    key = models.CharField(max_length=60, blank=True)
    origin = models.CharField(max_length=10)
    value = models.FloatField(default=0.0)

    class Meta:
        ordering = ("hour",)
        constraints = [
            models.UniqueConstraint(fields=["shop", "hour", "measure", "key", "origin"], name="hour_tally_once"),
        ]

    def __str__(self) -> str:
        return f"{self.measure} {self.key}, {self.hour:%Y-%m-%d %H}"


class DayTally(models.Model):
    """How much of one thing there was on one day (UTC), for what has too many kinds to be counted by the hour.

    measure, key : as `recommendations.daily` says.  origin : of `personas.models.Origin`; what test keys send is not counted.
    """

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    measure = models.CharField(max_length=16)
    key = models.CharField(max_length=200, blank=True)
    origin = models.CharField(max_length=10)
    value = models.FloatField(default=0.0)

    class Meta:
        ordering = ("day",)
        constraints = [
            models.UniqueConstraint(fields=["shop", "measure", "key", "day", "origin"], name="day_tally_once"),
        ]
        indexes = [models.Index(fields=["shop", "measure", "day"])]

    def __str__(self) -> str:
        return f"{self.measure} {self.key}, {self.day}"


class DraftEdit(models.Model):
    """One edit of a shop's clusters or rules that is not published yet; those of one person on a shop are published together.

    verb, values : of `recommendations.drafts.drafting`, which says what each verb takes, as JSON.
    subject : id of the row that it edits, null for one that it would make.
    base : what was last known to have happened to the subject when the edit was made, so that nobody overrules unawares what
        somebody else did meanwhile.
    """

    class Kind(models.TextChoices):
        CLUSTER = "cluster", "Cluster"
        RULE = "rule", "Rule"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="draft_edits")
    kind = models.CharField(max_length=10, choices=Kind)
    subject = models.BigIntegerField(null=True, blank=True)
    verb = models.CharField(max_length=30)
    values = models.JSONField(default=dict)
    reason = models.CharField(max_length=500, blank=True)
    base = models.CharField(max_length=64, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("pk",)
        indexes = [models.Index(fields=["shop", "kind", "subject"])]

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.subject or ''}".strip()


class FileImport(models.Model):
    """One file that was handed in to be imported, told as it goes.

    folder : name of the folder below `DATA_DIR/imports/` that holds the file until it is read, and what was rejected.
    counts : what was taken and what not, by the importer's own words.
    """

    class Kind(models.TextChoices):
        ITEMS = "items", "Items"
        EVENTS = "events", "Events"
        CLUSTERS = "clusters", "Clusters"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="imports")
    kind = models.CharField(max_length=10, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    name = models.CharField(max_length=200)
    folder = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes.")
    progress = models.FloatField(default=0.0, help_text="0 to 1.")
    counts = models.JSONField(default=dict, blank=True)
    rejected = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    started_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = "import"

    def __str__(self) -> str:
        return self.name


class AuditEntry(models.Model):
    """What somebody did, by whichever door: a page, the API, a command. Never changed; rows go only with their shop.

    actor : a person's name, an API key's name, or what did it of itself, as it was called then.
    subject_type, subject_id, subject : what it was done to, the last in words.  what : in a sentence.
    """

    class By(models.TextChoices):
        PERSON = "person", "Person"
        KEY = "key", "API key"
        SYSTEM = "system", "The system"

    shop = models.ForeignKey(Shop, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    by = models.CharField(max_length=10, choices=By)
    actor = models.CharField(max_length=200, blank=True)
    action = models.CharField(max_length=30)
    subject_type = models.CharField(max_length=60, blank=True)
    subject_id = models.CharField(max_length=64, blank=True)
    subject = models.CharField(max_length=200, blank=True)
    what = models.TextField(blank=True)
    address = models.CharField(max_length=200, blank=True, help_text="The page that shows it.")

    class Meta:
        ordering = ("-at", "-pk")
        verbose_name_plural = "audit log"
        indexes = [
            models.Index(fields=["at"]),
            models.Index(fields=["shop", "at"]),
            models.Index(fields=["subject_type", "subject_id"]),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.subject}"


class OverlayChange(models.Model):
    """One version of a shop's live overlay, as what it changed of the one before: with it, what was so at any time is known.

    release : number of the release that the overlay lies over; another starts the overlay anew.
    delta : what changed, as `recommendations.overlays` writes it.
    """

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="overlay_changes", db_index=False)
    version = models.PositiveBigIntegerField()
    release = models.PositiveIntegerField()
    at = models.DateTimeField(default=timezone.now)
    delta = models.JSONField(default=dict)

    class Meta:
        ordering = ("-version",)
        constraints = [models.UniqueConstraint(fields=["shop", "version"], name="overlay_version_once")]
        indexes = [models.Index(fields=["shop", "at"])]

    def __str__(self) -> str:
        return f"{self.shop} overlay {self.version}"
