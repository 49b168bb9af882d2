"""Payloads of other systems, translated into our events: Segment, Google Retail, GA4's Measurement Protocol.

A translator is a function from a payload to its *entries*, in the payload's order: which session and shopper each is of, and the
event in the form that `personas.events.parse_event` takes. What has no meaning here is ignored with the reason, and what lacks
something is refused with the field in the payload's own words. Neither stops another entry.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from personas.events import MAX_ID, EventError

MAX_CONTEXT_VALUE = 80


@dataclass(frozen=True, slots=True)
class Entry:
    """One of a payload. event : None for one that only tells of the visit, such as who logged in.

    ignored : why it has no meaning here.  refused : what is wrong with it.
    context : evidence that it brings, by name.
    """

    event_id: str = ""
    session: str = ""
    shopper: str = ""
    event: Mapping[str, Any] | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    ignored: str = ""
    refused: EventError | None = None


class Ids:
    """Ids for events that come without: made of the visit and the content, where that has a time, so that the same payload sent
    again makes the same ids. The n-th of several that are all alike gets another id than the first."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def of(self, session: str, content: object, *, timed: bool) -> str:
        """An id of 32 characters. timed : whether the content tells its time; without, each sending is another event.

        Raises EventError on content that is nested deeper than can be read.
        """
        if not timed:
            return secrets.token_hex(16)
        try:
            text = f"{session}\0{json.dumps(content, sort_keys=True)}"
        except RecursionError as error:
            raise EventError("event", "is nested too deeply") from error
        self._seen[text] += 1
        return hashlib.sha256(f"{text}\0{self._seen[text]}".encode(errors="backslashreplace")).hexdigest()[:32]


def one_of(raw: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that holds an id, as text; "" for none."""
    for name in names:
        value = raw.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return ""


def object_at(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under a name, {} where there is none. Raises EventError on anything else."""
    value = raw.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise EventError(name, "must be an object")
    return value


def number(value: object) -> object:
    """A number that was written as text as a number; anything else as it is, to be refused where numbers are checked."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            told = float(value)
        except ValueError:
            return value
        return told if math.isfinite(told) else value
    return value


def seconds(name: str, value: object) -> float:
    """Seconds since the epoch of an ISO 8601 time, in UTC where it doesn't say. Raises EventError."""
    if isinstance(value, str) and len(value) <= 40:
        text = value[:-1] + "+00:00" if value.endswith(("Z", "z")) else value
        try:
            at = dt.datetime.fromisoformat(_microseconds(text))
            return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp()
        except (ValueError, OverflowError):
            pass
    raise EventError(name, f"{str(value)[:40]!r} is not a time such as 2026-01-31T12:00:00Z")


def _microseconds(text: str) -> str:
    """A time with at most six digits after its second, which is what Python reads; some write nine."""
    head, dot, rest = text.partition(".")
    if not dot:
        return text
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{head}.{rest[:digits][:6]}{rest[digits:]}"


def country(value: object) -> dict[str, str]:
    """Evidence of a country, if it is told as ISO 3166-1 has it."""
    return {"country": value.upper()} if isinstance(value, str) and len(value) == 2 and value.isalpha() else {}


def joined(*parts: str) -> str:
    """Ids made one; too long for an id, a hash of them stands for them."""
    text = ".".join(part for part in parts if part)
    return text if len(text) <= MAX_ID else hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
