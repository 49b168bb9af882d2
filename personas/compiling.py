"""Functions compiled to machine code when they are first called, kept beside the source for the processes after.

A kept function is compiled anew when its own file changes, or one that its file imports compiled functions, intrinsics or tuples
from by name (numba alone looks at the first, and would go on with the old code of the others). It must not read constants of
other files: what may change is an argument. Read-only arrays are another type than writable ones, so whoever calls settles on
one of them (`readonly`), or every function is compiled and kept twice.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic

F = TypeVar("F", bound=Callable[..., Any])

SUMS = {"reassoc", "contract", "nsz"}
"""What a sum of products may be rearranged by. Nothing is assumed of NaN and infinity."""


def compiled(function: F) -> F:
    """As written, rounding and all; other threads run meanwhile."""
    return _compiled(function, fastmath=set())


def compiled_sums(function: F) -> F:
    """`compiled`, with sums in whatever order is fastest: for products of vectors."""
    return _compiled(function, fastmath=SUMS)


def _compiled(function: F, *, fastmath: set[str]) -> F:
    # What may add up in another order is compiled into each that calls it: called, it would be that caller's copy of it or
    # another, by which of them a process had first, and the last digits with it.
    options: dict[str, Any] = {"nogil": True, "fastmath": fastmath, "error_model": "numpy", "forceinline": bool(fastmath)}
    try:
        kept = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder to keep it in: each process compiles for itself
        return cast(F, numba.njit(**options)(function))
    if not isinstance(kept, Dispatcher):  # NUMBA_DISABLE_JIT, to look into a loop
        return cast(F, kept)
    imported = [v for v in function.__globals__.values() if getattr(v, "__module__", None) != function.__module__]
    stamps = {_stamp(one) for one in imported if isinstance(one, Dispatcher)}
    stamps |= {
        _source(one) for one in imported if isinstance(one, _Intrinsic) or isinstance(one, type) and issubclass(one, tuple)
    }
    told = (_stamp(kept), sorted(fastmath), sorted(map(repr, stamps)))
    cast(Any, kept)._cache._cache_file._source_stamp = hashlib.sha256(repr(told).encode()).hexdigest()
    return cast(F, kept)


def _stamp(kept: Any) -> Any:
    """By what numba tells whether the code that is kept is that of the source."""
    return kept._cache._cache_file._source_stamp


def _source(one: Any) -> str:
    """Of what is compiled into its users: all of the file that it is written in."""
    return inspect.getsource(inspect.getmodule(getattr(one, "_defn", one)) or one)


def readonly(array: np.ndarray, dtype: type) -> np.ndarray:
    """The array as a read-only, C-contiguous one of a type; a view where it can be."""
    view: np.ndarray = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view
