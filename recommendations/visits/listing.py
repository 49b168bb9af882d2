"""The list of visits: which ones an address asks for, and what each row tells. Names stand for visits, as on the live page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Q
from django.http import QueryDict
from django.utils import timezone

from personas.archetypes import Archetype
from personas.events import CODE
from personas.models import ArchivedEvent, Clock, Origin, Session, Shop
from recommendations.serving.watching import ACTIVE_S, pseudonym

PAGE = 50
LOOKED = 2_000
"""Visits that one page looks through for what no index knows: who bought, whom a visit was taken for, a name."""

CHUNK = 500
MOST_PERSONAS = 3
SURE = 0.5
"""Probability from which a visit is said to be somebody's."""


class Persona(NamedTuple):
    """percent : how likely, None where it was so earlier in the visit."""

    name: str
    colour: str
    percent: int | None


class Row(NamedTuple):
    """A visit in the list. personas : whom it was taken for, in their order, the last one now.  going : whether it goes on.

    seconds : from the first event to the last, None where no clock told.
    """

    pk: int
    name: str
    began: dt.datetime
    last: dt.datetime
    seconds: float | None
    events: int
    origin: str
    personas: tuple[Persona, ...]
    known: bool
    bought: bool
    shopper: bool
    going: bool


@dataclass(frozen=True)
class Asked:
    """What the address asks for; "" and None for all. wrong : what of it can't be, a sentence each.

    before : (time, key) of the visit after which the page goes on.
    """

    persona: int | None = None
    bought: str = ""
    origin: str = ""
    day: dt.date | None = None
    shift: bool = False
    name: str = ""
    before: tuple[dt.datetime, int] | None = None
    wrong: tuple[str, ...] = ()

    @property
    def looks(self) -> bool:
        """Whether rows have to be looked at one by one."""
        return self.persona is not None or bool(self.bought) or self.shift or bool(self.name)

    @property
    def narrowed(self) -> bool:
        """Whether anything is asked for at all."""
        return self.looks or bool(self.origin) or self.day is not None


class Found(NamedTuple):
    """rows : the latest first.  further : where the next page begins, "" where there is none.

    looked : visits that were looked through for them, 0 where all that match were found by the database.
    """

    rows: list[Row]
    further: str
    looked: int


def asked(given: QueryDict | Mapping[str, str], personas: Mapping[int, Archetype]) -> Asked:
    """Read the address. personas : those that the shop has or had."""
    wrong: list[str] = []

    def one_of(field: str, values: Iterable[str]) -> str:
        value = given.get(field, "").strip()
        if value and value not in values:
            wrong.append(f"{field}: “{value[:40]}” is none of {', '.join(values)}.")
            return ""
        return value

    persona = one_of("persona", [str(i) for i in personas])
    day = None
    if text := given.get("day", "").strip():
        try:
            day = dt.date.fromisoformat(text)
        except ValueError:
            wrong.append(f"day: “{text[:40]}” is no date like 2026-05-31.")
    before = _moment(given.get("before", ""))
    return Asked(
        persona=int(persona) if persona else None,
        bought=one_of("bought", ("yes", "no")),
        origin=one_of("origin", Origin.values),
        day=day,
        shift=bool(one_of("shift", ("yes",))),
        name=given.get("name", "").strip()[:64],
        before=before,
        wrong=tuple(wrong),
    )


