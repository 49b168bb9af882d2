"""Work in stages, between which whoever runs it may do the same stage of other work. Pure.

A step of the loop reads much code and many tables, and finds the processor's caches full of another step's. Where several steps
are due at once, the same stage of each, one right after the other, finds them warm (`recommendations.serving.cohorts`).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Stages = Generator[None, None, T]
"""Yields between its stages and returns its outcome. Nothing that others could change is held across a yield."""


def finished(stages: Stages[T]) -> T:
    """The outcome of all the stages, one right after the other."""
    while True:
        try:
            next(stages)
        except StopIteration as end:
            outcome: T = end.value
            return outcome
