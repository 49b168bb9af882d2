"""When rules act, drawn on the server: a line for each over six weeks, so that it is seen which overlap."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

BACK, AHEAD = 7, 35
"""Days that are shown before today, and from today on."""

WIDTH, LEFT, ROW, TOP = 960.0, 220.0, 26.0, 24.0
"""The drawing's own units; a page scales it to its width."""

MOST_CHARACTERS = 30


class Span(NamedTuple):
    """When a rule acts, or an experiment runs. starts, ends : None for open.  enabled : else the line is hollow.
    address : its page.  kind : its class in the drawing, "rule" or "trial"."""

    name: str
    starts: dt.datetime | None
    ends: dt.datetime | None
    enabled: bool
    address: str
    kind: str = "rule"


def shown(spans: Sequence[Span], now: dt.datetime) -> list[Span]:
    """Those that have dates and act on one of the days that are shown, by when they begin, then end."""
    first, last = bounds(now)
    within = [
        s for s in spans if (s.starts or s.ends) and (s.starts is None or s.starts < last) and (s.ends is None or s.ends > first)
    ]
    return sorted(within, key=lambda s: (s.starts or first, s.ends or last, s.name))


def bounds(now: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """The first moment that is shown, and the first that no longer is."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return today - dt.timedelta(days=BACK), today + dt.timedelta(days=AHEAD)


def calendar(spans: Sequence[Span], now: dt.datetime, *, sentence: str) -> str:
    """SVG of `shown` spans. Every text is escaped; weeks begin on Monday, in the zone of `now`."""
    first, last = bounds(now)
    whole = (last - first).total_seconds()
    height = TOP + ROW * len(spans) + 6

    def x(moment: dt.datetime) -> float:
        share = (moment - first).total_seconds() / whole
        return LEFT + (WIDTH - LEFT) * min(1.0, max(0.0, share))

    parts = [f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="group" aria-label="{escape(sentence)}" class="rule-calendar">']
    day = first
    while day < last:
        if day.weekday() == 0:
            parts.append(f'<path class="grid" d="M{x(day):.1f} {TOP - 6:.0f}V{height:.0f}"/>')
            parts.append(f'<text x="{x(day) + 3:.1f}" y="12">{day:%-d %b}</text>')
        day += dt.timedelta(days=1)
    for row, span in enumerate(spans):
        y = TOP + ROW * row
        begin, end = x(span.starts or first), x(span.ends or last)
        name = span.name if len(span.name) <= MOST_CHARACTERS else f"{span.name[: MOST_CHARACTERS - 1]}…"
        said = f"{span.name}: {span_words(span)}"
        parts.append(
            f'<a href="{escape(span.address)}" aria-label="{escape(said)}"><title>{escape(said)}</title>'
            f'<rect class="row" x="0" y="{y:.0f}" width="{WIDTH:.0f}" height="{ROW - 2:.0f}"/>'
            f'<text class="name" x="2" y="{y + 16:.0f}">{escape(name)}</text>'
            f'<rect class="{"on" if span.enabled else "off"} {span.kind}" x="{begin:.1f}" y="{y + 5:.0f}" '
            f'width="{max(4.0, end - begin):.1f}" height="{ROW - 12:.0f}" rx="4"/></a>'
        )
    at = x(now)
    parts.append(f'<path class="now" d="M{at:.1f} {TOP - 6:.0f}V{height:.0f}"/>')
    return "".join(parts) + "</svg>"


def span_words(span: Span) -> str:
    """ "from 3 Dec to 10 Dec, switched off"."""
    told = []
    if span.starts is not None:
        told.append(f"from {span.starts:%-d %b, %H:%M}")
    if span.ends is not None:
        told.append(f"until {span.ends:%-d %b, %H:%M}")
    return f"{' '.join(told)}{'' if span.enabled or span.kind != 'rule' else ', switched off'}"
