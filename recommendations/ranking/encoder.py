"""The core sequence encoder: a session as one vector in the space of the items.

    h = norm(M . sum_l exp(a_l + g_code) E[x_{t-l}])        score_j = h . norm(E_j) / T + b_j

Tied embeddings, so that a session lies among its items. After Hou et al. (2022), "CORE: simple and effective
session-based recommendation within consistent representation space"; sampled softmax with the logQ correction
of Bengio & Senecal (2008).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from personas.events import NAMES
from personas.sessions import SessionLog
from recommendations.ranking.history import History

LAGS = 10
"""Events the session vector reads; older ones add nothing measurable."""

TEMPERATURE = 0.12
DIMENSIONS = 64
NEGATIVES = 1024
FULL_SOFTMAX = 1500
"""Below this many items the whole softmax costs less than sampling it."""

EPOCHS = 10
BATCH = 256
LEARNING_RATE = 4e-3
DROPOUT = 0.2


@dataclass(frozen=True)
class Encoder:
    """Fitted encoder of n items in d dimensions.

    inputs : (n, d) float32, E.  outputs : (n, d) float32, norm(E) / TEMPERATURE, ordered block by block.
    bias : (n,) float32, in the order of `outputs`.  item_at : (n,) int32, item position of each row of `outputs`.
    row_of : (n,) int32, its inverse.  block_starts : (C + 2,) int64, rows of block c are block_starts[c]:block_starts[c + 1];
    block c is the items whose primary cluster is c, the last block those of no cluster.
    lag_weight : (LAGS,) float32, exp(a).  code_weight : (codes,) float32, exp(g).  mixing : (d, d) float32, M.
    centroids : (C, d) float32, mean output of each block.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    bias: np.ndarray
    item_at: np.ndarray
    row_of: np.ndarray
    block_starts: np.ndarray
    lag_weight: np.ndarray
    code_weight: np.ndarray
    mixing: np.ndarray
    centroids: np.ndarray


def encode(encoder: Encoder, history: History) -> np.ndarray:
    """(d,) float32 unit vector of the session; zero for a session without an item."""
    if not len(history):
        return np.zeros(encoder.inputs.shape[1], dtype=np.float32)
    recent = history.positions[: -LAGS - 1 : -1]
    weights = encoder.lag_weight[: len(recent)] * encoder.code_weight[history.codes[: -LAGS - 1 : -1]]
    mixed = encoder.mixing @ (weights @ encoder.inputs[recent])
    return mixed / max(float(np.sqrt(mixed @ mixed)), 1e-12)


def event_parts(encoder: Encoder, history: History, items: np.ndarray) -> np.ndarray:
    """(L, m) how far each event of the history pulls the session towards each item, up to one common factor."""
    parts = np.zeros((len(history), len(items)), dtype=np.float32)
    recent = history.positions[: -LAGS - 1 : -1]
    weights = encoder.lag_weight[: len(recent)] * encoder.code_weight[history.codes[: -LAGS - 1 : -1]]
    pulled = (encoder.inputs[recent] * weights[:, None]) @ encoder.mixing.T
    parts[: -LAGS - 1 : -1] = pulled @ encoder.outputs[encoder.row_of[items]].T
    return parts


def arrange(
    inputs: np.ndarray, bias: np.ndarray, lags: np.ndarray, codes: np.ndarray, mixing: np.ndarray, block: np.ndarray, blocks: int
) -> Encoder:
    """An encoder laid out for serving: outputs of one block are contiguous. block : (n,) int, -1 for none."""
    n = len(inputs)
    where = np.where(block < 0, blocks, block)
    item_at = np.argsort(where, kind="stable").astype(np.int32)
    row_of = np.empty(n, dtype=np.int32)
    row_of[item_at] = np.arange(n, dtype=np.int32)
    starts = np.searchsorted(where[item_at], np.arange(blocks + 2)).astype(np.int64)
    unit = inputs / np.maximum(np.linalg.norm(inputs, axis=1, keepdims=True), 1e-12)
    outputs = np.ascontiguousarray(unit[item_at] / TEMPERATURE, dtype=np.float32)
    centroids = np.zeros((blocks, inputs.shape[1]), dtype=np.float32)
    for c in range(blocks):
        if starts[c + 1] > starts[c]:
            centroids[c] = outputs[starts[c] : starts[c + 1]].mean(axis=0)
    return Encoder(
        inputs=np.ascontiguousarray(inputs, dtype=np.float32),
        outputs=outputs,
        bias=bias[item_at].astype(np.float32),
        item_at=item_at,
        row_of=row_of,
        block_starts=starts,
        lag_weight=lags.astype(np.float32),
        code_weight=codes.astype(np.float32),
        mixing=np.ascontiguousarray(mixing, dtype=np.float32),
        centroids=centroids,
    )


