"""Edits that are not published yet: keeping them, what they would do, publishing and discarding them."""
