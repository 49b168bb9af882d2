"""Ends process groups when the supervisor is gone, however it went; runs as a process of its own.

Standard input is a pipe that only the supervisor holds open. It says `+PGID` for a group that started and `-PGID` for
one that is over. At end of file the supervisor is dead: whatever is still listed is asked to stop, newest first, and
after a grace period killed with its whole group. The kernel's parent-death signal reaches children but not their
children; this does.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

GRACE_S = 4.0


def groups_left(lines: Iterable[str]) -> list[int]:
    """Groups that started and did not end, in order of start. Reads until the end of file."""
    groups: dict[int, None] = {}
    for line in lines:
        group = int(line[1:])
        if line[0] == "+":
            groups[group] = None
        else:
            groups.pop(group, None)
    return list(groups)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def end(groups: list[int], grace_s: float = GRACE_S) -> None:
    """Ask the leaders to stop, wait, then kill what is left of the groups."""
    for group in reversed(groups):
        with suppress(ProcessLookupError):
            os.kill(group, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and any(alive(group) for group in groups):
        time.sleep(0.05)
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    # The terminal's signals are the supervisor's to handle; this process ends when the supervisor does.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end(groups_left(sys.stdin))
