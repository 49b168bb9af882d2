"""One file with everything that matters, and the way back: database, releases, session states and the activity log.

The file is a plain tar: `manifest.json` last, with the size and SHA-256 of every other member. Nothing in it is pickled.
The order of taking makes a copy of a running installation whole: the log first, the database after it, since events move
from the one to the other and the archive counts each once; releases last, since what the database names is there by then.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import redis
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

FORMAT = 1
SECRETS = ("secret_key", "demo_login.txt")
REBUILT = ("celery", "_kombu", "unacked", "cache")
"""Beginnings of Redis keys that mean nothing after a restart."""
BATCH = 500
Say = Callable[[str], None]


class BackupError(RuntimeError):
    """Why a backup can't be made or restored, and what to do."""


# Making


def make(target: Path, client: redis.Redis, say: Say) -> None:
    """Write the backup to `target`, readable by its owner only. Raises BackupError when the file exists."""
    if target.exists():
        raise BackupError(f"{target} exists; name another file")
    scratch = Path(tempfile.mkdtemp(prefix=".backup-", dir=target.absolute().parent))
    try:
        members: dict[str, dict[str, Any]] = {}
        draft = scratch / "backup.tar"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            with tarfile.open(fileobj=out, mode="w") as tar:

                def add(name: str, path: Path) -> None:
                    members[name] = {"size": path.stat().st_size, "sha256": _sha256(path)}
                    tar.add(path, arcname=name, recursive=False)

                say("Redis: session states and the activity log")
                keys = _dump_redis(client, scratch / "redis.msgpack")
                add("redis.msgpack", scratch / "redis.msgpack")
                say(f"Redis: {keys} keys. Database: {connection.vendor}")
                migrations = _dump_database(scratch, add)
                releases = _release_files()
                say(f"Releases: {len(releases)} files")
                for path in releases:
                    add(f"releases/{path.relative_to(settings.RELEASES_DIR).as_posix()}", path)
                for name in SECRETS:
                    if (settings.DATA_DIR / name).exists():
                        add(f"secrets/{name}", settings.DATA_DIR / name)
                manifest = {"format": FORMAT, "database": connection.vendor, "migrations": migrations, "files": members}
                _add_bytes(tar, "manifest.json", json.dumps(manifest, indent=1).encode())
            out.flush()
            os.fsync(out.fileno())
        os.link(draft, target)  # unlike a rename, this never writes over a file that came meanwhile
    finally:
        shutil.rmtree(scratch)


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o600
    tar.addfile(info, io.BytesIO(data))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _release_files() -> list[Path]:
    """Files of whole components; one that is being written has a name that starts with a dot."""
    root = Path(settings.RELEASES_DIR)
    return sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def _kept_keys(client: redis.Redis) -> dict[bytes, list[bytes]]:
    """Keys worth keeping, by their hash tag: a partition's log and states belong together."""
    groups: dict[bytes, list[bytes]] = {}
    for key in client.scan_iter(count=1000):
        if not key.startswith(tuple(name.encode() for name in REBUILT)):
            tag = key[1 : key.index(b"}")] if key.startswith(b"{") and b"}" in key else b""
            groups.setdefault(tag, []).append(key)
    return groups


def _dump_redis(client: redis.Redis, path: Path) -> int:
    """Write [key, milliseconds to live or -1, DUMP] messages, each behind its length. A partition is dumped at one instant."""
    count = 0
    encoder = msgspec.msgpack.Encoder()
    with path.open("wb") as file:
        for keys in _kept_keys(client).values():
            with client.pipeline(transaction=True) as pipeline:
                for key in keys:
                    pipeline.pttl(key)
                    pipeline.dump(key)
                answers = pipeline.execute()
            for key, ttl, dump in zip(keys, answers[::2], answers[1::2], strict=True):
                if dump is not None:  # it may have expired since
                    message = encoder.encode([key, max(ttl, -1), dump])
                    file.write(len(message).to_bytes(4, "big") + message)
                    count += 1
    return count


