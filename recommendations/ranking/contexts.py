"""Where a slate stands, and what that asks of the ranking: what it stands beside, what may appear, and how much it weighs.

Every context goes through the same `rank`: it names a *pool* of items, with what each adds to its log-odds there, and the
session and its personas order what is in it. Beside an item there stand things of its kind (`likeness`), or things that go
with it (`companions`); among a search's results only what was found, by relevance first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from clusters.alignment import Selection
from clusters.catalogue import MISSING, Catalogue
from personas.events import CODE
from personas.sessions import NO_ITEM
from recommendations.parts import Engine
from recommendations.ranking.companions import together
from recommendations.ranking.filters import Passed
from recommendations.ranking.history import History
from recommendations.ranking.opening import taste
from recommendations.ranking.ranker import Pool, Ranked
from recommendations.session import Request, SessionState

BESIDE_ITEMS = frozenset({"similar", "complementary", "cart"})
"""Contexts that need an item to stand beside."""

MOST_ANCHORS = 10
"""Items of a cart that speak for what goes with it, the latest ones; none that it holds is shown."""

LIKE = 8.0
"""Log-odds between an item that is like another in everything and one that is in nothing: in one category, a third of it. The
session's own say ranges over about as much."""

GOES = 2.0
"""How far the log of how much things go together counts; `LEAST_GOES` is as little as it can be of the most, in log-odds."""

LEAST_GOES = -8.0

TASTE = 0.5
"""How far the personas' own tables count for the items of a pool, where the session's items speak too: what shoppers look at
has told the belief, so that the two overlap. Before the first item they count in full, in the opening."""

LENT = 0.5
"""What companions of an item like the anchor count, where the anchor has few of its own."""

FEW = 10
KIN = 8

SAME_KIND = 0.05
"""What goes with something in a cart counts so much if the cart has one of its kind already: it comes after other kinds, for
the session's own say is of what is looked at next, which is mostly of one kind."""

LEAST_LIKELY = -12.0
"""Log-odds of what fills a place up: below all that belongs there, and ordered among itself."""

WHOLE = 400
"""Items that a filter leaves up to which all are ranked; of more, the best of the selected clusters and of all."""

FROM_CLUSTERS = 150
FROM_ALL = 150

BLOCK = 1024
"""Of what may fill a slate up, so many are looked at first."""

LIFT = 1.5
"""A search's result is clearly more relevant than another from this many times its score on: it then stays before it."""

PLACES = 12.0
"""Where a caller knows the order and no scores, the relevance of place i (from 0) is 1 / (1 + i / PLACES)."""

NO_ANCHORS = "no_anchors"
"""Note of a slate that should have stood beside items and knows none of them: it is what "home" would show."""

NO_COMPANIONS = "no_companions"
"""Note of a slate for which nothing is known to go with its anchors: popular things of other kinds."""

UNKNOWN_FILTER = "unknown_filter"
"""Start of the note about a filter's value that no item has, "unknown_filter:colour=blu"."""

NOT_ENOUGH = "filled_up"
"""Note of a slate with fewer items of the context's own than asked for: what else may appear there fills it up."""


class Cause(NamedTuple):
    """Why an item is in a pool: the anchor's position, and how, in words with a place for its title."""

    anchor: int
    phrase: str


