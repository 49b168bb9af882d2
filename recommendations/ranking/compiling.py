"""How the ranking's loops are compiled: as those of the personas and the clusters below it are."""

from personas.compiling import SUMS, compiled, compiled_sums, readonly

__all__ = ["SUMS", "compiled", "compiled_sums", "readonly"]
