"""A real server with a small trained shop, which a test may stop, kill and bring back; and somebody to look into its archive."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from recsite import embedded

ROOT = Path(__file__).resolve().parent.parent
ITEMS = 12
UP_TIMEOUT_S = 240.0

# Sets up an installation, says its key, and then answers every line with the archived event ids of the session named there.
_OPERATOR = """
import json, sys
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from clusters.models import Item
from personas.models import ApiKey, ArchivedEvent, Shop
from recommendations import releases
from recommendations.serving import archiving
from tests.worlds import make_world, train_world
shop = Shop.objects.create(slug="small", name="Small", allowed_origins=json.loads(sys.argv[1]))
world = make_world(sessions=150)
Item.objects.bulk_create(Item(shop=shop, external_id=f"sku-{n + 1}", title=f"Thing {n + 1}") for n in range(len(world.catalogue)))
releases.activate(releases.publish(shop, train_world(world), metrics={}))
print(ApiKey.objects.issue(shop=shop, name="test", scopes=["ingest", "read", "manage"])[1], flush=True)
for line in sys.stdin:
    while archiving.archive(archiving.open_log(), consumer="test", seconds=1.0, idle_ms=0):
        pass
    found = ArchivedEvent.objects.filter(session__session_id=line.strip()).order_by("pk").values_list("event_id", flat=True)
    print(json.dumps(list(found)), flush=True)
"""


@dataclass
class SmallServer:
    """port : of the server, the same after it came back."""

    port: int
    key: str
    operator: subprocess.Popen[str]
    environment: dict[str, str]
    server: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        """Serve, and wait until it answers. Raises TimeoutError."""
        command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(self.port), "--log-level", "warning"]
        command += ["--workers-kill-timeout", "30", "recsite.asgi:application"]
        self.server = subprocess.Popen(command, env=self.environment, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + UP_TIMEOUT_S
        while time.monotonic() < deadline and self.server.poll() is None:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=30)
                return
            except httpx.TransportError:
                time.sleep(0.1)
        raise TimeoutError("the server did not come up")

    def send(self, number: signal.Signals) -> None:
        """A signal to the server and its workers."""
        if self.server is not None and self.server.poll() is None:
            os.killpg(self.server.pid, number)

    def kill(self) -> None:
        """As a loss of power would."""
        self.send(signal.SIGKILL)
        if self.server is not None:
            self.server.wait(20)
        self.server = None

    def archived(self, session: str) -> list[str]:
        """Event ids of a session in the archive, in order, once all that was acknowledged is there."""
        assert self.operator.stdin is not None
        assert self.operator.stdout is not None
        self.operator.stdin.write(f"{session}\n")
        self.operator.stdin.flush()
        found: list[str] = json.loads(self.operator.stdout.readline())
        return found

    def token(self, session: str) -> str:
        body, headers = {"session_id": session}, {"authorization": f"Bearer {self.key}"}
        answer = httpx.post(f"{self.base}/api/v1/session-tokens", json=body, headers=headers, timeout=20)
        token: str = answer.json()["token"]
        return token


@contextmanager
def small_server(*, origins: tuple[str, ...] = ()) -> Iterator[SmallServer]:
    """The server, up. origins : of pages that may call beside those of the installation's own hosts."""
    home = embedded.short_temporary_directory("sml-")
    valkey = embedded.start_valkey(home / "valkey")
    environment = os.environ | {
        "DATA_DIR": str(home / "var"),
        "DATABASE_URL": f"sqlite:///{home / 'db.sqlite3'}",
        "REDIS_URL": valkey.url,
        "SQLITE_SYNCHRONOUS": "OFF",
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "DJANGO_SETTINGS_MODULE": "recsite.settings",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    operator = subprocess.Popen(
        [sys.executable, "-c", _OPERATOR, json.dumps(origins)],
        env=environment, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert operator.stdin is not None
    assert operator.stdout is not None
    made = SmallServer(port, "", operator, environment)
    try:
        made.key = operator.stdout.readline().strip()
        assert made.key, "the installation could not be set up"
        made.start()
        yield made
    finally:
        made.kill()
        operator.stdin.close()
        operator.wait(20)
        operator.stdout.close()
        valkey.stop()
        shutil.rmtree(home, ignore_errors=True)
