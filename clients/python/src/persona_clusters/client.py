"""The client for code that waits."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, cast

import httpx

from persona_clusters import calls
from persona_clusters.calls import AWAY, Call
from persona_clusters.errors import PersonaError
from persona_clusters.keeping import LastSlates, Outbox
from persona_clusters.shapes import Context, Event, ItemsWritten, Profile, Slate, Token, Told

logger = logging.getLogger(__name__)


class Client:
    """One installation, as a shop's server speaks to it; safe to share between threads.

    base : its address. key : an API key. timeout : seconds of one attempt. retries : attempts after the first.
    patience : seconds that `recommend` waits. outbox : file for events that can't be sent; in memory if None.
    """

    def __init__(
        self,
        base: str,
        key: str,
        *,
        timeout: float = 5.0,
        retries: int = 3,
        patience: float = 0.5,
        outbox: str | os.PathLike[str] | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=timeout)
        self._retries = retries
        self._patience = patience
        self._outbox = Outbox(outbox)
        self._slates = LastSlates()
        self.items = Items(self)
        self.shoppers = Shoppers(self)

    def events(
        self,
        session_id: str,
        events: Sequence[Event],
        *,
        shopper_id: str | None = None,
        context: Mapping[str, Any] | None = None,
        consent: bool | None = None,
        recommend: Mapping[str, Any] | None = None,
    ) -> Told:
        """Send events of one session; where the system is away they are kept. Raises PersonaError on what nobody could take."""
        more = {"shopper_id": shopper_id, "context": context, "consent": consent, "recommend": recommend}
        told: Told = {"results": [], "kept": False}
        for call in calls.events(session_id, events, more):
            try:
                answer = self.run(call)
            except AWAY as error:
                logger.warning("%d events of session %s are kept: %s", len(call.json["events"]), session_id, error)
                keep(self._outbox, call, told)
                continue
            told = cast("Told", {**answer, "results": [*told["results"], *answer["results"]], "kept": told["kept"]})
        if not told["kept"] and len(self._outbox):
            self.flush()
        return told

    def flush(self) -> int:
        """Send what was kept, oldest first, until the system is away again; the number of requests that went."""
        went = 0
        while (first := self._outbox.first()) is not None:
            place, call = first
            try:
                self.run(call)
            except AWAY:
                break
            except PersonaError as error:
                if not droppable(error):
                    raise
                logger.warning("kept events were refused, and dropped: %s", error)
            self._outbox.drop(place)
            went += 1
        return went

    def recommend(self, session_id: str, context: Context = "home", **options: Any) -> Slate | None:
        """A slate; the last one of the same ask (`stale`), or None, where the system is away. options : `count`, `item_id`, ...
        as in the API. Raises PersonaError on what is asked wrongly."""
        call = calls.recommend(session_id, context, options, patience=self._patience)
        if self._slates.away:
            return self._slates.last(call)
        try:
            return self._slates.keep(call, self.run(call))
        except AWAY as error:
            self._slates.failed()
            logger.warning("no slate for session %s: %s", session_id, error)
            return self._slates.last(call)

    def profile(self, session_id: str) -> Profile:
        return cast("Profile", self.run(calls.profile(session_id)))

    def session_token(self, session_id: str, *, shopper_id: str | None = None, ttl_s: int | None = None) -> Token:
        """A token for the page of this session. shopper_id : who is logged in. ttl_s : seconds that it holds."""
        return cast("Token", self.run(calls.session_token(session_id, shopper_id, ttl_s)))

    def run(self, call: Call) -> Any:
        """One call with its retries. Raises PersonaError."""
        attempt = 0
        while True:
            answer: httpx.Response | httpx.TransportError
            try:
                answer = self._http.request(call.method, call.path, json=call.json, **limit(call))
            except httpx.TransportError as error:
                answer = error
            wait = calls.wait_before_retry(call, attempt, self._retries, answer)
            if wait is None:
                return calls.read(call, attempt, answer)
            time.sleep(wait)
            attempt += 1

    def close(self) -> None:
        self._http.close()
        self._outbox.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Items:
    """The catalogue. What is written acts on recommendations within seconds."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def upsert(self, items: Sequence[Mapping[str, Any]]) -> ItemsWritten:
        """Add items, or change those that there are. A bad one is rejected with its field and reason, the others are kept."""
        return written([self._client.run(call) for call in calls.upsert(items)])

    def patch(self, item_id: str, **offer: Any) -> dict[str, Any]:
        """Change `price`, `regular_price`, `cost`, `in_stock`."""
        return cast("dict[str, Any]", self._client.run(calls.patch(item_id, offer)))

    def delete(self, item_id: str) -> None:
        self._client.run(calls.delete(item_id))


class Shoppers:
    """What is held of people, and their rights."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, shopper_id: str) -> dict[str, Any]:
        return cast("dict[str, Any]", self._client.run(calls.shopper("GET", shopper_id)))

    def consent(self, shopper_id: str, demographics: bool) -> dict[str, Any]:
        """Record consent to the use of demographics; a withdrawal deletes them."""
        return cast(
            "dict[str, Any]", self._client.run(calls.shopper("PUT", shopper_id, "/consent", {"demographics": demographics}))
        )

    def demographics(self, shopper_id: str, **values: str) -> dict[str, Any]:
        """In the place of all before. Raises Conflict (`consent_missing`) without consent."""
        return cast("dict[str, Any]", self._client.run(calls.shopper("PUT", shopper_id, "/demographics", values)))

    def merge(self, shopper_id: str, guest: str) -> dict[str, Any]:
        """At a log-in: the guest's visits are the shopper's from now on."""
        return cast("dict[str, Any]", self._client.run(calls.shopper("POST", shopper_id, "/merge", {"from": guest})))

    def export(self, shopper_id: str) -> dict[str, Any]:
        """Everything held."""
        return cast("dict[str, Any]", self._client.run(calls.shopper("GET", shopper_id, "/export")))

    def erase(self, shopper_id: str) -> dict[str, Any]:
        """Erasure, in every store; the answer counts what went."""
        return cast("dict[str, Any]", self._client.run(calls.shopper("DELETE", shopper_id)))


def limit(call: Call) -> dict[str, Any]:
    return {} if call.timeout is None else {"timeout": call.timeout}


def keep(outbox: Outbox, call: Call, told: Told) -> None:
    """Put a request of events by; its slate, asked for now, is not asked for later."""
    outbox.put({name: value for name, value in call.json.items() if name != "recommend"})
    told["results"] += [{"event_id": event["event_id"], "status": "kept"} for event in call.json["events"]]
    told["kept"] = True


def droppable(error: PersonaError) -> bool:
    """Whether what was refused will be refused for ever; a wrong key may be mended."""
    return error.status in {400, 409, 413, 415, 422}


def written(answers: Sequence[Mapping[str, Any]]) -> ItemsWritten:
    """The answers to parts of one upsert as one, `index` counting through."""
    whole: ItemsWritten = {"added": 0, "updated": 0, "rejected": 0, "results": []}
    for place, answer in enumerate(answers):
        whole["added"] += answer["added"]
        whole["updated"] += answer["updated"]
        whole["rejected"] += answer["rejected"]
        whole["results"] += [{**result, "index": place * calls.MOST_ITEMS + result["index"]} for result in answer["results"]]
    return whole
