"""Lasting changes of clusters that learning proposes, and what becomes of them: approved, rejected, blocked, stale, undone.

A run looks at what decisions led to (`findings`), brings the open proposals in line with it, and keeps within the bounds. What is
approved is done by the verbs of `clusters.editing` as `Actor.LEARNING`: its lineage and its undo are those of any other edit.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from statistics import median
from typing import Any, NamedTuple

from django.db.models import Q
from django.utils import timezone

from clusters import editing
from clusters.cluster_drafts import LESSENED, count_items, listed
from clusters.editing import Actor, EditConflict, EditError, UndoneDay
from clusters.lasting import Finding, Found
from clusters.lineage import shortened
from clusters.models import ClusterChange, ClusterItemRule, ClusterMembership, ClusterRelation, ClusterTie, Item, ItemCluster
from personas.models import Shop, in_chunks
from recommendations.learning import findings
from recommendations.learning.bounds import settings_of
from recommendations.learning.lasting_bounds import WORDS, Held, allowed, held, tally
from recommendations.learning.models import AdaptationSettings, ClusterProposal, Experiment
from recommendations.learning.overriding import check_override

Kind, State, Verdict = ClusterProposal.Kind, ClusterProposal.State, ClusterProposal.Verdict

LEAST_TIE = 0.2
"""Share of a cluster's relations that a tie gives at least: under it expansion hardly ever goes there."""

STRONGER = 1.5
"""Times the share that two clusters are related by already, where that is more."""

MOST_TIE = 0.6
"""A tie gives no more: the others must stay within reach, or nothing is ever learned of them again."""

FRESH_DAYS = 14
"""Days after which what a proposal was judged on is too old to be applied; every run judges it anew."""


NOT_SO = "What decisions led to since doesn't say so any more."
SWITCHED_OFF = (
    "Clusters don't adapt to visits any more (Adaptation settings), so that nothing is learned: this says nothing of "
    "shoppers as they are now. Once they adapt again, it is proposed anew, if they still say so."
)
"""Why an open proposal is no longer so."""


class ProposalError(EditError):
    """A proposal that can't be decided on so. field, reason : as of any edit."""


class Proposed(NamedTuple):
    """What a run came to: proposals by what became of them, and what it was made of."""

    opened: int
    kept: int
    blocked: int
    stale: int
    found: Found


def propose_cluster_changes(shop: Shop, *, now: dt.datetime | None = None) -> Proposed:
    """Judge what decisions led to, and bring the shop's open proposals in line with that. Safe to run twice.

    A change that is open already is judged anew in its row. One that somebody rejected isn't proposed again before its evidence
    is of other decisions, after two half lives. Open proposals that are not found any more are stale.
    """
    now = now or timezone.now()
    given = settings_of(shop)
    found = findings.find_changes(shop, given, now) if given.enabled else Found((), 0, 0, 0)
    with editing.editing(shop):
        settle_undone(shop)
        return _Run(shop, given, now, found).write()


