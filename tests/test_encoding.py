"""Observation codes: what training reads of a log is what serving saw at the time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from personas import encoding
from personas.encoding import (
    ABSENT,
    FACTORS,
    NEW,
    REPEAT,
    RETURN,
    ItemFacts,
    encode,
    encode_log,
    encode_steps,
    novelty,
    searching,
)
from personas.events import CODE, ITEM_ACTIONS, NAMES
from personas.queries import learn_topics
from personas.sessions import NO_ITEM, NO_QUERY, SessionLog

GROUPS = np.array([0, 1, 2, -1, 0], np.int16)
FACTS = ItemFacts(
    GROUPS,
    np.array([0, 3, -1, 2, 1], np.int8),
    ("boots", "coats", "hats"),
    reduced=np.array([True, False, False, True, False]),
    topics=learn_topics(["Leather boots", "Rain coat", "Rain hat", "Gift card", "Boots"], GROUPS, 3),
)
QUERIES = np.array(["", "boots", "Coats", "rain", "HATS, please", "gift card", "\u00e9\u00e9"])


def online(facts: ItemFacts, log: SessionLog) -> np.ndarray:
    """The oracle: one event at a time, with only what a live session remembers."""
    rows = []
    for part in log.slices():
        recent: list[int] = []
        last_at: float | None = None
        searched = ABSENT
        for i in range(part.start, part.stop):
            code, position, at = int(log.code[i]), int(log.position[i]), float(log.at[i])
            dwell = None if np.isnan(log.dwell_s[i]) else float(log.dwell_s[i])
            gap = None if last_at is None or log.clock != "second" else at - last_at
            query = "" if log.query[i] == NO_QUERY else log.queries[log.query[i]]
            new = novelty(recent, position)
            rows.append(
                encode(
                    facts,
                    code=code,
                    position=position,
                    dwell_s=dwell,
                    gap_s=gap,
                    novelty=new,
                    query=query,
                    searched=searched,
                )
            )
            searched = searching(searched, rows[-1])
            if NAMES[code] in ITEM_ACTIONS and position != NO_ITEM:
                recent = [*recent, position][-encoding.NOVELTY_WINDOW :]
            last_at = at if code in encoding.STEPS else last_at
    return np.array(rows, dtype=np.int16).reshape(-1, len(FACTORS))


@pytest.mark.parametrize("clock", ["second", "day", "order"])
@pytest.mark.parametrize("seed", range(5))
def test_log_encodes_as_the_events_did_online(seed: int, clock: str) -> None:
    rng = np.random.default_rng(seed)
    n = 600
    session = rng.integers(0, 12, n)
    log = SessionLog.of(
        session,
        rng.integers(-1, 5, n),
        rng.exponential(40.0, n).cumsum() if clock == "second" else rng.integers(0, 3, n).astype(float),
        code=rng.integers(0, len(NAMES), n),
        dwell_s=np.where(rng.random(n) < 0.5, rng.exponential(40.0, n), np.nan),
        clock=clock,
        query=rng.choice(QUERIES, n),
    )
    codes = encode_log(FACTS, log)
    np.testing.assert_array_equal(codes, online(FACTS, log))
    assert all((codes[:, f] >= 0).any() for f, name in enumerate(FACTORS) if name != "gap" or clock == "second")


def test_a_view_never_tells_the_dwell_that_only_the_next_event_reveals() -> None:
    log = SessionLog.of(np.zeros(2), np.array([0, 1]), np.array([0.0, 100.0]))
    assert log.dwell_s[0] == 100.0
    codes = encode_log(FACTS, log)
    assert codes[:, FACTORS.index("dwell")].tolist() == [ABSENT, ABSENT]
    assert codes[:, FACTORS.index("gap")].tolist() == [ABSENT, encoding.GAPS.index("under_3m")]


def test_an_engagement_brings_its_dwell_and_nothing_else() -> None:
    codes = encode(FACTS, code=CODE["user_engagement"], position=1, dwell_s=20.0, gap_s=3.0, novelty=REPEAT)
    assert dict(zip(FACTORS, codes, strict=True)) == {
        "event": ABSENT,
        "category": ABSENT,
        "price_tier": ABSENT,
        "dwell": encoding.DWELLS.index("under_45s"),
        "gap": ABSENT,
        "novelty": ABSENT,
        "query": ABSENT,
        "discount": ABSENT,
    }


def test_steps_take_the_dwell_of_the_engagement_after_them() -> None:
    names = ["user_engagement", "view_item", "view_item_list", "user_engagement", "user_engagement", "view_item"]
    log = SessionLog.of(
        np.zeros(6),
        np.array([0, 0, 1, 0, 0, 1]),
        np.arange(6) * 10.0,
        code=np.array([CODE[n] for n in names]),
        dwell_s=np.array([7.0, np.nan, np.nan, 20.0, 300.0, np.nan]),
    )
    steps = encode_steps(FACTS, log)
    assert steps.rows.tolist() == [1, 5]
    assert steps.codes[:, FACTORS.index("dwell")].tolist() == [encoding.DWELLS.index("under_45s"), ABSENT]
    assert steps.codes[:, FACTORS.index("gap")].tolist() == [ABSENT, encoding.GAPS.index("under_1m")]
    assert steps.last.tolist() == [-1, 0, 0, 0, 0, 1]


def test_sessions_without_a_step_are_left_out() -> None:
    code = np.array([CODE["view_item_list"], CODE["view_item"], CODE["user_engagement"]])
    log = SessionLog.of(np.array([0, 1, 2]), np.array([0, 1, 2]), np.arange(3.0), code=code)
    steps = encode_steps(FACTS, log)
    assert steps.sessions.tolist() == [1]
    assert steps.offsets.tolist() == [0, 1]
    assert steps.last.tolist() == [-1, 0, -1]


def test_an_unknown_item_still_carries_its_event() -> None:
    codes = encode(FACTS, code=CODE["add_to_cart"], position=NO_ITEM, dwell_s=None, gap_s=None, novelty=NEW)
    assert codes == (CODE["add_to_cart"], *[ABSENT] * (len(FACTORS) - 1))


def test_novelty_is_new_then_repeat_then_return() -> None:
    assert [novelty([], 7), novelty([7], 7), novelty([7, 8], 7)] == [NEW, REPEAT, RETURN]


def test_an_item_is_new_again_once_its_touch_has_left_the_state() -> None:
    w = encoding.NOVELTY_WINDOW
    facts = ItemFacts(np.zeros(100, np.int16), np.zeros(100, np.int8), ("all",))
    for others, expected in ((w - 1, RETURN), (w, NEW)):
        position = np.concatenate(([0], np.arange(1, others + 1), [0]))
        log = SessionLog.of(np.zeros(len(position)), position, np.arange(len(position), dtype=float))
        assert encode_log(facts, log)[-1, FACTORS.index("novelty")] == expected
        np.testing.assert_array_equal(encode_log(facts, log), online(facts, log))


def test_an_empty_log_has_no_codes() -> None:
    empty = np.zeros(0)
    assert encode_log(FACTS, SessionLog.of(empty, empty, empty)).shape == (0, len(FACTORS))


def test_facts_refuse_more_groups_than_a_state_can_learn() -> None:
    with pytest.raises(ValueError, match="41 categories, more than 40"):
        ItemFacts(np.zeros(1, np.int16), np.zeros(1, np.int8), tuple(map(str, range(41))))
    with pytest.raises(ValueError, match=r"category \(2,\) != price_tier \(1,\)"):
        ItemFacts(np.zeros(2, np.int16), np.zeros(1, np.int8), ("a",))
    with pytest.raises(ValueError, match="category 1 has no name"):
        ItemFacts(np.ones(1, np.int16), np.zeros(1, np.int8), ("a",))


def test_a_search_tells_what_its_words_are_about() -> None:
    def codes(query: str, name: str = "search") -> dict[str, int]:
        given = encode(FACTS, code=CODE[name], position=NO_ITEM, dwell_s=None, gap_s=None, novelty=ABSENT, query=query)
        return {factor: code for factor, code in zip(FACTORS, given, strict=True) if code != ABSENT}

    search = CODE["search"]
    assert codes("Boots") == {"event": search, "query": 0}
    assert codes("rain") == {"event": search}  # coats and hats alike
    assert codes("gift card") == {"event": search}  # found, but in no category
    assert codes("boots", "view_item") == {"event": CODE["view_item"]}  # the words of the list that led here


def test_discounts_are_told_by_item_actions_of_shops_that_know_regular_prices() -> None:
    place = FACTORS.index("discount")
    for name, position, expected in [
        ("view_item", 0, "reduced"),
        ("purchase", 1, "full_price"),
        ("refund", 0, None),
        ("view_item", NO_ITEM, None),
    ]:
        code = encode(FACTS, code=CODE[name], position=position, dwell_s=None, gap_s=None, novelty=NEW)[place]
        assert (None if code == ABSENT else encoding.DISCOUNTS[code]) == expected
    unknown = dataclasses.replace(FACTS, reduced=np.zeros(0, bool))
    assert encode(unknown, code=CODE["view_item"], position=0, dwell_s=None, gap_s=None, novelty=NEW)[place] == ABSENT


def test_facts_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"reduced \(2,\) != category \(5,\)"):
        dataclasses.replace(FACTS, reduced=np.zeros(2, bool))
    with pytest.raises(ValueError, match="topics of 3 categories, there are 4"):
        dataclasses.replace(FACTS, category_names=(*FACTS.category_names, "socks"))
    with pytest.raises(ValueError, match="factors event, category; this version has event, category, price_tier"):
        dataclasses.replace(FACTS, factors=("event", "category"))


def test_the_item_that_answers_a_search_does_not_say_its_category_again() -> None:
    names = [
        "search",
        "view_item_list",
        "view_item",
        "view_item",
        "search",
        "user_engagement",
        "view_item",
        "search",
        "view_item",
    ]
    positions = [NO_ITEM, 0, 0, 4, NO_ITEM, 0, 1, NO_ITEM, 1]
    typed = np.array(["boots", "", "", "", "boots", "", "", "rain", ""], dtype=object)
    log = SessionLog.of(
        np.zeros(9), np.array(positions), np.arange(9.0), code=np.array([CODE[name] for name in names]), query=typed
    )
    category = encode_log(FACTS, log)[:, FACTORS.index("category")]
    # boots for boots, then boots of one's own accord; a coat in spite of boots; a coat where "rain" could mean a hat
    assert category[[2, 3, 6, 8]].tolist() == [ABSENT, 0, 1, 1]
    np.testing.assert_array_equal(encode_log(FACTS, log), online(FACTS, log))
