"""What a form of the cluster pages asks for, as verbs with their values: done at once, kept as a draft, or only previewed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from clusters.editing import Actor
from clusters.models import ClusterChange
from personas.models import Shop
from recommendations.drafts.verbs import do_cluster
from recommendations.models import DraftEdit


class Wanted(NamedTuple):
    """One edit. verb, values : as `recommendations.drafts.verbs` says.  subject : id of the cluster, None to make one."""

    verb: str
    subject: int | None
    values: dict[str, Any]


Plan = Callable[[], Sequence[Wanted]]
"""What a form asks for, by the rows as they are; to be called within the shop's lock. Raises EditError."""


def as_draft(shop: Shop, wanted: Wanted, *, user: Any, reason: str = "") -> DraftEdit:
    """Unsaved."""
    verb, subject, values = wanted
    return DraftEdit(
        shop=shop, kind=DraftEdit.Kind.CLUSTER, subject=subject, verb=verb, values=values, reason=reason.strip(), by=user
    )


def carry_out(shop: Shop, wanted: Sequence[Wanted], *, by: Actor, reason: str = "") -> list[ClusterChange]:
    """Do them, in their order, within the shop's lock. Raises EditError."""
    return [change for one in wanted for change in do_cluster(as_draft(shop, one, user=by.user, reason=reason), shop, by)]
