"""A shopper's rights: consent, one person under two ids made one, everything held shown, everything held erased.

Every call names a shopper by the shop's own id, or by that of a guest who was merged into them. What is held lies in the
database, in Redis (live states, memory, the log's last seconds) and nowhere else: releases hold no ids of people, and what is
counted of the log, with the words that were searched for, is deleted with any session.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils import timezone
from redis import Redis

from personas.events import EventError, check_id
from personas.history import VARIABLES
from personas.models import ArchivedEvent, Erasure, Session, Shop, Shopper, ShopperAlias, in_chunks
from recommendations import cluster_statistics, daily, releases, search_words
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.learning.models import BlockedAction, ExperimentSession
from recommendations.models import AdaptationDecision, ServedSlate
from recommendations.serving import archiving, held, idempotency, memory
from recommendations.serving.problems import Problem, invalid
from recommendations.serving.turns import DEMOGRAPHIC, MAX_CONTEXT, MAX_CONTEXT_NAME, MAX_CONTEXT_VALUE
from recommendations.session import SessionState
from recommendations.stories import earlier_of

Wrote = Callable[[], object]
"""Called in the transaction that does what was asked, so that it is on record or isn't done."""

ARCHIVE_S = 5.0
"""Longest that a withdrawal of consent archives the log for, so that what the log holds of demographics goes as well."""


@dataclass(frozen=True)
class Person:
    """A shopper as the database knows them. ids : every id that is theirs, the one they go by first.

    row : None for an id that the database doesn't know; Redis may.
    """

    shop: Shop
    ids: tuple[str, ...]
    row: Shopper | None


def find(shop: Shop, external_id: str) -> Person:
    """The person behind an id, by whichever of their ids. Raises Problem on what can't be an id."""
    name = _checked("shopper_id", external_id)
    row = Shopper.objects.filter(shop=shop, external_id=name).first()
    if row is None:
        alias = ShopperAlias.objects.filter(shop=shop, external_id=name).select_related("shopper").first()
        row = alias.shopper if alias is not None else None
    if row is None:
        return Person(shop, (name,), None)
    return Person(shop, ids_of(row), row)


def ids_of(shopper: Shopper) -> tuple[str, ...]:
    """The id that a shopper goes by, and their aliases'."""
    return (shopper.external_id, *shopper.aliases.values_list("external_id", flat=True))


def known(shop: Shop, external_id: str) -> tuple[Person, Shopper]:
    """A person whom the database knows, with the row. Raises Problem 404."""
    person = find(shop, external_id)
    if person.row is None:
        raise nobody(shop)
    return person, person.row


def nobody(shop: Shop) -> Problem:
    return Problem(404, "not_found", f"Nothing is held in {shop.slug} of a shopper of this id.")


def _checked(field: str, value: object) -> str:
    try:
        return check_id(field, value)
    except EventError as error:
        raise invalid(error) from error


# Consent and demographics


def set_consent(shop: Shop, external_id: str, *, demographics: bool, wrote: Wrote = lambda: None) -> Shopper:
    """Record that the shopper lets demographics be kept and used, or no longer does; who is not known yet is made known.

    A withdrawal deletes them at once: from the shopper, the memory, live states, the log and their sessions' contexts.
    Recording what is so already changes nothing, not even the date. Raises Problem on what can't be an id.
    """
    with transaction.atomic():
        Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
        person = find(shop, external_id)
        row = person.row or Shopper.objects.create(shop=shop, external_id=person.ids[0])
        names = DEMOGRAPHIC | row.demographics.keys()
        if row.consent_at is None or row.consent_demographics != demographics:
            row.consent_demographics, row.consent_at = demographics, timezone.now()
        if not demographics:
            row.demographics = {}
        row.save(update_fields=["consent_demographics", "consent_at", "demographics"])
        wrote()
    memory.rebuild(shop, person.ids)  # first, so that no visit that begins meanwhile is told them
    if not demographics:
        _strip(person, row, names)
    return row


def set_demographics(shop: Shop, external_id: str, values: object, *, wrote: Wrote = lambda: None) -> Shopper:
    """Keep these demographics of the shopper, in the place of all that were. Raises Problem: 404 for nobody, 409 without
    consent, 422 on a name or value that can't be taken."""
    checked = read_demographics(values)
    with transaction.atomic():
        Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
        person, row = known(shop, external_id)
        if not row.consent_demographics:
            detail = "Demographics may be kept only with the shopper's consent. Record it first: PUT .../consent."
            raise Problem(409, "consent_missing", detail)
        row.demographics = checked
        row.save(update_fields=["demographics"])
        wrote()
    memory.rebuild(shop, person.ids)
    return row


