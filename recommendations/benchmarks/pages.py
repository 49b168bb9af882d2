"""The pages of the desk and the admin at size: 50,000 items, 1,000 clusters, 1M archived events; milliseconds a page.

The shop is made once, in a folder with a database and a Redis of its own, and kept there. Pages are found by the sidebar, as a
superuser has it, with the first row that each list leads to; beside them what `desk_asks` names. Each is asked for through
Django's test client, so that a figure holds all but the server's own part of a request; a file counts whole, though it is
streamed. Queries are counted once.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import django
import numpy as np
from django.conf import settings

from recommendations.benchmarks.desk_asks import Ask, asks
from recommendations.benchmarks.load import BenchmarkError
from recsite import embedded

WARM_UP = 2
SIZES = {"items": 50_000, "clusters": 1_000, "events": 1_000_000, "rules": 200, "proposals": 500}
KEY = "benchmark"
ROW = re.compile(r'href="(/admin/[a-z]+/[a-z]+/\d+/change/)')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, help="where the made shop is kept (default: DATA_DIR/benchmarks/pages)")
    parser.add_argument("--requests", type=int, default=20, help="requests timed of each page (default: 20)")
    parser.add_argument("--only", default="", metavar="PART", help="time only addresses that hold this")
    for name, size in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=size, help=f"(default: {size:,})")


def run(options: argparse.Namespace) -> dict[str, float | int | str]:
    """Of each page the milliseconds at p50 and p95, those of the processor at p50, and its queries; those that took longer at p95
    than they may, 300 ms or what `desk_asks` says, are named at the end.

    Raises BenchmarkError where the shop can't be made, or a page can't be shown.
    """
    folder = (options.folder or Path(settings.DATA_DIR) / "benchmarks" / "pages").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {name: getattr(options, name) for name in SIZES}
    home = embedded.short_temporary_directory("pages-")
    valkey = embedded.start_valkey(home / "valkey", fsync="everysec")
    try:
        environment = os.environ | {
            "DATA_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
            "REDIS_URL": valkey.url,
            "SQLITE_SYNCHRONOUS": "OFF",
            "OMP_NUM_THREADS": "1",
            "LOG_LEVEL": "ERROR",
            "ALLOWED_HOSTS": "testserver",
            "DJANGO_SETTINGS_MODULE": "recsite.settings",
        }
        for module, arguments in (
            ("recommendations.benchmarks.made_desk", [str(folder), json.dumps(sizes)]),
            ("recommendations.benchmarks.pages", [str(options.requests), options.only]),
        ):
            command = [sys.executable, "-m", module, *arguments]
            done = subprocess.run(command, env=environment, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                raise BenchmarkError(f"{module} failed; see above")
    finally:
        valkey.stop()
    timed: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    results: dict[str, float | int | str] = dict(sizes)
    for page, figures in timed.items():
        results |= {f"{page} {name}": round(value, 1) for name, value in figures.items()}
    late = [page for page, figures in timed.items() if "p95_ms" not in figures or figures["p95_ms"] > figures["most_ms"]]
    results["pages"] = len(timed)
    results["too_late"] = ", ".join(late) or "none"
    return results


def _time_all(requests: int, only: str) -> dict[str, dict[str, float]]:
    """Page -> its figures; one that can't be shown has its status in their place."""
    from django.contrib.auth import get_user_model
    from django.test import Client, RequestFactory

    from personas.models import ApiKey, Shop
    from recommendations import releases
    from recommendations.desk.sidebar import sidebar
    from recommendations.models import Release

    shop = Shop.objects.get(slug="made")
    releases.announce(Release.objects.get(shop=shop, state=Release.State.ACTIVE))
    users = get_user_model()
    user, _ = users.objects.get_or_create(username="root", defaults={"is_staff": True, "is_superuser": True})
    client = Client()
    client.force_login(user)
    asked = RequestFactory().get("/admin/")
    asked.user = user
    pages = [str(page["link"]) for group in sidebar(asked) for page in group["items"]]
    found: dict[str, dict[str, float]] = {}
    while pages:
        page = pages.pop(0)
        if page in found or only not in page:
            continue
        body, found[page] = _timed(client, Ask(page, page), requests)
        print(f"{page} {found[page]}", file=sys.stderr, flush=True)
        if row := ROW.search(body.partition("<main")[2] or body):
            pages.insert(0, row.group(1))
    ApiKey.objects.filter(shop=shop, name=KEY).delete()
    _, key = ApiKey.objects.issue(shop=shop, name=KEY, scopes=["read", "manage"])
    integrator = Client(headers={"Authorization": f"Bearer {key}"})
    for ask in asks(client):
        if only in ask.name:
            _, found[ask.name] = _timed(integrator if ask.api else client, ask, requests)
            print(f"{ask.name} {found[ask.name]}", file=sys.stderr, flush=True)
    return found


def _timed(client: Any, ask: Ask, requests: int) -> tuple[str, dict[str, float]]:
    """The page, and its figures. Where it can't be shown, the status is all of them."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def answered() -> tuple[int, str]:
        headers = {"HX-Request": "true"} if ask.post is not None else {}
        answer = client.get(ask.address, follow=True) if ask.post is None else client.post(ask.address, ask.post, headers=headers)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        return answer.status_code, body.decode(errors="replace")

    wall, cpu, body = [], [], ""
    for n in range(requests + WARM_UP):
        if ask.before is not None:
            ask.before()
        began, processor = time.perf_counter(), time.process_time()
        status, body = answered()
        if n >= WARM_UP:
            wall.append(1000 * (time.perf_counter() - began))
            cpu.append(1000 * (time.process_time() - processor))
        if status not in (200, 204):
            return body, {"status": float(status)}
    if ask.before is not None:
        ask.before()
    with CaptureQueriesContext(connection) as queries:
        answered()
    p50, p95 = np.percentile(wall, (50, 95))
    figures = {"p50_ms": p50, "p95_ms": p95, "cpu_ms": np.median(cpu), "queries": len(queries), "most_ms": ask.most_ms}
    return body, {name: round(float(value), 1) for name, value in figures.items()}


if __name__ == "__main__":
    django.setup()
    print(json.dumps(_time_all(int(sys.argv[1]), sys.argv[2])))
