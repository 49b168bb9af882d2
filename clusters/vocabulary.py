"""The words that a shop's items are described with, and which of them a typed word may stand for. Pure.

Spelling: words within a few edits (insert, delete, replace, swap neighbours: Damerau 1964), found among those that share
enough letters. Two words that are k edits apart differ in at most 2k letters, so that a mask of letters tells in one pass
over the vocabulary which few words are worth comparing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from rapidfuzz.distance import DamerauLevenshtein

from personas.components import Text

ONE_EDIT_FROM = 4
TWO_EDITS_FROM = 8
"""Letters from which a word may be one edit, or two, away from what was typed: shorter ones become another word."""

SHORT_TO = TWO_EDITS_FROM - 1
"""Letters to which two words are often an edit apart by chance: cable and table, golf and gold."""

FIRST_LETTER = 4.0
"""Times by which a word that begins as typed is likelier meant than another one as near: first letters are rarely wrong."""

ALTERNATIVES = 3
"""Words at most that a misspelled one is taken for, as long as each is no less than `RARER` as likely as the best."""

RARER = 0.1


@dataclass(frozen=True)
class Vocabulary:
    """V words, ascending.

    words : (V,) in the form in which words are compared.  spelled : (V,) each as items spell it most often.
    frequency : (V,) int32, items that have the word.  letters : (V,) uint64, which letters it has.  lengths : (V,) int16.
    """

    words: Text
    spelled: Text
    frequency: np.ndarray
    letters: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def _words(self) -> list[str]:
        raw = self.words.blob.tobytes()
        return [raw[start:end].decode() for start, end in pairwise(self.words.offsets.tolist())]

    def row(self, word: str) -> int | None:
        """Place of a word, None if no item has it."""
        row = bisect_left(self._words, word)
        return row if row < len(self._words) and self._words[row] == word else None

    def starting(self, beginning: str) -> range:
        """Places of the words that start so."""
        first = bisect_left(self._words, beginning)
        return range(first, bisect_left(self._words, beginning + "\U0010ffff", lo=first))

    def near(self, word: str, items: np.ndarray, *, fewest: int = 1) -> list[tuple[int, int]]:
        """(place, edits) of the words that `word` may be a misspelling of, likeliest first; never of the word itself.

        Nothing for a word with a digit: another model number is another thing.
        items : (V,) int, how many items go by each word: what only descriptions have is hardly searched for.
        fewest : of these, how many a word must have to be meant, for a shopper is likelier to have spelled well a word that the
            shop lacks; a long word with a single edit is meant however few have it, and one of the same letters, swapped or
            doubled.
        """
        edits = (len(word) >= ONE_EDIT_FROM) + (len(word) >= TWO_EDITS_FROM)
        if not edits or not len(self) or any(c.isdigit() for c in word):
            return []
        letters = np.uint64(_letters(word))
        far = np.bitwise_count(self.letters ^ letters)
        rows = np.flatnonzero((far <= 2 * edits) & (np.abs(self.lengths - len(word)) <= edits))
        common = (items[rows] >= fewest) | (self.letters[rows] == letters)
        found: dict[int, int] = {}
        for row, known in zip(rows.tolist(), common.tolist(), strict=True):
            distance = DamerauLevenshtein.distance(word, self._words[row], score_cutoff=edits)
            if 0 < distance <= edits and _plausible(word, self._words[row], distance, common=known):
                found[row] = distance
        if not found:
            return []
        least = min(found.values())

        def likely(row: int) -> float:
            return float(items[row] + 1) * (FIRST_LETTER if self._words[row][0] == word[0] else 1.0)

        nearest = sorted((row for row, distance in found.items() if distance == least), key=lambda row: (-likely(row), row))
        return [(row, least) for row in nearest[:ALTERNATIVES] if likely(row) >= RARER * likely(nearest[0])]


def _plausible(word: str, other: str, edits: int, *, common: bool) -> bool:
    """Whether a word so many edits away may be meant at all."""
    short, begins_alike = len(word) <= SHORT_TO, other[0] == word[0]
    if short and not begins_alike and other[:2] != word[1::-1]:  # but for the first two letters swapped
        return False
    return common or (begins_alike and edits == 1 and not short)


def build_vocabulary(words: Sequence[str], spelled: Sequence[str], frequency: np.ndarray) -> Vocabulary:
    """From distinct words, ascending, with the spelling of each and the number of items that have it, (V,) int."""
    return Vocabulary(
        words=Text.of(words),
        spelled=Text.of(spelled),
        frequency=np.asarray(frequency, dtype=np.int32),
        letters=np.array([_letters(word) for word in words], dtype=np.uint64),
        lengths=np.array([min(len(word), 32_000) for word in words], dtype=np.int16),
    )


def _letters(word: str) -> int:
    """A bit for each letter that the word has; letters 64 code points apart share one, which hardly matters."""
    mask = 0
    for letter in set(word):
        mask |= 1 << (ord(letter) & 63)
    return mask