class _Run:
    """One run's writing, under the shop's lock."""

    def __init__(self, shop: Shop, given: AdaptationSettings, now: dt.datetime, found: Found) -> None:
        self.shop, self.given, self.now, self.found = shop, given, now, found
        self.batch = uuid.uuid4()
        self.clusters = ItemCluster.objects.live().filter(shop=shop).in_bulk()
        standing = ClusterProposal.objects.filter(shop=shop, state__in=(State.OPEN, State.BLOCKED)).select_related("experiment")
        self.standing = {(p.kind, p.cluster_id, p.target_id or 0): p for p in standing.order_by("pk")}
        # What is tried by shoppers, or was of late, is judged by that, not by this.
        self.tried = {key for key, p in self.standing.items() if is_tried(p, now)}
        self.standing = {key: p for key, p in self.standing.items() if key not in self.tried}
        since = now - dt.timedelta(days=findings.HALF_LIVES * given.half_life_days)
        self.rejected: dict[tuple[str, int, int], set[int]] = {}
        for p in ClusterProposal.objects.filter(shop=shop, state=State.REJECTED, decided_at__gte=since):
            self.rejected.setdefault((p.kind, p.cluster_id, p.target_id or 0), set()).update(ids_of(p))
        self.held: dict[int, Held] = {}

    def write(self) -> Proposed:
        opened = kept = blocked = 0
        for finding in self.found.findings:
            if finding.verdict == Verdict.WORSE:
                continue  # what makes things worse isn't proposed
            key = (finding.kind, finding.cluster, finding.target)
            if key in self.tried:
                continue
            items = self._items(finding, key)
            if items is None:
                continue
            row = self.standing.pop(key, None)
            kept += row is not None
            opened += row is None
            blocked += self._put(row or ClusterProposal(shop=self.shop, kind=finding.kind), finding, items)
        gone = [p.pk for p in self.standing.values()]
        reason = NOT_SO if self.given.enabled else SWITCHED_OFF
        ClusterProposal.objects.filter(pk__in=gone).update(state=State.STALE, decided_at=self.now, reason=reason)
        return Proposed(opened, kept, blocked, len(gone), self.found)

    def _items(self, finding: Finding, key: tuple[str, int, int]) -> list[dict[str, Any]] | None:
        """The items as a proposal keeps them; None where there is nothing left to propose."""
        if finding.cluster not in self.clusters or (finding.target and finding.target not in self.clusters):
            return None
        rejected = self.rejected.get(key)
        if finding.kind == Kind.RELATE:
            tied = ClusterTie.objects.filter(source=finding.cluster, target=finding.target).first()
            enough = tied is not None and tied.weight >= tie_of(finding.cluster, finding.target)
            return None if enough or rejected is not None else []
        weights = dict(ClusterMembership.objects.filter(cluster=finding.cluster).values_list("item_id", "weight"))
        usual = median(weights.values()) if weights else 1.0
        lessened = set(ClusterItemRule.objects.filter(cluster=finding.cluster, rule=LESSENED).values_list("item_id", flat=True))
        found = []
        for item in finding.items:
            if item.item in (rejected or ()) or (finding.kind == Kind.DOWNWEIGHT and item.item in lessened):
                continue
            after = usual if finding.kind == Kind.ADD else item.factor * weights.get(item.item, 0.0)
            told = {"sights": item.sights, "sessions": item.sessions, "factor": item.factor}
            numbers = {name: getattr(item, name) for name in ("effect", "low", "high", "observed", "expected")}
            told |= {name: round(value, 4) for name, value in numbers.items() if value == value}  # NaN where it says nothing
            found.append({"item": item.item, "weight": round(after, 4), "evidence": told})
        return found or None

    def _put(self, row: ClusterProposal, finding: Finding, items: list[dict[str, Any]]) -> bool:
        """Write a proposal; whether a bound blocks it."""
        cluster = self.clusters[finding.cluster]
        now_held = self.held.setdefault(cluster.pk, held(cluster, self.now))
        lets = allowed(self.given, now_held, finding.kind, [each["item"] for each in items])
        row.cluster, row.target = cluster, self.clusters.get(finding.target)
        row.items = items if lets.bound else [each for each in items if each["item"] in lets.items]
        row.state, row.bound = (State.BLOCKED, lets.bound) if lets.bound else (State.OPEN, "")
        row.effect, row.low, row.high = (round(value, 5) for value in (finding.effect, finding.low, finding.high))
        row.verdict, row.batch, row.created_at = Verdict(finding.verdict), self.batch, row.created_at or self.now
        row.evidence = self._evidence(finding, {bound: list(out) for bound, out in lets.stopped.items()})
        row.summary = shortened(summary_of(row))
        row.save()
        tally(self.shop, row, lets.stopped)
        now_held.spent |= {item for item in lets.items}  # what is proposed for a cluster today fits its budget together
        return bool(lets.bound)

    def _evidence(self, finding: Finding, stopped: dict[str, list[int]]) -> dict[str, Any]:
        raw = finding.raw
        return {
            "decisions": list(raw.decisions),
            "sessions": list(raw.sessions),
            "means": [round(mean, 4) for mean in raw.means],
            "effective": round(raw.effective, 1),
            "asked": self.given.least_effective_sample,
            "difference": round(raw.estimate, 4),
            "error": round(raw.error, 4),
            "p": float(f"{finding.p:.3g}"),
            "missing": finding.missing,
            "tests": self.found.tests,
            "false_discoveries": findings.CHANCE_A_YEAR,
            "of": {"decisions": self.found.decisions, "sessions": self.found.sessions},
            "judged_at": self.now.isoformat(),
            "tie": tie_of(finding.cluster, finding.target) if finding.kind == Kind.RELATE else None,
            "stopped": stopped,
        }


def tie_of(source: int, target: int) -> float:
    """The weight of a tie that learning proposes: a half more than the two are related by already, within bounds."""
    now = ClusterRelation.objects.filter(source=source, target=target).values_list("weight", flat=True).first() or 0.0
    return round(min(max(STRONGER * now, LEAST_TIE), MOST_TIE), 4)


def is_tried(proposal: ClusterProposal, now: dt.datetime) -> bool:
    """Whether an experiment tries a proposal, or has told what it is worth not too long ago."""
    experiment = proposal.experiment
    if experiment is None:
        return False
    if experiment.state != Experiment.State.STOPPED:
        return True
    told = proposal.evidence.get("experiment") == experiment.pk and proposal.verdict != Verdict.UNKNOWN
    return told and now - _judged_at(proposal, now) <= dt.timedelta(days=FRESH_DAYS)


