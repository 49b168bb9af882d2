"""Candidates of a step and what the experts say of each: the same function in training and in serving."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from clusters.alignment import Selection
from clusters.item_clusters import ItemClusters
from personas.events import ENGAGEMENT, NAMES
from recommendations.ranking import neighbours, transitions
from recommendations.ranking.encoder import Encoder
from recommendations.ranking.history import History, Scratch, distinct
from recommendations.ranking.layout import ClusterRows
from recommendations.ranking.neighbours import Found, Neighbours
from recommendations.ranking.popularity import FACTS, Popularity
from recommendations.ranking.transitions import ItemRows, Reading

ROW_EVENTS = 4
ROW_EACH = 60
FROM_NEIGHBOURS = 100
FROM_ENCODER = 100

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

SHARE_FLOOR = np.float32(1e-5)
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


@dataclass(frozen=True)
class Evidence:
    """Candidates and their features.

    positions : (m,) intp.  features : (F, m) float32, in the order of `FEATURES`.  votes : (9, m) float32, `VOTERS`.
    reading : the rows' votes by event, for naming the cause.
    """

    positions: np.ndarray
    features: np.ndarray
    votes: np.ndarray
    reading: Reading


def gather(
    experts: Experts,
    history: History,
    h: np.ndarray,
    *,
    clusters: ItemClusters,
    layout: ClusterRows,
    selection: Selection,
    scratch: Scratch,
) -> Evidence:
    """Candidates and features of a history of at least one event."""
    n = len(experts.encoder.row_of)
    reading = transitions.read(experts.rows, history)
    found = neighbours.find(experts.neighbours, history, scratch)
    positions = distinct(
        np.concatenate(
            (
                transitions.strongest(experts.rows, history, events=ROW_EVENTS, each=ROW_EACH),
                _top(found.items, found.near, FROM_NEIGHBOURS),
                _encoder_candidates(experts.encoder, h, layout, selection),
                history.positions,
            ),
            dtype=np.intp,
        ),
        scratch,
        n,
    )
    m = len(positions)
    slot = scratch.zeros("slot", n, np.intp)
    slot[positions] = np.arange(1, m + 1)
    # The first column takes, and drops, the votes for what is no candidate.
    cast = np.zeros((len(VOTERS), m + 1), dtype=np.float32)
    cell = slot[reading.items] + _RELATION_AT * (m + 1)
    cast[: len(_RELATION_AT)] = np.bincount(cell.ravel(), reading.votes.ravel(), minlength=len(_RELATION_AT) * (m + 1)).reshape(
        -1, m + 1
    )
    place = slot[found.items]
    cast[6, place] = found.near
    cast[7, place] = found.ahead
    votes = cast[:, 1:]
    rows = experts.encoder.row_of[positions]
    logits = experts.encoder.outputs[rows] @ h + experts.encoder.bias[rows]
    logits -= np.maximum.reduce(logits)
    np.exp(logits, out=votes[8])
    features = np.empty((len(FEATURES), m), dtype=np.float32)
    peaks = _vote_features(votes, features[:_FACTS_AT])
    features[_FACTS_AT:_SESSION_AT] = experts.popularity.facts[positions].T
    _session_features(history, slot, features[_SESSION_AT:_CLUSTER_AT])
    slot[positions] = 0
    _cluster_features(clusters, selection, history, positions, features[_CLUSTER_AT:_CONTEXT_AT])
    features[_CONTEXT_AT:] = _context(history, peaks, found, experts.popularity)[:, None]
    return Evidence(positions, features, votes, reading)


_RELATION_AT = np.arange(len(transitions.RELATIONS))[:, None]
_FACTS_AT = 3 * len(VOTERS)
_SESSION_AT = _FACTS_AT + len(FACTS)
_CLUSTER_AT = _SESSION_AT + len(SESSION)
_CONTEXT_AT = _CLUSTER_AT + len(CLUSTER)


def _top(items: np.ndarray, score: np.ndarray, count: int) -> np.ndarray:
    """The `count` items of the highest score, in no order."""
    return items if len(items) <= count else items[np.argpartition(score, -count)[-count:]]


def _encoder_candidates(encoder: Encoder, h: np.ndarray, layout: ClusterRows, selection: Selection) -> np.ndarray:
    """The encoder's best within the selected clusters. An item of several of them may come more than once."""
    # A shop without clusters has the items of no cluster.
    chosen = selection.rows.tolist() or [len(layout.first) - 1]
    places = [slice(start, end) for start, end in zip(layout.starts[chosen], layout.starts[[c + 1 for c in chosen]], strict=True)]
    scores = []
    for place, first in zip(places, layout.first[chosen].tolist(), strict=True):
        if first >= 0:
            outputs = encoder.outputs[first : first + place.stop - place.start]
        else:  # "clip" copies in half the time of an index: nothing is to be checked, the rows are the layout's own
            outputs = encoder.outputs.take(layout.rows[place], axis=0, mode="clip")
        scores.append(outputs @ h)
    rows = np.concatenate([layout.rows[place] for place in places])
    score = np.concatenate(scores)
    score += encoder.bias[rows]
    return encoder.item_at[_top(rows, score, FROM_ENCODER)]


