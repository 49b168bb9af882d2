"""What both clients do, said once: conversations that yield a request or a pause and are sent what came of it.

A client only drives them, by waiting or by awaiting (`client.py`, `aio.py`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import httpx

from persona_clusters import calls
from persona_clusters.calls import AWAY, Call
from persona_clusters.errors import PersonaError
from persona_clusters.keeping import LastSlates, Outbox
from persona_clusters.shapes import Context, Event, ItemsWritten, Slate, Told

logger = logging.getLogger("persona_clusters")

T = TypeVar("T")


class Pause(NamedTuple):
    """Wait so many seconds; nothing is sent back."""

    seconds: float


Heard = httpx.Response | httpx.TransportError | None
Talk = Generator[Call | Pause, Heard, T]
"""Yields a Call, and is sent its answer or why there is none; or yields a Pause. Returns what the caller is given."""


class Talks:
    """retries : attempts after the first. patience : seconds that `recommend` waits. outbox : see `keeping.Outbox`."""

    def __init__(self, *, retries: int, patience: float, outbox: str | os.PathLike[str] | None) -> None:
        self.retries = retries
        self.patience = patience
        self.outbox = Outbox(outbox)
        self.slates = LastSlates()

    def one(self, call: Call) -> Talk[Any]:
        """One call with its retries. Raises PersonaError."""
        attempt = 0
        while True:
            answer = yield call
            assert answer is not None, "a call is answered"
            wait = calls.wait_before_retry(call, attempt, self.retries, answer)
            if wait is None:
                return calls.read(call, attempt, answer)
            yield Pause(wait)
            attempt += 1

    def events(self, session_id: str, events: Sequence[Event], more: Mapping[str, Any]) -> Talk[Told]:
        told: Told = {"results": [], "kept": False}
        for call in calls.events(session_id, events, more):
            try:
                answer = yield from self.one(call)
            except AWAY as error:
                logger.warning("%d events of session %s are kept: %s", len(call.json["events"]), session_id, error)
                self._keep(call, told)
                continue
            told = cast("Told", {**answer, "results": [*told["results"], *answer["results"]], "kept": told["kept"]})
        if not told["kept"] and len(self.outbox):
            yield from self.flush()
        return told

    def _keep(self, call: Call, told: Told) -> None:
        """Put a request of events by; its slate, asked for now, is not asked for later."""
        self.outbox.put({name: value for name, value in call.json.items() if name != "recommend"})
        told["results"] += [{"event_id": event["event_id"], "status": "kept"} for event in call.json["events"]]
        told["kept"] = True

    def flush(self) -> Talk[int]:
        went = 0
        while (first := self.outbox.first()) is not None:
            place, call = first
            try:
                yield from self.one(call)
            except AWAY:
                break
            except PersonaError as error:
                if not droppable(error):
                    raise
                logger.warning("kept events were refused, and dropped: %s", error)
            self.outbox.drop(place)
            went += 1
        return went

    def recommend(self, session_id: str, context: Context, options: Mapping[str, Any]) -> Talk[Slate | None]:
        call = calls.recommend(session_id, context, options, patience=self.patience)
        if self.slates.away:
            return self.slates.last(call)
        try:
            return self.slates.keep(call, (yield from self.one(call)))
        except AWAY as error:
            self.slates.failed()
            logger.warning("no slate for session %s: %s", session_id, error)
            return self.slates.last(call)

    def upsert(self, items: Sequence[Mapping[str, Any]]) -> Talk[ItemsWritten]:
        """The answers to parts of one upsert as one, `index` counting through."""
        whole: ItemsWritten = {"added": 0, "updated": 0, "rejected": 0, "results": []}
        for place, call in enumerate(calls.upsert(items)):
            answer = yield from self.one(call)
            whole["added"] += answer["added"]
            whole["updated"] += answer["updated"]
            whole["rejected"] += answer["rejected"]
            whole["results"] += [{**result, "index": place * calls.MOST_ITEMS + result["index"]} for result in answer["results"]]
        return whole


def droppable(error: PersonaError) -> bool:
    """Whether what was refused will be refused for ever; a wrong key may be mended."""
    return error.status in {400, 409, 413, 415, 422}


def limit(call: Call) -> dict[str, Any]:
    """The timeout of a call, where it has one of its own."""
    return {} if call.timeout is None else {"timeout": call.timeout}
