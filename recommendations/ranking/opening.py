"""The first slate: what a session's items can't say yet, its prior does.

Items of one category, price tier and discount stand on one *shelf*, and a persona is known by the shelves it takes from:
P(item | persona) = P(item) P(shelf | persona) / P(shelf), with the persona model's own tables and its factors independent given
the persona, as everywhere. A belief then gives log P(item) plus the log of a mean of those ratios, and the belief of nobody in
particular gives P(item) itself: what is visited lately, and by how much of what a visit begins with differs from what it goes on
to, as learned (`learn_entry`). What a returning shopper wanted before is mixed in as often as the log says that shoppers want the
same again (`reminders`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from personas.profile import PersonaModel
from recommendations.ranking.features import EXPERTS
from recommendations.ranking.popularity import FACTS, TOP, Popularity

DEPTH = 40
"""Items of each shelf that may open: on no shelf of a shop does a first slate look further."""

MOST_REMINDED = 0.9
"""Part of a slate's odds that reminders may take at most; the rest keeps every other item's odds above zero."""

ENTRY_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""What the log-odds that a visit begins with an item may weigh beside its popularity: not at all, or as the log has it."""

ENTRY = 0.5
"""Its weight where there are fewer than `FEW` sessions to choose it by: nearly the best in every log that was looked at."""

FEW = 100

_CATEGORY, _TIER, _DISCOUNT = 1, 2, 7
_EXPERT = {name: i for i, name in enumerate(EXPERTS)}


@dataclass(frozen=True)
class Shelves:
    """S shelves and the m items that may open, the likeliest first.

    given : (K, S) P(shelf | persona), up to a factor of the shelf.  usual : (S,) the same of nobody in particular.
    mass : (S,) share of all openings.  items, shelves : (m,) int32 positions, and the shelf of each.  log_share : (m,) float64.
    shelf_of : (n,) int32, shelf of any item.  place : (n,) int32 into `items`, -1 for the others.  every : (n,) float64,
    log P(item) of all items.
    """

    given: np.ndarray
    usual: np.ndarray
    mass: np.ndarray
    items: np.ndarray
    shelves: np.ndarray
    log_share: np.ndarray
    shelf_of: np.ndarray
    place: np.ndarray
    every: np.ndarray


@dataclass(frozen=True)
class Opening:
    """A ranking before the first item, of m candidates, the likeliest first but for what the shopper wanted before.

    positions : (m,) intp.  scores : (m,) float32, log of the odds up to a constant.
    personas : (m,) int, whom each item is for most likely.  parts : (m, E) float32, what carried it, rows sum to 1.
    """

    positions: np.ndarray
    scores: np.ndarray
    personas: np.ndarray
    parts: np.ndarray


def learn_entry(popularity: Popularity, first: np.ndarray) -> float:
    """The weight of `ENTRY_WEIGHTS` under which what later sessions began with is likeliest.

    popularity : of the sessions before.  first : (s,) positions of the later ones' first items, those that were seen before.
    """
    if len(first) < FEW:
        return ENTRY
    return max(ENTRY_WEIGHTS, key=lambda weight: float(_log_opens(popularity, weight)[first].mean()))


def _log_opens(popularity: Popularity, entry: float) -> np.ndarray:
    """(n,) float64, log of how likely a session begins with each item."""
    score = popularity.facts[:, FACTS.index("log_recent")] + entry * popularity.facts[:, FACTS.index("entry")].astype(np.float64)
    most = score.max(initial=0.0)
    return np.asarray(score - most - np.log(np.exp(score - most).sum()))


def build_shelves(popularity: Popularity, model: PersonaModel, entry: float = 0.0) -> Shelves:
    """Shelves of a shop's n items; an item of unknown category, tier or discount says nothing by it. entry : by `learn_entry`."""
    facts = model.facts
    n = len(facts.category)
    codes = {_CATEGORY: facts.category, _TIER: facts.price_tier}
    if len(facts.reduced):
        codes[_DISCOUNT] = facts.reduced.astype(np.int8)
    kind = np.zeros(n, dtype=np.int64)
    for factor, code in codes.items():
        kind = kind * (model.hmm.log_emission[factor].shape[1] + 1) + code + 1
    _, one, shelf_of = np.unique(kind, return_index=True, return_inverse=True)
    log_given = np.zeros((len(model.ids), len(one)))
    for factor, code in codes.items():
        table = model.hmm.log_emission[factor]
        log_given += np.where(code[one] >= 0, table[:, code[one]], 0.0)  # -1 reads the last column, which is not used
    given = np.exp(log_given)
    every = _log_opens(popularity, entry)
    order = np.lexsort((np.arange(n), -popularity.facts[:, FACTS.index("log_share")], -every))
    shelf_of = shelf_of.astype(np.int32)
    by_shelf = order[np.argsort(shelf_of[order], kind="stable")]
    sizes = np.bincount(shelf_of, minlength=len(one))
    deep = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    may_open = np.zeros(n, dtype=bool)
    may_open[by_shelf[deep < DEPTH]] = True
    may_open[popularity.top] = True
    items = order[may_open[order]].astype(np.int32)
    place = np.full(n, -1, dtype=np.int32)
    place[items] = np.arange(len(items))
    return Shelves(
        given=given,
        usual=np.exp(model.hmm.log_initial) @ given,
        mass=np.bincount(shelf_of, np.exp(every), minlength=len(one)),
        items=items,
        shelves=shelf_of[items],
        log_share=every[items],
        shelf_of=shelf_of,
        place=place,
        every=every,
    )


