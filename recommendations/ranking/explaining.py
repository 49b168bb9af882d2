"""What carried the score of an item that is shown, to first order: `naming` tries what is proposed here, `wording` says it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommendations.ranking import blend as blending
from recommendations.ranking import causes
from recommendations.ranking.encoder import event_parts
from recommendations.ranking.features import EXPERT_COLUMNS, EXPERTS, Evidence
from recommendations.ranking.history import History, Scratch
from recommendations.ranking.ranker import Ranked, Ranker
from recommendations.ranking.transitions import READ, RELATIONS

NO_CAUSE = -1

_EXPERT_OF = np.where(EXPERT_COLUMNS.any(axis=0), EXPERT_COLUMNS.argmax(axis=0), -1).astype(np.int8)
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
    gradient = blending.score_gradient(ranker.blend, evidence.features.take(columns, axis=1))
    parts = causes.shares(evidence.features, columns, gradient, _EXPERT_OF, len(EXPERTS), EXPERTS.index("popularity"))
    shares[carried] = parts
    because[carried] = _causes(ranker, history, ranked, evidence, columns, parts)
    return Why(shares, because)


def _causes(
    ranker: Ranker, history: History, ranked: Ranked, evidence: Evidence, columns: np.ndarray, parts: np.ndarray
) -> np.ndarray:
    """(r,) the event with the largest part in the rows' votes and in the session vector, as far as each counted.

    columns : (r,) the items' places in the evidence.  parts : (r, E) shares.
    """
    items, rows = evidence.positions[columns], ranker.tables.rows
    positions = np.array(history.positions, dtype=np.int64)
    # Each relation counts by its votes for all that was ranked, for their units differ.
    totals = np.add.reduce(evidence.votes[: len(RELATIONS)].take(ranked.columns, axis=1), axis=1)
    said = causes.votes_by_event(
        rows.indptr,
        rows.indices,
        rows.values,
        rows.decayed,
        positions[: -READ - 1 : -1].copy(),
        items,
        np.float32(1.0) / np.maximum(totals, np.float32(1e-12)),
        _scratch.zeros("slot", len(ranker.encoder.row_of), np.int32),
    )
    pulls = np.array(event_parts(ranker.encoder, history, items), dtype=np.float32)
    return causes.latest_cause(positions, items, said, pulls, parts[:, 0] + parts[:, 1], parts[:, 2].copy(), parts[:, 4].copy())
