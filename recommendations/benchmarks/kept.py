"""Figures of worlds that a run has measured, kept in a file, so that a later run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recommendations.benchmarks.load import BenchmarkError
from recommendations.evaluation.adaptation.worlds import FIGURES, Course

DECIMALS = 6


class Kept:
    """One line of JSON for each part and seed. path : None to keep nothing.

    settings : what figures depend on beside the seed and the code. Raises BenchmarkError where the file is of others, or holds
    something else: figures of two kinds are not to be mixed. A last line that a killed run left unfinished is cut off.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, json.loads(json.dumps(settings))
        self._rows: dict[tuple[str, int], list[Course]] = {}
        if path is None or not path.exists():
            return
        text = path.read_text(encoding="utf-8")
        if text and not text.endswith("\n"):
            text = text[: text.rfind("\n") + 1]
            path.write_text(text, encoding="utf-8")
        for number, line in enumerate(text.splitlines(), 1):
            try:
                row = json.loads(line)
                of, place = row["settings"], (row["part"], row["seed"])
                courses = [_course(told) for told in row["courses"]]
            except (ValueError, KeyError, TypeError) as error:
                raise BenchmarkError(f"--keep: {path}, line {number} is not what this benchmark keeps ({error})") from None
            if of != self.settings:
                other = sorted(name for name in of.keys() | self.settings.keys() if of.get(name) != self.settings.get(name))
                raise BenchmarkError(f"--keep: {path}, line {number} was measured with another {', '.join(other)}")
            self._rows[place] = courses

    def of(self, part: str) -> dict[int, list[Course]]:
        """Seed -> its courses, as far as they are known."""
        return {seed: courses for (name, seed), courses in self._rows.items() if name == part}

    def add(self, part: str, seed: int, courses: Sequence[Course]) -> None:
        """Keeps a world's figures at once."""
        if self.path is None:
            return
        told = [
            {"name": c.name, "blocked": c.blocked} | {what: np.round(getattr(c, what), DECIMALS).tolist() for what in FIGURES}
            for c in courses
        ]
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"part": part, "seed": seed, "settings": self.settings, "courses": told}) + "\n")


def _course(told: Mapping[str, Any]) -> Course:
    figures = {what: np.array(told[what], dtype=np.float64) for what in FIGURES}
    return Course(str(told["name"]), **figures, blocked=dict(told["blocked"]), logs=[])
