"""Policies that are learned from what decisions led to, judged, and put to serve, on the record.

A candidate is the hand rule after all sealed evidence. The gate compares it with the policy that serves, on decisions that
neither learned from: those since the serving one was learned, each judged by the candidate without its fold of sessions.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import zlib
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from clusters import gate
from clusters.decision_log import DecisionLog
from clusters.lineage import Actor
from clusters.models import ClusterChange
from clusters.policy import Policy, default_policy, learn, propensities, statistics
from clusters.rewards import Rewards
from personas.component_files import save_component
from personas.events import CODE
from personas.models import Shop
from recommendations import activation, releases
from recommendations.learning import evidence, standing
from recommendations.learning.bounds import settings_of
from recommendations.learning.models import AdaptationSettings, PolicyEvidence, PolicyVersion
from recommendations.learning.overriding import check_override
from recommendations.learning.reading import numbered
from recommendations.locks import renewed
from recommendations.models import AdaptationDecision, Release

logger = logging.getLogger(__name__)

LEARN_S = 3600.0
"""Seconds between two candidates: less teaches little, and each is judged on thousands of decisions."""

MOST_JUDGED = 50_000
"""Decisions, the latest, that a candidate is judged on: the gate's interval is then a few thousandths of a look."""

FOLDS = 5

LOCK_S = 60.0
"""Seconds that learning outlives its last renewal."""

CANDIDATES_KEPT = 5
RETIRED_KEPT = 50
"""Policies that are kept on record, beside those that somebody turned down."""


IS_WORSE = (
    "is known to be worse than the policy that it was compared with. Only what is not known yet can be let through all the same."
)


class PolicyError(ValueError):
    """What was asked of a policy can't be done, and what to do."""


class Ended(Enum):
    """How a run ended: all that could be learned is; another worker is at it; nothing may be learned as things stand."""

    DONE = "done"
    BUSY = "busy"
    OFF = "off"


class Outcome(NamedTuple):
    """Of one run. candidate : the policy that was learned, None for none new.  told : how it ended, in words."""

    ended: Ended
    candidate: PolicyVersion | None = None
    told: str = ""


Told = Callable[[str, float], None]
"""Called with what is being done and how far all is, 0 to 1."""


def rewards_of(given: AdaptationSettings) -> Rewards:
    """What the shop takes a slate to be worth."""
    plain = Rewards(ignored_cost=given.ignored_cost)
    own = {CODE[name]: float(worth) for name, worth in given.reward_weights.items() if name in CODE}
    return Rewards(weights={**plain.weights, **own}, ignored_cost=given.ignored_cost)


# Learning


def learn_policy(
    shop: Shop, *, now: dt.datetime | None = None, at_once: bool = False, progress: Told = lambda doing, share: None
) -> Outcome:
    """Seal what can be judged by now, learn from all that is sealed, judge what was learned, and let it serve if it may.

    Safe to run twice, at once on several workers, and after one was killed: chunks are sealed once, and one writer folds.
    at_once : don't wait until there is more to learn from.
    """
    now = now or timezone.now()
    given = settings_of(shop)
    if not given.enabled:
        return Outcome(Ended.OFF, told="Adaptation is switched off.")
    if Release.objects.active(shop) is None:
        return Outcome(Ended.OFF, told="There is no release yet.")
    rewards = rewards_of(given)
    progress("looking", 0.0)
    evidence.claim(shop, before=evidence.ripe_before(rewards, now=now.timestamp()), all_of_it=at_once)
    if not evidence.seal(shop, rewards, progress=lambda share: progress("crediting", 0.8 * share)):
        return Outcome(Ended.BUSY, told="Other workers are at the rest.")
    lock = releases.redis_client().lock(f"learning:{shop.pk}", timeout=LOCK_S, blocking=False, thread_local=False)
    if not lock.acquire():
        return Outcome(Ended.BUSY, told="Another worker is learning.")
    progress("learning", 0.8)
    with renewed(lock, every=LOCK_S / 3):
        return _learn(shop, given, now, at_once)


