"""A save of the adaptation's settings acts on a running process: over HTTP, the live overlay, and what sessions then decide."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import redis
from django.conf import settings

from clusters import adaptation
from recommendations import engine as loop
from recommendations import releases
from recommendations.serving.activity import LoggedDecision, decode_record, log_key, partition
from recommendations.serving.store import decode_state, state_key
from recommendations.session import Request
from recsite import embedded

pytestmark = pytest.mark.timeout(400)

GROUP = 6
"""Items of one category and colour in the world of `tests.worlds`, numbered in a row."""

WITHIN_S = 10.0
"""Of a machine with other things to do; 0.3 s of settling and a look each 2 s are the most that it takes on a quiet one."""

# Sets up an installation whose shop serves; then saves each line of settings, as the admin does, and does a worker's part.
_OPERATOR = """
import json, sys
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from clusters.models import Item
from personas.models import ApiKey, Shop
from recommendations import releases, tasks
from recommendations.learning.models import AdaptationSettings
from recommendations.models import Release
from recommendations.overlay_requests import asked
from tests.overlay_shops import make_shop
from tests.worlds import make_world, train_world
shop = make_shop(train_world(make_world(sessions=300)))
tasks.publish_overlay(shop.pk)
key = ApiKey.objects.issue(shop=shop, name="test", scopes=["ingest", "read"])[1]
manifest = Release.objects.get().components
print(json.dumps({"shop": shop.pk, "key": key, "root": str(releases.root_of(shop)), "manifest": manifest}), flush=True)
for line in sys.stdin:
    row = AdaptationSettings.objects.get_or_create(shop=shop)[0]
    for name, value in json.loads(line).items():
        setattr(row, name, value)
    row.save()
    assert releases.redis_client().exists(asked(shop.pk)), "the save asked for no version"
    tasks.publish_overlay(shop.pk)
    print("saved", flush=True)
"""


@dataclass
class Site:
    url: str
    client: redis.Redis
    told: dict[str, Any]
    operator: subprocess.Popen[str]
    visits: int = 0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(2))

    def save(self, **changed: object) -> None:
        assert self.operator.stdin is not None
        assert self.operator.stdout is not None
        self.operator.stdin.write(json.dumps(changed) + "\n")
        self.operator.stdin.flush()
        assert self.operator.stdout.readline() == "saved\n"

    def visit(self, *, ask: int = 0) -> tuple[str, dict[str, Any]]:
        """A visit that goes from group to group, and keeps to none: its name, and the last answer."""
        self.visits += 1
        name = f"visit-{self.visits}"
        groups = self.rng.permutation(12)[:6]
        items = [int(GROUP * g + 1 + n) for g in groups for n in self.rng.permutation(GROUP)[:2]]
        events = [
            {"event_id": f"{name}-{n}", "name": "view_item", "items": [{"item_id": f"sku-{item}"}]}
            for n, item in enumerate(items)
        ]
        body: dict[str, Any] = {"session_id": name, "events": events}
        if ask:
            body["recommend"] = {"count": ask}
        headers = {"authorization": f"Bearer {self.told['key']}"}
        response = httpx.post(f"{self.url}/api/v1/events", json=body, headers=headers, timeout=60)
        assert response.status_code == 200, response.text
        return name, response.json()

    def decisions(self, name: str) -> list[LoggedDecision]:
        part = partition(self.told["shop"], name, settings.ACTIVITY_PARTITIONS)
        records = [decode_record(fields[b"r"]) for _, fields in self.client.xrange(log_key(part))]
        return [decision for record in records if record.session == name for decision in record.decisions]

    def until(self, wanted: bool) -> float:
        """Seconds until three visits in a row decide, or don't."""
        began, agreed = time.monotonic(), 0
        while agreed < 3:
            assert time.monotonic() - began < WITHIN_S, f"visits still {'do not ' if wanted else ''}decide"
            agreed = agreed + 1 if bool(self.decisions(self.visit()[0])) is wanted else 0
        return time.monotonic() - began


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    home = embedded.short_temporary_directory("adp-")
    valkey = embedded.start_valkey(home / "valkey", fsync="everysec")
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
        told = json.loads(operator.stdout.readline())
        server = subprocess.Popen([*command, "recsite.asgi:application"], env=environment, cwd=root)
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + 180
        while True:
            try:
                asked = {"session_id": "first", "events": []}
                headers = {"authorization": f"Bearer {told['key']}"}
                if httpx.post(f"{url}/api/v1/events", json=asked, headers=headers, timeout=20).status_code != 503:
                    break
            except httpx.TransportError:
                assert server.poll() is None, "the server ended"
            assert time.monotonic() < end, "the server did not come up"
            time.sleep(0.1)
        yield Site(url, redis.Redis.from_url(valkey.url), told, operator)
    finally:
        for process in (server, operator):
            if process is not None:
                process.terminate()
                process.wait(20)
        for pipe in (operator.stdin, operator.stdout):
            if pipe is not None:
                pipe.close()
        valkey.stop()
        shutil.rmtree(home, ignore_errors=True)


def test_switching_adaptation_off_and_on_acts_within_seconds(site: Site) -> None:
    site.until(wanted=True)
    site.save(enabled=False)
    site.until(wanted=False)
    site.save(enabled=True)
    site.until(wanted=True)


def test_thresholds_act_within_seconds(site: Site) -> None:
    site.save(enabled=True, consistent_outside=20)
    site.until(wanted=False)
    site.save(consistent_outside=1)
    site.until(wanted=True)


def test_a_slate_after_an_expansion_holds_an_item_that_came_in_by_it(site: Site) -> None:
    """Against the same session without what it expanded, by the release on disk: more of the items that came in are shown."""
    site.save(enabled=True, consistent_outside=1, floor=0.25)
    site.until(wanted=True)
    engine = releases.load_engine(Path(site.told["root"]), site.told["manifest"], release="1")
    shown = without = sessions = 0
    for _ in range(40):
        name, answer = site.visit(ask=12)
        key = state_key(partition(site.told["shop"], name, settings.ACTIVITY_PARTITIONS), site.told["shop"], name)
        state = decode_state(site.client.get(key))
        came = set(adaptation.brought_in(engine.reach, state.adapted).tolist())
        if not came:
            continue
        sessions += 1
        listed = [engine.catalogue.position(int(i["item_id"].removeprefix("sku-"))) for i in answer["slate"]["items"]]
        shown += len(came & set(listed))
        kept = {c: w for c, w in state.adapted.weight.items() if w < 1.0}
        bare = replace(state, adapted=replace(state.adapted, expanded={}, brought={}, weight=kept))
        _, slate = loop.recommend(engine, bare, Request(now=time.time(), count=12), loop.generator(bare))
        without += len(came & {engine.catalogue.position(i.item) for i in slate.items})
    assert sessions >= 5
    assert shown > without