@dataclass(frozen=True)
class Context:
    """What a request's place asks of the ranking.

    pool : None where all of the catalogue is open.  allowed : (n,) bool by the request's filters, None for all.
    exclude : positions that the slate stands beside.  relevance : position -> relevance above 0, of a search.
    causes : of the pool's items, for the words.  goes_with : position -> the cart's item that it goes with most, of kinds that
    the cart lacks; None outside a cart of several.
    opens_among : (m,) positions for a session without an item, None for the shop's.
    explores : whether slots may explore.  shares : whether they are shared between personas.
    """

    pool: Pool | None = None
    allowed: np.ndarray | None = None
    exclude: tuple[int, ...] = ()
    relevance: Mapping[int, float] | None = None
    causes: Mapping[int, Cause] | None = None
    goes_with: Mapping[int, int] | None = None
    opens_among: np.ndarray | None = None
    explores: bool = True
    shares: bool = True
    notes: tuple[str, ...] = ()

    def may_hold(self, positions: np.ndarray) -> np.ndarray:
        """(m,) bool, which of the items at m positions may appear, ranked or not: they pass the filters; a search found them."""
        passes = np.ones(len(positions), dtype=bool) if self.allowed is None else self.allowed[positions]
        if self.relevance is None:
            return passes
        return passes & np.fromiter((p in self.relevance for p in positions.tolist()), dtype=bool, count=len(positions))


OPEN = Context()
"""A page of its own, unfiltered."""


def anchors_of(catalogue: Catalogue, state: SessionState, request: Request) -> tuple[int, ...]:
    """Positions that the slate stands beside, each once, the latest last; () in other contexts and for none known.

    By default the item that the session touched last, or what it holds in its cart.
    """
    if request.context not in BESIDE_ITEMS:
        return ()
    named = request.anchors or (cart_of(state) if request.context == "cart" else _latest(state))
    return tuple([p for p in catalogue.positions(dict.fromkeys(named)).tolist() if p != NO_ITEM])


def cart_of(state: SessionState) -> tuple[int, ...]:
    """Ids of what the session put into its cart and neither took out nor bought since, as far back as its touches go."""
    held: dict[int, None] = {}
    for touch in state.touches:
        if touch.code == _ADDED:
            held[touch.item] = None
        elif touch.code in _LEFT:
            held.pop(touch.item, None)
    return tuple(held)


def _latest(state: SessionState) -> tuple[int, ...]:
    return (state.touches[-1].item,) if state.touches else ()


def beside(history: History, anchors: Sequence[int], request: Request) -> History:
    """The history to rank with: on an item's page that item is the latest; a session without one is its anchors."""
    if not anchors or (len(history) and (request.context == "cart" or history.positions[-1] == anchors[-1])):
        return history
    more = list(anchors[-MOST_ANCHORS:]) if not len(history) else [anchors[-1]]
    code = _ADDED if request.context == "cart" else _LOOKED
    return History(
        positions=np.concatenate((history.positions, np.array(more, dtype=np.intp))),
        codes=np.concatenate((history.codes, np.full(len(more), code, dtype=np.int8))),
        at=np.concatenate((history.at, np.full(len(more), max(request.now, *history.at.tolist()[-1:], -math.inf)))),
        dwell_s=np.concatenate((history.dwell_s, np.full(len(more), np.nan, dtype=np.float32))),
        now=history.now,
    )


def prepare(
    engine: Engine,
    request: Request,
    *,
    anchors: Sequence[int],
    belief: np.ndarray,
    selection: Selection,
    h: np.ndarray,
    opened: bool,
    may: Callable[[np.ndarray], np.ndarray],
) -> Context:
    """What the request's place asks of the ranking.

    anchors : by `anchors_of`.  belief : (K,).  h : (d,) the session's vector.  opened : whether there is an item in the history.
    may : (m,) positions -> (m,) bool, which of them the request and its rules let appear.
    """
    passed = engine.sieve.passed(request.filters)
    notes = tuple(f"{UNKNOWN_FILTER}:{name}" for name in passed.unknown) if passed is not None else ()
    if request.context == "search":
        place = _among_found(engine, request)
    elif request.context in BESIDE_ITEMS and anchors:
        place = _like(engine, anchors) if request.context == "similar" else _going_with(engine, anchors, request)
        place = _without_variants(engine.catalogue, place, anchors)
        place = _enough(engine, place, passed, may, request.count)
    else:
        place = OPEN if request.context not in BESIDE_ITEMS else replace(OPEN, notes=(NO_ANCHORS,))
        if passed is not None:
            place = replace(place, pool=_within(engine, passed, selection, h, opened=opened))
    if passed is not None:
        place = replace(place, allowed=passed.mask)
    pool = place.pool
    if pool is not None:
        if opened:
            told = TASTE * taste(engine.shelves, belief, pool.positions)
            pool = pool._replace(log_weight=(pool.log_weight + told).astype(np.float32))
        place = replace(place, pool=pool, opens_among=None if opened else pool.positions)
    return replace(place, notes=(*notes, *place.notes)) if notes else place


