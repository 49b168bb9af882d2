"""What carried the score of an item that is shown, and that in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommendations.ranking import blend as blending
from recommendations.ranking import transitions
from recommendations.ranking.encoder import event_parts
from recommendations.ranking.features import EXPERT_COLUMNS, EXPERTS, Evidence
from recommendations.ranking.history import History, Scratch
from recommendations.ranking.ranker import Ranked, Ranker
from recommendations.ranking.transitions import RELATIONS

NO_CAUSE = -1

_EXPERT_COLUMNS = EXPERT_COLUMNS.astype(np.float32)
_ONLY_POPULAR = np.array([name == "popularity" for name in EXPERTS], dtype=np.float32)
_scratch = Scratch()

PHRASES = {
    "transitions": ("Often chosen right after {because}", "Often chosen next in visits like this"),
    "neighbours": ("Visits like yours, with {because}, led here", "Visits like yours led here"),
    "encoder": ("Goes with what you looked at, most of all {because}", "Goes with what you looked at"),
    "popularity": ("Much in demand just now", "Much in demand just now"),
    "session": ("You looked at this before", "You looked at this before"),
    "clusters": ("From a group of items that you keep returning to", "From a group of items that suits you"),
    "personas": ("What shoppers like you look for", "What shoppers like you look for"),
    "reminders": ("You chose this on an earlier visit", "You chose this on an earlier visit"),
}
"""Expert -> phrase with and without the session's item that carried it."""


@dataclass(frozen=True)
class Why:
    """What carried each of r items.

    shares : (r, E) float32, each expert's part of the score, in the order of `EXPERTS`; rows sum to 1.
    because : (r,) int, the history's event that carried the item most, `NO_CAUSE` where none did.
    """

    shares: np.ndarray
    because: np.ndarray


def explain(ranker: Ranker, history: History, ranked: Ranked, rows: np.ndarray) -> Why:
    """What carried the items at `rows` (r,) of a ranking.

    An expert's part is what its features add over those of the average candidate, to first order (gradient times
    difference; exact within one linear piece of the blend); what it takes away counts as nothing.
    """
    shares = np.empty((len(rows), len(EXPERTS)), dtype=np.float32)
    shares[:] = _ONLY_POPULAR
    because = np.full(len(rows), NO_CAUSE)
    evidence = ranked.evidence
    if evidence is None:
        if ranked.opening is not None:
            opened = rows < len(ranked.columns)
            shares[opened] = ranked.opening.parts[ranked.columns[rows[opened]]]
        return Why(shares, because)
    carried = rows < len(ranked.columns)  # the others only fill the list up
    columns = ranked.columns[rows[carried]]
    x = evidence.features[:, columns]
    mean = evidence.features @ np.full(len(evidence.positions), 1.0 / len(evidence.positions), dtype=np.float32)
    gain = np.maximum(_EXPERT_COLUMNS @ (blending.score_gradient(ranker.blend, x) * (x - mean[:, None])), 0.0)
    total = np.add.reduce(gain, axis=0)
    parts = np.where(total > 1e-6, gain / np.maximum(total, 1e-6), _ONLY_POPULAR[:, None])
    shares[carried] = parts.T
    because[carried] = _causes(ranker, history, ranked, evidence, columns, parts)
    return Why(shares, because)


def _causes(
    ranker: Ranker, history: History, ranked: Ranked, evidence: Evidence, columns: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """(m,) the event with the largest part in the rows' votes and in the session vector, as far as each counted.

    columns : (m,) the items' places in the evidence.  shares : (E, m).
    """
    items, reading = evidence.positions[columns], transitions.read(ranker.rows, history)
    length, m = len(history), len(items)
    slot = _scratch.zeros("slot", len(ranker.encoder.row_of), np.intp)
    slot[items] = np.arange(1, m + 1)
    cell = slot[reading.items]
    slot[items] = 0
    read = len(reading.lengths)
    cell += (np.arange(read) * (m + 1)).repeat(reading.lengths)
    # Each relation counts by its votes for all that was ranked, for their units differ.
    totals = np.maximum(np.add.reduce(evidence.votes[: len(RELATIONS), ranked.columns], axis=1), 1e-12)
    rows = np.bincount(cell, (1.0 / totals) @ reading.votes, minlength=read * (m + 1)).reshape(read, m + 1)[:, 1:]
    pulls = np.maximum(event_parts(ranker.encoder, history, items), 0.0)
    part = (history.positions[::-1, None] == items) * shares[4]
    part[:read] += rows * ((shares[0] + shares[1]) / np.maximum(np.add.reduce(rows, axis=0), 1e-12))
    part[: len(pulls)] += pulls * (shares[2] / np.maximum(np.add.reduce(pulls, axis=0), 1e-12))
    latest = part.argmax(axis=0)  # of equal events the latest, for it comes first
    return np.where(np.maximum.reduce(part, axis=0) > 0, length - 1 - latest, NO_CAUSE)


def reason(*, expert: str, explored: bool, because: str, cluster: str, persona: str) -> str:
    """One or two short sentences: the cause, then the cluster and the persona it is for.

    expert : the expert with the largest share of the score.  because : title of the session's item, "" for none.
    """
    with_item, without = PHRASES.get(expert, PHRASES["clusters"])
    words = with_item.format(because=because) if because else without
    if explored:
        words = "Something new to try: we are learning whether it suits you"
    if cluster and persona:
        return f"{words}. From “{cluster}”, for {persona}."
    if cluster:
        return f"{words}. From “{cluster}”."
    return f"{words}."
