"""The session's persona: one filter step at a time, the same as training saw it, explained and carried across releases."""

from __future__ import annotations

import copy
import dataclasses
import json
import math

import msgspec
import numpy as np
import pytest
from scipy import sparse

from personas.archetypes import Archetype, PersonaError
from personas.components import from_parts, to_parts
from personas.encoding import ABSENT, DWELLS, FACTORS, REPEAT, STEPS, novelty
from personas.events import CODE, ITEM_ACTIONS, NAMES
from personas.hmm import HALF_LIFE_S
from personas.profile import (
    ACTIVE_P,
    EARLIER_SHARE,
    KEPT_A_STEP,
    LEDGER,
    UNIT,
    PersonaModel,
    PersonaState,
    Signal,
    explain_step,
    profile,
    rebase,
    shares,
    start,
    update,
)
from personas.sessions import NO_ITEM, SessionLog
from personas.training import train_personas
from tests.persona_world import ARCHETYPES, ATTRIBUTES, DESCRIPTORS, World, world

W = world(1, sessions=600)
EVIDENCE = [{"country": "de" if W.persona[a] < 2 else "fr", "weekday": "Monday"} for a in W.log.offsets[:-1].tolist()]
VIEW = CODE["view_item"]


def trained(w: World = W, archetypes: tuple[Archetype, ...] = ARCHETYPES, previous: PersonaModel | None = None) -> PersonaModel:
    return train_personas(w.log, w.facts, DESCRIPTORS, w.item_descriptors, ATTRIBUTES, archetypes, EVIDENCE, previous)[0]


@pytest.fixture(scope="module")
def model() -> PersonaModel:
    return trained()


def view(i: int, position: int, *, at: float = 0.0, new: int = 0, code: int = VIEW) -> Signal:
    return Signal(f"event-number-{i}", code, position, at, None, new)


def items(category: int | None = None, tier: int | None = None) -> np.ndarray:
    facts = W.facts
    return np.flatnonzero(((facts.category == category) | (category is None)) & ((facts.price_tier == tier) | (tier is None)))


def after(model: PersonaModel, positions: np.ndarray, evidence: dict[str, str] | None = None) -> PersonaState:
    state = start(model, evidence=evidence or {}, at=0.0)
    for i, position in enumerate(positions.tolist()):
        state = update(model, state, view(i, position, at=20.0 * i))
    return state


def test_online_steps_reach_the_beliefs_that_training_reports() -> None:
    model, beliefs, _ = train_personas(W.log, W.facts, DESCRIPTORS, W.item_descriptors, ATTRIBUTES, ARCHETYPES, EVIDENCE, None)
    for s, part in enumerate(list(W.log.slices())[:60]):
        state = start(model, evidence=EVIDENCE[s], at=float(W.log.at[part.start]))
        recent: list[int] = []
        for i in range(part.start, part.stop):
            position, code = int(W.log.position[i]), int(W.log.code[i])
            signal = Signal(str(i), code, position, float(W.log.at[i]), float(W.log.dwell_s[i]), novelty(recent, position))
            state = update(model, state, signal)
            if NAMES[code] in ITEM_ACTIONS:
                recent.append(position)
            np.testing.assert_allclose(np.exp(state.log_belief), beliefs[i], rtol=0, atol=1e-6)


def test_an_engagement_before_the_first_step_says_nothing_online_or_in_training(model: PersonaModel) -> None:
    """It has no step to say the dwell of: the log leaves it out, and so must the belief, the ledger and the courses."""
    begun = start(model, evidence={}, at=0.0)
    early = view(0, 1, code=CODE["user_engagement"])._replace(dwell_s=300.0)
    assert update(model, begun, early) == begun
    assert explain_step(model, begun, early).factors == ()
    seen = update(model, begun, view(1, 1, at=5.0))
    assert update(model, seen, early._replace(at=9.0)) != seen


