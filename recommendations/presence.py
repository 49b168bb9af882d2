"""Who has the same thing open to edit: in Redis, renewed by the page while it is open, forgotten soon after."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from redis.exceptions import RedisError

from personas.models import moment
from recommendations import releases

KEPT_S = 30
"""Seconds without a sign after which somebody is taken to have left; pages give one every ten."""

SUBJECTS = {
    "cluster": "clusters.change_itemcluster",
    "rule": "recommendations.change_merchandisingrule",
    "archetype": "personas.change_archetype",
    "attribute": "personas.change_attribute",
    "adaptation": "recommendations.change_adaptationsettings",
    "clustersettings": "clusters.change_clustersettings",
}
"""What may be edited, as its name and its id say it ("rule-12"), and the right that editing it takes."""

_SUBJECT = re.compile(r"([a-z]+)-([0-9]{1,18})")


def key(subject: str) -> str:
    """Redis hash: key of a user -> JSON {"name", "since", "till"}, seconds since the epoch."""
    return f"editing:{subject}"


def here(subject: str, user: Any) -> list[tuple[str, float]]:
    """Say that somebody has it open; (name, since when) of the others who have, the longest first. [] where Redis is away."""
    now = time.time()
    try:
        client = releases.redis_client()
        held = {int(pk): json.loads(told) for pk, told in client.hgetall(key(subject)).items()}
        mine = held.get(user.pk)
        since = mine["since"] if mine and mine["till"] > now else now
        entry = json.dumps({"name": user.get_username(), "since": since, "till": now + KEPT_S})
        with client.pipeline(transaction=False) as pipe:
            pipe.hset(key(subject), str(user.pk), entry)
            if gone := [str(pk) for pk, told in held.items() if told["till"] <= now and pk != user.pk]:
                pipe.hdel(key(subject), *gone)
            pipe.expire(key(subject), 2 * KEPT_S)
            pipe.execute()
    except RedisError:
        return []
    others = [(told["name"], told["since"]) for pk, told in held.items() if pk != user.pk and told["till"] > now]
    return sorted(others, key=lambda other: other[1])


def sentence(others: list[tuple[str, float]]) -> str:
    """ "anna is editing this too, since 14:03", "" for nobody."""
    if not others:
        return ""
    clock = [(name, f"{timezone.localtime(moment(since)):%H:%M}") for name, since in others]
    names = " and ".join(name for name, _ in clock)
    times = " and ".join(at for _, at in clock)
    return f"{names} {'is' if len(clock) == 1 else 'are'} editing this too, since {times}."


def view(request: HttpRequest) -> HttpResponse:
    """?what=rule-12 : a sign of the page, answered with who else has it open, {"said"}."""
    found = _SUBJECT.fullmatch(request.GET.get("what", ""))
    right = SUBJECTS.get(found[1]) if found else None
    if not any(request.user.has_perm(each) for each in ([right] if right else SUBJECTS.values())):
        raise PermissionDenied
    if found is None or right is None:
        return JsonResponse({"said": ""})
    response = JsonResponse({"said": sentence(here(found[0], request.user))})
    response["Cache-Control"] = "no-store"
    return response
