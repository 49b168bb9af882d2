"""The public HTTP doors as a shop's server and its pages use them, for visitors who are simulated."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

ATTEMPTS = 4
WAIT_S = 1.0
LONGEST_WAIT_S = 20.0
TIMEOUT_S = 15.0


class DoorError(RuntimeError):
    """An answer that isn't one, with what was asked and what was said."""


class Doors:
    """Session tokens by an API key; events and slates by a token, each request sent again while the door is busy.

    base : such as "http://localhost:8000".  key : with the scopes `ingest` and `read`.
    transport : another way there than the network.
    Use as an asynchronous context manager.
    """

    def __init__(self, base: str, key: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        limits = httpx.Limits(max_connections=32)
        self._client = httpx.AsyncClient(base_url=base, timeout=TIMEOUT_S, limits=limits, transport=transport)
        self._key = key

    async def __aenter__(self) -> Doors:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def token(self, session: str) -> str:
        """A token for a session that is marked as simulated from its first turn on."""
        answer = await self._post("/api/v1/session-tokens", self._key, {"session_id": session, "simulated": True})
        return str(answer["token"])

    async def slate(self, token: str, session: str, context: dict[str, str], recommend: dict[str, Any]) -> dict[str, Any]:
        return await self._post(
            "/api/v1/recommendations", token, {"session_id": session, "context": context, "recommend": recommend}
        )

    async def tell(self, token: str, session: str, events: list[dict[str, Any]]) -> None:
        """Events, which carry their own ids: sent again they count once."""
        answer = await self._post("/api/v1/events", token, {"session_id": session, "events": events})
        refused = [result for result in answer["results"] if result["status"] == "rejected"]
        if refused:
            raise DoorError(f"an event was rejected: {refused[0]}")

    async def _post(self, path: str, credential: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises DoorError on what is refused, and on a door that stays shut."""
        said = ""
        for attempt in range(ATTEMPTS):
            wait = WAIT_S * 2**attempt
            try:
                answer = await self._client.post(path, json=body, headers={"authorization": f"Bearer {credential}"})
            except httpx.TransportError as error:
                said = type(error).__name__
            else:
                if answer.is_success:
                    found: dict[str, Any] = answer.json()
                    return found
                said = f"{answer.status_code}: {answer.text[:200]}"
                if answer.status_code != 429 and answer.status_code < 500:
                    break
                asked = answer.headers.get("retry-after", "")
                wait = float(asked) if asked.isdigit() else wait
            if attempt < ATTEMPTS - 1:
                await asyncio.sleep(min(wait, LONGEST_WAIT_S))
        raise DoorError(f"POST {path} was answered by {said}")
