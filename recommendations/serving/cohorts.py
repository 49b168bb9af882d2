"""Turns that are due at the same time are computed stage by stage: the same stage of each, then the next.

A turn computed from end to end finds the processor's caches full of what other stages read; the same stage of several turns finds
its own code and tables there. Only the order of things changes: no turn sees another's.
Reference: Larus and Parkes, "Using Cohort Scheduling to Enhance Server Performance" (USENIX 2002).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, TypeVar

from recommendations.stages import Stages

T = TypeVar("T")

LARGEST = 3
"""Turns in a cohort. All of one are answered when its last is computed: sixteen at once answer a seventh more requests, and at
half of that load wait twice as long."""


class Cohorts:
    """Of one event loop: what is due in one turn of it is a cohort."""

    def __init__(self) -> None:
        self._due: deque[tuple[Stages[Any], asyncio.Future[Any]]] = deque()

    async def run(self, stages: Stages[T]) -> T:
        """The outcome of stages, each done beside the same one of whatever else is due. Raises what they raise."""
        loop = asyncio.get_running_loop()
        if not self._due:
            loop.call_soon(self._compute)
        outcome: asyncio.Future[T] = loop.create_future()
        self._due.append((stages, outcome))
        return await outcome

    def _compute(self) -> None:
        due = self._due
        cohort = [due.popleft() for _ in range(min(LARGEST, len(due)))]
        if due:
            asyncio.get_running_loop().call_soon(self._compute)
        while cohort:
            cohort = [each for each in cohort if _stage(*each)]


def _stage(stages: Stages[T], outcome: asyncio.Future[T]) -> bool:
    """Do one stage; whether another is left."""
    try:
        next(stages)
    except StopIteration as end:
        if not outcome.done():
            outcome.set_result(end.value)
    except Exception as error:
        if not outcome.done():
            outcome.set_exception(error)
    else:
        return not outcome.done()  # who was cancelled meanwhile is not waited for
    return False