def settle(place: Context, ranked: Ranked, given: np.ndarray | None) -> Ranked:
    """The ranking as the context has it: a search's by relevance, moved by at most `LIFT`.

    given : (m,) what merchandisers' rules added to the scores, which counts in full; None for nothing.
    """
    if place.relevance is None or not len(ranked.positions):
        return ranked
    relevance = np.log([place.relevance[position] for position in ranked.positions.tolist()])
    own = ranked.scores.astype(np.float64) - (0.0 if given is None else given)
    spread = max(float(own.std()), 1e-6)
    scores = relevance + math.log(LIFT) / (1.0 + np.exp(-(own - own.mean()) / spread)) + (0.0 if given is None else given)
    order = np.argsort(-scores, kind="stable")
    return replace(
        ranked,
        positions=ranked.positions[order],
        scores=scores[order].astype(np.float32),
        columns=ranked.columns[order],
    )


def level(place: Context, ranked: Ranked, given: np.ndarray | None, *, keep: int) -> tuple[Context, Ranked]:
    """A cart's ranking in which each of its items has a say, cut to `keep`; and the context, whose pool then tells so.

    The session's own say is of what comes after its latest item, whose companions alone would fill the slate. So of each item's
    companions the one that the session says most of is lifted to the most it says of any, their seconds to the most of a second,
    and so on: each item's are then told of alike, in their own order, and how much things go together tells them apart.
    given : (m,) what merchandisers' rules added to the scores; None for nothing.
    """
    assert place.pool is not None
    assert place.goes_with is not None
    weight = dict(zip(place.pool.positions.tolist(), place.pool.log_weight.tolist(), strict=True))
    positions = ranked.positions.tolist()
    said = ranked.scores - np.array([weight[p] for p in positions], dtype=np.float32) - (0.0 if given is None else given)
    of_anchor: dict[int, list[int]] = {}
    for row in np.argsort(-said, kind="stable").tolist():
        if positions[row] in place.goes_with:
            of_anchor.setdefault(place.goes_with[positions[row]], []).append(row)
    lift = np.zeros(len(positions), dtype=np.float32)
    for rows in itertools.zip_longest(*of_anchor.values(), fillvalue=-1):
        alike = [row for row in rows if row >= 0]
        lift[alike] = said[alike].max() - said[alike]
    scores = ranked.scores + lift
    order = np.argsort(-scores, kind="stable")[:keep]
    lifted = dict(zip(positions, lift.tolist(), strict=True))
    told = place.pool.log_weight + np.array([lifted.get(p, 0.0) for p in place.pool.positions.tolist()], dtype=np.float32)
    levelled = replace(ranked, positions=ranked.positions[order], scores=scores[order], columns=ranked.columns[order])
    return replace(place, pool=place.pool._replace(log_weight=told)), levelled


def _without_variants(catalogue: Catalogue, place: Context, anchors: Sequence[int]) -> Context:
    """The context without other variants of what the slate stands beside: another size of a thing is no alternative to it."""
    variants = [v for anchor in anchors for v in catalogue.variants(anchor) if v not in anchors]
    if not variants or place.pool is None:
        return place
    positions, weight, only = place.pool
    assert catalogue.group is not None
    kept, groups = np.ones(len(positions), dtype=bool), catalogue.group[positions]
    for code in {catalogue.group.item(anchor) for anchor in anchors} - {0}:
        kept &= groups != code
    return replace(place, pool=Pool(positions[kept], weight[kept], only), exclude=(*place.exclude, *dict.fromkeys(variants)))


