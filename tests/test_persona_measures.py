"""The measures of the personas: statistics against hand counts and sklearn, sequence models against enumeration."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from clusters.catalogue import ItemRow, build_catalogue
from personas import profile as personas
from personas.archetypes import Archetype, Attribute
from personas.encoding import STEPS, encode_steps, gaps
from personas.events import CODE
from personas.hmm import HALF_LIFE_S, PersonaHMM
from personas.sessions import SessionLog
from personas.summaries import summarise
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.evaluation.personas import beliefs, openings, priors, sequences
from recommendations.evaluation.personas.beliefs import Filtered
from recommendations.evaluation.personas.sequences import Sequences, Shop
from recommendations.evaluation.personas.statistics import auc, calibration_error, classwise_error, resample
from recommendations.evaluation.simulation import KINDS, SimulatedSession, build_world, simulate, to_log
from recommendations.training import train_engine
from tests.persona_world import ARCHETYPES, ATTRIBUTES, DESCRIPTORS, world


def test_calibration_error_of_claims_that_are_off_by_a_known_amount() -> None:
    """1,000 claims of 0.9 that come true 7 times in 10, and 1,000 of 0.5 that are right half the time: (0.2 + 0) / 2."""
    probability = np.repeat([0.9, 0.5], 1_000)
    correct = np.concatenate((np.arange(1_000) % 10 < 7, np.arange(1_000) % 2 == 0))
    assert calibration_error(probability, correct) == pytest.approx(0.1, abs=1e-12)
    only_the_second = np.repeat([0.0, 1.0], 1_000)
    assert calibration_error(probability, correct, only_the_second) == pytest.approx(0.0, abs=1e-12)


def test_calibration_error_lies_within_one_bin_where_claims_are_certain() -> None:
    assert calibration_error(np.ones(10), np.ones(10, dtype=bool)) == 0.0
    assert calibration_error(np.ones(10), np.zeros(10, dtype=bool)) == 1.0
    assert math.isnan(calibration_error(np.zeros(0), np.zeros(0, dtype=bool)))


def test_over_and_under_claims_cancel_within_a_bin_only() -> None:
    """Two claims in one bin, wrong by +0.01 and -0.01 about what came true, leave nothing; in two bins both count."""
    correct = np.arange(200) % 2 == 0
    same = np.where(np.arange(200) < 100, 0.49, 0.51)
    assert calibration_error(same, correct) == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(same, correct, bins=2) == pytest.approx(0.01, abs=1e-12)


def test_classwise_error_sees_what_the_likeliest_class_hides() -> None:
    """Always (0.6, 0.3, 0.1) where truth is (0.6, 0.1, 0.3): the top class is honest, two others are off by 0.2."""
    truth = np.array([0] * 60 + [1] * 10 + [2] * 30)
    belief = np.tile([0.6, 0.3, 0.1], (100, 1))
    assert calibration_error(belief.max(axis=1), truth == 0) == pytest.approx(0.0, abs=1e-12)
    assert classwise_error(belief, truth) == pytest.approx(0.4 / 3, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_sklearns_ties_and_weights_included(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score, positive, weights = rng.integers(0, 12, 300) / 4.0, rng.random(300) < 0.3, rng.integers(0, 4, 300).astype(float)
    assert auc(score, positive) == pytest.approx(roc_auc_score(positive, score), abs=1e-12)
    assert auc(score, positive, weights) == pytest.approx(roc_auc_score(positive, score, sample_weight=weights), abs=1e-12)


def test_auc_without_one_of_the_kinds_is_unknown() -> None:
    assert math.isnan(auc(np.arange(3.0), np.ones(3, dtype=bool)))


def test_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    x = np.random.default_rng(3).normal(2.0, 1.0, 2_000)
    told = resample(lambda w: float(w @ x / w.sum()), len(x), draws=1_000)
    half = 1.96 * x.std() / math.sqrt(len(x))
    assert told.value == pytest.approx(x.mean(), abs=1e-12)
    assert told.low == pytest.approx(x.mean() - half, abs=0.1 * half)
    assert told.high == pytest.approx(x.mean() + half, abs=0.1 * half)


def small_hmm() -> PersonaHMM:
    rng = np.random.default_rng(5)
    tables = tuple(np.log(rng.dirichlet(np.ones(v), size=2)) for v in (3, 2))
    return PersonaHMM(np.log([0.7, 0.3]), np.log([[0.8, 0.2], [0.3, 0.7]]), tables, np.ones(2, dtype=bool))


def test_log_scores_are_those_of_a_path_enumeration() -> None:
    """P(o_n | o_1..n-1) from sums over all paths, no time passing: each factor alone, and all at once."""
    model = small_hmm()
    codes = np.array([[0, 1], [2, -1], [1, 0], [1, 1]])
    steps = Sequences(codes, np.array([0, 4]), np.zeros(4))
    initial, transition = np.exp(model.log_initial), np.exp(model.log_transition)
    tables = [np.exp(t) for t in model.log_emission]

    def chance(rows: list[list[int]]) -> float:
        total = 0.0
        for path in itertools.product(range(2), repeat=len(rows)):
            p = initial[path[0]]
            for before, now in itertools.pairwise(path):
                p *= transition[before, now]
            for z, row in zip(path, rows, strict=True):
                for f, code in enumerate(row):
                    p *= tables[f][z, code] if code >= 0 else 1.0
            total += p
        return total

    scores = sequences.log_scores(model, steps)
    for n in range(4):
        past = codes[:n].tolist()
        for f, code in enumerate(codes[n].tolist()):
            if code < 0:
                assert np.isnan(scores[n, f])
                continue
            alone = [code if g == f else -1 for g in range(2)]
            assert scores[n, f] == pytest.approx(math.log(chance([*past, alone]) / chance(past or [[-1, -1]])), abs=1e-5)
        whole = math.log(chance([*past, codes[n].tolist()]) / chance(past or [[-1, -1]]))
        assert scores[n, -1] == pytest.approx(whole, abs=1e-5)


def test_silence_of_a_half_life_foretells_half_from_the_prior() -> None:
    model = small_hmm()
    codes = np.array([[0, 1], [2, 0]])
    at_once = sequences.foretold(model, Sequences(codes, np.array([0, 2]), np.array([0.0, 0.0])))
    later = sequences.foretold(model, Sequences(codes, np.array([0, 2]), np.array([0.0, HALF_LIFE_S])))
    np.testing.assert_allclose(later[1], 0.5 * at_once[1] + 0.5 * np.exp(model.log_initial), atol=1e-6)


def test_a_chain_reads_the_last_value_shown_and_no_other_session() -> None:
    """Trained on a, b, a, b: after a comes b. A gap is bridged; a session's first value is foretold by overall shares."""
    train = Sequences(np.array([[0], [1]] * 50), np.array([0, 100]), np.zeros(100))
    test = Sequences(np.array([[0], [-1], [1], [0]]), np.array([0, 3, 4]), np.zeros(4))
    scores = sequences.chain_scores(train, test, [2])
    after_a = math.log((50 + 0.5) / (50 + 1.0))
    np.testing.assert_allclose(scores[:, 0], [math.log(0.5), np.nan, after_a, math.log(0.5)], atol=1e-12)
    np.testing.assert_allclose(scores[:, 1], [math.log(0.5), 0.0, after_a, math.log(0.5)], atol=1e-12)


