"""Scores put in order by the bits of keys: a score's bits above, what it is the score of below; the larger key is the better."""

from __future__ import annotations

import numpy as np

from recommendations.ranking.compiling import compiled


@compiled
def in_order(bits: int) -> np.uint64:
    """A float's bits as the upper half of a key, in the order of the floats: the negative ones upside down, below the others."""
    upper = np.uint64(bits)
    upper ^= np.uint64(0xFFFFFFFF) if upper >> np.uint64(31) else np.uint64(0x80000000)
    return upper << np.uint64(32)


@compiled
def lead(keys: np.ndarray, count: int, keep: int) -> int:
    """Brings the `keep` largest of keys[:count] to the front, in no order. Returns how many there are.

    Read once from front to back: what is not among the best so far is passed over, which most keys are.
    """
    if count <= keep:
        return count
    if keep <= 0:
        return 0
    room = min(2 * keep, count)
    filled, least = room, np.uint64(0)
    at = room
    while True:
        if filled == room or at == count:
            low, high, target = 0, filled - 1, keep - 1
            while low < high:  # Hoare's FIND, the larger first
                a, b, c = keys[low], keys[(low + high) >> 1], keys[high]
                pivot = max(min(a, b), min(max(a, b), c))
                i, j = low, high
                while i <= j:
                    while keys[i] > pivot:
                        i += 1
                    while keys[j] < pivot:
                        j -= 1
                    if i <= j:
                        keys[i], keys[j] = keys[j], keys[i]
                        i += 1
                        j -= 1
                if target <= j:
                    high = j
                elif target >= i:
                    low = i
                else:
                    break
            least, filled = keys[keep - 1], keep
            if at == count:
                return keep
        key = keys[at]
        at += 1
        if key > least:
            keys[filled] = key
            filled += 1


@compiled
def by_rank(keys: np.ndarray, spare: np.ndarray, count: int) -> None:
    """Sorts keys[:count] by their upper 32 bits, the largest first; of equals, the one that stood first. spare : as many.

    By the upper 16 digit by digit, which leaves few out of their place, and these are then moved up.
    """
    tally = np.zeros((2, 256), dtype=np.int32)
    for i in range(count):
        upper = ~(keys[i] >> np.uint64(48))
        tally[0, np.int64(upper & np.uint64(255))] += 1
        tally[1, np.int64((upper >> np.uint64(8)) & np.uint64(255))] += 1
    source, target = keys, spare
    for digit in range(2):
        before = 0
        for value in range(256):
            here = tally[digit, value]
            tally[digit, value] = before
            before += here
        shift = np.uint64(48 + 8 * digit)
        for i in range(count):
            key = source[i]
            value = int((~(key >> shift)) & np.uint64(255))
            target[tally[digit, value]] = key
            tally[digit, value] += 1
        source, target = target, source
    for i in range(1, count):
        key = keys[i]
        place, bits = i, key >> np.uint64(32)
        while place > 0 and keys[place - 1] >> np.uint64(32) < bits:
            keys[place] = keys[place - 1]
            place -= 1
        keys[place] = key