def test_a_model_survives_its_parts_and_json(model: PersonaModel) -> None:
    arrays, meta = to_parts(model)
    again = from_parts(PersonaModel, arrays, json.loads(json.dumps(meta)))
    for field in dataclasses.fields(PersonaModel):
        a, b = getattr(model, field.name), getattr(again, field.name)
        if sparse.issparse(a):
            assert (a != b).nnz == 0
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
        elif not dataclasses.is_dataclass(a):
            assert a == b
    positions = np.arange(20)
    assert after(again, positions, {"country": "de"}) == after(model, positions, {"country": "de"})


def test_a_model_without_evidence_survives_its_parts_too() -> None:
    bare, _, _ = train_personas(W.log, W.facts, DESCRIPTORS, W.item_descriptors, ATTRIBUTES, ARCHETYPES, None, None)
    arrays, meta = to_parts(bare)
    again = from_parts(PersonaModel, arrays, json.loads(json.dumps(meta)))
    assert again.network.variables == ()
    assert start(again, evidence={"country": "de"}, at=0.0) == start(bare, evidence={}, at=0.0)


def test_the_belief_goes_to_the_persona_that_the_items_speak_for(model: PersonaModel) -> None:
    for k, chosen in enumerate((items(tier=0), items(tier=3), items(category=0), items(category=2))):
        spread = chosen[np.random.default_rng(k).permutation(len(chosen))][:8]
        seen = profile(model, after(model, spread))
        assert int(np.argmax(seen.belief)) == k
        assert seen.active[0] == ARCHETYPES[k].id
        assert int(np.argmax(seen.attribute_weights)) == k
        assert sum(seen.belief) == pytest.approx(1.0)
        assert seen.attribute_weights.sum() == pytest.approx(1.0)


def test_nothing_seen_is_said_to_be_unsure(model: PersonaModel) -> None:
    fresh = profile(model, start(model, evidence={}, at=0.0))
    assert fresh.unsure
    assert fresh.entropy == pytest.approx(-sum(p * math.log(p) for p in fresh.belief))
    assert fresh.ledger == ()
    sure = profile(model, after(model, items(category=0)[:10]))
    assert not sure.unsure
    assert sure.entropy_share < fresh.entropy_share
    assert all(sure.belief[k] > ACTIVE_P for k in sure.active_positions)
    assert sure.learned == ("event", "category", "price_tier", "novelty")


def test_evidence_moves_the_prior(model: PersonaModel) -> None:
    german = np.exp(start(model, evidence={"country": "de"}, at=0.0).log_prior)
    assert german[:2].sum() > 0.6  # in this world, Germans start as thrift or luxury
    assert np.exp(start(model, evidence={"country": "fr"}, at=0.0).log_prior)[:2].sum() < 0.4


def test_earlier_sessions_share_the_prior_with_the_evidence(model: PersonaModel) -> None:
    guest = np.exp(start(model, evidence={}, at=0.0).log_prior)
    back = np.exp(start(model, evidence={}, at=0.0, earlier=[0.0, 0.0, 3.0, 1.0]).log_prior)
    np.testing.assert_allclose(
        back, (1 - EARLIER_SHARE) * guest + EARLIER_SHARE * np.array([0, 0, 0.75, 0.25]), rtol=0, atol=1e-12
    )
    for bad in ([1.0], [0.0] * 4, [0.5, 0.5, 0.5, -0.5], [math.nan] * 4):
        with pytest.raises(ValueError, match="is no distribution over 4 personas"):
            start(model, evidence={}, at=0.0, earlier=bad)


