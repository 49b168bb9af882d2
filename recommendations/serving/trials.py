"""Experiments as processes serve them: who is in which arm, and the arms' engines, which share all that doesn't differ.

Who is assigned is the shopper where the session knows them at its start, else the session: a keyed hash of them, with the
experiment's own salt, falls into an arm's share or beside all. A session stays in its arm, whoever logs in on the way; one that
was under way when the experiment began stays out of it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from clusters import adaptation
from clusters.item_clusters import ItemClusters
from clusters.policy import Policy
from personas.models import Shop
from recommendations import releases
from recommendations.engine import Engine
from recommendations.learning.models import Experiment
from recommendations.models import Release
from recommendations.overlay import with_arm
from recommendations.session import Membership, SessionState

logger = logging.getLogger(__name__)


class Arm(NamedTuple):
    """One way to serve. share : of the shoppers, 0 to 1.  policy, clusters : component versions, "" for the release's own.

    adapts : whether sessions adapt at all.
    """

    name: str
    share: float
    policy: str = ""
    clusters: str = ""
    adapts: bool = True

    @property
    def plain(self) -> bool:
        """Whether it is served as the shop is."""
        return not self.policy and not self.clusters and self.adapts


class Trial(NamedTuple):
    """A running experiment. number : its row's.  arms : the first is the control; their shares sum to 1 at most."""

    number: int
    salt: bytes
    arms: tuple[Arm, ...]


@dataclass(frozen=True)
class ServedTrial:
    """A trial with the engines of its arms. base : the shop's engine that they were made of; an arm that can't be is left out."""

    trial: Trial
    base: Engine
    engines: Mapping[str, Engine]

    def of(self, session: str, shopper: str, state: SessionState | None) -> Membership | None:
        """Where a session is: in the arm that it has been in, or, at its start, in the one that is drawn. None for outside."""
        if state is None:
            found = assign(self.trial, session, shopper)
        else:
            found = state.trial if state.trial is not None and state.trial.experiment == self.trial.number else None
        if found is None or found.arm not in self.engines:
            return None
        # An arm's clusters follow what is edited: a state that was made under others is brought in line with these.
        return found._replace(clusters=next(arm.clusters for arm in self.trial.arms if arm.name == found.arm))


def read_arms(told: Sequence[Mapping[str, Any]]) -> tuple[Arm, ...]:
    """`Experiment.arms` as plain values."""
    return tuple(
        Arm(str(a["name"]), float(a["share"]), str(a.get("policy", "")), str(a.get("clusters", "")), bool(a.get("adapts", True)))
        for a in told
    )


def assign(trial: Trial, session: str, shopper: str) -> Membership | None:
    """The arm that a session begins in, the same on every process; None beside all arms."""
    who = f"shopper:{shopper}" if shopper else f"session:{session}"
    unit = hashlib.blake2b(who.encode(), key=trial.salt, digest_size=16)
    drawn = int.from_bytes(unit.digest()[:8], "big") / 2.0**64
    upper = 0.0
    for arm in trial.arms:
        upper += arm.share
        if drawn < upper:
            return Membership(trial.number, arm.name, unit.hexdigest(), arm.clusters)
    return None


def running() -> dict[int, Trial]:
    """Shop id -> its running experiment, from the database."""
    rows = Experiment.objects.filter(state=Experiment.State.RUNNING).order_by().values_list("shop_id", "pk", "salt", "arms")
    return {shop: Trial(pk, salt.bytes, read_arms(arms)) for shop, pk, salt, arms in rows}


def arm_of(versions: Mapping[str, Any]) -> Arm | None:
    """The arm that a slate was served in, by `ServedSlate.versions`; None for none, or where the experiment is gone."""
    number, name = versions.get("experiment"), versions.get("arm")
    if not number:
        return None
    told = Experiment.objects.filter(pk=number).values_list("arms", flat=True).first()
    return next((arm for arm in read_arms(told or ()) if arm.name == name), None)


@lru_cache(maxsize=4)
def load_parts(shop_id: int, release: str, arm: Arm) -> tuple[Policy | None, ItemClusters | None]:
    """What an arm has in the place of the release's. Raises ReleaseError where it can't be read or fits another catalogue."""
    if not arm.policy and not arm.clusters:
        return None, None
    shop = Shop.objects.get(pk=shop_id)
    root = releases.root_of(shop)
    policy: Policy | None = releases.load_component(root, "policy", arm.policy) if arm.policy else None
    clusters: ItemClusters | None = None
    if arm.clusters:
        row = Release.objects.filter(shop=shop, number=int(release)).first()
        if row is None:
            raise releases.ReleaseError(f"release {release} of {shop.slug} isn't known")
        clusters = releases.load_component(root, "clusters", arm.clusters, catalogue=row.components["catalogue"])
    return policy, clusters


def arm_engine(base: Engine, arm: Arm, policy: Policy | None, clusters: ItemClusters | None) -> Engine:
    """The engine that serves an arm."""
    if arm.plain:
        return base
    bounds = base.bounds if arm.adapts else replace(base.bounds, adapts=False)
    return with_arm(base, policy=policy, clusters=clusters, bounds=bounds)


def taken_up(engine: Engine, state: SessionState, member: Membership | None) -> SessionState:
    """The state as of a session in this arm. One whose experiment has ended, or whose arm has other clusters by now, keeps what
    these know."""
    if state.trial == member:
        return state
    if state.trial is None:
        return replace(state, trial=member)
    return replace(state, trial=member, adapted=adaptation.rebase(None, engine.clusters, state.adapted))
