"""How sharply the encoder tells items apart: the temperature of its softmax, chosen on the log's tail.

A low one separates items that are alike, which many visits an item bear out and few don't (Wang & Liu, 2021, "Understanding
the behaviour of contrastive loss", on what a temperature does to neighbours).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from personas.sessions import SessionLog
from recommendations.ranking.encoder import TEMPERATURE, Encoder, encode, train_encoder
from recommendations.ranking.history import prefix

TEMPERATURES = (TEMPERATURE, 0.12)
"""Those that are tried; the first one stays where they are alike."""

WORK = 2_000_000
"""Examples that are worked through with each: all ten epochs of a log of 200,000, two of one of a million."""

CUT = 20
MOST_TARGETS = 3_000
LEAST_TARGETS = 300
"""Below this many the tail says too little to choose by."""

SCORES_AT_ONCE = 8_000_000


def best_temperature(
    early: SessionLog,
    tail: SessionLog,
    n: int,
    *,
    block: np.ndarray,
    seed: int,
    progress: Callable[[float], None] | None = None,
) -> float:
    """The temperature whose encoder, fitted on `early`, ranks those next items of the tail best that are new to their session,
    by NDCG. Items that come again are left out on both sides: whoever foretells them needs no likeness.

    early, tail : item actions only.  n : items.  block : as `train_encoder` takes it.
    """
    targets = _targets(early, tail, n)
    if len(targets) < LEAST_TARGETS:
        return TEMPERATURE
    best, best_gain = TEMPERATURE, -1.0
    for tried, temperature in enumerate(TEMPERATURES):
        encoder = train_encoder(
            early,
            n,
            block=block,
            seed=seed,
            temperature=temperature,
            most_examples=WORK,
            progress=partial(_tell, progress, tried) if progress else None,
        )
        gain = _gain(encoder, tail, targets)
        if gain > best_gain:
            best, best_gain = temperature, gain
    return best


def _tell(progress: Callable[[float], None], tried: int, done: float) -> None:
    progress((tried + done) / len(TEMPERATURES))


def _targets(early: SessionLog, tail: SessionLog, n: int) -> np.ndarray:
    """Rows of the tail that follow another of their session, with an item that `early` knows and the session didn't hold."""
    session = tail.session_of
    first = np.zeros(len(session), dtype=bool)
    first[np.unique(session * np.int64(n) + tail.position, return_index=True)[1]] = True
    follows = np.arange(len(session)) > tail.offsets[session]
    known = np.bincount(early.position, minlength=n) > 0
    return np.flatnonzero(first & follows & known[tail.position])[-MOST_TARGETS:]


def _gain(encoder: Encoder, tail: SessionLog, targets: np.ndarray) -> float:
    """Mean NDCG of the targets among all items that their session doesn't hold; ties count against."""
    starts = tail.offsets[tail.session_of[targets]]
    at_once = max(1, SCORES_AT_ONCE // len(encoder.row_of))
    gains = np.zeros(len(targets))
    for low in range(0, len(targets), at_once):
        rows = targets[low : low + at_once]
        h = np.stack([encode(encoder, prefix(tail, int(a), int(b))) for a, b in zip(starts[low:], rows, strict=False)])
        scores = h @ encoder.outputs.T + encoder.bias
        own = scores[np.arange(len(rows)), encoder.row_of[tail.position[rows]]].copy()
        for i, row in enumerate(rows.tolist()):
            scores[i, encoder.row_of[tail.position[starts[low + i] : row]]] = -np.inf
        ranks = (~(scores < own[:, None])).sum(axis=1)  # what an encoder that diverged says counts against it too
        gains[low : low + at_once] = np.where(ranks <= CUT, 1.0 / np.log2(ranks + 1.0), 0.0)
    return float(gains.mean())
