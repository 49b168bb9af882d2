"""The catalogue search: which items a shopper's words are about, best first, with facets. Pure; arrays that processes share.

BM25 over weighted fields, eager: every term's contribution to every item is computed when the index is built.
References: Robertson & Zaragoza (2009), "The probabilistic relevance framework: BM25 and beyond", section 3.6 (BM25F);
Lù (2024), "BM25S: orders of magnitude faster lexical search via eager sparse scoring".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

FACETS = ("category", "brand", "colour", "price_tier")
"""Fields that results are counted by."""


class Document(NamedTuple):
    """What of an item can be searched; "" and None where unknown."""

    item_id: int
    title: str = ""
    category: str = ""
    brand: str = ""
    colour: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
    price: float | None = None
    in_stock: bool = True


class Filters(NamedTuple):
    """What results must have; an empty tuple and None ask for nothing. Values of one field are alternatives."""

    category: tuple[str, ...] = ()
    brand: tuple[str, ...] = ()
    colour: tuple[str, ...] = ()
    price_tier: tuple[str, ...] = ()
    price_from: float | None = None
    price_to: float | None = None
    in_stock: bool | None = None


class WordRead(NamedTuple):
    """How a word of a search was understood. how : "exact", "prefix", "spelling" or "unknown"; read : the words it stood for."""

    typed: str
    how: str
    read: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """Results, best first.

    item_ids : (m,) int64, the asked-for page of them.  scores : (m,) float32.  total : how many there are in all.
    facets : field -> ((value, items), ...), most frequent first, counted without that field's own filter.
    words : how each word was read.  relaxed : whether no item has all the words, so that some of them had to do.
    """

    item_ids: np.ndarray
    scores: np.ndarray
    total: int
    facets: dict[str, tuple[tuple[str, int], ...]]
    words: tuple[WordRead, ...]
    relaxed: bool
