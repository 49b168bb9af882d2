"""Requests from pages of other origins (CORS): which browsers may send what, and the headers that tell them so.

A page speaks with a session token, from an origin on its shop's list or one of ours. A key in a page is everybody's key, so that
it is refused wherever the page is not ours. References: Fetch Standard, "HTTP CORS protocol"; RFC 6454.
"""

from __future__ import annotations

from collections.abc import Iterable

from recommendations.serving.access import Principal
from recommendations.serving.problems import Problem
from recommendations.serving.shops import Shops, is_own

Headers = list[tuple[bytes, bytes]]

PREFLIGHT_S = 600
"""For so long a browser remembers what it may send."""

VARY = (b"vary", b"origin")
EXPOSED = (
    b"access-control-expose-headers",
    b"retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset, idempotent-replayed",
)
ALLOWED_HEADERS = b"authorization, content-type, content-encoding, idempotency-key"


def told(shops: Shops, origin: bytes, host: bytes) -> Headers:
    """What the answer tells the browser: its page may read it, or, without these, not. origin, host : as they came."""
    if shops.any_allows(origin.decode("latin-1"), host.decode("latin-1")):
        return [(b"access-control-allow-origin", origin), EXPOSED]
    return []


def preflight(shops: Shops, origin: bytes, host: bytes, methods: Iterable[str]) -> Headers:
    """What a browser is told that asks beforehand; nothing for origins that no shop has."""
    headers = told(shops, origin, host)
    if headers:
        headers += [
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-allow-headers", ALLOWED_HEADERS),
            (b"access-control-max-age", b"%d" % PREFLIGHT_S),
        ]
    return headers


def check(shops: Shops, who: Principal, origin: bytes, host: bytes) -> None:
    """Raises Problem 403 unless this credential may come from a page of this origin."""
    page, here = origin.decode("latin-1"), host.decode("latin-1")
    if not who.session:
        if not is_own(page, here):
            detail = (
                "API keys stay on servers: whoever sees a page has its key. Give the page a session token, and revoke this key."
            )
            raise Problem(403, "key_in_page", detail)
    elif not shops.origin_allowed(who.shop, page, here):
        detail = f"Pages of {page[:100]!r} may not call for this shop: add it to the shop's allowed origins in the admin."
        raise Problem(403, "foreign_origin", detail)