def _products(groups: np.ndarray, most: int) -> int:
    """How many products items are of, by their groups, counted no further than `most`."""
    seen: set[int] = set()
    alone = 0
    for code in groups.tolist():
        if code:
            seen.add(code)
        else:
            alone += 1
        if len(seen) + alone >= most:
            break
    return len(seen) + alone


def _like(engine: Engine, anchors: Sequence[int]) -> Context:
    best: dict[int, tuple[float, int]] = {}
    for anchor in anchors[-MOST_ANCHORS:]:
        like = engine.likeness.like(anchor)
        for position, likeness in zip(like.positions.tolist(), like.likeness.tolist(), strict=True):
            if likeness > best.get(position, (0.0, 0))[0]:
                best[position] = likeness, anchor
    positions = np.array([p for p in best if p not in anchors], dtype=np.intp)
    likeness = np.array([best[p][0] for p in positions.tolist()], dtype=np.float32)
    weight = LIKE * (likeness - likeness.max()) if len(likeness) else likeness
    causes = {p: Cause(best[p][1], "Like {title}") for p in positions.tolist()}
    return Context(pool=Pool(positions, weight, True), exclude=tuple(anchors), causes=causes)


def _going_with(engine: Engine, anchors: Sequence[int], request: Request) -> Context:
    companions, kinds = engine.companions, engine.catalogue.category
    heard = anchors[-MOST_ANCHORS:]
    speakers, weights, lent = list(heard), [1.0] * len(heard), dict(zip(heard, heard, strict=True))
    for anchor in heard:
        if companions.count(anchor) < FEW:
            like = engine.likeness.like(anchor)
            for kin, likeness in zip(like.positions[:KIN].tolist(), like.likeness[:KIN].tolist(), strict=True):
                if kin not in lent:
                    lent[kin] = anchor
                    speakers.append(kin)
                    weights.append(LENT * likeness)
    found = together(companions, speakers, weights)
    score = found.score.copy()
    rivals = _rivals(kinds, anchors, found.positions)
    if request.context == "cart":
        score[rivals] *= SAME_KIND
        kept = np.ones(len(score), dtype=bool)
    else:
        kept = ~rivals
    kept &= ~np.isin(found.positions, anchors)
    weight = np.maximum(GOES * np.log(score[kept] / max(float(score[kept].max(initial=0.0)), 1e-12)), LEAST_GOES)
    positions = found.positions[kept]
    causes = {}
    for position, speaker, wanted in zip(
        positions.tolist(), found.beside[kept].tolist(), found.wanted[kept].tolist(), strict=True
    ):
        own = speaker == lent[speaker]
        phrase = "Often chosen together with {title}" if wanted else "Often looked at together with {title}"
        causes[position] = Cause(lent[speaker], phrase if own else "Goes with things like {title}")
    goes_with = None
    if request.context == "cart" and len(heard) > 1:
        goes_with = {p: causes[p].anchor for p, rival in zip(positions.tolist(), rivals[kept].tolist(), strict=True) if not rival}
    return Context(
        pool=Pool(positions, weight.astype(np.float32), True),
        exclude=tuple(anchors),
        causes=causes,
        goes_with=goes_with,
        notes=() if len(positions) else (NO_COMPANIONS,),
    )


