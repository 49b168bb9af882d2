"""The real server, end to end: HTTP and websocket over one port, and a release swapped while it serves."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import gzip
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from recsite import embedded
from tests.live_shops import view
from tests.small_server import ROOT

# Sets up an installation with two releases of one shop, the first active, then activates the second upon a line.
_OPERATOR = """
import sys
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from personas.models import ApiKey, Shop
from clusters.models import Item
from dataclasses import replace
from personas.components import Text
from recommendations import releases
from tests.worlds import make_world, train_world
shop = Shop.objects.create(slug="small", name="Small")
world = make_world(sessions=150)
# The last have the ids that the integrators' examples name: why and what if are told of items that a release knows.
names = [f"sku-{n + 1}" for n in range(len(world.catalogue) - 4)] + ["A12", "A13", "A16", "A21"]
world = replace(world, catalogue=replace(world.catalogue, external_ids=Text.of(names)))
Item.objects.bulk_create(Item(shop=shop, external_id=name) for name in names)
first = train_world(world)
releases.activate(releases.publish(shop, first, metrics={}))
second = releases.publish(shop, train_world(world, previous=first, seed=1), metrics={})
print(ApiKey.objects.issue(shop=shop, name="test", scopes=["ingest", "read", "manage"])[1], flush=True)
sys.stdin.readline()
releases.activate(second)
print("activated", flush=True)
"""


@dataclass
class Site:
    port: int
    key: str
    operator: subprocess.Popen[str]
    home: Path
    environment: dict[str, str]

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def url(self, path: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    home = embedded.short_temporary_directory("srv-")
    valkey = embedded.start_valkey(home / "valkey")
    environment = os.environ | {
        "DATA_DIR": str(home / "var"),
        "DATABASE_URL": f"sqlite:///{home / 'db.sqlite3'}",
        "REDIS_URL": valkey.url,
        "SQLITE_SYNCHRONOUS": "OFF",
    }
    root = str(Path(__file__).parent.parent)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    operator = subprocess.Popen(
        [sys.executable, "-c", _OPERATOR], env=environment, cwd=root, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port), "--log-level", "warning"]
    command += ["--workers-kill-timeout", "5"]
    server = None
    try:
        assert operator.stdout is not None
        key = operator.stdout.readline().strip()
        assert key, "the installation could not be set up"
        server = subprocess.Popen([*command, "recsite.asgi:application"], env=environment, cwd=root)
        deadline = time.monotonic() + 120
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
                break
            except httpx.TransportError:
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server did not come up"
                time.sleep(0.1)
        yield Site(port, key, operator, home, environment)
    finally:
        for process in (server, operator):
            if process is not None:
                process.terminate()
                process.wait(20)
        for pipe in (operator.stdin, operator.stdout):
            if pipe is not None:
                pipe.close()
        valkey.stop()


async def receive(ws: Any, kind: str) -> Any:
    """The next message of a kind, within 10 seconds."""
    async with asyncio.timeout(10):
        while True:
            message = json.loads(await ws.recv())
            if message["type"] == kind:
                return message


async def test_an_event_over_http_is_pushed_over_the_websocket_and_a_release_swaps_in_between(site: Site) -> None:
    async with httpx.AsyncClient(headers=site.headers, timeout=20) as client:
        token = (await client.post(site.url("/api/v1/session-tokens"), json={"session_id": "s1"})).json()["token"]
        async with websockets.connect(site.url(f"/ws/v1/session?token={token}", "ws")) as ws:
            await ws.send('{"type": "recommend"}')
            assert (await receive(ws, "slate"))["slate"]["release"] == "1"
            body = {"session_id": "s1", "events": [view("e1", "sku-7")], "recommend": {"count": 4}}
            answer = await client.post(site.url("/api/v1/events"), json=body)
            assert answer.status_code == 200
            assert len(answer.json()["slate"]["items"]) == 4
            assert (await receive(ws, "profile"))["profile"]["events"] == 1

            assert site.operator.stdin is not None
            site.operator.stdin.write("\n")
            site.operator.stdin.flush()
            deadline = time.monotonic() + 15
            release, n = "1", 2
            while release == "1" and time.monotonic() < deadline:
                answer = await client.post(site.url("/api/v1/events"), json={"session_id": "s1", "events": [view(f"e{n}")]})
                release, n = answer.json()["release"], n + 1
                await asyncio.sleep(0.1)
            assert release == "2", "the running process did not take up the new release"
            slate = (await receive(ws, "slate"))["slate"]
            while slate["release"] == "1":
                slate = (await receive(ws, "slate"))["slate"]
            profile = (await client.get(site.url("/api/v1/sessions/s1/profile"))).json()
            assert profile["release"] == "2"
            assert profile["events"] == n - 1, "the session went on; nothing of it was lost"


async def test_a_socket_over_the_wire_says_why_it_ends(site: Site) -> None:
    """The real server: its close frames were not sent while somebody waited to receive, and so never."""
    async with httpx.AsyncClient(headers=site.headers, timeout=20) as client:
        body = {"session_id": "ends", "ttl_s": 60}
        token = (await client.post(site.url("/api/v1/session-tokens"), json=body)).json()["token"]
        async with websockets.connect(site.url(f"/ws/v1/session?token={token}", "ws")) as ws:
            for _ in range(130):
                await ws.send('{"type": "pong"}')
            async with asyncio.timeout(10):
                await ws.wait_closed()
            assert (ws.close_code, ws.close_reason) == (4429, "more than 20 messages a second")


def test_a_slow_reader_is_let_go_and_slows_nobody(site: Site) -> None:
    """One asks for a thousand slates and reads none of them; what the others wait for comes as before."""
    asyncio.run(one_slow_of_two(site))


async def one_slow_of_two(site: Site) -> None:
    async with httpx.AsyncClient(headers=site.headers, timeout=20) as client:
        tokens = [
            (await client.post(site.url("/api/v1/session-tokens"), json={"session_id": name})).json()["token"]
            for name in ("slow", "brisk")
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1_000)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        ask = json.dumps({"type": "recommend", "recommend": {"count": 50}}).encode()
        frame = bytes([0x81, 0x80 | len(ask)]) + b"\0\0\0\0" + ask
        writer.write(
            f"GET /ws/v1/session?token={tokens[0]} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        async with websockets.connect(site.url(f"/ws/v1/session?token={tokens[1]}", "ws")) as ws:
            await receive(ws, "profile")
            waits, ended = [], False
            writer.write(frame * 90)
            for n in range(400):
                with contextlib.suppress(ConnectionError):
                    writer.write(frame)
                started = time.monotonic()
                await ws.send(json.dumps({"type": "event", "event": view(f"brisk-{n}")}))
                await receive(ws, "profile")
                waits.append(time.monotonic() - started)
                await asyncio.sleep(0.06)
                ended = ended or writer.transport.is_closing()
                if ended:
                    break
        assert ended, "what took nothing for ten seconds is closed"
        assert sorted(waits)[len(waits) // 2] < 0.5
        writer.close()


def test_a_foreign_token_opens_no_socket(site: Site) -> None:
    async def attempt() -> None:
        async with websockets.connect(site.url("/ws/v1/session?token=a:b", "ws")):
            pass

    with pytest.raises(websockets.exceptions.InvalidStatus):
        asyncio.run(attempt())


@pytest.mark.parametrize("path", ["shops", "items", "clusters", "personas", "attributes", "releases"])
def test_rows_are_read_with_a_key_and_not_without(site: Site, path: str) -> None:
    assert httpx.get(site.url(f"/api/v1/{path}/")).status_code in {401, 403}
    answer = httpx.get(site.url(f"/api/v1/{path}/"), headers=site.headers)
    assert answer.status_code == 200
    assert "results" in answer.json()


def test_the_hot_endpoints_are_in_the_schema(site: Site) -> None:
    paths = httpx.get(site.url("/api/schema/?format=json"), headers=site.headers, timeout=20).json()["paths"]
    assert {"/api/v1/events", "/api/v1/recommendations", "/api/v1/session-tokens"} <= set(paths)
    assert "/api/v1/sessions/{session_id}/profile" in paths


def test_a_body_of_10_mb_is_refused_by_the_server_as_a_whole(site: Site) -> None:
    answer = httpx.post(site.url("/api/v1/events"), content=b"x" * 10_000_000, headers=site.headers, timeout=20)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def archived(site: Site, session: str) -> list[str]:
    """Event ids of a session in the archive."""
    with sqlite3.connect(f"file:{site.home / 'db.sqlite3'}?mode=ro", uri=True) as database:
        return [
            event_id
            for (event_id,) in database.execute(
                "SELECT event_id FROM personas_archivedevent e JOIN personas_session s ON s.id = e.session_id"
                " WHERE s.session_id = ? ORDER BY e.id",
                (session,),
            )
        ]


@contextlib.contextmanager
def working(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that archives by the schedule."""
    schedule = ["--beat", "--schedule", str(site.home / "beat"), "--concurrency", "2"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "recsite", "--quiet", "worker", *schedule, "--loglevel", "ERROR"],
        env=site.environment, cwd=str(Path(__file__).parent.parent),
    )  # fmt: skip
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait(30)


