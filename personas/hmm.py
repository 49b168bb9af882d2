"""The persona HMM: hidden archetypes, factored categorical observations, filtered in log space.

P(o | z) is the product of P(o_f | z) over the factors f that are present. Reference: Rabiner (1989), "A tutorial on
hidden Markov models", section III; the names predict and condition are those of Bayesian filtering.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PersonaHMM:
    """K hidden states over F factors; all tables are normalised log-probabilities, float64.

    log_initial : (K,).  log_transition : (K, K), rows from, columns to.
    log_emission : F tables (K, V_f), V_f values of factor f.
    learned : (F,) bool, factors whose table the log has taught; the others are at their prior.
    """

    log_initial: np.ndarray
    log_transition: np.ndarray
    log_emission: tuple[np.ndarray, ...]
    learned: np.ndarray
