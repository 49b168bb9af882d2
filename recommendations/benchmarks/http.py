"""Event in, slate out over HTTP: one live process, as in production, beside a bare handler with one XADD.

Both run on the same server, over the same Valkey that syncs every write. The client shares the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from django.conf import settings
from redis import Redis

from clusters.models import Item
from personas.models import Shop, hash_key
from recommendations.benchmarks.load import (
    BenchmarkError,
    Measured,
    closed_loop,
    connect,
    of_server,
    open_loop,
    post,
    processor_s,
)
from recommendations.models import Release
from recommendations.serving.access import KEYS
from recsite.embedded import dies_with_parent, start_valkey

SESSIONS = 2_000
ITEMS = 2_000
WARM_UP_S = 1.0
BATCH, BATCHES = 500, 20
"""Events of a large request, and how many such requests."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shop", default="", help="slug of the shop whose active release serves (default: the first with one)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each of the four measurements (default: 5)")
    parser.add_argument("--connections", type=int, default=16, help="connections kept open (default: 16)")


def run(options: argparse.Namespace) -> dict[str, float | int | str]:
    """Throughput in a closed loop, latency at half of it, the ratio to the bare handler, and batches of 500 events.

    What is bound by the disk, or by the client's core, shows in rates and not in the processor time that the servers had for a
    request; therefore both ratios are told.
    """
    shop, seconds, count = find_shop(options.shop), options.seconds, options.connections
    items = list(Item.objects.of_shop(shop).order_by("pk").values_list("external_id", flat=True)[:ITEMS])
    key = secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        valkey = start_valkey(Path(folder) / "valkey", fsync="always")
        try:
            client = Redis.from_url(valkey.url)
            with serve("recommendations.benchmarks.bare:application", valkey.url) as port:
                bare = asyncio.run(measure(port, valkey.process.pid, requests(shop, items, ""), seconds, count))
            with serve("recsite.asgi:application", valkey.url) as port:
                client.hset(KEYS, hash_key(key), json.dumps({"shop": shop.pk, "scopes": ["ingest", "read"], "rate": 0}))
                ours = asyncio.run(measure(port, valkey.process.pid, requests(shop, items, key), seconds, count))
                batches = asyncio.run(measure_batches(port, large_requests(shop, items, key)))
            sizes = [int(client.memory_usage(k) or 0) for k in client.scan_iter("*:state:*", count=1_000)]
        finally:
            valkey.stop()
    (fast, half, spent), (bare_fast, bare_half, bare_spent) = ours, bare
    return {
        "shop": shop.slug,
        "items": Item.objects.of_shop(shop).count(),
        "connections": count,
        "events_per_second": round(fast.rate, 1),
        "p50_ms_at_full_load": round(fast.milliseconds(0.5), 3),
        "p99_ms_at_full_load": round(fast.milliseconds(0.99), 3),
        "p50_ms_at_half_load": round(half.milliseconds(0.5), 3),
        "p99_ms_at_half_load": round(half.milliseconds(0.99), 3),
        "bare_xadd_per_second": round(bare_fast.rate, 1),
        "bare_p50_ms_at_half_load": round(bare_half.milliseconds(0.5), 3),
        "bare_p99_ms_at_half_load": round(bare_half.milliseconds(0.99), 3),
        "ratio_to_bare": round(fast.rate / bare_fast.rate, 3),
        **{f"{whose}_us": round(us, 1) for whose, us in spent._asdict().items()},
        **{f"bare_{whose}_us": round(us, 1) for whose, us in bare_spent._asdict().items()},
        "ratio_of_server_us": round(bare_spent.server / spent.server, 3),
        "batch_500_ms": round(batches.milliseconds(0.5), 1),
        "batch_500_ms_worst": round(batches.milliseconds(1.0), 1),
        "state_bytes_in_redis_p99": round(float(np.quantile(sizes, 0.99))) if sizes else 0,
    }


