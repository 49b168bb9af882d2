"""A live process over the tests' Valkey with a small trained shop, and a client that speaks ASGI to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import redis
from asgiref.testing import ApplicationCommunicator

from personas.models import hash_key
from recommendations.engine import Engine
from recommendations.serving import access, live, process
from recommendations.serving.consumers import websocket_application
from recommendations.serving.engines import Engines
from recommendations.serving.process import Process

SHOP = 1
KEY = "pc_test_key"
PATIENCE_S = 30.0
"""So long a busy machine may take over what is asked of it."""


def put_key(
    client: redis.Redis,
    plaintext: str,
    *,
    shop: int = SHOP,
    scopes: tuple[str, ...] = ("ingest", "read"),
    rate: int = 0,
    **more: object,
) -> None:
    """rate : requests a second, 0 for any.  more : as the hot path's copy of a key has it."""
    row = {"shop": shop, "scopes": scopes, "rate": rate, **more}
    client.hset(access.KEYS, hash_key(plaintext), json.dumps(row))


async def start_process(url: str, engine: Engine | None) -> Process:
    """The running loop's process, which serves shop 1 with `engine` as release 1 and looks nowhere for others."""
    engines = Engines(find=dict)
    if engine is not None:
        engines.put(SHOP, replace(engine, release="1"))
    process.serve_with(asyncio.create_task(process.start(url, engines)))
    return await process.current()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


async def call(
    method: str,
    path: str,
    body: object = None,
    *,
    key: str = KEY,
    query: str = "",
    raw: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request to the hot endpoints, as a server would make it."""
    data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    sent = {"authorization": f"Bearer {key}", "content-length": str(len(data))} if key else {"content-length": str(len(data))}
    sent |= {"host": "testserver:8000", **(headers or {})}
    chunks = [data[i : i + 65_536] for i in range(0, len(data), 65_536)] or [b""]
    messages = iter({"type": "http.request", "body": chunk, "more_body": i + 1 < len(chunks)} for i, chunk in enumerate(chunks))
    out: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        out.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in sent.items()],
    }
    await live.app(scope, receive, send)
    assert [m["type"] for m in out] == ["http.response.start", "http.response.body"]
    given = {k.decode(): v.decode() for k, v in out[0]["headers"]}
    return Answer(out[0]["status"], given, json.loads(out[1]["body"]))


def view(event_id: str, item: str = "sku-1", **fields: object) -> dict[str, Any]:
    return {"event_id": event_id, "name": "view_item", "items": [{"item_id": item}], **fields}


class Socket:
    """A websocket client of `websocket_application`; channels' own test client would need daphne."""

    def __init__(self, path: str, query: str, headers: list[tuple[bytes, bytes]]) -> None:
        scope = {"type": "websocket", "path": path, "query_string": query.encode(), "headers": headers, "subprotocols": []}
        self.wire = ApplicationCommunicator(websocket_application, scope)

    async def connect(self) -> bool:
        """Whether the socket was accepted."""
        await self.wire.send_input({"type": "websocket.connect"})
        return bool((await self.wire.receive_output(timeout=PATIENCE_S))["type"] == "websocket.accept")

    async def send(self, content: object) -> None:
        await self.send_text(json.dumps(content))

    async def send_text(self, text: str) -> None:
        await self.wire.send_input({"type": "websocket.receive", "text": text})

    async def receive(self) -> Any:
        return json.loads((await self.wire.receive_output(timeout=PATIENCE_S))["text"])

    async def is_silent(self, seconds: float) -> bool:
        return bool(await self.wire.receive_nothing(timeout=seconds))

    def waiting(self) -> bool:
        """Whether a message has come that wasn't read."""
        return not self.wire.output_queue.empty()

    async def ended(self) -> int:
        """The code with which the server closes; what it sent before is skipped."""
        while (message := await self.wire.receive_output(timeout=PATIENCE_S))["type"] != "websocket.close":
            continue
        return int(message["code"])

    async def close(self) -> None:
        await self.wire.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wire.wait(timeout=PATIENCE_S)