def _dump_database(scratch: Path, add: Callable[[str, Path], None]) -> dict[str, list[str]]:
    """Add the database's files; returns the migrations that it has, {app: names}."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        path = scratch / "database.sqlite3"
        copy = sqlite3.connect(path)
        try:
            connection.connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        finally:
            copy.close()
        add("database.sqlite3", path)
        return _migrations()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for table in _tables():
            path = scratch / "table.csv"
            with path.open("wb") as file, cursor.copy(f"COPY {_quoted(table)} TO STDOUT (FORMAT csv, HEADER)") as rows:
                for row in rows:
                    file.write(row)
            add(f"tables/{table}.csv", path)
        return _migrations()


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)


def _tables() -> list[str]:
    """Every table of the models, many-to-many ones included, and no other."""
    return sorted(connection.introspection.django_table_names(only_existing=True, include_views=False))


def _migrations() -> dict[str, list[str]]:
    applied: dict[str, list[str]] = {}
    for app, name in sorted(MigrationRecorder(connection).applied_migrations()):
        applied.setdefault(app, []).append(name)
    return applied


# Restoring


def restore(source: Path, client: redis.Redis, say: Say, *, force: bool = False) -> None:
    """Put back what the file holds. Everything is verified before anything is touched.

    Raises BackupError for a damaged file, another kind of database, newer migrations than this code has, or, without
    `force`, an installation that holds something already.
    """
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".restore-", dir=settings.DATA_DIR))
    try:
        say("Verifying")
        manifest = _unpack(source, scratch)
        _check_fits(manifest)
        occupied = _occupied(client)
        if occupied and not force:
            raise BackupError(f"this installation is not empty: it holds {', '.join(occupied)}. --force replaces all of it")
        say("Database")
        _load_database(scratch, manifest)
        say("Releases")
        _load_releases(scratch)
        for name in SECRETS:
            if (scratch / "secrets" / name).exists():
                os.replace(scratch / "secrets" / name, settings.DATA_DIR / name)
        say("Redis")
        say(f"Redis: {_load_redis(client, scratch / 'redis.msgpack')} keys")
    finally:
        shutil.rmtree(scratch)


def _unpack(source: Path, scratch: Path) -> dict[str, Any]:
    """Extract the file, check every member against the manifest, and return the manifest."""
    try:
        with tarfile.open(source, "r:") as tar:
            tar.extractall(scratch, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise BackupError(f"{source} can't be read: {error}") from error
    try:
        manifest: dict[str, Any] = json.loads((scratch / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise BackupError(f"{source} is cut off or is no backup: it has no manifest") from error
    if manifest.get("format") != FORMAT:
        raise BackupError(f"{source} has format {manifest.get('format')!r}; this version reads {FORMAT}")
    there = {path.relative_to(scratch).as_posix() for path in scratch.rglob("*") if path.is_file()} - {"manifest.json"}
    listed = manifest["files"]
    if there != set(listed):
        raise BackupError(f"{source} is damaged: {', '.join(sorted(there ^ set(listed))[:5])} missing or too many")
    for name, said in listed.items():
        path = scratch / name
        if path.stat().st_size != said["size"] or _sha256(path) != said["sha256"]:
            raise BackupError(f"{source} is damaged: {name} does not have its checksum")
    return manifest


def _check_fits(manifest: dict[str, Any]) -> None:
    if manifest["database"] != connection.vendor:
        raise BackupError(f"the backup is of a {manifest['database']} database, DATABASE_URL names a {connection.vendor} one")
    known = _known_migrations()
    newer = [f"{app}.{name}" for app, names in manifest["migrations"].items() for name in names if (app, name) not in known]
    if newer:
        raise BackupError(f"the backup was made by a newer version: this one has no migration {', '.join(newer[:5])}")


def _known_migrations() -> set[tuple[str, str]]:
    from django.db.migrations.loader import MigrationLoader

    return set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


def _occupied(client: redis.Redis) -> list[str]:
    """What the installation holds already, in words."""
    found = []
    tables = set(connection.introspection.table_names())
    for label, words in (("personas.Shop", "shops"), ("auth.User", "users")):
        model = apps.get_model(label)
        if model._meta.db_table in tables and model._default_manager.exists():
            found.append(words)
    if any(_kept_keys(client).values()):
        found.append("keys in Redis")
    if _release_files():
        found.append("releases")
    return found


def _load_database(scratch: Path, manifest: dict[str, Any]) -> None:
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        saved = sqlite3.connect(scratch / "database.sqlite3")
        try:
            saved.backup(connection.connection)
        finally:
            saved.close()
    else:
        # Tables as the backup's version had them, its rows, and then whatever migrations came since.
        saved_at = {(app, name) for app, names in manifest["migrations"].items() for name in names}
        if saved_at == _known_migrations():
            call_command("migrate", verbosity=0, interactive=False)
        else:
            for app, names in manifest["migrations"].items():
                call_command("migrate", app, names[-1], verbosity=0, interactive=False)
        with transaction.atomic(), connection.cursor() as cursor:
            tables = sorted(path.stem for path in (scratch / "tables").iterdir())
            cursor.execute(f"TRUNCATE {', '.join(map(_quoted, tables))} CASCADE")
            for table in tables:
                _copy_in(cursor, table, scratch / "tables" / f"{table}.csv")
            for statement in connection.ops.sequence_reset_sql(no_style(), apps.get_models(include_auto_created=True)):
                cursor.execute(statement)
    call_command("migrate", verbosity=0, interactive=False)


def _copy_in(cursor: Any, table: str, path: Path) -> None:
    with path.open("rb") as file:
        header = file.readline().decode().strip()
        columns = ", ".join(_quoted(name) for name in header.split(","))
        file.seek(0)
        with cursor.copy(f"COPY {_quoted(table)} ({columns}) FROM STDIN (FORMAT csv, HEADER)") as rows:
            while chunk := file.read(1 << 20):
                rows.write(chunk)


def _load_releases(scratch: Path) -> None:
    root = Path(settings.RELEASES_DIR)
    if root.exists():
        # Aside first: the new ones are in place before the old ones are gone.
        root.rename(scratch / "replaced-releases")
    (scratch / "releases").mkdir(exist_ok=True)
    (scratch / "releases").rename(root)


def _load_redis(client: redis.Redis, path: Path) -> int:
    for keys in _kept_keys(client).values():
        client.delete(*keys)
    count = 0
    with path.open("rb") as file:
        pipeline = client.pipeline(transaction=False)
        for key, ttl, dump in _messages(file):
            pipeline.restore(key, 0 if ttl < 0 else ttl, dump, replace=True)
            count += 1
            if count % BATCH == 0:
                pipeline.execute()
        pipeline.execute()
    return count


def _messages(file: IO[bytes]) -> Iterator[tuple[bytes, int, bytes]]:
    decoder = msgspec.msgpack.Decoder(tuple[bytes, int, bytes])
    while length := file.read(4):
        yield decoder.decode(file.read(int.from_bytes(length, "big")))
