"""The words of searches in one written form: case, accents, plurals, spelling variants, phrases that belong together.

References: Damerau (1964), "A technique for computer detection and correction of spelling errors"; Dunning (1993),
"Accurate methods for the statistics of surprise and coincidence", for the phrases.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist
from scipy import sparse

from clusters.search_history import QueryStats
from personas.queries import MAX_QUERY_WORDS, words

SIGNIFICANT = 10.83
"""Log-likelihood ratio, twice the difference, at which chance is ruled out: chi-squared with one degree of freedom, p = 0.001."""

MIN_PHRASE = 3
"""Searches in which two words must stand side by side."""

COHESION = 0.5
"""Share of the searches with one word of a phrase that have the other beside it: "sleeping" hardly stands without "bag"."""

NARROWS = 0.2
"""Share of those with its first word that must go on with the second, in any case: "red" goes with all things, so that "red
shoe" is none even where all shoes are red."""

PHRASE_WORDS = 3

RARER = 5
"""Times by which a spelling must be more frequent than another of one edit to be what was meant."""

RARER_SHORT = 25
"""The same for words of under `MIDDLING` letters where no vocabulary says what is a word: most that are one edit apart are
both words (back and black, barn and bar, rock and rack in real queries), unless the edit is a swap of neighbours."""

SHORTEST = 4
MIDDLING = 6
LONG = 8
"""Letters from which one and two edits are a misspelling; in shorter words they make another word."""

MAX_FORMS = 50_000
"""Distinct words, the most frequent, that misspellings are looked for in: the work grows by their square."""

_STOP = frozenset(
    words(
        """about all also am an and any are as at be been both but by could did do does doing each few for from had has
        have having he her here hers him his how if in into is it its just me more most my near no nor not of off on once only
        onto or other our ours out over own per she should so some such than that the their theirs them then there these they
        this those through to too under until up us very was we were what when where which while who whom why will with within
        without would you your yours
        find get give like look looking need needed search searching show some something want wanted
        buy buying order ordering purchase shop shopping store online sale sales deal deals discount discounted offer offers
        cheap cheapest best price prices priced cost costs shipping delivery item items product products new"""
    )
)
_UNIT = (
    "mm|cm|m|km|in|inch|ft|foot|feet|yd|g|kg|lb|oz|ml|cl|l|liter|litre|qt|quart|gal|gallon|pt|w|watt|v|volt|mah|gb|tb|pc|pk"
    "|pack|piece"
)
_MEASURE = re.compile(rf"(?:\d+x?)+(?:{_UNIT})?\Z")
_UNITS = frozenset(_UNIT.split("|"))
_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
_INITIAL = re.compile(r"[^\w]*([^\W\d_])[-\u2010\u2011]([^\W\d_]{2,})[^\w]*")
_PIECE = re.compile(r"[^\W_]{2,}")
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True)
class QueryTerms:
    """T terms of Q queries.

    terms : normal forms, a phrase's words joined by a space; distinct.  labels : how each is most often typed, for people.
    of_query : (Q, T) CSR bool, terms of each query.  attribute : T descriptors such as "colour=red" or "brand=x" where the
        term is nothing but the value of an attribute, else "": it narrows a search down, it isn't what is looked for.
    """

    terms: tuple[str, ...]
    labels: tuple[str, ...]
    of_query: sparse.csr_matrix
    attribute: tuple[str, ...]


Token = tuple[str, str]
"""A word in its normal form, and as it was typed."""


