"""How an encoder learns: the examples of a log, negatives, and one step of descent on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from personas.events import NAMES
from personas.sessions import SessionLog
from recommendations.ranking import encoder_kernels as kernels

NO_ITEM = -1
"""In a context, from where on the session holds no more items."""

LEFT_OUT = -1
"""Code of an event that a step leaves out."""

DICE = 256
"""Sides of the dice that say what is left out: a byte each, since a step throws a hundred thousand of them."""


@dataclass(frozen=True)
class Examples:
    """(B, lags) int32 items before each target, the latest first, then `NO_ITEM`; (B, lags) int8 their codes; (B,) int32
    targets; (B,) float32 weights, 1 on average."""

    contexts: np.ndarray
    codes: np.ndarray
    targets: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: np.ndarray) -> Examples:
        return Examples(*(part.take(rows, axis=0) for part in (self.contexts, self.codes, self.targets, self.weights)))


def examples_of(log: SessionLog, lags: int, weight: np.ndarray | None) -> Examples:
    """Every event that follows another in its session. weight : (N,) of each event as a target, or None."""
    session = log.session_of
    rows = np.flatnonzero(np.arange(len(session)) > log.offsets[session])
    contexts = np.full((len(rows), lags), NO_ITEM, dtype=np.int32)
    codes = np.zeros((len(rows), lags), dtype=np.int8)
    for lag in range(lags):
        source = rows - 1 - lag
        inside = source >= log.offsets[session[rows]]
        contexts[inside, lag] = log.position[source[inside]]
        codes[inside, lag] = log.code[source[inside]]
    weights = np.ones(len(rows)) if weight is None else weight[rows] / weight[rows].mean()
    return Examples(contexts, codes, log.position[rows], weights.astype(np.float32))


class Negatives:
    """Items that targets are told apart from: drawn in proportion to popularity^0.75, or, of few, all of them.

    size : items of a pool.
    """

    def __init__(self, counts: np.ndarray, size: int, rng: np.random.Generator, *, every: bool) -> None:
        share = counts.astype(np.float64) ** 0.75
        share /= share.sum()
        self.size = len(counts) if every else size
        self._rng, self._every = rng, every
        self._all = np.arange(len(counts), dtype=np.int32)
        self._cumulative = np.cumsum(share)
        self._cumulative[-1] = 1.0
        self._log_expected = np.log(np.maximum(share * size, 1e-30)).astype(np.float32)

    def pool(self) -> tuple[np.ndarray, np.ndarray]:
        """(size,) int32 items, and (size,) float32 the log of how often each is expected among them."""
        if self._every:
            return self._all, np.zeros(self.size, dtype=np.float32)
        # In order, so that both the search and whoever reads their rows go through memory once.
        drawn = np.searchsorted(self._cumulative, np.sort(self._rng.random(self.size)), side="right").astype(np.int32)
        return drawn, self._log_expected[drawn]


class Descent:
    """Parameters of an encoder of n items in d dimensions, and their Adam moments.

    inputs : (n, d).  bias : (n, 1).  lags : (lags, d) and codes : (codes,), logs of weights.
    mixing : (d, 2 d), of the weighted sum of the session's items and of the latest one.
    dropout : of components of both.  event_dropout : of events, the latest apart, so that none is leaned on.  Both are kept to
    the nearest one of `DICE`.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        n: int,
        d: int,
        *,
        lags: int,
        temperature: float,
        dropout: float,
        event_dropout: float,
    ) -> None:
        self._rng, self._temperature = rng, np.float32(temperature)
        self._dropout, self._event_dropout = round(DICE * dropout), round(DICE * event_dropout)
        self.inputs = (rng.standard_normal((n, d)) / np.sqrt(d)).astype(np.float32)
        self.bias = np.zeros((n, 1), dtype=np.float32)
        self.lags = np.repeat(-0.3 * np.arange(lags, dtype=np.float32)[:, None], d, axis=1)
        self.codes = np.zeros(len(NAMES), dtype=np.float32)
        self.mixing = np.eye(d, 2 * d, dtype=np.float32)
        self._moments = {
            name: (np.zeros_like(getattr(self, name)), np.zeros_like(getattr(self, name)))
            for name in ("inputs", "bias", "lags", "codes", "mixing")
        }
        self._gradient, self._bias_gradient = np.zeros_like(self.inputs), np.zeros_like(self.bias)
        self._marked = np.zeros(n, dtype=np.uint8)
        self._t = 0

    def step(self, batch: Examples, negatives: Negatives, rate: float) -> None:
        """One step on the mean loss of a batch: softmax over the target and the pool, sampled ones corrected for how likely
        they are drawn. The target stands beside the pool, uncorrected; where the pool holds it too, it counts once."""
        size, d = len(batch), self.inputs.shape[1]
        pool, log_expected = negatives.pool()
        warmth = np.float32(1.0) / self._temperature

        by_lag, by_code = np.exp(self.lags), np.exp(self.codes)
        left_out = self._dice(batch.codes.shape) < self._event_dropout
        left_out[:, 0] = False
        codes = np.where(left_out, np.int8(LEFT_OUT), batch.codes)
        summed = np.empty((size, 2 * d), dtype=np.float32)
        kernels.sum_contexts(self.inputs, batch.contexts, codes, by_lag, by_code, summed)
        dice = self._dice(summed.shape)
        kernels.drop_out(summed, dice, self._dropout)
        h, length = summed @ self.mixing.T, np.empty(size, dtype=np.float32)
        kernels.normalise(h, length)
        others, others_length = np.empty((len(pool), d), dtype=np.float32), np.empty(len(pool), dtype=np.float32)
        kernels.unit_rows(self.inputs, pool, others, others_length)
        mine, mine_length = np.empty((size, d), dtype=np.float32), np.empty(size, dtype=np.float32)
        kernels.unit_rows(self.inputs, batch.targets, mine, mine_length)

        warm_others = others * warmth
        logits = h @ warm_others.T
        own = np.einsum("ij,ij->i", h, mine) * warmth + self.bias[batch.targets, 0]
        kernels.shift_logits(logits, own, self.bias[pool, 0] - log_expected, pool, batch.targets, self._marked)
        np.exp(logits, out=logits)
        np.exp(own, out=own)
        by_pool = np.empty(len(pool), dtype=np.float32)
        kernels.softmax_gradient(logits, own, batch.weights / np.float32(size), by_pool)

        pull = own[:, None] * warmth
        d_h = logits @ warm_others + pull * mine
        d_others, d_mine = logits.T @ (h * warmth), pull * h
        kernels.through_norm(d_h, h, length)
        kernels.through_norm(d_others, others, others_length)
        kernels.through_norm(d_mine, mine, mine_length)
        d_summed = d_h @ self.mixing
        kernels.drop_out(d_summed, dice, self._dropout)

        gradient, bias_gradient, marked = self._gradient, self._bias_gradient, self._marked
        d_lag, d_code = np.zeros_like(by_lag), np.zeros_like(by_code)
        touched = np.empty(batch.contexts.size + size + len(pool), dtype=np.int32)
        count = kernels.add_contexts(
            *(self.inputs, batch.contexts, codes, by_lag, by_code, d_summed),
            *(gradient, d_lag, d_code, marked, touched, 0),
        )
        count = kernels.add_rows(d_others, by_pool, pool, gradient, bias_gradient, marked, touched, count)
        count = kernels.add_rows(d_mine, own, batch.targets, gradient, bias_gradient, marked, touched, count)
        rows = touched[:count]
        marked[rows] = 0

        self._t += 1
        kernels.adam_rows(self.inputs, *self._moments["inputs"], gradient, rows, rate, self._t)
        kernels.adam_rows(self.bias, *self._moments["bias"], bias_gradient, rows, rate, self._t)
        self._adam("mixing", d_h.T @ summed, rate)
        self._adam("lags", d_lag, rate)
        self._adam("codes", d_code, rate)

    def _dice(self, shape: tuple[int, int]) -> np.ndarray:
        """uint8, each side of `DICE` as likely."""
        count = shape[0] * shape[1]
        return self._rng.bit_generator.random_raw(-(-count // 8)).view(np.uint8)[:count].reshape(shape)

    def _adam(self, name: str, gradient: np.ndarray, rate: float) -> None:
        value, first, second, gradient = (np.atleast_2d(a) for a in (getattr(self, name), *self._moments[name], gradient))
        kernels.adam_rows(value, first, second, gradient, np.arange(len(value), dtype=np.int32), rate, self._t)
