"""Champion against challengers side by side: made, started, stopped, the winner made live and taken back; all on the record."""

from __future__ import annotations

import datetime as dt
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from clusters.cluster_drafts import EditConflict, EditError
from clusters.lineage import Actor
from clusters.models import ClusterChange
from personas.models import Shop
from recommendations import activation, audit, releases
from recommendations.learning import arm_clusters, experiment_dates, measuring, policies, proposal_outcomes
from recommendations.learning.bounds import settings_of
from recommendations.learning.measuring import METRICS
from recommendations.learning.models import AdaptationSettings, Experiment, ExperimentSession, PolicyVersion
from recommendations.learning.overriding import check_override
from recommendations.models import Component, Release
from recommendations.overlay_requests import request_overlay
from recommendations.serving.trials import Arm, read_arms

logger = logging.getLogger(__name__)

State = Experiment.State

MOST_ARMS = 4
LEAST_SHARE = 0.01
MAX_NAME = 40

COUNTING = dt.timedelta(minutes=1)
"""Longer than it takes to count visits in one transaction."""

LATE = dt.timedelta(days=2)
"""After an experiment is stopped, visits that were under way still come in for so long."""

SHARE_SLACK = 1e-6


# What is asked for, checked


def checked_arms(shop: Shop, told: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Arms as they are kept. Raises EditError with the field and the reason."""
    if not 2 <= len(told) <= MOST_ARMS:
        raise EditError("arms", f"must be 2 to {MOST_ARMS}, the control first")
    arms = [_checked_arm(shop, i, each) for i, each in enumerate(told)]
    if len({arm.name for arm in arms}) < len(arms):
        raise EditError("arms", "must have names of their own")
    if sum(arm.share for arm in arms) > 1.0 + SHARE_SLACK:
        raise EditError("arms", "share more than all shoppers among them")
    ways = [arm[2:] for arm in arms]
    if len(set(ways)) < len(ways):
        raise EditError("arms", "serve the same in two of them: there would be nothing to tell")
    return [arm._asdict() for arm in arms]


def _checked_arm(shop: Shop, place: int, told: Mapping[str, Any]) -> Arm:
    field = f"arms.{place + 1}"
    name = str(told.get("name", "")).strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise EditError(f"{field}.name", f"must be 1 to {MAX_NAME} printable characters")
    try:
        share = float(told.get("share", 0.0))
    except (TypeError, ValueError):
        share = math.nan
    if not LEAST_SHARE <= share <= 1.0:
        raise EditError(f"{field}.share", f"must be {LEAST_SHARE:.0%} to 100 % of the shoppers")
    policy, clusters = str(told.get("policy", "") or ""), str(told.get("clusters", "") or "")
    for kind, version in (("policy", policy), ("clusters", clusters)):
        if version and not Component.objects.filter(shop=shop, kind=kind, version=version).exists():
            raise EditError(f"{field}.{kind}", "is not kept any more: choose another")
    if clusters and not arm_clusters.fits(shop, clusters):
        raise EditError(f"{field}.clusters", "are of another catalogue than what serves now: build or train anew")
    adapts = told.get("adapts", True)
    if not isinstance(adapts, bool):
        raise EditError(f"{field}.adapts", "must be true or false")
    return Arm(name, share, policy, clusters, adapts)


def checked_guardrails(told: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Guardrails as they are kept. Raises EditError."""
    rails = []
    for rail in told:
        metric = rail.get("metric")
        if metric not in METRICS:
            raise EditError("guardrails.metric", f"must be one of {', '.join(METRICS)}")
        try:
            least = float(rail.get("least", math.nan))
        except (TypeError, ValueError):
            least = math.nan
        if not -1.0 <= least <= 0.0:
            raise EditError("guardrails.least", "must be a fall of 0 to 100 %")
        rails.append({"metric": metric, "least": least})
    if len({rail["metric"] for rail in rails}) < len(rails):
        raise EditError("guardrails", "name a measure twice")
    return rails


def policy_choices(shop: Shop) -> list[tuple[str, str]]:
    """(component version, words) of the policies that an arm may have, the newest first."""
    kept = set(Component.objects.filter(shop=shop, kind="policy").values_list("version", flat=True))
    rows = PolicyVersion.objects.filter(shop=shop).order_by("-pk")
    return [
        (row.component, f"{row.version}, {row.get_state_display().lower()}, of {row.created_at:%d %b %H:%M}")
        for row in rows
        if row.component in kept
    ]


def cluster_choices(shop: Shop) -> list[tuple[str, str]]:
    """(component version, words) of the clusters that an arm may have: of releases over the catalogue that serves."""
    active = Release.objects.active(shop)
    if active is None:
        return []
    found: dict[str, str] = {}
    for release in Release.objects.filter(shop=shop).exclude(state=Release.State.FAILED).order_by("-number"):
        version = release.components.get("clusters", "")
        if version and release.components.get("catalogue") == active.components.get("catalogue"):
            serves = ", which serve" if version == active.components.get("clusters") else ""
            found.setdefault(version, f"those of release {release.number}{serves}")
    return list(found.items())


# Verbs


def create(
    shop: Shop,
    *,
    name: str,
    arms: Sequence[Mapping[str, Any]],
    metric: str = "reward",
    guardrails: Sequence[Mapping[str, Any]] = (),
    starts_at: dt.datetime | None = None,
    ends_at: dt.datetime | None = None,
    user: Any = None,
) -> Experiment:
    """A new experiment, not started; with dates it begins and ends by itself. Raises EditError, EditConflict on an overlap."""
    name = name.strip()
    if not name or len(name) > 120:
        raise EditError("name", "must be 1 to 120 characters")
    if metric not in METRICS:
        raise EditError("metric", f"must be one of {', '.join(METRICS)}")
    checked, rails = checked_arms(shop, arms), checked_guardrails(guardrails)
    dates = {"starts_at": starts_at, "ends_at": ends_at}
    with transaction.atomic():
        Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
        experiment_dates.check(shop, starts_at, ends_at)
        return Experiment.objects.create(
            shop=shop, name=name, arms=checked, metric=metric, guardrails=rails, created_by=user, **dates
        )


def start(experiment: Experiment) -> None:
    """Let it run; every process follows within seconds. Raises EditError, EditConflict where another runs."""
    shop = experiment.shop
    arm_clusters.follow(experiment)  # what was edited since it was made
    if any(arm.get("tries") == [] for arm in experiment.arms):
        raise EditError("experiment", "has nothing left to try: its proposals are decided, or would change nothing any more")
    with transaction.atomic():
        Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
        experiment.refresh_from_db()
        if experiment.state != State.DRAFT:
            raise EditConflict("experiment", "was started before: make a new one, so that no visit counts twice")
        if Release.objects.active(shop) is None:
            raise EditError("experiment", "needs a release that serves: train the shop first")
        checked_arms(shop, experiment.arms)  # what was kept then may be gone by now
        now = timezone.now()
        if experiment.ends_at is not None and experiment.ends_at <= now:
            raise EditError("experiment", "was to end before now: give it another end")
        if not Experiment.objects.filter(shop=shop, state=State.RUNNING).exists():
            experiment_dates.check_free(shop, now, experiment.ends_at, now=now, but=experiment, field="experiment")
        try:
            with transaction.atomic():
                experiment.state, experiment.started_at, experiment.reason = State.RUNNING, now, ""
                experiment.save(update_fields=["state", "started_at", "reason"])
        except IntegrityError:
            experiment.refresh_from_db()
            raise EditConflict("experiment", "can't start while another one of this shop runs: stop that first") from None
        transaction.on_commit(lambda: announce(shop))


def stop(experiment: Experiment, *, by: Any = None, reason: str = "") -> bool:
    """End it: everybody is served as the shop is, within seconds. Whether it ran. by : who says so, None for itself."""
    with transaction.atomic():
        running = Experiment.objects.filter(pk=experiment.pk, state=State.RUNNING)
        changed = running.update(
            state=State.STOPPED, stopped_at=timezone.now(), stopped_by=by, reason=(reason or "Stopped.").strip()[:300]
        )
        if changed:
            if by is None:
                audit.record(audit.SYSTEM, audit.STOPPED, subject=experiment, what=reason or "Stopped.")
            transaction.on_commit(lambda: announce(experiment.shop))
    experiment.refresh_from_db()
    return bool(changed)


def discard(experiment: Experiment) -> None:
    """Take out one that was never started: what it would have tried waits again. Raises EditConflict for any other."""
    with transaction.atomic():
        Shop.objects.select_for_update(no_key=True).get(pk=experiment.shop_id)
        if not Experiment.objects.filter(pk=experiment.pk, state=State.DRAFT).delete()[0]:
            raise EditConflict("experiment", "was started: what it showed is kept")


def announce(shop: Shop) -> None:
    """Have processes look at once; those that miss it find out at their next look."""
    releases.redis_client().publish(releases.CHANNEL, str(shop.pk))


def known(experiment: Experiment, arm: str) -> str:
    """ "better", "worse" or "unknown"; one that is better by what the experiment asks, and broke a guardrail, is "unknown"."""
    verdict = str(experiment.result.get("verdicts", {}).get(arm, "unknown"))
    broke = any(rail["arm"] == arm and rail["broken"] for rail in experiment.result.get("guardrails", ()))
    return "unknown" if verdict == "better" and broke else verdict


def _refused_by_the_gate(shop: Shop, component: str) -> bool:
    row = PolicyVersion.objects.filter(shop=shop, component=component).first()
    return row is not None and row.state != PolicyVersion.State.LIVE and policies.known_worse(row)


def make_live(
    experiment: Experiment, arm_name: str, *, by: Any, reason: str = "", also: Callable[[Release], None] | None = None
) -> Release:
    """Serve everybody as an arm was, and end the experiment; the release that now serves.

    reason : needed where the arm isn't known to be better than the control (`known`), which takes the right to override. One that
    is known to be worse isn't made live. also : called with the release, in the transaction that keeps that it was. Raises
    EditError, PermissionDenied, ReleaseError.
    """
    shop, arms = experiment.shop, read_arms(experiment.arms)
    arm = next((arm for arm in arms if arm.name == arm_name), None)
    if arm is None:
        raise EditError("arm", "is none of this experiment's")
    if arm.plain:
        raise EditError("arm", "is how the shop is served already")
    if experiment.state == State.DRAFT:
        raise EditError("experiment", "has not been started")
    if experiment.result.get("live"):
        raise EditConflict("experiment", "has an arm that was made live already: take that back first")
    judged = known(experiment, arm.name)
    if judged == "worse" or (judged != "better" and arm.policy and _refused_by_the_gate(shop, arm.policy)):
        raise EditError("arm", "is known to be worse: only what is not known yet can be made live all the same")
    overridden = judged != "better"
    if overridden:
        check_override(by)
    if overridden and not reason.strip():
        raise EditError(
            "reason", "is needed: the arm is not known to be better, and what is decided all the same is kept on record"
        )
    active = Release.objects.active(shop)
    if active is None:
        raise EditError("experiment", "needs a release that serves")
    if arm.clusters and not arm_clusters.fits(shop, arm.clusters):
        raise EditError("arm", "has clusters of another catalogue than what serves now: build or train anew")
    settings = settings_of(shop)
    before = {"release": active.number, "policy": active.components["policy"], "enabled": settings.enabled}
    why = reason.strip() or f"Won the experiment “{experiment.name}”."
    told = next(each for each in experiment.arms if each["name"] == arm.name)
    approved: list[int] | None = None
    if told.get("tries") is not None:  # first: where none can be approved, the experiment goes on
        approved = proposal_outcomes.approve(experiment, by=by, reason=why, override=overridden)
    stop(experiment, by=by, reason=f"“{arm.name}” was made live.")
    if approved is not None:
        activation.publish_edits(shop)
    elif arm.clusters:
        _serve_clusters(shop, active, told, by=by, why=f"“{arm.name}” of “{experiment.name}”.")
    if arm.policy:
        _serve_policy(shop, arm.policy, by=by, why=why, overridden=overridden)
    if arm.adapts != settings.enabled:
        _set_adapts(shop, on=arm.adapts)
    serving = Release.objects.active(shop)
    assert serving is not None
    _note(
        experiment,
        live={
            "arm": arm.name,
            "at": timezone.now().isoformat(),
            "by": by.get_username() if by is not None else "",
            "release": serving.number,
            "origin": releases.origin(serving),
            "before": before,
            "overridden": overridden,
            "reason": why[:300],
            "approved": approved,
        },
        also=None if also is None else partial(also, serving),
    )
    return serving


def roll_back(experiment: Experiment, *, by: Any, also: Callable[[], None] | None = None) -> Release:
    """Take back that an arm was made live. also : called in the transaction that keeps that it was.

    Raises EditError where none was, EditConflict where something else serves by now.
    """
    live, shop = experiment.result.get("live"), experiment.shop
    if not live:
        raise EditError("experiment", "has no arm that was made live")
    arm = next(arm for arm in read_arms(experiment.arms) if arm.name == live["arm"])
    active = Release.objects.active(shop)
    if active is None:
        raise EditError("experiment", "needs a release that serves")
    for kind, version in (("policy", arm.policy),):
        if version and active.components[kind] != version:
            raise EditConflict("experiment", f"can't be taken back: another {kind} serves by now")
    before, why = live["before"], f"Took back “{arm.name}” of “{experiment.name}”."
    if live.get("approved") is not None:
        proposal_outcomes.take_back(shop, live["approved"], by=_actor(by))
        activation.publish_edits(shop)
    elif arm.clusters:
        earlier = Release.objects.filter(shop=shop, number=before["release"]).first()
        if earlier is None:
            raise EditConflict("experiment", "can't be taken back: the release of before isn't kept any more")
        # That of before serves already where it was taken back, and something failed after.
        if "origin" in live and releases.origin(active) not in (live["origin"], releases.origin(earlier)):
            raise EditConflict("experiment", "can't be taken back: other clusters were built since, which would be lost")
        activation.activate(earlier, by=_actor(by), reason=why)
    if arm.policy:
        _serve_policy(shop, before["policy"], by=by, why=why, overridden=False)
    if arm.adapts != before["enabled"]:
        _set_adapts(shop, on=before["enabled"])
    taken = {**live, "taken_back_at": timezone.now().isoformat(), "by": by.get_username()}
    _note(experiment, live=None, taken_back=taken, also=also)
    serving = Release.objects.active(shop)
    assert serving is not None
    return serving


def _serve_policy(shop: Shop, component: str, *, by: Any, why: str, overridden: bool) -> None:
    row = PolicyVersion.objects.filter(shop=shop, component=component).first()
    if row is None:
        raise EditError("policy", "is not on record any more")
    if row.state != PolicyVersion.State.LIVE:
        policies.go_live(row, by=by, reason=why, overridden=overridden)


def _serve_clusters(shop: Shop, active: Release, arm: Mapping[str, Any], *, by: Any, why: str) -> None:
    manifest = {**active.components, "clusters": arm["clusters"]}
    metrics = {**releases.metrics_of(active), "edits": arm_clusters.edits_in(shop, arm)}
    release = releases.publish_manifest(
        shop, manifest, metrics=metrics, notes=f"Release {active.number} with other clusters: {why}"
    )
    activation.activate(release, by=_actor(by), reason=why)


def _set_adapts(shop: Shop, *, on: bool) -> None:
    row = settings_of(shop)
    row.enabled = on
    AdaptationSettings.objects.update_or_create(shop=shop, defaults={"enabled": on})
    request_overlay(shop)


def _actor(by: Any) -> Actor:
    return Actor(ClusterChange.Actor.MERCHANDISER, user=by, who=by.get_username() if by is not None else "")


def _note(experiment: Experiment, *, also: Callable[[], None] | None = None, **told: Any) -> None:
    """Keep something with the result, which is counted anew by others. also : called in the same transaction."""
    with transaction.atomic():
        row = Experiment.objects.select_for_update().get(pk=experiment.pk)
        row.result = {name: value for name, value in {**row.result, **told}.items() if value is not None}
        row.save(update_fields=["result"])
        if also is not None:
            also()
    experiment.refresh_from_db()


# As it goes


def shops_to_look_at() -> list[int]:
    """Shops with an experiment that runs, or whose last visits still come in."""
    lately = Q(state=State.RUNNING) | Q(state=State.STOPPED, stopped_at__gte=timezone.now() - LATE)
    return sorted(set(Experiment.objects.filter(lately).order_by().values_list("shop_id", flat=True)))


def look(shop: Shop) -> None:
    """Count what came in, tell what is known by now, and stop what must stop: a guardrail that was broken, an arm that can't be
    served any more. Safe to run twice, and at once."""
    measuring.count(shop)
    late = timezone.now() - LATE
    for experiment in Experiment.objects.filter(shop=shop, state=State.RUNNING):
        _tell(experiment)
        try:
            if arm_clusters.follow(experiment):
                announce(shop)
        except releases.ReleaseError as error:
            logger.warning("the arms of experiment %s of %s don't follow what is edited: %s", experiment.pk, shop.slug, error)
        if why := measuring.broken(experiment.result) or _unservable(experiment):
            stop(experiment, reason=why)
            logger.warning("experiment %s of %s stopped by itself: %s", experiment.pk, shop.slug, why)
        proposal_outcomes.settle(experiment)
    for experiment in Experiment.objects.filter(shop=shop, state=State.STOPPED, stopped_at__gte=late):
        _tell(experiment)
        proposal_outcomes.settle(experiment)


def _tell(experiment: Experiment) -> None:
    """Keep what is known by now, unless nothing was counted since it was last told."""
    told = parse_datetime(experiment.result.get("counted_at", ""))
    # What was being counted just then wasn't among it.
    since = ExperimentSession.objects.filter(experiment=experiment, counted_at__gt=told - COUNTING) if told else None
    if since is None or since.exists():
        _note(experiment, **measuring.result_of(experiment))


def _unservable(experiment: Experiment) -> str:
    """Why an arm can't be served any more, "" where all can."""
    if not all(arm_clusters.fits(experiment.shop, arm.clusters) for arm in read_arms(experiment.arms) if arm.clusters):
        return "A training brought another catalogue, which the clusters of an arm don't fit."
    if any(arm.get("tries") == [] for arm in experiment.arms):
        return "There is nothing left to tell: what it tries is decided, or is so for everybody by now."
    return ""
