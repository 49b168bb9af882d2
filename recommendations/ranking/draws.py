"""The random numbers of a step: those of numpy's `Generator` over Philox, without making one.

Philox4x64-10 (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3") turns a key and a counter into four words, so
that nothing has to be kept between steps. What is made of the words is numpy's too: 53 bits of one for a fraction, and for a
whole number below some bound Lemire's product of half a word (2019, "Fast random integer generation in an interval").
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from recommendations.ranking.compiling import compiled


class Randomness(Protocol):
    """What a slate draws by: `Draws`, or numpy's `Generator`."""

    def random(self, size: int, /) -> np.ndarray:
        """(size,) float64, each even in [0, 1)."""

    def integers(self, high: int, /) -> int | np.integer:
        """A whole number, even in [0, high)."""


class Draws:
    """`random(n)` and `integers(n)` of `np.random.Generator(np.random.Philox(key=...))`, drawn in the same order."""

    __slots__ = ("_at", "_half", "_high", "_low")

    def __init__(self, low: int, high: int) -> None:
        """low, high : the two words of the key, below 2^63."""
        self._low, self._high = low, high
        self._at = 0
        self._half = -1

    def random(self, size: int, /) -> np.ndarray:
        """(size,) float64, each even in [0, 1)."""
        drawn = fractions(self._low, self._high, self._at, size)
        self._at += size
        return drawn

    def integers(self, high: int, /) -> int:
        """A whole number, even in [0, high), high from 1 to 2^32 - 1."""
        if high == 1:
            return 0
        product = self._half_word() * high
        if product & 0xFFFFFFFF < high:
            least = (0x100000000 - high) % high
            while product & 0xFFFFFFFF < least:
                product = self._half_word() * high
        return product >> 32

    def _half_word(self) -> int:
        """32 bits: the lower half of a word, then, if nobody took it, the upper one."""
        if self._half >= 0:
            half, self._half = self._half, -1
            return half
        drawn = int(word(self._low, self._high, self._at))
        self._at += 1
        self._half = drawn >> 32
        return drawn & 0xFFFFFFFF


@compiled
def _upper(a: np.uint64, b: np.uint64) -> np.uint64:
    """The upper 64 bits of a product."""
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    middle = (a >> half) * (b & mask) + (((a & mask) * (b & mask)) >> half)
    other = (a & mask) * (b >> half) + (middle & mask)
    return (a >> half) * (b >> half) + (middle >> half) + (other >> half)


@compiled
def _four(low: int, high: int, counter: int) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """The words of a key and a counter."""
    k0, k1 = np.uint64(low), np.uint64(high)
    a, b, c, d = np.uint64(counter), np.uint64(0), np.uint64(0), np.uint64(0)
    first, second = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
    for _ in range(10):
        over, under, over_c, under_c = _upper(first, a), first * a, _upper(second, c), second * c
        a, b, c, d = over_c ^ b ^ k0, under_c, over ^ d ^ k1, under
        k0 += np.uint64(0x9E3779B97F4A7C15)
        k1 += np.uint64(0xBB67AE8584CAA73B)
    return a, b, c, d


@compiled
def word(low: int, high: int, at: int) -> np.uint64:
    """The word number `at`, from 0."""
    return _four(low, high, at // 4 + 1)[at % 4]


@compiled
def fractions(low: int, high: int, at: int, size: int) -> np.ndarray:
    """(size,) float64 of the words from number `at` on."""
    out = np.empty(size)
    words = _four(low, high, at // 4 + 1)
    for i in range(size):
        if i and (at + i) % 4 == 0:
            words = _four(low, high, (at + i) // 4 + 1)
        out[i] = np.float64(words[(at + i) % 4] >> np.uint64(11)) * (1.0 / 9007199254740992.0)
    return out
