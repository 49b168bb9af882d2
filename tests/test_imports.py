"""The direction of imports, and the purity of the modules that must be pure, read from the source itself.

PURE is the one list of pure modules; `pyproject.toml` repeats it for mypy, and a test compares the two.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PURE = (
    "personas.archetypes",
    "personas.assembly",
    "personas.compiling",
    "personas.components",
    "personas.courses",
    "personas.encoding",
    "personas.events",
    "personas.evidence",
    "personas.fitting",
    "personas.history",
    "personas.hmm",
    "personas.kernels",
    "personas.ledger",
    "personas.memory",
    "personas.profile",
    "personas.queries",
    "personas.repeats",
    "personas.reweighing",
    "personas.sessions",
    "personas.summaries",
    "personas.training",
    "clusters.adaptation",
    "clusters.adapted",
    "clusters.alignment",
    "clusters.bounds",
    "clusters.catalogue",
    "clusters.catalogue_changes",
    "clusters.correlated_attributes",
    "clusters.currencies",
    "clusters.communities",
    "clusters.contrasts",
    "clusters.covisitation",
    "clusters.crediting",
    "clusters.decision_log",
    "clusters.derived",
    "clusters.descriptor_search",
    "clusters.edits",
    "clusters.expansions",
    "clusters.gate",
    "clusters.identity",
    "clusters.item_clusters",
    "clusters.kept_out",
    "clusters.kernels",
    "clusters.lasting",
    "clusters.learned",
    "clusters.learning",
    "clusters.memberships",
    "clusters.naming",
    "clusters.off_policy",
    "clusters.options",
    "clusters.parts",
    "clusters.passed_over",
    "clusters.policy",
    "clusters.provenance",
    "clusters.postings",
    "clusters.query_clusters",
    "clusters.query_terms",
    "clusters.reach",
    "clusters.rewards",
    "clusters.search_clusters",
    "clusters.search_history",
    "clusters.search_index",
    "clusters.search_titles",
    "clusters.sequential",
    "clusters.sights",
    "clusters.thompson",
    "clusters.vocabulary",
    "recommendations.cluster_reports",
    "recommendations.engine",
    "recommendations.replaying",
    "recommendations.counterfactual",
    "recommendations.reasons",
    "recommendations.why",
    "recommendations.fit_reports",
    "recommendations.desk.personas.charts",
    "recommendations.desk.personas.previews",
    "recommendations.desk.personas.trials",
    "recommendations.session",
    "recommendations.session_view",
    "recommendations.slates",
    "recommendations.stages",
    "recommendations.overlay",
    "recommendations.overlay_deltas",
    "recommendations.parts",
    "recommendations.ranking.*",
    "recommendations.evaluation.ablations",
    "recommendations.evaluation.adaptation.*",
    "recommendations.evaluation.asked",
    "recommendations.evaluation.baselines",
    "recommendations.evaluation.breakdown",
    "recommendations.evaluation.figures",
    "recommendations.evaluation.metrics",
    "recommendations.evaluation.personas.*",
    "recommendations.evaluation.planted",
    "recommendations.evaluation.plots",
    "recommendations.evaluation.report_page",
    "recommendations.evaluation.resampling",
    "recommendations.evaluation.search_terms",
    "recommendations.evaluation.simulation.*",
    "recommendations.evaluation.tally",
    "recommendations.desk.stacks",
    "recommendations.training",
    "recommendations.web.drawing.*",
)
RANK = {"personas": 0, "clusters": 1, "recommendations": 2, "recsite": 3}
"""A package may import itself and those below it."""

WIRED_BY_HAND = ("*.management.commands.*", "recommendations.benchmarks.*")
"""Shell modules above `recsite`: commands that start servers or read no settings through it."""

NUMERIC = {"numpy", "scipy", "sklearn", "hmmlearn", "joblib", "llvmlite", "numba", "sknetwork", "rapidfuzz"}
WORLDLY = {
    *("asyncio", "fcntl", "glob", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select"),
    *("shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "time", "urllib", "uuid"),
}
"""Standard library modules that know the clock, the machine, or randomness of their own."""

SEEDED = {"Generator", "BitGenerator", "Philox", "PCG64", "SeedSequence", "default_rng"}
"""What a pure module may use of `numpy.random`: types, and generators made from a seed."""

CLOCK_CALLS = {"now", "utcnow", "today"}


def is_pure(module: str) -> bool:
    return any(fnmatch(module, pattern) for pattern in PURE)


def imported(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Every module that the tree imports, wherever in it; `from a import b` gives both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + (1 if is_package else 0)]
                base = ".".join([*kept, base]).strip(".")
            yield base
            for alias in node.names:
                yield f"{base}.{alias.name}"


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute chain; empty for anything else."""
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return node.id if isinstance(node, ast.Name) else ""


