"""What can go wrong, by kind. `code` is the server's and never changes; `detail` is for people."""

from __future__ import annotations

from collections.abc import Mapping

import httpx


class PersonaError(Exception):
    """status : of the answer, 0 without one. field : at fault, "" if none. retry_after : seconds, if the server said so."""

    def __init__(self, code: str, detail: str, *, status: int = 0, field: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.field = field
        self.retry_after = retry_after


class Invalid(PersonaError):
    """What was sent can't be taken; `field` says what of it."""


class Unauthorised(PersonaError):
    """The key is unknown, revoked or has ended."""


class Forbidden(PersonaError):
    """The key may not do this."""


class NotFound(PersonaError):
    """There is no such row in the key's shop."""


class Conflict(PersonaError):
    """Something stands in the way; `detail` says what."""


class RateLimited(PersonaError):
    """Too many requests, also after the retries."""


class Unavailable(PersonaError):
    """The server failed or could not answer now, also after the retries."""


class Unreachable(PersonaError):
    """Nobody answered, also after the retries."""


_KINDS: Mapping[int, type[PersonaError]] = {
    401: Unauthorised, 403: Forbidden, 404: NotFound, 409: Conflict, 412: Conflict, 429: RateLimited,
}  # fmt: skip


def error_of(response: httpx.Response) -> PersonaError:
    """The error that an answer of 400 or above tells."""
    try:
        told = response.json()
    except ValueError:
        told = None
    body: dict[str, object] = told if isinstance(told, dict) else {}
    kind = _KINDS.get(response.status_code, Unavailable if response.status_code >= 500 else Invalid)
    code = str(body.get("code") or f"http_{response.status_code}")
    detail = str(body.get("detail") or response.reason_phrase or code)
    try:
        retry_after = float(response.headers["retry-after"])
    except (KeyError, ValueError):
        retry_after = None
    return kind(code, detail, status=response.status_code, field=str(body.get("field") or ""), retry_after=retry_after)
