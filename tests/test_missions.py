"""Shoppers on a mission: what is planted can be found, searches vary as said, and a session serves its occasion.

Oracles: the catalogue's own categories, frequencies over many seeded draws, the shares that the module names.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from rapidfuzz.distance import OSA

from clusters.catalogue import ItemRow, build_catalogue
from personas.events import CODE
from personas.sessions import NO_ITEM, NO_QUERY
from recommendations.benchmarks.persona_shops import demo_shop
from recommendations.evaluation.simulation import World, build_world, to_log
from recommendations.evaluation.simulation import missions as module
from recommendations.evaluation.simulation.missions import (
    Missions,
    MissionSession,
    Occasion,
    OccasionError,
    mistyped,
    other_number,
    parse_occasions,
    plant,
    shop_for,
    typed,
)

FOLDER = Path(settings.BASE_DIR) / "data" / "outfitter"
START = 1_700_000_000.0


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(*demo_shop(FOLDER), seed=3)


@pytest.fixture(scope="module")
def missions(world: World) -> Missions:
    return plant(world.catalogue, parse_occasions(json.loads((FOLDER / "occasions.json").read_text())))


@pytest.fixture(scope="module")
def sessions(world: World, missions: Missions) -> list[MissionSession]:
    return list(shop_for(world, missions, sessions=1_200, seed=5, start_at=START, days=10.0))


def test_every_shipped_occasion_is_found_and_spans_categories(world: World, missions: Missions) -> None:
    assert len(missions.occasions) == 20
    assert missions.dropped == ()
    for occasion in missions.occasions:
        found = [missions.search(thing) for thing in occasion.things]
        assert 4 <= len(occasion.things) <= 8
        assert min(map(len, found)) > 0
        assert len({int(world.catalogue.category[positions[0]]) for positions in found}) >= 2, occasion.name
    things = [thing for occasion in missions.occasions for thing in occasion.things]
    assert len(things) == len(set(things))


def test_what_the_catalogue_lacks_is_dropped_with_the_reason(world: World) -> None:
    rows = [("tent", "camping"), ("lantern", "camping"), ("boots", "shoes"), ("mug", "kitchen"), ("pan", "kitchen")]
    catalogue = build_catalogue(ItemRow(i + 1, f"i{i}", title, home) for i, (title, home) in enumerate(rows))
    kept, poor, narrow = (
        Occasion("trip", ("tent", "lantern", "boots", "mug", "yacht")),
        Occasion("poor", ("pan", "submarine", "sceptre", "crown")),
        Occasion("narrow", ("tents", "lanterns", "tent lantern", "lantern tent")),
    )
    planted = plant(catalogue, (kept, poor, narrow), _having_any(["tent", "lantern", "boots", "mug", "pan"]))
    assert [o.things for o in planted.occasions] == [("tent", "lantern", "boots", "mug")]
    told = {(d.occasion, d.thing): d.reason for d in planted.dropped}
    assert told["trip", "yacht"] == "the catalogue search finds nothing"
    assert told["poor", ""] == "1 of its things are found, 4 are needed"
    assert told["narrow", ""] == "all its things are in 'camping'"
    with pytest.raises(ValueError, match="nothing to come for"):
        next(shop_for(world, plant(catalogue, ()), sessions=1, seed=0, start_at=START))


def _having_any(titles: list[str]) -> module.Search:
    """Items whose title the words have, but for the plural."""

    def find(words: str) -> np.ndarray:
        return np.array([i for i, title in enumerate(titles) if title in words.split() or f"{title}s" in words.split()])

    return find


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "occasions: not a list"),
        (["x"], r"occasions\[0\]: not an object"),
        ([{"things": ["a"]}], r"occasions\[0\].name: missing"),
        ([{"name": "a", "things": "tent"}], r"occasions\[0\].things: not a list of texts"),
        ([{"name": "a", "things": [" "]}], r"occasions\[0\].things: not a list of texts"),
        ([{"name": "a", "things": []}, {"name": "a", "things": []}], r"occasions\[1\].name: 'a' is there already"),
        ([{"name": "a", "things": ["Tent"]}, {"name": "b", "things": ["tent "]}], "'tent' is a thing of 'a' already"),
    ],
)
def test_bad_occasions_are_refused_by_field(document: object, said: str) -> None:
    with pytest.raises(OccasionError, match=said):
        parse_occasions(document)


def test_the_same_seed_gives_the_same_sessions(world: World, missions: Missions, sessions: list[MissionSession]) -> None:
    again = list(shop_for(world, missions, sessions=1_200, seed=5, start_at=START, days=10.0))
    assert again == sessions
    assert next(shop_for(world, missions, sessions=1_200, seed=6, start_at=START, days=10.0)) != sessions[0]


def test_a_session_searches_for_its_occasions_in_turn(missions: Missions, sessions: list[MissionSession]) -> None:
    own = stray = 0
    for session in sessions:
        assert 2 <= len(session.sought) <= 5 * len(session.occasions)
        assert [e.query for e in session.events if e.name == "search"] == [s.query for s in session.sought]
        assert len(set(session.occasions)) == len(session.occasions) <= 2
        own += sum(s.occasion in session.occasions for s in session.sought)
        stray += sum(s.occasion not in session.occasions for s in session.sought)
    assert stray / (own + stray) == pytest.approx(module.STRAY, abs=0.02)
    assert np.mean([len(s.occasions) == 2 for s in sessions]) == pytest.approx(module.ANOTHER, abs=0.03)
    assert min(Counter(o for s in sessions for o in s.occasions).values()) > 10, "every occasion has shoppers"


def test_a_second_occasion_comes_after_a_pause_that_cuts_the_history(sessions: list[MissionSession]) -> None:
    for session in sessions:
        gaps = np.diff([e.at for e in session.events])
        assert (gaps >= 0).all()
        # Looks take half an hour at the most; the pause between occasions is longer than any of them.
        assert (gaps > module.PAUSE_S[0]).sum() == len(session.occasions) - 1


def test_lists_show_what_the_search_finds_and_looks_come_from_them(
    world: World, missions: Missions, sessions: list[MissionSession]
) -> None:
    looked = 0
    for session in sessions[:300]:
        shown: tuple[int, ...] = ()
        for event in session.events:
            if event.name == "search":
                found = world.catalogue.item_ids[missions.search(event.query)[:24]]
                shown = ()
            elif event.name == "view_item_list":
                shown = event.items
                assert list(shown) == found.tolist()
                assert event.slots == tuple(range(len(shown)))
            elif event.name == "view_item":
                assert event.item in shown
                looked += 1
    assert looked > 300


def test_taste_tells_in_what_is_looked_at(world: World, sessions: list[MissionSession]) -> None:
    """What shoppers look at suits their own persona more than the others on average: 1,200 sessions, margin 0.2 utility."""
    own, others = [], []
    for session in sessions:
        for event in session.events:
            if event.name == "view_item":
                taste = world.taste[:, world.catalogue.position(event.item)]
                own.append(taste[session.persona])
                others.append(np.delete(taste, session.persona).mean())
    assert np.mean(own) > np.mean(others) + 0.2


def test_words_vary_as_often_as_said() -> None:
    rng = np.random.default_rng(1)
    drawn = [typed("hiking boots", ("red",), rng) for _ in range(8_000)]
    share = Counter(re.sub(r"[^a-z ]", "", query.lower()) for query in drawn)
    assert np.mean([q != q.lower() for q in drawn]) == pytest.approx(module.CAPITALS, abs=0.015)
    assert np.mean(["red" in q.lower().split() for q in drawn]) == pytest.approx(module.ATTRIBUTE, abs=0.015)
    right = {"hiking", "boots", "boot", "red"}
    assert np.mean([not set(q.lower().split()) <= right for q in drawn]) == pytest.approx(module.TYPO, abs=0.012)
    assert share["hiking boot"] > share["boots hiking"] > share["boot hiking"] > 0
    assert share["hiking boots"] / len(drawn) > 0.45


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("tent", "tents"),
        ("tents", "tent"),
        ("wrench", "wrenches"),
        ("glasses", "glass"),
        ("berry", "berries"),
        ("cookies", "cookies"),
    ],
)
def test_number_follows_the_common_rules(word: str, other: str) -> None:
    assert other_number(word) == other


def test_a_slip_is_one_edit_and_spares_short_words_and_first_letters() -> None:
    rng = np.random.default_rng(2)
    assert mistyped(["smart", "tv"], rng)[1] == "tv"
    assert mistyped(["tv", "mug"], rng) == ["tv", "mug"]
    for _ in range(300):
        word = mistyped(["lantern"], rng)[0]
        assert word[0] == "l"
        assert OSA.distance(word, "lantern") <= 1  # another letter may be the same one


def test_they_make_a_log_like_other_simulated_sessions(world: World, sessions: list[MissionSession]) -> None:
    log, evidence = to_log(sessions, world.catalogue)
    searches = log.code == CODE["search"]
    assert len(log) == len(sessions) == len(evidence)
    assert (log.query[searches] != NO_QUERY).all()
    assert (log.query[~searches] == NO_QUERY).all()
    assert (log.position[log.code == CODE["view_item"]] != NO_ITEM).all()
    assert all("country" in told for told in evidence)
    assert (np.diff(log.starts) >= 0).all()
    assert {key.split("-")[0] for key in log.keys.tolist()} == {"sim"}
