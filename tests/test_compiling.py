"""What is kept of compiled functions, and when it is compiled anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

INNER = """
from personas.compiling import compiled_sums

@compiled_sums
def step(x):
    return x + {added}
"""
OUTER = """
from personas.compiling import compiled
from inner import step

@compiled
def twice(x):
    return step(step(x))
"""


def answer(folder: Path) -> tuple[float, int]:
    """What a process of its own is answered, and how many functions it took from what was kept."""
    code = "import outer; print(outer.twice(1.0), len(outer.twice.stats.cache_hits))"
    environment = {"PYTHONPATH": f"{folder}:{Path(__file__).parents[1]}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    said, kept = done.stdout.split()
    return float(said), int(kept)


def test_what_calls_a_function_of_another_file_is_compiled_anew_when_that_file_changes(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text(INNER.format(added=1))
    (tmp_path / "outer.py").write_text(OUTER)
    assert answer(tmp_path) == (3.0, 0)
    assert answer(tmp_path) == (3.0, 1)
    (tmp_path / "inner.py").write_text(INNER.format(added=10))
    assert answer(tmp_path) == (21.0, 0)
