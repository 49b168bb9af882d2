"""A lean HTTP client for benchmarks: keep-alive connections on bare asyncio, to cost little. And what processes spend."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


class BenchmarkError(RuntimeError):
    """Why a figure can't be had, and what to do."""


class Connection(asyncio.Protocol):
    """One connection, one request at a time. Reads answers with a content length, which is what our servers send."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, rest = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        place = head.lower().find(b"content-length:")
        length = int(head[place + 15 :].split(b"\r\n", 1)[0])
        if len(rest) >= length and self._answer is not None:
            self._buffer = rest[length:]
            self._answer.set_result((int(head[9:12]), rest[:length]))

    async def request(self, data: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def post(path: str, body: bytes, *, bearer: str = "") -> bytes:
    """The bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    if bearer:
        head += f"authorization: Bearer {bearer}\r\n"
    return head.encode() + b"\r\n" + body


async def connect(port: int, count: int) -> list[Connection]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(count)]


@dataclass
class Measured:
    """Answers of one run. seconds : how long it took.  latencies : seconds of each answer."""

    seconds: float
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def milliseconds(self, share: float) -> float:
        return float(np.quantile(self.latencies, share)) * 1e3 if self.latencies else float("nan")


async def closed_loop(connections: Sequence[Connection], request: Callable[[int], bytes], seconds: float) -> Measured:
    """As fast as it goes: each connection sends its next request upon the answer. Raises BenchmarkError on an error answer."""
    latencies: list[float] = []
    start = time.perf_counter()

    async def run(index: int, connection: Connection) -> None:
        n = index
        while time.perf_counter() - start < seconds:
            latencies.append(await _timed(connection, request(n), time.perf_counter()))
            n += len(connections)

    await asyncio.gather(*(run(i, c) for i, c in enumerate(connections)))
    return Measured(time.perf_counter() - start, latencies)


async def open_loop(connections: Sequence[Connection], request: Callable[[int], bytes], seconds: float, rate: float) -> Measured:
    """At a fixed rate. A latency counts from when the request was due, so that waiting for a connection counts too."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)
    latencies: list[float] = []
    start = time.perf_counter()

    async def one(n: int, due: float) -> None:
        connection = await free.get()
        latencies.append(await _timed(connection, request(n), due))
        free.put_nowait(connection)

    async with asyncio.TaskGroup() as group:
        for n in range(int(seconds * rate)):
            due = start + n / rate
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            group.create_task(one(n, due))
    return Measured(time.perf_counter() - start, latencies)


async def _timed(connection: Connection, data: bytes, since: float) -> float:
    status, body = await connection.request(data)
    if status != 200:
        raise BenchmarkError(f"the server answered {status}: {body[:300].decode(errors='replace')}")
    return time.perf_counter() - since


def of_server(port: int) -> list[int]:
    """Processes of the server on a port: the one that was started and its worker."""
    mark = f"--port\0{port}\0".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:  # gone meanwhile
            continue
    return sorted(found)


def processor_s(pid: int) -> float:
    """Seconds of processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