def _vote_features(votes: np.ndarray, out: np.ndarray) -> np.ndarray:
    """log share, share of the maximum and 1 / (1 + rank / 3) of every voter; a candidate without a vote has no rank.

    Returns (9,) each voter's largest share.
    """
    v, m = votes.shape
    total = np.maximum(np.add.reduce(votes, axis=1, keepdims=True), 1e-30)
    most = np.maximum(np.maximum.reduce(votes, axis=1, keepdims=True), 1e-30)
    share = out[:v]
    np.divide(votes, total, out=share)
    np.maximum(share, SHARE_FLOOR, out=share)
    np.log(share, out=share)
    np.divide(votes, most, out=out[v : 2 * v])
    place = votes.argsort(axis=1)
    place += _ROW_AT[:v] * m
    ranks = out[2 * v : 3 * v]
    ranks.reshape(-1)[place] = _RANKS[m - 1 :: -1]
    ranks *= votes > 0.0
    return (most / total)[:, 0]


_ROW_AT = np.arange(len(VOTERS))[:, None]
_RANKS = (1.0 / (1.0 + np.arange(4_096) / 3.0)).astype(np.float32)


_NO_VISIT = (0.0,) * (len(SESSION) - 1)
_LOGGED = [SESSION.index(name) for name in ("count", "log_dwell", "log_age")]


def _session_features(history: History, slot: np.ndarray, out: np.ndarray) -> None:
    """What the session did with each candidate itself. Every item of the history is a candidate."""
    where = (slot[history.positions] - 1).tolist()
    length = len(where)
    at, dwell = history.at.tolist(), history.dwell_s.tolist()
    # A session is short: going through it costs less than as many calls of numpy as there are features.
    rows: dict[int, list[float]] = {}
    for i, column in enumerate(where):
        row = rows.get(column)
        if row is None:
            row = rows[column] = [1.0, *_NO_VISIT]
        row[1] = 1.0 / (length - i)
        row[2] += 1.0
        # Where the page reports no dwell, the gap to the next event stands for it.
        stayed = dwell[i]
        if stayed != stayed and i < length - 1:
            stayed = at[i + 1] - at[i]
        if stayed > row[5]:
            row[5] = stayed
        row[9] = max(at[-1] - at[i], 0.0)
    for column, engagement in zip(where, _ENGAGEMENT[history.codes].tolist(), strict=True):
        rows[column][6] = max(rows[column][6], engagement)
    last = where[-1]
    rows[last][3] = 1.0
    if length > 1:
        rows[where[-2]][4] = rows[where[-2]][8] = 1.0
    for i in range(length - 1):
        if where[i] == last:  # an earlier visit of the item that the shopper is on
            rows[where[i + 1]][7] = 1.0
            if i:
                rows[where[i - 1]][8] = 1.0
    values = np.array(list(rows.values()), dtype=np.float32)
    values[:, _LOGGED] = np.log1p(values[:, _LOGGED])
    out[:] = 0.0
    out[:, list(rows)] = values.T


def _cluster_features(
    clusters: ItemClusters, selection: Selection, history: History, positions: np.ndarray, out: np.ndarray
) -> None:
    """How the selection scores each candidate's primary cluster, relative to the best."""
    c = len(clusters.cluster_ids)
    score = np.zeros((2, c + 1), dtype=np.float32)  # the last entry serves items of no cluster, -1
    if len(selection.rows):
        score[0, selection.rows] = selection.score / max(float(np.maximum.reduce(selection.score)), 1e-12)
        score[1, selection.rows] = 1.0
    primary = clusters.primary[positions]
    score.take(primary, axis=1, mode="wrap", out=out[:2])
    latest = clusters.primary.item(history.positions[-1])
    out[2] = primary == latest if latest >= 0 else 0.0


def _context(history: History, peaks: np.ndarray, found: Found, popularity: Popularity) -> np.ndarray:
    """What holds for the whole list, by which the blend trusts one expert more than another."""
    length = len(history)
    positions = history.positions.tolist()
    last = positions[-1]
    return np.array(
        (
            math.log1p(length),
            len(set(positions)) / length,
            math.log1p(found.sessions),
            peaks.item(0),
            peaks.item(6),
            peaks.item(8),
            float(length > 1 and last == positions[-2]),
            popularity.facts.item(last, 0),
            _ENGAGEMENT.item(history.codes.item(-1)),
        ),
        dtype=np.float32,
    )
