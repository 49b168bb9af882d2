"""Where two merchandisers' rules get in each other's way, told before shoppers see it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recommendations.ranking.rule_shapes import BARRING, Rule, Scope
from recommendations.ranking.rules import RuleSet

SAME_SLOT, BARRED_PIN, SAME_PIN, OPPOSED = "same_slot", "barred_pin", "same_pin", "opposed"


class Conflict(NamedTuple):
    """Two rules that can act on one request. Of them `rule` gives way to `other`.

    kind : `SAME_SLOT`, two pins on one slot; `BARRED_PIN`, items that one pins are left out by the other; `SAME_PIN`, items that
        the other pins to an earlier slot; `OPPOSED`, one boosts what the other buries, and neither gives way.
    positions : (m,) of the items that it is about; for `SAME_SLOT` all that the rule pins.
    whole : whether it is about all of the rule's items.
    """

    kind: str
    rule: Rule
    other: Rule
    positions: np.ndarray
    whole: bool


def conflicts(rule_set: RuleSet, of: int | None = None) -> Iterator[Conflict]:
    """Conflicts between the rules of a set, by the ids of the two; with `of`, those of the rule of this id alone."""
    overlap = _overlap(rule_set)
    for i, j in combinations(range(len(rule_set)), 2):
        a, b = rule_set.rules[i], rule_set.rules[j]
        if (of is not None and of not in (a.rule_id, b.rule_id)) or not _meet(a.scope, b.scope):
            continue
        if a.action == "pin" and b.action == "pin":
            if a.slot == b.slot:
                yield Conflict(SAME_SLOT, b, a, rule_set.positions[j], whole=True)
            elif a.target.items and b.target.items:
                later, earlier = (i, j) if a.slot > b.slot else (j, i)
                yield from _shared(SAME_PIN, rule_set, later, earlier)
        for one, other in ((i, j), (j, i)):
            if rule_set.rules[one].action == "pin" and rule_set.rules[other].action in BARRING and overlap[one, other]:
                yield from _shared(BARRED_PIN, rule_set, one, other)
        if {a.action, b.action} == {"boost", "bury"} and overlap[i, j]:
            yield from _shared(OPPOSED, rule_set, j, i)


def _overlap(rule_set: RuleSet) -> np.ndarray:
    """(R, R) bool, whether a rule is about any item that another moves or leaves out. Items of one signature are so alike."""
    rows = [np.unique(rule_set.signature[positions]) for positions in rule_set.positions]
    ends = np.cumsum([0, *map(len, rows)])
    columns = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
    ones = np.ones(len(columns), dtype=np.float32)
    held = sparse.csr_matrix((ones, columns, ends), shape=(len(rows), rule_set.touched.shape[0]))
    return np.asarray((held @ rule_set.touched).toarray() > 0)


def _shared(kind: str, rule_set: RuleSet, i: int, j: int) -> Iterator[Conflict]:
    mine = rule_set.positions[i]
    common = mine[np.isin(mine, rule_set.positions[j])]
    if len(common):
        whole = len(common) == len(mine)
        # A pin with many items to choose from does its work as long as one is left.
        if kind == OPPOSED or whole or rule_set.rules[i].target.items:
            yield Conflict(kind, rule_set.rules[i], rule_set.rules[j], common, whole)


def _meet(a: Scope, b: Scope) -> bool:
    """Whether one request may lie in both. A visit may have any two personas and clusters at once."""
    if a.contexts and b.contexts and not set(a.contexts) & set(b.contexts):
        return False
    starts = max(-math.inf if s.starts is None else s.starts for s in (a, b))
    ends = min(math.inf if s.ends is None else s.ends for s in (a, b))
    return starts < ends