def read_terms(
    stats: QueryStats, *, attributes: Mapping[str, str] | None = None, vocabulary: Collection[str] = frozenset()
) -> QueryTerms:
    """The terms of all queries, by what the whole log says of its words. Deterministic; the order of words doesn't count.

    attributes : value -> descriptor ("red" -> "colour=red", "north face" -> "brand=The North Face").
    vocabulary : words that the catalogue knows; they are right as they are, and misspellings are of them rather than others.

    - Markup, stop words of English and of shop talk, numbers and measures don't count, unless a query has nothing else than
      numbers: it may be an article's. A query of stop words alone has no terms. Scripts other than Latin are kept as they are
      separated by white space.
    - A form is a misspelling of one that is `RARER` times as frequent, starts with the same letter and is one edit away
      (two from `LONG` letters; a swap of neighbours is one), if it has `SHORTEST` letters and no digit.
    - Plurals that only the log gives away ("tvs", "knives") are read as the singular where that occurs, too.
    - "sweat shirt", "sweat-shirt" and "sweatshirt" are one where both occur, as the more frequent of them.
    - Words side by side are a phrase where they stand together significantly often (`SIGNIFICANT`), at least `MIN_PHRASE`
      times and in `COHESION` of the searches with one of them (see `NARROWS`), in either order: the catalogue's search finds
      the same. It has the order that is typed more often. The value of an attribute is never part of one.
    """
    known = frozenset(word for each in vocabulary for word in words(each))
    values = {form: descriptor for value, descriptor in sorted((attributes or {}).items()) if (form := _form(value))}
    runs = [_runs(stats.queries[i]) for i in range(len(stats.queries))]
    times = stats.searches.tolist()
    named = {word for value in values for word in value.split()}
    runs = _read_as(runs, _irregular(_counted(runs, times), named))
    runs = _read_as(runs, misspellings(_counted(runs, times), known | named))
    runs = _one_or_two_words(runs, times)
    runs = [[_valued(tokens, values) for tokens in run] for run in runs]
    total: Counter[str] = Counter()
    for _ in range(PHRASE_WORDS - 1):
        total = total | _counted(runs, times)  # a word counts in phrases too
        runs = _phrased(runs, times, total, values)
    return _collected(runs, times, values)


def misspellings(counts: Mapping[str, int], known: Collection[str] = frozenset()) -> dict[str, str]:
    """{misspelling: the word that was meant}; the latter is never itself a misspelling.

    counts : word -> searches.  known : words that are right. Of several candidates the known, then the nearest, then the
    most frequent, then the first by letter.
    """
    forms = sorted(counts, key=lambda word: (-counts[word], word))[:MAX_FORMS]
    meant: dict[str, str] = {}
    by_letter: defaultdict[str, list[str]] = defaultdict(list)
    for word in forms:
        if len(word) >= SHORTEST - 1 and word.isalpha() and not _IDEOGRAPH.search(word):
            by_letter[word[0]].append(word)
    for group in by_letter.values():  # from frequent to rare, so that whether a root stands is settled before its misspellings
        roots = [word for word in group if counts[word] >= RARER * counts[group[-1]]]
        most = counts[group[0]]
        rare = [word for word in group if len(word) >= SHORTEST and word not in known and RARER * counts[word] <= most]
        for start in range(0, len(rare) if roots else 0, 1_000):  # bounds the table
            part = rare[start : start + 1_000]
            table = cdist(part, roots, scorer=OSA.distance, score_cutoff=2, dtype=np.uint8, workers=1)
            for word, edits in zip(part, table, strict=True):
                near = np.flatnonzero((edits > 0) & (edits <= (2 if len(word) >= LONG else 1))).tolist()
                right = [
                    j for j in near if counts[roots[j]] >= _rarer(word, roots[j], known) * counts[word] and roots[j] not in meant
                ]
                if right:
                    meant[word] = roots[min(right, key=lambda j: (roots[j] not in known, edits[j], j))]
    return meant


def _rarer(word: str, root: str, known: Collection[str]) -> int:
    if root in known or len(word) >= MIDDLING or (len(word) == len(root) and sorted(word) == sorted(root)):
        return RARER
    return RARER_SHORT


def log_likelihood_ratio(both: np.ndarray, first: np.ndarray, second: np.ndarray, total: float) -> np.ndarray:
    """Dunning's statistic, twice the log-likelihood ratio, of two things occurring independently; signed: below 0 where
    they occur together less often than that.

    both : (P,) times together.  first, second : (P,) times of each.  total : of all; counts may be fractional.
    """
    k11, k12, k21 = both, np.maximum(first - both, 0.0), np.maximum(second - both, 0.0)
    k22 = np.maximum(total - first - second + both, 0.0)

    def h(*parts: np.ndarray) -> np.ndarray:
        whole = np.maximum(sum(parts), 1e-12)
        return np.asarray(sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-12) / whole), 0.0) for p in parts))

    ratio = 2.0 * (h(k11, k12, k21, k22) - h(k11 + k12, k21 + k22) - h(k11 + k21, k12 + k22))
    return np.where(both * total >= first * second, np.maximum(ratio, 0.0), -np.maximum(ratio, 0.0))


