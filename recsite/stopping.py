"""Websockets end before Granian does: it drops them when it stops, without a word, and a page saw only that the line was dead.

Granian (2.8) stops at a signal, and tells the application last of all. So a worker's signal is held until its sockets have said
that the server stops, a second at most.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from importlib import import_module
from typing import Any

from recommendations.serving import process

try:
    _signals: Any = import_module("granian._signals")
    _set_loop_signals = _signals.set_loop_signals
except (ImportError, AttributeError):  # its own affair, which a release may rename
    _signals = None

log = logging.getLogger(__name__)
_tasks: set[asyncio.Task[None]] = set()


def sockets_first() -> None:
    """Have the workers of this process, once they start, stop so. Granian looks the function up as a worker begins."""
    if _signals is None:
        log.warning("this Granian can't be told to end websockets first: they end with 1006 when the server stops")
    else:
        _signals.set_loop_signals = set_loop_signals


def set_loop_signals(loop: asyncio.AbstractEventLoop) -> Any:
    """In the place of Granian's own: what is returned stops a worker once it is set."""
    stops = _set_loop_signals(loop)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, loop, stops)
    return stops


def _stop(loop: asyncio.AbstractEventLoop, stops: Any) -> None:
    if _tasks:  # whoever stops the whole group of processes tells a worker twice: itself, and by its parent
        return
    task = loop.create_task(process.end_sockets(), name="end sockets")
    _tasks.add(task)
    task.add_done_callback(lambda _: stops.set())
