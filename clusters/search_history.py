"""What shoppers search for together: search sessions cut into segments, and pairs of queries counted across them.

After US 9,727,906 (see docs/merchandisers.md): a segment is a run of a visit's actions without a pause longer than the
inactivity gap; queries of one segment belong to one purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from personas.components import Text

NO_MARKET = -1
"""Market of a segment of whose circumstances nothing is known."""


@dataclass(frozen=True)
class QueryStats:
    """Counts over S segments with a search, of Q distinct queries as they were typed (white space apart).

    Two of these from disjoint parts of a log add up to that of the whole (`merge`), so that a rebuild reads only what is new.

    queries : Q, ascending.  searches : (Q,) int64 segments in which each was searched.
    pairs : (Q, Q) CSR int64, symmetric, no diagonal: segments in which both were searched.
    item_ids : (n,) int64, ascending.  engaged : (Q, n) CSR float64, engagement with items between the query and the next
        one of its segment (event-weighted, `personas.events.ENGAGEMENT`).
    markets : M names "country=Germany", "device=mobile", ...  by_market : (Q, M) CSR int64 segments of the market with the query.
    market_segments : (M,) int64 segments of each market.  segments : S.
    """

    queries: Text
    searches: np.ndarray
    pairs: sparse.csr_matrix
    item_ids: np.ndarray
    engaged: sparse.csr_matrix
    markets: tuple[str, ...]
    by_market: sparse.csr_matrix
    market_segments: np.ndarray
    segments: int
