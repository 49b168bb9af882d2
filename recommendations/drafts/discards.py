"""Drafts that are discarded, and brought back: both on record, for whoever discards may discard what others drafted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.contrib.auth import get_user_model

from clusters.cluster_drafts import EditConflict, editing
from personas.models import Shop
from recommendations import audit
from recommendations.drafts import drafting
from recommendations.models import DraftEdit


def discard(shop: Shop, *, only: Collection[int] | None = None, by: Any) -> list[dict[str, Any]]:
    """Take drafts away, of those that `by` may make, and put it on record; as `bring_back` takes them, in JSON."""
    with editing(shop):
        drafts = [d for d in drafting.drafts_of(shop) if (only is None or d.pk in only) and drafting.may(by, d.kind, d.verb)]
        for draft, words in drafting.told(drafts):
            _record(by, draft, audit.DELETED, f"Discarded{_whose(draft, by)}: {words}")
        DraftEdit.objects.filter(pk__in=[draft.pk for draft in drafts]).delete()
    return [{**{name: getattr(d, name) for name in _KEPT}, "at": d.at.isoformat(), "by_id": d.by_id} for d in drafts]


_KEPT = ("kind", "subject", "verb", "values", "reason", "base")


def bring_back(shop: Shop, discarded: Sequence[Mapping[str, Any]], *, by: Any) -> int:
    """Drafts that were discarded, as they were, at the end of the list; how many. Of somebody who is gone they are `by`'s.

    Raises EditConflict where there is no room for them.
    """
    with editing(shop):
        if DraftEdit.objects.filter(shop=shop).count() + len(discarded) > drafting.MOST_DRAFTS:
            raise EditConflict(
                "drafts", f"would be more than the {drafting.MOST_DRAFTS} that a shop may have: publish or discard some"
            )
        there = get_user_model().objects.in_bulk({row["by_id"] for row in discarded})
        rows = []
        for row in discarded:
            given = {**row, "at": dt.datetime.fromisoformat(row["at"])}
            given["by"] = there.get(given.pop("by_id"), by)
            rows.append(DraftEdit(shop=shop, **given))
        DraftEdit.objects.bulk_create(rows)
        for draft, words in drafting.told(rows):
            _record(by, draft, audit.MADE, f"Brought back{_whose(draft, by)}: {words}")
    return len(rows)


def _record(by: Any, draft: DraftEdit, action: str, words: str) -> None:
    audit.record(audit.person(by), action, shop=draft.shop_id, model=DraftEdit, named=(str(draft.pk), str(draft)), what=words)


def _whose(draft: DraftEdit, by: Any) -> str:
    return "" if draft.by_id == by.pk else f", a draft of {draft.by.get_username()}"