def read_demographics(values: object) -> dict[str, str]:
    """Evidence by name, within the bounds of a request's context. Raises Problem 422 with the field and the reason."""
    if not isinstance(values, Mapping):
        raise invalid(EventError("demographics", "must be an object of names and values"))
    if len(values) > MAX_CONTEXT:
        raise invalid(EventError("demographics", f"has {len(values)} entries, more than {MAX_CONTEXT}"))
    checked = {}
    for name, value in values.items():
        if not isinstance(name, str) or not name or len(name) > MAX_CONTEXT_NAME or not name.isprintable():
            raise invalid(EventError("demographics", f"names must be 1 to {MAX_CONTEXT_NAME} printable characters"))
        if name in VARIABLES:
            raise invalid(EventError(f"demographics.{name}", "is what is learned of purchases; choose another name"))
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise invalid(EventError(f"demographics.{name}", "must be a string or a number"))
        text = str(value)
        if not text or len(text) > MAX_CONTEXT_VALUE or not text.isprintable() or text in {"nan", "inf", "-inf"}:
            raise invalid(EventError(f"demographics.{name}", f"must be 1 to {MAX_CONTEXT_VALUE} printable characters"))
        checked[name] = text
    return checked


def _strip(person: Person, row: Shopper, names: Iterable[str]) -> None:
    """Take these names out of what is held of the person's sessions."""
    shop, gone, client = person.shop, frozenset(names), held.connect()
    try:
        engine = releases.load_active(shop.pk)
    except releases.ReleaseError:
        engine = None
    own = set(Session.objects.filter(shopper=row).values_list("session_id", flat=True))
    for session, state in held.live_states(client, shop.pk, sessions=own, shoppers=person.ids).items():
        if (gone | _told_of(state)) & state.context.keys():
            held.change_state(client, shop.pk, session, lambda state: _without(engine, state, gone | _told_of(state)))
    # What is on its way is archived now, for the log's sake: whoever archives it, and when, no row keeps it (`archiving`).
    archiving.archive(archiving.open_log(), consumer=archiving.consumer_name(), seconds=ARCHIVE_S)
    entries = held.log_entries(client, shop.pk, sessions=own, shoppers=person.ids)
    held.forget_entries(client, (e for e in entries if held.is_aside(e.stream) and gone & e.record.context.keys()))
    with transaction.atomic():
        Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
        rows = [s for s in Session.objects.filter(shopper=row).only("context") if gone & s.context.keys()]
        for session_row in rows:
            session_row.context = {k: v for k, v in session_row.context.items() if k not in gone}
        Session.objects.bulk_update(rows, ["context"], batch_size=100)


def _told_of(state: SessionState) -> frozenset[str]:
    """Names of the demographics that the shopper's memory gave a session, whatever the shop calls them."""
    return frozenset(state.remembered) - frozenset(VARIABLES)


def _without(engine: Engine | None, state: SessionState, names: frozenset[str]) -> SessionState:
    """The state as if it had not been told these names; its belief too, if the release that made it is at hand."""
    kept = {k: v for k, v in state.context.items() if k not in names}
    if len(kept) == len(state.context):
        return state
    remembered = tuple(n for n in state.remembered if n in kept)
    if engine is None or state.release != engine.release:
        return replace(state, context=kept, remembered=remembered, version=state.version + 1)
    bare = replace(state, context={}, remembered=remembered)
    return loop.inform(engine, bare, context=kept, earlier=earlier_of(engine, state.earlier))


# Two ids, one person