def _learn(shop: Shop, given: AdaptationSettings, now: dt.datetime, at_once: bool) -> Outcome:
    serving = serves(shop)
    newest = PolicyVersion.objects.filter(shop=shop, learned__has_key="last").order_by("-pk").first()
    chunks = evidence.sealed(shop)
    last = chunks.order_by("-first").values_list("last", flat=True).first() or 0
    waits = newest is not None and (now - newest.created_at).total_seconds() < LEARN_S and not at_once
    made, more = None, ""
    if (newest is None or last > newest.learned["last"]) and not waits and chunks.filter(credited__gt=0).exists():
        more = "" if newest is None or at_once else _until_next_look(serving, last)
        if not more:
            newest = made = _candidate(shop, given, list(chunks), now)
    if newest is None:
        return Outcome(Ended.DONE, told="Nothing that followed a decision has been seen yet.")
    if newest.state == PolicyVersion.State.CANDIDATE:
        # Each step is looked for by what it leaves, so that a worker that was killed before it is made good.
        if not newest.verdict:
            evidence.compact(shop, now.date(), given.half_life_days)
            judge(newest, serving, given)
        if newest.verdict.get("verdict") == gate.BETTER and given.goes_live_by_itself and newest.against == serving.version:
            go_live(newest)
    _tidy(shop)
    return Outcome(Ended.DONE, made, f"{said(newest)} {more}".strip())


def serves(shop: Shop) -> PolicyVersion:
    """The row of the policy that serves, made where there is none. Raises ReleaseError where no release is active."""
    with transaction.atomic():
        Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
        active = Release.objects.active(shop)
        if active is None:
            raise releases.ReleaseError(f"{shop.slug} has no release: train it first")
        component = active.components["policy"]
        row = PolicyVersion.objects.filter(shop=shop, state=PolicyVersion.State.LIVE, component=component).first()
        return row or standing.follow(shop, load(shop, component).version, component)


def load(shop: Shop, component: str) -> Policy:
    """A policy on disk. Raises ReleaseError."""
    found: Policy = releases.load_component(releases.root_of(shop), "policy", component)
    return found


def _candidate(shop: Shop, given: AdaptationSettings, chunks: list[PolicyEvidence], now: dt.datetime) -> PolicyVersion:
    today = now.date()
    policy = learn(default_policy(given.floor), evidence.total(chunks, today, given.half_life_days))
    learned = {
        "decisions": sum(chunk.decisions for chunk in chunks),
        "credited": sum(chunk.credited for chunk in chunks),
        "late": evidence.late_of(chunks),
        "first": chunks[0].first,
        "last": chunks[-1].last,
        "half_life_days": given.half_life_days,
        "day": today.isoformat(),
    }
    with transaction.atomic():
        Shop.objects.select_for_update().get(pk=shop.pk)  # a component that is being recorded isn't pruned
        component = save_component(releases.root_of(shop), "policy", policy)
        releases.record_components(shop, {"policy": component})
        row, _ = PolicyVersion.objects.get_or_create(
            shop=shop,
            version=policy.version,
            defaults={"component": component, "learned": learned, "created_at": now},
        )
    return row


def judge(row: PolicyVersion, serving: PolicyVersion, given: AdaptationSettings) -> gate.Verdict:
    """Compare a candidate with the policy that serves, and keep what the log says of it, and on how many decisions with a reward
    since that policy was learned ("since")."""
    shop, learned = row.shop, row.learned
    rows = _judged_by(serving, learned["last"])
    _, log, sessions = numbered(rows.order_by("-pk")[:MOST_JUDGED])
    if len(log):
        ours = propensities(load(shop, serving.component), log.x, log.action, floor=given.floor)
        chunks = list(evidence.sealed(shop, upto=learned["last"]))
        theirs = _unlearned(learned, chunks, given, log, sessions)
        look = looks_at(serving).look + 1
        verdict = gate.compare(log, theirs, ours, least_effective_sample=given.least_effective_sample, look=look)
    else:
        verdict = gate.Verdict(gate.UNKNOWN, missing="No decision since the policy that serves was learned has a reward yet.")
    row.verdict, row.against = verdict.to_json() | {"since": rows.count()}, serving.version
    row.save(update_fields=["verdict", "against"])
    return verdict


class Looks(NamedTuple):
    """At candidates for a policy's place. look : how many there were.  since : decisions at the last, 0 for none."""

    look: int
    since: int


