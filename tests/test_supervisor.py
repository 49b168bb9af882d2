"""The supervisor for real: processes that start, crash, hang and are killed. No process may outlive it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recsite import watchdog
from recsite.embedded import short_temporary_directory
from recsite.supervisor import CannotRun, Program, SingleInstance, Supervisor, check_port

# A program that starts a child of its own which ignores SIGTERM, and writes both process ids where the test finds them.
PARENT_AND_STUBBORN_CHILD = """
import os, signal, subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", stubborn])
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
time.sleep(600)
"""
SUPERVISE = """
import sys
from pathlib import Path
from recsite import embedded
from recsite.supervisor import Program, Supervisor

home = Path(sys.argv[1])
with Supervisor(home, print) as supervisor:
    valkey = supervisor.start_valkey(lambda: embedded.start_valkey(home / "valkey"))
    (home / "valkey.pid").write_text(str(valkey.process.pid))
    for name in ("one", "two"):
        supervisor.start(Program(name, [sys.executable, "-c", sys.argv[2], str(home / f"{name}.pid")]))
    supervisor.wait_until(lambda: all((home / f"{name}.pid").exists() for name in ("one", "two")), 20)
    print("ready", flush=True)
    supervisor.run()
print("stopped", flush=True)
"""


def running(pid: int) -> bool:
    """Whether the process is there and more than a zombie that waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(condition: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def home() -> Iterator[Path]:
    path = short_temporary_directory("pc-up-")
    yield path
    for file in path.glob("*.pid"):
        for pid in file.read_text().split():
            if running(int(pid)):
                os.kill(int(pid), signal.SIGKILL)
    shutil.rmtree(path, ignore_errors=True)


def supervised(home: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A supervisor in a process of its own, and the ids of all it started: Valkey, two programs, their children."""
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(home), PARENT_AND_STUBBORN_CHILD],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    pids = [int(pid) for file in home.glob("*.pid") for pid in file.read_text().split()]
    assert len(pids) == 5
    assert all(running(pid) for pid in pids)
    return process, pids


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_everything(home: Path, sent: signal.Signals) -> None:
    process, pids = supervised(home)
    process.send_signal(sent)
    assert process.wait(20) == 0
    assert process.stdout is not None
    assert process.stdout.read() == "stopped\n"
    assert [pid for pid in pids if running(pid)] == []


def test_kill_nine_leaves_no_orphan(home: Path) -> None:
    """Grandchildren that ignore SIGTERM included: the watchdog kills their groups."""
    process, pids = supervised(home)
    process.kill()
    process.wait()
    assert eventually(lambda: not any(running(pid) for pid in pids)), [pid for pid in pids if running(pid)]


def test_crashed_program_is_started_again_and_told(home: Path) -> None:
    said: list[str] = []
    script = "import sys, time; open(sys.argv[1], 'a').write('x'); print('the reason'); time.sleep(0.05); sys.exit(3)"
    with Supervisor(home, said.append) as supervisor:
        supervisor.start(Program("flaky", [sys.executable, "-c", script, str(home / "starts")]))
        assert supervisor.wait_until(lambda: (home / "starts").exists() and len((home / "starts").read_text()) == 2, 10)
    assert "flaky ended with code 3" in said[0]
    assert "the reason" in said[0]


def test_program_that_cannot_stay_up_is_given_up_with_its_log(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsite.supervisor.FIRST_PAUSE_S", 0.01)
    with Supervisor(home, lambda line: None) as supervisor:
        supervisor.start(Program("broken", [sys.executable, "-c", "raise SystemExit('no such module')"]))
        with pytest.raises(CannotRun, match=r"broken ended 6 times in a row, last with code 1:\n(.*\n)*no such module"):
            supervisor.wait_until(lambda: False, 20)


def test_errors_in_a_log_reach_the_operator(home: Path) -> None:
    said: list[str] = []
    script = "print('2026-01-01 ERROR shop: no release', flush=True); print('INFO fine', flush=True); import time; time.sleep(60)"
    with Supervisor(home, said.append) as supervisor:
        supervisor.start(Program("web", [sys.executable, "-c", script]))
        assert supervisor.wait_until(lambda: bool(said), 10)
    assert said == ["web: 2026-01-01 ERROR shop: no release"]


def test_a_log_that_grows_too_long_is_kept_once_and_begun_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its program runs: one that never ends would otherwise fill the disk."""
    monkeypatch.setattr("recsite.supervisor.LOG_BYTES", 10_000)
    log, older = home / "log" / "web.log", home / "log" / "web.log.1"
    script = (
        "import os, sys, time\n"
        "while not os.path.exists(sys.argv[1]): print('x' * 99, flush=True); time.sleep(0.001)\n"
        "time.sleep(0.3); print('after', flush=True); time.sleep(60)"
    )
    with Supervisor(home, print) as supervisor:
        supervisor.start(Program("web", [sys.executable, "-c", script, str(older)]))
        assert supervisor.wait_until(lambda: older.exists() and log.read_text().endswith("after\n"), 20)
    assert older.stat().st_size > 10_000
    assert log.stat().st_size < 10_000


def test_failed_step_raises(home: Path) -> None:
    with Supervisor(home, print) as supervisor, pytest.raises(CannotRun, match="import failed with code 4"):
        supervisor.run_step("import", [sys.executable, "-c", "raise SystemExit(4)"])


def test_step_ends_at_a_signal(home: Path) -> None:
    with Supervisor(home, print) as supervisor:
        supervisor.stopping.set()
        with pytest.raises(CannotRun, match="stopped during: training"):
            supervisor.run_step("training", [sys.executable, "-c", "import time; time.sleep(600)"])


def test_an_errand_gives_way_and_its_failure_ends_nothing_else(home: Path) -> None:
    said: list[str] = []
    with Supervisor(home, said.append) as supervisor:
        supervisor.start(Program("steady", [sys.executable, "-c", "import time; time.sleep(600)"]))
        niceness = "import os, sys; print(os.nice(0)); sys.exit('it broke')"
        supervisor.run_behind(Program("errand", [sys.executable, "-c", niceness]))
        assert supervisor.wait_until(lambda: bool(said), 20)
        assert len(said) == 1
        assert "errand failed after" in said[0]
        assert "code 1" in said[0]
        assert "it broke" in said[0]
        assert int((home / "log" / "errand.log").read_text().split()[0]) > os.nice(0)
        supervisor.run_behind(Program("endless", [sys.executable, "-c", PARENT_AND_STUBBORN_CHILD, str(home / "endless.pid")]))
        assert supervisor.wait_until(lambda: (home / "endless.pid").exists(), 20)
        supervisor.look()
        assert len(said) == 1, "neither started again nor told of twice; the steady one still runs"
    pids = [int(pid) for pid in (home / "endless.pid").read_text().split()]
    assert eventually(lambda: not any(running(pid) for pid in pids))


def test_port_in_use_names_port_and_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotRun, match=rf"port {port} on 127.0.0.1 can't be used .* make run PORT={port + 1}"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


def test_a_port_or_host_that_cannot_be_is_named() -> None:
    with pytest.raises(CannotRun, match="port 99999 can't be used: ports end at 65535"):
        check_port("127.0.0.1", 99_999)
    with pytest.raises(CannotRun, match="HOST=nowhere.invalid can't be used"):
        check_port("nowhere.invalid", 8_000)


@pytest.mark.parametrize(("name", "value"), [("PORT", "abc"), ("WEB_WORKERS", "x"), ("DURABILITY", "maybe")])
def test_a_bad_setting_is_named_without_a_traceback(home: Path, name: str, value: str) -> None:
    environment = os.environ | {"DATA_DIR": str(home), name: value}
    command = [sys.executable, "manage.py", "up"]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{name}={value!r}: expected")


def test_second_instance_on_the_same_data_is_refused(tmp_path: Path) -> None:
    first = SingleInstance(tmp_path)
    with pytest.raises(CannotRun, match=f"in use by process {os.getpid()}"):
        SingleInstance(tmp_path)
    first.release()
    SingleInstance(tmp_path).release()


def test_watchdog_knows_which_groups_are_left() -> None:
    assert watchdog.groups_left(["+11\n", "+12\n", "+13\n", "-12\n", "-99\n"]) == [11, 13]
