"""The second half of the loop: what is selected, ranked, put into slots and explained, for a session as it stands. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from clusters import adaptation
from personas.sessions import NO_ITEM
from recommendations.parts import Engine
from recommendations.ranking import contexts
from recommendations.ranking.contexts import Context
from recommendations.ranking.diversity import Spread, likeness_of
from recommendations.ranking.draws import Randomness
from recommendations.ranking.history import own
from recommendations.ranking.opening import Opening, open_with
from recommendations.ranking.ranker import History, Pool, Ranked, rank
from recommendations.ranking.removals import Trial
from recommendations.ranking.rules import NOTHING, Acting, acting, place_pins
from recommendations.ranking.slate import Slots, fill
from recommendations.ranking.variants import one_of_each
from recommendations.reasons import slate_items, trial_of
from recommendations.session import MAX_PENDING, NO_FILTERS, Pending, Request, SessionState, Slate, SlateItem, moved
from recommendations.session_view import View, view_in_stages
from recommendations.stages import Stages, finished

BALANCED_DEPTH = 25
"""Items ranked for each slot where a balance acts: what takes the place of a category's fifth item may stand far below it."""

FIRST_RANKED = 200
"""Items ranked for a slate before the first item: deep enough for each persona that shares the slots to have its own."""

MOST_DEEPER = 4
"""How often a ranking is made anew, each time four times as deep, for items that aren't variants of each other."""

_ITEM, _CLUSTER = SlateItem._fields.index("item"), SlateItem._fields.index("cluster")

LEAST_SHARE = 1e-6
"""Share of the steps that no persona's falls below where slots are shared: two may take turns who both took none lately."""


@dataclass(frozen=True)
class Made:
    """A slate, the state that holds it, and what it was made from, for those who ask why (`recommendations.why`).

    slots : what `fill` chose, by slot.  ruling : the rules that acted.  item_weight : item position -> multiplier.
    to_try : makes `trial`, which most slates have no use for.
    """

    state: SessionState
    slate: Slate
    seen: View
    place: Context
    to_try: Callable[[], Trial]
    slots: Slots
    ruling: Acting
    item_weight: Mapping[int, float]

    @cached_property
    def trial(self) -> Trial:
        """The ranking, ready to be made again without one of its causes."""
        return self.to_try()


def recommend(engine: Engine, state: SessionState, request: Request, rng: Randomness) -> tuple[SessionState, Slate]:
    """A slate from the adapted, selected clusters; the state then holds it as pending until its impressions are reported."""
    made = make(engine, state, request, rng)
    return made.state, made.slate


def make(engine: Engine, state: SessionState, request: Request, rng: Randomness) -> Made:
    """`recommend`, with what the slate was made from."""
    return finished(make_in_stages(engine, state, request, rng))


def make_in_stages(engine: Engine, state: SessionState, request: Request, rng: Randomness) -> Stages[Made]:
    """`make`, for who does the same of other sessions beside it."""
    seen = yield from view_in_stages(engine, state, now=request.now, request=request)
    yield
    ruling = _acting(engine, state, seen, request)
    made = yield from _made(engine, state, request, rng, seen, ruling)
    return _with_trials(engine, state, request, rng, made) if ruling.on_trial else made


def _with_trials(engine: Engine, state: SessionState, request: Request, rng: Randomness, made: Made) -> Made:
    """`made`, whose slate tells of each rule with a holdout whether it makes a difference to it, be the visit with or without.

    Told by the slate without chance that there is with the rule and the one without, in visits of both kinds alike: what the two
    kinds of visits are compared by must not depend on which kind it is.
    """
    plain = replace(request, explore=0.0, reasons=False)

    def items(ruling: Acting) -> list[int]:
        return [item.item for item in finished(_made(engine, state, plain, rng, made.seen, ruling)).slate.items]

    now = items(made.ruling)
    trials = tuple((rule.rule_id, rule.mark, held) for rule, held, other in made.ruling.tried() if items(other) != now)
    return replace(made, slate=replace(made.slate, trials=trials)) if trials else made


