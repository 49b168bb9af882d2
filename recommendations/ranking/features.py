"""Candidates of a step and what the experts say of each: the same function in training and in serving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from clusters.alignment import Selection
from personas.events import ENGAGEMENT, NAMES
from recommendations.ranking import kernels, neighbours, removal_kernels, transitions, vote_kernels
from recommendations.ranking.compiling import readonly
from recommendations.ranking.encoder import Encoder
from recommendations.ranking.history import History, Scratch, own
from recommendations.ranking.kinship import Kinship
from recommendations.ranking.layout import ClusterRows
from recommendations.ranking.neighbours import Neighbours
from recommendations.ranking.popularity import FACTS, Popularity
from recommendations.ranking.tables import Asked, Grouping, Outputs, Reach, Rows, Spoken, Tables, plain
from recommendations.ranking.transitions import ItemRows

ROW_EVENTS = 4
ROW_EACH = 60
FROM_NEIGHBOURS = 100
FROM_ENCODER = 100
ITEMS_SCORED = 8_000
"""Items of the selected clusters that the encoder scores: all that may be selected of 80,000; it bounds a step beyond."""

VOTERS = (*transitions.RELATIONS, "near", "ahead", "encoder")
SESSION = (
    "in_session",
    "recency",
    "count",
    "is_last",
    "is_previous",
    "log_dwell",
    "engagement",
    "followed_last",
    "preceded_last",
    "log_age",
)
CLUSTER = ("cluster_score", "cluster_selected", "same_cluster")
CONTEXT = (
    "log_length",
    "distinct",
    "found",
    "peak_next",
    "peak_near",
    "peak_encoder",
    "last_again",
    "last_popularity",
    "last_engagement",
)
FEATURES = (
    *(f"{kind}:{voter}" for kind in ("log_share", "over_max", "rank") for voter in VOTERS),
    *FACTS,
    *SESSION,
    *CLUSTER,
    *CONTEXT,
)

EXPERTS = ("transitions", "neighbours", "encoder", "popularity", "session", "clusters", "personas", "reminders")
"""Whom a score is owed to. The last two speak before the first item, where no feature does (`opening`)."""

_EXPERT_OF_VOTER = {r: "transitions" for r in transitions.RELATIONS}
_EXPERT_OF_VOTER |= {"near": "neighbours", "ahead": "neighbours", "encoder": "encoder"}


def _expert_of(feature: str) -> str:
    voter = feature.partition(":")[2]
    if voter:
        return _EXPERT_OF_VOTER[voter]
    return "popularity" if feature in FACTS else "session" if feature in SESSION else "clusters" if feature in CLUSTER else ""


EXPERT_COLUMNS = np.array([[_expert_of(f) == e for f in FEATURES] for e in EXPERTS])
"""(E, F) bool: which features speak for which expert; context, the same for all candidates, speaks for none."""

SHARE_FLOOR = 1e-5
REACH = Reach(
    row_events=ROW_EVENTS,
    row_each=ROW_EACH,
    rows_read=transitions.READ,
    from_neighbours=FROM_NEIGHBOURS,
    from_encoder=FROM_ENCODER,
    items_scored=ITEMS_SCORED,
    nearest=neighbours.nearest(),
    share_floor=SHARE_FLOOR,
)
LIMITS = plain(REACH)
_NO_MORE = np.zeros(0, dtype=np.int64)
_ENGAGEMENT = np.array([ENGAGEMENT.get(name, 0.0) for name in NAMES], dtype=np.float32)


class Experts(Protocol):
    """What is asked for votes."""

    @property
    def encoder(self) -> Encoder: ...
    @property
    def rows(self) -> ItemRows: ...
    @property
    def neighbours(self) -> Neighbours: ...
    @property
    def popularity(self) -> Popularity: ...
    @property
    def kinship(self) -> Kinship | None: ...
    @property
    def tables(self) -> Tables:
        """`tables_of` it, kept."""

    @property
    def parts(self) -> tuple[Any, ...]:
        """The tables, `tables.plain`, kept."""


def tables_of(experts: Experts) -> Tables:
    """The experts as compiled loops read them. Made once for many steps: it costs as much as a tenth of one."""
    rows, encoder = experts.rows, experts.encoder
    return Tables(
        rows=Rows(
            indptr=readonly(rows.indptr, np.int64),
            indices=readonly(rows.indices, np.int32),
            values=readonly(rows.values, np.float32),
            decayed=readonly(rows.decayed, np.float32),
        ),
        visits=neighbours.visits(experts.neighbours),
        encoder=outputs_of(encoder),
        facts=readonly(experts.popularity.facts, np.float32),
        spoken=_spoken(experts.kinship),
    )


def _spoken(kinship: Kinship | None) -> Spoken:
    starts, items, shares = (kinship.starts, kinship.items, kinship.shares) if kinship is not None else (_NO_MORE,) * 3
    return Spoken(readonly(starts, np.int64), readonly(items, np.int32), readonly(shares, np.float32))


def outputs_of(encoder: Encoder) -> Outputs:
    """The encoder's outputs as compiled loops read them."""
    outputs = encoder.answers
    coarse, unit = vote_kernels.coarsened(outputs)
    return Outputs(
        outputs=outputs,
        coarse=readonly(coarse, np.int8),
        unit=readonly(unit, np.float32),
        bias=readonly(encoder.bias, np.float32),
        item_at=readonly(encoder.item_at, np.int32),
        row_of=readonly(encoder.row_of, np.int32),
    )