def train_encoder(
    log: SessionLog,
    n: int,
    *,
    block: np.ndarray,
    blocks: int,
    seed: int,
    weight: np.ndarray | None = None,
    dimensions: int = DIMENSIONS,
    epochs: int = EPOCHS,
    progress: Callable[[float], None] | None = None,
) -> Encoder:
    """Fit by Adam on every item that follows another in its session.

    log : item actions only.  block : (n,) int32 primary cluster of each item, -1 none.
    weight : (N,) weight of each event as a target, or None.
    """
    rng = np.random.default_rng(seed)
    counts = np.bincount(log.position, minlength=n).astype(np.float64)
    model = _Model(rng, n, dimensions, counts)
    contexts, codes, targets, rows = _examples(log, n)
    weights = None if weight is None else (weight[rows] / weight[rows].mean()).astype(np.float32)
    draw = _negatives(counts, rng) if n > FULL_SOFTMAX else None
    steps = max(1, epochs * -(-len(targets) // BATCH))
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(targets))
        for at in range(0, len(order), BATCH):
            pick = order[at : at + BATCH]
            rate = LEARNING_RATE * (1.0 - step / steps)
            model.step(contexts[pick], codes[pick], targets[pick], None if weights is None else weights[pick], draw, rate)
            step += 1
            if progress and step % 50 == 0:
                progress(step / steps)
    return arrange(
        model.items[:n], model.bias[:n], np.exp(model.lags), np.exp(model.codes), model.mixing, block, blocks
    )


def _examples(log: SessionLog, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(B, LAGS) items before each target, latest first and `n` where there is none; their codes; (B,) targets and rows."""
    session = log.session_of
    rows = np.flatnonzero(np.arange(len(session)) > log.offsets[session])
    contexts = np.full((len(rows), LAGS), n, dtype=np.int32)
    codes = np.zeros((len(rows), LAGS), dtype=np.int8)
    for lag in range(LAGS):
        source = rows - 1 - lag
        inside = source >= log.offsets[session[rows]]
        contexts[inside, lag] = log.position[source[inside]]
        codes[inside, lag] = log.code[source[inside]]
    return contexts, codes, log.position[rows], rows


class _Draw:
    """Negatives drawn in proportion to popularity^0.75, with the log of how often each is expected."""

    def __init__(self, counts: np.ndarray, rng: np.random.Generator) -> None:
        share = counts**0.75
        share /= share.sum()
        self._cumulative = np.cumsum(share)
        self._cumulative[-1] = 1.0
        self._rng = rng
        self.log_expected = np.log(np.maximum(share * NEGATIVES, 1e-30)).astype(np.float32)

    def __call__(self) -> np.ndarray:
        return np.searchsorted(self._cumulative, self._rng.random(NEGATIVES), side="right").astype(np.int32)


def _negatives(counts: np.ndarray, rng: np.random.Generator) -> _Draw:
    return _Draw(counts, rng)


class _Model:
    """Parameters with their Adam moments; `items` has one more row, all zero, for the places before a session."""

    def __init__(self, rng: np.random.Generator, n: int, d: int, counts: np.ndarray) -> None:
        self.rng, self.n = rng, n
        self.items = (rng.standard_normal((n + 1, d)) / np.sqrt(d)).astype(np.float32)
        self.items[n] = 0.0
        self.bias = np.zeros(n + 1, dtype=np.float32)
        self.lags = (-0.3 * np.arange(LAGS)).astype(np.float32)
        self.codes = np.zeros(len(NAMES), dtype=np.float32)
        self.mixing = np.eye(d, dtype=np.float32)
        self._moments = {
            name: (np.zeros_like(getattr(self, name)), np.zeros_like(getattr(self, name)))
            for name in ("items", "bias", "lags", "codes", "mixing")
        }
        self._t = 0

    def step(
        self,
        contexts: np.ndarray,
        codes: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray | None,
        draw: _Draw | None,
        rate: float,
    ) -> None:
        size, d = len(targets), self.items.shape[1]
        filled = contexts != self.n
        strength = np.where(filled, np.exp(self.lags + self.codes[codes]), 0.0).astype(np.float32)
        used, place = np.unique(contexts, return_inverse=True)
        spread = sparse.csr_matrix(
            (strength.ravel(), place.ravel(), np.arange(0, size * LAGS + 1, LAGS)), shape=(size, len(used))
        )
        read = self.items[used]
        keep = (self.rng.random((size, d), dtype=np.float32) >= DROPOUT).astype(np.float32) / (1.0 - DROPOUT)
        summed = (spread @ read) * keep
        mixed = summed @ self.mixing.T
        length = np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12)
        h = mixed / length

        pool = np.arange(self.n, dtype=np.int32) if draw is None else np.concatenate((targets, draw()))
        raw = self.items[pool]
        norm = np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-12)
        unit = raw / norm
        logits = h @ (unit.T / TEMPERATURE)
        logits += self.bias[pool]
        if draw is None:
            own = targets
        else:
            # Each row's own target stands uncorrected in its column; the other targets are no sample and are left out.
            own = np.arange(size)
            logits[:, size:] -= draw.log_expected[pool[size:]]
            positive = logits[own, own].copy()
            logits[:, size:][pool[size:][None, :] == targets[:, None]] = -np.inf
            logits[:, :size] = -np.inf
            logits[own, own] = positive
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        logits[np.arange(size), own] -= 1.0
        logits *= (weights[:, None] if weights is not None else 1.0) / size

        d_unit = (logits.T @ h) / TEMPERATURE
        d_pool = (d_unit - unit * np.einsum("ij,ij->i", d_unit, unit)[:, None]) / norm
        d_h = (logits @ unit) / TEMPERATURE
        d_mixed = (d_h - h * np.einsum("ij,ij->i", d_h, h)[:, None]) / length
        d_summed = (d_mixed @ self.mixing) * keep
        d_read = spread.T @ d_summed
        d_strength = strength * np.einsum("bld,bd->bl", read[place.reshape(size, LAGS)], d_summed)

        self._t += 1
        self._adam("mixing", slice(None), d_mixed.T @ summed, rate)
        self._adam("lags", slice(None), d_strength.sum(axis=0), rate)
        d_codes = np.bincount(codes.ravel(), d_strength.ravel(), minlength=len(NAMES)).astype(np.float32)
        self._adam("codes", slice(None), d_codes, rate)
        rows, gradient, d_bias = _gather(used, d_read, pool, d_pool, logits.sum(axis=0), self.n)
        self._adam("items", rows, gradient, rate)
        self._adam("bias", rows, d_bias, rate)

    def _adam(self, name: str, rows: np.ndarray | slice, gradient: np.ndarray, rate: float) -> None:
        """Kingma & Ba (2015); rows that a batch does not touch keep their moments, as they are."""
        value = getattr(self, name)
        first, second = self._moments[name]
        m = first[rows] * 0.9 + gradient * 0.1
        v = second[rows] * 0.999 + gradient * gradient * 0.001
        first[rows], second[rows] = m, v
        value[rows] -= (rate / (1.0 - 0.9**self._t)) * m / (np.sqrt(v / (1.0 - 0.999**self._t)) + 1e-8)


def _gather(
    used: np.ndarray, d_read: np.ndarray, pool: np.ndarray, d_pool: np.ndarray, d_bias: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of the rows that a batch read or scored, each row once; the padding row is left out."""
    rows, place = np.unique(np.concatenate((used, pool)), return_inverse=True)
    collect = sparse.csr_matrix((np.ones(len(place), dtype=np.float32), (place, np.arange(len(place)))), shape=(len(rows), len(place)))
    both = np.concatenate((np.pad(d_read, ((0, 0), (0, 1))), np.column_stack((d_pool, d_bias))))
    total = (collect @ both).astype(np.float32)
    real = rows < n
    return rows[real], total[real, :-1], total[real, -1]
