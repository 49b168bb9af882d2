"""Proposals in words and pictures: what speaks for one, how sure it is, what a cluster has before and after."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.utils.html import format_html
from django.utils.safestring import SafeString

from clusters.cluster_drafts import count_items
from clusters.models import ClusterMembership, ClusterRelation, Item
from recommendations.learning.lasting_bounds import WORDS
from recommendations.learning.models import ClusterProposal, Experiment
from recommendations.learning.proposals import LEAST_TIE, ids_of

Kind = ClusterProposal.Kind

WIDTH, HEIGHT = 168, 22
"""Of a drawn interval, pixels."""

UNITS = {
    "reward": "looks a visit",
    "engagements": "engagements a visit",
    "carts": "added to the cart a visit",
    "purchases": "purchases a visit",
    "revenue": "revenue a visit",
}
"""What an experiment's metric is told in."""

SHOWN = 12
"""Items of a cluster that are shown before and after, the most typical first, beside those that change."""


TRIED: dict[str, str] = {
    Experiment.State.DRAFT: "In an experiment that isn't started",
    Experiment.State.RUNNING: "Being tried in an experiment",
    Experiment.State.STOPPED: "Was tried in an experiment",
}
"""What becomes of a proposal in an experiment, by the experiment's state."""


def unit(proposal: ClusterProposal) -> str:
    """What its effect is told in: of an experiment, what that is judged by."""
    metric = proposal.evidence.get("metric")
    return "looks a slate" if metric is None else UNITS.get(metric, "looks a visit")


def drawn(proposal: ClusterProposal, most: float) -> SafeString:
    """A proposal's effect with its interval on a line whose middle is no effect. most : that the line's ends stand for."""
    return drawn_interval(proposal.effect, proposal.low, proposal.high, most, unit(proposal))


def drawn_interval(effect: float | None, low: float | None, high: float | None, most: float, of: str) -> SafeString:
    """As `drawn`, of any effect. of : its unit, in words."""
    if effect is None or low is None or high is None:
        return SafeString('<span class="persona-quiet">not told</span>')
    middle, scale = WIDTH / 2, (WIDTH / 2 - 6) / max(most, 1e-9)

    def at(value: float) -> str:
        return f"{min(max(middle + scale * value, 2), WIDTH - 2):.1f}"

    drawing = format_html(
        '<svg class="proposal-interval" width="{w}" height="{h}" viewBox="0 0 {w} {h}" aria-hidden="true">'
        '<line class="proposal-none" x1="{m}" x2="{m}" y1="2" y2="{b}"/>'
        '<line class="proposal-span" x1="{l}" x2="{r}" y1="11" y2="11"/><circle cx="{e}" cy="11" r="4"/></svg>',
        w=WIDTH, h=HEIGHT, m=middle, b=HEIGHT - 2, l=at(low), r=at(high), e=at(effect),
    )  # fmt: skip
    return format_html('<span class="proposal-effect">{}<span>{}</span></span>', drawing, told_effect(effect, low, high, of))


def told_effect(effect: float, low: float, high: float, of: str = "looks a slate") -> str:
    """ "+0.16 looks a slate, 0.12 to 0.21"."""
    return f"{effect:+.2f} {of}, {_signed(low)} to {_signed(high)}".replace("+-", "-").replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def together(proposal: ClusterProposal) -> str:
    """What is judged with it in one experiment, in a sentence; "" where it is tried by itself, or in none."""
    if proposal.experiment_id is None:
        return ""
    others = ClusterProposal.objects.filter(experiment=proposal.experiment_id).exclude(pk=proposal.pk).count()
    if not others:
        return ""
    these = "one more proposal" if others == 1 else f"{others} more proposals"
    return (
        f"It is tried together with {these}, and they share one verdict: it tells of all of them together, not of each. "
        "To know it of this one, try it alone."
    )


def sentences(proposal: ClusterProposal) -> list[str]:
    """What speaks for a proposal, and how it was compared."""
    e = proposal.evidence
    if "experiment" in e:
        return _experiment_sentences(proposal)
    if "decisions" not in e:
        return []
    (one, other), (one_visits, other_visits), means = e["decisions"], e["sessions"], e["means"]
    drawn_by = "Which visits were which was drawn at known odds, so that the two can be compared."
    compared = f"{one:,} decisions ({one_visits:,} visits) beside {other:,} ({other_visits:,} visits)"
    cluster, target = f"“{proposal.cluster}”", f"“{proposal.target}”"
    if proposal.kind == Kind.RELATE:
        told = [
            f"Visits that were led from {cluster} on to {target} earned {means[0]:.2f} looks a slate; those that were kept "
            f"there {means[1]:.2f}. {compared}. {drawn_by}"
        ]
    elif proposal.kind == Kind.ADD:
        told = [
            f"Where visits to {cluster} were led on to {target}, slates earned {e['difference']:.2f} looks more by these items "
            f"than the places that they took earn where visits are kept. {compared}. {drawn_by}"
        ]
    else:
        told = [
            "These items were seen again and again and passed over by visits that had engaged with the cluster: far less than "
            "their places and the cluster's other items lead to expect, in one half of the visits. The other half judges that.",
            f"Where visits that had passed them over were shown less of {cluster}, slates earned {means[0]:.2f} looks; where it "
            f"was kept {means[1]:.2f}. {compared}. {drawn_by}",
        ]
    told.append(
        f"The comparison is worth {e['effective']:,.0f} decisions evenly split; {e['asked']:,} are asked for. By itself it "
        f"says {e['difference']:+.2f}; what is told is drawn towards the other comparisons, for the best of many looks better "
        "than it is."
    )
    if e.get("missing"):
        told.append(e["missing"])
    told.append(
        f"Of {e['tests']:,} comparisons. Of all that is let through in a year, at most {100 * e['false_discoveries']:.0f} in 100 "
        "are chance, in the mean; each week's look may spend its part of that. Only what pages reported as seen was counted."
    )
    return told


