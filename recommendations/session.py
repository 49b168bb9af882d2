"""Everything known of one session, what it may ask for, and what it is given: plain values, no arrays."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import repeat
from operator import attrgetter, call
from typing import Any, NamedTuple

from clusters.adaptation import AdaptedClusters
from personas.profile import PersonaState

MAX_TOUCHES = 30
"""Item events kept in the state; the experts read at most this many, and 30 hold 97.5 % of eshop_clothing_2008's
sessions whole, 99.6 % of serenade_bol's."""

MAX_PENDING = 6
"""Slates kept so that an impression report can be tied to what was served: two of each of a page's three rails."""


class Touch(NamedTuple):
    """An item event of the session, or an item's going out of the cart: item id, event code, event time in seconds, dwell in
    seconds (-1 unknown)."""

    item: int
    code: int
    at: float
    dwell_s: float


class Pending(NamedTuple):
    """A slate that was served: which items it held, by slot, and by which cluster each came (0: none)."""

    recommendation_id: str
    items: tuple[int, ...]
    clusters: tuple[int, ...]


class Membership(NamedTuple):
    """The experiment that a session is in, and in which arm, for good. unit : keyed hash of who was assigned, 32 characters.

    clusters : component version of the arm's own clusters, as they were at its last turn; "" for the release's.
    """

    experiment: int
    arm: str
    unit: str
    clusters: str = ""

    @property
    def logged(self) -> dict[str, Any]:
        """What the log keeps of it."""
        return {"experiment": self.experiment, "arm": self.arm, "unit": self.unit}


@dataclass(frozen=True, slots=True)
class SessionState:
    """State of one session after `version` steps, made under release `release`.

    seed : 64-bit, from shop and session id; with `version` it seeds every random draw.
    last_at : event time of the latest event that moved the belief, seconds.
    context : evidence given with the session (country, device, ...), by name.
    remembered : the names in `context` that come from the shopper's memory and not from this visit.
    earlier : archetype id -> share that earlier sessions of the shopper left, summing to at most 1; {} for a guest.
    own : at most `reminders.REMINDERS` ids of items that the shopper wanted on earlier visits, the most likely first.
    test : whether a test key began the session: nothing learns from it.
    """

    shop: int
    session: str
    seed: int
    release: str
    persona: PersonaState
    adapted: AdaptedClusters
    version: int = 0
    started_at: float = 0.0
    last_at: float = 0.0
    events: int = 0
    shopper: str = ""
    context: dict[str, str] = field(default_factory=dict)
    touches: tuple[Touch, ...] = ()
    pending: tuple[Pending, ...] = ()
    remembered: tuple[str, ...] = ()
    earlier: dict[int, float] = field(default_factory=dict)
    own: tuple[int, ...] = ()
    trial: Membership | None = None
    test: bool = False


_PLACE = {name: place for place, name in enumerate(SessionState.__slots__)}
_VALUES = attrgetter(*SessionState.__slots__)
_GIVE = [SessionState.__dict__[name].__set__ for name in SessionState.__slots__]


def moved(state: SessionState, **values: Any) -> SessionState:
    """`dataclasses.replace`, in half the time, which counts where every event and every slate makes a state.

    Raises KeyError for a name that no field has.
    """
    given = list(_VALUES(state))
    for name, value in values.items():
        given[_PLACE[name]] = value
    made = object.__new__(SessionState)
    deque(map(call, _GIVE, repeat(made), given), maxlen=0)
    return made


CONTEXTS = ("home", "similar", "complementary", "cart", "search")
"""Where a slate may stand: a page of its own; what is like an item, or goes with it, or with a cart; the results of a search."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a slate may hold. Within one attribute any of the values will do; attributes must all agree.

    categories : names, () for all.  price_min, price_max : in the shop's currency, None for no bound; an item without a price
        fails any bound.  attributes : kind ("brand", "colour", "tag", "price_tier") -> values.
    """

    categories: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()


NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of `recommend`.

    now : seconds since the epoch.  explore : share of slots given to exploration, 0 to 1.
    context : of `CONTEXTS`, or "evaluation".
    anchors : item ids that the slate stands beside: the page's item, the cart's items. () for those that the session has.
    found : of a search, (item id, score) best first: what is re-ranked, and nothing else is shown.
    exclude : item ids that must not appear.
    diversity : 0 for the ranking as it is, to 1; the share of its score that an item may lose for being like those above it.
    rules : whether merchandisers' rules act.
    reasons : whether each item is told why it is there, which costs as much as ranking; the items are the same without.
        Without, `SlateItem`'s `because`, `expert`, `reason` and `experts` say nothing.
    """

    now: float
    count: int = 12
    context: str = "home"
    anchors: tuple[int, ...] = ()
    found: tuple[tuple[int, float], ...] = ()
    filters: Filters = NO_FILTERS
    allow_seen: bool = True
    allow_current: bool = False
    allow_out_of_stock: bool = False
    explore: float = 0.05
    diversity: float = 0.0
    share_slots: bool = True
    rules: bool = True
    exclude: tuple[int, ...] = ()
    reasons: bool = True


def evaluation_request(now: float, count: int = 20, diversity: float = 0.0) -> Request:
    """The evaluation profile: repeats and the current item allowed; no exploration, rules, slot sharing or reasons."""
    return Request(
        now=now,
        count=count,
        context="evaluation",
        allow_current=True,
        allow_out_of_stock=True,
        explore=0.0,
        diversity=diversity,
        share_slots=False,
        rules=False,
        reasons=False,
    )


class SlateItem(NamedTuple):
    """One slot. `persona` and `cluster` are ids (0: none); `because` is the session's item that carried it (0: none).

    propensity : probability with which this item was put into this slot by the exploration rule.
    experts : expert -> share of the score, summing to 1.
    rules : ids of the merchandisers' rules that put the item where it is, (0 of them) for most.
    """

    item: int
    slot: int
    score: float
    propensity: float
    persona: int
    cluster: int
    because: int
    expert: str
    reason: str
    experts: dict[str, float]
    rules: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Slate:
    """A recommendation: its id is a function of session and state version, so a retry repeats it.

    overlay : version of the live overlay that it was made under.
    rules : ids of the rules that acted on it, those that only kept an item out too.
    notes : what the request asked for and could not have (`ranking.contexts`), such as items beside which to stand.
    trials : (id, mark, whether the visit goes without it) of each rule with a holdout that makes a difference to the slate.
    """

    recommendation_id: str
    context: str
    release: str
    items: tuple[SlateItem, ...]
    clusters: tuple[int, ...]
    overlay: int = 0
    rules: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    trials: tuple[tuple[int, str, bool], ...] = ()
