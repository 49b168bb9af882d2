"""The client for code that waits."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar, cast

import httpx

from persona_clusters import calls
from persona_clusters.calls import Call
from persona_clusters.shapes import Context, Event, ItemsWritten, Profile, Slate, Token, Told
from persona_clusters.talk import Heard, Pause, Talk, Talks, limit

T = TypeVar("T")


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
        self.talks = Talks(retries=retries, patience=patience, outbox=outbox)
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
        return self.drive(self.talks.events(session_id, events, more))

    def flush(self) -> int:
        """Send what was kept, oldest first, until the system is away again; the number of requests that went."""
        return self.drive(self.talks.flush())

    def recommend(self, session_id: str, context: Context = "home", **options: Any) -> Slate | None:
        """A slate; the last one of the same ask (`stale`), or None, where the system is away. options : `count`, `item_id`,
        `reasons`, ... as in the API. Raises PersonaError on what is asked wrongly."""
        return self.drive(self.talks.recommend(session_id, context, options))

    def profile(self, session_id: str) -> Profile:
        return cast("Profile", self.run(calls.profile(session_id)))

    def session_token(self, session_id: str, *, shopper_id: str | None = None, ttl_s: int | None = None) -> Token:
        """A token for the page of this session. shopper_id : who is logged in. ttl_s : seconds that it holds."""
        return cast("Token", self.run(calls.session_token(session_id, shopper_id, ttl_s)))

    def run(self, call: Call) -> Any:
        """One call with its retries. Raises PersonaError."""
        return self.drive(self.talks.one(call))

    def drive(self, talk: Talk[T]) -> T:
        """Do what a conversation asks for, until it ends; what it returns."""
        heard: Heard = None
        try:
            while True:
                step = talk.send(heard)
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    heard = None
                    continue
                try:
                    heard = self._http.request(step.method, step.path, json=step.json, **limit(step))
                except httpx.TransportError as error:
                    heard = error
        except StopIteration as end:
            return cast("T", end.value)

    def close(self) -> None:
        self._http.close()
        self.talks.outbox.close()

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
        return self._client.drive(self._client.talks.upsert(items))

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