def _made(engine: Engine, state: SessionState, request: Request, rng: Randomness, seen: View, ruling: Acting) -> Stages[Made]:
    """`make_in_stages` once the session is read, under these rules."""
    exclude = _excluded(engine, state, request, seen.history)
    place = _place(engine, seen, request, ruling, exclude)
    if place.exclude:
        exclude = np.append(exclude, np.array(place.exclude, dtype=np.intp))
    item_weight, cluster_weight = _item_weights(engine, state), _cluster_weights(engine, state)
    depth = _depth(request, seen, ruling, place)
    yield
    ranked = _ranked_deep_enough(
        engine,
        partial(
            rank,
            engine.ranker,
            seen.history,
            seen.representation,
            clusters=engine.clusters,
            layout=engine.layout,
            selection=seen.selection,
            item_weight=item_weight,
            exclude=exclude,
            cluster_weight=cluster_weight,
            opening=None if len(seen.history) else _opening(engine, state, seen.belief, place.opens_among),
            pool=place.pool or _brought(engine, state),
            allowed=place.allowed,
            moves=ruling.moves,
            slots=request.count,
        ),
        keep=depth if place.goes_with is None or place.pool is None else max(depth, len(place.pool.positions)),
        count=request.count,
        settled=place.relevance is None and place.goes_with is None,
    )
    yield
    group = engine.catalogue.group
    if place.relevance is not None or place.goes_with is not None:
        added = ruling.weigh(ranked.positions) if ruling.weights is not None else None
        if place.relevance is not None:
            ranked = contexts.settle(place, ranked, added)
        else:
            place, ranked = contexts.level(place, ranked, added, keep=depth)
        if group is not None:
            ranked = one_of_each(ranked, group)
    pins = None
    if ruling.pins:
        ranked, pins = _pinned(ruling, ranked, _may_appear(exclude, ruling, len(engine.catalogue)), place, request.count)
        if group is not None and pins:
            ranked, pins = _beside_pins(ranked, pins, group)
    slots = fill(
        ranked,
        clusters=engine.clusters,
        selection=seen.selection,
        belief=_takers(seen) if request.share_slots and place.shares else seen.belief,
        active=seen.reading.active_positions if request.share_slots and place.shares else (),
        count=request.count,
        explore=request.explore if place.explores else 0.0,
        rng=rng,
        pins=pins,
        caps=ruling.caps,
        spread=_spread(engine, ranked, request) if request.diversity else None,
    )
    yield
    to_try = partial(trial_of, engine, state, seen, ranked, cluster_weight, place)
    items = slate_items(engine, state, ranked, to_try, slots, ruling, place, request)
    yield
    slate = Slate(
        recommendation_id=_recommendation_id(state),
        context=request.context,
        release=engine.release,
        items=items,
        clusters=tuple(engine.clusters.cluster_ids[seen.selection.rows].tolist()),
        overlay=engine.overlay.version,
        rules=_rules_told(ruling, ranked, slots, items) if ruling else (),
        notes=place.notes,
    )
    columns = list(zip(*items, strict=True)) or [()] * len(SlateItem._fields)
    served = Pending(slate.recommendation_id, columns[_ITEM], columns[_CLUSTER])
    given = moved(state, version=state.version + 1, pending=(*state.pending, served)[-MAX_PENDING:])
    return Made(given, slate, seen, place, to_try, slots, ruling, item_weight)


def _ranked_deep_enough(engine: Engine, ranked_to: Callable[..., Ranked], *, keep: int, count: int, settled: bool) -> Ranked:
    """A ranking of `keep` items; deeper where so many of them are variants of each other that a slate would be short.

    settled : whether its order is the slate's; it then holds one of each group, else that is seen to once it is.
    """
    ranked, group = ranked_to(keep=keep), engine.catalogue.group
    if group is None:
        return ranked
    products = one_of_each(ranked, group)
    for _ in range(MOST_DEEPER):
        if len(ranked.positions) < keep or len(products.positions) >= count:
            break
        keep *= 4
        ranked = ranked_to(keep=keep)
        products = one_of_each(ranked, group)
    return products if settled else ranked


