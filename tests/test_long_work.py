"""What takes minutes waits in a queue of its own: workers go on archiving beside it, and one that is told no queue takes both."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from django.conf import settings

from personas.events import CODE
from recommendations.serving.activity import LoggedEvent, Record, encode_record, log_key, partition
from recsite.celery import app
from recsite.management.commands.up import celery, long_worker, programs, worker

pytestmark = pytest.mark.timeout(300)

PATIENCE_S = 120.0
FEEDS = 3
"""More than the slots that all workers had together when they had one queue."""

_SET_UP = """
import sys
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from clusters.models import CatalogueFeed
from personas.models import Shop
shop = Shop.objects.create(slug="small", name="Small")
for n in range(3):
    CatalogueFeed.objects.create(shop=shop, url=f"http://localhost:{sys.argv[1]}/{n}")
print(shop.pk)
"""


class Slow:
    """A feed's server that takes its time: who asks waits until it is let go."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("localhost", 0))
        self.port = self._listening.getsockname()[1]
        self.waiting: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self.waiting.append(self._listening.accept()[0])
            except OSError:
                return

    def let_go(self) -> None:
        while self.waiting:
            self.waiting.pop().close()

    def close(self) -> None:
        self._listening.close()
        self.let_go()


class Installation:
    def __init__(self, home: Path, url: str, feeds: Slow) -> None:
        self.path, self.feeds, self.client = home / "long.sqlite3", feeds, redis.Redis.from_url(url)
        self.environment = os.environ | {
            "DATABASE_URL": f"sqlite:///{self.path}",
            "DATA_DIR": str(home / "var"),
            "REDIS_URL": url,
            "FEED_PRIVATE_HOSTS": "localhost",
            "SQLITE_SYNCHRONOUS": "OFF",
        }
        command = [sys.executable, "-c", _SET_UP, str(feeds.port)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True, cwd=settings.BASE_DIR)
        self.shop = int(done.stdout)
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        self.workers.append(subprocess.Popen([*command, "--loglevel", "ERROR"], env=self.environment, cwd=settings.BASE_DIR))
        return self.workers[-1]

    def view(self, event_id: str) -> None:
        event = LoggedEvent(event_id, CODE["view_item"], 1.7e9, 1.7e9, (0,), ("x",))
        record = Record(self.shop, "s1", "", {}, "1", 1, 1.7e9, 1.7e9, (event,))
        key = log_key(partition(self.shop, "s1", settings.ACTIVITY_PARTITIONS))
        self.client.xadd(key, {b"r": encode_record(record)})

    def archived(self) -> set[str]:
        with closing(sqlite3.connect(self.path, timeout=20)) as database:
            return {name for (name,) in database.execute("SELECT event_id FROM personas_archivedevent")}

    def stop(self) -> None:
        self.feeds.let_go()
        for each in self.workers:
            each.kill()
            each.wait()
        self.workers.clear()


@pytest.fixture
def installation(redis_url: str, tmp_path: Path) -> Iterator[Installation]:
    redis.Redis.from_url(redis_url).flushall()
    feeds = Slow()
    made = Installation(tmp_path, redis_url, feeds)
    yield made
    made.stop()
    feeds.close()
    redis.Redis.from_url(redis_url).flushall()


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def ask(task: str, *args: object) -> None:
    app.send_task(task, args)


def test_long_work_delays_no_archiving(installation: Installation) -> None:
    for n in range(FEEDS):
        ask("clusters.tasks.fetch_feed", n + 1)
    installation.start(worker("celery", 2))
    installation.start(worker("long", 1))
    until(lambda: bool(installation.feeds.waiting), "nobody takes long work")
    for n in range(3):
        installation.view(f"e{n}")
        ask("recommendations.tasks.archive_activity")
        until(lambda n=n: f"e{n}" in installation.archived(), "the archiver waits for long work")  # type: ignore[misc]
    assert len(installation.feeds.waiting) == 1, "one at a time; the others wait"
    assert installation.client.llen("celery:long") >= FEEDS - 1 - 1  # one may be reserved already


def test_a_worker_that_is_told_no_queue_takes_both(installation: Installation) -> None:
    installation.start(celery("worker", "--concurrency", "2", "--without-gossip", "--without-mingle", "--without-heartbeat"))
    ask("clusters.tasks.fetch_feed", 1)
    until(lambda: bool(installation.feeds.waiting), "nobody takes long work")
    installation.view("e")
    ask("recommendations.tasks.archive_activity")
    until(lambda: installation.archived() == {"e"}, "nobody archives")


def test_every_long_task_is_there_and_goes_to_its_queue() -> None:
    app.loader.import_default_modules()
    assert set(settings.CELERY_TASK_ROUTES) <= set(app.tasks)
    router = app.amqp.router
    assert router.route({}, "recommendations.tasks.train_shop")["queue"].name == "long"
    assert router.route({}, "recommendations.tasks.archive_activity")["queue"].name == "celery"


def test_the_supervisor_starts_a_worker_for_each_queue() -> None:
    of_each = [program.command for program in (*programs("127.0.0.1", 8000, 1), long_worker(8000)) if "worker" in program.command]
    assert [command[command.index("-Q") + 1] for command in of_each] == [q.name for q in settings.CELERY_TASK_QUEUES]
