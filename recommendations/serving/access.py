"""Who may ask: API keys of shops' servers, and signed tokens that open one session to a page.

The hot path knows keys from the Redis hash `apikeys`, a copy of the database written through when a key is saved.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core import signing
from django.db.models.signals import post_delete, post_save
from redis.asyncio import Redis as AsyncRedis

from personas.models import ApiKey, hash_key
from recommendations.serving.copies import Copy
from recommendations.serving.problems import Problem, lacking
from recommendations.serving.throttling import limit_of_key, subject_of_key

KEYS = "apikeys"
CHANNEL = "apikeys"
"""Told of every change, so that processes forget what they remember at once."""

REMEMBER_S = 2.0
"""How long a process trusts what it last read of a key: the longest a revoked key works if the message is lost."""

REMEMBERED = 4_096
SALT = "recommendations.session-token"
TOKEN_SCOPES = frozenset({"ingest", "read"})
_CREDENTIAL = re.compile(r"(bearer|basic) +(\S+)", re.IGNORECASE)
_MAX_BEARER = 1_024


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. session : the only session it may touch, "" for any session of its shop.

    shopper : the one shopper that a session token vouches for, "" for none; API keys may name any.
    expires : seconds since the epoch.
    test : whether what it sends is a test.  simulated : whether a simulated visitor sends it.
    subject, limit : whose requests are counted together; of them a second, 0 for any.
    key : number of the API key, 0 for none.
    """

    shop: int
    scopes: frozenset[str]
    session: str = ""
    expires: float = math.inf
    shopper: str = ""
    test: bool = False
    simulated: bool = False
    subject: str = ""
    limit: float = 0.0
    key: int = 0

    def require(self, scope: str, session: str = "") -> None:
        """Raises Problem unless the scope is granted and the session, if one is named, is this principal's."""
        if scope not in self.scopes:
            raise lacking(scope, self.scopes)
        if self.session and session and not hmac.compare_digest(self.session.encode(), session.encode()):
            raise Problem(403, "foreign_session", "This token opens another session, not the one named.")

    def shopper_of(self, named: str) -> str:
        """The shopper of a request that names `named`. A page's token is in the visitor's hands: it may name nobody but the
        shopper whom the shop's server put into it, or anyone could look into another's memory. Raises Problem.
        """
        if not self.session:
            return named
        if named and not hmac.compare_digest(self.shopper.encode(), named.encode()):
            detail = "This token doesn't vouch for that shopper: the shop's server names `shopper_id` when it asks for a token."
            raise Problem(403, "foreign_shopper", detail)
        return self.shopper


def issue_session_token(
    shop_id: int,
    session_id: str,
    *,
    ttl_s: int | None = None,
    now: float | None = None,
    shopper: str = "",
    test: bool = False,
    simulated: bool = False,
) -> str:
    """A token that opens this session of this shop, to post its events and read its profile and slates.

    shopper : id of the shopper who is logged in, as the shop's own server knows it.  test : whether the session is one.
    simulated : whether the visitor is, whose session then is marked as such.
    """
    issued = time.time() if now is None else now
    expires = int(issued + (settings.SESSION_TOKEN_TTL_S if ttl_s is None else ttl_s))
    claims: dict[str, Any] = {"s": shop_id, "i": session_id, "e": expires}
    claims |= ({"u": shopper} if shopper else {}) | ({"t": 1} if test else {}) | ({"o": "simulated"} if simulated else {})
    return signing.Signer(salt=SALT).sign_object(claims)


def read_session_token(token: str, *, now: float) -> Principal:
    """Raises Problem on a token that is forged, damaged or expired. The signature is compared in constant time."""
    try:
        claims = signing.Signer(salt=SALT).unsign_object(token)
        shop, session = int(claims["s"]), str(claims["i"])
        principal = Principal(
            shop,
            TOKEN_SCOPES,
            session,
            float(claims["e"]),
            shopper=str(claims.get("u", "")),
            test=bool(claims.get("t")),
            simulated=claims.get("o") == "simulated",
            subject=f"session:{shop}:{session}",
            limit=float(settings.THROTTLE_TOKEN_PER_S),
        )
    except (signing.BadSignature, ValueError, KeyError, TypeError) as error:
        raise Problem(401, "invalid_token", "The session token is not one of ours, or was changed.") from error
    if now >= principal.expires:
        raise Problem(401, "expired_token", "The session token has expired; ask for a new one.")
    return principal


