"""What carried the score of an item that is shown, to first order: `naming` tries what is proposed here, `wording` says it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommendations.ranking import carrying
from recommendations.ranking.encoder import event_parts
from recommendations.ranking.features import EXPERT_COLUMNS, EXPERTS
from recommendations.ranking.history import History
from recommendations.ranking.ranker import SCRATCH, Ranked, Ranker
from recommendations.ranking.transitions import READ

NO_CAUSE = -1

EXPERT_OF = np.where(EXPERT_COLUMNS.any(axis=0), EXPERT_COLUMNS.argmax(axis=0), -1).astype(np.int8)
SPEAKERS = (
    EXPERTS.index("transitions"),
    EXPERTS.index("neighbours"),
    EXPERTS.index("encoder"),
    EXPERTS.index("session"),
    EXPERTS.index("popularity"),
)
_ONLY_POPULAR = np.array([name == "popularity" for name in EXPERTS], dtype=np.float32)


@dataclass(frozen=True)
class Why:
    """What carried each of r items.

    shares : (r, E) float32, each expert's part of the score, in the order of `EXPERTS`; rows sum to 1.
    because : (r,) int, the history's event that carried the item most, `NO_CAUSE` where none did.
    mean : (F,) float32 features of the average candidate, None before the first item.
    """

    shares: np.ndarray
    because: np.ndarray
    mean: np.ndarray | None = None


def explain(ranker: Ranker, history: History, ranked: Ranked, rows: np.ndarray) -> Why:
    """What carried the items at `rows` (r,) of a ranking.

    An expert's part is what its features add over those of the average candidate, to first order (gradient times
    difference; exact within one linear piece of the blend); what it takes away counts as nothing.
    The event is the one with the largest part in the rows' votes and in the session vector, as far as each counted.
    """
    evidence = ranked.evidence
    carried = rows < len(ranked.columns)  # the others only fill the list up
    columns = ranked.columns[rows[carried]]
    if evidence is not None and len(columns):
        items = evidence.positions[columns]
        found = carrying.carried(
            ranker.blend.parts,
            evidence.features,
            evidence.votes,
            ranked.columns,
            columns,
            EXPERT_OF,
            SPEAKERS,
            len(EXPERTS),
            evidence.asked.positions,
            items,
            *ranker.tables.rows,
            READ,
            event_parts(ranker.encoder, history, items),
            SCRATCH.zeros("slot", len(ranker.encoder.row_of), np.int32),
        )
        if len(columns) == len(rows):
            return Why(*found)
    shares = np.empty((len(rows), len(EXPERTS)), dtype=np.float32)
    shares[:] = _ONLY_POPULAR
    because = np.full(len(rows), NO_CAUSE)
    if not len(columns):
        return Why(shares, because)
    if evidence is not None:
        shares[carried], because[carried], mean = found
        return Why(shares, because, mean)
    if ranked.opening is not None:
        shares[carried] = ranked.opening.parts[columns]
    return Why(shares, because)
