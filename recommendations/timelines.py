"""A shopper's persona history: one entry a visit."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q

from personas import versions
from personas.events import CODE
from personas.models import Shop, Shopper


def timeline(shop: Shop, row: Shopper, *, limit: int) -> list[dict[str, Any]]:
    """The shopper's sessions, latest first, each with its persona shares, largest first."""
    personas = versions.ever(shop)
    bought = Count("archived", filter=Q(archived__code=CODE["purchase"]))
    found = []
    for session in row.sessions.annotate(purchases=bought).order_by("-last_at", "-pk")[:limit]:
        summary = session.persona or {}
        shares = {int(i): p for i, p in (summary.get("shares") or summary.get("belief") or {}).items()}
        known = sorted(((i, p) for i, p in shares.items() if i in personas), key=lambda pair: -pair[1])
        found.append(
            {
                "session_id": session.session_id,
                "started_at": session.started_at,
                "last_at": session.last_at,
                "origin": session.origin,
                "events": session.events,
                "purchases": session.purchases,
                "personas": [
                    {name: getattr(personas[i], name) for name in ("id", "key", "name", "icon", "colour")} | {"share": p}
                    for i, p in known
                ],
            }
        )
    return found
