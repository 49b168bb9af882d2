"""What carried the score of an item that is shown, to first order: `naming` tries what is proposed here, `wording` says it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommendations.ranking import blend as blending
from recommendations.ranking import causes
from recommendations.ranking.encoder import event_parts
from recommendations.ranking.features import EXPERT_COLUMNS, EXPERTS
from recommendations.ranking.history import History, Scratch
from recommendations.ranking.ranker import Ranked, Ranker
from recommendations.ranking.transitions import READ

NO_CAUSE = -1

_EXPERT_OF = np.where(EXPERT_COLUMNS.any(axis=0), EXPERT_COLUMNS.argmax(axis=0), -1).astype(np.int8)
_NAMED = (
    EXPERTS.index("transitions"),
    EXPERTS.index("neighbours"),
    EXPERTS.index("encoder"),
    EXPERTS.index("session"),
    EXPERTS.index("popularity"),
)
_ONLY_POPULAR = np.array([name == "popularity" for name in EXPERTS], dtype=np.float32)
_scratch = Scratch()


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
    The event is the one with the largest part in the rows' votes and in the session vector, as far as each counted.
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
    if not len(columns):
        return Why(shares, because)
    items = evidence.positions[columns]
    shares[carried], because[carried] = causes.carried(
        evidence.features,
        evidence.votes,
        ranked.columns,
        columns,
        blending.score_gradient(ranker.blend, evidence.features.take(columns, axis=1)),
        _EXPERT_OF,
        _NAMED,
        len(EXPERTS),
        np.array(history.positions, dtype=np.int64),
        items,
        ranker.tables.rows,
        READ,
        event_parts(ranker.encoder, history, items),
        _scratch.zeros("slot", len(ranker.encoder.row_of), np.int32),
    )
    return Why(shares, because)
