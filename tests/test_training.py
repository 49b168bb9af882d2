"""The composition root: what each part is given, and what is refused."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from clusters.catalogue import ItemRow, build_catalogue
from clusters.policy import FEATURES, default_policy, learn, statistics
from personas.archetypes import Archetype, Attribute, default_personas
from personas.events import CODE, NAMES
from personas.queries import NO_TOPIC
from personas.sessions import SessionLog
from personas.training import train_personas
from recommendations.benchmarks import step
from recommendations.engine import observe, start
from recommendations.training import MAX_GROUPS, STAGES, item_facts, train_engine
from tests.worlds import MONDAY, World, event, make_world


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(sessions=120)


def test_an_empty_catalogue_is_told_to_import(world: World) -> None:
    with pytest.raises(ValueError, match="import items"):
        train_engine(world.log, build_catalogue([]))


def test_a_log_without_an_item_is_told_to_import_events(world: World) -> None:
    searches = SessionLog.of(np.zeros(2), np.full(2, -1), np.arange(2.0), code=np.full(2, CODE["search"]))
    with pytest.raises(ValueError, match="no event on a known item"):
        train_engine(searches, world.catalogue)


def test_contexts_that_fit_no_session_are_refused(world: World) -> None:
    contexts: list[Mapping[str, str]] = [{}]
    with pytest.raises(ValueError, match=f"contexts 1 != sessions {len(world.log)}"):
        train_engine(world.log, world.catalogue, contexts=contexts)


def test_the_smallest_categories_beyond_forty_are_one_group() -> None:
    rows = [ItemRow(n + 1, f"s{n}", category=f"c{n % 50:02d}") for n in range(150)]
    rows += [ItemRow(151, "s151", category="c00"), ItemRow(152, "s152")]
    catalogue = build_catalogue(rows)
    log = SessionLog.of(np.zeros(2), np.array([0, 1]), np.arange(2.0))
    facts = item_facts(catalogue, log)
    assert len(facts.category_names) == MAX_GROUPS
    assert facts.category_names[-1] == "other"
    assert facts.category[150] == facts.category_names.index("c00")
    assert facts.category[151] == -1
    assert (facts.category == MAX_GROUPS - 1).sum() == 3 * (50 - MAX_GROUPS + 1)


def test_a_shop_without_categories_gets_groups_of_what_is_visited_together(world: World) -> None:
    bare = build_catalogue(ItemRow(n + 1, f"s{n}") for n in range(len(world.catalogue)))
    facts = item_facts(bare, world.log)
    assert 1 < len(facts.category_names) <= MAX_GROUPS
    seen = np.unique(world.log.position)
    assert (facts.category[seen] >= 0).all()


def test_progress_only_moves_forward_and_names_every_stage(world: World) -> None:
    told: list[tuple[str, float]] = []
    train_engine(world.log, world.catalogue, progress=lambda stage, share: told.append((stage, share)))
    shares = [share for _, share in told]
    assert list(dict.fromkeys(stage for stage, _ in told)) == list(STAGES)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


def test_the_step_benchmark_reports_what_it_promises() -> None:
    results = step.run(argparse.Namespace(items=240, events=1_500, steps=60, scale=0))
    for part in ("observe", "recommend", "advance", "plain_recommend", "plain_advance"):
        assert 0 < results[f"{part}_p50_us"] <= results[f"{part}_p99_us"]
    assert 0 < results["state_bytes_p99"] <= 2_048


def test_searches_are_read_by_categories_or_by_groups_where_there_are_none(world: World) -> None:
    facts = item_facts(world.catalogue, world.log)
    assert facts.category_names[facts.topics.topic("Skirt")] == "skirts"
    assert facts.topics.topic("blue") == NO_TOPIC  # of all categories alike
    # Of groups that are visited together, the titles say which is meant: one is of one category and colour.
    bare = build_catalogue(
        ItemRow(n + 1, f"s{n}", f"{name} thing") for n, name in enumerate(f"group{g:02}" for g in world.group.tolist())
    )
    grouped = item_facts(bare, world.log)
    found = [grouped.topics.topic(f"group{g:02}") for g in range(12)]
    for g, topic in enumerate(found):
        if topic != NO_TOPIC:
            assert (grouped.category[world.group == g] == topic).mean() > 2 / 3
    assert sum(topic != NO_TOPIC for topic in found) >= 10


def test_a_search_moves_the_belief_by_its_words(world: World) -> None:
    """Two archetypes that differ in their category alone, and a log without a single search."""
    attributes = tuple(Attribute(i, c, c.title(), "", {f"category={c}": 1.0}) for i, c in enumerate(("skirts", "shoes"), 1))
    archetypes = tuple(Archetype(a.id, a.key, a.name, mix={a.key: 1.0}) for a in attributes)
    engine = train_engine(world.log, world.catalogue, attributes=attributes, archetypes=archetypes)

    def belief(query: str) -> np.ndarray:
        state = start(engine, shop=1, session="s", at=MONDAY)
        return np.exp(np.array(observe(engine, state, event(0, "search", at=MONDAY, query=query)).persona.log_belief))

    neutral = belief("blue")
    assert belief("skirts")[0] > max(0.8, neutral[0])
    assert belief("red shoes")[1] > max(0.8, neutral[1])
    np.testing.assert_allclose(belief("zzz"), neutral)


def test_a_session_with_searches_is_believed_online_as_in_training(world: World) -> None:
    rng = np.random.default_rng(4)
    n = len(world.log.code)
    searches = rng.random(n) < 0.3
    typed = rng.choice(np.array(["skirts", "red shoes", "blue", "blouse", "?"], dtype=object), n)
    log = SessionLog.of(
        world.log.session_of,
        np.where(searches, -1, world.log.position),
        world.log.at,
        code=np.where(searches, CODE["search"], world.log.code),
        query=np.where(searches, typed, ""),
    )
    facts = item_facts(world.catalogue, log)
    descriptors, matrix = world.catalogue.descriptors, world.catalogue.item_descriptors
    model, beliefs, _ = train_personas(log, facts, descriptors, matrix, *default_personas(facts), None, None)
    assert "query" in model.learned
    engine = dataclasses.replace(train_engine(world.log, world.catalogue), personas=model)
    for part in list(log.slices())[:20]:
        state = start(engine, shop=1, session="s", at=float(log.at[part.start]))
        for i in range(part.start, part.stop):
            item = int(world.catalogue.item_ids[log.position[i]])
            query = log.queries[log.query[i]] if log.query[i] >= 0 else ""
            state = observe(engine, state, event(i, NAMES[log.code[i]], item, at=float(log.at[i]), query=query))
            np.testing.assert_allclose(np.exp(np.array(state.persona.log_belief)), beliefs[i], rtol=0, atol=1e-5)


def test_a_training_takes_todays_hand_rule_until_something_was_learned(world: World) -> None:
    engine, today = train_engine(world.log, world.catalogue, most_examples=500), default_policy()
    assert not today.has_learned
    older = dataclasses.replace(today, mean=today.mean + 0.01, precision=3 * today.precision, version="of-last-spring")
    kept = statistics(np.eye(len(FEATURES))[[FEATURES.index("bias")]] + 0.01, np.array([1]), np.ones(1))
    for before, after in ((older, today.version), (learn(older, kept), learn(older, kept).version)):
        previous = dataclasses.replace(engine, policy=before)
        assert train_engine(world.log, world.catalogue, previous=previous, most_examples=500).policy.version == after
