"""Components on disk: written once, verified, memory-mapped.

A component lives in `<root>/<kind>/<version>/` as one `.npy` an array and a `component.json` with the other values and
every array's checksum. Its version is the hash of that file, so that the same content is the same component and a
half-written one can't be taken for whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from personas.components import from_parts, to_parts

C = TypeVar("C")


class ComponentError(RuntimeError):
    """A component that can't be read, with what to do."""


def save_component(root: Path, kind: str, component: Any, *, catalogue: str = "") -> str:
    """Write a component under `root`/`kind`/ and return its version. Writing the same content twice writes once.

    catalogue : version of the catalogue whose positions it holds, "" if it holds none.
    """
    arrays, meta = to_parts(component)
    folder = root / kind
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        described = {}
        for name, array in arrays.items():
            path = scratch / f"{name}.npy"
            with path.open("wb") as file:
                np.save(file, np.ascontiguousarray(array), allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            described[name] = _sha256(path)
        text = json.dumps({"kind": kind, "catalogue": catalogue, "arrays": described, "meta": meta}, sort_keys=True)
        version = hashlib.sha256(text.encode()).hexdigest()[:16]
        (scratch / "component.json").write_text(text)
        target = folder / version
        if not target.exists():
            scratch.chmod(0o755)
            scratch.rename(target)
        return version
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def load_component(root: Path, kind: str, cls: type[C], version: str, *, catalogue: str | None = None) -> C:
    """A component, memory-mapped read-only, after its checksums are verified. Raises ComponentError.

    catalogue : the version that it must belong to; None where that doesn't matter.
    """
    folder = root / kind / version
    try:
        text = (folder / "component.json").read_text()
    except OSError as error:
        raise ComponentError(f"{kind} {version} is not on disk ({error.strerror}); train again or restore a backup") from error
    if hashlib.sha256(text.encode()).hexdigest()[:16] != version:
        raise ComponentError(f"{kind} {version}: component.json was changed after it was written")
    described = json.loads(text)
    if catalogue is not None and described["catalogue"] != catalogue:
        raise ComponentError(f"{kind} {version} belongs to catalogue {described['catalogue']}, not to {catalogue}")
    arrays: dict[str, np.ndarray] = {}
    for name, checksum in described["arrays"].items():
        path = folder / f"{name}.npy"
        if not path.exists() or _sha256(path) != checksum:
            raise ComponentError(f"{kind} {version}: {name}.npy is missing or damaged; restore it from a backup")
        # A plain view of the map: the memmap class costs microseconds at every slice.
        arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    try:
        return from_parts(cls, arrays, described["meta"])
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{kind} {version} was written by another version of this software ({error}); train again"
        raise ComponentError(reason) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
