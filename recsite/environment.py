"""Reading settings from environment variables: numbers, lists, addresses. Errors name the variable and show its value."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

SOCKET_PATH_LIMIT = 100
"""A unix socket's path has at most 107 bytes on Linux and 103 on macOS; PostgreSQL appends a few of its own."""


class BadSetting(ValueError):
    """An environment variable holds something that cannot be used."""


def text(name: str, default: str, environ: Mapping[str, str] = os.environ) -> str:
    """The variable's value; the default when it is unset or empty."""
    return environ.get(name) or default


def flag(name: str, default: bool, environ: Mapping[str, str] = os.environ) -> bool:
    value = environ.get(name, "").strip().lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise BadSetting(f"{name}={value!r}: expected 1 or 0")


def whole(name: str, default: int, minimum: int = 0, environ: Mapping[str, str] = os.environ) -> int:
    value = environ.get(name, "").strip()
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise BadSetting(f"{name}={value!r}: expected a whole number") from None
    if number < minimum:
        raise BadSetting(f"{name}={number}: expected at least {minimum}")
    return number


def choice(name: str, default: str, allowed: tuple[str, ...], environ: Mapping[str, str] = os.environ) -> str:
    value = text(name, default, environ)
    if value not in allowed:
        raise BadSetting(f"{name}={value!r}: expected one of {', '.join(allowed)}")
    return value


def names(name: str, default: tuple[str, ...] = (), environ: Mapping[str, str] = os.environ) -> list[str]:
    """A comma-separated list, without empty entries."""
    value = environ.get(name)
    if value is None:
        return list(default)
    return [part.strip() for part in value.split(",") if part.strip()]


def web_address(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """An http or https address, "" when unset."""
    value = environ.get(name, "").strip()
    if value and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
        raise BadSetting(f"{name}: expected an address that begins with http:// or https://")
    return value


def database(url: str, *, sqlite_synchronous: str = "FULL", pool_max: int = 8) -> dict[str, Any]:
    """Django's DATABASES entry for a URL: `sqlite:///relative`, `sqlite:////absolute`, `postgres://user:pw@host:port/name`.

    A PostgreSQL unix socket's directory goes in the query: `postgres://user@/name?host=/run/postgresql`.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        path = unquote(parts.path.removeprefix("/"))
        if not path:
            raise BadSetting(f"DATABASE_URL={url!r}: no file named")
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": path if path == ":memory:" else Path(path),
            "OPTIONS": {
                # Readers never wait in WAL mode; a writer waits its turn. Taking the write lock at BEGIN keeps a
                # transaction that reads and then writes from failing half-way.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": f"PRAGMA journal_mode=WAL; PRAGMA synchronous={sqlite_synchronous}; PRAGMA busy_timeout=20000",
            },
        }
    if parts.scheme in {"postgres", "postgresql"}:
        query = dict(parse_qsl(parts.query))
        name = unquote(parts.path.removeprefix("/"))
        if not name:
            raise BadSetting(f"DATABASE_URL: no database named in {parts.scheme}://…@{parts.hostname or ''}{parts.path}")
        host = query.pop("host", None) or (unquote(parts.hostname) if parts.hostname else "")
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": host,
            "PORT": query.pop("port", None) or str(parts.port or ""),
            "OPTIONS": {"pool": {"min_size": 0, "max_size": pool_max, "timeout": 10}, **query},
        }
    raise BadSetting(f"DATABASE_URL: unknown scheme {parts.scheme!r}; expected sqlite or postgres")


def celery_url(redis_url: str) -> str:
    """The same Redis in Celery's words: kombu calls a unix socket `redis+socket://PATH?virtual_host=N`."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    return f"redis+socket://{parts.path}?virtual_host={dict(parse_qsl(parts.query)).get('db', '0')}"


def socket_path(directory: Path, name: str) -> Path:
    """Where a server keeps its unix socket: in its own directory, or, if that path is too long, in a private short one."""
    path = directory / name
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    digest = sha256(os.fsencode(directory.resolve())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"persona-clusters-{os.getuid()}-{digest}" / name


def kept_secret(path: Path, length: int = 50) -> str:
    """The secret kept in the file, made on first use and readable by its owner only. Two processes at once agree on one."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(length) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()