def test_a_step_leaves_its_arguments_unchanged_and_repeats_itself(model: PersonaModel) -> None:
    state = after(model, np.arange(5))
    kept = copy.deepcopy(state)
    tables = [t.copy() for t in model.hmm.log_emission]
    first = update(model, state, view(9, 3, at=200.0))
    assert state == kept
    assert update(model, state, view(9, 3, at=200.0)) == first
    for a, b in zip(tables, model.hmm.log_emission, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_late_event_counts_without_rewinding_time(model: PersonaModel) -> None:
    state = after(model, items(category=0)[:3])
    late = update(model, state, view(7, int(items(category=2)[0]), at=-500.0))
    assert late.last_at == state.last_at
    assert late.log_belief == update(model, state, view(7, int(items(category=2)[0]), at=state.last_at)).log_belief
    assert late.log_belief != state.log_belief


def test_silence_brings_the_belief_back_towards_the_prior(model: PersonaModel) -> None:
    state = after(model, items(category=0)[:6])
    search = CODE["search"]
    soon, later = (update(model, state, view(7, NO_ITEM, at=state.last_at + t, code=search)) for t in (1.0, 20 * HALF_LIFE_S))
    assert soon.log_belief[2] > math.log(0.8)
    said = np.exp(state.log_prior) * np.exp(model.hmm.log_emission[0][:, search])  # a search still says what it says
    np.testing.assert_allclose(np.exp(later.log_belief), said / said.sum(), rtol=0, atol=1e-5)


def test_the_ledger_names_the_factor_and_its_nats(model: PersonaModel) -> None:
    state = start(model, evidence={}, at=0.0)
    boot = int(items(category=0, tier=1)[0])
    moved = update(model, state, view(0, boot))
    (entry,) = moved.ledger
    assert (entry.event_id, entry.persona, entry.factor, entry.value) == ("event-number", ARCHETYPES[2].id, "category", "boots")
    table = np.exp(model.hmm.log_emission[FACTORS.index("category")][:, 0])
    assert entry.nats == pytest.approx(math.log(table[2] / (table @ np.exp(state.log_prior))), abs=5e-4)
    assert entry.p == pytest.approx(math.exp(moved.log_belief[2]), abs=5e-4)
    assert len(after(model, np.arange(20)).ledger) == LEDGER


def test_one_persona_giving_way_to_another_is_a_shift_with_its_reason(model: PersonaModel) -> None:
    boots, hats = items(category=0)[:6], items(category=2)[:6]
    assert after(model, boots).shift is None
    shift = after(model, np.concatenate((boots, hats))).shift
    assert shift is not None
    assert (shift.source, shift.target, shift.factor, shift.value) == (ARCHETYPES[2].id, ARCHETYPES[3].id, "category", "hats")
    assert shift.nats > 0


def test_taking_turns_is_several_and_no_shift_and_doubt_is_neither(model: PersonaModel) -> None:
    """Boots and hats in turn, against coats and scarves in the middle price tiers, which fit no persona."""
    turns = after(model, np.column_stack((items(category=0)[:8], items(category=2)[:8])).ravel())
    doubt = after(model, np.concatenate((items(category=1, tier=1)[:4], items(category=3, tier=2)[:4])))
    both, neither = profile(model, turns), profile(model, doubt)
    assert both.several
    assert turns.shift is None
    assert set(both.active) == {ARCHETYPES[2].id, ARCHETYPES[3].id}
    assert both.mixing > 0.3 > 0.15 > neither.mixing
    assert not neither.several
    assert neither.unsure


def test_shares_are_the_decayed_means_of_the_beliefs_and_mixing_their_divergence(model: PersonaModel) -> None:
    state = start(model, evidence={"country": "de"}, at=0.0)
    assert shares(state) == pytest.approx(np.exp(state.log_prior))
    beliefs = []
    for i, position in enumerate(np.random.default_rng(3).permutation(160)[:12].tolist()):
        state = update(model, state, view(i, position, at=20.0 * i))
        if i % 3 == 0:  # what an engagement adds belongs to the step before
            state = update(model, state, view(i, position, at=20.0 * i, code=CODE["user_engagement"])._replace(dwell_s=30.0))
        beliefs.append(np.exp(state.log_belief))
    weights = KEPT_A_STEP ** np.arange(len(beliefs))[::-1]
    mean = weights @ np.array(beliefs) / weights.sum()
    assert shares(state) == pytest.approx(mean, abs=2e-4)  # kept in whole parts
    entropies = [-(b * np.log(b)).sum() for b in beliefs]
    divergence = -(mean * np.log(mean)).sum() - weights @ entropies / weights.sum()
    assert profile(model, state).mixing == pytest.approx(divergence, abs=1e-3)


def test_a_whole_step_adds_up_to_the_belief_that_update_reaches(model: PersonaModel) -> None:
    rng = np.random.default_rng(4)
    state = start(model, evidence={"country": "fr"}, at=0.0)
    for i in range(60):
        code = int(rng.integers(len(NAMES)))
        signal = Signal(str(i), code, int(rng.integers(-1, 160)), 40.0 * i, float(rng.exponential(30)), 0, "boots")
        told, state_after = explain_step(model, state, signal), update(model, state, signal)
        total = told.before + told.time + sum((f.nats for f in told.factors), np.zeros(4))
        np.testing.assert_allclose(total - np.logaddexp.reduce(total), state_after.log_belief, rtol=0, atol=1e-9)
        np.testing.assert_allclose(told.after, state_after.log_belief, rtol=0, atol=1e-12)
        assert told.step == (code in STEPS)
        if state_after is not state:
            entry = state_after.ledger[-1]
            k = model.ids.index(entry.persona)
            (said,) = [f.nats[k] for f in told.factors if (f.factor, f.value) == (entry.factor, entry.value)]
            assert entry.nats == pytest.approx(said, abs=5e-4)
        state = state_after


def test_a_cart_of_what_was_looked_at_says_neither_repeat_nor_another_turn(model: PersonaModel) -> None:
    state = update(model, start(model, evidence={}, at=0.0), view(0, 0))
    cart = view(1, 0, at=20.0, new=REPEAT, code=CODE["add_to_cart"])
    assert [f.factor for f in explain_step(model, state, cart).factors] == ["event", "category", "price_tier", "gap"]
    again = view(1, 0, at=20.0, new=REPEAT)
    assert "novelty" in [f.factor for f in explain_step(model, state, again).factors]
    together = [profile(model, update(model, state, signal)).together for signal in (again, again._replace(novelty=0))]
    assert together[0] > together[1]  # the turn goes on, against a second draw of the same kind


def test_an_event_without_an_item_says_only_its_type(model: PersonaModel) -> None:
    state = start(model, evidence={}, at=0.0)
    cart = update(model, state, view(0, NO_ITEM, code=CODE["add_to_cart"], new=ABSENT))
    assert cart.ledger[0].factor == "event"
    assert cart.affinity == state.affinity


def test_a_state_is_plain_small_and_survives_its_codec() -> None:
    many = tuple(dataclasses.replace(ARCHETYPES[i % 4], id=100 + i, key=f"k{i}") for i in range(10))
    model = trained(archetypes=many)
    state = after(model, np.arange(60), {"country": "de"})
    blob = msgspec.msgpack.encode(state)
    assert len(blob) < 900
    assert msgspec.msgpack.decode(blob, type=PersonaState) == state


def test_two_thousand_random_events_keep_the_state_sound(model: PersonaModel) -> None:
    rng = np.random.default_rng(0)
    state, steps = start(model, evidence={}, at=0.0), 0
    for i in range(2_000):
        code, position = int(rng.integers(len(NAMES))), int(rng.integers(-1, 160))
        dwell = None if rng.random() < 0.5 else float(rng.exponential(30))
        state = update(
            model, state, Signal(str(i), code, position, float(rng.normal(10.0 * i, 500.0)), dwell, int(rng.integers(3)))
        )
        steps += code in STEPS
        assert sum(map(math.exp, state.log_belief)) == pytest.approx(1.0, abs=1e-9)
    assert all(0 <= a <= UNIT for a in state.affinity)
    assert state.steps == steps


def test_rebase_matches_archetypes_by_id_and_gives_new_ones_their_prior(model: PersonaModel) -> None:
    fourth = Archetype(99, "newcomer", "Newcomer", "tag", "#000000", {"hats": 0.5, "boots": 0.5})
    new = trained(archetypes=(ARCHETYPES[2], fourth, ARCHETYPES[0]))
    state = after(model, items(category=0)[:5])
    moved = rebase(model, new, state)
    before, p = dict(zip(state.archetypes, np.exp(state.log_belief), strict=True)), np.exp(moved.log_belief)
    assert moved.archetypes == (22, 99, 20)
    assert p.sum() == pytest.approx(1.0)
    assert p[1] == pytest.approx(math.exp(new.hmm.log_initial[1]))
    assert p[0] / p[2] == pytest.approx(before[22] / before[20])
    assert moved.affinity == state.affinity
    assert update(new, moved, view(1, 0, at=1e3)).steps == state.steps + 1
    with pytest.raises(ValueError, match="rebase it first"):
        update(new, state, view(1, 0, at=1e3))
    with pytest.raises(ValueError, match="rebase it first"):
        profile(new, state)


def test_rebase_to_personas_all_new_starts_from_their_prior(model: PersonaModel) -> None:
    new = trained(archetypes=tuple(dataclasses.replace(a, id=a.id + 500) for a in ARCHETYPES))
    moved = rebase(None, new, after(model, items(category=0)[:5]))
    np.testing.assert_allclose(moved.log_belief, new.hmm.log_initial)
    assert (moved.affinity, moved.ledger, moved.shift) == ((0,) * 4, (), None)


def test_a_refit_starts_from_the_last_and_stays_there(model: PersonaModel) -> None:
    _, _, report = train_personas(W.log, W.facts, DESCRIPTORS, W.item_descriptors, ATTRIBUTES, ARCHETYPES, EVIDENCE, model)
    _, _, cold = train_personas(W.log, W.facts, DESCRIPTORS, W.item_descriptors, ATTRIBUTES, ARCHETYPES, EVIDENCE, None)
    assert report.objective[0] > cold.objective[0]
    assert report.objective[-1] >= cold.objective[-1] - 1e-6


def test_a_refit_after_the_archetypes_changed_places_keeps_each_table_with_its_id(model: PersonaModel) -> None:
    turned = trained(archetypes=ARCHETYPES[::-1], previous=model)
    for a, b in zip(turned.hmm.log_emission, model.hmm.log_emission, strict=True):
        np.testing.assert_allclose(np.exp(a)[::-1], np.exp(b), rtol=0, atol=0.02)


def test_an_empty_log_gives_the_archetypes_own_model() -> None:
    empty = np.zeros(0)
    log = SessionLog.of(empty, empty, empty)
    model, beliefs, _ = train_personas(log, W.facts, DESCRIPTORS, W.item_descriptors, ATTRIBUTES, ARCHETYPES, [], None)
    assert beliefs.shape == (0, 4)
    assert profile(model, after(model, items(category=0)[:6])).active == (ARCHETYPES[2].id,)
    with pytest.raises(PersonaError, match="at least one is needed"):
        train_personas(log, W.facts, DESCRIPTORS, W.item_descriptors, ATTRIBUTES, [], [], None)


def test_one_archetype_alone_is_certain() -> None:
    model = trained(archetypes=ARCHETYPES[:1])
    alone = profile(model, after(model, np.arange(5)))
    assert alone.belief == (1.0,)
    assert alone.entropy_share == 0.0
    assert not alone.unsure


def test_a_reported_list_leaves_the_belief_alone(model: PersonaModel) -> None:
    state = update(model, start(model, evidence={}, at=0.0), view(0, 1, at=10.0))
    assert update(model, state, view(1, 2, at=99.0, code=CODE["view_item_list"])) == state


def test_an_engagement_is_one_more_factor_of_the_step_before(model: PersonaModel) -> None:
    """Whoever learns the dwell with the view, or from an engagement later, believes the same."""
    seen = update(model, start(model, evidence={}, at=0.0), view(0, 1, at=10.0))
    told = update(model, seen, view(1, 1, at=40.0, code=CODE["user_engagement"])._replace(dwell_s=30.0))
    dwell = model.hmm.log_emission[FACTORS.index("dwell")][:, DWELLS.index("under_45s")]
    expected = np.array(seen.log_belief) + dwell
    np.testing.assert_allclose(told.log_belief, expected - np.logaddexp.reduce(expected), atol=1e-12)
    assert (told.steps, told.last_at) == (seen.steps, seen.last_at)
