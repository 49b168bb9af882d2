"""What a cluster is called and described by: the descriptors it has more often than the shop does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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

NAMELESS = frozenset(
    ("and", "for", "from", "the", "with", "without", "set", "pack", "piece", "small", "medium", "large", "assorted")
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
    observed = sparse.csr_matrix(items @ item_descriptors).tocoo()
    support = sparse.csr_matrix((items > 0).astype(np.float32) @ (item_descriptors > 0).astype(np.float32))
    size = np.asarray(items.sum(1)).ravel()
    overall = np.asarray(item_descriptors.sum(0)).ravel() / max(item_descriptors.shape[0], 1)
    expected = size[observed.row] * overall[observed.col]
    lift = (observed.data + 1.0) / (expected + 1.0)
    enough = np.asarray(support[observed.row, observed.col]).ravel() >= MIN_SUPPORT
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

    items : (C, n) memberships.  lift : (C, D).  gain : (n,) engagement, which picks the title.
    given : names that clusters already have, "" where they don't; they stay.  taken : names that no new one may have.
    """
    size = np.maximum(np.asarray(items.sum(1)).ravel(), 1e-9)
    cover = sparse.csr_matrix(items @ catalogue.item_descriptors)
    taken = {*taken, *(name for name in given if name)}
    names: list[str] = []
    for c, known in enumerate(given):
        if known:
            names.append(known)
            continue
        member = slice(items.indptr[c], items.indptr[c + 1])
        rows = items.indices[member]
        title = catalogue.titles[int(rows[np.argmax(gain[rows] * items.data[member])])] if len(rows) else ""
        whole = cover[c]
        share = dict(zip(whole.indices.tolist(), (whole.data / size[c]).tolist(), strict=True))
        columns = lift.indices[lift.indptr[c] : lift.indptr[c + 1]].tolist()
        log_lift = np.log(lift.data[lift.indptr[c] : lift.indptr[c + 1]]).tolist()
        telling = sorted(((share[j] * g, j) for j, g in zip(columns, log_lift, strict=True)), key=lambda p: (-p[0], p[1]))
        common = sorted(share, key=lambda j: (-share[j], j))
        ranked = [(catalogue.descriptors[j], share[j]) for _, j in telling]
        name = _compose(ranked, [catalogue.descriptors[j] for j in common])
        if name in taken and (often := _often(ranked)):
            name = f"{name}, {often}"
        names.append(distinct(_clip(name or f"Group around {title}", MAX_HEAD), _clip(title, MAX_TITLE), taken))
    return tuple(names)


def _compose(ranked: Sequence[tuple[str, float]], common: Sequence[str]) -> str:
    """A name from (descriptor, cover), most telling first; `common` are all of them, most frequent first."""
    chosen: dict[str, str] = {}
    terms: list[str] = []
    for name, covered in ranked:
        kind, _, value = name.partition("=")
        if kind == "term":
            if covered >= MIN_COVER / 2:
                terms.append(value)
        elif covered >= (MIN_COVER if kind in ("category", "tag") else MOST):
            chosen.setdefault(kind, value)
    if "category" not in chosen and chosen and common:
        # Not over-represented, but a name needs a noun: the category most of its items have.
        noun = next((d.partition("=")[2] for d in common if d.startswith("category=")), "")
        if noun:
            chosen["category"] = noun
    words = [chosen[k] for k in ("colour", "brand", "category") if k in chosen]
    if "category" not in chosen:
        fresh = _telling_words(terms, " ".join(words).split())[:3]
        words += [", ".join(fresh)] if fresh else [chosen["tag"]] if "tag" in chosen else []
    if not words:
        return ""
    head = " ".join(words)
    tail = f", {chosen['price_tier']} price" if "price_tier" in chosen else ""
    return f"{head[0].upper()}{head[1:]}{tail}"


def _often(ranked: Sequence[tuple[str, float]]) -> str:
    """ "often black": what many of the items have, if too few for the name to say it of all; "" for nothing."""
    named = {descriptor.partition("=")[0] for descriptor, covered in ranked if covered >= MOST}
    for descriptor, covered in ranked:
        kind, _, value = descriptor.partition("=")
        if kind in ("colour", "brand", "price_tier") and kind not in named and covered >= MIN_COVER:
            return f"often {value} price" if kind == "price_tier" else f"often {value}"
    return ""


def _telling_words(terms: Sequence[str], said: Sequence[str]) -> list[str]:
    """The terms that name something, without those that are said already, be it in the plural."""
    words: list[str] = []
    for term in terms:
        known = any(t.startswith(s) and len(t) - len(s) <= 2 for w in (*said, *words) for t, s in ((term, w), (w, term)))
        if term not in NAMELESS and not known:
            words.append(term)
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