@pytest.fixture(scope="module")
def shop_and_steps() -> tuple[Shop, Sequences]:
    made = world(seed=2, sessions=3_000)
    steps = encode_steps(made.facts, made.log)
    shop = Shop(ATTRIBUTES, ARCHETYPES, made.facts, DESCRIPTORS, made.item_descriptors)
    return shop, Sequences(steps.codes, steps.offsets, gaps(made.log)[steps.rows])


def test_a_mixture_never_changes_its_persona(shop_and_steps: tuple[Shop, Sequences]) -> None:
    shop, steps = shop_and_steps
    start, pseudo = shop.start(steps)
    mixture = sequences.fit_mixture(steps, start=start, pseudo_counts=pseudo, iterations=5)
    np.testing.assert_allclose(mixture.transition, np.eye(len(ARCHETYPES)), atol=1e-12)


def test_where_personas_change_the_hmm_foretells_better_than_mixture_and_chains(shop_and_steps: tuple[Shop, Sequences]) -> None:
    """In a world that is such an HMM (its personas stay with 0.95), both simpler models must lose on held-out sessions."""
    shop, steps = shop_and_steps
    first = np.arange(len(steps.offsets) - 1) < 2_000
    told = sequences.compare(shop, steps.take(first), steps.take(~first), ("category",))
    assert told["hmm_all"] > told["mixture_all"]
    assert told["hmm_all"] > told["markov_all"]
    assert told["hmm_category"] > told["markov_category"]


