"""What says the same thing again is no new evidence: what the chain reads of the codes of `personas.encoding`.

The factors of an event count as independent given the persona; two rules keep what plainly isn't from counting twice.

- *Novelty* speaks of a look (`view_item`, `select_item`). A cart, a wish or a purchase is nearly always of the item just
  looked at: whatever the persona, "add to cart" and "repeat" come together. Left in, a fit gives the pair a state of its own,
  and the archetype named by returning to things is lost to it: on simulated shoppers of the fashion shop, 80 % of the fifth
  steps had the right persona instead of 86 %, and the calibration error was 0.074 instead of 0.019.
- A step on the very item of the step before (`same_turn`) is the same persona's turn going on: whether two take turns is not
  asked anew (`courses.enrich`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from personas.encoding import ABSENT, FACTORS, REPEAT, Steps
from personas.events import CODE

_EVENT, _NOVELTY = FACTORS.index("event"), FACTORS.index("novelty")
_LOOKS = (CODE["view_item"], CODE["select_item"])


def once(codes: tuple[int, ...]) -> tuple[int, ...]:
    """The codes of one event without what they say twice. codes : F ints, as `encoding.encode` gives them."""
    if codes[_NOVELTY] == ABSENT or codes[_EVENT] in _LOOKS:
        return codes
    return (*codes[:_NOVELTY], ABSENT, *codes[_NOVELTY + 1 :])


def steps_once(steps: Steps) -> Steps:
    """The steps of a log, each read as `once` reads it online."""
    codes = steps.codes.copy()
    codes[~np.isin(codes[:, _EVENT], _LOOKS), _NOVELTY] = ABSENT
    return replace(steps, codes=codes)


def same_turn(codes: tuple[int, ...]) -> bool:
    """Whether the step is on the item of the step before. codes : F ints, as `encoding.encode` gives them."""
    return codes[_NOVELTY] == REPEAT
