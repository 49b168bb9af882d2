"""What changed in a shop of late, and what waits for somebody: each with its moment and the page that shows it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import NamedTuple

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.contrib.contenttypes.models import ContentType
from django.db.models import Count, Max
from django.urls import reverse

from clusters import gate
from clusters.models import CatalogueFeed, ClusterChange
from personas.models import PersonaVersion, Shop
from recommendations.learning.experiment_dates import VERDICTS, moment_words
from recommendations.learning.models import AdaptationSettings, ClusterProposal, Experiment, PolicyVersion
from recommendations.models import MerchandisingRule, Release, TrainingRun

MOST = 40
"""Changes that the page lists, the latest."""

AHEAD = dt.timedelta(days=7)
"""What begins or ends by itself within this is told beforehand."""

SAME_MOMENT_S = 60.0
"""Seconds between a row's change and the admin's record of it, beyond which they are two."""

Person = AbstractUser | AnonymousUser


class Change(NamedTuple):
    """One thing that changed. who : whoever did it, "" for the system itself."""

    at: dt.datetime
    what: str
    who: str
    url: str


class Waiting(NamedTuple):
    """Something that wants a decision, or a look."""

    what: str
    url: str
    grave: bool = False


def _admin(name: str, *arguments: int, query: str = "") -> str:
    return reverse(f"admin:{name}", args=arguments) + (f"?{query}" if query else "")


def changes(shop: Shop, since: dt.datetime) -> list[Change]:
    """What changed from `since` on, the latest first."""
    found: list[Change] = []
    for gather in (_releases, _personas, _clusters, _rules, _policies, _experiments, _settings):
        found += gather(shop, since)
    return sorted(found, key=lambda change: change.at, reverse=True)[:MOST]


def _releases(shop: Shop, since: dt.datetime) -> list[Change]:
    rows = Release.objects.filter(shop=shop, activated_at__gte=since).select_related("activated_by")
    return [
        Change(
            row.activated_at,  # type: ignore[arg-type]  # filtered by it
            f"Release {row.number} went live",
            str(row.activated_by or ""),
            _admin("recommendations_release_change", row.pk),
        )
        for row in rows.order_by("-activated_at")[:MOST]
    ]


def _personas(shop: Shop, since: dt.datetime) -> list[Change]:
    rows = PersonaVersion.objects.filter(shop=shop, published_at__gte=since).select_related("published_by")
    return [
        Change(
            row.published_at,
            f"Personas, version {row.number}{f': {row.note}' if row.note else ''}",
            str(row.published_by or ""),
            _admin("personas_personaversion_changelist"),
        )
        for row in rows[:MOST]
    ]


def _clusters(shop: Shop, since: dt.datetime) -> list[Change]:
    """Changes of clusters, those of one operation or one rebuild told as one."""
    since_then = ClusterChange.objects.filter(shop=shop, at__gte=since).order_by().values_list("batch")
    latest = since_then.annotate(last=Max("pk"), n=Count("pk")).order_by("-last").values_list("last", "n")[:MOST]
    batches = dict(latest)
    # What undoes a change, and all that a cluster holds, is large and isn't told here.
    told = ("at", "actor", "who", "action", "summary", "batch", "cluster__name", "user__username")
    rows = ClusterChange.objects.filter(pk__in=batches).select_related("cluster", "user").only(*told)
    found = []
    for first in rows:
        many, said = batches[first.pk], first.get_action_display().lower()
        what = f"{first.cluster}: {first.summary or said}" if many == 1 else f"{many:,} clusters: {said}"
        by_itself = first.actor in {ClusterChange.Actor.TRAINING, ClusterChange.Actor.BUILD, ClusterChange.Actor.LEARNING}
        who = first.get_actor_display().lower() if by_itself else str(first.user or first.who)
        if by_itself and first.user is not None:
            who = f"{who}, approved by {first.user}" if first.actor == ClusterChange.Actor.LEARNING else f"{who}, by {first.user}"
        found.append(Change(first.at, what, who, _admin("clusters_clusterchange_changelist", query=f"batch={first.batch}")))
    return found


def _rules(shop: Shop, since: dt.datetime) -> list[Change]:
    rows = list(MerchandisingRule.objects.filter(shop=shop, updated_at__gte=since).order_by("-updated_at")[:MOST])
    names = _by_whom(rows)
    return [
        Change(
            row.updated_at,
            f"Rule “{row.name}” {_rule_said(row)}",
            names.get(row.pk, ""),
            _admin("recommendations_merchandisingrule_change", row.pk),
        )
        for row in rows
    ]


def _by_whom(rows: Sequence[MerchandisingRule] | Sequence[AdaptationSettings]) -> dict[int, str]:
    """Key -> who changed the row last, by the admin's own log; those that it doesn't tell of are left out."""
    if not rows:
        return {}
    kind = ContentType.objects.get_for_model(type(rows[0]))
    at = {row.pk: row.updated_at for row in rows}
    entries = LogEntry.objects.filter(content_type=kind, object_id__in=[str(pk) for pk in at]).order_by("action_time", "pk")
    told = ((int(entry.object_id or 0), entry) for entry in entries.select_related("user"))
    return {pk: str(entry.user) for pk, entry in told if abs((entry.action_time - at[pk]).total_seconds()) < SAME_MOMENT_S}


def _settings(shop: Shop, since: dt.datetime) -> list[Change]:
    rows = list(AdaptationSettings.objects.filter(shop=shop, updated_at__gte=since))
    names = _by_whom(rows)
    url = "recommendations_adaptationsettings_change"
    return [
        Change(
            row.updated_at,
            f"Settings of the adaptation were changed{'' if row.enabled else ': it is off'}",
            names.get(row.pk, ""),
            _admin(url, row.pk),
        )
        for row in rows
    ]


def _rule_said(row: MerchandisingRule) -> str:
    if row.retired_at is not None:
        return "was taken out"
    if (row.updated_at - row.created_at).total_seconds() < 1:
        return "was made"
    return "was changed" if row.enabled else "was switched off"


def _policies(shop: Shop, since: dt.datetime) -> list[Change]:
    said = {PolicyVersion.State.LIVE: "serves", PolicyVersion.State.REFUSED: "was turned down"}
    rows = PolicyVersion.objects.filter(shop=shop, decided_at__gte=since, state__in=said).select_related("decided_by")
    return [
        Change(
            row.decided_at,  # type: ignore[arg-type]  # filtered by it
            f"A learned policy {said[PolicyVersion.State(row.state)]}",
            str(row.decided_by or ""),
            _admin("recommendations_policyversion_change", row.pk),
        )
        for row in rows[:MOST]
    ]


def _experiments(shop: Shop, since: dt.datetime) -> list[Change]:
    found = []
    for row in Experiment.objects.filter(shop=shop).select_related("created_by", "stopped_by")[:MOST]:
        url = _admin("recommendations_experiment_change", row.pk)
        if row.started_at is not None and row.started_at >= since:
            found.append(Change(row.started_at, f"Experiment “{row.name}” began", str(row.created_by or ""), url))
        if row.stopped_at is not None and row.stopped_at >= since:
            found.append(Change(row.stopped_at, f"Experiment “{row.name}” ended{_verdict(row)}", str(row.stopped_by or ""), url))
    return found


def _verdict(row: Experiment) -> str:
    """What came of it, ": “Still” is worse"; "" before anything was counted."""
    verdicts = row.result.get("verdicts", {})
    return f": {'; '.join(f'“{arm}” {VERDICTS[verdict]}' for arm, verdict in verdicts.items())}" if verdicts else ""


# What comes


def coming(shop: Shop, now: dt.datetime) -> list[Change]:
    """Experiments that begin or end by themselves within a week, the first first."""
    found = []
    for row in Experiment.objects.filter(shop=shop).exclude(state=Experiment.State.STOPPED).order_by("pk"):
        drafted = row.state == Experiment.State.DRAFT
        if (drafted and row.starts_at is None) or not (moment := row.starts_at if drafted else row.ends_at):
            continue
        if now <= moment < now + AHEAD:
            what = f"Experiment “{row.name}” {'begins' if drafted else 'ends'} {moment_words(moment, now)}"
            found.append(Change(moment, what, "by itself", _admin("recommendations_experiment_change", row.pk)))
    return sorted(found, key=lambda change: change.at)


# What waits


def waiting(shop: Shop, person: Person) -> list[Waiting]:
    """What wants a decision of this person, what went wrong first."""
    found: list[Waiting] = []
    ways: tuple[tuple[str, Callable[[Shop], list[Waiting]]], ...] = (
        ("recommendations.view_trainingrun", _failed_runs),
        ("clusters.view_cataloguefeed", _failed_feeds),
        ("recommendations.view_clusterproposal", _proposals),
        ("recommendations.view_policyversion", _candidates),
        ("recommendations.view_experiment", _not_begun),
        ("recommendations.view_experiment", _decided),
    )
    for right, gather in ways:
        if person.has_perm(right):
            found += gather(shop)
    return sorted(found, key=lambda each: not each.grave)


def _failed_runs(shop: Shop) -> list[Waiting]:
    last = TrainingRun.objects.filter(shop=shop).exclude(state=TrainingRun.State.RUNNING).first()
    if last is None or last.state != TrainingRun.State.FAILED:
        return []
    what = f"The last training failed{f': {last.error}' if last.error else ''}; what served before goes on serving."
    return [Waiting(what, _admin("recommendations_trainingrun_change", last.pk), grave=True)]


def _failed_feeds(shop: Shop) -> list[Waiting]:
    rows = CatalogueFeed.objects.filter(shop=shop, enabled=True, state=CatalogueFeed.State.FAILED)
    return [Waiting(f"The feed {row.url} could not be read: {row.told}", _feed(row), grave=True) for row in rows]


def _feed(row: CatalogueFeed) -> str:
    return _admin("clusters_cataloguefeed_change", row.pk)


def _proposals(shop: Shop) -> list[Waiting]:
    rows = ClusterProposal.objects.filter(shop=shop, state=ClusterProposal.State.OPEN)
    better = rows.filter(verdict=ClusterProposal.Verdict.BETTER).count()
    if not better:
        return []
    many = "changes of clusters that learning proposes are" if better > 1 else "change of clusters that learning proposes is"
    query = f"shop__id__exact={shop.pk}&verdict__exact=better"
    return [Waiting(f"{better} {many} surely better", _admin("recommendations_clusterproposal_changelist", query=query))]


def _candidates(shop: Shop) -> list[Waiting]:
    rows = PolicyVersion.objects.filter(shop=shop, state=PolicyVersion.State.CANDIDATE).order_by("-pk")[:20]
    return [
        Waiting("A learned policy passed the gate", _admin("recommendations_policyversion_change", row.pk))
        for row in rows
        if row.verdict.get("verdict") == gate.BETTER
    ][:1]


def _not_begun(shop: Shop) -> list[Waiting]:
    """Experiments that were to begin by themselves, and could not."""
    rows = Experiment.objects.filter(shop=shop, state=Experiment.State.DRAFT).exclude(reason="")
    return [
        Waiting(f"Experiment “{row.name}”: {row.reason}", _admin("recommendations_experiment_change", row.pk), grave=True)
        for row in rows
    ]


def _decided(shop: Shop) -> list[Waiting]:
    rows = Experiment.objects.filter(shop=shop, state=Experiment.State.RUNNING)
    return [
        Waiting(f"Experiment “{row.name}” has an answer", _admin("recommendations_experiment_change", row.pk))
        for row in rows
        if {"better", "worse"} & set(row.result.get("verdicts", {}).values())
    ]
