"""Visits on the desk: the list of them, and one of them step by step, with what would have been."""
