"""What a release is made of: frozen dataclasses of arrays, taken apart and put together again.

A *component* (catalogue facts, persona model, item clusters, ranker, policy) is a frozen dataclass whose
fields are numpy arrays, scipy CSR matrices, `Text`, nested components, or plain JSON values. `to_parts`
turns it into named arrays and a JSON-able dict; `from_parts` is its inverse. Nothing is pickled: arrays are
stored as `.npy` and can be memory-mapped, the rest is JSON.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
from scipy import sparse

C = TypeVar("C")


@dataclasses.dataclass(frozen=True)
class Text:
    """Many strings as one UTF-8 blob, so that a million titles can be memory-mapped.

    blob : (bytes,) uint8.  offsets : (n + 1,) int64, string i is blob[offsets[i]:offsets[i + 1]].
    """

    blob: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, strings: Iterable[str]) -> Text:
        encoded = [s.encode() for s in strings]
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(e) for e in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> str:
        if i < 0:
            raise IndexError(f"text index {i} is negative")
        return self.blob[self.offsets.item(i) : self.offsets.item(i + 1)].tobytes().decode()


def to_parts(component: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Named arrays and JSON-able values of a component; nested names are joined by a dot."""
    arrays: dict[str, np.ndarray] = {}
    meta: dict[str, Any] = {}
    for field in dataclasses.fields(component):
        _put(field.name, getattr(component, field.name), arrays, meta)
    return arrays, meta


def _put(name: str, value: Any, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            raise TypeError(f"{name} is an object array, which only pickle could store")
        arrays[name] = value
    elif sparse.issparse(value):
        csr = sparse.csr_matrix(value)
        arrays[f"{name}.data"], arrays[f"{name}.indices"], arrays[f"{name}.indptr"] = csr.data, csr.indices, csr.indptr
        meta[name] = {"shape": list(csr.shape)}
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner_meta: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            _put(f"{name}.{field.name}", getattr(value, field.name), arrays, inner_meta)
        meta[name] = {k.removeprefix(f"{name}."): v for k, v in inner_meta.items()}
    elif isinstance(value, tuple) and value and all(isinstance(v, np.ndarray) or dataclasses.is_dataclass(v) for v in value):
        inner: dict[str, Any] = {}
        for i, part in enumerate(value):
            _put(f"{name}.{i}", part, arrays, inner)
        meta[name] = {"length": len(value), **{k.removeprefix(f"{name}."): v for k, v in inner.items()}}
    else:
        meta[name] = value


def from_parts(cls: type[C], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> C:
    """Inverse of `to_parts`. Raises KeyError, naming the field, where a part is missing; a field that is marked as `came_later`
    (field metadata) has its default where what was saved is older than it."""
    return _get_dataclass(cls, "", arrays, meta)


def _get_dataclass(cls: type[C], prefix: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> C:
    hints = typing.get_type_hints(cls)
    values = {
        f.name: _get(hints[f.name], f"{prefix}{f.name}", f.name, arrays, meta)
        for f in dataclasses.fields(cls)  # type: ignore[arg-type]
        if f.init and not (f.metadata.get("came_later") and f"{prefix}{f.name}" not in arrays and f.name not in meta)
    }
    return cls(**values)


def _get(hint: Any, name: str, key: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is not None and type(None) in args:
        hint = next(a for a in args if a is not type(None))
        if name not in arrays and meta.get(key) is None:
            return None
        origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is np.ndarray or origin is np.ndarray:
        return arrays[name]
    if isinstance(hint, type) and sparse.issparse(hint) or hint is sparse.csr_matrix:
        parts = (arrays[f"{name}.data"], arrays[f"{name}.indices"], arrays[f"{name}.indptr"])
        return sparse.csr_matrix(parts, shape=tuple(meta[key]["shape"]), copy=False)
    if dataclasses.is_dataclass(hint):
        return _get_dataclass(typing.cast(type, hint), f"{name}.", arrays, meta.get(key, {}))
    if origin is tuple:
        value = meta[key]
        if isinstance(value, dict):
            inner = args[0]
            return tuple(_get(inner, f"{name}.{i}", str(i), arrays, value) for i in range(value["length"]))
        return tuple(tuple(v) if isinstance(v, list) else v for v in value)
    return meta[key]
