"""What an experiment says of the proposals that it tries: they take its verdict, and are approved and undone with its arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from clusters import editing
from clusters.cluster_drafts import EditError
from clusters.lineage import Actor
from personas.models import Shop
from recommendations.learning.arm_clusters import tried
from recommendations.learning.models import ClusterProposal, Experiment
from recommendations.learning.proposals import apply_proposal, undo_proposal

State, Verdict = ClusterProposal.State, ClusterProposal.Verdict

KEPT = ("tie", "stopped")
"""What of a proposal's earlier evidence is still needed to apply it."""


def settle(experiment: Experiment) -> int:
    """Give the proposals that an experiment tries its verdict, once it has one; how many took it. Safe to call at any time.

    Its interval holds at all looks, so that the first time that it says something counts. Several proposals are told together:
    what is known is known of all of them as one. Nothing is written while nothing is known, and after an experiment that ended
    so: then decisions judge the proposals again, as they did before.
    """
    taken = 0
    for arm in experiment.arms:
        verdict = experiment.result.get("verdicts", {}).get(arm["name"])
        found = experiment.result.get("differences", {}).get(arm["name"], {}).get(experiment.metric, {})
        if arm.get("tries") is None or verdict not in (Verdict.BETTER, Verdict.WORSE):
            continue
        visits = {each["name"]: each["visits"] for each in experiment.result.get("arms", ())}
        told = {
            "experiment": experiment.pk,
            "metric": experiment.metric,
            "visits": [visits.get(experiment.arms[0]["name"], 0), visits.get(arm["name"], 0)],
            "together": len(arm["tries"]),
            "judged_at": experiment.result.get("counted_at", timezone.now().isoformat()),
        }
        for proposal in tried(experiment):
            if proposal.pk not in arm["tries"] or proposal.evidence.get("judged_at") == told["judged_at"]:
                continue
            kept = {name: proposal.evidence[name] for name in KEPT if name in proposal.evidence}
            effect, low, high = (_rounded(found.get(name)) for name in ("value", "low", "high"))
            waiting = ClusterProposal.objects.filter(pk=proposal.pk, state=State.OPEN)
            taken += waiting.update(effect=effect, low=low, high=high, verdict=Verdict(verdict), evidence={**kept, **told})
    return taken


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def approve(experiment: Experiment, *, by: Any, reason: str, override: bool) -> list[int]:
    """Apply the proposals that an experiment tries; the keys of those that could be. Raises EditError where none could, with why.

    One that a bound stops by now, or that is so already, says so in its state.
    """
    done, why_not = [], ""
    for proposal in tried(experiment):
        try:
            apply_proposal(proposal=proposal, user=by, reason=reason, override=override)
        except EditError as error:
            why_not = f"{proposal}: {error.reason}"
        else:
            done.append(proposal.pk)
    if not done:
        raise EditError("arm", why_not or "tries nothing any more: its proposals are decided already")
    return done


def take_back(shop: Shop, approved: Sequence[int], *, by: Actor) -> None:
    """Undo proposals that were approved with an arm: all that still stand, or none. Raises EditConflict as any undo."""
    with editing.editing(shop):
        for proposal in ClusterProposal.objects.filter(shop=shop, pk__in=approved, state=State.APPLIED).order_by("-pk"):
            undo_proposal(proposal=proposal, by=by, reason="Taken back with the experiment.")
