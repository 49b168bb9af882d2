"""What is known of a returning shopper before their first event: how good a slate it makes.

Protocol. The engine is trained on the sessions before a moment; each later session of a shopper who had bought before is
asked for its first slate, of 20 items, with no event seen. Relevant are the distinct items that the session then bought, of
those that training has seen; a session without one is left out. Nothing of the session itself, nor of anything after its
start, is used: purchase history, memory and the shopper's own favourites hold what came before it alone.

The slate is the engine's own (`engine.start`, `engine.recommend`), without exploration, from a state that knows

- "guest": the clock and the session's context;  "demographics", "history", "memory", "reminders" (items wanted before): each
  of them as well;  "all": all.  "guest_without_persona", "all_without_persona": as much, by an engine whose personas say
  nothing; the first is the shop's prior without evidence.

Beside it stand the popularity of the training sessions and the shopper's own most bought items, the latest first among equals,
filled up by popularity ("own"). NDCG@20 with binary relevance (Järvelin & Kekäläinen 2002), and of the session's first item
HitRate@20 and the mean of 1 / its place; intervals over shoppers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from clusters.catalogue import Catalogue
from personas import memory
from personas import profile as personas
from personas.events import CODE, NAMES, Event
from personas.history import Purchase, purchase_evidence
from personas.memory import Remembered
from personas.sessions import NO_ITEM, SessionLog
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.evaluation.ablations import without
from recommendations.evaluation.personas.beliefs import Reader
from recommendations.evaluation.personas.statistics import Interval, resample
from recommendations.ranking.reminders import WANTED_CODES, Wanted
from recommendations.session import Request

CUT = 20
SHOP = 1
GUEST = "guest"
REMINDERS = "reminders"
ALL = "all"
WITHOUT = "_without_persona"
MEASURES = ("ndcg20", "first_hr20", "first_mrr20")
_PURCHASE = CODE["purchase"]


class NothingToAsk(ValueError):
    """No later session is of a shopper who could be known, with the reason."""


def ndcg(slate: Sequence[int], relevant: frozenset[int], *, cut: int = CUT) -> float:
    """Normalised discounted cumulative gain, 0 to 1, of the first `cut` of a slate; relevance is binary."""
    gain = sum(1.0 / np.log2(place + 2.0) for place, item in enumerate(slate[:cut]) if item in relevant)
    best = sum(1.0 / np.log2(place + 2.0) for place in range(min(cut, len(relevant))))
    return float(gain / best) if best else 0.0


@dataclass
class Known:
    """What is known of a shopper so far. bought : (visit, position) as it came.  sessions : those remembered."""

    bought: list[Purchase]
    sessions: list[Remembered]
    wanted: Wanted = field(default_factory=Wanted)

    def reminders(self, engine: Engine) -> list[int]:
        """Ids of what the shopper may want again, as serving gives them to `engine.start`."""
        return [int(engine.catalogue.item_ids[position]) for position in self.wanted.first()]

    def favourites(self, popular: Sequence[int], cut: int = CUT) -> list[int]:
        """Own items, most bought first, the latest first among equals; then the popular ones."""
        counts, latest = Counter(p.position for p in self.bought), {p.position: i for i, p in enumerate(self.bought)}
        own = sorted(counts, key=lambda position: (-counts[position], -latest[position]))[:cut]
        return [*own, *(p for p in popular[: 2 * cut] if p not in counts)][:cut]

    def earlier(self, engine: Engine, *, now: float) -> tuple[float, ...] | None:
        """What earlier sessions tell of this one, as serving gives it to `engine.start`."""
        held = memory.latest(self.sessions)
        worth = memory.strength(sum(memory.weight(s, now=now) for s in held))
        shares = {archetype: worth * share for archetype, share in memory.blend(held, now=now).items()}
        return memory.earlier(shares, engine.personas.ids, np.exp(engine.personas.hmm.log_initial))

    def take(self, engine: Engine, log: SessionLog, s: int, *, visit: int, evidence: Mapping[str, str]) -> None:
        """Remember session `s` of the log. visit : its number.  evidence : what was known when it began."""
        rows = range(int(log.offsets[s]), int(log.offsets[s + 1]))
        self.wanted.add([int(log.position[r]) for r in rows if log.code[r] in WANTED_CODES and log.position[r] != NO_ITEM])
        at = float(log.at[rows.start])
        state = personas.start(
            engine.personas, evidence={**loop.clock_evidence(at), **evidence}, at=at, earlier=self.earlier(engine, now=at)
        )
        reader = Reader(engine.catalogue, at)
        for row in rows:
            event = _event(engine.catalogue, log, row)
            state = personas.update(engine.personas, state, reader.signal(event))
            if log.code[row] == _PURCHASE and log.position[row] != NO_ITEM:
                self.bought.append(Purchase(visit, int(log.position[row])))
        shares = dict(zip(state.archetypes, personas.shares(state), strict=True))
        self.sessions = memory.latest([*self.sessions, Remembered(state.last_at, state.steps, shares)])


@dataclass(frozen=True)
class Scored:
    """V first slates. ndcg : name -> (V,) NDCG@20.  place : name -> (V,) int, the first item's place from 1, 0 where it is
    not among 20.  shopper : (V,) ints, whose they are."""

    ndcg: dict[str, np.ndarray]
    place: dict[str, np.ndarray]
    shopper: np.ndarray

    def gain(self, measure: str, name: str) -> np.ndarray:
        """(V,) float64 of one of `MEASURES`. Raises KeyError on another."""
        place = self.place[name]
        if measure == "first_mrr20":
            return np.asarray(np.where(place > 0, 1.0 / np.maximum(place, 1), 0.0))
        return {"ndcg20": self.ndcg[name], "first_hr20": (place > 0).astype(np.float64)}[measure]


def first_slates(
    engine: Engine,
    trained: SessionLog,
    later: SessionLog,
    *,
    contexts: Mapping[str, Mapping[str, str]],
    demographics: Mapping[str, Mapping[str, str]] | None,
    at_most: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """Scores of first slates of returning shoppers.

    trained, later : sessions in the order of their start, positions of the engine's catalogue; `later` holds only items that
        `trained` has.  contexts : by session key.
    demographics : by shopper; only those of whom something is known are asked. None: there are none, and all are asked.
    at_most : sessions that are asked, drawn at random from those that could be.
    Raises NothingToAsk where no session could be asked.
    """
    customers = set(trained.users.tolist()) - {""}
    if demographics is not None:
        customers &= {user for user, told in demographics.items() if told}
    bought = {s: _bought(later, s) for s in range(len(later)) if later.users[s] in customers}
    relevant = {s: frozenset(items) for s, items in bought.items()}
    could = [s for s, items in relevant.items() if items]
    if not could:
        raise NothingToAsk("no later session that buys something is of a shopper whom training knows")
    asked = set(np.random.default_rng(seed).permutation(could)[:at_most].tolist())
    number = {user: i for i, user in enumerate(sorted({str(later.users[s]) for s in asked}))}
    known = {user: Known([], []) for user in number}
    popular = _popular(trained, len(engine.catalogue))
    plain = without(engine, "persona", trained)
    made: list[dict[str, list[int]]] = []
    visits: list[int] = []
    shoppers: list[int] = []
    todo = [(log, s) for log in (trained, later) for s in range(len(log)) if log.users[s] in number]
    for done, (log, s) in enumerate(todo):
        user, key, at = str(log.users[s]), str(log.keys[s]), float(log.starts[s])
        own, told, context = known[user], (demographics or {}).get(user, {}), contexts.get(key, {})
        past = purchase_evidence(own.bought, engine.personas.facts)
        if log is later and s in asked and own.bought:
            slates = {"popularity": popular, "own": own.favourites(popular)}
            for name, evidence, earlier in _ways(told, past, own.earlier(engine, now=at)):
                mind = {**context, **evidence}
                wanted = own.reminders(engine) if name in (REMINDERS, ALL) else ()
                slates[name] = first_slate(engine, key, at=at, context=mind, shopper=user, earlier=earlier, own=wanted)
                if name in (GUEST, ALL):
                    slates[name + WITHOUT] = first_slate(plain, key, at=at, context=mind, shopper=user, own=wanted)
            made.append(slates)
            visits.append(s)
            shoppers.append(number[user])
        own.take(engine, log, s, visit=done, evidence={**context, **told, **past})
        if progress and done % 200 == 0:
            progress(done, len(todo))
    if not shoppers:
        raise NothingToAsk("no shopper of a later session had bought before it")
    return scored_of(made, [bought[s] for s in visits], shoppers)


def scored_of(made: Sequence[Mapping[str, Sequence[int]]], wanted: Sequence[Sequence[int]], shoppers: Sequence[int]) -> Scored:
    """Scores of V visits' first slates. made : of each, name -> positions, the same names in all.  wanted : of each, what it
    then took, first item first.  shoppers : whose each is."""
    relevant = [frozenset(items) for items in wanted]
    first = [items[0] for items in wanted]
    return Scored(
        {name: np.array([ndcg(s[name], r) for s, r in zip(made, relevant, strict=True)]) for name in made[0]},
        {name: np.array([place_of(s[name], item) for s, item in zip(made, first, strict=True)]) for name in made[0]},
        np.array(shoppers),
    )


def place_of(slate: Sequence[int], item: int) -> int:
    """From 1; 0 where the item is not among the first `CUT`."""
    return next((place for place, shown in enumerate(slate[:CUT], 1) if shown == item), 0)


def gains(scored: Scored, measure: str = MEASURES[0], *, seed: int = 0) -> dict[str, Interval]:
    """Mean of each way by one of `MEASURES`, and paired differences: what "all" adds to "guest", to popularity and to "own",
    each kind of knowledge to "guest", and the personas to both; intervals over shoppers."""
    shoppers = int(scored.shopper.max()) + 1
    columns = {name: scored.gain(measure, name) for name in scored.ndcg}
    pairs = [(ALL, other) for other in (GUEST, "popularity", "own")]
    pairs += [(name, GUEST) for name in ("demographics", "history", "memory", REMINDERS)]
    pairs += [(name, name + WITHOUT) for name in (GUEST, ALL)]
    pairs += [(GUEST, "popularity"), (GUEST, "openers")]
    for one, other in pairs:
        if one in scored.ndcg and other in scored.ndcg:
            columns[f"{one}_less_{other}"] = columns[one] - columns[other]

    def mean(values: np.ndarray) -> Callable[[np.ndarray], float]:
        return lambda weights: float(weights[scored.shopper] @ values / max(weights[scored.shopper].sum(), 1e-12))

    return {name: resample(mean(values), shoppers, seed=seed) for name, values in columns.items()}


def _ways(
    told: Mapping[str, str], past: Mapping[str, str], earlier: tuple[float, ...] | None
) -> list[tuple[str, Mapping[str, str], tuple[float, ...] | None]]:
    ways: list[tuple[str, Mapping[str, str], tuple[float, ...] | None]] = [(GUEST, {}, None)]
    if told:
        ways.append(("demographics", told, None))
    return [*ways, ("history", past, None), ("memory", {}, earlier), (REMINDERS, {}, None), (ALL, {**told, **past}, earlier)]


def first_slate(
    engine: Engine,
    key: str,
    *,
    at: float,
    context: Mapping[str, str],
    shopper: str = "",
    earlier: tuple[float, ...] | None = None,
    own: Sequence[int] = (),
) -> list[int]:
    """Positions of the first slate of a session that is known by `key`, from what is known when it begins."""
    state = loop.start(engine, shop=SHOP, session=key, at=at, context=context, shopper=shopper, earlier=earlier, own=own)
    request = Request(now=at, count=CUT, allow_out_of_stock=True, explore=0.0)
    _, slate = loop.recommend(engine, state, request, loop.generator(state))
    return [engine.catalogue.position(entry.item) for entry in slate.items]


def _popular(log: SessionLog, n: int) -> list[int]:
    """The 2 * CUT items bought in most sessions, the lower position first among equals."""
    rows = (log.code == _PURCHASE) & (log.position != NO_ITEM)
    pairs = np.unique(np.stack((log.session_of[rows], log.position[rows])), axis=1)
    counts = np.bincount(pairs[1], minlength=n)
    popular: list[int] = np.argsort(-counts, kind="stable")[: 2 * CUT].tolist()
    return popular


def _bought(log: SessionLog, s: int) -> list[int]:
    rows = slice(int(log.offsets[s]), int(log.offsets[s + 1]))
    bought: list[int] = log.position[rows][(log.code[rows] == _PURCHASE) & (log.position[rows] != NO_ITEM)].tolist()
    return bought


def _event(catalogue: Catalogue, log: SessionLog, row: int) -> Event:
    position, at = int(log.position[row]), float(log.at[row])
    items = (int(catalogue.item_ids[position]),) if position != NO_ITEM else ()
    return Event(event_id=str(row), name=NAMES[int(log.code[row])], at=at, received_at=at, items=items)
