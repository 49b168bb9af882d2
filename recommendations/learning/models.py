"""Rows of what the adaptation learns: settings, policies, proposals, what a bound blocked, experiments."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from personas.events import MAX_ID
from personas.models import Shop


class AdaptationSettings(models.Model):
    """How a shop's clusters adapt, and how far they may. A shop without a row has the defaults, which are those of
    `clusters.adaptation.Bounds` and `clusters.rewards.Rewards`.

    apart : [[category, category], ...], categories that no cluster may come to hold both of by learning.
    reward_weights : {event: weight} where it isn't the default's.
    """

    shop = models.OneToOneField(Shop, on_delete=models.CASCADE, related_name="adaptation_settings")
    enabled = models.BooleanField(default=True, help_text="Off: sessions see the clusters as they are, and nothing is learned.")
    consistent_outside = models.PositiveSmallIntegerField(
        default=2,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
        help_text="Engagements in a row outside a visit's main clusters before one may be expanded; one may be an accident.",
    )
    consistent_ignored = models.PositiveSmallIntegerField(
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
        help_text="Slates seen that showed a cluster in vain before it may be contracted; people skim.",
    )
    floor = models.FloatField(
        default=0.05,
        validators=[MinValueValidator(0.01), MaxValueValidator(0.25)],
        help_text="Least chance of each choice: below it the logs could no longer tell what another policy would have done.",
    )
    margin_floor = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(-1.0), MaxValueValidator(0.99)],
        help_text="Least (price - cost) / price of items that an expansion or a proposal may bring in; empty for none.",
    )
    apart = models.JSONField(default=list, blank=True, help_text="Pairs of categories that learning never mixes in a cluster.")
    drift_budget = models.FloatField(
        default=0.1,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text="Share of a cluster's items that learning may change in a day.",
    )
    reward_weights = models.JSONField(default=dict, blank=True, help_text="What an event is worth, where not as by default.")
    ignored_cost = models.FloatField(
        default=0.05,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text="What an item that was seen and passed over costs, in looks.",
    )
    half_life_days = models.PositiveSmallIntegerField(
        default=28,
        validators=[MinValueValidator(1), MaxValueValidator(730)],
        help_text="Age at which a decision counts half: shorter follows tastes faster, longer knows more.",
    )
    least_effective_sample = models.PositiveIntegerField(
        default=200,
        validators=[MinValueValidator(20), MaxValueValidator(1_000_000)],
        help_text="Decisions, as far as they speak of a new policy, under which the gate says “not known yet”.",
    )
    goes_live_by_itself = models.BooleanField(
        default=True, help_text="A policy that passes the gate serves at once; otherwise somebody has to say so."
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "adaptation settings"
        permissions = [("override_unknown", "Can override a verdict of “not known yet”")]

    def __str__(self) -> str:
        return f"adaptation of {self.shop}"


class PolicyEvidence(models.Model):
    """What a sealed run of decisions taught: sums that add up, so that every fold of them is the same posterior.

    first, last : pks of the decisions, both included; a chunk's are never counted again.
    A chunk without statistics is claimed, and not yet sealed.
    day : UTC, of its latest decision.  decisions, credited : in all, and with a reward.
    statistics : {"sums": {day: `clusters.policy.Statistics.to_json`}, "days": [`learning.evidence.Day`, ...], "late": of how many
        decisions the events came in too late (`learning.reading.LATE_S`), absent for none}.
    """

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="policy_evidence", db_index=False)
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    day = models.DateField()
    decisions = models.PositiveIntegerField()
    credited = models.PositiveIntegerField()
    statistics = models.JSONField(default=dict)
    sealed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("first",)
        constraints = [models.UniqueConstraint(fields=["shop", "first"], name="policy_evidence_once")]

    def __str__(self) -> str:
        return f"decisions {self.first} to {self.last}"


class PolicyVersion(models.Model):
    """One policy that was learned, and what the gate said of it.

    version : `clusters.policy.Policy.version`, as decisions log it.  component : version of the component that holds it.
    against : version of the policy that it was compared with.
    verdict : as `clusters.gate.Verdict.to_json`, {} before there is one.
    learned : {"decisions", "credited", "late", "first", "last", "half_life_days", "day"}; {} of a policy that learned nothing.
    """

    class State(models.TextChoices):
        CANDIDATE = "candidate", "Waits for a decision"
        LIVE = "live", "Serves"
        RETIRED = "retired", "Served before"
        REFUSED = "refused", "Turned down"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="policies", db_index=False)
    version = models.CharField(max_length=64)
    component = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State, default=State.CANDIDATE)
    against = models.CharField(max_length=64, blank=True)
    verdict = models.JSONField(default=dict, blank=True)
    learned = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    overridden = models.BooleanField(default=False, help_text="Went live although the gate didn't say that it may.")
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-pk",)
        constraints = [
            models.UniqueConstraint(fields=["shop", "version"], name="policy_version_once"),
            models.UniqueConstraint(fields=["shop"], condition=models.Q(state="live"), name="policy_one_live"),
        ]

    def __str__(self) -> str:
        return self.version


class ClusterProposal(models.Model):
    """A lasting change of a cluster that learning proposes, with what speaks for it.

    items : [{"item": id, "weight": after, "evidence": {...}}], those that come in, go, or weigh less.
    target : cluster to relate to.
    effect, low, high : of the change, in reward a slate, with its 95 % interval; null where it can't be told.
    verdict : "better", "worse" or "unknown".  bound : the bound that blocks it, "" for none.
    batch : of one run of proposing.  change : batch of the `ClusterChange`s that applied it.
    experiment : in which it is tried, with the clusters that hold it as an arm; its result then is the evidence.
    """

    class Kind(models.TextChoices):
        ADD = "add", "Take items in"
        DROP = "drop", "Let items go"
        DOWNWEIGHT = "downweight", "Let items weigh less"
        RELATE = "relate", "Relate two clusters"

    class State(models.TextChoices):
        OPEN = "open", "Waits for a decision"
        APPLIED = "applied", "Applied"
        REJECTED = "rejected", "Rejected"
        BLOCKED = "blocked", "Blocked by a bound"
        STALE = "stale", "No longer so"
        UNDONE = "undone", "Undone"

    class Verdict(models.TextChoices):
        BETTER = "better", "Better"
        WORSE = "worse", "Worse"
        UNKNOWN = "unknown", "Not known yet"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="proposals", db_index=False)
    cluster = models.ForeignKey("clusters.ItemCluster", on_delete=models.CASCADE, related_name="proposals")
    target = models.ForeignKey("clusters.ItemCluster", null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=12, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    items = models.JSONField(default=list, blank=True)
    evidence = models.JSONField(default=dict, blank=True)
    effect = models.FloatField(null=True, blank=True)
    low = models.FloatField(null=True, blank=True)
    high = models.FloatField(null=True, blank=True)
    verdict = models.CharField(max_length=10, choices=Verdict, default=Verdict.UNKNOWN)
    bound = models.CharField(max_length=40, blank=True)
    summary = models.CharField(max_length=300, blank=True)
    batch = models.UUIDField(default=uuid.uuid4, db_index=True)
    change = models.UUIDField(null=True, blank=True)
    experiment = models.ForeignKey(
        "recommendations.Experiment", null=True, blank=True, on_delete=models.SET_NULL, related_name="proposals"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    overridden = models.BooleanField(default=False, help_text="Applied although it wasn't known to be better.")
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-pk",)
        indexes = [models.Index(fields=["shop", "state", "-id"])]

    def __str__(self) -> str:
        return self.summary or f"{self.get_kind_display()}: {self.cluster}"


class BlockedAction(models.Model):
    """How often a bound stopped an action on one day (UTC): of sessions, and of lasting changes.

    cluster : id, no foreign key, so that a log entry always fits.  example : a session, or a proposal, where it was so.
    """

    class Where(models.TextChoices):
        SESSION = "session", "In a visit"
        LASTING = "lasting", "A lasting change"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    where = models.CharField(max_length=10, choices=Where)
    cluster = models.BigIntegerField()
    action = models.CharField(max_length=20)
    bound = models.CharField(max_length=40)
    times = models.PositiveBigIntegerField(default=0)
    last_at = models.DateTimeField(default=timezone.now)
    example = models.CharField(max_length=MAX_ID, blank=True)

    class Meta:
        ordering = ("-day", "-times")
        constraints = [
            models.UniqueConstraint(fields=["shop", "day", "where", "cluster", "action", "bound"], name="blocked_once"),
        ]

    def __str__(self) -> str:
        return f"{self.action}, blocked {self.times:,} times on {self.day:%-d %b %Y}"


class Experiment(models.Model):
    """Shoppers split at random between ways to adapt, to tell which is better.

    arms : [{"name", "share", "policy", "clusters", "adapts"}], the first the control; policy, clusters : component versions,
        "" for the release's own; adapts : whether sessions adapt at all.
    guardrails : [{"metric", "least"}], `least` the relative change under which the experiment stops by itself.
    starts_at, ends_at : when it begins and ends by itself (`experiment_dates`), null for by hand.
    result : as `recommendations.learning.experiments` tells it, kept when it is stopped.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Not started"
        RUNNING = "running", "Running"
        STOPPED = "stopped", "Stopped"

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="experiments", db_index=False)
    name = models.CharField(max_length=120)
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    salt = models.UUIDField(default=uuid.uuid4, editable=False)
    arms = models.JSONField(default=list)
    metric = models.CharField(max_length=40, default="reward")
    guardrails = models.JSONField(default=list, blank=True)
    result = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    stopped_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-pk",)
        constraints = [
            models.UniqueConstraint(fields=["shop"], condition=models.Q(state="running"), name="experiment_one_running"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def as_planned(self) -> bool:
        """Whether it ended because its time had come."""
        ended = self.stopped_at if self.stopped_by_id is None else None
        return ended is not None and self.ends_at is not None and ended >= self.ends_at


class ExperimentSession(models.Model):
    """A session that was served in an experiment. unit : what was assigned, a keyed hash of the shopper or of the session.

    measures : {"reward", "reports", "engagements", "carts", "purchases", "revenue"} so far; {} before it was counted.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="sessions", db_index=False)
    session_id = models.CharField(max_length=MAX_ID)
    unit = models.CharField(max_length=32)
    arm = models.CharField(max_length=40)
    at = models.DateTimeField()
    measures = models.JSONField(default=dict, blank=True)
    counted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        constraints = [models.UniqueConstraint(fields=["experiment", "session_id"], name="experiment_session_once")]
        indexes = [models.Index(fields=["experiment", "arm"]), models.Index(fields=["experiment", "counted_at"])]

    def __str__(self) -> str:
        return f"{self.session_id}: {self.arm}"
