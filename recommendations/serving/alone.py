"""Slates that belong to no session: for a shopper, as their next visit would open; beside an item, as a stranger's would.

Nothing is remembered of them but the slate itself, so that what is reported as seen can be told of which slate it was; a session
doesn't learn from it. Who is asked for isn't logged with it.
"""

from __future__ import annotations

import secrets

from redis.exceptions import RedisError

from personas.events import EventError
from recommendations import asked as asking
from recommendations import engine as loop
from recommendations.serving import memory as memories
from recommendations.serving import turns
from recommendations.serving.activity import LIVE, TEST, Record, encode_record, partition
from recommendations.serving.asks import Ask, request_of
from recommendations.serving.payloads import ToldSlate, slate_json
from recommendations.serving.problems import invalid, storage_unavailable
from recommendations.serving.process import Process
from recommendations.serving.resuming import Visit, resume
from recommendations.serving.store import NotDurableError

NOTE = "no_session"
"""In the notes of such a slate."""


def name() -> str:
    """A name for the session that isn't one: 128 random bits, so that each slate has an id and draws of its own."""
    return f"~{secrets.token_hex(16)}"


async def slate(here: Process, visit: Visit, ask: Ask, now: float) -> ToldSlate:
    """A slate for a visit that doesn't take place. visit : under a `name`; its shopper may be "". Raises Problem."""
    if not visit.shopper and not (ask.item_id or ask.items or ask.query):
        raise invalid(EventError("session_id", "is missing; give session_id, shopper_id, or an item_id with its context"))
    engine = turns.engine_of(here, visit.shop)
    try:
        memory = None
        if visit.shopper:
            memory = await memories.recall(here.client, visit.shop, visit.shopper, partitions=here.store.partitions)
        opened = resume(here, engine, visit, None, memory, now=now)
        request = request_of(engine, ask, now)
        served = await here.cohorts.run(loop.make_in_stages(engine, opened, request, loop.draws(opened)))
        state, made = served.state, served.slate
        record = Record(
            shop=visit.shop,
            session=visit.session,
            shopper="",
            context={},
            release=engine.release,
            version=state.version,
            started_at=now,
            at=now,
            slate=turns.logged(made, now, asking.told(request, opened)),
            origin=TEST if visit.test else LIVE,
            alone=True,
        )
        await here.store.append(partition(visit.shop, visit.session, here.store.partitions), encode_record(record))
    except (RedisError, OSError, NotDurableError) as error:
        raise storage_unavailable() from error
    told = slate_json(engine, state, made, reasons=ask.reasons)
    told.session_id, told.notes = "", (*told.notes, NOTE)
    return told