def taste(shelves: Shelves, belief: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(x,) float64, log P(item | belief) less log P(item): how much more than others the personas take from its shelf."""
    return _lift(shelves, belief)[shelves.shelf_of[positions]]


def open_with(
    shelves: Shelves, *, belief: np.ndarray, own: np.ndarray, rates: np.ndarray, among: np.ndarray | None = None
) -> Opening:
    """The opening of a session with this belief.

    belief : (K,) probabilities.  own : (r,) positions, each once: what the shopper wanted before, the most likely first.
    rates : (R,) share of what later visits want that each of them is, in their order (`reminders.learn_reminders`).
    among : (m,) positions that may open, each once, in place of the shelves' own; what the shopper wanted before too then.
    """
    lift = _lift(shelves, belief)
    own, rates = _reminders(own, rates)
    items, on, log_share = shelves.items, shelves.shelves, shelves.log_share
    at = shelves.place[own]
    if among is not None:
        items, on, log_share = among, shelves.shelf_of[among], shelves.every[among]
        place = {position: i for i, position in enumerate(among.tolist())}
        held = [i for i, position in enumerate(own.tolist()) if position in place]
        own, rates = own[held], rates[held]
        at = np.array([place[position] for position in own.tolist()], dtype=np.intp)
    more = own[at < 0]
    if len(more):
        at[at < 0] = len(items) + np.arange(len(more))
        items, on = np.concatenate((items, more)), np.concatenate((on, shelves.shelf_of[more]))
        log_share = np.concatenate((log_share, shelves.every[more]))
    told = lift[on]
    scores = log_share + told
    reminded = np.zeros(len(items))
    if len(own):
        reminded[at] = np.logaddexp(scores[at], _log_odds(rates)) - scores[at]
        scores[at] += reminded[at]
    if len(items) > TOP:
        best = np.sort(np.argpartition(-scores, TOP)[:TOP])  # sorted: equals stay in the order of popularity
        items, on, log_share, told, scores, reminded = (a[best] for a in (items, on, log_share, told, scores, reminded))
    gain = np.zeros((len(items), len(EXPERTS)), dtype=np.float32)
    if len(items):
        gain[:, _EXPERT["popularity"]] = np.maximum(log_share - log_share.mean(), 0.0)
        gain[:, _EXPERT["personas"]] = np.maximum(told, 0.0)
        gain[:, _EXPERT["reminders"]] = reminded
    total = gain.sum(axis=1)
    gain[total <= 1e-6, _EXPERT["popularity"]] = 1.0
    gain /= gain.sum(axis=1, keepdims=True)
    whose = (belief[:, None] * shelves.given).argmax(axis=0) if len(belief) else np.full(len(shelves.mass), -1)
    return Opening(items.astype(np.intp), scores.astype(np.float32), whose[on], gain)


def odds(shelves: Shelves, positions: np.ndarray, *, belief: np.ndarray | None, own: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """(m,) float64, log of the odds of items at any positions by which `open_with` ranks, up to the same constant.

    belief : None if nothing is believed, and every shelf is as anybody's.
    """
    scores: np.ndarray = shelves.every[positions]
    if belief is not None:
        scores = scores + _lift(shelves, belief)[shelves.shelf_of[positions]]
    own, rates = _reminders(own, rates)
    if len(own):
        at, of = np.nonzero(positions[:, None] == own)
        scores[at] = np.logaddexp(scores[at], _log_odds(rates)[of])
    return scores


def _lift(shelves: Shelves, belief: np.ndarray) -> np.ndarray:
    """(S,) by how much more than anybody a visitor of this belief takes from each shelf, log."""
    ratio = (belief @ shelves.given) / np.maximum(shelves.usual, 1e-300)
    # The mixture's own total, so that reminders weigh what they weigh, whatever the belief.
    total = max(float(shelves.mass @ ratio) / max(float(shelves.mass.sum()), 1e-300), 1e-300)
    return np.asarray(np.log(np.maximum(ratio, 1e-300)) - np.log(total))


def _reminders(own: np.ndarray, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    own, rates = own[: len(rates)], rates[: len(own)]
    return own[rates > 0.0], rates[rates > 0.0]


def _log_odds(rates: np.ndarray) -> np.ndarray:
    """(r,) log-odds of reminders against everything else."""
    return np.asarray(np.log(rates / max(1.0 - float(rates.sum()), 1.0 - MOST_REMINDED)))