def _judged_at(proposal: ClusterProposal, now: dt.datetime) -> dt.datetime:
    return dt.datetime.fromisoformat(str(proposal.evidence.get("judged_at", now.isoformat())))


def ids_of(proposal: ClusterProposal) -> list[int]:
    """Ids of a proposal's items, in their order."""
    return [int(each["item"]) for each in proposal.items]


def summary_of(proposal: ClusterProposal) -> str:
    """What a proposal would do, in words."""
    if proposal.kind == Kind.RELATE:
        return f"Relate “{proposal.cluster}” to “{proposal.target}”"
    titles = dict(Item.objects.filter(pk__in=ids_of(proposal)[:3]).values_list("pk", "title"))
    named = [titles.get(item) or f"item {item}" for item in ids_of(proposal)]
    what = f"“{named[0]}”" if len(named) == 1 else f"{count_items(len(named))}, {listed([f'“{n}”' for n in named], 2)},"
    if proposal.kind == Kind.ADD:
        return f"Take {what} of “{proposal.target}” into “{proposal.cluster}”"
    if proposal.kind == Kind.DROP:
        return f"Let {what} go from “{proposal.cluster}”"
    return f"Let {what} weigh less in “{proposal.cluster}”"


# What somebody decides


def apply_proposal(
    *, proposal: ClusterProposal, user: Any, reason: str = "", items: Collection[int] | None = None, override: bool = False
) -> Sequence[ClusterChange]:
    """Make the change that is proposed, with some of its items or all, as far as the bounds still let it be made.

    override : make it though it isn't known to be better; that goes on record, asks for a reason and takes the right to override.
    Raises PermissionDenied, or EditError, with the proposal as it was, or EditConflict where it has become stale or blocked: its
    state says so then. To be called outside of a transaction that is rolled back on errors.
    """
    with editing.editing(proposal.shop):
        row, error = _opened(proposal), None
        if row.verdict != Verdict.BETTER and not (override and row.verdict == Verdict.UNKNOWN):
            raise ProposalError("verdict", f"is “{row.get_verdict_display().lower()}”: only what is better is applied")
        if row.verdict != Verdict.BETTER:
            check_override(user)
        if row.verdict != Verdict.BETTER and not reason.strip():
            raise ProposalError("reason", "must be given for what isn't known to be better")
        if unknown := set(items or ()) - set(ids_of(row)):
            raise ProposalError("items", f"are not of the proposal: {listed(sorted(unknown))}")
        chosen = [item for item in ids_of(row) if items is None or item in items]
        if row.kind != Kind.RELATE and not chosen:
            raise ProposalError("items", "must name at least one item")
        try:
            changes = _made(row, chosen, user, reason)
        except _Unmade as unmade:
            row.state, row.bound, error = unmade.state, unmade.bound, unmade
            row.reason = shortened(unmade.reason)
            changes = ()
        else:
            row.state, row.change = State.APPLIED, changes[0].batch
            row.overridden, row.reason = row.verdict != Verdict.BETTER, reason.strip()
            row.decided_by = user
        row.decided_at = timezone.now()
        row.save()
    proposal.refresh_from_db()
    if error is not None:
        raise EditConflict("proposal", error.reason)
    return changes


class _Unmade(Exception):
    """A proposal that can't be made any more: what it becomes, and why."""

    def __init__(self, state: str, reason: str, bound: str = "") -> None:
        super().__init__(reason)
        self.state, self.reason, self.bound = state, reason, bound


def _opened(proposal: ClusterProposal) -> ClusterProposal:
    """A proposal that waits for a decision, as it is now; within `editing`. Raises ProposalError."""
    row = ClusterProposal.objects.select_related("shop", "cluster", "target").filter(pk=proposal.pk).first()
    if row is None:
        raise ProposalError("proposal", "is not there any more")
    if row.state != State.OPEN:
        raise ProposalError("proposal", f"is decided already: {row.get_state_display().lower()}")
    return row