def test_a_real_worker_archives_what_was_acknowledged_by_the_schedule(site: Site) -> None:
    sent = [f"w{n}" for n in range(12)]
    for event_id in sent:
        body = {"session_id": "worker", "events": [view(event_id, "sku-3")]}
        assert httpx.post(site.url("/api/v1/events"), json=body, headers=site.headers, timeout=20).status_code == 200
    assert archived(site, "worker") == [], "nobody archives before the worker is there"
    with working(site) as worker:
        deadline = time.monotonic() + 40
        while len(archived(site, "worker")) < len(sent) and time.monotonic() < deadline:
            assert worker.poll() is None, "the worker ended"
            time.sleep(0.2)
        assert archived(site, "worker") == sent


def fashion(text: str) -> list[dict[str, str]]:
    """Items of the demo shop `fashion` that a text names."""
    with gzip.open(ROOT / "data" / "fashion" / "items.csv.gz", "rt") as file:
        return [row for row in csv.DictReader(file) if re.search(rf"\b{row['item_id']}\b", text)]


@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_integrators_examples_run_as_written(site: Site) -> None:
    text = (ROOT / "docs" / "integrators.md").read_text()
    blocks = re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
    assert {kind for kind, _ in blocks} == {"bash", "python", "html"}
    beside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    assert not re.search(r"^    (curl|python|\{)", beside, re.MULTILINE), "an example that nobody runs"
    named = fashion("".join(block for _, block in blocks))
    assert len(named) > 2
    answer = httpx.post(site.url("/api/v1/items/"), json={"items": named}, headers=site.headers, timeout=20)
    assert answer.json()["rejected"] == 0
    client = str(ROOT / "clients" / "python" / "src")
    environment = os.environ | {"BASE": site.url(""), "KEY": site.key, "PYTHONPATH": client}
    with working(site):
        for kind, block in blocks:
            if kind == "html":  # walked by tests/browser/test_tracker.py; here, that it calls what there is
                calls = set(re.findall(r"persona\.(\w+)\(", block))
                assert calls == {"init", "recommend"}
                offered = (ROOT / "static" / "tracker.js").read_text().rpartition("init(given")[0::2]
                assert calls <= {"init", *re.findall(r"^ +(\w+): ", offered[1], re.MULTILINE)}
                continue
            command = ["bash", "-euo", "pipefail", "-c", block] if kind == "bash" else [sys.executable, "-c", block]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
            assert not re.search(r'"status":"rejected"|"rejected":[^0]', done.stdout), done.stdout