def test_states_keep_their_names_on_halves(shop_and_steps: tuple[Shop, Sequences]) -> None:
    shop, steps = shop_and_steps
    told = sequences.names_kept(shop, steps, seeds=(0, 1), iterations=10)
    assert told["kept"] == 1.0
    assert told["cost"] < 0.1


def test_a_state_keeps_its_name_by_the_learned_factors_that_name_it() -> None:
    """Two states whose second factor changed places: both lost by it, neither by the first; unlearned, it doesn't count."""
    model = small_hmm()
    own = [np.exp(t) for t in model.log_emission]
    crossed = [own[0], own[1][::-1]]
    by_first, by_second = np.array([[True, True], [False, False]]), np.array([[False, False], [True, True]])
    assert sequences.kept_names(model, own, by_first).tolist() == [True, True]
    assert sequences.kept_names(model, crossed, by_first).tolist() == [True, True]
    assert sequences.kept_names(model, crossed, by_second).tolist() == [False, False]
    first_only = PersonaHMM(model.log_initial, model.log_transition, model.log_emission, np.array([True, False]))
    assert sequences.kept_names(first_only, crossed, by_second).tolist() == [True, True]


KEYS = ("thrift", "boots", "hats")
SHOPPERS = tuple(
    Attribute(i, key, key, "", weights)
    for i, (key, weights) in enumerate(
        zip(KEYS, ({"price_tier=low": 1.0}, {"category=boots": 1.0}, {"category=hats": 1.0}), strict=True), 1
    )
)
KINDS_OF = tuple(Archetype(10 + a.id, a.key, a.name, mix={a.key: 1.0}) for a in SHOPPERS)


@pytest.fixture(scope="module")
def simulated() -> tuple[Engine, list[SimulatedSession]]:
    """An engine trained on 400 simulated sessions, and 60 others of the same world."""
    catalogue = build_catalogue(
        ItemRow(i + 1, f"i{i}", f"{('boots', 'hats', 'coats')[i % 3]} {i}", ("boots", "hats", "coats")[i % 3], price=5.0 + i)
        for i in range(90)
    )
    world = build_world(catalogue, SHOPPERS, KINDS_OF)
    train, test = (list(simulate(world, sessions=n, seed=n, start_at=1_700_000_000.0)) for n in (400, 60))
    log, contexts = to_log(train, catalogue)
    return train_engine(log, catalogue, attributes=SHOPPERS, archetypes=KINDS_OF, contexts=contexts, most_examples=1_000), test


def test_what_is_measured_is_what_the_engine_serves(simulated: tuple[Engine, list[SimulatedSession]]) -> None:
    """After each step of each session, the belief measured is `engine.observe`'s to the last digit."""
    engine, sessions = simulated
    for session in sessions:
        given = session.context | session.demographics
        state = loop.start(engine, shop=1, session=session.key, at=session.events[0].at, context=given)
        served = []
        for event in session.events:
            state = loop.observe(engine, state, event)
            if CODE[event.name] in STEPS:
                served.append(np.exp(state.persona.log_belief))
        told = beliefs.follow(engine.personas, engine.catalogue, session, np.arange(3))
        np.testing.assert_array_equal(told.belief, np.array(served).reshape(-1, 3))
        assert KINDS[told.kind] == session.kind


