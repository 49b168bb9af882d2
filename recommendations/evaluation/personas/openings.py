"""The first item of a session, foretold before any event: what the prior alone is worth to shoppers nobody knows.

Protocol. The engine is trained on the sessions before a moment; of each later session the item that it begins with is to be in
the first slate, of 20, made from the clock and the session's context. Nothing of the session itself is used. Sessions whose
first item training hasn't seen are left out by the split.

Beside the engine ("guest", "guest_without_persona", as in `priors`) stand the items most visited in training ("popularity") and
those that most sessions began with ("openers"). HitRate@20 and the mean of 1 / place; intervals over sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from personas.sessions import SessionLog
from recommendations.engine import Engine
from recommendations.evaluation.ablations import without
from recommendations.evaluation.personas.priors import CUT, GUEST, WITHOUT, NothingToAsk, Scored, first_slate, scored_of
from recommendations.ranking.history import item_actions


def first_items(
    engine: Engine,
    trained: SessionLog,
    later: SessionLog,
    *,
    contexts: Mapping[str, Mapping[str, str]],
    at_most: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """Places of the first items of later sessions, each a shopper of its own.

    trained, later, contexts, at_most, seed : as for `priors.first_slates`.
    Raises NothingToAsk where no later session has an item.
    """
    asked = item_actions(later)
    if not len(asked):
        raise NothingToAsk("no later session has an item")
    plain = without(engine, "persona", trained)
    known = item_actions(trained)
    n = len(engine.catalogue)
    by_count = {"popularity": _most(known.position, n), "openers": _most(known.position[known.offsets[:-1]], n)}
    made, wanted = [], []
    chosen = np.sort(np.random.default_rng(seed).permutation(len(asked))[:at_most])
    for done, s in enumerate(chosen.tolist()):
        key, at = str(asked.keys[s]), float(asked.starts[s])
        told = contexts.get(key, {})
        slates = {GUEST: first_slate(engine, key, at=at, context=told)}
        slates[GUEST + WITHOUT] = first_slate(plain, key, at=at, context=told)
        made.append(by_count | slates)
        wanted.append([int(asked.position[asked.offsets[s]])])
        if progress and done % 200 == 0:
            progress(done, len(chosen))
    return scored_of(made, wanted, range(len(made)))


def _most(positions: np.ndarray, n: int) -> list[int]:
    """The `CUT` commonest positions, the lower first among equals."""
    most: list[int] = np.argsort(-np.bincount(positions, minlength=n), kind="stable")[:CUT].tolist()
    return most