@dataclass(frozen=True)
class Evidence:
    """Candidates and their features.

    positions : (m,) int64.  features : (F, m) float32, in the order of `FEATURES`.  votes : (9, m) float32, `VOTERS`.
    asked : the history that they are candidates of.
    """

    positions: np.ndarray
    features: np.ndarray
    votes: np.ndarray
    asked: Asked


def gather(
    experts: Experts,
    history: History,
    h: np.ndarray,
    *,
    layout: ClusterRows,
    selection: Selection,
    scratch: Scratch,
    also: np.ndarray = _NO_MORE,
) -> Evidence:
    """Candidates and features of a history of at least one event. also : (x,) positions to be candidates in any case.

    Raises IndexError where an item is not the experts'.
    """
    grouping = layout.grouping
    positions, codes = history.loops
    asked = Asked(
        positions=positions,
        voices=positions if experts.kinship is None else experts.kinship.voices(positions),
        engagement=_ENGAGEMENT.take(codes),
        at=own(history.at, np.float64),
        dwell_s=own(history.dwell_s, np.float32),
        h=own(h, np.float32),
    )
    found = kernels.gather(
        experts.parts,
        layout.parts,
        space_of(experts.tables, grouping, scratch),
        tuple(asked),
        selection.rows,
        selection.score,
        LIMITS,
        len(FEATURES),
        own(also, np.int64),
    )
    return Evidence(*found, asked)


def gather_without(
    experts: Experts,
    evidence: Evidence,
    columns: np.ndarray,
    item: int,
    h: np.ndarray,
    *,
    layout: ClusterRows,
    selection: Selection,
    scratch: Scratch,
) -> np.ndarray:
    """(F, k) features that the candidates at `columns` (k,) have if the session did not touch the item at this position, which
    must not be its only one: what `gather` tells with the same candidates. h : (d,) the vector that the session then has.
    With `NO_ITEM` and another selection, what it tells of the whole session then."""
    grouping = layout.grouping
    return removal_kernels.gather_without(
        experts.parts,
        layout.parts,
        space_of(experts.tables, grouping, scratch),
        tuple(evidence.asked),
        selection.rows,
        selection.score,
        LIMITS,
        evidence.positions,
        evidence.features,
        np.array(columns, dtype=np.int64),
        item,
        h,
    )


def space_of(tables: Tables, grouping: Grouping, scratch: Scratch) -> tuple[Any, ...]:
    """Scratch for loops over these tables, plain."""
    return scratch.plain_space(len(grouping.primary), len(tables.visits.session_starts), len(grouping.starts), len(grouping.rows))


def encoder_candidates(
    encoder: Encoder, h: np.ndarray, layout: ClusterRows, selection: Selection, scratch: Scratch
) -> np.ndarray:
    """(m,) the encoder's best within the selected clusters. An item of several of them may come more than once."""
    grouping = layout.grouping
    space = scratch.space(len(grouping.primary), 0, 0, len(grouping.rows))
    outputs = outputs_of(encoder)
    count = vote_kernels.ask_encoder(
        outputs, grouping, space, selection.rows, np.array(h, dtype=np.float32), FROM_ENCODER, ITEMS_SCORED
    )
    return outputs.item_at[(space.keys[:count] & np.uint64(0xFFFFFFFF)).astype(np.intp)]
