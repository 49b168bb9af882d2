"""Starts an installation's processes, restarts those that crash, and stops them all together.

Nothing outlives the supervisor: on a signal it stops its children in order; when it is killed outright, the kernel's
parent-death signal and the watchdog (`recsite/watchdog.py`) end them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from recsite import embedded, watchdog
from recsite.embedded import dies_with_parent

Say = Callable[[str], None]
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
HEALTHY_S = 30.0
"""A child that lived this long starts again with the first pause."""
MAX_QUICK_ENDS = 6
"""So many ends in a row, each sooner than HEALTHY_S, and the supervisor gives up: about half a minute of trying."""
STOP_TIMEOUT_S = 15.0
LOG_BYTES = 10_000_000
NICENESS = 15
"""Of an errand: whatever serves goes before it."""


class CannotRun(RuntimeError):
    """Why the installation can't run, and what to do about it."""


def check_port(host: str, port: int) -> None:
    """Raises CannotRun when the port is taken or not allowed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror as error:
            raise CannotRun(f"HOST={host} can't be used ({error.strerror}). Choose an address of this machine") from None
        except OverflowError:
            raise CannotRun(f"port {port} can't be used: ports end at 65535") from None
        except OSError as error:
            raise CannotRun(
                f"port {port} on {host} can't be used ({error.strerror}). Choose another: make run PORT={port + 1}"
            ) from None


class SingleInstance:
    """A lock on the data directory, held as long as the process lives. Raises CannotRun when another process has it."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        path = data_dir / "up.lock"
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise CannotRun(f"{data_dir} is in use by {holder}. Stop that first, or set DATA_DIR to another place") from None
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        self._file.close()


