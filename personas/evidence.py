"""Who, where and when: a Bayesian network from personas to evidence, giving a session its prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EvidenceNetwork:
    """The persona is the parent of each of M evidence variables, which are independent given it.

    log_initial : (K,) log P(persona).
    variables : M names, such as "country" or "daypart".  values : the values known of each.
    log_tables : M tables (K, values), log P(value | persona).
    """

    log_initial: np.ndarray
    variables: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    log_tables: tuple[np.ndarray, ...]