def merge(shop: Shop, external_id: str, guest_id: object, *, wrote: Wrote = lambda: None) -> dict[str, Any]:
    """From now on the guest's id is another of the shopper's: sessions move, and what still comes in under it counts for them.

    Either may be unknown: at a log-in the guest's visit may not be archived yet. Done again it changes nothing. What the
    guest said of consent holds for the shopper only where they were never asked; a refusal then holds for the visits of both.
    Returns {"shopper_id", "sessions": how many moved, "aliases"}. Raises Problem 422 if both are one id, 409 if the guest's id
    is another shopper's already.
    """
    name, guest = _checked("shopper_id", external_id), _checked("from", guest_id)
    if name == guest:
        raise invalid(EventError("from", "is the shopper's own id; name the guest's"))
    with transaction.atomic():
        Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
        person, other = find(shop, name), find(shop, guest)
        if other.row is not None and person.row is not None and other.row.pk == person.row.pk:
            if other.row.external_id == guest:
                raise Problem(
                    409, "already_merged", "The id to merge into is itself another id of the one in `from`.", field="from"
                )
            moved, merging = 0, False
        else:
            if other.row is not None and other.row.external_id != guest:
                raise Problem(409, "already_merged", "The id in `from` was merged into another shopper before.", field="from")
            row = person.row or Shopper.objects.create(shop=shop, external_id=name)
            moved, merging = (_move(row, other.row) if other.row is not None else 0), True
            ShopperAlias.objects.update_or_create(shop=shop, external_id=guest, defaults={"shopper": row})
        wrote()
    merged, row = known(shop, name)
    memory.rebuild(shop, merged.ids)
    if merging and row.consent_at is not None and not row.consent_demographics:
        _strip(merged, row, DEMOGRAPHIC)  # one of the two refused, so that what visits of the other brought goes
    return {"shopper_id": merged.ids[0], "sessions": moved, "aliases": list(merged.ids[1:])}


def _move(row: Shopper, guest: Shopper) -> int:
    moved = Session.objects.filter(shopper=guest).update(shopper=row)
    guest.aliases.update(shopper=row)
    if row.consent_at is None and guest.consent_at is not None:
        row.consent_demographics, row.consent_at = guest.consent_demographics, guest.consent_at
        row.demographics = guest.demographics
        row.save(update_fields=["consent_demographics", "consent_at", "demographics"])
    # What the admin noted of the guest names them: it is found, and erased, with the shopper's own.
    kind = ContentType.objects.get_for_model(Shopper)
    LogEntry.objects.filter(content_type=kind, object_id=str(guest.pk)).update(object_id=str(row.pk))
    guest.delete()
    return moved


# All that is held of a person


@dataclass(frozen=True)
class Holdings:
    """Where a person is named. sessions : ids of their sessions, in every store.

    states : live states by session id.  entries : of the log and of what was set aside.  memories : by id.
    """

    person: Person
    sessions: frozenset[str]
    states: dict[str, SessionState]
    entries: list[held.LogEntry]
    memories: dict[str, memory.Memory]

    @property
    def empty(self) -> bool:
        return self.person.row is None and not (self.states or self.entries or self.memories)


def holdings(shop: Shop, external_id: str, client: Redis) -> Holdings:
    """Everything held of a shopper, found by looking in every store. A session is theirs if it named them last."""
    person = find(shop, external_id)
    own = set(Session.objects.filter(shopper=person.row).values_list("session_id", flat=True)) if person.row else set()
    states = held.live_states(client, shop.pk, sessions=own, shoppers=person.ids)
    entries = held.log_entries(client, shop.pk, sessions=own | states.keys(), shoppers=person.ids)
    named: dict[str, str] = {}
    for entry in entries:
        named[entry.record.session] = entry.record.shopper or named.get(entry.record.session, "")
    named |= {session: state.shopper for session, state in states.items() if state.shopper}
    sessions = {s for s in own | named.keys() if named.get(s, person.ids[0]) in person.ids or (s in own and not named[s])}
    late = sessions - own - states.keys()
    if late:  # the log named them first: whatever else is held of them
        states |= held.live_states(client, shop.pk, sessions=late, shoppers=())
        entries = held.log_entries(client, shop.pk, sessions=sessions, shoppers=person.ids)
    found = {i: m for i in person.ids if (m := memory.read(shop.pk, i, client)) is not None}
    return Holdings(person, frozenset(sessions), {s: v for s, v in states.items() if s in sessions}, entries, found)


def erase(shop: Shop, external_id: str, *, by: str = "") -> Erasure:
    """Delete everything held of a shopper, in every store, and record that it was done, without naming whom.

    by : who asked. What their live sessions still send is dropped by the archiver (`held.refused`); what began after the
    erasure under the same shopper's id is kept, as a stranger's. Raises Problem: 404 if nothing is held, 409 if a merge came
    between; then it is to be asked for again.
    """
    client = held.connect()
    now = time.time()
    found = holdings(shop, external_id, client)
    if found.empty:
        raise nobody(shop)
    held.deny(client, shop.pk, sessions=found.sessions, shoppers=found.person.ids, now=now)
    found = holdings(shop, external_id, client)  # with what was committed between the look and the denial
    held.deny(client, shop.pk, sessions=found.sessions, shoppers=found.person.ids, now=now)
    names = {*found.person.ids, *found.sessions}
    counts = {
        "live sessions": held.forget_sessions(client, shop.pk, found.sessions),
        "log entries": held.forget_entries(client, found.entries) + held.forget_unreadable(client, names),
    }
    with transaction.atomic():
        # The archiver's lock: what it writes before is deleted here, what it would write after is refused.
        Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
        if find(shop, external_id).ids != found.person.ids:
            raise Problem(409, "conflict", "The shopper was merged with another id meanwhile; ask again.")
        counts |= _erase_rows(shop, found)
        done = Erasure.objects.create(shop=shop, by=by[:150], counts=counts)
    counts["memories"] = memory.forget(shop.pk, found.person.ids)
    counts["answers"] = idempotency.forget(client, shop.pk, names)
    done.save(update_fields=["counts"])
    return done