def _made(row: ClusterProposal, chosen: Sequence[int], user: Any, reason: str) -> Sequence[ClusterChange]:
    """Raises _Unmade."""
    now = timezone.now()
    told_at = _judged_at(row, now)
    if now - told_at > dt.timedelta(days=FRESH_DAYS):
        raise _Unmade(
            State.STALE, f"was judged on {told_at:%-d %b %Y}, more than {FRESH_DAYS} days ago: the next run judges it anew"
        )
    for cluster in filter(None, (row.cluster, row.target)):
        if cluster.retired_at is not None:
            raise _Unmade(State.STALE, f"is about “{cluster}”, which was taken out since")
    by = Actor(ClusterChange.Actor.LEARNING, user=user, who=f"Proposal {row.pk}")
    reason = reason.strip() or shortened(row.summary)
    if row.kind == Kind.RELATE:
        return make_change(row, (), by=by, reason=reason) or _nothing_left()
    left = still_to_change(row, chosen)
    lets = allowed(settings_of(row.shop), held(row.cluster, now), row.kind, left)
    tally(row.shop, row, lets.stopped)
    if lets.bound:
        raise _Unmade(State.BLOCKED, f"is blocked: {WORDS[lets.bound]}", lets.bound)
    if not lets.items:
        _nothing_left()
    row.evidence = {
        **row.evidence,
        "stopped": {**row.evidence.get("stopped", {}), **{b: list(i) for b, i in lets.stopped.items()}},
    }
    row.items = [each for each in row.items if each["item"] in lets.items]
    return make_change(row, lets.items, by=by, reason=reason) or _nothing_left()


def still_to_change(row: ClusterProposal, items: Sequence[int]) -> list[int]:
    """Those of a proposal's items that are still in the catalogue, and not yet as it would have them."""
    inside = set(ClusterMembership.objects.filter(cluster=row.cluster_id, item__in=items).values_list("item_id", flat=True))
    there = set(Item.objects.filter(shop=row.shop_id, pk__in=items).values_list("pk", flat=True))
    return [item for item in items if item in there and (item in inside) != (row.kind == Kind.ADD)]


def make_change(row: ClusterProposal, items: Sequence[int], *, by: Actor, reason: str = "") -> Sequence[ClusterChange]:
    """The edit that a proposal is, with these of its items; whoever calls has looked whether it may be made. Raises EditError."""
    told: dict[str, Any] = {"by": by, "reason": reason}
    if row.kind == Kind.RELATE:
        assert row.target is not None
        return editing.relate(source=row.cluster, target=row.target, weight=float(row.evidence.get("tie") or LEAST_TIE), **told)
    if row.kind == Kind.ADD:
        return editing.take_in(cluster=row.cluster, items=items, **told)
    if row.kind == Kind.DROP:
        return editing.remove_items(cluster=row.cluster, items=items, **told)
    factors = {int(each["item"]): float(each["evidence"]["factor"]) for each in row.items if each["item"] in items}
    return editing.lessen(cluster=row.cluster, items=factors, **told)


def _nothing_left() -> Any:
    raise _Unmade(State.STALE, "would change nothing any more: all is so already, or its items are gone")


def reject_proposal(*, proposal: ClusterProposal, user: Any, reason: str = "") -> None:
    """Turn a proposal down, open or blocked. Raises ProposalError."""
    with editing.editing(proposal.shop):
        row = ClusterProposal.objects.filter(pk=proposal.pk).first()
        if row is None or row.state not in (State.OPEN, State.BLOCKED):
            raise ProposalError("proposal", "is decided already, or gone")
        row.state, row.reason, row.decided_by, row.decided_at = State.REJECTED, reason.strip(), user, timezone.now()
        row.save(update_fields=["state", "reason", "decided_by", "decided_at"])
    proposal.refresh_from_db()


# Undo


def undo_proposal(*, proposal: ClusterProposal, by: Actor, reason: str = "") -> Sequence[ClusterChange]:
    """Take back what a proposal changed. Raises EditError, where it changed nothing, and EditConflict as any undo."""
    if proposal.state != State.APPLIED or proposal.change is None:
        raise ProposalError("proposal", "has changed nothing that could be undone")
    with editing.editing(proposal.shop):
        changes = editing.undo_batch(batch=proposal.change, shop=proposal.shop, by=by, reason=reason)
        settle_undone(proposal.shop)
    proposal.refresh_from_db()
    return changes


def undo_day(*, shop: Shop, day: dt.date, by: Actor, reason: str = "") -> UndoneDay:
    """Take back all that learning changed on a day (UTC), as far as nobody changed it since; the proposals say so."""
    with editing.editing(shop):
        undone = editing.undo_day(shop=shop, day=day, by=by, reason=reason)
        settle_undone(shop)
    return undone


def settle_undone(shop: Shop) -> None:
    """Applied proposals all of whose changes were taken back, wherever that was done, say so."""
    applied = ClusterProposal.objects.filter(shop=shop, state=State.APPLIED, change__isnull=False)
    batches = {batch for batch in applied.values_list("change", flat=True) if batch is not None}
    standing = ClusterChange.objects.filter(Q(undone_by=None) | Q(undone_by__undone_by__isnull=False), shop=shop)
    for chunk in in_chunks(batches):
        left = set(standing.filter(batch__in=chunk).values_list("batch", flat=True))
        applied.filter(change__in=[batch for batch in chunk if batch not in left]).update(state=State.UNDONE)
