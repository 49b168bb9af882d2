"""The words of searches in one written form: case, accents, plurals, spelling variants, phrases that belong together."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import sparse


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