def _runs(query: str) -> list[list[Token]]:
    """The words of a query that count, in runs that no stop word or measure interrupts; single letters are still in them."""
    text = unicodedata.normalize("NFKC", _TAG.sub(" ", query))
    runs: list[list[Token]] = [[]]
    numbers: list[Token] = []
    count = 0
    for chunk in text.split():
        for token in _tokens(chunk):
            count += 1
            if count > MAX_QUERY_WORDS:
                break
            if _MEASURE.match(token[0]):
                numbers.append(token)
            elif token[0] not in _STOP and not (numbers and token[0] in _UNITS):
                runs[-1].append(token)
                continue
            runs.append([])
    kept = [run for run in runs if run]
    return kept or [[token] for token in numbers]


def _form(value: str) -> str:
    """An attribute's value as a query has it, without stop words."""
    return " ".join(word for run in _runs(value) for word, _ in run if len(word) > 1)


def _tokens(chunk: str) -> list[Token]:
    """The words of a piece of text without white space."""
    if initial := _INITIAL.fullmatch(chunk):  # t-shirt, e-bike
        return [(word, "-".join(initial.groups())) for word in words("".join(initial.groups()))]
    normal = words(chunk)
    if not normal:  # a single character may be a word, or the beginning of one: "t shirt"
        return [(chunk.casefold(), chunk)] if len(chunk) == 1 and chunk.isalpha() else []
    typed = _PIECE.findall(chunk)
    return list(zip(normal, typed if len(typed) == len(normal) else normal, strict=True))


def _read_as(runs: list[list[list[Token]]], meant: Mapping[str, str]) -> list[list[list[Token]]]:
    return [[[(meant.get(word, word), typed) for word, typed in tokens] for tokens in run] for run in runs]


def _irregular(counts: Mapping[str, int], fixed: Collection[str]) -> dict[str, str]:
    """{plural: singular} of words that have both, where the ending alone doesn't tell: tvs is one, gps is none."""
    found: dict[str, str] = {}
    for word in counts:
        roots = []
        if word.endswith("s") and not word.endswith("ss") and len(word) >= SHORTEST - 1:
            roots.append(word[:-1])
        if len(word) > SHORTEST and word.endswith("ve"):  # of knives, shelves; "live" and "save" are words of their own
            roots += [f"{word[:-2]}f"] + [f"{word[:-2]}fe"] * word.endswith("ive")
        if word not in fixed and (root := next((root for root in roots if root in counts), "")):
            found[word] = root
    return found


def _one_or_two_words(runs: list[list[list[Token]]], times: Sequence[int]) -> list[list[list[Token]]]:
    """Compounds written in one word or in two, all as the more frequent of them; in one, where they are even."""
    single = _counted(runs, times)
    beside: Counter[tuple[str, str]] = Counter()
    for run, n in zip(runs, times, strict=True):
        for tokens in run:
            for (a, _), (b, _) in zip(tokens, tokens[1:], strict=False):
                beside[a, b] += n
    joined = {(a, b): a + b for a, b in beside if a + b in single and a.isalpha() and b.isalpha()}
    apart: dict[str, tuple[str, str]] = {}
    for (a, b), whole in sorted(joined.items(), key=lambda pair: (-beside[pair[0]], pair[0])):
        if beside[a, b] > single[whole] and len(a) > 1 and len(b) > 1:
            apart.setdefault(whole, (a, b))

    def read(tokens: list[Token]) -> list[Token]:
        result: list[Token] = []
        for word, typed in tokens:
            if word in apart:
                result += [(part, part) for part in apart[word]]
            elif result and (whole := joined.get((result[-1][0], word))) and whole not in apart:
                result[-1] = (whole, f"{result[-1][1]} {typed}")
            else:
                result.append((word, typed))
        return [(word, typed) for word, typed in result if len(word) > 1 or _IDEOGRAPH.match(word)]

    return [[read(tokens) for tokens in run] for run in runs]


def _valued(tokens: list[Token], values: Mapping[str, str]) -> list[Token]:
    """Attribute values of several words as one token, the longest first."""
    result: list[Token] = []
    i = 0
    while i < len(tokens):
        size = next(
            (n for n in range(min(4, len(tokens) - i), 1, -1) if " ".join(word for word, _ in tokens[i : i + n]) in values), 1
        )
        part = tokens[i : i + size]
        result.append((" ".join(word for word, _ in part), " ".join(typed for _, typed in part)))
        i += size
    return result


