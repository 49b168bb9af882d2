"""A real server stops: pages hear why their sockets end, and come back at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest
import websockets

from tests.small_server import SmallServer, small_server


@pytest.fixture(scope="module")
def server() -> Iterator[SmallServer]:
    with small_server() as made:
        yield made


async def opened(server: SmallServer, session: str) -> websockets.ClientConnection:
    ws = await websockets.connect(f"ws://localhost:{server.port}/ws/v1/session?token={server.token(session)}", open_timeout=60)
    await ws.send('{"type": "recommend"}')
    assert '"hello"' in str(await ws.recv())
    return ws


async def ended(ws: websockets.ClientConnection) -> int | None:
    async with asyncio.timeout(60):
        await ws.wait_closed()
    return ws.close_code


@pytest.mark.parametrize("whole_group", [False, True], ids=["the server", "all its processes"])
async def test_sockets_end_with_the_word_that_the_server_stops(server: SmallServer, whole_group: bool) -> None:
    """1012, not 1006, which is a line that broke; whether the parent is told, or every process by itself as systemd does."""
    if server.server is None or server.server.poll() is not None:
        server.start()
    assert server.server is not None
    sockets = [await opened(server, f"s{n}") for n in range(5)]
    (os.killpg if whole_group else os.kill)(server.server.pid, signal.SIGTERM)
    assert [await ended(ws) for ws in sockets] == [1012] * 5
    assert await asyncio.to_thread(server.server.wait, 60) == 0
