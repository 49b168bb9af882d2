"""What a cluster is called and described by: the descriptors it has more often than the shop does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple

import numpy as np
from scipy import sparse

from clusters.catalogue import Catalogue

MIN_SUPPORT = 3
"""Items of a cluster that must share a descriptor before it describes the cluster."""

MIN_LIFT = 1.2
"""Over-representation under this isn't worth a word."""

MIN_COVER = 0.3
"""Share of the cluster's items that a category or tag must cover to stand in its name."""

MOST = 0.5
"""Share that a colour, brand or price range must cover: "Black skirts" of which a third are black made people look twice."""

MAX_DESCRIPTORS = 40
"""Descriptors kept a cluster, the most telling first."""

MAX_HEAD, MAX_TITLE = 70, 40
"""Characters of a name, and of a title behind it; together under 120, however long a shop's titles are."""

MOST_WORDS = 3
"""Words of titles in a name."""

NAMELESS = frozenset(
    (
        *("and", "for", "from", "the", "with", "without", "set", "pack", "piece", "small", "medium", "large", "assorted"),
        *("new", "design", "style", "many", "multi", "colour", "colours", "color", "colors"),
    )
)
"""Words of titles that name no thing."""

OTHER = "Other items"
"""Name of the cluster that holds what was visited but is tied to nothing."""


def descriptor_lift(items: sparse.csr_matrix, item_descriptors: sparse.csr_matrix) -> sparse.csr_matrix:
    """(C, D) float32 CSR: (observed + 1) / (expected + 1) members with the descriptor, where at least `MIN_LIFT`.

    items : (C, n) memberships.  item_descriptors : (n, D).  The added one shrinks small clusters towards 1.
    """
    c, d = items.shape[0], item_descriptors.shape[1]
    if not d or not c:
        return sparse.csr_matrix((c, d), dtype=np.float32)
    # Two products of the same pattern: sorted, their entries are the same in the same order.
    product = sparse.csr_matrix(items @ item_descriptors)
    support = sparse.csr_matrix((items > 0).astype(np.float32) @ (item_descriptors > 0).astype(np.float32))
    product.sort_indices()
    support.sort_indices()
    observed = product.tocoo()
    size = np.asarray(items.sum(1)).ravel()
    overall = np.asarray(item_descriptors.sum(0)).ravel() / max(item_descriptors.shape[0], 1)
    expected = size[observed.row] * overall[observed.col]
    lift = (observed.data + 1.0) / (expected + 1.0)
    enough = support.data >= MIN_SUPPORT
    kept = enough & (lift >= MIN_LIFT)
    row, col, lift = observed.row[kept], observed.col[kept], lift[kept]
    telling = np.log(lift) * observed.data[kept]
    order = np.lexsort((col, -telling, row))
    row, col, lift = row[order], col[order], lift[order]
    start = np.searchsorted(row, np.arange(c))
    top = np.arange(len(row)) - start[row] < MAX_DESCRIPTORS
    return sparse.csr_matrix((lift[top].astype(np.float32), (row[top], col[top])), shape=(c, d))


def cluster_names(
    items: sparse.csr_matrix,
    lift: sparse.csr_matrix,
    catalogue: Catalogue,
    gain: np.ndarray,
    *,
    given: Sequence[str],
    taken: Iterable[str] = (),
) -> tuple[str, ...]:
    """C distinct names such as "Blue skirts, upper price", or "Group around <title>" where nothing describes it.

    Where several share a category, words of their titles tell them apart: "Kitchen: egg, cosy".

    items : (C, n) memberships.  lift : (C, D).  gain : (n,) engagement, which picks the title.
    given : names that clusters already have, "" where they don't; they stay.  taken : names that no new one may have.
    """
    size = np.maximum(np.asarray(items.sum(1)).ravel(), 1e-9)
    cover = sparse.csr_matrix(items @ catalogue.item_descriptors)
    taken = {*taken, *(name for name in given if name)}
    called = {word for name in catalogue.descriptors if name.startswith(("colour=", "brand=")) for word in _words(name)}
    found: dict[int, _Found] = {}
    for c, known in enumerate(given):
        if known:
            continue
        whole = cover[c]
        share = dict(zip(whole.indices.tolist(), (whole.data / size[c]).tolist(), strict=True))
        columns = lift.indices[lift.indptr[c] : lift.indptr[c + 1]].tolist()
        log_lift = np.log(lift.data[lift.indptr[c] : lift.indptr[c + 1]]).tolist()
        telling = sorted(((share[j] * g, j) for j, g in zip(columns, log_lift, strict=True)), key=lambda p: (-p[0], p[1]))
        noun = max(
            (j for j in share if catalogue.descriptors[j].startswith("category=")), key=lambda j: (share[j], -j), default=-1
        )
        ranked = [(catalogue.descriptors[j], share[j]) for _, j in telling]
        found[c] = _described(ranked, "" if noun < 0 else catalogue.descriptors[noun].partition("=")[2], called)
    heads = Counter(f.head for f in found.values())
    names: list[str] = []
    for c, known in enumerate(given):
        if known:
            names.append(known)
            continue
        title = _title(items, c, gain, catalogue)
        head, tail, words, often = found[c]
        name = f"{head}{tail}"
        if words and (heads[head] > 1 or head in taken):
            name = f"{head}: {', '.join(words)}"
        if name in taken and often:
            name = f"{name}, {often}"
        names.append(distinct(_clip(name or f"Group around {title}", MAX_HEAD), _clip(title, MAX_TITLE), taken))
    return tuple(names)


