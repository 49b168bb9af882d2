"""Errors as the API tells them: RFC 9457 problem documents with a stable `code`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from personas.events import EventError


class Problem(Exception):
    """Something the caller should know. `code` never changes; `detail` says what to do, in words that may."""

    def __init__(self, status: int, code: str, detail: str, *, field: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.headers = dict(headers or {})

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"type": "about:blank", "title": self.code.replace("_", " "), "status": self.status}
        body |= {"code": self.code, "detail": _writable(self.detail)}
        return body | {"field": _writable(self.field)} if self.field else body


def _writable(text: str) -> str:
    """Text that quotes what was sent, which may hold halves of pairs that UTF-8 doesn't know."""
    return text.encode(errors="backslashreplace").decode()


def invalid(error: EventError) -> Problem:
    """The problem of a request whose own field, not one of its events', can't be taken."""
    return Problem(422, "invalid_field", f"{error.field} {error.reason}", field=error.field)


def no_release(shop: str, refused: str = "") -> Problem:
    """shop : its slug.  refused : number of the active release, if there is one and it can't be loaded."""
    if refused:
        detail = f"Release {refused} of shop {shop} can't be loaded; the log says why. Roll back in the admin, or train again."
        return Problem(503, "release_unusable", detail, headers={"retry-after": "5"})
    detail = f"Shop {shop} has no active release yet. Train one (on the page Training, or manage.py train SHOP)."
    return Problem(503, "no_release", detail, headers={"retry-after": "5"})


def mixed_session(*, test: bool) -> Problem:
    """test : whether it is a test key that came to the session of another."""
    kinds = ("a live", "a test key") if test else ("a test", "a live key")
    detail = f"This session was begun by {kinds[0]} key, and {kinds[1]} can't go on with it: choose another session_id."
    return Problem(409, "mixed_session", detail, field="session_id")


def session_full() -> Problem:
    detail = "This session has counted as many events as one may. Nothing of this request was kept; begin a new session."
    return Problem(422, "session_full", detail, field="session_id")


def busy() -> Problem:
    detail = "Other requests kept changing this session first. Nothing of this one was kept; send it again."
    return Problem(503, "session_busy", detail, headers={"retry-after": "1"})


def lacking(scope: str, scopes: Iterable[str]) -> Problem:
    """A credential that lacks the scope a call asks for. scopes : that it has."""
    detail = f"This key lacks the scope {scope!r}; it has {', '.join(sorted(scopes)) or 'none'}. The admin shows a key's scopes."
    return Problem(403, "missing_scope", detail)


def internal() -> Problem:
    return Problem(500, "internal", "Something failed here; it was logged.")


def storage_unavailable() -> Problem:
    detail = "The session store can't be reached or did not confirm the write. Send the same event ids again."
    return Problem(503, "storage_unavailable", detail, headers={"retry-after": "1"})
