"""The real thing for a browser to look at: Valkey, a trained shop, and the server on a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from recsite import embedded

ROOT = Path(__file__).resolve().parent.parent.parent
CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
UP_TIMEOUT_S = 240.0

# What a page shows is waited for as long as a slow machine that others work on may take; what isn't shown costs that only once.
expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skipped = pytest.mark.skip(reason="no Chromium on this machine (on Debian: apt install chromium)")
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(600))
            if CHROMIUM is None:
                item.add_marker(skipped)


@pytest.fixture(scope="session")
def site(installation: tuple[str, dict[str, str]]) -> str:
    """Address of a running installation with the shop `fashion`, and one that is on its way in, `waiting`."""
    return installation[0]


@pytest.fixture(scope="session")
def installation() -> Iterator[tuple[str, dict[str, str]]]:
    """Its address, and the environment in which programs see its database."""
    home = embedded.short_temporary_directory("pcb-")
    valkey = embedded.start_valkey(home / "valkey", fsync="everysec")
    port = free_port()
    environ = os.environ | {
        "DATA_DIR": str(home),
        "DATABASE_URL": f"sqlite:///{home / 'db.sqlite3'}",
        "REDIS_URL": valkey.url,
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "DJANGO_SETTINGS_MODULE": "recsite.settings",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    server = None
    try:
        made = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("small_shop.py")), str(home)],
            env=environ, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert made.returncode == 0, f"the shop could not be made:\n{made.stderr[-3000:]}"
        log = (home / "web.log").open("wb")
        server = subprocess.Popen(
            # As `manage.py up` has it: a worker that a busy machine keeps from ending must not end the tests.
            [*(sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port)),
             *("--workers-kill-timeout", "5"), "recsite.asgi:application"],
            env=environ, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, preexec_fn=embedded.dies_with_parent(),
        )  # fmt: skip
        wait_until_ready(port, server, home / "web.log")
        yield f"http://localhost:{port}", environ
    finally:
        if server is not None:
            server.terminate()
            server.wait(60)
        valkey.stop()
        shutil.rmtree(home, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until the first page answers. Raises TimeoutError with the end of the server's log."""
    end = time.monotonic() + UP_TIMEOUT_S
    while time.monotonic() < end and server.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz", headers={"Host": "localhost"})
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            time.sleep(0.1)
        finally:
            connection.close()
    raise TimeoutError(f"the server did not answer on {port}:\n{embedded.tail(log, 40)}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser, site: str) -> Iterator[Open]:
    """Opens a page as a new visitor: `open_page(path, **context options)`.

    At the end the test fails if a page wrote an error to the console, met a failed request or asked another host.
    """
    contexts: list[BrowserContext] = []
    wrong: list[str] = []
    told = {"error", "warning"}
    # What htmx says when somebody leaves a page while a part of it is on its way.
    left = {"htmx:afterRequest", "htmx:sendAbort"}

    def open_page(path: str = "/", *, before: Callable[[Page], None] | None = None, **options: Any) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: wrong.append(f"console: {m.text}") if m.type in told and m.text not in left else None)
        page.on("pageerror", lambda e: wrong.append(f"script: {e}"))
        page.on("request", lambda r: None if r.url.startswith((site, "data:")) else wrong.append(f"another host: {r.url}"))
        page.on("response", lambda r: wrong.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        if before is not None:
            before(page)
        page.goto(site + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong
