"""The demo's log-in: a visitor may go on as one of a few shoppers whom the shop has seen before.

Only the server picks who is on offer, and signs what the browser carries, so nobody can be named who was not offered.
A page's session token then vouches for that shopper, as an integrator's own server would have it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.core import signing
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from redis.exceptions import RedisError

from personas import versions
from personas.archetypes import Archetype
from personas.models import Session, Shop, Shopper
from recommendations import releases
from recommendations.serving import memory

SALT = "recommendations.demo-shopper"
OFFERED = 4
LOOKED_THROUGH = 40
"""Shoppers of the most visits, among whom those on offer are picked: one for each persona, as far as it goes."""


@dataclass(frozen=True, slots=True)
class Known:
    """A shopper on offer. ticket : what a form sends back. persona : whom the earlier visits point to, None if not known yet."""

    external_id: str
    visits: int
    persona: Archetype | None
    ticket: str

    @property
    def name(self) -> str:
        return short_name(self.external_id)


def short_name(external_id: str) -> str:
    """What a page calls a shopper: the number at the end of a long id."""
    number = re.search(r"\d+\Z", external_id)
    return f"Shopper {number[0] if number else external_id}"


def on_offer(shop: Shop) -> list[Known]:
    """Up to `OFFERED` shoppers of several visits, of different personas where their memory tells. A worker is asked for
    the memory of those who have none yet."""
    rows = (
        Session.objects.filter(shop=shop, shopper__isnull=False)
        .values_list("shopper__external_id")
        .annotate(visits=Count("pk"))
        .filter(visits__gt=1)
        .order_by("-visits", "shopper__external_id")[:LOOKED_THROUGH]
    )
    visits = dict(rows)
    clearest: dict[int, tuple[float, str]] = {}
    pointed = _pointed(shop, list(visits))
    for external_id, (persona, share) in pointed.items():
        if persona not in clearest or share > clearest[persona][0]:
            clearest[persona] = (share, external_id)
    chosen = [external_id for _, external_id in sorted(clearest.values(), reverse=True)[:OFFERED]]
    chosen += [external_id for external_id in visits if external_id not in chosen][: OFFERED - len(chosen)]
    archetypes = versions.ever(shop)
    return [Known(i, visits[i], archetypes.get(pointed[i][0]) if i in pointed else None, _sign(shop, i)) for i in chosen]


def _pointed(shop: Shop, external_ids: list[str]) -> dict[str, tuple[int, float]]:
    """The archetype that each shopper's memory points to most, and its share; nothing of those without memory."""
    try:
        client = releases.redis_client()
        memories = {i: memory.read(shop.pk, i, client) for i in external_ids}
        memory.want(shop.pk, [i for i, held in memories.items() if held is None], client)
    except RedisError:
        return {}  # the page goes without
    personas = {i: held.personas for i, held in memories.items() if held is not None and held.personas}
    return {i: max(shares.items(), key=lambda pair: (pair[1], -pair[0])) for i, shares in personas.items()}


def _sign(shop: Shop, external_id: str) -> str:
    return signing.Signer(salt=SALT).sign_object({"s": shop.pk, "u": external_id})


def _read(shop: Shop, ticket: str) -> str:
    """The shopper's id in a ticket of this shop, "" if it is none of ours or they are no longer there."""
    try:
        said = signing.Signer(salt=SALT).unsign_object(ticket)
    except (signing.BadSignature, ValueError):
        return ""
    if said["s"] != shop.pk or not Shopper.objects.filter(shop=shop, external_id=said["u"]).exists():
        return ""
    return str(said["u"])


def cookie(shop: Shop) -> str:
    """The cookie's name, one for each shop: who one is in a shop says nothing of another's visit."""
    return f"shop_shopper_{shop.pk}"


def signed_in(request: HttpRequest, shop: Shop) -> str:
    """The shopper as whom the visitor goes on in this shop, "" for a guest."""
    ticket = request.COOKIES.get(cookie(shop), "")
    return _read(shop, ticket) if ticket else ""


def sign_in(request: HttpRequest, response: HttpResponse, shop: Shop, *, max_age: int) -> str:
    """Have the response keep the shopper whose ticket the form sent; their id. Raises Http404 on another's."""
    external_id = _read(shop, request.POST.get("shopper", ""))
    if not external_id:
        raise Http404("That shopper is not on offer here. Go back, load the page anew, and pick one of those shown.")
    ticket = _sign(shop, external_id)
    response.set_cookie(cookie(shop), ticket, max_age=max_age, samesite="Lax", httponly=True, secure=request.is_secure())
    return external_id


def sign_out(response: HttpResponse, shop: Shop) -> None:
    response.delete_cookie(cookie(shop), samesite="Lax")
