"""The catalogue search over a made catalogue of a given size: words, misspelled words, unfinished words, with facets.

Titles are of made words whose frequencies fall as those of real titles do (Zipf), beside brands, colours and nested
categories; descriptions are longer and of the same words. Real titles of 100,000 items can't be shipped.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from clusters.search_index import Document, Filters, Found, SearchIndex, Suggestions, build_index, search, suggest
from personas.component_files import load_component, save_component

VOCABULARY = 30_000
"""Words of the made language; a shop of 100,000 items has about as many."""

COLOURS = ("black", "white", "blue", "red", "green", "beige", "grey", "brown", "pink", "yellow", "orange", "purple")
ONSETS = ("b", "br", "c", "ch", "d", "f", "fl", "g", "h", "j", "k", "l", "m", "n", "p", "pl", "r", "s", "st", "t", "tr", "v", "w")
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "oo")
CODAS = ("", "l", "n", "r", "t", "ck", "m", "nd", "p")
WARM_UP = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--items", type=int, default=100_000, help="size of the made catalogue (default: 100,000)")
    parser.add_argument("--searches", type=int, default=500, help="searches timed of each kind (default: 500)")


def run(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds at p50 and p99 of each kind of search, results included; seconds to build and open, MB on disk."""
    rng = np.random.default_rng(11)
    documents = made_documents(options.items, rng)
    started = time.perf_counter()
    built = build_index(documents)
    build_s = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        version = save_component(Path(folder), "index", built)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        started = time.perf_counter()
        index = load_component(Path(folder), "index", SearchIndex, version)
        search(index, "warm")
        open_s = time.perf_counter() - started
        results: dict[str, float] = {
            "items": options.items,
            "words": len(index.postings.vocabulary),
            "build_seconds": round(build_s, 2),
            "open_seconds": round(open_s, 3),
            "index_mb": round(size / 2**20, 1),
        }
        for kind, ask in _kinds(index, documents, rng).items():
            times = []
            for n in range(options.searches + WARM_UP):
                query = ask(n)
                started = time.perf_counter()
                query()
                if n >= WARM_UP:
                    times.append((time.perf_counter() - started) * 1e3)
            for q in (50, 99):
                results[f"{kind}_p{q}_ms"] = round(float(np.percentile(times, q)), 2)
    return results


def made_documents(count: int, rng: np.random.Generator) -> list[Document]:
    """A made catalogue, the same for the same generator."""
    language = made_words(rng)
    weight = 1.0 / (np.arange(len(language)) + 2.7)  # Zipf-Mandelbrot
    weight /= weight.sum()
    category_words = [f"{a} {b}" for a, b in zip(language[50:450:2], language[51:451:2], strict=True)]
    brands = [word.capitalize() for word in language[1_000:1_800]]
    lengths, describing = rng.integers(3, 8, count), rng.integers(15, 45, count)
    drawn = rng.choice(len(language), size=int(lengths.sum() + describing.sum()), p=weight)
    words = [language[i] for i in drawn.tolist()]
    documents, at = [], 0
    for i in range(count):
        title, description = words[at : at + lengths[i]], words[at + lengths[i] : at + lengths[i] + describing[i]]
        at += int(lengths[i] + describing[i])
        documents.append(
            Document(
                item_id=i + 1,
                title=" ".join(title).capitalize(),
                category=category_words[int(len(category_words) * rng.random() ** 2)],
                brand=brands[int(len(brands) * rng.random() ** 2)],
                colour=COLOURS[int(rng.integers(len(COLOURS)))],
                tags=(title[0], description[0]),
                description=" ".join(description),
                price=round(float(rng.lognormal(3.0, 0.8)), 2),
                in_stock=bool(rng.random() < 0.93),
            )
        )
    return documents


def made_words(rng: np.random.Generator) -> list[str]:
    """Distinct words of one to four syllables."""
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        parts = (ONSETS, VOWELS, CODAS)
        syllables = int(rng.integers(1, 5))
        found.setdefault("".join(str(part[int(rng.integers(len(part)))]) for _ in range(syllables) for part in parts))
    return [word for word in found if len(word) > 2]


def _kinds(
    index: SearchIndex, documents: list[Document], rng: np.random.Generator
) -> dict[str, Callable[[int], Callable[[], Found | Suggestions]]]:
    """Kind -> what makes the n-th search of it: two words of an item, so that common words are searched often."""

    def words() -> list[str]:
        title = documents[int(rng.integers(len(documents)))].title.lower().split()
        return [title[i] for i in rng.choice(len(title), 2, replace=False).tolist()]

    def exact(n: int) -> Callable[[], Found]:
        query = " ".join(words())
        return lambda: search(index, query)

    def typo(n: int) -> Callable[[], Found]:
        first, second = words()
        at = int(rng.integers(1, max(2, len(second) - 1)))
        query = f"{first} {second[:at]}{second[at + 1 : at + 2]}{second[at]}{second[at + 2 :]}"
        return lambda: search(index, query)

    def prefix(n: int) -> Callable[[], Suggestions]:
        first, second = words()
        query = second[:1] if n % 4 == 0 else f"{first} {second[: 1 + n % 3]}"
        return lambda: suggest(index, query)

    def faceted(n: int) -> Callable[[], Found]:
        filters = Filters(
            colour=(COLOURS[n % len(COLOURS)], COLOURS[(n + 3) % len(COLOURS)]), price_tier=("low", "middle"), in_stock=True
        )
        query = words()[0]
        return lambda: search(index, query, filters=filters)

    def common(n: int) -> Callable[[], Found]:
        top = np.argsort(-index.postings.vocabulary.frequency)[:20]
        query = index.postings.vocabulary.words[int(top[n % 20])]
        return lambda: search(index, query)

    return {"exact": exact, "typo": typo, "prefix": prefix, "faceted": faceted, "common": common}
