"""The embedded servers: up, durable, private, and gone when their parent is."""

from __future__ import annotations

import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from pytest_django import Settings

from recsite import embedded


@pytest.fixture
def home() -> Iterator[Path]:
    path = embedded.short_temporary_directory("pc-embedded-")
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_valkey_answers_where_settings_say(redis_client: redis.Redis, settings: Settings) -> None:
    assert redis.Redis.from_url(settings.REDIS_URL).ping()


def test_valkey_keeps_what_it_acknowledged_over_kill_nine(home: Path) -> None:
    first = embedded.start_valkey(home)
    with redis.Redis.from_url(first.url) as client:
        for n in range(200):
            client.rpush("log", n)
        first.process.kill()
        first.process.wait()
    second = embedded.start_valkey(home)
    try:
        with redis.Redis.from_url(second.url) as client:
            assert client.llen("log") == 200
            assert client.config_get("appendfsync") == {"appendfsync": "always"}
    finally:
        second.stop()


def test_valkey_is_for_its_owner_only_and_only_once(home: Path) -> None:
    server = embedded.start_valkey(home / "valkey")
    try:
        assert stat.S_IMODE((home / "valkey").stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "valkey" / "valkey.sock").stat().st_mode) == 0o700
        with pytest.raises(embedded.AlreadyRuns, match=r"already runs on .*valkey\.sock"):
            embedded.start_valkey(home / "valkey")
    finally:
        server.stop()


def test_valkey_that_cannot_start_says_why(home: Path) -> None:
    with pytest.raises(embedded.ServerFailed, match=r"ended with code 1"):
        embedded.start_valkey(home, fsync="sometimes")


def test_postgres_starts_twice_on_the_same_data(home: Path) -> None:
    for n in range(2):
        server = embedded.start_postgres(home / "pg")
        try:
            with psycopg.connect(server.url) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
                connection.execute("INSERT INTO kept VALUES (%s)", [n])
                assert connection.execute("SELECT count(*) FROM kept").fetchone() == (n + 1,)
        finally:
            server.stop(sent=signal.SIGINT)
