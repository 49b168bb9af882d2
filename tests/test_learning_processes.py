"""Learning by real Celery workers: two at once, one killed at any point, the task run twice; the posterior is that of one run."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from recsite.celery import app

pytestmark = pytest.mark.timeout(400)

DECISIONS, CHUNK, LOCK_S = 1_000, 100, 1.0

PATIENCE_S = 120.0
"""On a busy machine a worker may take its time; on a quiet one all of this takes seconds."""

# Makes a shop with decisions over a week. Then, for each line "QUEUE MODULE NAME NTH WHEN", forks a Celery worker of that queue,
# which kills itself before or after the n-th call of that function; "-" for one that doesn't. Chunks are small and locks short.
_WORKERS = f"""
import datetime as dt, importlib, os, signal, sys
import django
django.setup()
import numpy as np
from django.core.management import call_command
from django.db import connections
from django.utils import timezone
call_command("migrate", verbosity=0)
from clusters.crediting import Followed, credited
from clusters.policy import default_policy
from clusters.rewards import Rewards
from personas.component_files import save_component
from personas.models import Shop
from recommendations import releases
from recommendations.benchmarks.made_decisions import made_decisions
from recommendations.learning import evidence, policies
from recommendations.learning.models import AdaptationSettings
from recommendations.models import Release
from recsite.celery import app
evidence.CHUNK, evidence.LOCK_S, policies.LOCK_S = {CHUNK}, {LOCK_S}, {LOCK_S}
shop = Shop.objects.create(slug="made", name="Made")
AdaptationSettings.objects.create(shop=shop, goes_live_by_itself=False)
component = save_component(releases.root_of(shop), "policy", default_policy())
Release.objects.create(shop=shop, number=1, components={{"policy": component}}, state=Release.State.ACTIVE)
made_decisions(shop, decisions={DECISIONS}, until=timezone.now() - dt.timedelta(hours=3), over_s=7 * 86_400.0)
none, times = np.zeros(0, dtype=np.int64), np.zeros(0)
credited(Rewards(), none, times, Followed(none, times, none, np.zeros(1, dtype=np.int64), none, none, none, times, none, none))
app.loader.import_default_modules()
connections.close_all()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print(shop.pk, flush=True)