def impurities(tree: ast.AST) -> Iterator[str]:
    """Calls that reach the world without an import of their own: files, the clock, global or unseeded randomness."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            for prefix in ("np.random.", "numpy.random."):
                if name.startswith(prefix) and name.removeprefix(prefix).split(".")[0] not in SEEDED:
                    yield f"line {node.lineno} uses the global generator, {name}"
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in {"open", "input", "print", "eval", "exec", "__import__", "breakpoint"}:
            yield f"line {node.lineno} calls {name}"
        elif "." in name and name.rsplit(".", 1)[1] in CLOCK_CALLS:
            yield f"line {node.lineno} reads the clock, {name}"
        elif name.endswith("default_rng") and not node.args and not node.keywords:
            yield f"line {node.lineno} makes an unseeded generator"
        elif name in {"np.load", "np.save", "np.savez", "np.fromfile", "np.loadtxt", "np.genfromtxt", "np.memmap"}:
            yield f"line {node.lineno} reads or writes a file, {name}"


def breaches(sources: Mapping[str, str]) -> list[str]:
    """What is wrong with the modules, {dotted name: source}; a package is named without `.__init__`."""
    packages = {name.rsplit(".", 1)[0] for name in sources if "." in name}
    found = []
    for module, source in sorted(sources.items()):
        tree = ast.parse(source)
        names = sorted(set(imported(tree, module, module in packages)))
        own = module.split(".")[0]
        for name in names:
            top = name.split(".")[0]
            if RANK.get(top, -1) > RANK[own] and not (top == "recsite" and any(fnmatch(module, p) for p in WIRED_BY_HAND)):
                found.append(f"{module} imports {name}: imports point recommendations -> clusters -> personas")
            if not is_pure(module):
                continue
            if top in RANK:
                whole = name in sources or not any(name.startswith(f"{other}.") for other in sources)
                if whole and name not in packages and not is_pure(name):
                    found.append(f"{module} is pure but imports {name}, which is not")
            elif top in WORLDLY or (top not in sys.stdlib_module_names and top not in NUMERIC):
                found.append(f"{module} is pure but imports {name}")
        if is_pure(module):
            found.extend(f"{module} is pure but {fault}" for fault in impurities(tree))
    return found


def project() -> dict[str, str]:
    sources = {}
    for package in RANK:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return sources


def test_project_keeps_direction_and_purity() -> None:
    assert breaches(project()) == []


def test_every_pure_module_is_there() -> None:
    """A renamed module must not slip out of the list."""
    modules = project()
    assert [pattern for pattern in PURE if not any(fnmatch(module, pattern) for module in modules)] == []


def test_mypy_is_strict_on_the_same_modules() -> None:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    strict = next(each["module"] for each in overrides if each.get("disallow_untyped_defs"))
    assert sorted(strict) == sorted(PURE)


CLEAN = {
    "personas": "",
    "personas.hmm": "import math\nimport numpy as np\nrng = np.random.default_rng(3)\nnp.random.Generator",
    "personas.models": "from django.db import models\n",
    "clusters": "",
    "clusters.alignment": "from personas.hmm import PersonaHMM\nfrom personas import hmm\n",
    "recommendations": "",
    "recommendations.ranking": "",
    "recommendations.ranking.ranker": "from clusters import alignment\nfrom . import blend\n",
    "recommendations.ranking.blend": "import scipy.sparse\n",
    "recsite": "",
    "recsite.urls": "from recommendations import api\n",
    "recommendations.api": "",
}


def test_a_clean_project_has_no_breach() -> None:
    assert breaches(CLEAN) == []


@pytest.mark.parametrize(
    ("module", "source", "told"),
    [
        ("personas.models", "from clusters.models import Item", "personas.models imports clusters.models"),
        ("clusters.views", "def f():\n    import recommendations.engine", "clusters.views imports recommendations.engine"),
        ("recommendations.api", "from recsite import settings", "recommendations.api imports recsite"),
        ("personas.hmm", "from personas.models import Shop", "personas.hmm is pure but imports personas.models"),
        ("personas.hmm", "from . import models", "personas.hmm is pure but imports personas.models"),
        ("personas.hmm", "from django.conf import settings", "personas.hmm is pure but imports django.conf"),
        ("personas.hmm", "import os", "personas.hmm is pure but imports os"),
        ("personas.hmm", "from time import time", "personas.hmm is pure but imports time"),
        ("personas.hmm", "import redis", "personas.hmm is pure but imports redis"),
        ("personas.hmm", "import numpy as np\nnp.random.seed(1)", "uses the global generator, np.random.seed"),
        ("personas.hmm", "import numpy as np\nnp.random.default_rng()", "makes an unseeded generator"),
        ("personas.hmm", "open('x')", "line 1 calls open"),
        ("personas.hmm", "import datetime as dt\ndt.datetime.now()", "reads the clock, dt.datetime.now"),
        ("recommendations.ranking.blend", "import numpy as np\nnp.load('x')", "reads or writes a file, np.load"),
    ],
)
def test_a_planted_breach_is_caught(module: str, source: str, told: str) -> None:
    found = breaches({**CLEAN, module: source})
    assert any(told in line for line in found), found