def _beside_pins(
    ranked: Ranked, pins: dict[int, tuple[int, int]], group: np.ndarray
) -> tuple[Ranked, dict[int, tuple[int, int]]]:
    """What is pinned stands, two of a group too, for somebody said so; other variants of it don't."""
    pinned = {slot: (rule, ranked.positions.item(row)) for slot, (rule, row) in pins.items()}
    ranked = one_of_each(ranked, group, taken={row for _, row in pins.values()})
    rows = {position: row for row, position in enumerate(ranked.positions.tolist())}
    return ranked, {slot: (rule, rows[position]) for slot, (rule, position) in pinned.items()}


def _acting(engine: Engine, state: SessionState, seen: View, request: Request) -> Acting:
    """The merchandisers' rules that act on a request."""
    if not request.rules or not engine.overlay.rules:
        return NOTHING
    active = seen.reading.active_positions or (int(seen.belief.argmax()),)
    visit = (state.shop, state.session)
    rows = seen.selection.rows
    return acting(engine.rule_set, now=request.now, context=request.context, personas=active, clusters=rows, visit=visit)


def _spread(engine: Engine, ranked: Ranked, request: Request) -> Spread:
    """What makes the slate diverse, as far as the request wants that."""
    likeness = likeness_of(engine.ranker.encoder, engine.catalogue.category, ranked.positions)
    return Spread(ranked.scores, likeness, count=request.count, diversity=request.diversity)


def _place(engine: Engine, seen: View, request: Request, ruling: Acting, exclude: np.ndarray) -> Context:
    """What the place of the slate asks of the ranking; nothing of a page of its own without filters."""
    if request.context in {"home", "evaluation"} and request.filters == NO_FILTERS:
        return contexts.OPEN
    return contexts.prepare(
        engine,
        request,
        anchors=seen.anchors,
        belief=seen.belief,
        selection=seen.selection,
        h=seen.representation,
        opened=bool(len(seen.history)),
        may=_may_appear(exclude, ruling, len(engine.catalogue)),
    )


def _may_appear(exclude: np.ndarray, ruling: Acting, n: int) -> Callable[[np.ndarray], np.ndarray]:
    """(m,) positions -> (m,) bool, whether neither the request nor a rule leaves the items out."""

    out = np.zeros(n, dtype=bool)
    out[exclude] = True

    def may(positions: np.ndarray) -> np.ndarray:
        kept = ~out[positions]
        return kept & np.isfinite(ruling.weigh(positions)) if ruling.weights is not None else kept

    return may


def _depth(request: Request, seen: View, ruling: Acting, place: Context) -> int:
    """Items ranked for a slate."""
    if place.relevance is not None:
        return len(place.relevance)
    depth = (BALANCED_DEPTH if ruling.caps else 4) * request.count
    return depth if len(seen.history) else max(depth, FIRST_RANKED)


def _pinned(
    ruling: Acting, ranked: Ranked, may: Callable[[np.ndarray], np.ndarray], place: Context, count: int
) -> tuple[Ranked, dict[int, tuple[int, int]]]:
    """The ranking with what is pinned and wasn't ranked at its end; and slot -> (rule, row) of what is pinned."""
    places = {position: row for row, position in enumerate(ranked.positions.tolist())}

    def allowed(positions: np.ndarray) -> np.ndarray:
        return may(positions) & place.may_hold(positions)

    placed = place_pins(ruling.pins, ranked.positions, allowed, count)
    more = [position for _, position in placed.values() if position not in places]
    places |= {position: len(places) + i for i, position in enumerate(more)}
    lowest = float(ranked.scores[-1]) if len(ranked.scores) else 0.0
    if more:
        ranked = replace(
            ranked,
            positions=np.concatenate((ranked.positions, np.array(more, dtype=np.intp))),
            scores=np.concatenate((ranked.scores, lowest - 1.0 - np.arange(len(more), dtype=np.float32))),
        )
    return ranked, {slot: (rule, places[position]) for slot, (rule, position) in placed.items()}


