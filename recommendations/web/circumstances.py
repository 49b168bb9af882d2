"""Circumstances that a visitor of the demo may try on: those that the shop's own log has taught its active release."""

from __future__ import annotations

from dataclasses import dataclass

from personas.models import Shop
from recommendations.serving.process import engines_here

NAMES = {"country": "Country", "weather": "Weather", "daypart": "Time of day", "device": "Device"}
"""What may be tried, in the panel's words and order."""

MOST_VALUES = 30


@dataclass(frozen=True, slots=True)
class Circumstance:
    """A piece of evidence: `name` as the API has it, `label` as the panel, and (value, words) of what the log has taught."""

    name: str
    label: str
    values: tuple[tuple[str, str], ...]


def known_to(shop: Shop) -> tuple[Circumstance, ...]:
    """What the shop's engine knows of `NAMES`; nothing in a process that serves pages only."""
    engines = engines_here()
    engine = engines.get(shop.pk) if engines is not None else None
    if engine is None:
        return ()
    network = engine.personas.network
    taught = dict(zip(network.variables, network.values, strict=True))
    return tuple(
        Circumstance(name, label, tuple((value, _words(value)) for value in sorted(taught[name])[:MOST_VALUES]))
        for name, label in NAMES.items()
        if len(taught.get(name, ())) > 1
    )


def _words(value: str) -> str:
    return value.replace("_", " ")[:1].upper() + value.replace("_", " ")[1:]
