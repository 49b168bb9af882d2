"""The merchandisers' websocket: what happens in a shop now, for staff who may see its visits.

Whoever asks is known by the admin's own log-in. That they still may is looked up again every few seconds: a log-out, a changed
password, a right that was taken away and an account that was closed end the socket.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import time
from collections.abc import Hashable, Mapping
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from itertools import islice
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.utils import timezone

from personas.events import ITEM_ACTIONS
from personas.models import Origin, Session, Shop, moment
from recommendations import hourly
from recommendations.serving.payloads import cluster_json, persona_json
from recommendations.serving.problems import Problem
from recommendations.serving.shops import is_own
from recommendations.serving.sockets import FORBIDDEN, NOT_FOUND, UNAUTHORISED, Refused, Socket
from recommendations.serving.watching import ACTIVE_S, Decided, Seen, pseudonym

MAY_WATCH = "personas.view_session"

LOOK_S = 3.0
"""Between two looks whether somebody still may watch, and at what the archive counted of today."""

TELL_S = 1.0
"""Between two messages of a kind, at least."""

SHOWN = 25
"""Sessions that are told of: those with the last events."""

MOST_LATELY = 2_000
"""Sessions that a desk begins with, of those that the archive knows."""

AT_ONCE = 50
"""Decisions in one message."""


class DeskSocket(Socket):
    """Messages in: `pong`. Out: `hello`, `counters`, `sessions`, `adaptation`, `error`, `ping`."""

    async def admit(self) -> Hashable:
        if not same_origin(self.headers):
            raise Refused(FORBIDDEN, "foreign_origin")
        self.cookie = _session_key(self.headers)
        user = await staff_of(self.cookie)
        if user is None:
            raise Refused(UNAUTHORISED, "not_logged_in", told=True)
        if user < 0:
            raise Refused(FORBIDDEN, "missing_permission", told=True)
        shop = await shop_of(self.asked.get("shop", ""))
        if shop is None:
            raise Refused(NOT_FOUND, "unknown_shop", told=True)
        self.user, self.shop = user, shop
        self.today: dict[str, int] = {}
        return "desk", user

    async def opened(self) -> None:
        self.board = await self.here.watching.watch(self.shop.pk)
        if self.board.watchers == 1:
            self.board.begin(await lately(self.shop, time.time()))
        await self.say({"type": "hello", "shop": self.shop.slug, "name": self.shop.name, "active_s": ACTIVE_S})
        self.run(self.look(), "look at a desk's rights")
        self.run(self.tell(), "tell a desk")

    async def left(self) -> None:
        await self.here.watching.leave(self.shop.pk)

    async def take(self, content: Mapping[str, Any]) -> None:
        raise Problem(400, "unknown_type", f"{str(content.get('type'))[:40]!r} is not pong, which is all that is read here.")

    async def look(self) -> None:
        """Whether the watcher still may; what the archive counted of today."""
        while True:
            user = await staff_of(self.cookie)
            if user != self.user:
                self.end(FORBIDDEN, "logged_out" if user is None else "missing_permission")
                return
            self.today = await counted_today(self.shop)
            await asyncio.sleep(LOOK_S)

    async def tell(self) -> None:
        """The newest of each kind, as often as the socket takes it, and no more than once a second."""
        told_sessions: object = None
        number = max(0, self.board.numbered - AT_ONCE)
        while True:
            now = time.time()
            rates = {f"{name}_per_s": rate for name, rate in self.board.rates(now).items()}
            counters = {"at": round(now, 1), "sessions_active": self.board.active(now), **rates, "today": self.today}
            await self.say({"type": "counters", "counters": counters})
            sessions = self.sessions()
            if sessions != told_sessions:
                await self.say({"type": "sessions", "sessions": sessions})
                told_sessions = sessions
            fresh = [each for each in self.board.decided if each.number > number]
            if fresh:
                left_out = self.board.numbered - number - len(fresh[-AT_ONCE:])
                number = self.board.numbered
                decided = [self.decision(each) for each in fresh[-AT_ONCE:]]
                await self.say({"type": "adaptation", "decisions": decided, "left_out": left_out})
            await asyncio.sleep(TELL_S)

    def sessions(self) -> list[dict[str, Any]]:
        engine = self.here.engines.get(self.shop.pk)
        return [
            {
                "session": pseudonym(self.shop.pk, session),
                "at": round(seen.at, 1),
                "event": seen.event or None,
                "events": seen.events,
                "persona": persona_json(engine, seen.persona) if engine is not None else None,
                "probability": round(seen.p, 2),
                "origin": seen.origin,
                "known": seen.known,
            }
            for session, seen in islice(reversed(self.board.sessions.items()), SHOWN)
        ]

    def decision(self, each: Decided) -> dict[str, Any]:
        engine = self.here.engines.get(self.shop.pk)
        return {
            "at": round(each.at, 1),
            "session": pseudonym(self.shop.pk, each.session),
            "action": each.action,
            "cluster": cluster_json(engine, each.cluster) if engine is not None else None,
            "towards": cluster_json(engine, each.target) if engine is not None and each.target else None,
            "probability": None if math.isnan(each.p) else round(each.p, 4),
            "blocked": each.blocked or None,
        }


async def desk_socket(scope: Any, receive: Any, send: Any) -> None:
    await DeskSocket(scope, receive, send).serve()


def same_origin(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the page is one of the admin's own: a browser sends the log-in's cookie whoever's page it is.

    As Django's check of forms: the origin is this host, or named in `CSRF_TRUSTED_ORIGINS`; none at all is nobody's page.
    """
    origin, host = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
    return is_own(origin, host)


