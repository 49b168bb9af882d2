"""What the catalogue tells whoever serves with it, which this package doesn't know."""

from __future__ import annotations

from django.dispatch import Signal

catalogue_changed = Signal()
"""Sent with `shop_id` once many items of a shop were written at once, which Django's own signals of single rows don't tell of."""
