"""How far a session may move its clusters: the merchandiser's bounds, with defaults that hold without one."""

from __future__ import annotations

from dataclasses import dataclass

from clusters.policy import FLOOR


@dataclass(frozen=True)
class Bounds:
    """How far a session may move its clusters.

    adapts : whether sessions adapt at all; where they don't, engagement still says which clusters a session is in.
    decay : of the mass, an item action; 0.7 leaves a tenth after six actions, about one session's memory.
    primary : clusters with the most mass that count as primary.  One would call any second interest "outside".
    consistent_outside : run of outside engagements from which expansion may be chosen; one may be an accident.
    consistent_ignored : looks that a cluster must have had in vain before contraction may be chosen; people skim.
    floor : least chance of each option, for the logs to tell of other policies.
    most_decided : clusters decided on upon one event, the most ignored first; the others wait for the next.
    contract_by, drop_below, min_weight : a contraction multiplies the cluster's weight by `contract_by`; under `drop_below` it
        becomes `min_weight`, and 0 there drops the cluster. Weights never go below `min_weight`.
    contract_looks : looks more that its items count as passed over for by then: they lose more than the rest of the cluster.
    expand_to : weight of a cluster that was pulled in.  bring_by : multiplier of the odds of the items that come in with it.
    fade_by, ends_below : a look in vain at what came in leaves `fade_by` of an expansion, and so does an engagement elsewhere; it
        ends where less than `ends_below` is left. Engagement with the cluster that was pulled in makes it whole.
    targets, sizes : clusters that an expansion may choose among, the most related and then those that suit the personas best of
        the related ones; and how many of the target's best items come in, of several the agent chooses. Which target it is
        makes a difference, how many items hardly does, and each option more is drawn by chance as often as `floor` says.
    max_expanded, max_contracted, max_mass, max_passed, max_counters : sizes, which keep the state small.
    max_contracted_share : of a shop's clusters, or a small one would have nothing left to show.
    pass_by, drop_item_after : item multiplier for each look after the first, and looks after which it is out.
    margin_floor : least (price - cost) / price of what an expansion brings in, None for none; where it isn't known it's no bar.
    apart : pairs of categories that no expansion brings together.
    limits : (cluster id, least size, greatest size) of the clusters that have either, None for no bound. A contraction spares as
        many of a cluster's items as its least size says, an expansion brings no more than its greatest size leaves room for.
    """

    adapts: bool = True
    decay: float = 0.7
    primary: int = 3
    consistent_outside: int = 2
    consistent_ignored: int = 3
    floor: float = FLOOR
    most_decided: int = 3
    contract_by: float = 0.6
    drop_below: float = 0.2
    min_weight: float = 0.0
    contract_looks: int = 2
    expand_to: float = 1.5
    bring_by: float = 4.0
    fade_by: float = 0.3
    ends_below: float = 0.25
    targets: int = 4
    sizes: tuple[int, ...] = (18,)
    max_expanded: int = 6
    max_contracted: int = 12
    max_contracted_share: float = 0.5
    max_mass: int = 16
    max_passed: int = 40
    max_counters: int = 16
    pass_by: float = 0.7
    drop_item_after: int = 8
    margin_floor: float | None = None
    apart: tuple[tuple[str, str], ...] = ()
    limits: tuple[tuple[int, int | None, int | None], ...] = ()

    def may_contract(self, clusters: int) -> int:
        """How many of a shop's clusters a session may contract."""
        return min(self.max_contracted, int(self.max_contracted_share * clusters))
