"""`manage.py up`: everything behind one port, under one supervisor. Makes ready what is not, then serves until Ctrl-C."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from argparse import ArgumentParser
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections

from personas.models import Shop
from recommendations import demo, releases
from recommendations.models import Release
from recsite import embedded
from recsite.environment import kept_secret, whole
from recsite.supervisor import CannotRun, Program, SingleInstance, Supervisor, check_port

READY_TIMEOUT_S = 180.0
"""For a machine busy with other things; a web process that dies is noticed at once."""
BESIDE = "outfitter"
"""The demo shop that is prepared behind the chosen one, once that one serves."""
LEFTOVERS_S = 10.0
LONG_MEMORY_KB = 400_000
"""Resident memory at which the process that did something long gives way to a new one: a training leaves hundreds of MB."""


class Command(BaseCommand):
    help = "Start the whole installation: Valkey, web, workers and schedule. Imports and trains the shop on the first run."
    requires_system_checks = []  # migrate runs them, with the database there

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--shop", default="fashion", help="demo shop to import and train first (fashion, gifts)")
        parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--web-workers", type=int, default=whole("WEB_WORKERS", 1, minimum=1))
        parser.add_argument("--with-parent", action="store_true", help="stop when the process that started this one is gone")

    def handle(self, *, shop: str, host: str, port: int, web_workers: int, with_parent: bool, **_: Any) -> None:
        began = time.monotonic()
        os.umask(0o077)  # the database and the log tell of shoppers: their files are the owner's alone
        if with_parent:
            stop_with_parent()
        try:
            shops = demo.demo_shops(settings.BASE_DIR / "data")
            if shop not in shops:
                raise CannotRun(f"there is no demo shop {shop!r}. There are: {', '.join(shops)}")
            check_port(host, port)
            lock = SingleInstance(settings.DATA_DIR)
            try:
                with Supervisor(settings.DATA_DIR, self.say) as supervisor:
                    self.make_ready(supervisor, shop)
                    for program in programs(host, port, web_workers):
                        supervisor.start(program)
                    if not supervisor.wait_until(partial(answers, host, port), READY_TIMEOUT_S):
                        if supervisor.stopping.is_set():
                            return
                        raise CannotRun(f"web was not ready after {READY_TIMEOUT_S:.0f} s; see {supervisor.log_dir / 'web.log'}")
                    # Not before: whoever waits for the first page needs both cores.
                    supervisor.start(long_worker(port))
                    self.welcome(host, port, shop, time.monotonic() - began)
                    if BESIDE in shops:
                        self.prepare_beside(supervisor, shop)
                    supervisor.run()
                    self.say("\nStopping.")
            finally:
                lock.release()
        except (CannotRun, embedded.ServerFailed) as error:
            raise CommandError(str(error)) from error

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def make_ready(self, supervisor: Supervisor, shop: str) -> None:
        """Servers, tables, the shop's data, a release. Each step is skipped or taken up again when done in part."""
        self.start_redis(supervisor)
        self.say("Database: checking tables")
        try:
            call_command("migrate", verbosity=0, interactive=False)
        except DatabaseError as error:
            raise CannotRun(f"the database can't be used: {str(error).strip()}. DATABASE_URL names it") from error
        password_file = settings.DATA_DIR / "demo_login.txt"
        kept_secret(password_file, length=9)
        setup = ("setup_demo", shop, "--password-file", str(password_file))
        if Shop.objects.filter(slug=shop, settings__has_key="demo_data").exists():
            call_command(*setup)  # it was imported: a look, not worth a process
        else:
            self.say(f"Importing shop {shop}")
            supervisor.run_step(f"import of shop {shop}", manage(*setup))
        row = Shop.objects.get(slug=shop)
        try:
            releases.load_active(row.pk)
        except releases.ReleaseError as error:
            # None yet, or one that this version of the software can't read: the log is there to train from.
            told = "the first release" if Release.objects.active(row) is None else f"again ({error})"
            self.say(f"Training {told} of {shop}")
            supervisor.run_step(f"training of shop {shop}", manage("train", shop, "--quick"))
        for release in Release.objects.filter(state=Release.State.ACTIVE).select_related("shop"):
            releases.announce(release)  # a Redis that is new, or was emptied, doesn't know it
        connections.close_all()

    def prepare_beside(self, supervisor: Supervisor, shop: str) -> None:
        """Have the second shop imported and trained, unless it was, and its week simulated. Whatever becomes of it, the first one
        serves. shop : the first one; it may be the same."""
        what = "Simulating a week of this shop" if shop == BESIDE else f"Preparing the shop {BESIDE} behind this one"
        self.say(f"{what}; its log is {supervisor.log_dir / f'{BESIDE}.log'}")
        password_file = settings.DATA_DIR / "demo_login.txt"
        command = manage("prepare_demo", BESIDE, "--password-file", str(password_file))
        supervisor.run_behind(Program(BESIDE, command, {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}))

    def start_redis(self, supervisor: Supervisor) -> None:
        given = os.environ.get("REDIS_URL")
        if given is None:
            self.say("Valkey: starting the embedded server")
            valkey = supervisor.start_valkey(self.start_valkey)
            # Nothing else runs on this data: the lock of a training or an import is that of a run that was killed.
            with redis.Redis.from_url(valkey.url) as client:
                for kind in ("training:*", "importing:*"):
                    for key in client.scan_iter(kind):
                        client.delete(key)
            return
        try:
            redis.Redis.from_url(given, socket_timeout=5, retry=embedded.NO_RETRY).ping()
        except (redis.exceptions.RedisError, ValueError) as error:
            raise CannotRun(f"REDIS_URL is set, but no Redis answers there: {error}") from error

    def start_valkey(self) -> embedded.Server:
        """Start it, giving that of a run that was just killed the seconds it takes to end."""
        deadline = time.monotonic() + LEFTOVERS_S
        while True:
            try:
                return embedded.start_valkey(settings.DATA_DIR / "valkey", fsync=settings.ACTIVITY_FSYNC)
            except embedded.AlreadyRuns:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def welcome(self, host: str, port: int, shop: str, seconds: float) -> None:
        shown = "localhost" if host in {"127.0.0.1", "0.0.0.0", "::1", "::"} else host
        password = (settings.DATA_DIR / "demo_login.txt").read_text().strip()
        self.say(f"\nReady after {seconds:.0f} s.")
        self.say(f"  Storefront  http://{shown}:{port}/shop/{shop}/")
        self.say(f"  Admin       http://{shown}:{port}/admin/   {demo.USER} / {password}")
        self.say(f"  API         http://{shown}:{port}/api/docs/")
        self.say(f"  Logs        {settings.DATA_DIR / 'log'}")
        self.say("Ctrl-C stops everything.")