def _rules_told(ruling: Acting, ranked: Ranked, slots: Slots, items: tuple[SlateItem, ...]) -> tuple[int, ...]:
    """Ids of the rules that acted: of each as often as it has an item in the slate, or keeps one out that had its place there."""
    told = [rule for item in items for rule in item.rules]
    if ranked.unruled is not None and len(ranked.unruled):
        shown = set(ranked.positions[slots.rows].tolist())
        told += [rule for position in ranked.unruled.tolist() if position not in shown for rule in ruling.on(position)]
    return tuple(sorted(told))


def _takers(seen: View) -> np.ndarray:
    """(K,) by which the slots are shared. Of several personas who take turns, the belief knows only whose turn it is now;
    the shares of the latest steps know what each of them takes."""
    return np.maximum(np.array(seen.reading.shares), LEAST_SHARE) if seen.reading.several else seen.belief


def _opening(engine: Engine, state: SessionState, belief: np.ndarray, among: np.ndarray | None) -> Opening:
    """The ranking of a session without an item: by its belief, and by what its shopper wanted before."""
    rates = engine.ranker.reminders
    own = engine.catalogue.positions(state.own) if state.own and rates is not None else _NOTHING
    rates = rates if rates is not None else np.zeros(0)
    return open_with(engine.shelves, belief=belief, own=own[own != NO_ITEM], rates=rates, among=among)


def _item_weights(engine: Engine, state: SessionState) -> Mapping[int, float]:
    """Multipliers of items that were lessened in their clusters, and of those that the session saw and passed over."""
    kept = engine.clusters.kept
    if not state.adapted.passed and not state.adapted.weight:
        return kept
    weights = adaptation.item_weights(engine.reach, state.adapted, engine.catalogue.position)
    return {**kept, **{p: w * kept.get(p, 1.0) for p, w in weights.items()}}


def _brought(engine: Engine, state: SessionState) -> Pool | None:
    """The items that came in with expansions: the experts may know nothing that leads to them."""
    if not state.adapted.brought:
        return None
    items = adaptation.brought_in(engine.reach, state.adapted)
    return Pool(items, np.zeros(len(items), dtype=np.float32), only=False) if len(items) else None


def _cluster_weights(engine: Engine, state: SessionState) -> dict[int, float]:
    """Multipliers of all clusters that the session changed, the dropped ones too, which no selection holds."""
    if not state.adapted.weight:
        return {}
    place = engine.clusters.position_of
    brought = state.adapted.brought  # of what was pulled in, only the items that came with it weigh more
    return {place[c]: w for c, w in state.adapted.weight.items() if c in place and c not in brought}


_NOTHING = np.zeros(0, dtype=np.intp)


def _excluded(engine: Engine, state: SessionState, request: Request, history: History) -> np.ndarray:
    """(m,) intp positions that must not appear."""
    parts = []
    if request.exclude:
        named = engine.catalogue.positions(request.exclude)
        parts.append(named[named != NO_ITEM])
    if not request.allow_seen:
        parts.append(history.positions)
    elif not request.allow_current:
        parts.append(history.positions[-1:])
    if not request.allow_out_of_stock and len(engine.out_of_stock):
        parts.append(engine.out_of_stock)
    if engine.overlay.gone:
        parts.append(engine.gone)
    if len(parts) == 1:
        return own(parts[0], np.intp)
    return np.concatenate(parts, dtype=np.intp) if parts else _NOTHING


def _recommendation_id(state: SessionState) -> str:
    """The same for a retry, and another for a session that lost its state and starts again under its old name."""
    return hashlib.blake2b(f"{state.seed}:{state.started_at}:{state.version}".encode(), digest_size=12).hexdigest()
