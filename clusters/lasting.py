"""What sessions' randomised changes say of lasting ones: items to take in, let go or count less, clusters to relate. Pure.

A log of what clusters were can't tell what others would be. But each session's changes of its own clusters were drawn at known
odds, so that what followed an expansion, or a contraction, and what followed where the cluster was kept instead can be compared:
within one cluster, and one target, weighted by the inverse of the propensities and divided by the weights' sums (Hájek 1971,
"Comment on an essay by D. Basu"). Decisions of one session depend on each other, so errors are sums over sessions (Liang & Zeger
1986, "Longitudinal data analysis using generalized linear models"). Effects are shrunk towards the mean of all that were compared
(`contrasts.shrunk`), since the best looking of many look better than they are; and of the relations, the items that would come
in, and those that would go, which a run lets through, in the mean at most a share is chance (Benjamini & Hochberg 1995,
"Controlling the false discovery rate"). That is over one run: who looks every day sees more of them, and the next look takes
back what was one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from clusters.contrasts import Contrast, compare, discoveries, interval, p_values, shrunk, together_of
from clusters.decision_log import DecisionLog
from clusters.passed_over import PassedOver, passed_over
from clusters.policy import CONTRACT, EXPAND, KEEP
from clusters.rewards import Rewards
from clusters.sights import Slates, attentions, following, sights_of

ADD, DROP, DOWNWEIGHT, RELATE = "add", "drop", "downweight", "relate"
BETTER, WORSE, UNKNOWN = "better", "worse", "unknown"

LEAST_SESSIONS = 30
"""Sessions in each of two arms under which they aren't compared: intervals by the normal law don't hold for fewer."""

LEAST_SIGHTS = 20
"""Sessions that must have seen an item after an expansion for it to be compared; and in which it was passed over."""

PROMISING = 0.1
"""Greatest p of a gain that is told although it may be chance, as not known yet."""

MOST_UNKNOWN = 20
"""Of those, the most promising are told: an inbox of guesses is read by nobody."""

MOST_ITEMS = 20
"""Items of one proposal, the best first."""

SORTS = 3
"""Sorts of findings, relations, items that come and items that go, each of which has a third of what may be chance."""

SCREENED = 0.05
"""Greatest share, in the mean, of the items picked as passed over that may be chance: it is the other half that judges them."""

SHARE_TO_TELL = 0.25
"""Part of the effective sample that is asked for, from which something that isn't known yet is told."""


@dataclass(frozen=True)
class Criteria:
    """What it takes to be let through.

    least_effective_sample : decisions that a comparison must be worth.  confidence : of intervals.
    false_discoveries : greatest share, in the mean, of what is let through as better at one look that may be chance. Whoever
        looks again and again shares out what may be chance in all: the shares of any looks together are at most their sum.
    """

    least_effective_sample: int = 200
    confidence: float = 0.95
    false_discoveries: float = 0.05


@dataclass(frozen=True)
class Item:
    """One item of a finding. factor : of what it shall weigh, 1 for one that comes in, 0 for one that goes.

    effect, low, high : of its own, as in `Finding`; of one that goes or weighs less observed and expected engagement in their
    place, in looks over all its sights.  sights, sessions : reported impressions that were compared, and in how many sessions.
    """

    item: int
    factor: float
    sights: int
    sessions: int
    effect: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    observed: float = float("nan")
    expected: float = float("nan")


@dataclass(frozen=True)
class Finding:
    """A lasting change that the log speaks of. cluster, target : ids, target 0 where there is none.

    effect, low, high : in reward a slate, shrunk, with the interval.  raw : the comparison by itself.
    p : two-sided, of no effect; who asks only for a gain needs half of it.
    verdict : `BETTER` where it is let through and the interval is above 0.
    """

    kind: str
    cluster: int
    target: int
    items: tuple[Item, ...]
    effect: float
    low: float
    high: float
    raw: Contrast
    p: float
    verdict: str
    missing: str = ""


@dataclass(frozen=True)
class Found:
    """Findings, the surest first.  tests : comparisons that were made, over which false discoveries are controlled."""

    findings: tuple[Finding, ...]
    tests: int
    decisions: int
    sessions: int