@dataclass(slots=True)
class Program:
    """A process to keep running. `environ` is added to the supervisor's own environment."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Child:
    program: Program
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    quick_ends: int = 0
    start_at: float = 0.0
    read: int = 0


@dataclass(slots=True)
class _Errand:
    name: str
    log: Path
    process: subprocess.Popen[bytes]
    started: float


class Supervisor:
    """Keeps programs running until a signal comes.

    data_dir : logs go to `log/` in it.
    say : prints a line for the operator.
    Use as a context manager; leaving it stops everything in the reverse order of starting.
    """

    def __init__(self, data_dir: Path, say: Say) -> None:
        self.say = say
        self.log_dir = data_dir / "log"
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self.stopping = threading.Event()
        self._children: list[_Child] = []
        self._errands: list[_Errand] = []
        self._valkey: embedded.Server | None = None
        self._valkey_start: Callable[[], embedded.Server] | None = None
        self._previous: dict[int, object] = {}
        self._watchdog = subprocess.Popen(
            [sys.executable, "-S", watchdog.__file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def __enter__(self) -> Supervisor:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup a hangup stays ignored. An interrupt counts even where a shell's `&` had it ignored.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.stopping.set()

    # Starting

    def start_valkey(self, start: Callable[[], embedded.Server]) -> embedded.Server:
        """Start the embedded Valkey and keep it running. Raises embedded.ServerFailed."""
        self._valkey_start = start
        self._valkey = start()
        self._tell("+", self._valkey.process.pid)
        return self._valkey

    def run_step(self, name: str, command: Sequence[str]) -> None:
        """Run a command to its end, its output on ours. Raises CannotRun when it fails or a signal comes."""
        process = subprocess.Popen(command, preexec_fn=dies_with_parent(), start_new_session=True)
        self._tell("+", process.pid)
        try:
            while process.poll() is None:
                if self.stopping.wait(0.05):
                    raise CannotRun(f"stopped during: {name}. The next run takes it up again")
        finally:
            self._end(process, timeout_s=5.0)
        if process.returncode:
            raise CannotRun(f"{name} failed with code {process.returncode}; see the message above. Nothing else was started")

    def run_behind(self, program: Program) -> None:
        """Run a program to its end beside the programs, giving way to them; its output goes to a log of its own.

        How it ends is told, and nothing else depends on it.
        """
        log = self.log_dir / f"{program.name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["nice", "-n", str(NICENESS), *program.command] if shutil.which("nice") else program.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **program.environ},
                preexec_fn=dies_with_parent(),
                start_new_session=True,
            )
        self._tell("+", process.pid)
        self._errands.append(_Errand(program.name, log, process, time.monotonic()))

    def start(self, program: Program) -> None:
        log = self.log_dir / f"{program.name}.log"
        child = _Child(program, log)
        self._children.append(child)
        self._launch(child)

    def _launch(self, child: _Child) -> None:
        with child.log.open("ab") as output:
            child.read = output.tell()
            child.process = subprocess.Popen(
                child.program.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **child.program.environ},
                preexec_fn=dies_with_parent(),
                start_new_session=True,
            )
        child.started = time.monotonic()
        self._tell("+", child.process.pid)

    def _tell(self, sign: str, group: int) -> None:
        assert self._watchdog.stdin is not None
        # A watchdog that was killed is missed only if we are killed as well.
        with suppress(BrokenPipeError):
            self._watchdog.stdin.write(f"{sign}{group}\n")
            self._watchdog.stdin.flush()

    # Keeping

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """Supervise until `ready()`; False when the time is over or a signal came first."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not self.stopping.is_set():
            self.look()
            if ready():
                return True
            self.stopping.wait(0.1)
        return False

    def run(self) -> None:
        """Supervise until a signal comes. Raises CannotRun when a child can't be kept up."""
        while not self.stopping.wait(0.2):
            self.look()

    def look(self) -> None:
        """One round: show errors from the logs, restart what ended."""
        self._look_at_valkey()
        now = time.monotonic()
        for child in self._children:
            self._show_errors(child)
            if child.process is None:
                if now >= child.start_at:
                    self._launch(child)
            elif child.process.poll() is not None:
                self._ended(child, now)
        for errand in [e for e in self._errands if e.process.poll() is not None]:
            self._errands.remove(errand)
            code = errand.process.returncode
            self._end(errand.process, timeout_s=0.0)
            spent = f"after {now - errand.started:.0f} s"
            end = f"End of {errand.log}:\n{embedded.tail(errand.log)}"
            self.say(f"{errand.name}: done {spent}." if code == 0 else f"{errand.name} failed {spent} with code {code}. {end}")

    def _look_at_valkey(self) -> None:
        if self._valkey is None or self._valkey_start is None or self._valkey.process.poll() is None:
            return
        self.say(f"valkey ended with code {self._valkey.process.returncode}; starting it again")
        self._tell("-", self._valkey.process.pid)
        try:
            self.start_valkey(self._valkey_start)
        except embedded.ServerFailed as error:
            raise CannotRun(f"valkey could not be started again: {error}") from error

    def _ended(self, child: _Child, now: float) -> None:
        assert child.process is not None
        code = child.process.returncode
        self._end(child.process, timeout_s=0.0)  # what is left of its group would hold the port
        child.process = None
        child.quick_ends = 1 if now - child.started > HEALTHY_S else child.quick_ends + 1
        reason = embedded.tail(child.log)
        if child.quick_ends >= MAX_QUICK_ENDS:
            raise CannotRun(f"{child.program.name} ended {child.quick_ends} times in a row, last with code {code}:\n{reason}")
        pause = min(FIRST_PAUSE_S * 2 ** (child.quick_ends - 1), LONGEST_PAUSE_S)
        child.start_at = now + pause
        self.say(f"{child.program.name} ended with code {code}; starting it again in {pause:g} s. End of {child.log}:\n{reason}")

    def _show_errors(self, child: _Child) -> None:
        """Pass on what the child logged as an error since the last look; its traceback stays in the file."""
        try:
            size = child.log.stat().st_size
            if size <= child.read:
                return
            with child.log.open("rb") as file:
                file.seek(child.read)
                fresh = file.read(min(size - child.read, 65_536))
            child.read = size
            if size > LOG_BYTES:
                # Emptied in place: the child has it open, and appends. What it writes during the copy is lost.
                shutil.copyfile(child.log, child.log.with_suffix(".log.1"))
                os.truncate(child.log, 0)
                child.read = 0
        except OSError:
            return
        errors = [line for line in fresh.decode(errors="replace").splitlines() if " ERROR " in line or " CRITICAL " in line]
        for line in errors[:3]:
            self.say(f"{child.program.name}: {line[:300]}")
        if len(errors) > 3:
            self.say(f"{child.program.name}: {len(errors) - 3} more errors; see {child.log}")

    # Stopping

    def stop(self) -> None:
        """Stop everything, newest first, Valkey last. Safe to call twice."""
        self.stopping.set()
        for errand in self._errands:
            self._end(errand.process, STOP_TIMEOUT_S)
        self._errands.clear()
        for child in reversed(self._children):
            if child.process is not None:
                self._end(child.process, STOP_TIMEOUT_S)
                child.process = None
        if self._valkey is not None:
            self._valkey.stop()
            self._tell("-", self._valkey.process.pid)
            self._valkey = None
        if self._watchdog.stdin is not None and not self._watchdog.stdin.closed:
            with suppress(BrokenPipeError):
                self._watchdog.stdin.close()
        self._watchdog.wait()

    def _end(self, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        """Ask the leader to stop, then kill what is left of its group."""
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout_s)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._tell("-", process.pid)
