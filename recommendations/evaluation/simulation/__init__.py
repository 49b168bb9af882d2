"""Shoppers whose personas are known, who shop by choice rules over item attributes, and the best that anyone could infer.

`build_world` gives a shop's personas tastes, habits, words and circumstances; `simulate` lets them shop; `exact` says what
the events that they leave could tell at best; `to_log` turns sessions into what training reads; `missions` has shoppers who
search for things that belong together. Nothing here knows
the HMM: a model that does well on these shoppers does so on a behaviour that isn't its own.
"""

from recommendations.evaluation.simulation.kinds import KINDS, Kinds
from recommendations.evaluation.simulation.log import to_log
from recommendations.evaluation.simulation.shoppers import SimulatedSession, simulate
from recommendations.evaluation.simulation.walk import Visit
from recommendations.evaluation.simulation.world import OVERLAP, World, build_world

__all__ = ["KINDS", "OVERLAP", "Kinds", "SimulatedSession", "Visit", "World", "build_world", "simulate", "to_log"]
