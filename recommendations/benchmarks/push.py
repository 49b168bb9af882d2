"""Event in over HTTP, push out at another client's websocket: one live process, as in production, that holds a thousand sockets.

A push is the profile and a slate of twelve, made, committed and logged as ever; the time of an event counts from its sending
to the last byte of either. The clients, on one loop of their own, share the machine's cores; what each side took of them is told.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from redis import Redis

from clusters.models import Item
from personas.models import Shop, hash_key
from recommendations.benchmarks.http import ITEMS, find_shop, serve
from recommendations.benchmarks.load import BenchmarkError, Measured, connect, of_server, open_loop, post, processor_s
from recommendations.serving.access import KEYS, issue_session_token
from recsite.embedded import start_valkey

CONNECTING = 32
"""Sockets that are opened at the same time."""

WARM_UP_S = 3.0
HTTP_CONNECTIONS = 16
SETTLE_S = 20.0
PROFILE, SLATE = b'{"type":"profile"', b'{"type":"slate"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shop", default="", help="slug of the shop whose active release serves (default: the first with one)")
    parser.add_argument("--sockets", type=int, default=1_000, help="sockets held, each of a session of its own (default: 1000)")
    parser.add_argument("--rate", type=float, default=100.0, help="events a second (default: 100)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the measurement (default: 20)")


def run(options: argparse.Namespace) -> dict[str, float | int | str]:
    """Time from event to push, what connecting takes, and what the processes took of the machine."""
    shop = find_shop(options.shop)
    items = list(Item.objects.of_shop(shop).order_by("pk").values_list("external_id", flat=True)[:ITEMS])
    key = secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        valkey = start_valkey(Path(folder) / "valkey", fsync="always")
        try:
            with serve("recsite.asgi:application", valkey.url) as port:
                row = {"shop": shop.pk, "scopes": ["ingest", "read"], "rate": 0}
                Redis.from_url(valkey.url).hset(KEYS, hash_key(key), json.dumps(row))
                return asyncio.run(measure(shop, items, key, port, valkey.process.pid, options))
        finally:
            valkey.stop()


async def measure(
    shop: Shop, items: list[str], key: str, port: int, valkey: int, options: argparse.Namespace
) -> dict[str, float | int | str]:
    run_id = secrets.token_hex(4)
    began = time.perf_counter()
    watch = Watch([f"{run_id}-{n}" for n in range(options.sockets)])
    gate = asyncio.Semaphore(CONNECTING)

    async def one(n: int) -> None:
        async with gate:
            token = issue_session_token(shop.pk, watch.sessions[n])
            await asyncio.get_running_loop().create_connection(lambda: Client(watch, n, token), "127.0.0.1", port)
            await asyncio.wait_for(watch.ready[n], SETTLE_S)

    await asyncio.gather(*(one(n) for n in range(options.sockets)))
    connected = time.perf_counter() - began
    connections = await connect(port, HTTP_CONNECTIONS)
    rng = np.random.default_rng(shop.pk)
    drawn = rng.integers(len(items), size=1 << 14)

    def request(n: int) -> bytes:
        event = {"event_id": f"{run_id}-{n}", "name": "view_item", "items": [{"item_id": items[drawn[n % len(drawn)]]}]}
        session = watch.session_of(n)
        watch.due[session] = time.perf_counter()
        body = json.dumps({"session_id": watch.sessions[session], "events": [event]}).encode()
        return post("/api/v1/events", body, bearer=key)

    await open_loop(connections, lambda n: request(n + (1 << 20)), WARM_UP_S, options.rate)
    await asyncio.sleep(1.0)
    watch.begin()
    before = [processor_s(pid) for pid in (*of_server(port), valkey, os.getpid())]
    answers = await open_loop(connections, request, options.seconds, options.rate)
    after = [processor_s(pid) for pid in (*of_server(port), valkey, os.getpid())]
    until = time.perf_counter() + SETTLE_S
    while watch.due and time.perf_counter() < until:
        await asyncio.sleep(0.05)
    if watch.due:
        raise BenchmarkError(f"{len(watch.due)} of {len(watch.slates.latencies)} events were never pushed")
    spent = [(b - a) / answers.seconds for a, b in zip(before, after, strict=True)]
    return {
        "shop": shop.slug,
        "sockets": options.sockets,
        "events_per_second": round(answers.rate, 1),
        "push_p50_ms": round(watch.slates.milliseconds(0.5), 3),
        "push_p99_ms": round(watch.slates.milliseconds(0.99), 3),
        "profile_p50_ms": round(watch.profiles.milliseconds(0.5), 3),
        "profile_p99_ms": round(watch.profiles.milliseconds(0.99), 3),
        "answer_p50_ms": round(answers.milliseconds(0.5), 3),
        "answer_p99_ms": round(answers.milliseconds(0.99), 3),
        "pushes": len(watch.slates.latencies),
        "sockets_opened_per_second": round(options.sockets / connected, 1),
        "server_cores": round(sum(spent[:-2]), 3),
        "valkey_cores": round(spent[-2], 3),
        "clients_cores": round(spent[-1], 3),
    }


class Watch:
    """What the clients' side knows. due : session -> when its event was sent, until its slate came."""

    def __init__(self, sessions: list[str]) -> None:
        loop = asyncio.get_running_loop()
        self.sessions = sessions
        self.ready = [loop.create_future() for _ in sessions]
        self.due: dict[int, float] = {}
        self.begin()

    def begin(self) -> None:
        self.due.clear()
        self.profiles, self.slates = Measured(0.0), Measured(0.0)

    def session_of(self, n: int) -> int:
        """Sessions take turns, in an order that has nothing to do with that in which they were opened."""
        return n * 7_919 % len(self.sessions)

    def came(self, session: int, message: bytes) -> None:
        sent = self.due.get(session)
        if message.startswith(SLATE):
            if not self.ready[session].done():
                self.ready[session].set_result(None)
            elif sent is not None:
                self.slates.latencies.append(time.perf_counter() - sent)
                del self.due[session]
        elif message.startswith(PROFILE) and sent is not None:
            self.profiles.latencies.append(time.perf_counter() - sent)

    def lost(self, session: int) -> None:
        if not self.ready[session].done():
            self.ready[session].set_exception(BenchmarkError("a socket was closed before its first slate"))


