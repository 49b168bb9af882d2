"""What the words of a search are about: one of the shop's categories, or nothing clear.

The catalogue's own texts teach it: a word is evidence for the categories in whose items it stands. Words are compared in
one written form (case, accents and simple English plurals don't count), the same for texts and for searches.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

NO_TOPIC = -1
"""Topic of a search whose words favour no category clearly."""

CLEAR = 2.0 / 3.0
"""Probability that the words must give a category to be about it."""

TELLING = 3.0
"""Times by which the words must raise the odds of that category: in a shop where most items are dresses, "red" finds
mostly dresses too, and still says nothing of them."""

SMOOTHING = 0.5
"""Items of the usual mix that each word is counted with, so that a word of a single item decides on its own, just, and no
word rules a category out."""

MAX_WORDS = 20_000
"""Words kept, those of most items first: 3 MB at 40 categories."""

MAX_QUERY_WORDS = 16
"""Words of a search that are read: a pasted page must not cost the loop its microseconds."""

_WORD = re.compile(r"[^\W_]{2,}")
_SIBILANT = re.compile(r"(?:ss|sh|ch|x|zz)es\Z")


def words(text: str) -> list[str]:
    """The words of a text in the form in which they are compared, in order: "Crème Brûlées!" gives creme, brulee."""
    return [singular(word) for word in _WORD.findall(plain(text))]


def spelled(text: str) -> list[str]:
    """The words of a text as they are spelled, but for case and accents: "Crème Brûlées!" gives creme, brulees."""
    return _WORD.findall(plain(text))


def plain(text: str) -> str:
    """A text without case and accents."""
    if text.isascii():
        return text.lower()
    return "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(c))


def singular(word: str) -> str:
    """Simple English plurals: dresses, blouses, hoodies and ties as dress, blouse, hoody (as hoodie) and tie."""
    if len(word) > 4 and word.endswith(("ies", "ie")):
        return word[: word.rindex("ie")] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-2] if _SIBILANT.search(word) else word[:-1]
    return word


@dataclass(frozen=True)
class QueryTopics:
    """W words and what each says of C categories; without words, of no search anything is said.

    words : in the form of `words()`.  log_share : (C,) float32, log of each category's share of the items.
    log_lift : (W, C) float32, log P(category | word) - log P(category).
    """

    words: tuple[str, ...] = ()
    log_share: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    log_lift: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))

    def __post_init__(self) -> None:
        if self.log_lift.shape != (len(self.words), len(self.log_share)):
            raise ValueError(f"log_lift {self.log_lift.shape} != {(len(self.words), len(self.log_share))}")

    @cached_property
    def _row(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words)}

    def topic(self, query: str) -> int:
        """The category that a search is about, `NO_TOPIC` where its words are unknown or favour none clearly.

        Naive Bayes over the distinct words: log P(c | words) = log P(c) + sum of the lifts + a constant.
        """
        if not self.words or not query:
            return NO_TOPIC
        row = self._row
        known = [row[word] for word in dict.fromkeys(words(query)[:MAX_QUERY_WORDS]) if word in row]
        if not known:
            return NO_TOPIC
        joint = self.log_share + np.add.reduce(self.log_lift.take(known, axis=0), axis=0)
        best = int(joint.argmax())
        others = float(np.add.reduce(np.exp(joint - joint[best]))) - 1.0  # of all others together, as a multiple of the best
        if 1.0 + others > 1.0 / CLEAR:
            return NO_TOPIC
        share = math.exp(self.log_share.item(best))
        # odds afterwards are 1 / others, before share / (1 - share)
        return best if others * TELLING * share <= 1.0 - share else NO_TOPIC


def learn_topics(texts: Iterable[str], category: np.ndarray, categories: int) -> QueryTopics:
    """Topics of a catalogue. One pass over the texts; a word counts once an item, however often it stands there.

    texts : n, one an item: its title, tags and what else a shopper may search by.
    category : (n,) int, -1 where missing; such items teach nothing.  categories : C. With fewer than two, there is
        nothing to tell apart and no topic.
    """
    if categories < 2:
        return QueryTopics()
    sizes = np.bincount(category[category >= 0], minlength=categories)
    if (sizes > 0).sum() < 2:
        return QueryTopics()
    counts: Counter[tuple[str, int]] = Counter()
    frequency: Counter[str] = Counter()
    for text, c in zip(texts, category.tolist(), strict=True):
        if c >= 0:
            distinct = set(words(text))
            frequency.update(distinct)
            counts.update((word, c) for word in distinct)
    kept = sorted(frequency, key=lambda word: (-frequency[word], word))[:MAX_WORDS]
    row = {word: i for i, word in enumerate(kept)}
    table = np.zeros((len(kept), categories))
    for (word, c), count in counts.items():
        if word in row:
            table[row[word], c] = count
    # A category without items is no search's topic: a share so small that no word's lift can make up for it.
    share = np.where(sizes > 0, sizes, 1e-9) / sizes.sum()
    given = (table + SMOOTHING * share) / (table.sum(axis=1, keepdims=True) + SMOOTHING)
    return QueryTopics(tuple(kept), np.log(share).astype(np.float32), np.log(given / share).astype(np.float32))
