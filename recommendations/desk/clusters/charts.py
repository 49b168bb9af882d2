"""Pictures of one cluster as SVG, drawn on the server: how it did by the day, and its neighbours. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from recommendations.desk.charts import nice

WIDTH, HEIGHT, TOP, LEFT, RIGHT, FOOT = 720.0, 130.0, 22.0, 44.0, 8.0, 20.0
"""The drawing's own units; a page scales it to its width."""

WIDE, TALL = 720.0, 480.0
RINGS = (0.0, 132.0, 216.0)
"""Radius at which neighbours stand, by how many steps away they are; wider than tall by `STRETCH`."""

STRETCH = 1.35
NAMES = (30, 22, 16)
"""Letters of a name that are drawn, by how many steps away it is; all of it is in its title."""


class Bar(NamedTuple):
    """One day. label : drawn under it, "" for none.  title : in words."""

    seen: float
    clicked: float
    label: str
    title: str


class Flag(NamedTuple):
    """Something that changed on day `at`, from 0. title : what."""

    at: int
    title: str


def engagement(bars: Sequence[Bar], flags: Sequence[Flag], *, sentence: str) -> str:
    """A bar for each day, as tall as its items were seen; its dark foot is what was picked of that. Every text is escaped."""
    most = nice(max([bar.seen for bar in bars], default=0.0))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(bars))
    ground = TOP + HEIGHT
    parts = [
        f'<svg viewBox="0 0 {WIDTH:.0f} {ground + FOOT:.0f}" role="img" aria-label="{escape(sentence)}" class="cluster-days">'
    ]
    for share in (0.0, 0.5, 1.0):
        y = ground - HEIGHT * share
        parts.append(f'<path class="grid" d="M{LEFT:.0f} {y:.1f}H{WIDTH - RIGHT:.0f}"/>')
        parts.append(f'<text x="{LEFT - 8:.0f}" y="{y + 4:.1f}" text-anchor="end">{share * most:,.0f}</text>')
    for i, bar in enumerate(bars):
        x, tall, foot = LEFT + i * step + 2.0, HEIGHT * bar.seen / most, HEIGHT * min(bar.clicked, bar.seen) / most
        parts.append(
            f"<g><title>{escape(bar.title)}</title>"
            f'<rect class="seen" x="{x:.1f}" y="{ground - tall:.1f}" width="{step - 4:.1f}" height="{tall:.1f}" rx="2"/>'
            f'<rect class="clicked" x="{x:.1f}" y="{ground - foot:.1f}" width="{step - 4:.1f}" height="{foot:.1f}"/></g>'
        )
        if bar.label:
            parts.append(
                f'<text x="{x + step / 2 - 2:.1f}" y="{ground + 16:.0f}" text-anchor="middle">{escape(bar.label)}</text>'
            )
    by_day: dict[int, list[str]] = {}
    for flag in flags:
        by_day.setdefault(flag.at, []).append(flag.title)
    for at, titles in sorted(by_day.items()):
        x = LEFT + (at + 0.5) * step
        parts.append(
            f'<g class="mark"><title>{escape("; ".join(titles))}</title><path d="M{x:.1f} {TOP - 6:.0f}V{ground:.0f}"/>'
            f'<circle cx="{x:.1f}" cy="{TOP - 10:.0f}" r="5"/></g>'
        )
    return "".join(parts) + "</svg>"


class Node(NamedTuple):
    """A cluster. size : items.  steps : 0 for the one that the picture is of.  url : where it leads."""

    id: int
    name: str
    size: int
    steps: int
    url: str


class Edge(NamedTuple):
    """weight : 0 to 1, of what goes on from `source` what goes to `target`."""

    source: int
    target: int
    weight: float


def neighbours(nodes: Sequence[Node], edges: Sequence[Edge], *, sentence: str) -> str:
    """A cluster in the middle, those that it leads to around it, those that these lead to around them; each is a link.

    Circles are as large as their items are many, lines as wide as what goes along them. "" of one that leads nowhere.
    """
    if not edges:
        return ""
    places = _placed(nodes, edges)
    most = max(edge.weight for edge in edges)
    largest = max(node.size for node in nodes)
    parts = [f'<svg viewBox="0 0 {WIDE:.0f} {TALL:.0f}" role="group" aria-label="{escape(sentence)}" class="cluster-map">']
    for edge in edges:
        (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
        width = 1.0 + 5.0 * edge.weight / most
        parts.append(f'<path d="M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}" stroke-width="{width:.1f}"/>')
    for node in sorted(nodes, key=lambda node: -node.steps):
        x, y = places[node.id]
        r = 6.0 + 14.0 * math.sqrt(node.size / max(1, largest))
        most_letters = NAMES[node.steps]
        name = node.name if len(node.name) <= most_letters else node.name[: most_letters - 1] + "…"
        what = f"{node.name}, {node.size:,} item{'' if node.size == 1 else 's'}"
        label = f'<text x="{x:.0f}" y="{y + r + 13:.0f}" text-anchor="middle">{escape(name)}</text>'
        circle = f'<title>{escape(what)}</title><circle cx="{x:.0f}" cy="{y:.0f}" r="{r:.1f}"/>'
        if node.steps == 0:
            parts.append(f'<g class="here">{circle}{label}</g>')
        else:
            parts.append(f'<a href="{escape(node.url)}" class="step{node.steps}" aria-label="{escape(what)}">{circle}{label}</a>')
    return "".join(parts) + "</svg>"


def _placed(nodes: Sequence[Node], edges: Sequence[Edge]) -> Mapping[int, tuple[float, float]]:
    """Each on its ring; those two steps away near the one that leads to them most."""
    first = [node.id for node in nodes if node.steps == 1]
    angle = {pk: 2 * math.pi * i / max(1, len(first)) - math.pi / 2 for i, pk in enumerate(first)}
    by: dict[int, list[int]] = {}
    for node in nodes:
        if node.steps == 2:
            leads = [edge for edge in edges if edge.target == node.id and edge.source in angle]
            by.setdefault(max(leads, key=lambda edge: edge.weight).source, []).append(node.id)
    room = 2 * math.pi / max(1, len(first))
    for source, own in by.items():
        for i, pk in enumerate(own):
            angle[pk] = angle[source] + room * ((i + 0.5) / len(own) - 0.5) * 0.9
    places = {node.id: (WIDE / 2, TALL / 2) for node in nodes}
    for node in nodes:
        if node.steps:
            radius = RINGS[node.steps]
            x, y = math.cos(angle[node.id]), math.sin(angle[node.id])
            places[node.id] = (WIDE / 2 + STRETCH * radius * x, TALL / 2 - 6 + radius * 0.93 * y)
    return places