def dies(module, path, at, when):
    owner, (*way, name) = importlib.import_module(module), path.split(".")
    for each in way:
        owner = getattr(owner, each)
    plain, calls = getattr(owner, name), []
    def call(*args, **options):
        calls.append(1)
        if len(calls) == at and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = plain(*args, **options)
        if len(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    setattr(owner, name, call)

for line in sys.stdin:
    queue, module, path, at, when = line.split()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        if module != "-":
            dies(module, path, int(at), when)
        quiet = "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"
        app.worker_main(["worker", "--pool", "solo", "-Q", queue, "-n", f"{{queue}}-{{os.getpid()}}@here", *quiet])
    print(child, flush=True)
"""

EVIDENCE, POLICIES = "recommendations.learning.evidence", "recommendations.learning.policies"
POINTS = {
    "claiming": (EVIDENCE, "_last", 2, "after"),
    "claiming, laid out and not committed": (EVIDENCE, "PolicyEvidence.objects.bulk_create", 1, "after"),
    "claimed": (EVIDENCE, "seal", 1, "before"),
    "sealing, reckoned and not written": (EVIDENCE, "_taught", 3, "after"),
    "sealing, written and not committed": (EVIDENCE, "_write_rewards", 4, "after"),
    "all sealed": (POLICIES, "_learn", 1, "before"),
    "folding, saved and not recorded": (POLICIES, "releases.record_components", 1, "before"),
    "folding, on record and not judged": (EVIDENCE, "compact", 1, "before"),
    "folded": (EVIDENCE, "compact", 1, "after"),
    "judged and not written": (POLICIES, "gate.compare", 1, "after"),
}
QUICK = ("claiming, laid out and not committed", "sealing, written and not committed", "folding, on record and not judged")


SURVIVORS = ("one", "other")
"""Queues of the workers that nobody kills."""


class Installation:
    """A shop's database, and the Celery workers on it."""

    def __init__(self, home: Path, url: str) -> None:
        self.path = home / "learning.sqlite3"
        self.client = redis.Redis.from_url(url)
        environment = os.environ | {
            "DATABASE_URL": f"sqlite:///{self.path}",
            "DATA_DIR": str(home / "var"),
            "REDIS_URL": url,
            "SQLITE_SYNCHRONOUS": "OFF",  # a killed process needs no sync, only a killed machine
        }
        self._forker = subprocess.Popen(
            [sys.executable, "-c", _WORKERS], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._forker.stdout is not None
        self.shop = int(self._forker.stdout.readline())
        self._started: list[int] = []

    def worker(self, queue: str, *point: object) -> int:
        """Process id of a new worker of a queue, which dies at a point."""
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        self._forker.stdin.write(" ".join(map(str, (queue, *(point or ("-",) * 4)))) + "\n")
        self._forker.stdin.flush()
        self._started.append(int(self._forker.stdout.readline()))
        return self._started[-1]

    def ask(self, queue: str) -> None:
        app.send_task("recommendations.learning.tasks.learn_policy", (self.shop,), queue=queue)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=20)) as database:
            return database.execute(sql).fetchall()

    def settle(self) -> None:
        """Until those that live have nothing left to do: what they still did would be done in the next test's place."""
        end = time.monotonic() + PATIENCE_S
        while True:
            held = [json.loads(entry)[2] for entry in self.client.hvals("celery:unacked")]
            if not any(queue in held or self.client.llen(f"celery:{queue}") for queue in SURVIVORS):
                return
            assert time.monotonic() < end, "the workers are not done"
            time.sleep(0.02)

    def forget(self) -> None:
        """As if nothing had ever been learned."""
        self.settle()
        with closing(sqlite3.connect(self.path, timeout=20)) as database, database:
            database.execute("DELETE FROM recommendations_policyevidence")
            database.execute("DELETE FROM recommendations_policyversion")
            database.execute("DELETE FROM recommendations_component WHERE version NOT IN ('')")
            database.execute("UPDATE recommendations_adaptationdecision SET reward = NULL")
        for key in (*self.client.scan_iter("learning:*"), *self.client.scan_iter("celery:unacked*")):
            self.client.delete(key)

    def judged(self) -> bool:
        return bool(self.rows("SELECT 1 FROM recommendations_policyversion WHERE learned <> '{}' AND verdict <> '{}'"))

    def until_judged(self, *queues: str) -> None:
        """The task is asked for again and again, as the schedule does, only sooner."""
        end = time.monotonic() + PATIENCE_S
        while not self.judged():
            assert time.monotonic() < end, self.rows("SELECT first, credited FROM recommendations_policyevidence")
            for queue in queues:
                if not self.client.llen(f"celery:{queue}"):
                    self.ask(queue)
            until = time.monotonic() + LOCK_S
            while not self.judged() and time.monotonic() < until:
                time.sleep(0.02)
        self.settle()

    def outcome(self) -> dict[str, Any]:
        """All that was learned, by value: bits, not roundings."""
        chunks = self.rows(
            "SELECT first, last, decisions, credited, statistics FROM recommendations_policyevidence ORDER BY first"
        )
        versions = "SELECT version, component, learned, verdict FROM recommendations_policyversion WHERE learned <> '{}'"
        return {
            "chunks": [(*row[:4], json.loads(row[4])) for row in chunks],
            "rewards": self.rows("SELECT id, reward FROM recommendations_adaptationdecision ORDER BY id"),
            "policies": [(*row[:2], json.loads(row[2]), json.loads(row[3])) for row in self.rows(versions)],
        }

    def stop(self) -> None:
        for pid in self._started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._forker.kill()
        self._forker.wait()
        for pipe in (self._forker.stdin, self._forker.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture(scope="module")
def installation(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    redis.Redis.from_url(redis_url).flushall()
    made = Installation(tmp_path_factory.mktemp("learning"), redis_url)
    for queue in SURVIVORS:
        made.worker(queue)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def undisturbed(installation: Installation) -> dict[str, Any]:
    """What one worker learns that nobody disturbs."""
    installation.ask("one")
    end = time.monotonic() + PATIENCE_S
    while not installation.judged():
        assert time.monotonic() < end, "the worker learned nothing"
        time.sleep(0.02)
    learned = installation.outcome()
    assert sum(row[3] for row in learned["chunks"]) == DECISIONS
    assert len(learned["policies"]) == 1
    return learned


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_two_workers_at_once_learn_what_one_does(installation: Installation, undisturbed: dict[str, Any]) -> None:
    installation.forget()
    installation.ask("one")
    installation.ask("other")
    installation.until_judged("one", "other")
    assert installation.outcome() == undisturbed


def test_the_task_run_again_changes_nothing(installation: Installation, undisturbed: dict[str, Any]) -> None:
    installation.forget()
    installation.until_judged("one")
    for queue in ("one", "other", "one"):
        installation.ask(queue)
    installation.settle()
    assert installation.outcome() == undisturbed


@pytest.mark.parametrize("point", [p if p in QUICK else pytest.param(p, marks=pytest.mark.proof) for p in POINTS])
def test_a_worker_killed_on_the_way_is_made_good_by_the_next(
    installation: Installation, undisturbed: dict[str, Any], point: str
) -> None:
    installation.forget()
    victim = installation.worker("victims", *POINTS[point])
    installation.ask("victims")
    end = time.monotonic() + PATIENCE_S
    while not ended(victim):
        assert time.monotonic() < end, "it did not come to that point"
        time.sleep(0.01)
    assert not installation.judged()
    installation.until_judged("one")
    assert installation.outcome() == undisturbed


@pytest.mark.proof
def test_workers_killed_at_random_times_are_made_good(installation: Installation, undisturbed: dict[str, Any]) -> None:
    rng = random.Random(1)
    for _ in range(20):
        installation.forget()
        for _ in range(3):
            victim = installation.worker("victims")
            installation.ask("victims")
            time.sleep(rng.uniform(0.2, 1.2))
            os.kill(victim, signal.SIGKILL)
        installation.until_judged("one", "other")
        assert installation.outcome() == undisturbed
        installation.client.delete("celery:victims")
