"""Real servers for the tests: an embedded Valkey, and SQLite or (`DATABASE=postgres pytest`) an embedded PostgreSQL.

The environment is set here, before Django's settings are read. Pure tests need none of it and pay nothing for it but
Valkey's 40 ms.
"""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio
import redis
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models.signals import pre_save
from django.dispatch import receiver
from django.test import Client
from pytest_django import Settings

from recsite import embedded

os.environ["OMP_NUM_THREADS"] = "1"
DATABASE = os.environ.get("DATABASE", "sqlite")
HOME = embedded.short_temporary_directory("pc-")
VALKEY = embedded.start_valkey(HOME / "valkey", fsync="everysec")
POSTGRES: embedded.Server | None = None

os.environ |= {
    "DATA_DIR": str(HOME / "var"),
    "SECRET_KEY": "tests only",
    "REDIS_URL": VALKEY.url,
    "DATABASE_URL": f"sqlite:///{HOME / 'db.sqlite3'}",
    "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
    "LOG_LEVEL": "WARNING",
    "DJANGO_SETTINGS_MODULE": "recsite.settings",
}
if DATABASE == "postgres":
    HOME.chmod(0o711)  # so that `nobody` may pass through
    POSTGRES = embedded.start_postgres(HOME / "pg", durable=False)
    os.environ["DATABASE_URL"] = POSTGRES.url
elif DATABASE != "sqlite":
    raise pytest.UsageError(f"DATABASE={DATABASE!r}: expected sqlite or postgres")

from django.conf import settings  # noqa: E402 - the settings read the environment made above

# Read them now, so that pytest-django finds them configured.
assert settings.DATABASES["default"]


shop_ids = count(1_001)


@receiver(pre_save, sender="personas.Shop")
def give_ids_once(instance: models.Model, **_: object) -> None:
    """SQLite gives the id of a shop that was rolled back to that of the next test, for which a process then holds what it knew
    of the other, and the disk an index. PostgreSQL doesn't."""
    if DATABASE == "sqlite" and instance.pk is None:
        instance.pk = next(shop_ids)


@atexit.register
def stop_servers() -> None:
    """After pytest-django has dropped the test database."""
    for server in (POSTGRES, VALKEY):
        if server is not None:
            server.stop()
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """With `-n`, workers inherit this environment. Without a name of settings in it pytest-django waits for their own conftest,
    and so for their own servers; with it, all would read this process's, and empty one another's Redis."""
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL only the tests that use the database run: the others would say the same again."""
    if DATABASE != "postgres":
        return
    fixtures = {"db", "transactional_db", "client", "admin_client", "live_server"}
    chosen, rest = [], []
    for item in items:
        on_database = item.get_closest_marker("django_db") or item.get_closest_marker("postgres")
        (chosen if on_database or fixtures & set(getattr(item, "fixturenames", ())) else rest).append(item)
    config.hook.pytest_deselected(items=rest)
    items[:] = chosen


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The address of the tests' Valkey, as settings.REDIS_URL has it."""
    return VALKEY.url


@pytest.fixture
def redis_client() -> Iterator[redis.Redis]:
    """A client of an emptied Valkey; answers are bytes."""
    client = redis.Redis.from_url(VALKEY.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def data_dir(tmp_path: Path, settings: Settings) -> Path:
    """A fresh DATA_DIR (releases included) for one test."""
    settings.DATA_DIR = tmp_path
    settings.RELEASES_DIR = tmp_path / "releases"
    return tmp_path


@pytest_asyncio.fixture
async def _async_connections_closed() -> AsyncIterator[None]:
    yield
    from django.db import connections
    from django.db.backends.base.base import BaseDatabaseWrapper

    def close() -> None:
        for connection in connections.all(initialized_only=True):
            BaseDatabaseWrapper.close(connection)  # SQLite's own leaves one to a database in memory open

    await sync_to_async(close)()


@pytest.fixture(autouse=True)
def _no_connection_outlives_an_async_test(request: pytest.FixtureRequest) -> None:
    """Async ORM calls run in a thread of their own, whose connection would otherwise keep the test database open."""
    on_database = request.node.get_closest_marker("django_db") or {"db", "transactional_db"} & set(request.fixturenames)
    if request.node.get_closest_marker("asyncio") and on_database:
        request.getfixturevalue("_async_connections_closed")


@pytest.fixture
def merchandiser(client: Client) -> Client:
    """Somebody with the demo's login, at the desk."""
    from recommendations import demo

    client.force_login(demo.merchandiser(get_user_model(), "a password of the demo"))
    return client


@pytest.fixture
def viewer(db: None) -> Client:
    """Somebody who may look at all that the demo's login may change."""
    from recommendations import demo

    user = get_user_model().objects.create(username="viewer", is_staff=True)
    user.user_permissions.set(demo.merchandisers().permissions.filter(codename__startswith="view_"))
    seen = Client()
    seen.force_login(user)
    return seen