def _enough(
    engine: Engine, place: Context, passed: Passed | None, may: Callable[[np.ndarray], np.ndarray], count: int
) -> Context:
    """The context with what else may appear below its own, where those that may are fewer than asked for."""
    assert place.pool is not None
    positions, weight, only = place.pool
    fit = may(positions)
    if passed is not None:
        fit &= passed.mask[positions]
    group = engine.catalogue.group
    missing = count - (int(fit.sum()) if group is None else _products(group[positions[fit]], count))
    if missing <= 0:
        return place
    order = passed.best if passed is not None else engine.ranker.popularity.top
    kinds = engine.catalogue.category
    there = np.append(positions, np.array(place.exclude, dtype=np.intp))

    def new(block: np.ndarray) -> np.ndarray:
        return may(block) & ~np.isin(block, there)

    def other(block: np.ndarray) -> np.ndarray:
        return new(block) & ~_rivals(kinds, place.exclude, block)

    fill = _first(order, other, 4 * missing) if place.notes == (NO_COMPANIONS,) else order[:0]
    if not len(fill):
        fill = _first(order, new, 4 * missing)
    below = LEAST_LIKELY - np.arange(len(fill), dtype=np.float32) / max(len(fill), 1)
    pool = Pool(np.concatenate((positions, fill)), np.concatenate((weight, below)).astype(np.float32), only)
    return replace(place, pool=pool, notes=(*place.notes, NOT_ENOUGH) if len(fill) else place.notes)


def _first(order: np.ndarray, fits: Callable[[np.ndarray], np.ndarray], most: int) -> np.ndarray:
    """(<= most,) intp, the first positions that fit, read no further than it takes: `order` may hold all of the catalogue."""
    parts, held, start, size = [np.zeros(0, dtype=np.intp)], 0, 0, BLOCK
    while held < most and start < len(order):
        block = order[start : start + size].astype(np.intp)
        parts.append(block[fits(block)])
        held += len(parts[-1])
        start, size = start + size, 4 * size
    return np.concatenate(parts)[:most]


def _rivals(kinds: np.ndarray, anchors: Sequence[int], positions: np.ndarray) -> np.ndarray:
    """(x,) bool, which items are of a kind with one of the anchors."""
    own = np.unique(kinds[list(anchors)])
    return np.isin(kinds[positions], own[own != MISSING]) if len(np.unique(kinds)) > 1 else np.zeros(len(positions), dtype=bool)


def _among_found(engine: Engine, request: Request) -> Context:
    relevance: dict[int, float] = {}
    positions = engine.catalogue.positions([item for item, _ in request.found]).tolist()
    for place, (position, (_, score)) in enumerate(zip(positions, request.found, strict=True)):
        if position != NO_ITEM and position not in relevance:
            relevance[position] = score if score > 0.0 else 1.0 / (1.0 + place / PLACES)
    found = np.array(list(relevance), dtype=np.intp)
    pool = Pool(found, np.zeros(len(found), dtype=np.float32), True)
    # What somebody searched for comes by relevance: nobody's share of slots, and no trials, go before it.
    return Context(pool=pool, relevance=relevance, explores=False, shares=False)


def _within(engine: Engine, passed: Passed, selection: Selection, h: np.ndarray, *, opened: bool) -> Pool:
    """What a filter leaves, beside what the experts find of it: all of it, or the best of the selected clusters and of all."""
    best = passed.best.astype(np.intp)
    if len(best) > WHOLE:
        if opened:
            layout, encoder = engine.layout, engine.ranker.encoder
            spans = [layout.rows[layout.starts[c] : layout.starts[c + 1]] for c in selection.rows.tolist()]
            rows = np.unique(np.concatenate(spans)) if spans else np.zeros(0, dtype=np.int32)
            rows = rows[passed.mask[encoder.item_at[rows]]]
            pull = encoder.outputs[rows] @ h + encoder.bias[rows]
            rows = rows[np.argsort(-pull, kind="stable")[:FROM_CLUSTERS]]
            ours = encoder.item_at[rows].astype(np.intp)
            best = np.concatenate((ours, best[: FROM_ALL + len(ours)][~np.isin(best[: FROM_ALL + len(ours)], ours)]))
        else:
            best = best[:WHOLE]
    return Pool(best, np.zeros(len(best), dtype=np.float32), False)


_ADDED, _LOOKED = CODE["add_to_cart"], CODE["view_item"]
_LEFT = frozenset({CODE["remove_from_cart"], CODE["purchase"]})