def _counted(runs: list[list[list[Token]]], times: Sequence[int]) -> Counter[str]:
    """Searches with each word, counted as often as it stands in them."""
    counts: Counter[str] = Counter()
    for run, n in zip(runs, times, strict=True):
        for tokens in run:
            for word, _ in tokens:
                counts[word] += n
    return counts


def _phrased(
    runs: list[list[list[Token]]], times: Sequence[int], total: Mapping[str, int], values: Mapping[str, str]
) -> list[list[list[Token]]]:
    """Neighbours that belong together as one token, the most significant of a query first. total : searches with each token."""
    typed: Counter[tuple[str, str]] = Counter()
    for run, n in zip(runs, times, strict=True):
        for tokens in run:
            for (a, _), (b, _) in zip(tokens, tokens[1:], strict=False):
                typed[a, b] += n
    order = {(a, b): max((a, b), (b, a), key=lambda pair: (typed[pair], pair[::-1])) for a, b in typed}
    beside: Counter[tuple[str, str]] = Counter()
    for pair, n in typed.items():
        beside[order[pair]] += n
    fit = [
        (a, b)
        for (a, b), n in sorted(beside.items())
        if n >= max(MIN_PHRASE, COHESION * min(total[a], total[b]), NARROWS * total[a])
        and a != b
        and a not in values
        and b not in values
        and a.count(" ") + b.count(" ") + 2 <= PHRASE_WORDS
    ]
    if not fit:
        return runs
    ratio = log_likelihood_ratio(
        np.array([beside[pair] for pair in fit], dtype=float),
        np.array([total[a] for a, _ in fit], dtype=float),
        np.array([total[b] for _, b in fit], dtype=float),
        float(sum(n for token, n in total.items() if " " not in token)),
    )
    significant = {pair: float(value) for pair, value in zip(fit, ratio, strict=True) if value >= SIGNIFICANT}
    strength = {pair: significant[proper] for pair, proper in order.items() if proper in significant}

    def read(tokens: list[Token]) -> list[Token]:
        places = [i for i in range(len(tokens) - 1) if (tokens[i][0], tokens[i + 1][0]) in strength]
        taken: set[int] = set()
        for i in sorted(places, key=lambda i: (-strength[tokens[i][0], tokens[i + 1][0]], i)):
            if not {i - 1, i, i + 1} & taken:
                taken.add(i)
        result: list[Token] = []
        for i, (word, written) in enumerate(tokens):
            if i - 1 in taken:
                before, so_far = result[-1]
                result[-1] = (" ".join(order[before, word]), f"{so_far} {written}")
            else:
                result.append((word, written))
        return result

    return [[read(tokens) for tokens in run] for run in runs] if strength else runs


def _collected(runs: list[list[list[Token]]], times: Sequence[int], values: Mapping[str, str]) -> QueryTerms:
    typed: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for run, n in zip(runs, times, strict=True):
        for tokens in run:
            for word, as_typed in tokens:
                typed[word][as_typed] += n
    terms = sorted(typed)
    place = {term: i for i, term in enumerate(terms)}
    rows = [sorted({place[word] for tokens in run for word, _ in tokens}) for run in runs]
    indptr = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=indptr[1:])
    indices = np.array([t for row in rows for t in row], dtype=np.int64)
    return QueryTerms(
        terms=tuple(terms),
        labels=tuple(_label(typed[term]) for term in terms),
        of_query=sparse.csr_matrix((np.ones(len(indices), dtype=bool), indices, indptr), shape=(len(rows), len(terms))),
        attribute=tuple(values.get(term, "") for term in terms),
    )


def _label(typed: Mapping[str, int]) -> str:
    """The most frequent way of writing, whatever its case, in the case in which it is written most."""
    by_word: Counter[str] = Counter()
    for text, n in typed.items():
        by_word[text.casefold()] += n
    best = min(by_word, key=lambda text: (-by_word[text], text))
    return min(_written(typed, best), key=lambda text: (-typed[text], sum(c.isupper() for c in text), text))


def _written(typed: Mapping[str, int], word: str) -> Iterable[str]:
    return (text for text in typed if text.casefold() == word)
