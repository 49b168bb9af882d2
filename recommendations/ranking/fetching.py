"""Telling the processor what is read next, for loops whose reads it cannot guess."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic


def _fetch(typing: Any, array: Any, place: Any) -> Any:
    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        held = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.bitcast(builder.gep(held.data, [args[1]]), cgutils.voidptr_t)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, *(ir.IntType(32),) * 3])
        insert: Any = cgutils.get_or_insert_function
        function = insert(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [pointer, ir.IntType(32)(0), ir.IntType(32)(3), ir.IntType(32)(1)])  # to read, to keep, data
        return context.get_dummy_value()

    return types.void(array, types.intp), write


fetch = cast(Callable[[np.ndarray, int], None], intrinsic(_fetch))
"""In compiled loops: has the line that holds a value of an array brought near, by its place in the flat array; nothing waits."""
