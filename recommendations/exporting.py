"""Everything held of a shopper as one JSON document: what `rights.erase` would delete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.utils import timezone

from personas.events import NAMES
from personas.models import ArchivedEvent, Session, Shop, Shopper, in_chunks
from recommendations import rights
from recommendations.learning.models import ExperimentSession
from recommendations.models import AdaptationDecision, ServedSlate
from recommendations.serving import held

FORMAT = "persona-clusters-shopper/1"


def export(shop: Shop, external_id: str) -> dict[str, Any]:
    """All that is held of a shopper, by whichever of their ids, as plain JSON values; times are ISO 8601, UTC.

    Raises Problem 404 if nothing is held.
    """
    client = held.connect()
    found = rights.holdings(shop, external_id, client)
    if found.empty:
        raise rights.nobody(shop)
    row = found.person.row
    return {
        "format": FORMAT,
        "shop": shop.slug,
        "exported_at": timezone.now().isoformat(),
        "shopper_id": found.person.ids[0],
        "shopper": _shopper(row) if row else None,
        "aliases": _aliases(row) if row else [],
        "sessions": [_session(session) for session in _sessions(shop, found.sessions)],
        "live_sessions": [
            {"session_id": s, "state": _record(state), "event_ids": held.event_ids(client, shop.pk, s)}
            for s, state in sorted(found.states.items())
        ],
        "log": [{"stream": e.stream, "entry": e.entry_id.decode(), "record": _record(e.record)} for e in found.entries],
        "memory": {i: msgspec.to_builtins(m, str_keys=True) for i, m in found.memories.items()},
        "admin_history": [*_history(Shopper, [row.pk] if row else []), *_history(Session, _pks(shop, found.sessions))],
    }


def _record(record: Any) -> dict[str, Any]:
    """A log record or a session's state by the names of its fields, and what is in it too: events, slates, ledger entries."""
    named: dict[str, Any] = msgspec.to_builtins(_named(record), str_keys=True)
    return named


def _named(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _named(getattr(value, name)) for name in value.__struct_fields__}
    if is_dataclass(value):
        return {field.name: _named(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        named = getattr(value, "_fields", None)
        return dict(zip(named, map(_named, value), strict=True)) if named else [_named(part) for part in value]
    return value


def _shopper(row: Shopper) -> dict[str, Any]:
    return {
        "shopper_id": row.external_id,
        "consent": {"demographics": row.consent_demographics, "at": row.consent_at and row.consent_at.isoformat()},
        "demographics": row.demographics,
    }


def _aliases(row: Shopper) -> list[dict[str, Any]]:
    return [{"shopper_id": a.external_id, "merged_at": a.merged_at.isoformat()} for a in row.aliases.all()]


def _sessions(shop: Shop, session_ids: frozenset[str]) -> Iterator[Session]:
    for chunk in in_chunks(sorted(session_ids)):
        yield from Session.objects.filter(shop=shop, session_id__in=chunk).order_by("started_at", "pk")


def _session(session: Session) -> dict[str, Any]:
    mine = {"shop": session.shop_id, "session_id": session.session_id}
    return {
        "session_id": session.session_id,
        "started_at": session.started_at.isoformat(),
        "last_at": session.last_at.isoformat(),
        "origin": session.origin,
        "context": session.context,
        "persona": session.persona,
        "events": [_event(event) for event in ArchivedEvent.objects.of_session(session)],
        "recommendations": [
            {"at": s.at.isoformat(), "recommendation_id": s.recommendation_id, "context": s.context, "items": s.items}
            for s in ServedSlate.objects.filter(**mine).order_by("at", "pk")
        ],
        "decisions": [
            {"at": d.at.isoformat(), "event_id": d.event_id, "cluster": d.cluster, "action": d.action, "target": d.target}
            for d in AdaptationDecision.objects.filter(**mine).order_by("at", "pk")
        ],
        "experiments": [
            {"experiment": e.experiment.name, "at": e.at.isoformat(), "arm": e.arm, "unit": e.unit, "measures": e.measures}
            for e in ExperimentSession.objects.filter(experiment__shop=session.shop_id, session_id=session.session_id)
            .select_related("experiment")
            .order_by("pk")
        ],
    }


def _event(event: ArchivedEvent) -> dict[str, Any]:
    told = {
        "event_id": event.event_id,
        "event": NAMES[event.code],
        "at": event.at.isoformat(),
        "received_at": event.received_at.isoformat(),
        "item_id": event.item_ref,
        "price": event.price,
        "quantity": event.quantity,
        "dwell_s": event.dwell_s,
        "search_term": event.query,
        "further": event.data,
    }
    return {name: value for name, value in told.items() if value not in (None, "")}


def _pks(shop: Shop, session_ids: frozenset[str]) -> list[int]:
    return sorted(Session.objects.ids_of(shop, session_ids).values())


def _history(model: type[Shopper] | type[Session], pks: Iterable[int]) -> Iterator[dict[str, Any]]:
    """What the admin noted of rows."""
    kind = ContentType.objects.get_for_model(model)
    for chunk in in_chunks(str(pk) for pk in pks):
        for entry in LogEntry.objects.filter(content_type=kind, object_id__in=chunk).order_by("pk"):
            yield {"at": entry.action_time.isoformat(), "action": entry.get_action_flag_display(), "what": str(entry)}
