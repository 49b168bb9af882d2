"""Which clusters suit the personas now: similarity of a profile and a cluster, and the selection that follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TERMS = ("mass", "transition", "affinity", "persona")
"""Columns of `Selection.terms`."""


@dataclass(frozen=True)
class Selection:
    """The S clusters chosen for a step.

    rows : (S,) int32 cluster positions, best first.  score : (S,) float32.
    weight : (S,) float32 multiplier of the session's adaptation, already within `score`.
    persona : (S,) int32 archetype position for which the cluster is, -1 where there are no personas.
    terms : (S, 4) float32, contributions named in `TERMS`; their sum times `weight` is `score`.
    """

    rows: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    persona: np.ndarray
    terms: np.ndarray