def test_whole_sessions_are_summarised_as_the_engine_would_have_left_them(
    simulated: tuple[Engine, list[SimulatedSession]],
) -> None:
    """Belief and shares of `summarise`, carts, repeats and all, are those of `profile.update` after the last event."""
    engine, sessions = simulated
    log, contexts = to_log(sessions, engine.catalogue)
    evidence = [loop.clock_evidence(at) | given for at, given in zip(log.starts.tolist(), contexts, strict=True)]
    told = summarise(engine.personas, log, evidence)
    of = dict(zip(log.keys[told.sessions].tolist(), zip(told.steps, told.belief, told.shares, strict=True), strict=True))
    assert any(event.name == "add_to_cart" for session in sessions for event in session.events)
    for session in sessions:
        given = session.context | session.demographics
        state = loop.start(engine, shop=1, session=session.key, at=session.events[0].at, context=given)
        for event in session.events:
            state = loop.observe(engine, state, event)
        if not state.persona.steps:
            assert session.key not in of
            continue
        steps, belief, shares = of[session.key]
        assert steps == state.persona.steps
        np.testing.assert_allclose(belief, np.exp(state.persona.log_belief), atol=1e-5)
        np.testing.assert_allclose(shares, personas.shares(state.persona), atol=1e-3)


def test_a_session_of_nothing_but_lists_is_followed_too(simulated: tuple[Engine, list[SimulatedSession]]) -> None:
    """Who turns away from every first page takes no step: no belief to measure, and no reason to stop."""
    engine, sessions = simulated
    only = next(s for s in sessions if s.events[0].name == "view_item_list")
    lists = replace(only, events=only.events[:1], personas=only.personas[:1], shift_at=None)
    told = beliefs.follow(engine.personas, engine.catalogue, lists, np.arange(3))
    assert told.belief.shape == told.exact.shape == (0, 3)
    own = beliefs.follow_all(engine.personas, KEYS, engine.catalogue, [lists, *sessions])
    assert 0.0 <= beliefs.measures(own)["accuracy"].value <= 1.0


def test_beliefs_are_told_in_the_worlds_order(simulated: tuple[Engine, list[SimulatedSession]]) -> None:
    engine, sessions = simulated
    turned = beliefs.follow_all(engine.personas, KEYS[::-1], engine.catalogue, sessions[:5])
    for session, told in zip(sessions, turned, strict=False):
        own = beliefs.follow(engine.personas, engine.catalogue, session, np.arange(3))
        np.testing.assert_array_equal(told.belief, own.belief[:, ::-1])
    with pytest.raises(ValueError, match="are not the model's"):
        beliefs.follow_all(engine.personas, ("a", "b"), engine.catalogue, sessions)


def test_measures_of_a_belief_that_is_the_exact_one_have_ratios_of_one(simulated: tuple[Engine, list[SimulatedSession]]) -> None:
    engine, sessions = simulated
    own = beliefs.follow_all(engine.personas, KEYS, engine.catalogue, sessions)
    exact = [replace(s, belief=s.exact, told=s.exact_told, together=s.exact_mixed) for s in own]
    told = beliefs.measures(exact)
    for name in ("accuracy", "accuracy_single", "mixed_auc"):
        assert told[f"{name}_ratio"].value == pytest.approx(1.0)
        assert told[name] == told[f"exact_{name}"]
    assert told["shifts_found"] == told["exact_shifts_found"]
    assert told["calibration_error"] == told["exact_calibration_error"]


def session_of(truth: list[int], told: list[tuple[int, int]], shift_at: int | None) -> Filtered:
    belief = np.eye(3)[truth]
    return Filtered(
        0, belief[0], belief, belief, np.zeros_like(belief), np.array(truth), shift_at, tuple(told), (), 0.0, 0.0, False, 0.0
    )


@pytest.mark.parametrize(
    ("told", "found"),
    [([(4, 1)], True), ([(6, 1)], True), ([(7, 1)], False), ([(3, 1)], False), ([(5, 2)], False), ([(2, 2), (5, 1)], True)],
)
def test_a_shift_is_found_by_its_target_within_three_steps(told: list[tuple[int, int]], found: bool) -> None:
    session = session_of([0] * 4 + [1] * 5, told, 4)
    assert beliefs.two_sided(session)
    assert beliefs.found_within(session, session.told) == found