def looks_at(serving: PolicyVersion) -> Looks:
    """What the verdicts on record say of the looks for a policy's place; those at what couldn't be told didn't count."""
    judged = PolicyVersion.objects.filter(shop=serving.shop_id, against=serving.version, verdict__look__gt=0)
    found = [Looks(told["look"], told.get("since", 0)) for told in judged.values_list("verdict", flat=True)]
    return max(found, default=Looks(0, 0))


def _judged_by(serving: PolicyVersion, last: int) -> QuerySet[AdaptationDecision]:
    """The decisions with a reward since a policy was learned, up to a primary key."""
    after = int(serving.learned.get("last", 0))
    return AdaptationDecision.objects.filter(shop=serving.shop_id, pk__gt=after, pk__lte=last, reward__isnull=False)


def _until_next_look(serving: PolicyVersion, last: int) -> str:
    """Why it isn't worth another look yet, "" where it is: each look takes certainty from all that follow."""
    looks = looks_at(serving)
    if not looks.look:
        return ""
    since, asked = _judged_by(serving, last).count(), math.ceil(looks.since * gate.GROWTH)
    return f"The next is judged at {asked:,} decisions with a reward, of {since:,} now." if since < asked else ""


def _unlearned(
    learned: dict[str, Any],
    chunks: list[PolicyEvidence],
    given: AdaptationSettings,
    log: DecisionLog,
    sessions: tuple[str, ...],
) -> np.ndarray:
    """(n, O) propensities of the candidate, each decision's from what was learned without its fold of sessions."""
    day, half_life = dt.date.fromisoformat(learned["day"]), learned["half_life_days"]
    everything = evidence.total(chunks, day, half_life)
    weight = evidence.weights(evidence.days_at(log.at), day, half_life)
    fold = np.array([zlib.crc32(name.encode()) % FOLDS for name in sessions])[log.session]
    found = np.zeros(log.action.shape)
    for k in range(FOLDS):
        of = fold == k
        if of.any():
            part = statistics(log.chosen_x[of], log.chosen[of], log.reward[of], weight[of])
            policy = learn(default_policy(given.floor), everything + part.scaled(-1.0))
            found[of] = propensities(policy, log.x[of], log.action[of], floor=given.floor)
    return found


def _tidy(shop: Shop) -> None:
    """Let candidates go that later ones took the place of, and policies that served long ago."""
    State = PolicyVersion.State
    kept = {component for kind, component in standing.in_experiments(shop) if kind == "policy"}
    # The last look at what might take each policy's place says how many there were; verdicts that were none don't.
    judged = PolicyVersion.objects.filter(shop=shop, verdict__look__gt=0).order_by().values("against")
    latest = judged.annotate(latest=Max("pk")).values_list("latest", flat=True)
    for state, count in ((State.CANDIDATE, CANDIDATES_KEPT), (State.RETIRED, RETIRED_KEPT)):
        rows = PolicyVersion.objects.filter(shop=shop, state=state).order_by("-pk")
        last = list(rows.values_list("pk", flat=True)[count - 1 : count])
        if last:
            rows.filter(pk__lt=last[0]).exclude(component__in=kept).exclude(pk__in=list(latest)).delete()


# Deciding


def passed(row: PolicyVersion) -> bool:
    """Whether the gate said that it may serve in the place of the policy that does."""
    live = (
        PolicyVersion.objects.filter(shop=row.shop_id, state=PolicyVersion.State.LIVE).values_list("version", flat=True).first()
    )
    return row.state == PolicyVersion.State.CANDIDATE and row.verdict.get("verdict") == gate.BETTER and row.against == live


def known_worse(row: PolicyVersion) -> bool:
    """Whether the gate said that it is worse than what it was compared with: that is known, and nobody's to override."""
    return bool(row.verdict.get("verdict") == gate.WORSE)