@dataclass(frozen=True)
class _Test:
    """A comparison before it is known what the others say. places : of its items among the candidates."""

    kind: str
    cluster: int
    target: int
    contrast: Contrast
    item: Item | None = None
    items: tuple[Item, ...] = ()


def find(
    log: DecisionLog,
    slates: Slates,
    members: Mapping[int, Collection[int]],
    *,
    rewards: Rewards,
    criteria: Criteria,
    barred: Mapping[int, Collection[int]] | None = None,
    judges: np.ndarray | None = None,
) -> Found:
    """What the decisions of a log say of lasting changes.

    members : cluster id -> ids of its items; decisions on others, or towards others, are passed over.
    barred : cluster id -> items that may not come in.
    judges : bool by session number; what is passed over is looked for in the sessions that aren't judges and then judged in those
        that are, for who picks and judges by the same sessions finds what was chance. None for every other session.
    """
    log = log.credited()
    sessions = int(max(log.session.max(initial=-1), slates.session.max(initial=-1))) + 1
    if judges is None:
        judges = np.arange(sessions) % 2 == 1
    after = following(log, slates, rewards)
    tests: list[_Test] = []
    for cluster in np.unique(log.cluster).tolist():
        if cluster not in members:
            continue
        mine = log.cluster == cluster
        part, its = log.rows(mine), after[mine]
        base = _base(part, its, slates, rewards)
        own = set(members[cluster])
        out = own | set((barred or {}).get(cluster, ()))
        for target in np.unique(part.target[part.action == EXPAND]).tolist():
            if target not in members or target == cluster:
                continue
            tests += _expansions(part, its, slates, cluster, target, set(members[target]) - out, base, rewards)
        tests += _contractions(part, slates, cluster, own, judges, criteria)
    return Found(tuple(_told(tests, criteria)), len(tests), len(log), len(np.unique(log.session)))


# Comparisons


def _arm(part: DecisionLog, action: int, target: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n,) whether an action was taken, and (n,) the propensity with which it could be; 0 where it couldn't."""
    option = part.action == action
    if target:
        option &= part.target == target
    return option[np.arange(len(part)), part.choice], np.where(option, part.propensities, 0.0).sum(1)