def _session_key(headers: Mapping[bytes, bytes]) -> str:
    try:
        cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return ""
    morsel = cookies.get(settings.SESSION_COOKIE_NAME)
    return morsel.value if morsel is not None else ""


@database_sync_to_async
def staff_of(session_key: str) -> int | None:
    """Who is logged in by the admin's session, as it stands in the database: the account's number; -1 for somebody who may not
    watch; None for nobody."""
    if not session_key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    if not user.is_authenticated:
        return None
    return user.pk if user.is_active and getattr(user, "is_staff", False) and user.has_perm(MAY_WATCH) else -1


@database_sync_to_async
def shop_of(slug: str) -> Shop | None:
    return Shop.objects.only("pk", "slug", "name").filter(slug=slug).first()


@database_sync_to_async
def lately(shop: Shop, now: float) -> dict[str, Seen]:
    """The sessions of the last minutes that the archive knows, the oldest first."""
    rows = Session.objects.filter(shop=shop, last_at__gte=moment(now - ACTIVE_S), last_at__lte=moment(now), events__gt=0)
    shown = rows.exclude(origin=Origin.TEST).order_by("-last_at")[:MOST_LATELY]
    found = {}
    for row in reversed(shown):
        belief = {int(persona): float(p) for persona, p in (row.persona or {}).get("belief", {}).items()}
        persona, p = max(belief.items(), key=lambda pair: pair[1], default=(0, 0.0))
        found[row.session_id] = Seen(row.last_at.timestamp(), "", row.events, persona, p, row.origin, row.shopper_id is not None)
    return found


@database_sync_to_async
def counted_today(shop: Shop) -> dict[str, int]:
    """What the archive, some seconds behind, counted since midnight UTC."""
    now = timezone.now().astimezone(dt.UTC)
    hours = hourly.read(shop, now.replace(hour=0, minute=0, second=0, microsecond=0), now)
    engaged = sum(int(hours.of("event", name).sum()) for name in ITEM_ACTIONS)
    return {
        "sessions": int(hours.of("session").sum()),
        "events": int(hours.of("event").sum()),
        "engagements": engaged,
        "conversions": int(hours.of("order").sum()),
        "slates": int(hours.of("slate").sum()),
    }
