"""A draft of personas before its fit: the tables that one round of the fit on the log would give, found without the log."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from personas import profile
from personas.archetypes import Archetype, Attribute, PersonaError, starting_model
from personas.encoding import FACTORS, encode_steps, novelty, value_names
from personas.events import CODE
from personas.fitting import fit
from personas.profile import PersonaModel, Signal
from personas.repeats import steps_once
from personas.reweighing import Fitted, reweighed
from personas.training import train_personas
from tests.persona_world import ARCHETYPES, ATTRIBUTES, DESCRIPTORS, World, world


@pytest.fixture(scope="module")
def made() -> tuple[World, PersonaModel, Fitted]:
    """A world of four personas, the model fitted on its log, and what that was fitted to and on."""
    shop = world(3)
    model, _, report = train_personas(
        shop.log, shop.facts, DESCRIPTORS, shop.item_descriptors, ATTRIBUTES, ARCHETYPES, None, None
    )
    shares = dict(zip(model.ids, report.share.tolist(), strict=True))
    return shop, model, Fitted(ATTRIBUTES, ARCHETYPES, float(len(shop.log.code)), shares)


def moved(key: str, weights: dict[str, float]) -> tuple[Attribute, ...]:
    """The world's attributes, one of them with other weights."""
    return tuple(replace(a, weights=weights) if a.key == key else a for a in ATTRIBUTES)


def draft(made: tuple[World, PersonaModel, Fitted], attributes: tuple[Attribute, ...]) -> PersonaModel:
    shop, model, fitted = made
    return reweighed(model, fitted, attributes, ARCHETYPES, DESCRIPTORS, shop.item_descriptors)


def test_the_same_definition_gives_the_very_same_model(made: tuple[World, PersonaModel, Fitted]) -> None:
    model, again = made[1], draft(made, ATTRIBUTES)
    for before, after in zip(model.hmm.log_emission, again.hmm.log_emission, strict=True):
        assert np.array_equal(before, after)
    assert np.array_equal(model.hmm.log_initial, again.hmm.log_initial)
    assert np.array_equal(model.hmm.log_transition, again.hmm.log_transition)
    assert np.array_equal(model.item_attributes, again.item_attributes)
    assert np.array_equal(model.mix, again.mix)


@pytest.mark.parametrize(
    ("key", "weights", "factor"),
    [
        ("thrift", {"price_tier=low": 0.4}, "price_tier"),
        ("luxury", {"price_tier=top": 1.0, "price_tier=upper": 0.8}, "price_tier"),
        ("boots", {"category=boots": 0.6, "category=hats": -0.5}, "category"),
        ("thrift", {"price_tier=low": 1.0, "category=hats": 0.7}, "category"),
    ],
)
def test_it_is_what_one_round_of_the_fit_gives(
    made: tuple[World, PersonaModel, Fitted], key: str, weights: dict[str, float], factor: str
) -> None:
    """Oracle: EM itself, one iteration on the log from where the model is, with the draft's pseudo-counts."""
    shop, model, _ = made
    attributes = moved(key, weights=weights)
    steps = steps_once(encode_steps(shop.facts, shop.log))
    _, pseudo = starting_model(
        attributes, ARCHETYPES, shop.facts, DESCRIPTORS, shop.item_descriptors, steps.codes, len(steps.sessions)
    )
    round_of_it, _ = fit(steps.codes, steps.offsets, start=model.hmm, pseudo_counts=pseudo, iterations=1)
    f = FACTORS.index(factor)
    before, now = np.exp(model.hmm.log_emission[f]), np.exp(draft(made, attributes).hmm.log_emission[f])
    oracle = np.exp(round_of_it.log_emission[f])
    assert np.abs(oracle - before).max() > 0.03, "the draft moves something"
    assert np.abs(now - oracle).max() < 0.25 * np.abs(oracle - before).max()
    assert np.corrcoef((now - before).ravel(), (oracle - before).ravel())[0, 1] > 0.97


def belief(model: PersonaModel, shop: World, items: list[int], persona: int) -> float:
    """P(persona) after looks at the items, half a minute apart."""
    state = profile.start(model, evidence={}, at=0.0)
    for n, item in enumerate(items):
        signal = Signal(f"e{n}", CODE["view_item"], item, 30.0 * n, None, novelty(items[:n], item))
        state = profile.update(model, state, signal)
    return float(np.exp(state.log_belief[model.ids.index(persona)]))


def test_a_raised_weight_moves_belief_towards_the_persona_where_visits_show_it_and_never_away(
    made: tuple[World, PersonaModel, Fitted],
) -> None:
    """Oracle: the facts of the items that each visit looks at."""
    shop, model, _ = made
    thrift = next(a for a in ARCHETYPES if a.key == "thrift").id
    after = draft(made, moved("thrift", weights={"price_tier=low": 1.0, "category=hats": 0.7}))
    rng = np.random.default_rng(8)
    hats = np.flatnonzero(shop.facts.category == shop.facts.category_names.index("hats"))
    others = np.flatnonzero(shop.facts.category != shop.facts.category_names.index("hats"))
    for _ in range(60):
        n = int(rng.integers(2, 9))
        of_hats, of_others = rng.choice(hats, n, replace=False).tolist(), rng.choice(others, n, replace=False).tolist()
        assert belief(after, shop, of_hats, thrift) > belief(model, shop, of_hats, thrift)
        assert belief(after, shop, of_others, thrift) < belief(model, shop, of_others, thrift)


def test_untouched_personas_keep_their_tables(made: tuple[World, PersonaModel, Fitted]) -> None:
    model, after = made[1], draft(made, moved("thrift", weights={"price_tier=low": 0.2}))
    for f in range(len(FACTORS)):
        assert np.array_equal(model.hmm.log_emission[f][1:], after.hmm.log_emission[f][1:])
    assert not np.array_equal(model.hmm.log_emission[2][0], after.hmm.log_emission[2][0])


def test_a_persona_that_is_added_shows_what_it_says_and_one_that_goes_leaves_the_others(
    made: tuple[World, PersonaModel, Fitted],
) -> None:
    shop, model, fitted = made
    coats = Attribute(15, "coats", "Coats", "", {"category=coats": 1.0})
    archetypes = (*ARCHETYPES[1:], Archetype(30, "coats", "Coats", "tag", "#000000", {"coats": 1.0}))
    after = reweighed(model, fitted, (*ATTRIBUTES, coats), archetypes, DESCRIPTORS, shop.item_descriptors)
    assert after.ids == (*model.ids[1:], 30)
    for table in (after.hmm.log_initial[None], after.hmm.log_transition, *after.hmm.log_emission):
        assert np.exp(table).sum(axis=1) == pytest.approx(1.0)
    place = value_names(shop.facts)[1].index("coats")
    assert np.exp(after.hmm.log_emission[1][-1, place]) > 0.6
    items = np.flatnonzero(shop.facts.category == place)[:5].tolist()
    assert belief(after, shop, items, 30) > 0.8


def test_a_definition_that_can_not_be_taken_is_refused(made: tuple[World, PersonaModel, Fitted]) -> None:
    shop, model, fitted = made
    with pytest.raises(PersonaError, match="at least one"):
        reweighed(model, fitted, ATTRIBUTES, (), DESCRIPTORS, shop.item_descriptors)
    other = replace(fitted, archetypes=ARCHETYPES[:2])
    with pytest.raises(PersonaError, match="isn't said to be fitted to"):
        reweighed(model, other, ATTRIBUTES, ARCHETYPES, DESCRIPTORS, shop.item_descriptors)