def _erase_rows(shop: Shop, found: Holdings) -> dict[str, int]:
    person = find(shop, found.person.ids[0])
    shoppers = [person.row.pk] if person.row else []
    theirs = {pk: name for pk, name in Session.objects.filter(shop=shop, shopper__in=shoppers).values_list("pk", "session_id")}
    for chunk in in_chunks(found.sessions):
        theirs |= dict(Session.objects.filter(shop=shop, session_id__in=chunk).values_list("pk", "session_id"))
    searched = any(search_words.has_searches(chunk) for chunk in in_chunks(theirs))
    counts = delete_sessions(shop, theirs)
    if searched:
        search_words.forget_rare(shop)
    for chunk in in_chunks(found.sessions - set(theirs.values())):  # of sessions that have no row
        counts["slates"] += ServedSlate.objects.filter(shop=shop, session_id__in=chunk).delete()[0]
        counts["decisions"] += AdaptationDecision.objects.filter(shop=shop, session_id__in=chunk).delete()[0]
        counts["experiments"] += ExperimentSession.objects.filter(experiment__shop=shop, session_id__in=chunk).delete()[0]
        _forget_examples(shop, chunk)
    return counts | delete_shoppers(shoppers)


def _forget_examples(shop: Shop, sessions: Iterable[str]) -> None:
    """What bounds blocked stays counted, without the visit that it is an example of."""
    where = BlockedAction.Where.SESSION
    BlockedAction.objects.filter(shop=shop, where=where, example__in=list(sessions)).update(example="")


def delete_sessions(shop: Shop, sessions: Mapping[int, str]) -> dict[str, int]:
    """Delete sessions, {pk: session id}, with their events, slates, decisions and places in experiments; how many rows of each.

    The admin's own history goes as well, of these as of shoppers: it names them.
    """
    counts = {"sessions": 0, "events": 0, "slates": 0, "decisions": 0, "experiments": 0}
    _forget_history(Session, sessions)
    for chunk in in_chunks(sessions):
        ids = [sessions[pk] for pk in chunk]
        counts["slates"] += ServedSlate.objects.filter(shop=shop, session_id__in=ids).delete()[0]
        counts["decisions"] += AdaptationDecision.objects.filter(shop=shop, session_id__in=ids).delete()[0]
        counts["experiments"] += ExperimentSession.objects.filter(experiment__shop=shop, session_id__in=ids).delete()[0]
        _forget_examples(shop, ids)
        daily.forget_searches(shop, chunk)
        counts["events"] += ArchivedEvent.objects.filter(session__in=chunk).delete()[0]
        counts["sessions"] += Session.objects.filter(pk__in=chunk).delete()[0]
    if sessions:
        # What was counted of the log holds what these people typed. After the commit: a build that stores counts looks for
        # sessions gone meanwhile, and finds them by then.
        transaction.on_commit(lambda: cluster_statistics.forget(shop))
        # After it too: until then a page finds the visit, and would keep its course once more.
        transaction.on_commit(lambda: held.forget_courses(held.connect(), sessions))
    return counts


def delete_shoppers(pks: Collection[int]) -> dict[str, int]:
    """Delete shoppers, who have no sessions any more, with their aliases; how many rows of each. At most 500."""
    _forget_history(Shopper, pks)
    return {
        "aliases": ShopperAlias.objects.filter(shopper__in=pks).delete()[0],
        "shoppers": Shopper.objects.filter(pk__in=pks).delete()[0],
    }


def _forget_history(model: type[Shopper] | type[Session], pks: Iterable[int]) -> None:
    kind = ContentType.objects.get_for_model(model)
    for chunk in in_chunks(str(pk) for pk in pks):
        LogEntry.objects.filter(content_type=kind, object_id__in=chunk).delete()