class Client(asyncio.Protocol):
    """One websocket that asks for a slate and reads: frames as our server sends them, unmasked and whole."""

    def __init__(self, watch: Watch, session: int, token: str) -> None:
        self._watch, self._session, self._token = watch, session, token
        self._buffer = bytearray()
        self._open = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        transport.write(
            f"GET /ws/v1/session?token={self._token} HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.lost(self._session)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._buffer.startswith(b"HTTP/1.1 101"):
                assert self._transport is not None
                self._transport.close()
                return
            self._open = True
            del self._buffer[: end + 4]
            self._say(b'{"type":"recommend"}')
        for message in self._messages():
            if message.startswith(b'{"type":"ping"'):
                self._say(b'{"type":"pong"}')
            else:
                self._watch.came(self._session, message)

    def _messages(self) -> Iterator[bytes]:
        buffer = self._buffer
        while len(buffer) >= 2:
            length, start = buffer[1] & 0x7F, 2
            if length == 126:
                length, start = int.from_bytes(buffer[2:4], "big"), 4
            elif length == 127:
                length, start = int.from_bytes(buffer[2:10], "big"), 10
            if len(buffer) < start + length:
                return
            message = bytes(buffer[start : start + length])
            del buffer[: start + length]
            yield message

    def _say(self, text: bytes) -> None:
        assert self._transport is not None
        assert len(text) < 126
        self._transport.write(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