def test_a_shift_needs_three_steps_on_both_sides_to_be_asked_for() -> None:
    assert not beliefs.two_sided(session_of([0] * 2 + [1] * 5, [], 2))
    assert not beliefs.two_sided(session_of([0] * 5 + [1] * 2, [], 5))
    assert not beliefs.two_sided(session_of([0] * 9, [], None))


def test_a_change_of_lead_needs_half_of_the_belief_and_a_lead_before() -> None:
    belief = np.array([[0.4, 0.3, 0.3], [0.6, 0.2, 0.2], [0.3, 0.4, 0.3], [0.2, 0.2, 0.6], [0.1, 0.1, 0.8], [0.9, 0.1, 0.0]])
    assert beliefs.changes(belief) == ((3, 2), (5, 0))


def test_the_best_rule_keeps_to_its_false_alarms_and_finds_a_plain_shift() -> None:
    """100 sessions of one persona of which 5 look most like a shift: only those are told; a session that shifts plainly is."""
    still, plain = np.tile([0.0, 1.0], (8, 1)), np.repeat([[0.0, 0.1], [0.05, 0.9]], 4, axis=0)
    shifted = [(0.1 + i / 1_000) * still for i in range(100)] + [plain]
    made = [Filtered(0, b[0], b, b, b, np.zeros(8, int), None, (), (), 0.0, 0.0, False, 0.0) for b in shifted]
    told = beliefs.best_rule(made, np.arange(101) < 100)
    assert sum(bool(t) for t in told[:100]) == 5
    assert told[100][0] == (4, 1)


def test_the_most_unsure_are_the_third_with_the_most_entropy() -> None:
    sessions = [Filtered(0, b, b[None], b[None], b[None], np.zeros(1), None, (), (), 0.0, 0.0, False, 0.0) for b in spread(9)]
    chosen = beliefs.most_unsure(sessions, np.arange(9) != 8)
    assert chosen.tolist() == [False] * 5 + [True] * 3 + [False]


def spread(n: int) -> list[np.ndarray]:
    """Beliefs of rising entropy."""
    return [np.array([1.0 - p, p / 2, p / 2]) for p in np.linspace(0.0, 0.6, n)]


def test_ndcg_of_hand_counted_slates() -> None:
    assert priors.ndcg([1, 2, 3], frozenset({1, 2, 3})) == pytest.approx(1.0)
    assert priors.ndcg([9, 1, 8], frozenset({1})) == pytest.approx(1.0 / math.log2(3.0))
    assert priors.ndcg([9, 1], frozenset({1, 5})) == pytest.approx((1.0 / math.log2(3.0)) / (1.0 + 1.0 / math.log2(3.0)))
    assert priors.ndcg([9], frozenset()) == 0.0


def test_favourites_are_the_most_bought_then_the_latest_then_the_popular() -> None:
    bought = [priors.Purchase(visit, position) for visit, position in [(0, 7), (0, 3), (1, 7), (2, 5)]]
    assert priors.Known(bought, []).favourites([3, 1, 2, 7, 4], cut=5) == [7, 5, 3, 1, 2]


def purchases(engine: Engine, *, sessions: int, later: int) -> tuple[SessionLog, SessionLog]:
    """Sessions of eight shoppers a day apart, three purchases each: shopper u buys items 10 u to 10 u + 2 again and again."""
    n = np.arange(sessions * 3)
    session = n // 3
    user = np.array([f"u{s % 8}" for s in session.tolist()])
    log = SessionLog.of(
        session,
        10 * (session % 8) + n % 3,
        1_700_000_000.0 + 86_400.0 * session + n % 3,
        code=np.full(len(n), CODE["purchase"], dtype=np.int8),
        user=user,
    )
    return log.take(np.arange(sessions) < sessions - later), log.take(np.arange(sessions) >= sessions - later)


