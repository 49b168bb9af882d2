"""Settings read from the environment: each kind of value, and what is said of a bad one."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recsite import environment as env

ROOT = Path(__file__).resolve().parent.parent


def test_numbers_flags_choices_and_lists() -> None:
    given = {"N": " 12 ", "F": "Yes", "C": "b", "L": "a.example, ,b.example", "E": ""}
    assert env.whole("N", 3, environ=given) == 12
    assert env.whole("E", 3, environ=given) == 3
    assert env.flag("F", False, given)
    assert env.choice("C", "a", ("a", "b"), given) == "b"
    assert env.names("L", ("x",), given) == ["a.example", "b.example"]
    assert env.names("E", ("x",), given) == []
    assert env.names("none", ("x",), given) == ["x"]


def test_a_web_address_is_one_and_an_error_does_not_repeat_the_key_in_it() -> None:
    assert env.web_address("W", {"W": " https://weather.example/v1?key=secret "}) == "https://weather.example/v1?key=secret"
    assert env.web_address("W", {}) == ""
    for bad in ("ftp://weather.example/?key=secret", "weather.example/?key=secret", "https:///v1?key=secret"):
        with pytest.raises(env.BadSetting, match="W: expected an address") as error:
            env.web_address("W", {"W": bad})
        assert "secret" not in str(error.value)


def test_bad_values_are_named_and_shown() -> None:
    with pytest.raises(env.BadSetting, match="N='twelve': expected a whole number"):
        env.whole("N", 3, environ={"N": "twelve"})
    with pytest.raises(env.BadSetting, match="N=0: expected at least 1"):
        env.whole("N", 3, minimum=1, environ={"N": "0"})
    with pytest.raises(env.BadSetting, match="F='maybe': expected 1 or 0"):
        env.flag("F", False, {"F": "maybe"})
    with pytest.raises(env.BadSetting, match="C='z': expected one of a, b"):
        env.choice("C", "a", ("a", "b"), {"C": "z"})


def test_database_urls() -> None:
    assert env.database("sqlite:////srv/db.sqlite3")["NAME"] == Path("/srv/db.sqlite3")
    assert env.database("sqlite:///var/db.sqlite3")["NAME"] == Path("var/db.sqlite3")
    there = env.database("postgres://me:p%40ss@db.example:5433/shop?sslmode=require")
    assert (there["USER"], there["PASSWORD"], there["HOST"], there["PORT"], there["NAME"]) == (
        *("me", "p@ss", "db.example", "5433", "shop"),
    )
    assert there["OPTIONS"]["sslmode"] == "require"
    assert env.database("postgres://me@/shop?host=/run/pg")["HOST"] == "/run/pg"


def test_database_url_errors_hide_the_password() -> None:
    with pytest.raises(env.BadSetting, match="unknown scheme 'mysql'"):
        env.database("mysql://u:secret@h/db")
    with pytest.raises(env.BadSetting, match="no database named") as error:
        env.database("postgres://u:secret@h/")
    assert "secret" not in str(error.value)


def test_celery_has_its_own_words_for_a_socket() -> None:
    assert env.celery_url("unix:///run/v.sock?db=2") == "redis+socket:///run/v.sock?virtual_host=2"
    assert env.celery_url("redis://h:6379/0") == "redis://h:6379/0"


def test_long_socket_path_moves_to_a_short_stable_place(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    path = env.socket_path(deep, "valkey.sock")
    assert len(os.fsencode(path)) <= env.SOCKET_PATH_LIMIT
    assert env.socket_path(deep, "valkey.sock") == path
    assert env.socket_path(tmp_path / ("d" * 60) / ("f" * 60), "valkey.sock") != path
    assert env.socket_path(Path("/run/x"), "valkey.sock") == Path("/run/x/valkey.sock")


def test_kept_secret_is_one_private_and_lasting(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret_key"
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: env.kept_secret(path), range(16)))
    assert len(secrets) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["secret_key"]
    assert env.kept_secret(path) in secrets


def test_bad_setting_stops_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, "ACTIVITY_PARTITIONS": "many"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "ACTIVITY_PARTITIONS='many': expected a whole number" in done.stderr