def find_shop(slug: str) -> Shop:
    """The shop named, or the first with an active release. Raises BenchmarkError."""
    active = Release.objects.filter(state=Release.State.ACTIVE).select_related("shop").order_by("shop__pk")
    release = active.filter(shop__slug=slug).first() if slug else active.first()
    if release is None:
        raise BenchmarkError(f"shop {slug or '(any)'} has no active release: run manage.py train SHOP first")
    return release.shop


def requests(shop: Shop, items: list[str], key: str) -> Callable[[int], bytes]:
    """The n-th request: one view of an item by one of many sessions, and a slate asked for."""
    rng = np.random.default_rng(shop.pk)
    session = rng.integers(SESSIONS, size=1 << 16)
    item = rng.integers(len(items), size=1 << 16)
    run_id = secrets.token_hex(4)

    def request(n: int) -> bytes:
        k = n % len(session)
        event = {"event_id": f"{run_id}-{n}", "name": "view_item", "items": [{"item_id": items[item[k]]}]}
        body = {"session_id": f"{run_id}-{session[k]}", "events": [event], "recommend": {"count": 12}}
        return post("/api/v1/events", json.dumps(body).encode(), bearer=key)

    return request


def large_requests(shop: Shop, items: list[str], key: str) -> Callable[[int], bytes]:
    """The n-th request: `BATCH` views of a session of its own, and a slate asked for."""
    chosen = np.random.default_rng(shop.pk).integers(len(items), size=BATCH)
    run_id = secrets.token_hex(4)

    def request(n: int) -> bytes:
        events = [
            {"event_id": f"{i}", "name": "view_item", "items": [{"item_id": items[item]}]}
            for i, item in enumerate(chosen.tolist())
        ]
        body = {"session_id": f"{run_id}-{n}", "events": events, "recommend": {"count": 12}}
        return post("/api/v1/events", json.dumps(body).encode(), bearer=key)

    return request


async def measure_batches(port: int, request: Callable[[int], bytes]) -> Measured:
    """Large requests, one after the other."""
    (connection,) = await connect(port, 1)
    measured = Measured(0.0)
    for n in range(BATCHES):
        data, start = request(n), time.perf_counter()
        status, body = await connection.request(data)
        if status != 200:
            raise BenchmarkError(f"the server answered {status}: {body[:300].decode(errors='replace')}")
        measured.latencies.append(time.perf_counter() - start)
    measured.seconds = sum(measured.latencies)
    connection.close()
    return measured


class Spent(NamedTuple):
    """Microseconds of processor for a request: of the server's processes, Valkey and the client."""

    server: float
    valkey: float
    client: float


async def measure(
    port: int, valkey: int, request: Callable[[int], bytes], seconds: float, count: int
) -> tuple[Measured, Measured, Spent]:
    """Full load, with what it takes, then half of that rate. valkey : its process."""
    connections = await connect(port, count)
    await closed_loop(connections, lambda n: request(n + 10_000_000), WARM_UP_S)
    server = of_server(port)

    def had() -> np.ndarray:
        return np.array([sum(map(processor_s, server)), processor_s(valkey), processor_s(os.getpid())])

    before = had()
    fast = await closed_loop(connections, request, seconds)
    spent = Spent(*((had() - before) / len(fast.latencies) * 1e6).tolist())
    half = await open_loop(connections, lambda n: request(n + 20_000_000), seconds, fast.rate / 2)
    for connection in connections:
        connection.close()
    return fast, half, spent


@contextlib.contextmanager
def serve(application: str, redis_url: str) -> Iterator[int]:
    """A server process on a free loopback port. Raises BenchmarkError if it doesn't come up."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--no-access-log", "--log-level", "warning", "--working-dir", str(settings.BASE_DIR)]
    environment = os.environ | {"REDIS_URL": redis_url, "OMP_NUM_THREADS": "1", "LOG_LEVEL": "WARNING"}
    process = subprocess.Popen([*command, application], env=environment, preexec_fn=dies_with_parent())
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"{application} did not come up on port {port}")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
