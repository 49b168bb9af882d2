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

TEMPERATURE = 0.09
DIMENSIONS = 64
NEGATIVES = 512
FULL_SOFTMAX = 1500
"""Below this many items the whole softmax costs less than sampling it."""

EPOCHS = 10
BATCH = 512
LEARNING_RATE = 8e-3
DROPOUT = 0.1


@dataclass(frozen=True)
class Encoder:
    """Fitted encoder of n items in d dimensions.

    inputs : (n, d) float32, E.  outputs : (n, d) float32, norm(E) / TEMPERATURE, a block's in one piece (see `layout`).
    bias : (n,) float32, in the order of `outputs`.  item_at : (n,) int32, item position of each row of `outputs`.
    row_of : (n,) int32, its inverse.
    lag_weight : (LAGS,) float32, exp(a).  code_weight : (codes,) float32, exp(g).  mixing : (d, d) float32, M.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    bias: np.ndarray
    item_at: np.ndarray
    row_of: np.ndarray
    lag_weight: np.ndarray
    code_weight: np.ndarray
    mixing: np.ndarray


def encode(encoder: Encoder, history: History) -> np.ndarray:
    """(d,) float32 unit vector of the session; zero for a session without an item."""
    if not len(history):
        return np.zeros(encoder.inputs.shape[1], dtype=np.float32)
    recent = history.positions[: -LAGS - 1 : -1]
    weights = encoder.lag_weight[: len(recent)] * encoder.code_weight[history.codes[: -LAGS - 1 : -1]]
    mixed = encoder.mixing @ (weights @ encoder.inputs[recent])
    return mixed / max(float(np.sqrt(mixed @ mixed)), 1e-12)


def event_parts(encoder: Encoder, history: History, items: np.ndarray) -> np.ndarray:
    """(r, m) how far each of the events read, the latest first, pulls the session towards each item, up to one factor."""
    recent = history.positions[: -LAGS - 1 : -1]
    weights = encoder.lag_weight[: len(recent)] * encoder.code_weight[history.codes[: -LAGS - 1 : -1]]
    pulled = (encoder.inputs[recent] * weights[:, None]) @ encoder.mixing.T
    parts: np.ndarray = pulled @ encoder.outputs[encoder.row_of[items]].T
    return parts


def arrange(
    inputs: np.ndarray, bias: np.ndarray, lags: np.ndarray, codes: np.ndarray, mixing: np.ndarray, block: np.ndarray
) -> Encoder:
    """An encoder arranged for serving: outputs of one block are contiguous. block : (n,) int, -1 for none."""
    n = len(inputs)
    item_at = np.argsort(block, kind="stable").astype(np.int32)
    row_of = np.empty(n, dtype=np.int32)
    row_of[item_at] = np.arange(n, dtype=np.int32)
    unit = inputs / np.maximum(np.linalg.norm(inputs, axis=1, keepdims=True), 1e-12)
    outputs = np.ascontiguousarray(unit[item_at] / TEMPERATURE, dtype=np.float32)
    return Encoder(
        inputs=np.ascontiguousarray(inputs, dtype=np.float32),
        outputs=outputs,
        bias=bias[item_at].astype(np.float32),
        item_at=item_at,
        row_of=row_of,
        lag_weight=lags.astype(np.float32),
        code_weight=codes.astype(np.float32),
        mixing=np.ascontiguousarray(mixing, dtype=np.float32),
    )


def train_encoder(
    log: SessionLog,
    n: int,
    *,
    block: np.ndarray,
    seed: int,
    weight: np.ndarray | None = None,
    dimensions: int = DIMENSIONS,
    epochs: int = EPOCHS,
    most_examples: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Encoder:
    """Fit by Adam on every item that follows another in its session.

    log : item actions only.  block : (n,) int32 primary cluster of each item, -1 none.
    weight : (N,) weight of each event as a target, or None.
    most_examples : examples worked through in all; fewer epochs, at least one, keep within it.
    """
    rng = np.random.default_rng(seed)
    model = _Model(rng, n, dimensions)
    examples = _examples(log, n, weight)
    count = len(examples.targets)
    if most_examples is not None:
        epochs = max(1, min(epochs, most_examples // max(1, count)))
    draw = _Draw(np.bincount(log.position, minlength=n), rng) if n > FULL_SOFTMAX else None
    steps = max(1, epochs * -(-count // BATCH))
    step = 0
    for _ in range(epochs):
        order = rng.permutation(count)
        for at in range(0, count, BATCH):
            model.step(examples.take(order[at : at + BATCH]), draw, LEARNING_RATE * (1.0 - step / steps))
            step += 1
            if progress and step % 50 == 0:
                progress(step / steps)
    table = model.table[:n]
    return arrange(table[:, :-1], table[:, -1], np.exp(model.lags), np.exp(model.codes), model.mixing, block)


@dataclass(frozen=True)
class _Batch:
    """(B, LAGS) items before each target, latest first and `n` where there is none; their codes; (B,) targets, weights."""

    contexts: np.ndarray
    codes: np.ndarray
    targets: np.ndarray
    weights: np.ndarray

    def take(self, rows: np.ndarray) -> _Batch:
        return _Batch(self.contexts[rows], self.codes[rows], self.targets[rows], self.weights[rows])


def _examples(log: SessionLog, n: int, weight: np.ndarray | None) -> _Batch:
    """Every event that follows another in its session."""
    session = log.session_of
    rows = np.flatnonzero(np.arange(len(session)) > log.offsets[session])
    contexts = np.full((len(rows), LAGS), n, dtype=np.int32)
    codes = np.zeros((len(rows), LAGS), dtype=np.int8)
    for lag in range(LAGS):
        source = rows - 1 - lag
        inside = source >= log.offsets[session[rows]]
        contexts[inside, lag] = log.position[source[inside]]
        codes[inside, lag] = log.code[source[inside]]
    weights = np.ones(len(rows)) if weight is None else weight[rows] / weight[rows].mean()
    return _Batch(contexts, codes, log.position[rows], weights.astype(np.float32))


class _Draw:
    """Negatives drawn in proportion to popularity^0.75, with the log of how often each is expected."""

    def __init__(self, counts: np.ndarray, rng: np.random.Generator) -> None:
        share = counts.astype(np.float64) ** 0.75
        share /= share.sum()
        self._cumulative = np.cumsum(share)
        self._cumulative[-1] = 1.0
        self._rng = rng
        self.log_expected = np.log(np.maximum(share * NEGATIVES, 1e-30)).astype(np.float32)

    def __call__(self) -> np.ndarray:
        return np.searchsorted(self._cumulative, self._rng.random(NEGATIVES), side="right").astype(np.int32)


class _Model:
    """Parameters with their Adam moments.

    table : (n + 1, d + 1), an item's embedding and its bias; the last row, all zero, is the place before a session.
    """

    def __init__(self, rng: np.random.Generator, n: int, d: int) -> None:
        self.rng, self.n, self.d = rng, n, d
        self.table = np.zeros((n + 1, d + 1), dtype=np.float32)
        self.table[:n, :d] = rng.standard_normal((n, d)) / np.sqrt(d)
        self.lags = (-0.3 * np.arange(LAGS)).astype(np.float32)
        self.codes = np.zeros(len(NAMES), dtype=np.float32)
        self.mixing = np.eye(d, dtype=np.float32)
        self._first = {name: np.zeros_like(getattr(self, name)) for name in ("table", "lags", "codes", "mixing")}
        self._second = {name: np.zeros_like(value) for name, value in self._first.items()}
        self._t = 0

    def step(self, batch: _Batch, draw: _Draw | None, rate: float) -> None:
        """One Adam step on the mean loss of a batch."""
        size, d, targets = len(batch.targets), self.d, batch.targets
        if draw is None:
            rows: np.ndarray | slice = slice(None)
            place, pool, own = batch.contexts, np.arange(self.n), targets
        else:
            drawn = draw()
            unique, inverse = np.unique(np.concatenate((batch.contexts.ravel(), targets, drawn)), return_inverse=True)
            rows = unique
            place = inverse[: size * LAGS].reshape(size, LAGS)
            own, pool = inverse[size * LAGS : size * (LAGS + 1)], inverse[size * (LAGS + 1) :]
        local = self.table[rows]
        raw = local[:, :d]
        norm = np.sqrt(np.einsum("ij,ij->i", raw, raw))[:, None]
        np.maximum(norm, 1e-12, out=norm)
        unit = raw / norm

        strength = np.exp(self.lags + self.codes[batch.codes])
        strength[batch.contexts == self.n] = 0.0
        spread = sparse.csr_matrix(
            (strength.ravel(), place.ravel(), np.arange(0, size * LAGS + 1, LAGS)), shape=(size, len(local))
        )
        kept = (self.rng.random((size, d), dtype=np.float32) >= DROPOUT) * np.float32(1.0 / (1.0 - DROPOUT))
        summed = (spread @ raw) * kept
        mixed = summed @ self.mixing.T
        length = np.sqrt(np.einsum("ij,ij->i", mixed, mixed))[:, None]
        np.maximum(length, 1e-12, out=length)
        h = mixed / length

        share = batch.weights / np.float32(size)
        d_unit = np.zeros_like(raw)
        d_bias = np.zeros(len(local), dtype=np.float32)
        if draw is None:
            logits = h @ (unit[pool].T * np.float32(1.0 / TEMPERATURE))
            logits += local[pool, d]
            _softmax(logits)
            logits[np.arange(size), own] -= 1.0
            logits *= share[:, None]
            d_unit[pool] = logits.T @ h
            d_bias[pool] = logits.sum(axis=0)
            d_h = logits @ unit[pool]
        else:
            # The target stands beside the sample, uncorrected; where the sample holds it too, it counts once.
            picked, mine = unit[pool], unit[own]
            logits = np.empty((size, len(pool) + 1), dtype=np.float32)
            np.matmul(h, picked.T * np.float32(1.0 / TEMPERATURE), out=logits[:, 1:])
            logits[:, 1:] += local[pool, d] - draw.log_expected[drawn]
            logits[:, 1:][own[:, None] == pool] = -np.inf
            logits[:, 0] = np.einsum("ij,ij->i", h, mine) / np.float32(TEMPERATURE) + local[own, d]
            _softmax(logits)
            logits[:, 0] -= 1.0
            logits *= share[:, None]
            both = np.concatenate((own, pool))
            collect = sparse.csr_matrix(
                (np.ones(len(both), dtype=np.float32), both, np.arange(len(both) + 1)), shape=(len(both), len(local))
            ).T
            d_unit = collect @ np.concatenate((logits[:, :1] * h, logits[:, 1:].T @ h))
            d_bias = collect @ np.concatenate((logits[:, 0], logits[:, 1:].sum(axis=0)))
            d_h = logits[:, 1:] @ picked + logits[:, :1] * mine
        d_unit /= np.float32(TEMPERATURE)
        d_h /= np.float32(TEMPERATURE)
        d_mixed = (d_h - h * np.einsum("ij,ij->i", d_h, h)[:, None]) / length
        d_summed = (d_mixed @ self.mixing) * kept
        d_strength = strength * np.einsum("bld,bd->bl", raw[place], d_summed)
        gradient = np.empty_like(local)
        gradient[:, :d] = (d_unit - unit * np.einsum("ij,ij->i", d_unit, unit)[:, None]) / norm + spread.T @ d_summed
        gradient[:, d] = d_bias
        gradient[norm[:, 0] <= 1e-12] = 0.0  # the padding row stays zero

        self._t += 1
        self._adam("mixing", slice(None), d_mixed.T @ summed, rate)
        self._adam("lags", slice(None), d_strength.sum(axis=0), rate)
        d_codes = np.bincount(batch.codes.ravel(), d_strength.ravel(), minlength=len(NAMES)).astype(np.float32)
        self._adam("codes", slice(None), d_codes, rate)
        self._adam("table", rows, gradient, rate)

    def _adam(self, name: str, rows: np.ndarray | slice, gradient: np.ndarray, rate: float) -> None:
        """Kingma & Ba (2015); rows that a batch does not touch keep their moments as they are."""
        value, first, second = getattr(self, name), self._first[name], self._second[name]
        m = first[rows] * np.float32(0.9)
        m += gradient * np.float32(0.1)
        first[rows] = m
        gradient *= gradient
        gradient *= np.float32(0.001)
        v = second[rows] * np.float32(0.999)
        v += gradient
        second[rows] = v
        v *= np.float32(1.0 / (1.0 - 0.999**self._t))
        np.sqrt(v, out=v)
        v += np.float32(1e-8)
        m /= v
        m *= np.float32(rate / (1.0 - 0.9**self._t))
        value[rows] -= m


def _softmax(logits: np.ndarray) -> None:
    """Rows to probabilities, in place."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
