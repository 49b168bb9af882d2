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


READ = """
import hashlib, sys
import numpy as np
from recommendations.ranking import encoder_kernels as kernels

rng = np.random.default_rng(0)
means = rng.standard_normal((60, 96), dtype=np.float32)
inputs, lags = rng.standard_normal((50, 96), dtype=np.float32), rng.random((10, 96), dtype=np.float32)
codes, mixing = rng.random(20, dtype=np.float32), rng.standard_normal((2, 96, 96), dtype=np.float32)
if sys.argv[1] == "before":
    kernels.affinities(means, means[0])
said = hashlib.sha256()
for n in range(100):
    history = rng.integers(50, size=5), np.ones(5, dtype=np.int8)
    for found in kernels.session_read(inputs, lags, codes, mixing[0], mixing[1], *history, means):
        said.update(found.tobytes())
print(said.hexdigest())
"""


PARTS = """
from typing import NamedTuple

from numba.core import types
from numba.extending import intrinsic

class Pair(NamedTuple):
    {first}: float
    {second}: float

@intrinsic
def {scaled}(context, x):
    def build(_, builder, __, values):
        return builder.fmul(values[0], values[0].type({scale}))
    return types.float64(types.float64), build
"""
USER = """
from personas.compiling import compiled
from parts import Pair, scaled

@compiled
def twice(x):
    pair = Pair(x, 0.0)
    return scaled(pair.near - pair.far)
"""


def answer(folder: Path) -> tuple[float, int]:
    """What a process of its own is answered, and how many functions it took from what was kept."""
    code = "import outer; print(outer.twice(1.0), len(outer.twice.stats.cache_hits))"
    environment = {"PYTHONPATH": f"{folder}:{Path(__file__).parents[1]}", "PATH": "/usr/bin:/bin"}
    said, kept = printed(code, environment).split()
    return float(said), int(kept)


def printed(code: str, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_what_calls_a_function_of_another_file_is_compiled_anew_when_that_file_changes(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text(INNER.format(added=1))
    (tmp_path / "outer.py").write_text(OUTER)
    assert answer(tmp_path) == (3.0, 0)
    assert answer(tmp_path) == (3.0, 1)
    (tmp_path / "inner.py").write_text(INNER.format(added=10))
    assert answer(tmp_path) == (21.0, 0)


def test_what_reads_a_tuple_or_an_intrinsic_of_another_file_is_compiled_anew_when_that_file_changes(tmp_path: Path) -> None:
    fields = {"first": "near", "second": "far", "scaled": "scaled"}
    (tmp_path / "parts.py").write_text(PARTS.format(**fields, scale=2.0))
    (tmp_path / "outer.py").write_text(USER)
    assert answer(tmp_path) == (2.0, 0)
    assert answer(tmp_path) == (2.0, 1)
    (tmp_path / "parts.py").write_text(PARTS.format(**fields, scale=3.0) + "\n")
    assert answer(tmp_path) == (3.0, 0)
    (tmp_path / "parts.py").write_text(PARTS.format(**fields | {"first": "far", "second": "near"}, scale=3.0))
    assert answer(tmp_path) == (-3.0, 0)


def test_who_compiles_a_loop_and_who_reads_it_are_told_the_same_to_the_last_digit(tmp_path: Path) -> None:
    """Whichever of the functions a process had first: sums of products are in no order that anybody promised."""
    environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": "/usr/bin:/bin", "NUMBA_CACHE_DIR": str(tmp_path)}
    said = [printed(READ, environment, first) for first in ("compiled here", "before", "kept")]
    assert len(set(said)) == 1, said
