"""The loop itself: `observe`, `recommend`, `advance`. Pure: same arguments, same answer, arguments unchanged.

Production, replay, evaluation, benchmarks and previews call these functions; there is no second path.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence

from clusters import adaptation, alignment
from clusters.adaptation import Bounds, Decision, Step
from clusters.alignment import Selection
from clusters.catalogue import Catalogue
from clusters.item_clusters import ItemClusters
from clusters.policy import Policy
from personas import profile as personas
from personas.encoding import ABSENT, NOVELTY_WINDOW, novelty
from personas.events import CODE, ENGAGEMENT, ITEM_ACTIONS, UNKNOWN_ITEM, Event
from personas.profile import PersonaModel, PersonaProfile, Signal
from personas.sessions import NO_ITEM
from recommendations.ranking import explaining
from recommendations.ranking.features import EXPERTS
from recommendations.ranking.layout import ClusterRows, lay_out
from recommendations.ranking.opening import Opening, Shelves, build_shelves, open_with
from recommendations.ranking.ranker import History, Ranked, Ranker, affinity, rank, represent
from recommendations.ranking.slate import Chosen, compose
from recommendations.session import MAX_PENDING, MAX_TOUCHES, Pending, Request, SessionState, Slate, SlateItem, Touch

FIRST_RANKED = 200
"""Items ranked for a slate before the first item: deep enough for each persona that shares the slots to have its own."""

LEAST_SHARE = 1e-6
"""Share of the steps that no persona's falls below where slots are shared: two may take turns who both took none lately."""

DAYPARTS = ("night", "morning", "afternoon", "evening")


@dataclass(frozen=True)
class Engine:
    """What a process serves a shop with: the components of one release, and the merchandiser's bounds."""

    catalogue: Catalogue
    personas: PersonaModel
    clusters: ItemClusters
    ranker: Ranker
    policy: Policy
    bounds: Bounds = field(default_factory=Bounds)
    release: str = "0"

    @cached_property
    def out_of_stock(self) -> np.ndarray:
        """(m,) int32 positions of what can't be bought now."""
        return np.flatnonzero(~self.catalogue.in_stock).astype(np.int32)

    @cached_property
    def layout(self) -> ClusterRows:
        """Where the clusters' items lie in the ranker."""
        return lay_out(self.ranker.encoder, self.clusters)

    @cached_property
    def shelves(self) -> Shelves:
        """What first slates are made from."""
        return build_shelves(self.ranker.popularity, self.personas)


@dataclass(frozen=True)
class View:
    """The session as the engine reads it just now: the profile, the session's items and the clusters selected."""

    profile: PersonaProfile
    belief: np.ndarray
    history: History
    representation: np.ndarray
    selection: Selection


def session_seed(shop: int, session: str) -> int:
    """63 bits that are the same for a session on every process."""
    return int.from_bytes(hashlib.blake2b(f"{shop}:{session}".encode(), digest_size=8).digest(), "big") >> 1


def generator(state: SessionState) -> np.random.Generator:
    """Randomness of the state's next step. A retry on the same state draws the same numbers."""
    key = _Key(state.version, state.seed)
    return np.random.Generator(np.random.Philox(key))  # type: ignore[arg-type]  # the stub forgets ISeedSequence


