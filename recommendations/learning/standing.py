"""Which policy serves, as rows: what a release says is what `PolicyVersion` tells."""

from __future__ import annotations

from django.utils import timezone

from personas.models import Shop
from recommendations.learning.models import Experiment, PolicyVersion


def follow(shop: Shop, version: str, component: str) -> PolicyVersion:
    """The row of the policy that serves from now on, made where there is none; the one that served before is retired.

    Called in the transaction that activates a release, under the shop's lock.
    """
    State = PolicyVersion.State
    standing = PolicyVersion.objects.filter(shop=shop)
    # One live row a shop is a constraint: the other goes first.
    standing.filter(state=State.LIVE).exclude(version=version).update(state=State.RETIRED)
    row, _ = standing.get_or_create(version=version, defaults={"shop": shop, "component": component, "state": State.LIVE})
    if row.state != State.LIVE or row.component != component:
        row.state, row.component = State.LIVE, component
        row.decided_at = timezone.now()
        row.save(update_fields=["state", "component", "decided_at"])
    return row


def is_refused(shop: Shop, version: str) -> bool:
    """Whether somebody, or the gate, turned this policy down."""
    return PolicyVersion.objects.filter(shop=shop, version=version, state=PolicyVersion.State.REFUSED).exists()


def components_in_use(shop: Shop) -> set[tuple[str, str]]:
    """(kind, version) of components that no release may name, and yet are needed: policies on record, arms of experiments."""
    policies = PolicyVersion.objects.filter(shop=shop).values_list("component", flat=True)
    return {("policy", component) for component in policies} | in_experiments(shop)


def in_experiments(shop: Shop) -> set[tuple[str, str]]:
    """(kind, version) of components that experiments serve with, will, or did: an arm may be made live, and a slate of it
    explained, long after the experiment ended."""
    arms = Experiment.objects.filter(shop=shop).values_list("arms", flat=True)
    return {(kind, arm[kind]) for each in arms for arm in each for kind in ("policy", "clusters") if arm.get(kind)}
