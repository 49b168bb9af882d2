"""What the shop remembers of a visit, in the visitor's own browser: bag, wishes, what was looked at, the last order, a pause.

Each is a signed cookie of one shop that names the visit it is of: whoever goes on as somebody else starts with nothing.
Pages read and write them without a script.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.core import signing
from django.http import HttpRequest, HttpResponse

from personas.models import Shop

SESSION = "shop_session"
AGE_S = 12 * 3600

MAX_LINES = 50
"""Different goods in a bag, and wishes: a cookie holds some 4,000 characters."""

MAX_QUANTITY = 99
MAX_SEEN = 12

BAG, WISHES, SEEN, ORDER, PAUSED = "bag", "wishes", "seen", "order", "paused"
KINDS = (BAG, WISHES, SEEN, ORDER, PAUSED)
_SALT = "recommendations.kept"
_NEW = "shop.new_visit"


def session_of(request: HttpRequest) -> str | None:
    """The visitor's session id, None if the cookie is not one that we set."""
    try:
        return uuid.UUID(hex=request.COOKIES.get(SESSION, "")).hex
    except ValueError:
        return None


def visit_of(request: HttpRequest) -> str:
    """The visitor's session id; of one who has none yet, the id that this answer gives them."""
    session = session_of(request)
    if session is None:
        session = request.META.setdefault(_NEW, uuid.uuid4().hex)
    return session


def keep_session(request: HttpRequest, response: HttpResponse, session_id: str) -> None:
    _set(request, response, SESSION, session_id)


def read(request: HttpRequest, shop: Shop, kind: str) -> Any:
    """What was kept of this visit, None if nothing was, or if it is another visit's or not ours."""
    kept = request.COOKIES.get(_name(shop, kind), "")
    session = session_of(request)
    if not kept or session is None:
        return None
    try:
        said = signing.Signer(salt=_salt(shop, kind)).unsign_object(kept)
    except (signing.BadSignature, ValueError):
        return None
    return said["k"] if said["v"] == session else None


def keep(request: HttpRequest, response: HttpResponse, shop: Shop, session_id: str, kind: str, what: Any) -> None:
    """Have the response keep it; nothing (an empty list, None) takes the cookie away."""
    if not what:
        response.delete_cookie(_name(shop, kind), samesite="Lax")
        return
    signed = signing.Signer(salt=_salt(shop, kind)).sign_object({"v": session_id, "k": what}, compress=True)
    _set(request, response, _name(shop, kind), signed)


def bag_of(request: HttpRequest, shop: Shop) -> dict[int, int]:
    """Item's primary key -> pieces, in the order in which they came into the bag."""
    return {int(item): int(quantity) for item, quantity in read(request, shop, BAG) or ()}


def keep_bag(request: HttpRequest, response: HttpResponse, shop: Shop, session_id: str, bag: dict[int, int]) -> None:
    keep(request, response, shop, session_id, BAG, [[item, quantity] for item, quantity in bag.items()])


def items_of(request: HttpRequest, shop: Shop, kind: str) -> list[int]:
    """Primary keys of items kept as `WISHES` or `SEEN`, the latest first."""
    return [int(item) for item in read(request, shop, kind) or ()]


def _name(shop: Shop, kind: str) -> str:
    return f"shop_{kind}_{shop.pk}"


def _salt(shop: Shop, kind: str) -> str:
    return f"{_SALT}.{kind}.{shop.pk}"


def _set(request: HttpRequest, response: HttpResponse, name: str, value: str) -> None:
    response.set_cookie(name, value, max_age=AGE_S, samesite="Lax", httponly=True, secure=request.is_secure())