class _Key(ISeedSequence):
    """Philox's key as it is: given as `key`, it would have the system asked for entropy that nobody uses."""

    def __init__(self, low: int, high: int) -> None:
        self._words = np.array((low, high), dtype=np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return self._words


def clock_evidence(at: float) -> dict[str, str]:
    """Weekday and part of the day (UTC) of a time in seconds since the epoch."""
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return {"weekday": moment.strftime("%A"), "daypart": DAYPARTS[moment.hour // 6]}


def start(
    engine: Engine,
    *,
    shop: int,
    session: str,
    at: float,
    context: Mapping[str, str] | None = None,
    shopper: str = "",
    earlier: Sequence[float] | None = None,
    own: Sequence[int] = (),
) -> SessionState:
    """A new persona and an untouched view of the clusters.

    context : evidence by variable name (country, device, ...); unknown names and values carry no weight.
    earlier : (K,) probabilities that earlier sessions of the shopper ended with, or None.
    own : ids of items that the shopper wanted on earlier visits (`ranking.reminders`).
    """
    given = dict(context or {})
    return SessionState(
        shop=shop,
        session=session,
        seed=session_seed(shop, session),
        release=engine.release,
        persona=personas.start(engine.personas, evidence=clock_evidence(at) | given, earlier=earlier, at=at),
        adapted=adaptation.start(),
        started_at=at,
        last_at=at,
        shopper=shopper,
        context=given,
        own=tuple(own),
    )


def inform(
    engine: Engine,
    state: SessionState,
    *,
    context: Mapping[str, str] | None = None,
    shopper: str = "",
    earlier: Sequence[float] | None = None,
    own: Sequence[int] | None = None,
) -> SessionState:
    """The state once more is known of the session: a context event (country, weather), or who logged in.

    context : evidence to add to what the state has.  earlier : as for `start`.  own : likewise; None for what the state has.
    """
    merged = {**state.context, **(context or {})}
    return replace(
        state,
        persona=personas.revise(
            engine.personas, state.persona, evidence=clock_evidence(state.started_at) | merged, earlier=earlier
        ),
        context=merged,
        shopper=shopper or state.shopper,
        own=state.own if own is None else tuple(own),
        version=state.version + 1,
    )


def observe(engine: Engine, state: SessionState, event: Event) -> SessionState:
    """The state after one more event: belief, evidence, adapted clusters, the session's items."""
    return observe_with_decisions(engine, state, event)[0]


def observe_with_decisions(engine: Engine, state: SessionState, event: Event) -> tuple[SessionState, tuple[Decision, ...]]:
    """`observe`, and what the adaptation agent decided on the way, for the log.

    A late event moves the belief in order of receipt and never rewinds time; an unknown item still carries its
    event type.
    """
    heard = signal(engine, state, event)
    code, position, at = heard.code, heard.position, heard.at
    item = _item_of(event)
    persona = personas.update(engine.personas, state.persona, heard)
    step = Step(
        code=code,
        clusters=engine.clusters.of(position),
        belief=np.exp(np.asarray(persona.log_belief)),
        shown=_shown(state.pending, event),
        item=item,
        engagement=ENGAGEMENT.get(event.name, 0.0),
        age=state.events,
    )
    adapted, decisions = adaptation.observe(engine.clusters, engine.policy, engine.bounds, state.adapted, step, generator(state))
    observed = replace(
        state,
        persona=persona,
        adapted=adapted,
        version=state.version + 1,
        last_at=at,
        events=state.events + 1,
        touches=_touch(state.touches, event, code, item, at, known=position != NO_ITEM),
    )
    return observed, decisions


def signal(engine: Engine, state: SessionState, event: Event) -> Signal:
    """What an event, observed in this state, tells the persona; its time is when it counts, never before what came last."""
    recent = [t.item for t in state.touches[-NOVELTY_WINDOW:]]
    return read_signal(engine.catalogue, recent, event, at=max(event.at, state.last_at))


def read_signal(catalogue: Catalogue, recent: Sequence[int], event: Event, *, at: float) -> Signal:
    """`signal` for who holds no engine. recent : items of the latest `NOVELTY_WINDOW` item actions, oldest first."""
    item = _item_of(event)
    position = catalogue.position(item) if item != UNKNOWN_ITEM else NO_ITEM
    return Signal(
        event_id=event.event_id,
        code=CODE[event.name],
        position=position,
        at=at,
        dwell_s=event.dwell_s,
        novelty=novelty(recent, item) if position != NO_ITEM else ABSENT,
        query=event.query,
    )


def _item_of(event: Event) -> int:
    """The one item that an event is about; a list is about none."""
    return event.item if event.name != "view_item_list" else UNKNOWN_ITEM


def view(engine: Engine, state: SessionState, *, now: float) -> View:
    """Profile, history and selected clusters of a session, without changing it."""
    profile = personas.profile(engine.personas, state.persona)
    belief = np.array(profile.belief)
    history = read_history(engine.catalogue, state, now=now)
    representation = represent(engine.ranker, history)
    selection = alignment.select(
        engine.clusters,
        state.adapted,
        belief=belief,
        attributes=profile.attribute_weights,
        affinity=affinity(engine.layout, representation) if len(history.positions) else None,
        active=profile.active_positions,
    )
    return View(profile, belief, history, representation, selection)


def recommend(engine: Engine, state: SessionState, request: Request, rng: np.random.Generator) -> tuple[SessionState, Slate]:
    """A slate from the adapted, selected clusters; the state then holds it as pending until its impressions are reported."""
    seen = view(engine, state, now=request.now)
    ranked = rank(
        engine.ranker,
        seen.history,
        seen.representation,
        clusters=engine.clusters,
        layout=engine.layout,
        selection=seen.selection,
        item_weight=_item_weights(engine, state),
        exclude=_excluded(engine, state, request, seen.history),
        keep=4 * request.count if len(seen.history) else max(4 * request.count, FIRST_RANKED),
        cluster_weight=_cluster_weights(engine, state),
        opening=None if len(seen.history) else _opening(engine, state, seen.belief),
    )
    slots = compose(
        ranked,
        clusters=engine.clusters,
        selection=seen.selection,
        belief=_takers(seen) if request.share_slots else seen.belief,
        active=seen.profile.active_positions if request.share_slots else (),
        count=request.count,
        explore=request.explore,
        rng=rng,
    )
    items = _slate_items(engine, seen, ranked, slots)
    slate = Slate(
        recommendation_id=_recommendation_id(state),
        context=request.context,
        release=engine.release,
        items=items,
        clusters=tuple(engine.clusters.cluster_ids[seen.selection.rows].tolist()),
    )
    served = Pending(slate.recommendation_id, tuple([i.item for i in items]), tuple([i.cluster for i in items]))
    return replace(state, version=state.version + 1, pending=(*state.pending, served)[-MAX_PENDING:]), slate


def _takers(seen: View) -> np.ndarray:
    """(K,) by which the slots are shared. Of several personas who take turns, the belief knows only whose turn it is now;
    the shares of the latest steps know what each of them takes."""
    return np.maximum(np.array(seen.profile.shares), LEAST_SHARE) if seen.profile.several else seen.belief


def _opening(engine: Engine, state: SessionState, belief: np.ndarray) -> Opening:
    """The ranking of a session without an item: by its belief, and by what its shopper wanted before."""
    rates = engine.ranker.reminders
    own = engine.catalogue.positions(state.own) if state.own and rates is not None else _NOTHING
    return open_with(engine.shelves, belief=belief, own=own[own != NO_ITEM], rates=rates if rates is not None else np.zeros(0))


def _slate_items(engine: Engine, seen: View, ranked: Ranked, slots: list[Chosen]) -> tuple[SlateItem, ...]:
    """What fills the slots, with the reasons."""
    rows = np.array([chosen.row for chosen in slots], dtype=np.intp)
    why = explaining.explain(engine.ranker, seen.history, ranked, rows)
    ids, model, clusters = engine.catalogue.item_ids, engine.personas, engine.clusters
    # Of each event of the session: the item's id and title, read once however many slots it led to.
    causes: dict[int, tuple[int, str]] = {explaining.NO_CAUSE: (UNKNOWN_ITEM, "")}
    items = []
    for slot, (chosen, item, score, touched, parts) in enumerate(
        zip(
            slots,
            ids[ranked.positions[rows]].tolist(),
            ranked.scores[rows].tolist(),
            why.because.tolist(),
            why.shares.astype(np.float64).round(4).tolist(),
            strict=True,
        )
    ):
        if touched not in causes:
            position = int(seen.history.positions[touched])
            causes[touched] = int(ids[position]), engine.catalogue.titles[position]
        because, title = causes[touched]
        shares = {name: s for name, s in zip(EXPERTS, parts, strict=True) if s > 0.0}
        expert = EXPERTS[parts.index(max(parts))]
        _, propensity, cluster, persona, explored = chosen
        items.append(
            SlateItem(
                item=item,
                slot=slot,
                score=score,
                propensity=propensity,
                persona=model.ids[persona] if persona >= 0 else 0,
                cluster=clusters.cluster_ids.item(cluster) if cluster >= 0 else 0,
                because=because,
                expert=expert,
                reason=explaining.reason(
                    expert=expert,
                    explored=explored,
                    because=title,
                    cluster=clusters.names[cluster] if cluster >= 0 else "",
                    persona=model.archetype_names[persona] if persona >= 0 else "",
                ),
                experts=shares,
            )
        )
    return tuple(items)


def advance(engine: Engine, state: SessionState, event: Event, request: Request) -> tuple[SessionState, Slate]:
    """The mission's loop, once round: observe, then recommend."""
    observed = observe(engine, state, event)
    return recommend(engine, observed, request, generator(observed))


def rebase(old: Engine | None, engine: Engine, state: SessionState) -> SessionState:
    """The state carried to another release: ids that are gone are dropped, new personas enter with their prior mass.

    old : the engine that the state was made under, if this process still has it.
    """
    if state.release == engine.release:
        return state
    return replace(
        state,
        release=engine.release,
        persona=personas.rebase(old.personas if old else None, engine.personas, state.persona),
        adapted=adaptation.rebase(old.clusters if old else None, engine.clusters, state.adapted),
    )


def read_history(catalogue: Catalogue, state: SessionState, *, now: float) -> History:
    """The session's item actions as arrays, oldest first; items that the catalogue lacks are left out."""
    positions = [catalogue.position(t.item) for t in state.touches]
    known = [t for t, p in zip(state.touches, positions, strict=True) if p != NO_ITEM]
    return History(
        positions=np.array([p for p in positions if p != NO_ITEM], dtype=np.intp),
        codes=np.array([t.code for t in known], dtype=np.int8),
        at=np.array([t.at for t in known], dtype=np.float64),
        dwell_s=np.array([np.nan if t.dwell_s < 0 else t.dwell_s for t in known], dtype=np.float32),
        now=now,
    )


def _shown(pending: tuple[Pending, ...], event: Event) -> tuple[tuple[int, int, int], ...]:
    """(item, cluster, slot) of what the page says was seen of a slate of ours: served is not seen."""
    if event.name != "view_item_list" or not event.recommendation_id:
        return ()
    for served in pending:
        if served.recommendation_id == event.recommendation_id:
            cluster_of = dict(zip(served.items, served.clusters, strict=True))
            return tuple((i, cluster_of[i], s) for i, s in zip(event.items, event.slots, strict=True) if i in cluster_of)
    return ()


def _touch(touches: tuple[Touch, ...], event: Event, code: int, item: int, at: float, *, known: bool) -> tuple[Touch, ...]:
    """The session's items with this event: appended for an item action, its dwell filled in for an engagement."""
    if not known:
        return touches
    if event.name in ITEM_ACTIONS:
        dwell = -1.0 if event.dwell_s is None else event.dwell_s
        return (*touches, Touch(item, code, at, dwell))[-MAX_TOUCHES:]
    if event.name == "user_engagement" and event.dwell_s is not None:
        for i in range(len(touches) - 1, -1, -1):
            if touches[i].item == item:
                dwell = max(touches[i].dwell_s, 0.0) + event.dwell_s
                return (*touches[:i], touches[i]._replace(dwell_s=dwell), *touches[i + 1 :])
    return touches


def _item_weights(engine: Engine, state: SessionState) -> dict[int, float]:
    if not state.adapted.passed:
        return {}
    weights = adaptation.item_weights(engine.bounds, state.adapted)
    return {p: w for item, w in weights.items() if (p := engine.catalogue.position(item)) != NO_ITEM}


def _cluster_weights(engine: Engine, state: SessionState) -> dict[int, float]:
    """Multipliers of all clusters that the session changed, the dropped ones too, which no selection holds."""
    place = engine.clusters.position_of
    return {place[c]: w for c, w in state.adapted.weight.items() if c in place}


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
    return np.concatenate(parts, dtype=np.intp) if parts else _NOTHING


def _recommendation_id(state: SessionState) -> str:
    """The same for a retry, and another for a session that lost its state and starts again under its old name."""
    return hashlib.blake2b(f"{state.seed}:{state.started_at}:{state.version}".encode(), digest_size=12).hexdigest()
