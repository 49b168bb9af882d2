"""Two versions of a shop's personas side by side: what differs, in sentences and weight by weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from personas import versions
from personas.models import PersonaVersion, Shop

DRAFT = "draft"
MOST = 100
"""Versions that are offered, the latest."""


class Side(NamedTuple):
    """One of the two. name : a version's number, or "draft".  version : None of the draft.  in_force : it is the latest."""

    name: str
    version: PersonaVersion | None
    in_force: bool

    @property
    def told(self) -> str:
        return "the draft" if self.version is None else f"version {self.version.number}"


class Weight(NamedTuple):
    """A weight that differs. of : the persona or attribute.  before, after : None where it isn't weighed."""

    of: str
    name: str
    before: float | None
    after: float | None

    @property
    def bar_before(self) -> tuple[float, float]:
        return _bar(self.before)

    @property
    def bar_after(self) -> tuple[float, float]:
        return _bar(self.after)


def _bar(value: float | None) -> tuple[float, float]:
    """(left, width) of a bar from 0 to the weight, in percent of a track from -1 to 1."""
    much = max(-1.0, min(1.0, value or 0.0))
    return 50.0 + 50.0 * min(much, 0.0), 50.0 * abs(much)


@dataclass(frozen=True)
class Comparison:
    """What `after` changes against `before`."""

    before: Side
    after: Side
    sentences: list[str]
    weights: list[Weight]


def choices(shop: Shop) -> list[tuple[str, str]]:
    """(name in the address, in words) of what can be compared, the latest first."""
    rows = PersonaVersion.objects.filter(shop=shop).order_by("-number").values_list("number", "published_at", "note")[:MOST]
    told = [(str(n), f"Version {n}, {at:%-d %b %Y}{f': {note}' if note else ''}"[:90]) for n, at, note in rows]
    return [(DRAFT, "The draft"), *told]


def compare(shop: Shop, before: str, after: str) -> Comparison | None:
    """Two sides by their names; by default the draft against the version in force. None where the shop has no version, or not
    that one."""
    latest = versions.latest(shop)
    if latest is None:
        return None
    sides = []
    for name in (before or str(latest.number), after or DRAFT):
        version = None
        if name != DRAFT:
            number = int(name) if name.isdecimal() and len(name) < 10 else 0
            version = PersonaVersion.objects.filter(shop=shop, number=number).first()
            if version is None:
                return None
        definition = versions.draft(shop) if version is None else version.definition
        sides.append((Side(name, version, version is not None and version.number == latest.number), definition))
    (one, old), (two, new) = sides
    return Comparison(one, two, versions.difference(old, new), _weights(old, new))


def _weights(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Weight]:
    names = {entry["key"]: entry["name"] for side in (old, new) for entry in side["attributes"]}
    found = []
    for kind, fields in (("archetypes", ("mix",)), ("attributes", ("weights", "behaviours"))):
        before, after = ({entry["key"]: entry for entry in side[kind]} for side in (old, new))
        for key in [*after, *(k for k in before if k not in after)]:
            one, two = before.get(key, {}), after.get(key, {})
            called = (two or one)["name"]
            for field in fields:
                a, b = one.get(field, {}), two.get(field, {})
                for name in [*a, *(n for n in b if n not in a)]:
                    if a.get(name) != b.get(name):
                        found.append(Weight(called, names.get(name, name) if field == "mix" else name, a.get(name), b.get(name)))
    return found
