"""Did the rule beat the algorithm? Visits with a rule beside those that go without it, in words.

Counted by the visit under the rule's mark (`serving.rule_trials`): a rule that asks for something else since, or of another share
of visits, begins anew. The interval holds however often one looks (`clusters.sequential`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.db.models import Min, Sum
from django.utils.html import format_html
from django.utils.safestring import SafeString

from clusters.sequential import LEAST, Difference, difference_of_shares, units_needed
from personas.models import Origin, teaches
from recommendations.models import DayTally, MerchandisingRule
from recommendations.serving.rule_trials import key_of

OFFER = 10
"""Per cent of visits that a page offers to let go without a rule."""

SAID = 0.1
"""A difference of this share of what it is without the rule is worth knowing of, where none is seen yet."""

MOST_NEEDED = 10_000_000
"""Visits beyond which it isn't told how many more are needed: nobody waits for them."""

MEASURES = {"trial_visit": "visits", "trial_click": "clicked", "trial_buy": "bought"}


@dataclass(frozen=True)
class Side:
    """Visits of one kind. clicked : that clicked on a slate to which the rule makes a difference.  bought : after the first."""

    visits: int = 0
    clicked: int = 0
    bought: int = 0


@dataclass(frozen=True)
class Outcome:
    """One measure of both kinds. visits : with it and without.  told : the verdict in a sentence.

    verdict : "better", "worse" or "unknown".
    """

    label: str
    means: str
    with_it: int
    without: int
    visits: tuple[int, int]
    difference: Difference
    verdict: str
    told: str

    @property
    def drawn(self) -> SafeString:
        """The difference with its interval on a line, in points of 100 visits; "" while it is too early."""
        value, low, high = (100 * each for each in self.difference[:3])
        if math.isinf(low):
            return SafeString("")
        most = max(abs(low), abs(high), 0.1)

        def x(points: float) -> float:
            return 150 + 130 * points / most

        return format_html(
            '<svg viewBox="0 0 300 34" class="rule-band" aria-hidden="true"><path class="zero" d="M150 2V20"/>'
            '<rect class="band" x="{}" y="6" width="{}" height="10" rx="5"/><circle class="at" cx="{}" cy="11" r="5"/>'
            '<text x="{}" y="32" text-anchor="middle">{}</text><text x="150" y="32" text-anchor="middle">0</text>'
            '<text x="{}" y="32" text-anchor="middle">{}</text></svg>',
            f"{x(low):.1f}", f"{x(high) - x(low):.1f}", f"{x(value):.1f}",
            f"{x(-most):.0f}", f"−{most:.1f}", f"{x(most):.0f}", f"+{most:.1f}",
        )  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What is known of a rule with a holdout. since : the first day that counts, None for none."""

    with_rule: Side
    without: Side
    outcomes: tuple[Outcome, ...]
    since: object

    @property
    def visits(self) -> int:
        return self.with_rule.visits + self.without.visits


def verdict(rule: MerchandisingRule) -> Verdict | None:
    """None for a rule that no visit goes without: nobody can know what it brings."""
    if not rule.holdout:
        return None
    from recommendations.reading import read_rule  # the numeric stack, which most pages of the admin do without

    mark = read_rule(rule).mark
    keys = {key_of(rule.pk, mark, held=held): held for held in (False, True)}
    origins = [origin for origin in (Origin.LIVE, Origin.SIMULATED) if teaches(rule.shop, origin)]
    rows = DayTally.objects.filter(shop=rule.shop_id, measure__in=MEASURES, key__in=list(keys), origin__in=origins).order_by()
    counts: dict[bool, dict[str, int]] = {False: {}, True: {}}
    since = None
    for measure, key, total, first in rows.values_list("measure", "key").annotate(Sum("value"), Min("day")):
        counts[keys[key]][MEASURES[measure]] = int(total)
        since = first if since is None else min(since, first)
    with_rule, without = Side(**counts[False]), Side(**counts[True])
    outcomes = (
        _outcome(
            "Clicked", "Visits that clicked on a slate to which the rule makes a difference.", with_rule, without, "clicked"
        ),
        _outcome("Bought", "Visits that bought something, after the first such slate.", with_rule, without, "bought"),
    )
    return Verdict(with_rule, without, outcomes, since)


def _outcome(label: str, means: str, with_rule: Side, without: Side, name: str) -> Outcome:
    # A click is archived after its slate; a count that is read in between never has more of one than of the other.
    held = (min(getattr(without, name), without.visits), without.visits)
    acted = (min(getattr(with_rule, name), with_rule.visits), with_rule.visits)
    found = difference_of_shares(held, acted)
    said = "better" if found.low > 0 else "worse" if found.high < 0 else "unknown"
    return Outcome(label, means, acted[0], held[0], (acted[1], held[1]), found, said, _told(name, held, acted, found, said))


def _told(name: str, held: tuple[int, int], acted: tuple[int, int], found: Difference, said: str) -> str:
    did = "clicked on such a slate" if name == "clicked" else "bought"
    if not held[1] or not acted[1]:
        return "Not known yet: no visit of each kind was served a slate to which the rule makes a difference."
    rates = f"With the rule {_in_100(acted)} in 100 of such visits {did}, without it {_in_100(held)}"
    if said != "unknown":
        low, high = sorted((abs(found.low), abs(found.high)))
        return f"{rates}: {said} by {_points(abs(found.value))} ({_points(low)} to {_points(high)})."
    if not held[0] and not acted[0]:
        return f"Not known yet: no visit {did}, of {acted[1]:,} with the rule and {held[1]:,} without it."
    more = _more(held, acted, found)
    band = "" if math.isinf(found.low) else f" The difference lies between {_points(found.low)} and {_points(found.high)}."
    return f"Not known yet. {rates}.{band}{more}"


def _more(held: tuple[int, int], acted: tuple[int, int], found: Difference) -> str:
    base = held[0] / held[1]
    size = max(abs(found.value), SAID * base, 1e-4)
    n = held[1] + acted[1]
    needed = units_needed(held, acted, size) - n
    if needed > MOST_NEEDED:
        return " It makes too little of a difference to be known from visits."
    if needed <= 0:
        needed = n // 10
    few = min(held[1], acted[1]) < LEAST
    why = f"fewer than {LEAST} of a kind tell nothing" if few else f"to know a difference of {_points(size)} in 100"
    return f" Some {_round(needed):,} more visits are needed ({why})."


def _in_100(arm: tuple[int, int]) -> str:
    return f"{100 * arm[0] / arm[1]:.1f}"


def _points(share: float) -> str:
    return f"{100 * share:.1f}".replace("-", "−")


def _round(n: int) -> int:
    """To two digits: an estimate isn't known to the last one."""
    unit = 10 ** max(0, len(str(n)) - 2)
    return max(1, -(-n // unit) * unit)
