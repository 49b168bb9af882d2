"""What would become of each draft of a shop, kept while nobody does anything that could change it.

A rehearsal does every draft and takes it back: some fifteen queries each, under the shop's lock. So a page of many drafts is sent
without it and asks for it after (`at_once`), and who looks next finds it kept.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

from django.core.cache import cache
from redis.exceptions import RedisError

from personas.models import Shop
from recommendations.drafts import drafting
from recommendations.drafts.drafting import Fate, Known, State
from recommendations.models import DraftEdit

logger = logging.getLogger(__name__)

KEPT_S = 300
"""Seconds: what a draft needs may also be changed by an import of the catalogue, which nothing here hears of."""

FEW = 15
"""Drafts that a page may rehearse before it is sent."""


def key(shop: Shop, drafts: Sequence[DraftEdit], known: Known) -> str:
    """In the cache: a list of [draft, state, told, touches]."""
    told = f"{shop.pk}:{[draft.pk for draft in drafts]}:{known}"
    return f"drafts:{hashlib.blake2b(told.encode(), digest_size=16).hexdigest()}"


def kept(shop: Shop, drafts: Sequence[DraftEdit], known: Known) -> list[Fate] | None:
    """What a rehearsal said of just these, None where none did lately."""
    try:
        rows = cache.get(key(shop, drafts, known))
    except RedisError:
        return None
    if rows is None:
        return None
    of = {draft.pk: draft for draft in drafts}
    return [Fate(of[pk], State(state), told, touches) for pk, state, told, touches in rows]


def at_once(shop: Shop, drafts: Sequence[DraftEdit], known: Known) -> list[Fate] | None:
    """What would become of all drafts of a shop, None where that would take a page too long."""
    found = kept(shop, drafts, known)
    return outcomes(shop, drafts, known) if found is None and len(drafts) <= FEW else found


def outcomes(shop: Shop, drafts: Sequence[DraftEdit], known: Known) -> list[Fate]:
    """What would become of all drafts of a shop, in their order, rehearsed where it isn't kept.

    known : what `drafting.known` said before the drafts were read.
    """
    found = kept(shop, drafts, known)
    if found is not None:
        return found
    found = drafting.look(shop, drafts)
    try:
        rows = [[fate.draft.pk, fate.state.value, fate.told, fate.touches] for fate in found]
        cache.set(key(shop, drafts, known), rows, KEPT_S)
    except RedisError:
        logger.warning("what would become of the drafts of shop %s isn't kept: Redis is away", shop.pk)
    return found
