"""The search index of each shop: on disk beside the releases, made anew when the catalogue moves, mapped by every process.

`<DATA_DIR>/search/<shop>/` holds the versions of the index (`personas.component_files`) and `current.json`, which names
the one in force and says what the catalogue was like when it was made. The files hold nothing that can't be made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Max

from clusters.models import Item
from clusters.search_index import SearchIndex, build_index
from personas.component_files import ComponentError, load_component, save_component
from personas.models import Shop

logger = logging.getLogger(__name__)

LATE = timedelta(minutes=5)
"""How long after an item was given the time of its change that change may still be on its way: a long import."""

LOOK_S = 1.0
"""How often a process looks whether there is a newer index."""

REST = 10.0
"""Times that making an index took must go by before the next one: a shop whose stock moves all day is no worker's only job."""

FORMAT = 1
"""Raised when an index of before would read as sound and mean something else: how words are written or weighed."""

KIND = "index"
FORGOTTEN_S = 3600.0
"""Age from which what a killed process left half-written is removed."""


@dataclass(frozen=True)
class _Held:
    version: str
    index: SearchIndex
    looked_at: float


_held: dict[Path, _Held] = {}
_loading: dict[Path, threading.Lock] = {}


def index_of(shop: Shop) -> SearchIndex:
    """The shop's current index, the same for all processes of a machine; where there is none, it is made now."""
    folder = _folder(shop.pk)
    held = _held.get(folder)
    if held is not None and time.monotonic() - held.looked_at < LOOK_S:
        return held.index
    loading = _loading.setdefault(folder, threading.Lock())
    if not loading.acquire(blocking=held is None):
        assert held is not None
        return held.index  # another thread is looking; what was in force a second ago will do meanwhile
    try:
        held = _held.get(folder)
        if held is not None and time.monotonic() - held.looked_at < LOOK_S:
            return held.index
        index = _load(folder, held)
        if index is None:
            with _building(folder, wait=True):
                # Somebody else may have made it while this process waited for its turn.
                index = _load(folder, None) or _build(shop)
        return index
    finally:
        loading.release()


def refresh(shop: Shop) -> bool:
    """Make the index anew if the catalogue moved since; whether it was. False too while another process is at it."""
    with _building(_folder(shop.pk), wait=False) as mine:
        if not mine or _is_current(shop):
            return False
        _build(shop)
        return True


def is_due(shop: Shop) -> bool:
    """Whether the catalogue moved, and the last index has been in force for long enough in relation to its cost."""
    current = _current(_folder(shop.pk))
    rested = time.time() - current["built_at"] >= REST * current["seconds"] if current else True
    return rested and not _is_current(shop)


def forget_others(shops: set[int]) -> None:
    """Remove the indexes of shops that are gone. shops : ids of those that are there."""
    for folder in _root().glob("*"):
        if folder.name.isdigit() and int(folder.name) not in shops:
            _held.pop(folder, None)
            shutil.rmtree(folder, ignore_errors=True)


def _root() -> Path:
    return Path(settings.DATA_DIR) / "search"


def _folder(shop_id: int) -> Path:
    return _root() / str(shop_id)


def _stamp(shop: Shop) -> list[Any]:
    """What tells that a catalogue moved: how many items it has, when one last changed, the newest one's id, and how many
    changed lately: a change that another transaction noted earlier and committed later moves none of the others."""
    items = Item.objects.of_shop(shop).order_by()
    seen = items.aggregate(count=Count("pk"), at=Max("updated_at"), last=Max("pk"))
    if seen["at"] is None:
        return [0, None, None, 0]
    lately = items.filter(updated_at__gt=seen["at"] - LATE).count()
    return [seen["count"], seen["at"].isoformat(), seen["last"], lately]


def _current(folder: Path) -> dict[str, Any] | None:
    """`current.json`; None where there is none, or none of this format."""
    try:
        current = json.loads((folder / "current.json").read_text())
    except (OSError, ValueError):
        return None
    return current if current.get("format") == FORMAT else None


def _is_current(shop: Shop) -> bool:
    current = _current(_folder(shop.pk))
    return current is not None and current["stamp"] == _stamp(shop)


def _load(folder: Path, held: _Held | None) -> SearchIndex | None:
    """The index in force, the one at hand if it is still that one; None where there is none that can be read."""
    for attempt in range(3):  # a version may go between the look at its name and the look at its files
        current = _current(folder)
        if current is None:
            return None
        try:
            if held is not None and held.version == current["version"]:
                index = held.index
            else:
                index = load_component(folder, KIND, SearchIndex, current["version"])
        except ComponentError as error:
            if attempt == 2:
                logger.warning("the search index in %s is made anew: %s", folder, error)
                # the same content would be taken for written
                shutil.rmtree(folder / KIND / current["version"], ignore_errors=True)
        else:
            _held[folder] = _Held(current["version"], index, time.monotonic())
            return index
    return None


def _build(shop: Shop) -> SearchIndex:
    """Make the index and put it in force."""
    folder, started = _folder(shop.pk), time.monotonic()
    stamp = _stamp(shop)  # before the items are read: what changes meanwhile is noticed the next time
    index = build_index(Item.objects.of_shop(shop).as_documents())
    before = _current(folder)
    version = save_component(folder, KIND, index)
    seconds = time.monotonic() - started
    told = {"version": version, "stamp": stamp, "format": FORMAT, "built_at": time.time(), "seconds": round(seconds, 3)}
    written = folder / f".current-{os.getpid()}"
    written.write_text(json.dumps(told))
    written.replace(folder / "current.json")
    _remove_old(folder, keep={version, before["version"] if before else version})
    logger.info("search index of %s: %d items in %.1f s", shop.slug, len(index), seconds)
    # From the files, so that this process shares its pages with the others.
    return _load(folder, None) or index


def _remove_old(folder: Path, *, keep: set[str]) -> None:
    """Versions but those to keep. A process that mapped one of them keeps it: files go with their last reader."""
    for path in (folder / KIND).iterdir():
        with contextlib.suppress(OSError):
            if path.name not in keep and (not path.name.startswith(".") or time.time() - path.stat().st_mtime > FORGOTTEN_S):
                shutil.rmtree(path)


@contextlib.contextmanager
def _building(folder: Path, *, wait: bool) -> Iterator[bool]:
    """One process at a time makes a shop's index; False if another one does and this one doesn't wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