def found(shop: Shop, wanted: Asked, personas: Mapping[int, Archetype], *, most: int = PAGE) -> Found:
    """At most so many of a shop's visits, the latest first."""
    now = timezone.now()
    rows = Session.objects.filter(shop=shop, events__gt=0).order_by("-last_at", "-pk").defer("context")
    rows = rows.filter(origin=wanted.origin) if wanted.origin else rows.exclude(origin=Origin.TEST)
    if wanted.day is not None:
        start = dt.datetime.combine(wanted.day, dt.time(), dt.UTC)
        rows = rows.filter(last_at__gte=start, last_at__lt=start + dt.timedelta(days=1))
    if wanted.before is not None:
        at, pk = wanted.before
        rows = rows.filter(Q(last_at__lt=at) | Q(last_at=at, pk__lt=pk))
    if not wanted.looks:
        listed = list(rows[: most + 1])
        shown = listed[:most]
        return Found(_rows(shown, buyers(shown), personas, now), _cursor(shown[-1]) if len(listed) > most else "", 0)
    kept: list[Session] = []
    looked = 0
    last: Session | None = None
    bought: set[int] = set()
    while looked < LOOKED:
        chunk = list(rows[looked : looked + CHUNK])
        their = buyers(chunk) if wanted.bought else set()
        bought |= their
        for session in chunk:
            looked += 1
            last = session
            if _matches(session, wanted, their):
                kept.append(session)
                if len(kept) == most:
                    break
        if len(chunk) < CHUNK and (not chunk or last is chunk[-1]):
            last = None
            break
        if len(kept) == most:
            break
    bought = bought if wanted.bought else buyers(kept)
    return Found(_rows(kept, bought, personas, now), _cursor(last) if last is not None else "", looked)


def buyers(sessions: Sequence[Session]) -> set[int]:
    """Those of some sessions that bought something, by key."""
    pks = [session.pk for session in sessions]
    found: set[int] = set()
    for start in range(0, len(pks), CHUNK):
        rows = ArchivedEvent.objects.filter(session__in=pks[start : start + CHUNK], code=CODE["purchase"]).order_by()
        found.update(rows.values_list("session_id", flat=True).distinct())
    return found


def _matches(session: Session, wanted: Asked, bought: set[int]) -> bool:
    if wanted.bought and (session.pk in bought) != (wanted.bought == "yes"):
        return False
    path = path_of(session)
    if wanted.persona is not None and wanted.persona not in path:
        return False
    if wanted.shift and len(path) < 2:
        return False
    return not wanted.name or pseudonym(session.shop_id, session.session_id) == wanted.name


def path_of(session: Session) -> list[int]:
    """Whom a visit was taken for, in the order in which it was: archetype ids, the last one now. Empty where nobody knows."""
    summary = session.persona or {}
    path = [int(i) for i in summary.get("path", ())]
    belief = {int(i): float(p) for i, p in (summary.get("belief") or {}).items()}
    likeliest = max(belief, key=belief.__getitem__, default=None)
    if likeliest is not None and belief[likeliest] >= SURE and path[-1:] != [likeliest]:
        path.append(likeliest)
    return path


def _rows(sessions: Sequence[Session], bought: set[int], personas: Mapping[int, Archetype], now: dt.datetime) -> list[Row]:
    return [
        Row(
            pk=session.pk,
            name=pseudonym(session.shop_id, session.session_id),
            began=session.started_at,
            last=session.last_at,
            seconds=max(0.0, (session.last_at - session.started_at).total_seconds()) if session.clock == Clock.SECOND else None,
            events=session.events,
            origin=session.origin,
            personas=_personas(session, personas),
            known=bool(session.persona),
            bought=session.pk in bought,
            shopper=session.shopper_id is not None,
            going=going(session, now),
        )
        for session in sessions
    ]


def going(session: Session, now: dt.datetime) -> bool:
    """Whether a visit goes on: it had an event in the last minutes."""
    return now - session.last_at < dt.timedelta(seconds=ACTIVE_S)


def _personas(session: Session, personas: Mapping[int, Archetype]) -> tuple[Persona, ...]:
    belief: dict[str, Any] = (session.persona or {}).get("belief") or {}
    path = path_of(session)[-MOST_PERSONAS:]
    told = []
    for place, i in enumerate(path):
        row = personas.get(i)
        if row is not None:
            now = place == len(path) - 1 and str(i) in belief
            told.append(Persona(row.name, row.colour, round(100 * float(belief[str(i)])) if now else None))
    return tuple(told)


def _cursor(session: Session) -> str:
    return f"{session.last_at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}_{session.pk}"


def _moment(text: str) -> tuple[dt.datetime, int] | None:
    at, _, pk = text.partition("_")
    try:
        return dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC), int(pk)
    except ValueError:
        return None
