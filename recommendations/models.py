"""Releases and what they are made of, training runs, and the logs of what was served and decided."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from personas.events import MAX_ID
from personas.models import Shop


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
        return f"{self.shop}, {self.started_at:%Y-%m-%d %H:%M}"


class ServedSlate(models.Model):
    """A recommendation as it was served, for learning and for answering "why did I see this".

    items : [{"item", "slot", "score", "propensity", "persona", "cluster", "expert"}] by slot.
    versions : component kind -> version, and "release".
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
        return self.recommendation_id


class AdaptationDecision(models.Model):
    """What the policy did with one cluster at one event, with the probability of doing it.

    cluster, target : ids of item clusters (target 0 unless expanding); no foreign keys, so that a log entry always fits.
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

    class Meta:
        ordering = ("-pk",)
        constraints = [
            models.UniqueConstraint(fields=["shop", "session_id", "event_id", "cluster"], name="decision_once"),
        ]
        indexes = [models.Index(fields=["shop", "at"])]

    def __str__(self) -> str:
        return f"{self.action} {self.cluster}"
