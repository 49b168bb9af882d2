"""Which items have which word, what that is worth, and what the words of a search stand for there. Pure.

Every word's contribution to every item's score is computed when the postings are built. References: Robertson & Zaragoza
(2009), "The probabilistic relevance framework: BM25 and beyond", section 3.6 (BM25F); Lù (2024), "BM25S: orders of
magnitude faster lexical search via eager sparse scoring".
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from clusters.vocabulary import Vocabulary, build_vocabulary
from personas.queries import MAX_QUERY_WORDS, plain, singular, spelled

WEIGHTS = {
    "title": (4.0, 0.5),
    "category": (3.0, 0.0),
    "brand": (3.0, 0.0),
    "tags": (2.0, 0.5),
    "colour": (2.0, 0.0),
    "description": (0.5, 0.75),
}
"""Of each field, what a word in it counts, and how far a longer field makes it count less (BM25F's w and b)."""

K1 = 1.2
"""How soon more of the same word stops counting."""

MAX_TYPED = 512
"""Characters of a search that are read."""

PREFIX, ONE_EDIT, TWO_EDITS, JOINED = 0.7, 0.5, 0.3, 0.9
"""What a word counts that only begins as typed, is one edit or two away, or is typed in two parts (or the reverse)."""

MISTAKEN = 10
"""Times by which a word must have more items than one that the shop knows too, to be what was meant by that one: who finds no
purple shirt did not mean a skirt."""

MOST_BEGUN = 50_000
"""Items of the words, counted for each, that a lone beginning of a word is taken for."""

MOST_READ = 8
"""Words told at most of what a typed one stands for; all of them count."""

SHORTEST_PART = 3
"""Letters of either part of a word that may be two: "sweatshirt" as "sweat shirt"."""

FILLERS = frozenset(
    spelled(
        "about above an and any are as at be by can do for from has have her his in into is it its me my not of off on or our out"
        " over that the their them then there these they this those to under up us was we what when where which who will with"
        " without you your"
    )
)
"""Words that an item need not have: "a tent for the beach" isn't about "for"."""


class Word(NamedTuple):
    """A word of a search and what it stands for.

    typed, how, read : as `clusters.search_index.WordRead` has them.  filler : whether an item may lack it.
    rows, factors : (r,) int words of the vocabulary, and (r,) float32 what each one's contribution is multiplied by.
    pairs : two words that together stand for it, by rows.  tells : how much the word tells (idf); 0 if no item has it.
    """

    typed: str
    how: str = "unknown"
    read: tuple[str, ...] = ()
    filler: bool = False
    rows: np.ndarray = np.zeros(0, dtype=np.int64)
    factors: np.ndarray = np.zeros(0, dtype=np.float32)
    pairs: tuple[tuple[int, int], ...] = ()
    tells: float = 0.0


@dataclass(frozen=True)
class Postings:
    """V words in n items.

    impacts : (V, n) float32 CSR, what a word adds to an item's score.  idf : (V,) float32, how much a word tells.
    """

    vocabulary: Vocabulary
    impacts: sparse.csr_matrix
    idf: np.ndarray

    def items_of(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the items that have a word, ascending, and its impacts there."""
        at = slice(self.impacts.indptr.item(row), self.impacts.indptr.item(row + 1))
        return self.impacts.indices[at], self.impacts.data[at]

    def going_by(self, row: int) -> np.ndarray:
        """Positions of the items that go by a word, ascending."""
        items, impacts = self.items_of(row)
        return items[impacts >= self.idf[row]]

    @cached_property
    def names_it(self) -> np.ndarray:
        """(postings,) bool, whether the item goes by the word, rather than having it in its description alone."""
        return self.impacts.data >= np.repeat(self.idf, np.diff(self.impacts.indptr))

    @cached_property
    def named(self) -> np.ndarray:
        """(V,) items that go by each word."""
        row = np.repeat(np.arange(len(self.idf)), np.diff(self.impacts.indptr))
        return np.bincount(row[self.names_it], minlength=len(self.idf))

    def scored(self, word: Word, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Positions, ascending, and scores of the items that have a word or what it stands for; the best of it counts.

        among : (n,) bool, the only items that matter; spares most of the work where a word stands for many.
        """
        parts = []
        rows = word.rows
        if len(rows) > 1 and (np.diff(rows) == 1).all():  # what begins with the same letters stands side by side
            at = slice(self.impacts.indptr.item(rows[0]), self.impacts.indptr.item(rows[-1] + 1))
            lengths = np.diff(self.impacts.indptr[rows[0] : rows[-1] + 2])
            items, impacts, factors = self.impacts.indices[at], self.impacts.data[at], np.repeat(word.factors, lengths)
            if among is not None:
                kept = np.flatnonzero(among[items])
                items, impacts, factors = items[kept], impacts[kept], factors[kept]
            parts.append((items, impacts * factors))
        else:
            for row, factor in zip(rows.tolist(), word.factors.tolist(), strict=True):
                items, impacts = self.items_of(row)
                parts.append((items, impacts if factor == 1.0 else impacts * np.float32(factor)))
        for left, right in word.pairs:
            (a, of_a), (b, of_b) = self.items_of(left), self.items_of(right)
            both, in_a, in_b = np.intersect1d(a, b, assume_unique=True, return_indices=True)
            parts.append((both, (of_a[in_a] + of_b[in_b]) * np.float32(JOINED)))
        if len(parts) == 1 and len(rows) < 2:
            return parts[0]
        best = np.zeros(self.impacts.shape[1], dtype=np.float32)
        if parts:
            np.maximum.at(best, np.concatenate([items for items, _ in parts]), np.concatenate([score for _, score in parts]))
        items = np.flatnonzero(best)
        return items, best[items]


# Reading a search


def read_words(postings: Postings, query: str, *, as_you_type: bool = False, correct: bool = False) -> list[Word]:
    """What the words of a search stand for; at most `MAX_QUERY_WORDS` distinct ones are read.

    as_you_type : the last word may be unfinished.
    correct : look for other spellings even of words that items have.
    """
    typed = query[:MAX_TYPED]
    found = list(dict.fromkeys(spelled(typed)))[:MAX_QUERY_WORDS]
    last = unfinished(typed) if as_you_type else ""
    if last and found[-1:] == [last]:
        found.pop()
    words = [_read(postings, word, correct=correct) for word in found]
    words = _joined(postings, words)
    if last:
        words.append(_beginning(postings, last, alone=not words))
    if all(word.filler for word in words):
        return [word._replace(filler=False) for word in words]
    return [word for word in words if not (word.filler and word.how == "unknown")]


def told_of(postings: Postings, words: Sequence[Word], items: np.ndarray) -> list[Word]:
    """Words as they were read in the end: a known one that no item found has is told as what it was taken for.

    items : positions of what the words found.
    """
    told = []
    for word in words:
        row = postings.vocabulary.row(singular(word.typed)) if word.how == "exact" and len(word.rows) > 1 else None
        if row is not None and not np.isin(postings.items_of(row)[0], items).any():
            others = [postings.vocabulary.spelled[other] for other in word.rows.tolist() if other != row]
            word = word._replace(how="spelling", read=tuple(others[:MOST_READ]))
        told.append(word)
    return told


def unfinished(typed: str) -> str:
    """The word at the very end of a search that is being typed, "" after a space."""
    text = plain(typed[-MAX_TYPED:])
    start = len(text)
    while start and text[start - 1].isalnum():
        start -= 1
    return text[start:]


def _read(postings: Postings, typed: str, *, correct: bool) -> Word:
    vocabulary, word = postings.vocabulary, singular(typed)
    row = vocabulary.row(word)
    rows, how = ([(row, 1.0)] if row is not None else []), "exact"
    pairs: tuple[tuple[int, int], ...] = ()
    if row is None or correct:
        near = vocabulary.near(
            word, postings.named, fewest=max(1, len(str(postings.impacts.shape[1])) - 1)
        )  # 3 of thousands, 5 of 100,000
        if row is not None:
            near = [each for each in near if postings.named[each[0]] >= MISTAKEN * vocabulary.frequency[row]]
        pairs = _split(postings, word)
        if near and (near[0][1] == 1 or not pairs):
            rows += [(other, ONE_EDIT if edits == 1 else TWO_EDITS) for other, edits in near]
        if row is None:
            how = "spelling"
            if not rows and not pairs and len(word) >= SHORTEST_PART:
                rows, how = [(other, PREFIX) for other in vocabulary.starting(word)], "prefix"
    else:  # "teatowel", which one item has, in a shop of tea towels
        pairs = _split(postings, word, unless=int(vocabulary.frequency[row]))
    return _word(postings, typed, how, rows, pairs)


def _beginning(postings: Postings, typed: str, *, alone: bool) -> Word:
    """The last word of a search that is being typed: itself, and what begins so; the commonest of it where nothing but a
    letter or two is known and half the shop begins so."""
    vocabulary = postings.vocabulary
    whole = vocabulary.row(singular(typed))
    begun = np.array(vocabulary.starting(typed), dtype=np.int64)
    frequency = vocabulary.frequency[begun]
    if alone and frequency.sum() > MOST_BEGUN:
        commonest = np.argsort(-frequency, kind="stable")
        begun = begun[commonest[: max(1, int(np.searchsorted(np.cumsum(frequency[commonest]), MOST_BEGUN)))]]
    rows = {other: PREFIX for other in begun.tolist()}
    if whole is not None:
        rows[whole] = 1.0
    if rows:
        return _word(postings, typed, "prefix" if whole is None else "exact", sorted(rows.items()), ())
    return _read(postings, typed, correct=False)


def _word(
    postings: Postings, typed: str, how: str, rows: Sequence[tuple[int, float]], pairs: tuple[tuple[int, int], ...]
) -> Word:
    """A rare word must not win by its rarity over the one that is likely meant: all tell as much as the commonest one."""
    if not rows and not pairs:
        return Word(typed, filler=typed in FILLERS)
    spelling = postings.vocabulary.spelled
    chosen = np.array([row for row, _ in rows], dtype=np.int64)
    factors = np.array([factor for _, factor in rows], dtype=np.float32)
    idf = postings.idf[chosen]
    tells = idf.min().item() if rows else min(postings.idf.item(left) + postings.idf.item(right) for left, right in pairs)
    shown = chosen[np.lexsort((idf, -factors))[: 1 if how == "exact" else MOST_READ]]
    read = [spelling[row] for row in shown.tolist()]
    if how != "exact":
        read += [f"{spelling[left]} {spelling[right]}" for left, right in pairs]
    return Word(typed, how, tuple(read), typed in FILLERS, chosen, factors * np.minimum(1.0, tells / idf), pairs, tells)


def _split(postings: Postings, word: str, *, unless: int | None = None) -> tuple[tuple[int, int], ...]:
    """The two words that a word is written together from, of which some item has both; the likeliest pair only.

    unless : items that have the word itself; then only a pair that more items go by.
    """
    best: tuple[int, tuple[int, int]] | None = None
    for at in range(SHORTEST_PART, len(word) - SHORTEST_PART + 1):
        left, right = postings.vocabulary.row(word[:at]), postings.vocabulary.row(word[at:])
        if left is None or right is None or left == right:
            continue
        of_left, of_right = (postings.items_of(row)[0] if unless is None else postings.going_by(row) for row in (left, right))
        items = len(np.intersect1d(of_left, of_right, assume_unique=True))
        if items > (unless or 0) and (best is None or items > best[0]):
            best = (items, (left, right))
    return () if best is None else (best[1],)


def _joined(postings: Postings, words: list[Word]) -> list[Word]:
    """Neighbours that items have as one word, "sweat shirt" as "sweatshirt": that one stands for each of the two."""
    words = list(words)
    for i in range(len(words) - 1):
        row = postings.vocabulary.row(singular(words[i].typed + words[i + 1].typed))
        if row is None:
            continue
        for at in (i, i + 1):
            word = words[at]
            # half of it for either word, so that the two together count it once
            factor = np.float32(JOINED / 2.0 * (min(1.0, word.tells / postings.idf.item(row)) if word.tells else 1.0))
            known = word.how == "exact"
            read = word.read if known else (postings.vocabulary.spelled[row],)
            words[at] = word._replace(
                how="exact" if known else "spelling",
                read=read,
                rows=np.append(word.rows, row) if known else np.array([row]),
                factors=np.append(word.factors, factor) if known else np.array([factor]),
                pairs=word.pairs if known else (),
                tells=word.tells or postings.idf.item(row),
            )
    return words


# Building


def build_postings(items: Iterable[Sequence[str]]) -> Postings:
    """Postings of n items in order; each is a tuple of texts, one for each field of `WEIGHTS`, "" where it has none."""
    spellings: dict[str, int] = {}
    tokens = [array("i") for _ in WEIGHTS]
    lengths = [array("i") for _ in WEIGHTS]
    n = 0
    for texts in items:
        n += 1
        for column, long, text in zip(tokens, lengths, texts, strict=True):
            found = spelled(text) if text else []
            column.extend([spellings.setdefault(word, len(spellings)) for word in found])
            long.append(len(found))
    row_of, names = distinct([singular(word) for word in spellings])
    counts = np.zeros(len(spellings), dtype=np.int64)
    tf = sparse.csr_matrix((len(names), n), dtype=np.float32)
    columns = [
        (np.array(of_field, dtype=np.int32), np.array(long, dtype=np.int32))
        for of_field, long in zip(tokens, lengths, strict=True)
    ]
    for (token, length), (weight, b) in zip(columns, WEIGHTS.values(), strict=True):
        if not len(token):
            continue
        counts += np.bincount(token, minlength=len(spellings))
        norm = (weight / (1.0 - b + b * length / length[length > 0].mean())).astype(np.float32)
        at = np.repeat(np.arange(n, dtype=np.int32), length)
        tf = tf + sparse.csr_matrix((norm[at], (row_of[token], at)), shape=tf.shape)  # repeated words add up
    tf.sort_indices()
    frequency = np.diff(tf.indptr)
    idf = np.log1p((n - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
    tf.data = (np.repeat(idf, frequency) * tf.data * np.float32(K1 + 1.0) / (tf.data + np.float32(K1))).astype(np.float32)
    spelling = [""] * len(names)
    known = list(spellings)
    for i in np.argsort(counts, kind="stable").tolist():  # the commonest comes last and stays
        spelling[row_of[i]] = known[i]
    return Postings(build_vocabulary(names, spelling, frequency), tf, idf)


def distinct(values: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """(len(values),) int32 places in the distinct values, and those, ascending."""
    names = sorted(set(values))
    place = {name: i for i, name in enumerate(names)}
    return np.array([place[value] for value in values], dtype=np.int32), names