def test_first_slates_score_own_favourites_rightly_and_see_nothing_of_the_session(
    simulated: tuple[Engine, list[SimulatedSession]],
) -> None:
    """Who buys the same three items every time is foretold by them alone: NDCG 1; what a session buys later changes no slate."""
    engine, _ = simulated
    trained, later = purchases(engine, sessions=40, later=8)
    scored = priors.first_slates(engine, trained, later, contexts={}, demographics=None, at_most=100)
    assert scored.ndcg["own"].tolist() == [1.0] * 8
    ways = {"guest", "history", "memory", "reminders", "all", "guest_without_persona", "all_without_persona"}
    assert set(scored.ndcg) == set(scored.place) == {"popularity", "own"} | ways
    told = priors.gains(scored)
    assert told["own"].value == 1.0
    assert told["all_less_own"].value == pytest.approx(told["all"].value - 1.0)


def test_a_slate_s_figures_are_hand_counted_for_the_session_and_for_its_first_item() -> None:
    """Two visits that begin with items 4 and 6: one shows it second, the other not at all though it has another of the visit."""
    made = [{"guest": [9, 4, 1], "popularity": [4]}, {"guest": [2, 8], "popularity": [6]}]
    scored = priors.scored_of(made, [[4], [6, 8]], [0, 1])
    assert scored.place["guest"].tolist() == [2, 0]
    assert scored.gain("first_hr20", "guest").tolist() == [1.0, 0.0]
    assert scored.gain("first_mrr20", "guest").tolist() == [0.5, 0.0]
    assert scored.ndcg["guest"][1] == pytest.approx((1.0 / math.log2(3.0)) / (1.0 + 1.0 / math.log2(3.0)))
    assert priors.gains(scored, "first_mrr20")["guest_less_popularity"].value == pytest.approx(0.25 - 1.0)
    with pytest.raises(KeyError):
        scored.gain("recall", "guest")


def test_first_items_are_foretold_by_what_most_sessions_begin_with(simulated: tuple[Engine, list[SimulatedSession]]) -> None:
    """Every session begins with item 7; items 3, 5 and 7 have 40, 20 and 20 visits, so that 7 is third by visits."""
    engine, _ = simulated
    item = np.array([[7, 3, 3, 3], [7, 5, 5, 3]] * 10).ravel()
    log = SessionLog.of(np.repeat(np.arange(20), 4), item, 1_700_000_000.0 + 60.0 * np.arange(80))
    scored = openings.first_items(engine, log, log, contexts={}, at_most=12)
    assert len(scored.shopper) == 12
    assert set(scored.place["openers"].tolist()) == {1}
    assert set(scored.place["popularity"].tolist()) == {3}
    with pytest.raises(priors.NothingToAsk):
        openings.first_items(engine, log, log.take(np.zeros(20, dtype=bool)), contexts={}, at_most=12)


def test_only_households_with_demographics_are_asked_where_there_are_some(
    simulated: tuple[Engine, list[SimulatedSession]],
) -> None:
    engine, _ = simulated
    trained, later = purchases(engine, sessions=40, later=8)
    told = priors.first_slates(engine, trained, later, contexts={}, demographics={"u3": {"age_band": "25-34"}}, at_most=100)
    assert len(told.shopper) == 1
    assert "demographics" in told.ndcg
    with pytest.raises(ValueError, match="no later session"):
        priors.first_slates(engine, trained, later, contexts={}, demographics={"stranger": {}}, at_most=100)
    empty = {"u3": {"age_band": "25-34"}, "u4": {}}
    told = priors.first_slates(engine, trained, later, contexts={}, demographics=empty, at_most=100)
    assert {len(values) for values in told.ndcg.values()} == {1}
    assert priors.gains(told)["demographics"].value == told.ndcg["demographics"][0]


def test_first_slates_of_shoppers_who_never_bought_before_are_refused(
    simulated: tuple[Engine, list[SimulatedSession]],
) -> None:
    engine, _ = simulated
    trained, later = purchases(engine, sessions=40, later=8)
    looked = replace(trained, code=np.full_like(trained.code, CODE["view_item"]))
    with pytest.raises(ValueError, match="had bought before"):
        priors.first_slates(engine, looked, later, contexts={}, demographics=None, at_most=100)