def go_live(
    row: PolicyVersion,
    *,
    by: Any = None,
    reason: str = "",
    overridden: bool | None = None,
    also: Callable[[Release], None] | None = None,
) -> Release:
    """Let a policy serve, within seconds and without a training; the release that now does.

    by : the user who says so, None for the gate.  reason : needed where the gate didn't say that it may, which takes the right to
    override.  overridden : whether it goes on record as let through without being known to be better, where whoever calls knows,
    and has looked whether the user may; None where the gate is to tell.
    also : called in the transaction, with the release.
    What is known to be worse isn't let through: only an experiment that says otherwise may (`overridden` False).
    Raises PolicyError, PermissionDenied, ReleaseError.
    """
    if row.state == PolicyVersion.State.LIVE:
        raise PolicyError(f"{row.version} serves already.")
    if overridden is not False and known_worse(row):
        raise PolicyError(f"{row.version} {IS_WORSE}")
    if overridden is None:
        overridden = not passed(row)
        if overridden and by is not None:
            check_override(by)
        if overridden and (by is None or not reason.strip()):
            raise PolicyError("The gate did not say that it is better: give a reason, which is kept.")

    def told(release: Release) -> None:
        _decided(row, by, reason, overridden=bool(overridden))
        if also is not None:
            also(release)

    return activation.serve_policy(
        row.shop, row.component, by=_actor(by), reason=f"Policy {row.version} serves from now on.", told=told
    )


def earlier(shop: Shop) -> PolicyVersion | None:
    """The policy that served before the one that does, None where there is none."""
    retired = PolicyVersion.objects.filter(shop=shop, state=PolicyVersion.State.RETIRED)
    return retired.order_by("-decided_at", "-pk").first()


def roll_back(shop: Shop, *, by: Any, reason: str = "", also: Callable[[PolicyVersion], None] | None = None) -> PolicyVersion:
    """Let the policy of before serve, turn the present one down, and leave it to people from now on which serves.

    also : called in the transaction, with the policy that serves. Raises PolicyError where there is none of before, ReleaseError.
    """
    before, now = earlier(shop), serves(shop)
    if before is None:
        raise PolicyError("No other policy has served before this one.")

    def told(release: Release) -> None:
        _decided(before, by, reason or f"Rolled back from {now.version}.", overridden=before.overridden)
        _decided(
            now, by, reason or f"Rolled back to {before.version}.", overridden=now.overridden, state=PolicyVersion.State.REFUSED
        )
        # Else the next candidate, which learned from the same decisions, would be back within the hour.
        AdaptationSettings.objects.update_or_create(shop=shop, defaults={"goes_live_by_itself": False})
        if also is not None:
            also(before)

    why = f"Rolled back to policy {before.version}."
    activation.serve_policy(shop, before.component, by=_actor(by), reason=why, told=told)
    before.refresh_from_db()
    return before


def refuse(row: PolicyVersion, *, by: Any, reason: str = "") -> None:
    """Turn a candidate down. Raises PolicyError on any other."""
    State = PolicyVersion.State
    waiting = PolicyVersion.objects.filter(pk=row.pk, state=State.CANDIDATE)
    if not waiting.update(state=State.REFUSED, decided_by=by, decided_at=timezone.now(), reason=reason.strip()[:300]):
        raise PolicyError(f"{row.version} doesn't wait for a decision any more.")
    row.refresh_from_db()


def _decided(row: PolicyVersion, by: Any, reason: str, *, overridden: bool, state: str | None = None) -> None:
    changed: dict[str, Any] = {"decided_by": by, "decided_at": timezone.now(), "reason": reason.strip()[:300]}
    changed |= {"overridden": overridden} | ({} if state is None else {"state": state})
    PolicyVersion.objects.filter(pk=row.pk).update(**changed)
    row.refresh_from_db()


def _actor(by: Any) -> Actor:
    if by is None:
        return Actor(ClusterChange.Actor.LEARNING, who="the gate")
    return Actor(ClusterChange.Actor.MERCHANDISER, user=by, who=by.get_username())


def said(row: PolicyVersion) -> str:
    """What the gate said of a policy, as a sentence."""
    told = row.verdict
    if row.state == PolicyVersion.State.LIVE:
        return f"{row.version} serves."
    if not told:
        return f"{row.version} has not been judged."
    word = {gate.BETTER: "better", gate.WORSE: "worse", gate.SAME: "the same"}.get(told["verdict"], "not known yet")
    return f"{row.version} is {word}. {told['missing']}".strip()
