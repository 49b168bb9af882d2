"""`/healthz`: this process answers. `/readyz`: it can serve, and if not, why; and what is wrong with any one shop."""

from __future__ import annotations

import logging

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from personas.models import Shop
from recommendations.models import Release
from recommendations.releases import pointer
from recommendations.serving import process
from recsite.embedded import NO_RETRY

logger = logging.getLogger(__name__)
OK = "ok"
SHOP = "shop "


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": OK})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    checks = checked()
    shops = {name for name in checks if name.startswith(SHOP)}
    # One shop that can't be served (a new one, not yet trained) is no reason to take the others away.
    ready = all(checks[name] == OK for name in checks.keys() - shops) and any(checks[name] == OK for name in shops)
    return JsonResponse({"status": OK if ready else "unavailable", "checks": checks}, status=200 if ready else 503)


def checked() -> dict[str, str]:
    """Each thing that serving needs: "ok", or what is wrong. Details that could tell a stranger something go to the log."""
    checks = {"database": OK, "redis": OK}
    shops: dict[int, str] = {}
    active: dict[int, int] = {}
    try:
        connection.ensure_connection()
        shops = dict(Shop.objects.order_by("slug").values_list("pk", "slug"))
        active = dict(Release.objects.filter(state=Release.State.ACTIVE).values_list("shop_id", "number"))
    except DatabaseError as error:
        logger.warning("readyz: database: %s", error)
        checks["database"] = "can't be reached or has no tables"
    announced: list[bytes | None] = []
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2, retry=NO_RETRY) as client:
            client.ping()
            announced = client.mget([pointer(shop) for shop in shops]) if shops else []
    except redis.exceptions.RedisError as error:
        logger.warning("readyz: redis: %s", error)
        checks["redis"] = "can't be reached"
    if checks["database"] == OK and not shops:
        checks["shops"] = "none yet: run manage.py setup_demo, or create one in the admin"
    for place, (shop, slug) in enumerate(shops.items()):
        said = said_of_release(active.get(shop), announced[place] if announced else None, checks["redis"] == OK)
        checks[SHOP + slug] = said if said != OK else said_of_engine(shop)
    return checks


def said_of_release(active: int | None, announced: bytes | None, asked: bool) -> str:
    """active : number of the release the database calls active. announced : the one Redis tells the processes to serve."""
    if active is None:
        return "has no active release: run manage.py train"
    if asked and announced != str(active).encode():
        told = announced.decode() if announced else "none"
        return f"release {active} is active, but Redis announces {told}: activate it again"
    return OK


def said_of_engine(shop: int) -> str:
    """Whether this process, if it is one that serves shoppers, has taken up a release of the shop."""
    engines = process.engines_here()
    if engines is None or engines.get(shop) is not None:
        return OK
    refused = engines.refused(shop)
    if refused:
        return f"release {refused} can't be loaded: the log says why; roll back, or train again"
    return "its release is being loaded"