class _Found(NamedTuple):
    """What a name is made of. head : "" where nothing describes the cluster.  tail : of the price.  words : that tell it
    from others of the same head.  often : "often black"."""

    head: str
    tail: str
    words: tuple[str, ...]
    often: str


def _described(ranked: Sequence[tuple[str, float]], noun: str, called: Set[str]) -> _Found:
    """From (descriptor, cover), most telling first. noun : the category most of the items have.  called : colours and brands."""
    chosen: dict[str, str] = {}
    terms: list[tuple[str, float]] = []
    for name, covered in ranked:
        kind, _, value = name.partition("=")
        if kind == "term":
            terms.append((value, covered))
        elif covered >= (MIN_COVER if kind in ("category", "tag") else MOST):
            chosen.setdefault(kind, value)
    if "category" not in chosen and chosen and noun:
        chosen["category"] = noun  # not over-represented, but a name needs a noun
    said = [chosen[k] for k in ("colour", "brand", "category") if k in chosen]
    tail = f", {chosen['price_tier']} price" if "price_tier" in chosen else ""
    fresh = _telling_words(terms, " ".join(said).split())
    if "category" in chosen:
        words = tuple(word for word, _ in _enough([w for w in fresh if w[0] not in called]))
        return _Found(_capital(" ".join(said)), tail, words, _often(ranked))
    things = ", ".join(word for word, _ in _enough(fresh)) or chosen.get("tag", "")
    # "Heart, hanging, upper price" would be read as a list.
    return _Found(_capital(" ".join((*said, things)).strip()), tail if said and not things else "", (), _often(ranked))


def _enough(words: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Two or three of the (word, cover), most telling first, or one that most of the items have; else none. A word alone that
    fewer have is joined by the next, which fewer still have: "Heart" would say it of all."""
    told = [w for w in words if w[1] >= MIN_COVER / 2][:MOST_WORDS]
    if len(told) == 1 and told[0][1] < MOST:
        told += [w for w in words if MIN_COVER / 4 <= w[1] < MIN_COVER / 2][: MOST_WORDS - 1]
    return told if len(told) > 1 or (told and told[0][1] >= MOST) else []


def _title(items: sparse.csr_matrix, c: int, gain: np.ndarray, catalogue: Catalogue) -> str:
    """Title of the item that most of the cluster's engagement is with, not in capitals."""
    entries = slice(items.indptr[c], items.indptr[c + 1])
    rows = items.indices[entries]
    title = catalogue.titles[int(rows[np.argmax(gain[rows] * items.data[entries])])] if len(rows) else ""
    return title.lower() if title.isupper() and " " in title else title


def _words(descriptor: str) -> list[str]:
    return descriptor.partition("=")[2].lower().replace("-", " ").split()


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _often(ranked: Sequence[tuple[str, float]]) -> str:
    """ "often black": what many of the items have, if too few for the name to say it of all; "" for nothing."""
    named = {descriptor.partition("=")[0] for descriptor, covered in ranked if covered >= MOST}
    for descriptor, covered in ranked:
        kind, _, value = descriptor.partition("=")
        if kind in ("colour", "brand", "price_tier") and kind not in named and covered >= MIN_COVER:
            return f"often {value} price" if kind == "price_tier" else f"often {value}"
    return ""


def _telling_words(terms: Sequence[tuple[str, float]], said: Sequence[str]) -> list[tuple[str, float]]:
    """The (term, cover) that name something, without those that are said already, be it in the plural."""
    words: list[tuple[str, float]] = []
    known = [s.lower() for s in said]
    for term, covered in terms:
        repeated = any(t.startswith(s) and len(t) - len(s) <= 2 for w in known for t, s in ((term, w), (w, term)))
        if term not in NAMELESS and not repeated:
            words.append((term, covered))
            known.append(term)
    return words


def distinct(name: str, title: str, taken: set[str]) -> str:
    """The name, or, if it is taken, with the title or a number behind it; `taken` grows by it."""
    candidate = name
    if candidate in taken and title and title not in name:
        candidate = f"{name}, around {title}"
    number = 2
    while candidate in taken:
        candidate = f"{name} ({number})"
        number += 1
    taken.add(candidate)
    return candidate


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
