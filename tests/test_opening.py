"""First slates from the prior: what a belief moves, what it leaves alone, and whom each item is for."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from personas.encoding import FACTORS
from personas.profile import PersonaState
from personas.sessions import SessionLog
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.ranking.features import EXPERTS
from recommendations.ranking.opening import DEPTH, ENTRY, FEW, Shelves, build_shelves, learn_entry, open_with
from recommendations.ranking.popularity import TOP, Popularity, build_popularity
from recommendations.session import Request, SessionState, Slate
from tests.worlds import MONDAY, make_world, train_world

NOBODY = np.zeros(0, dtype=np.intp)
NO_RATES = np.zeros(0)


def made(
    share: np.ndarray,
    category: np.ndarray,
    given: np.ndarray,
    prior: np.ndarray,
    popularity: Popularity | None = None,
    entry: float = 0.0,
) -> tuple[Popularity, Shelves]:
    """A shop of `given` (K, C) P(category | persona) and items of these shares of all visits, or of this popularity."""
    log_share = np.log(share / share.sum()).astype(np.float32)
    facts = np.column_stack([log_share, log_share, *[np.zeros_like(log_share)] * 3])
    top = np.argsort(-log_share, kind="stable")[:TOP].astype(np.int32)
    popularity = popularity or Popularity(facts, top)
    tables = [np.log(given) if name == "category" else np.zeros((len(prior), 4)) for name in FACTORS]
    hmm = SimpleNamespace(log_initial=np.log(prior), log_emission=tuple(tables))
    no_tier, no_prices = np.full(len(share), -1, dtype=np.int8), np.zeros(0, dtype=bool)
    of_items = SimpleNamespace(category=category, price_tier=no_tier, reduced=no_prices)
    model = SimpleNamespace(hmm=hmm, facts=of_items, ids=tuple(range(1, len(prior) + 1)))
    return popularity, build_shelves(popularity, model, entry)  # type: ignore[arg-type]


PRIOR = np.array([0.7, 0.3])
GIVEN = np.array([[0.8, 0.2], [0.1, 0.9]])


def small(n: int = 60) -> tuple[Popularity, Shelves]:
    rng = np.random.default_rng(0)
    return made(rng.random(n) + 0.1, (np.arange(n) % 3 - 1).astype(np.int16), GIVEN, PRIOR)


def test_the_belief_of_nobody_in_particular_gives_popularity_itself() -> None:
    rng = np.random.default_rng(1)
    n = 3_000
    popularity, shelves = made(rng.integers(1, 9, n).astype(float), (np.arange(n) % 2).astype(np.int16), GIVEN, PRIOR)
    opening = open_with(shelves, belief=PRIOR, own=NOBODY, rates=NO_RATES)
    order = np.argsort(-opening.scores, kind="stable")
    np.testing.assert_array_equal(opening.positions[order][:100], popularity.top[:100])


def test_scores_are_bayes_rule_over_items_and_personas() -> None:
    """Oracle: P(item | belief) = sum_k belief_k P(item | k), P(item | k) = P(item) P(category | k) / P(category), normalised."""
    popularity, shelves = small()
    belief = np.array([0.2, 0.8])
    opening = open_with(shelves, belief=belief, own=NOBODY, rates=NO_RATES)
    category = np.arange(60) % 3 - 1
    told = np.where(category >= 0, (belief @ GIVEN)[category] / (PRIOR @ GIVEN)[category], 1.0)
    wanted = np.exp(popularity.facts[:, 1]) * told
    np.testing.assert_allclose(np.exp(opening.scores), (wanted / wanted.sum())[opening.positions], rtol=1e-4)


def test_an_item_is_for_the_persona_that_it_speaks_for_most() -> None:
    _, shelves = small()
    belief = np.array([0.5, 0.5])
    opening = open_with(shelves, belief=belief, own=NOBODY, rates=NO_RATES)
    category = np.arange(60)[opening.positions] % 3 - 1
    assert set(opening.personas[category == 0].tolist()) == {0}
    assert set(opening.personas[category == 1].tolist()) == {1}


def test_the_best_of_an_unpopular_shelf_may_open_and_no_more_than_its_depth() -> None:
    n = 4_000
    category = (np.arange(n) >= n - 300).astype(np.int16)
    share = np.where(category == 1, 1.0, 1_000.0) * (1.0 + np.arange(n)[::-1] / n)
    _, shelves = made(share, category, np.array([[0.999, 0.001], [0.001, 0.999]]), np.array([0.999, 0.001]))
    opening = open_with(shelves, belief=np.array([0.0, 1.0]), own=NOBODY, rates=NO_RATES)
    best = opening.positions[np.argsort(-opening.scores, kind="stable")]
    assert set(best[:DEPTH].tolist()) == set(range(n - 300, n - 300 + DEPTH)), "none is among the most popular"
    assert len(opening.positions) <= TOP


def test_reminders_are_mixed_in_as_often_as_the_log_says() -> None:
    """Oracle: (1 - r) P(item) + r for the item, (1 - r) P(item) for the others, up to the factor 1 - r."""
    popularity, shelves = small()
    own, rates = np.array([7, 8]), np.array([0.2, 0.1, 0.05])
    opening = open_with(shelves, belief=PRIOR, own=own, rates=rates)
    share = np.exp(popularity.facts[:, 1].astype(float))
    wanted = 0.7 * share
    wanted[7] += 0.2
    wanted[8] += 0.1
    np.testing.assert_allclose(np.exp(opening.scores), (wanted / 0.7)[opening.positions], rtol=1e-4)
    reminded = opening.parts[:, EXPERTS.index("reminders")]
    assert set(opening.positions[reminded > 0.5].tolist()) == {7, 8}
    never = open_with(shelves, belief=PRIOR, own=own, rates=np.zeros(3))
    np.testing.assert_array_equal(never.scores, open_with(shelves, belief=PRIOR, own=NOBODY, rates=NO_RATES).scores)


def doors(*, open_with_few: bool, sessions: int = 400, seed: int = 0) -> SessionLog:
    """Visits of five items, of forty: what they begin with is one of ten items, or like all the rest of what they look at."""
    rng = np.random.default_rng(seed)
    position = rng.integers(40, size=(sessions, 5))
    if open_with_few:
        position[:, 0] = rng.integers(10, size=sessions)
    return SessionLog.of(np.repeat(np.arange(sessions), 5), position.ravel(), np.arange(position.size) * 60.0)


@pytest.mark.parametrize("few", [True, False])
def test_what_visits_begin_with_leads_where_later_visits_begin_with_it_too(few: bool) -> None:
    log, later = doors(open_with_few=few), doors(open_with_few=few, seed=1)
    popularity = build_popularity(log, 40, weight=np.ones(len(log)))
    entry = learn_entry(popularity, later.position[later.offsets[:-1]])
    assert entry >= 0.75 if few else entry <= 0.25
    _, shelves = made(np.ones(40), np.zeros(40, dtype=np.int16), GIVEN, PRIOR, popularity, entry)
    opening = open_with(shelves, belief=PRIOR, own=NOBODY, rates=NO_RATES)
    first = opening.positions[np.argsort(-opening.scores, kind="stable")][:10]
    assert (set(first.tolist()) == set(range(10))) == few
    assert np.exp(shelves.every).sum() == pytest.approx(1.0)


def test_too_few_visits_choose_nothing() -> None:
    log = doors(open_with_few=True)
    popularity = build_popularity(log, 40, weight=np.ones(len(log)))
    assert learn_entry(popularity, np.zeros(FEW - 1, dtype=np.int32)) == ENTRY


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world())


def begin(engine: Engine, belief: np.ndarray, own: tuple[int, ...] = ()) -> SessionState:
    state = loop.start(engine, shop=1, session="s", at=MONDAY, own=own)
    logs = tuple(np.log(belief).tolist())
    persona = PersonaState(state.persona.archetypes, logs, logs, MONDAY, affinity=state.persona.affinity)
    return dataclasses.replace(state, persona=persona)


def slate(engine: Engine, state: SessionState, count: int = 12) -> Slate:
    return loop.recommend(engine, state, Request(now=MONDAY, count=count, explore=0.0), loop.generator(state))[1]


def sure_of(engine: Engine, *personas: int) -> np.ndarray:
    k = len(engine.personas.ids)
    belief = np.full(k, 0.04 / k)
    belief[list(personas)] += 0.96 / len(personas)
    return belief / belief.sum()


def test_whoever_the_shopper_is_shows_in_the_first_slate_and_no_item_comes_twice(engine: Engine) -> None:
    """The default personas are the shop's categories after four of taste: each one's slate holds more of its own."""
    names = engine.personas.archetype_names
    for category in engine.catalogue.categories:
        k = next((i for i, name in enumerate(names) if name.lower() == category), None)
        assert k is not None, names
        shown = slate(engine, begin(engine, sure_of(engine, k)))
        of = [engine.catalogue.categories[engine.catalogue.category[engine.catalogue.position(i.item)]] for i in shown.items]
        assert of.count(category) >= 7, (category, of)
        assert len({i.item for i in shown.items}) == 12


def test_two_personas_share_the_first_slate_and_its_items_say_whose_they_are(engine: Engine) -> None:
    k = len(engine.personas.ids)
    shown = slate(engine, begin(engine, sure_of(engine, k - 1, k - 2)))
    whose = [i.persona for i in shown.items]
    assert min(whose.count(engine.personas.ids[p]) for p in (k - 1, k - 2)) >= 5


def test_reminders_come_first_where_shoppers_want_the_same_again_and_say_so(engine: Engine) -> None:
    assert engine.ranker.reminders is not None
    assert not engine.ranker.reminders.any(), "a log of guests knows of nobody who came back"
    rates = np.full(10, 0.05)
    again = dataclasses.replace(engine, ranker=dataclasses.replace(engine.ranker, reminders=rates))
    plain = [i.item for i in slate(engine, begin(engine, np.exp(engine.personas.hmm.log_initial))).items]
    own = tuple(i for i in range(1, 73) if i not in plain)[:3]
    state = begin(engine, np.exp(engine.personas.hmm.log_initial), (*own, 999_999))
    assert [i.item for i in slate(engine, state).items] == plain
    shown = slate(again, state).items
    assert {i.item for i in shown[:3]} == set(own)
    assert {i.expert for i in shown[:3]} == {"reminders"}
    assert "earlier visit" in shown[0].reason
    old = dataclasses.replace(engine, ranker=dataclasses.replace(engine.ranker, reminders=None))
    assert [i.item for i in slate(old, state).items] == plain, "a release of before there were reminders still serves"