def _both(part: DecisionLog, action: int, target: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Rows in which an action and keeping were both possible, and the (n,) weights of the two arms there; None for too few."""
    took, chance = _arm(part, action, target)
    kept, kept_chance = _arm(part, KEEP)
    rows = np.flatnonzero((chance > 0) & (kept_chance > 0) & (took | kept))
    one, other = took[rows] / chance[rows], kept[rows] / kept_chance[rows]
    for weight in (one, other):
        if len(np.unique(part.session[rows[weight > 0]])) < LEAST_SESSIONS:
            return None
    return rows, one, other


def _base(part: DecisionLog, after: np.ndarray, slates: Slates, rewards: Rewards) -> float:
    """What a slot that is surely looked at gives where the cluster is kept, in reward: the mean by inverse propensities."""
    kept, chance = _arm(part, KEEP)
    rows = np.flatnonzero(kept & (chance > 0))
    if not len(rows):
        return 0.0
    row, sight = sights_of(after[rows], slates)
    looked = attentions(slates.slot[sight])
    weight = (1.0 / chance[rows])[row]
    value = np.where(slates.acted[sight], slates.worth[sight], -rewards.ignored_cost * looked)
    return float(weight @ value / max(float(weight @ looked), 1e-12))


def _expansions(
    part: DecisionLog,
    after: np.ndarray,
    slates: Slates,
    cluster: int,
    target: int,
    candidates: set[int],
    base: float,
    rewards: Rewards,
) -> Iterator[_Test]:
    """Expansions of a cluster to a target against keeping it: as a whole, and by the target's items that were seen."""
    arms = _both(part, EXPAND, target)
    if arms is None:
        return
    rows, expanded, kept = arms
    session = part.session[rows]
    yield _Test(RELATE, cluster, target, compare(part.reward[rows][:, None], expanded, kept, session)[0])
    row, sight = sights_of(after[rows], slates)
    known = np.isin(slates.item[sight], np.fromiter(candidates, dtype=np.int64, count=len(candidates)))
    row, sight = row[known], sight[known]
    items, column = np.unique(slates.item[sight], return_inverse=True)
    led = expanded[row] > 0
    pairs = np.unique(np.stack((column[led], session[row[led]])), axis=1)
    seen_in = np.bincount(pairs[0], minlength=len(items))
    enough = np.flatnonzero(seen_in >= LEAST_SIGHTS)
    if not len(enough):
        return
    # A slot that holds the item, less what a slot there gives where the cluster is kept; per slate, as rewards are.
    looked = attentions(slates.slot[sight])
    value = np.where(slates.acted[sight], slates.worth[sight], -rewards.ignored_cost * looked) - base * looked
    count = np.maximum(after[rows, 1] - after[rows, 0], 1)
    gain = np.zeros((len(rows), len(items)))
    np.add.at(gain, (row, column), value / count[row])
    sights = np.bincount(column[led], minlength=len(items))
    for n, contrast in zip(enough.tolist(), compare(gain[:, enough], expanded, kept, session), strict=True):
        item = Item(int(items[n]), 1.0, int(sights[n]), int(seen_in[n]))
        yield _Test(ADD, cluster, target, contrast, item)


def _contractions(
    part: DecisionLog,
    slates: Slates,
    cluster: int,
    own: set[int],
    judges: np.ndarray,
    criteria: Criteria,
) -> Iterator[_Test]:
    """Items that are passed over more than their slots and their cluster lead to expect, each kind judged by contractions."""
    flagged = passed_over(slates, own, among=~judges, least=LEAST_SIGHTS, rate=SCREENED)
    for kind, group in ((DROP, [f for f in flagged if f.goes]), (DOWNWEIGHT, [f for f in flagged if not f.goes])):
        if not group:
            continue
        group = group[:MOST_ITEMS]
        saw = _saw_before(part, slates, {f.item for f in group})
        judged = part.rows(judges[part.session] & saw)
        arms = _both(judged, CONTRACT)
        if arms is None:
            continue
        rows, contracted, kept = arms
        contrast = compare(judged.reward[rows][:, None], contracted, kept, judged.session[rows])[0]
        yield _Test(kind, cluster, 0, contrast, items=tuple(_passed(f) for f in group))


def _passed(f: PassedOver) -> Item:
    return Item(f.item, 0.0 if f.goes else f.factor, f.sights, f.sessions, observed=f.observed, expected=f.expected)


def _saw_before(part: DecisionLog, slates: Slates, items: set[int]) -> np.ndarray:
    """(n,) bool, whether the session had been shown one of the items in vain when the decision was made."""
    held = np.isin(slates.item, np.fromiter(items, dtype=np.int64, count=len(items))) & ~slates.acted
    slate = slates.slate[held]
    first: dict[int, float] = {}
    for session, at in zip(slates.session[slate].tolist(), slates.at[slate].tolist(), strict=True):
        first[session] = min(at, first.get(session, at))
    return np.array(
        [first.get(s, np.inf) <= at for s, at in zip(part.session.tolist(), part.at.tolist(), strict=True)], dtype=bool
    )


# Verdicts


def _told(tests: Sequence[_Test], criteria: Criteria) -> list[Finding]:
    """What of all comparisons is worth telling, the surest first."""
    known: list[Finding] = []
    guesses: list[Finding] = []
    # Each sort by itself: what a whole slate gains is more than what an item adds to it, and there are many more items. The
    # share of chance among all of them is at most the sum of the sorts' shares, whatever they have to do with each other.
    for kinds in ((RELATE,), (ADD,), (DROP, DOWNWEIGHT)):
        sort = [test for test in tests if test.kind in kinds]
        for finding in _add_items(_judged(sort, criteria), criteria) if ADD in kinds else map(_finding, _judged(sort, criteria)):
            (known if finding.verdict != UNKNOWN else guesses).append(finding)
    known.sort(key=lambda f: (f.verdict != BETTER, f.p))
    told = sorted((f for f in guesses if _promises(f, criteria)), key=lambda f: f.p)
    return known + told[:MOST_UNKNOWN]


class _Judged(NamedTuple):
    """A test beside the others of its sort. effect, low, high : shrunk."""

    test: _Test
    effect: float
    low: float
    high: float
    p: float
    verdict: str
    missing: str


def _judged(tests: Sequence[_Test], criteria: Criteria) -> list[_Judged]:
    if not tests:
        return []
    contrasts = [test.contrast for test in tests]
    enough = np.array([c.effective >= criteria.least_effective_sample for c in contrasts])
    p, rose = p_values(contrasts), np.array([c.estimate > 0 for c in contrasts])
    gains, falls = (_through(np.where(way, p / 2, 1.0 - p / 2), enough, criteria) for way in (rose, ~rose))
    believed, tail = shrunk(contrasts), (1.0 - criteria.confidence) / 2
    low, high = believed.quantile(tail), believed.quantile(1.0 - tail)
    found = []
    for n, test in enumerate(tests):
        verdict = BETTER if gains[n] and low[n] > 0 else WORSE if falls[n] and high[n] < 0 else UNKNOWN
        missing = _missing(test.contrast, criteria) if verdict == UNKNOWN else ""
        found.append(_Judged(test, float(believed.effect[n]), float(low[n]), float(high[n]), float(p[n]), verdict, missing))
    return found


def _through(p: np.ndarray, enough: np.ndarray, criteria: Criteria) -> np.ndarray:
    """(k,) bool, whom to believe by one-sided p among those with a sample that is large enough."""
    through = np.zeros(len(p), dtype=bool)
    through[enough] = discoveries(p[enough], criteria.false_discoveries / SORTS)
    return through


def _finding(of: _Judged) -> Finding:
    test = of.test
    return Finding(
        test.kind, test.cluster, test.target, test.items, of.effect, of.low, of.high, test.contrast, of.p, of.verdict, of.missing
    )


def _add_items(judged: Sequence[_Judged], criteria: Criteria) -> Iterator[Finding]:
    """One finding for the items of each target that are let through, or else for those that promise something."""
    by_pair: dict[tuple[int, int], list[_Judged]] = {}
    for each in judged:
        by_pair.setdefault((each.test.cluster, each.test.target), []).append(each)
    for pair, several in by_pair.items():
        chosen = [each for each in several if each.verdict == BETTER]
        chosen = chosen or [each for each in several if each.effect > 0 and each.p < PROMISING and each.verdict == UNKNOWN]
        chosen = sorted(chosen, key=lambda each: -each.effect)[:MOST_ITEMS]
        if not chosen:
            continue
        items = tuple(
            replace(each.test.item, effect=each.effect, low=each.low, high=each.high)
            for each in chosen
            if each.test.item is not None
        )
        # The items' errors as they go together, each as far as its own was believed.
        alone = [interval(each.test.contrast, criteria.confidence) for each in chosen]
        part = np.array(
            [min((each.high - each.low) / (2 * width), 1.0) if width else 1.0 for each, width in zip(chosen, alone, strict=True)]
        )
        together = together_of([each.test.contrast for each in chosen], part)
        effect, half = sum(each.effect for each in chosen), interval(together, criteria.confidence)
        surest = min(chosen, key=lambda each: each.p)
        yield Finding(ADD, *pair, items, effect, effect - half, effect + half, together, surest.p, surest.verdict, surest.missing)


def _promises(found: Finding, criteria: Criteria) -> bool:
    """Whether a finding that isn't known yet is worth telling."""
    return found.effect > 0 and found.p < PROMISING and found.raw.effective >= SHARE_TO_TELL * criteria.least_effective_sample


def _missing(raw: Contrast, criteria: Criteria) -> str:
    """What a verdict that isn't known yet lacks, in words."""
    if raw.effective < criteria.least_effective_sample:
        return f"The sample is worth {raw.effective:,.0f} decisions; {criteria.least_effective_sample:,} are asked for."
    wanted = raw.effective * (stats.norm.ppf(0.5 + criteria.confidence / 2) * raw.error / max(abs(raw.estimate), 1e-12)) ** 2
    if wanted <= raw.effective:
        return "Of so many comparisons, some look like this by chance."
    more = f" At this size of the effect, about {wanted:,.0f} decisions would tell." if wanted < 1e7 else ""
    return f"The difference may be chance.{more}"
