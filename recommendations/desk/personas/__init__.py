"""Personas at the desk: who they are in the data, whom they reach, and what other weights would change."""