class Keys:
    """Bearer credentials to principals, with a short memory.

    clock : seconds, monotonic; given so that tests can move it.
    """

    def __init__(self, client: AsyncRedis, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Principal | None]] = OrderedDict()
        self._digests: dict[str, str] = {}
        self._asked: dict[str, asyncio.Task[Principal | None]] = {}

    def forget(self) -> None:
        self._known.clear()
        self._digests.clear()
        self._asked.clear()  # an answer that is on its way may be of before

    def at_once(self, authorization: str) -> Principal | None:
        """Who a header names, if it is a key's that is still trusted from a while ago; None says nothing of it."""
        # Whole headers of valid keys are looked up by a hash that is seeded for each process: timing tells nothing of them.
        digest = self._digests.get(authorization)
        known = self._known.get(digest) if digest is not None else None
        return known[1] if known is not None and self._clock() - known[0] < REMEMBER_S else None

    async def principal(self, authorization: str, *, now: float) -> Principal:
        """Who an `Authorization` header names. now : seconds since the epoch. Raises Problem 401."""
        credential = credential_of(authorization)
        if ":" in credential:  # signed tokens hold one, keys never do
            return read_session_token(credential, now=now)
        digest = hash_key(credential)
        found = await self._look_up(digest)
        if found is None:
            detail = "The API key is unknown or was revoked."
            raise Problem(401, "invalid_key", detail, headers={"www-authenticate": "Bearer"})
        if len(self._digests) >= REMEMBERED:
            self._digests.clear()
        self._digests[authorization] = digest
        return found

    async def _look_up(self, digest: str) -> Principal | None:
        """The principal of a key's hash. Only hashes are compared, so timing tells nothing of a key."""
        known = self._known.get(digest)
        if known is not None and self._clock() - known[0] < REMEMBER_S:
            return known[1]
        asked = self._asked.get(digest)
        if asked is None:  # whoever needs the same key meanwhile waits for the same answer
            asked = self._asked[digest] = asyncio.create_task(self._read(digest))
            asked.add_done_callback(lambda task: self._answered(digest, task))
        return await asyncio.shield(asked)

    def _answered(self, digest: str, task: asyncio.Task[Principal | None]) -> None:
        if self._asked.get(digest) is not task:  # told to forget meanwhile: not to be remembered
            return
        del self._asked[digest]
        if task.cancelled() or task.exception() is not None:
            return
        self._known[digest] = (self._clock(), task.result())
        self._known.move_to_end(digest)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _read(self, digest: str) -> Principal | None:
        raw = await self._client.hget(KEYS, digest)
        if raw is None:
            return None
        row = json.loads(raw)
        return Principal(
            int(row["shop"]),
            frozenset(row["scopes"]),
            expires=float(row.get("expires", math.inf)),
            test=bool(row.get("test")),
            subject=subject_of_key(digest),
            limit=limit_of_key(row.get("rate")),
            key=int(row.get("key", 0)),
        )


def credential_of(authorization: str) -> str:
    """What a header holds: `Bearer KEY`, or, as Segment's libraries send their write key, `Basic` with the key as the user's
    name and no password. Raises Problem 401."""
    match = _CREDENTIAL.fullmatch(authorization.strip())
    detail = "Send `Authorization: Bearer KEY` with an API key of the shop or a session token."
    if match is not None and len(authorization) <= _MAX_BEARER:
        if match[1].lower() == "bearer":
            return match[2]
        detail = "`Basic` takes an API key as the user's name, without a password; a session token goes as `Bearer`."
        try:
            name, mark, password = base64.b64decode(match[2], validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name = mark = password = ""
        if name and mark and not password:
            return name
    raise Problem(401, "missing_credentials", detail, headers={"www-authenticate": "Bearer"})


def _row(key: ApiKey) -> str:
    row: dict[str, Any] = {"shop": key.shop_id, "scopes": key.scopes, "key": key.pk}
    if key.test:
        row["test"] = True
    if key.rate is not None:
        row["rate"] = key.rate
    if key.expires_at is not None:
        row["expires"] = key.expires_at.timestamp()
    return json.dumps(row)


def _live_rows() -> dict[str, str]:
    return {key.sha256: _row(key) for key in ApiKey.objects.live()}


_copy = Copy(KEYS, CHANNEL, _live_rows)
sync_keys = _copy.sync
"""Make the Redis copy equal to the database's live keys; their number."""


def write_through(sender: type[ApiKey], instance: ApiKey, *, signal: Any, **_: object) -> None:
    """Carry a saved, revoked or deleted key to Redis once the database has it for good."""
    _copy.carry(instance.sha256, None if signal is post_delete or instance.ended else _row(instance))


def connect_signals() -> None:
    """Called once when the app is ready."""
    post_save.connect(write_through, sender=ApiKey, dispatch_uid="apikey-saved")
    post_delete.connect(write_through, sender=ApiKey, dispatch_uid="apikey-deleted")