def manage(*arguments: str) -> list[str]:
    return [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), *arguments]


def programs(host: str, port: int, web_workers: int) -> list[Program]:
    """Web, worker and schedule, in the order of starting."""
    environ = surroundings(port)
    return [
        Program(
            "web",
            [
                *(sys.executable, "-m"),
                "granian",
                *("--interface", "asgi", "--host", host, "--port", str(port), "--workers", str(web_workers)),
                *("--working-dir", str(settings.BASE_DIR), "--workers-kill-timeout", "5"),
                "recsite.asgi:application",
            ],
            environ,
        ),
        # Two, so that what takes seconds doesn't keep the archiver waiting; what takes longer has a worker of its own.
        Program("worker", worker(settings.CELERY_TASK_DEFAULT_QUEUE, 2), environ),
        Program("schedule", celery("beat", "--pidfile", ""), environ),
    ]


def long_worker(port: int) -> Program:
    """The worker of what takes minutes: trainings, imports, feeds. One at a time, in a process that ends once it has grown."""
    grown = ("--max-memory-per-child", str(LONG_MEMORY_KB))
    return Program("long-worker", worker(settings.LONG_QUEUE, 1, *grown), surroundings(port))


def worker(queue: str, slots: int, *more: str) -> list[str]:
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    return celery("worker", "-Q", queue, "-n", f"{queue}@%h", "--concurrency", str(slots), *quiet, *more)


def celery(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "recsite", "--workdir", str(settings.BASE_DIR), "--quiet", *arguments]


def surroundings(port: int) -> dict[str, str]:
    """What a program's environment has beyond ours."""
    return {"DJANGO_SETTINGS_MODULE": "recsite.settings", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "PORT": str(port)}


def answers(host: str, port: int) -> bool:
    """Whether /readyz says 200."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = HTTPConnection(reachable, port, timeout=5)
    try:
        connection.request("GET", "/readyz", headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def stop_with_parent() -> None:
    """Have the kernel send us SIGTERM when our parent dies: `make run` killed outright takes the installation with it."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(embedded.PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
