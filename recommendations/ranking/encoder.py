"""The core sequence encoder: a session as one vector in the space of the items.

    h = norm(M . sum_l exp(a_l + g_code) * E[x_{t-l}] + L . E[x_t])        score_j = h . norm(E_j) / T + b_j

Each lag weighs each dimension by itself, and the latest item has a matrix of its own, so that what goes with the whole
session and what goes on from the last item are told apart. Tied embeddings, so that a session lies among its items.
After Hou et al. (2022), "CORE: simple and effective session-based recommendation within consistent representation
space"; sampled softmax with the logQ correction of Bengio & Senecal (2008).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from personas.sessions import NO_ITEM, SessionLog
from recommendations.ranking import encoder_kernels
from recommendations.ranking.compiling import readonly
from recommendations.ranking.encoder_training import Descent, Negatives, examples_of
from recommendations.ranking.history import History

LAGS = 10
"""Events the session vector reads; older ones add nothing measurable."""

TEMPERATURE = 0.08
"""Of the softmax, unless a training chose another (`temperature`)."""

DIMENSIONS = 96
NEGATIVES = 512
FULL_SOFTMAX = 1500
"""Below this many items the whole softmax costs less than sampling it."""

EPOCHS = 10
BATCH = 512
LEARNING_RATE = 8e-3

LONG, EPOCHS_ON = 700_000, 5
"""From how many examples on a training goes on from an earlier encoder, if it is given one, and for how many epochs.
That halves its time, and costs 0.2 to 0.4 points on logs of 80,000 and 200,000 examples, whose training is short anyway."""

DROPOUT = 0.1
EVENT_DROPOUT = 0.1


@dataclass(frozen=True)
class Encoder:
    """Fitted encoder of n items in d dimensions.

    inputs : (n, d) float32, E.  outputs : (n, d) float32, norm(E) / T, a block's in one piece (see `layout`).
    bias : (n,) float32, in the order of `outputs`.  item_at : (n,) int32, item position of each row of `outputs`.
    row_of : (n,) int32, its inverse.
    lag_weight : (LAGS, d) float32, exp(a); of older releases (LAGS,).  code_weight : (codes,) float32, exp(g).
    mixing : (d, d) float32, M.  latest : (d, d) float32, L; None in a release of before there was one.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    bias: np.ndarray
    item_at: np.ndarray
    row_of: np.ndarray
    lag_weight: np.ndarray
    code_weight: np.ndarray
    mixing: np.ndarray
    latest: np.ndarray | None = None

    @cached_property
    def loops(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """inputs, lag_weight (LAGS, d), code_weight, mixing and latest as compiled loops read them."""
        d = self.inputs.shape[1]
        lags = np.broadcast_to(self.lag_weight.reshape(LAGS, -1), (LAGS, d))
        latest = self.latest if self.latest is not None else np.zeros((d, d))
        return (
            readonly(self.inputs, np.float32),
            readonly(lags, np.float32),
            readonly(self.code_weight, np.float32),
            readonly(self.mixing, np.float32),
            readonly(latest, np.float32),
        )

    @cached_property
    def answers(self) -> np.ndarray:
        """`outputs` as compiled loops read them."""
        return readonly(self.outputs, np.float32)


def encode(encoder: Encoder, history: History, *, without: int = NO_ITEM) -> np.ndarray:
    """(d,) float32 unit vector of the session, less its events of the item `without`; zero for a session without an item."""
    return encoder_kernels.session_vector(*encoder.loops, *history.loops, without)


def event_parts(encoder: Encoder, history: History, items: np.ndarray) -> np.ndarray:
    """(r, m) float32, how far each of the events read, the latest first, pulls the session towards each item, up to one
    factor."""
    rows = encoder.row_of.take(items).astype(np.int64)
    return encoder_kernels.event_pulls(*encoder.loops, encoder.answers, rows, *history.loops)


def arrange(
    inputs: np.ndarray,
    bias: np.ndarray,
    lags: np.ndarray,
    codes: np.ndarray,
    mixing: np.ndarray,
    block: np.ndarray,
    latest: np.ndarray | None = None,
    temperature: float = TEMPERATURE,
) -> Encoder:
    """An encoder arranged for serving: outputs of one block are contiguous. block : (n,) int, -1 for none."""
    n = len(inputs)
    item_at = np.argsort(block, kind="stable").astype(np.int32)
    row_of = np.empty(n, dtype=np.int32)
    row_of[item_at] = np.arange(n, dtype=np.int32)
    unit = inputs / np.maximum(np.linalg.norm(inputs, axis=1, keepdims=True), 1e-12)
    outputs = np.ascontiguousarray(unit[item_at] / temperature, dtype=np.float32)
    return Encoder(
        inputs=np.ascontiguousarray(inputs, dtype=np.float32),
        outputs=outputs,
        bias=bias[item_at].astype(np.float32),
        item_at=item_at,
        row_of=row_of,
        lag_weight=lags.astype(np.float32),
        code_weight=codes.astype(np.float32),
        mixing=np.ascontiguousarray(mixing, dtype=np.float32),
        latest=None if latest is None else np.ascontiguousarray(latest, dtype=np.float32),
    )


def train_encoder(
    log: SessionLog,
    n: int,
    *,
    block: np.ndarray,
    seed: int,
    weight: np.ndarray | None = None,
    dimensions: int = DIMENSIONS,
    temperature: float = TEMPERATURE,
    epochs: int | None = None,
    start: Encoder | None = None,
    most_examples: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Encoder:
    """Fit by Adam on every item that follows another in its session.

    log : item actions only.  block : (n,) int32 primary cluster of each item, -1 none.
    weight : (N,) weight of each event as a target, or None.
    start : an encoder of the same items and temperature, fitted on the most of `log`, for a long one to go on from (`LONG`).
    most_examples : examples worked through in all; fewer epochs, at least one, keep within it.
    """
    rng = np.random.default_rng(seed)
    model = Descent(rng, n, dimensions, lags=LAGS, temperature=temperature, dropout=DROPOUT, event_dropout=EVENT_DROPOUT)
    examples = examples_of(log, LAGS, weight)
    count = len(examples)
    goes_on = start is not None and count >= LONG
    if start is not None and goes_on:
        _go_on_from(model, start)
    if epochs is None:
        epochs = EPOCHS_ON if goes_on else EPOCHS
    if most_examples is not None:
        epochs = max(1, min(epochs, most_examples // max(1, count)))
    negatives = Negatives(np.bincount(log.position, minlength=n), NEGATIVES, rng, every=n <= FULL_SOFTMAX)
    steps = max(1, epochs * -(-count // BATCH))
    step = 0
    for _ in range(epochs):
        order = rng.permutation(count)
        for at in range(0, count, BATCH):
            model.step(examples.take(order[at : at + BATCH]), negatives, LEARNING_RATE * (1.0 - step / steps))
            step += 1
            if progress and step % 50 == 0:
                progress(step / steps)
    mixing, latest = model.mixing[:, :dimensions], model.mixing[:, dimensions:]
    return arrange(model.inputs, model.bias[:, 0], np.exp(model.lags), np.exp(model.codes), mixing, block, latest, temperature)


def _go_on_from(model: Descent, encoder: Encoder) -> None:
    """The parameters of a fitted encoder."""
    model.inputs[:] = encoder.inputs
    model.bias[:, 0] = encoder.bias[encoder.row_of]
    model.lags[:] = np.log(encoder.lag_weight.reshape(LAGS, -1))
    model.codes[:] = np.log(encoder.code_weight)
    d = model.inputs.shape[1]
    model.mixing[:, :d] = encoder.mixing
    if encoder.latest is not None:
        model.mixing[:, d:] = encoder.latest
