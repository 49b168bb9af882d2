"""Several real processes on one store: nothing acknowledged is lost, whoever races and whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from recommendations import releases
from recommendations.serving.activity import decode_record, log_key, partition
from recommendations.serving.store import decode_state, ids_key, state_key
from tests.live_shops import SHOP
from tests.worlds import make_world, train_world

SESSION = "one"
PART = partition(SHOP, SESSION, 16)

_WRITER = """
import asyncio, json, sys, time
import django
django.setup()
from pathlib import Path
from django.conf import settings
from recommendations import releases
from recommendations.serving import process, turns
from recommendations.serving.engines import Engines, warm

name, count, root, manifest = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])

async def main():
    engines = Engines(find=dict)
    engine = releases.load_engine(root, manifest, release="1")
    warm(engine, time.time())  # as `Engines` does of what it loads itself
    engines.put(1, engine)
    here = await process.start(settings.REDIS_URL, engines)
    commit, lost = here.store.commit, 0

    async def counting(*args, **options):
        nonlocal lost
        committed = await commit(*args, **options)
        lost += not committed
        return committed

    here.store.commit = counting
    print("ready", flush=True)
    sys.stdin.readline()
    visit = turns.Visit(1, "one")
    for n in range(count):
        event = {"event_id": f"{name}{n}", "name": "view_item", "items": [{"item_id": f"sku-{1 + n % 70}"}]}
        turn = await turns.take(here, visit, [event], ask=turns.Ask(count=3) if n % 5 == 0 else None, now=time.time())
        assert turn.results[0].status == "accepted", turn.results
        print(f"{name}{n}", flush=True)
    print(lost, flush=True)
    await here.stop()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A trained engine on disk, as other processes load it."""
    root = tmp_path_factory.mktemp("release")
    return root, releases.save_engine(root, train_world(make_world(sessions=150)))


@pytest.fixture
def start(saved: tuple[Path, dict[str, str]], redis_url: str) -> Iterator[object]:
    """Start a writer; every one still running is killed at the end."""
    running: list[subprocess.Popen[str]] = []

    def writer(name: str, count: int) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", _WRITER, name, str(count), str(saved[0]), json.dumps(saved[1])]
        environment = os.environ | {"REDIS_URL": redis_url}
        process = subprocess.Popen(arguments, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        running.append(process)
        return process

    yield writer
    for process in running:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def begin(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def logged(client: redis.Redis) -> tuple[list[str], list[int]]:
    """Event ids and versions of the session's records, in the order of the log."""
    records = [decode_record(fields[b"r"]) for _, fields in client.xrange(log_key(PART))]
    return [e.event_id for r in records for e in r.events], [r.version for r in records]


def test_two_processes_on_one_session_lose_nothing(redis_client: redis.Redis, start: object) -> None:
    count = 40
    a, b = start("a", count), start("b", count)  # type: ignore[operator]
    begin(a, b)
    assert [a.wait(60), b.wait(60)] == [0, 0]
    ids, versions = logged(redis_client)
    assert sorted(ids) == sorted(f"{name}{n}" for name in "ab" for n in range(count))
    assert versions == sorted(set(versions)), "each commit built on the one before it"
    lost = [int(process.stdout.read().split()[-1]) for process in (a, b)]
    assert sum(lost) > 0, "no race was lost, so nothing was shown"
    state = decode_state(redis_client.get(state_key(PART, SHOP, SESSION)))
    assert state.events == 2 * count
    assert redis_client.scard(ids_key(PART, SHOP, SESSION)) == 2 * count


@pytest.mark.parametrize("after_s", [0.5, *(pytest.param(0.05 * n, marks=pytest.mark.proof) for n in range(1, 21))])
def test_a_process_killed_between_any_two_instructions_keeps_what_it_acknowledged(
    redis_client: redis.Redis, start: object, after_s: float
) -> None:
    process = start("k", 100_000)  # type: ignore[operator]
    begin(process)
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    acknowledged = process.stdout.read().split()
    process.wait()
    ids, _ = logged(redis_client)
    assert acknowledged, "the process was killed before it did anything"
    assert set(acknowledged) <= set(ids)
    assert len(ids) - len(acknowledged) <= 1, "at most the one under way when it died"
    assert decode_state(redis_client.get(state_key(PART, SHOP, SESSION))).events == len(ids) == len(set(ids))