def stopped_words(proposal: ClusterProposal) -> list[str]:
    """What bounds keep out of a proposal."""
    if proposal.bound:
        return [f"It is blocked: {WORDS.get(proposal.bound, proposal.bound)}."]
    stopped = proposal.evidence.get("stopped") or {}
    return [f"{count_items(len(items)).capitalize()} left out: {WORDS.get(bound, bound)}." for bound, items in stopped.items()]


def _experiment_sentences(proposal: ClusterProposal) -> list[str]:
    e = proposal.evidence
    (control, challenger), together = e["visits"], int(e["together"])
    told = [
        f"Shoppers were split at random: {challenger:,} visits were served with the change, {control:,} as the shop is. What is "
        f"told is {unit(proposal)}, of those with it less those without; the interval holds however often it is looked at."
    ]
    if together > 1:
        told.append(
            f"It was tried together with {together - 1} other{'' if together == 2 else 's'}: what is known is known of all of "
            "them as one. Approve them together, as the experiment's page does by making its arm live."
        )
    return told


def item_words(proposal: ClusterProposal, evidence: dict[str, Any]) -> str:
    """What was seen of one item."""
    seen = f"seen {evidence.get('sights', 0):,} times in {evidence.get('sessions', 0):,} visits"
    if "expected" in evidence:
        return f"{seen}, engaged with {evidence['observed']:,.0f} times; {evidence['expected']:,.0f} would be usual there"
    if "effect" in evidence:
        return f"{seen}; {told_effect(evidence['effect'], evidence['low'], evidence['high'])}"
    return seen


class Line(NamedTuple):
    """A line of a before-and-after. change : "new", "gone" or "less", "" where it stays."""

    title: str
    value: float
    change: str
    pk: int


class Sides(NamedTuple):
    """What a cluster has before and after, with the numbers of items, 0 for a relation."""

    before: Sequence[Line]
    after: Sequence[Line]
    count_before: int
    count_after: int


def sides(proposal: ClusterProposal) -> Sides:
    """A cluster's items, or its relations, as they are and as they would be."""
    if proposal.kind == Kind.RELATE:
        return _relations(proposal)
    weights = dict(ClusterMembership.objects.filter(cluster=proposal.cluster).values_list("item_id", "weight"))
    after, changes = dict(weights), {}
    for each in proposal.items:
        item = int(each["item"])
        if proposal.kind == Kind.DROP:
            after.pop(item, None)
            changes[item] = "gone"
        else:
            after[item] = float(each["weight"])
            changes[item] = "new" if proposal.kind == Kind.ADD else "less"
    told = {*_first(weights), *_first(after), *changes}
    titles = {item.pk: str(item) for item in Item.objects.filter(pk__in=told)}

    def lines(of: dict[int, float], when: set[str]) -> list[Line]:
        chosen = sorted((item for item in told if item in of), key=lambda item: (-of[item], item))
        return [
            Line(titles.get(item, f"item {item}"), of[item], changes[item] if changes.get(item) in when else "", item)
            for item in chosen
        ]

    return Sides(lines(weights, {"gone", "less"}), lines(after, {"new", "less"}), len(weights), len(after))


def _first(weights: dict[int, float]) -> list[int]:
    return sorted(weights, key=lambda item: (-weights[item], item))[:SHOWN]


def _relations(proposal: ClusterProposal) -> Sides:
    rows = ClusterRelation.objects.filter(source=proposal.cluster).select_related("target").order_by("-weight")
    before = [Line(str(row.target), row.weight, "", row.target_id) for row in rows[:SHOWN]]
    target = proposal.target
    assert target is not None
    tie = max(float(proposal.evidence.get("tie") or LEAST_TIE), next((b.value for b in before if b.pk == target.pk), 0.0))
    others = [line for line in before if line.pk != target.pk]
    rest = sum(line.value for line in others)
    left = (1.0 - tie) / rest if rest > 0 else 0.0
    known = any(line.pk == target.pk for line in before)
    after = [line._replace(value=line.value * min(left, 1.0)) for line in others]
    after.append(Line(str(target), tie, "" if known else "new", target.pk))
    return Sides(before, sorted(after, key=lambda line: -line.value), 0, 0)


def days_words(day: dt.date, changes: int, clusters: int) -> str:
    """One day of learning: "3 changes of 2 clusters on 23 November 2026"."""
    one, other = "" if changes == 1 else "s", "" if clusters == 1 else "s"
    return f"{changes:,} change{one} of {clusters:,} cluster{other} on {day:%-d %B %Y}"


def found_words(proposal: ClusterProposal) -> str:
    """How many of what, for a list."""
    return "relation" if proposal.kind == Kind.RELATE else count_items(len(ids_of(proposal)))
