"""The client for code that awaits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar, cast

import httpx

from persona_clusters import calls
from persona_clusters.calls import Call
from persona_clusters.shapes import Context, Event, ItemsWritten, Profile, Slate, Token, Told
from persona_clusters.talk import Heard, Pause, Talk, Talks, limit

T = TypeVar("T")


class AsyncClient:
    """One installation, as a shop's server speaks to it; of one event loop.

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
        self._http = httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=timeout)
        self.talks = Talks(retries=retries, patience=patience, outbox=outbox)
        self.items = AsyncItems(self)
        self.shoppers = AsyncShoppers(self)

    async def events(
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
        return await self.drive(self.talks.events(session_id, events, more))

    async def flush(self) -> int:
        """Send what was kept, oldest first, until the system is away again; the number of requests that went."""
        return await self.drive(self.talks.flush())

    async def recommend(self, session_id: str, context: Context = "home", **options: Any) -> Slate | None:
        """A slate; the last one of the same ask (`stale`), or None, where the system is away. options : `count`, `item_id`,
        `reasons`, ... as in the API. Raises PersonaError on what is asked wrongly."""
        return await self.drive(self.talks.recommend(session_id, context, options))

    async def profile(self, session_id: str) -> Profile:
        return cast("Profile", await self.run(calls.profile(session_id)))

    async def session_token(self, session_id: str, *, shopper_id: str | None = None, ttl_s: int | None = None) -> Token:
        """A token for the page of this session. shopper_id : who is logged in. ttl_s : seconds that it holds."""
        return cast("Token", await self.run(calls.session_token(session_id, shopper_id, ttl_s)))

    async def run(self, call: Call) -> Any:
        """One call with its retries. Raises PersonaError."""
        return await self.drive(self.talks.one(call))

    async def drive(self, talk: Talk[T]) -> T:
        """Do what a conversation asks for, until it ends; what it returns."""
        heard: Heard = None
        try:
            while True:
                step = talk.send(heard)
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    heard = None
                    continue
                try:
                    heard = await self._http.request(step.method, step.path, json=step.json, **limit(step))
                except httpx.TransportError as error:
                    heard = error
        except StopIteration as end:
            return cast("T", end.value)

    async def close(self) -> None:
        await self._http.aclose()
        self.talks.outbox.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


class AsyncItems:
    """The catalogue. What is written acts on recommendations within seconds."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def upsert(self, items: Sequence[Mapping[str, Any]]) -> ItemsWritten:
        """Add items, or change those that there are. A bad one is rejected with its field and reason, the others are kept."""
        return await self._client.drive(self._client.talks.upsert(items))

    async def patch(self, item_id: str, **offer: Any) -> dict[str, Any]:
        """Change `price`, `regular_price`, `cost`, `in_stock`."""
        return cast("dict[str, Any]", await self._client.run(calls.patch(item_id, offer)))

    async def delete(self, item_id: str) -> None:
        await self._client.run(calls.delete(item_id))


class AsyncShoppers:
    """What is held of people, and their rights."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def get(self, shopper_id: str) -> dict[str, Any]:
        return cast("dict[str, Any]", await self._client.run(calls.shopper("GET", shopper_id)))

    async def consent(self, shopper_id: str, demographics: bool) -> dict[str, Any]:
        """Record consent to the use of demographics; a withdrawal deletes them."""
        return cast(
            "dict[str, Any]", await self._client.run(calls.shopper("PUT", shopper_id, "/consent", {"demographics": demographics}))
        )

    async def demographics(self, shopper_id: str, **values: str) -> dict[str, Any]:
        """In the place of all before. Raises Conflict (`consent_missing`) without consent."""
        return cast("dict[str, Any]", await self._client.run(calls.shopper("PUT", shopper_id, "/demographics", values)))

    async def merge(self, shopper_id: str, guest: str) -> dict[str, Any]:
        """At a log-in: the guest's visits are the shopper's from now on."""
        return cast("dict[str, Any]", await self._client.run(calls.shopper("POST", shopper_id, "/merge", {"from": guest})))

    async def export(self, shopper_id: str) -> dict[str, Any]:
        """Everything held."""
        return cast("dict[str, Any]", await self._client.run(calls.shopper("GET", shopper_id, "/export")))

    async def erase(self, shopper_id: str) -> dict[str, Any]:
        """Erasure, in every store; the answer counts what went."""
        return cast("dict[str, Any]", await self._client.run(calls.shopper("DELETE", shopper_id)))
