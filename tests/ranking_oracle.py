"""What the compiled loops of a step compute, said once more with numpy: slow, plain, and the measure for them."""

from __future__ import annotations

import numpy as np

from clusters.alignment import Selection
from personas.events import ENGAGEMENT, NAMES
from recommendations.ranking import features, neighbours, transitions
from recommendations.ranking.blend import Blend
from recommendations.ranking.encoder import event_parts
from recommendations.ranking.features import EXPERTS
from recommendations.ranking.history import History
from recommendations.ranking.layout import ClusterRows
from recommendations.ranking.neighbours import DISTANCE_DECAY, LAG_DECAY, Neighbours
from recommendations.ranking.ranker import Ranker


def neighbour_votes(index: Neighbours, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """(n,) near, (n,) ahead, and sessions found."""
    n, count = len(index.idf), len(index.session_starts) - 1
    near, ahead = np.zeros(n), np.zeros(n)
    likeness, place = np.zeros(count, dtype=np.float32), np.full(count, -1)
    latest = list(dict.fromkeys(positions[::-1].tolist()))[: neighbours.READ]
    for lag, item in enumerate(latest):
        visits = slice(index.visit_starts[item], index.visit_starts[item + 1])
        sessions = index.visit_session[visits]
        place[sessions] = np.where(place[sessions] < 0, index.visit_place[visits], place[sessions])
        likeness[sessions] += np.float32(LAG_DECAY**lag * index.idf[item])
    order = np.lexsort((np.arange(count), likeness))[::-1][: neighbours.NEIGHBOURS]
    order = order[likeness[order] > 0]
    for s in order.tolist():
        for at, item in enumerate(index.session_items[index.session_starts[s] : index.session_starts[s + 1]].tolist()):
            vote = likeness[s] * DISTANCE_DECAY ** max(abs(at - place[s]), 1) * index.idf[item]
            near[item] += vote
            ahead[item] += vote * (at > place[s])
    return near, ahead, len(order)


def top(score: np.ndarray, count: int, among: np.ndarray) -> list[int]:
    return among[np.argsort(-score[among], kind="stable")[:count]].tolist()


def gathered(
    ranker: Ranker, history: History, h: np.ndarray, *, layout: ClusterRows, selection: Selection
) -> tuple[set[int], np.ndarray, np.ndarray]:
    """Candidates; features (F, n) and votes (9, n) of all items, of which those of the candidates count."""
    n, rows, positions = len(ranker.encoder.row_of), ranker.rows, history.positions
    near, ahead, sessions = neighbour_votes(ranker.neighbours, positions)
    pull = (ranker.encoder.outputs @ h + ranker.encoder.bias)[ranker.encoder.row_of]
    chosen = set(positions.tolist())
    for item in positions[::-1][: features.ROW_EVENTS].tolist():
        chosen |= set(rows.indices[rows.indptr[item] : rows.indptr[item + 1]][: features.ROW_EACH].tolist())
    chosen |= set(top(near, features.FROM_NEIGHBOURS, np.flatnonzero(near)))
    clusters = selection.rows.tolist() or [len(layout.starts) - 2]
    inside = np.concatenate([layout.rows[layout.starts[c] : layout.starts[c + 1]] for c in clusters])
    chosen |= set(top(pull, features.FROM_ENCODER, ranker.encoder.item_at[inside]))
    columns = sorted(chosen)

    votes = np.zeros((9, n))
    for lag, item in enumerate(positions[::-1][: transitions.READ].tolist()):
        entries = slice(rows.indptr[item], rows.indptr[item + 1])
        for k in range(6):
            np.add.at(votes[k], rows.indices[entries], rows.values[k, entries] * rows.decayed[k, lag])
    votes[6], votes[7] = near, ahead
    votes[8] = np.exp(pull - pull[columns].max())
    cast = votes[:, columns]
    share = cast / np.maximum(cast.sum(axis=1, keepdims=True), 1e-30)
    most = cast / np.maximum(cast.max(axis=1, keepdims=True), 1e-30)
    place = (-cast).argsort(axis=1, kind="stable").argsort(axis=1)
    rank = np.where(cast > 0, 1.0 / (1.0 + place / 3.0), 0.0)

    out = np.zeros((len(features.FEATURES), n))
    name = {feature: i for i, feature in enumerate(features.FEATURES)}
    out[:27, columns] = np.concatenate((np.log(np.maximum(share, features.SHARE_FLOOR)), most, rank))
    out[27:32] = ranker.popularity.facts.T
    for i, item in enumerate(positions.tolist()):
        out[name["in_session"], item] = 1.0
        out[name["recency"], item] = 1.0 / (len(positions) - i)
        out[name["count"], item] = np.log1p((positions == item).sum())
        stayed = history.dwell_s[i]
        if np.isnan(stayed) and i < len(positions) - 1:
            stayed = history.at[i + 1] - history.at[i]
        if not np.isnan(stayed):
            out[name["log_dwell"], item] = max(out[name["log_dwell"], item], np.log1p(max(stayed, 0.0)))
        gain = ENGAGEMENT.get(NAMES[history.codes[i]], 0.0)
        out[name["engagement"], item] = max(out[name["engagement"], item], gain)
        out[name["log_age"], item] = np.log1p(max(history.at[-1] - history.at[i], 0.0))
        out[name["is_last"], item] = float(item == positions[-1])
        out[name["is_previous"], item] = float(item in positions[-2:-1])
    last, before = positions[:-1] == positions[-1], np.flatnonzero(positions == positions[-1])
    out[name["followed_last"], positions[1:][last]] = 1.0
    out[name["preceded_last"], positions[before[before > 0] - 1]] = 1.0
    primary = layout.primary
    for c, s in zip(
        selection.rows.tolist(), (selection.score / max(selection.score.max(initial=0.0), 1e-12)).tolist(), strict=True
    ):
        out[name["cluster_score"], primary == c] = s
        out[name["cluster_selected"], primary == c] = 1.0
    mine = primary[positions[-1]]
    out[name["same_cluster"]] = (primary == mine) & (mine >= 0)
    out[-9:] = np.array(
        (
            np.log1p(len(positions)),
            len(set(positions.tolist())) / len(positions),
            np.log1p(sessions),
            *share[[0, 6, 8]].max(axis=1),
            float(len(positions) > 1 and positions[-1] == positions[-2]),
            ranker.popularity.facts[positions[-1], 0],
            ENGAGEMENT.get(NAMES[history.codes[-1]], 0.0),
        )
    )[:, None]
    return chosen, out, votes


def scores(blend: Blend, x: np.ndarray) -> np.ndarray:
    """(m,) of features (F, m)."""
    first = np.maximum(blend.w1 @ x + blend.b1[:, None], 0.0)
    second = np.maximum(blend.w2 @ first + blend.b2[:, None], 0.0)
    return blend.skip @ x + blend.w3 @ second


def caused(
    ranker: Ranker, history: History, evidence: features.Evidence, ranked: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(r, E) shares and (r, L) parts of the events, oldest first, of the candidates at `columns`. ranked : (k,) columns."""
    x, rows = evidence.features.astype(np.float64), ranker.rows
    step = 1e-4
    gradient = np.empty((len(x), len(columns)))
    for f in range(len(x)):
        up, down = x[:, columns].copy(), x[:, columns].copy()
        up[f] += step
        down[f] -= step
        gradient[f] = (scores(ranker.blend, up) - scores(ranker.blend, down)) / (2 * step)
    gain = features.EXPERT_COLUMNS @ (gradient * (x[:, columns] - x.mean(axis=1, keepdims=True)))
    gain = np.maximum(gain, 0.0)
    popular = np.array([name == "popularity" for name in EXPERTS])[:, None]
    total = gain.sum(axis=0)
    shares = np.where(total > 1e-6, gain / np.maximum(total, 1e-12), popular).T
    items, length = evidence.positions[columns], len(history)
    totals = np.maximum(evidence.votes[:6, ranked].sum(axis=1), 1e-12)
    said, pulls = np.zeros((length, len(items))), np.zeros((length, len(items)))
    for lag in range(min(length, transitions.READ)):
        item = history.positions[length - 1 - lag]
        entries = slice(rows.indptr[item], rows.indptr[item + 1])
        vote = (rows.values[:, entries] * rows.decayed[:, lag, None] / totals[:, None]).sum(axis=0)
        for r, of in enumerate(items.tolist()):
            said[length - 1 - lag, r] = vote[rows.indices[entries] == of].sum()
    told = event_parts(ranker.encoder, history, items)
    pulls[length - len(told) :] = np.maximum(told, 0.0)[::-1]
    part = (history.positions[:, None] == items) * shares[:, EXPERTS.index("session")]
    part = part + said / np.maximum(said.sum(axis=0), 1e-12) * (shares[:, 0] + shares[:, 1])
    return shares, (part + pulls / np.maximum(pulls.sum(axis=0), 1e-12) * shares[:, 2]).T
