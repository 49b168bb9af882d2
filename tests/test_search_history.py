"""Searches counted within segments: against a loop over the events, and part by part against the whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest

from clusters.search_history import (
    MAX_SEGMENT_QUERIES,
    MAX_VALUES,
    QueryStats,
    clean_query,
    merge,
    read_searches,
)
from personas.components import from_parts, to_parts
from personas.events import CODE, MAX_QUERY
from personas.sessions import SessionLog

GAP_S = 600.0
VIEW, CART, LIST, SEARCH = CODE["view_item"], CODE["add_to_cart"], CODE["view_item_list"], CODE["search"]


def log_of(*sessions: list[tuple[float, str | int]], clock: str = "second") -> SessionLog:
    """Sessions of (second, words searched or position viewed)."""
    rows = [(f"s{s:04d}", at, what) for s, events in enumerate(sessions) for at, what in events]
    words = np.empty(len(rows), dtype=object)
    words[:] = [what if isinstance(what, str) else "" for _, _, what in rows]
    return SessionLog.of(
        np.array([s for s, _, _ in rows], dtype=str),
        np.array([-1 if isinstance(what, str) else what for _, _, what in rows], dtype=np.int64),
        1.7e9 + np.array([10_000.0 * int(s[1:]) + at for s, at, _ in rows]),
        code=np.array([SEARCH if isinstance(what, str) else VIEW for _, _, what in rows], dtype=np.int8),
        query=words,
        clock=clock,
    )


def pairs_of(stats: QueryStats) -> dict[tuple[str, str], int]:
    cells = stats.pairs.tocoo()
    return {
        (stats.queries[i], stats.queries[j]): int(n) for i, j, n in zip(cells.row, cells.col, cells.data, strict=True) if i < j
    }


def read(log: SessionLog, **kwargs: object) -> QueryStats:
    return read_searches(log, np.arange(10, 15), gap_s=GAP_S, **kwargs)  # type: ignore[arg-type]


def random_log(seed: int, sessions: int = 300) -> tuple[SessionLog, list[dict[str, str]]]:
    rng = np.random.default_rng(seed)
    rows: list[list[tuple[float, str | int]]] = []
    for _ in range(sessions):
        at = np.cumsum(rng.exponential(300.0, rng.integers(1, 12)))
        rows.append([(float(t), f"q{rng.integers(15)}" if rng.random() < 0.5 else int(rng.integers(5))) for t in at])
    contexts = [
        {
            "country": ("DE", "FR", "")[rng.integers(3)],
            "device": ("phone", "desk")[rng.integers(2)],
            "city": f"c{rng.integers(40)}",
        }
        for _ in range(sessions)
    ]
    return log_of(*rows), contexts


def same(a: QueryStats, b: QueryStats) -> None:
    assert [a.queries[i] for i in range(len(a.queries))] == [b.queries[i] for i in range(len(b.queries))]
    assert (a.markets, a.segments) == (b.markets, b.segments)
    for name in ("searches", "item_ids", "market_segments", "visitors"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for name in ("pairs", "engaged", "by_market", "together"):
        np.testing.assert_array_equal(getattr(a, name).toarray(), getattr(b, name).toarray())


def test_a_pause_above_the_gap_ends_a_segment_and_any_event_bridges_it() -> None:
    stats = read(
        log_of(
            [(0, "tent"), (GAP_S, "lantern")],
            [(0, "tent"), (GAP_S + 1, "lantern")],
            [(0, "tent"), (GAP_S - 1, 2), (2 * GAP_S - 2, "lantern")],
        )
    )
    assert pairs_of(stats) == {("lantern", "tent"): 2}
    assert stats.segments == 4
    assert stats.searches.tolist() == [3, 3]


@pytest.mark.parametrize("clock", ["day", "order"])
def test_without_a_clock_of_seconds_a_session_is_a_segment(clock: str) -> None:
    stats = read(log_of([(0, "tent"), (5_000, "lantern")], [(0, "tent")], clock=clock))
    assert pairs_of(stats) == {("lantern", "tent"): 1}
    assert stats.segments == 2


def test_a_query_counts_once_a_segment_and_as_it_was_typed() -> None:
    stats = read(log_of([(0, "tent"), (1, "Tent"), (2, "tent"), (3, "  tent ")]))
    assert [stats.queries[i] for i in range(2)] == ["Tent", "tent"]
    assert stats.searches.tolist() == [1, 1]
    assert pairs_of(stats) == {("Tent", "tent"): 1}


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_a_loop_over_the_events(seed: int) -> None:
    log, contexts = random_log(seed)
    stats = read(log, contexts=contexts)
    searches: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    engaged: defaultdict[tuple[str, int], float] = defaultdict(float)
    markets: Counter[str] = Counter()
    by_market: Counter[tuple[str, str]] = Counter()
    segments = 0
    for s, rows in enumerate(log.slices()):
        parts: list[list[int]] = []
        for i in range(rows.start, rows.stop):
            if not parts or log.at[i] - log.at[i - 1] > GAP_S:
                parts.append([])
            parts[-1].append(i)
        for part in parts:
            found: set[str] = set()
            last = ""
            for i in part:
                if log.query[i] >= 0:
                    last = log.queries[log.query[i]]
                    found.add(last)
                elif last:
                    engaged[last, int(log.position[i])] += 1.0
            if found:
                segments += 1
                searches.update(found)
                pairs.update(combinations(sorted(found), 2))
                told = [f"{k}={v}" for k, v in contexts[s].items() if v and k != "city"]
                markets.update(told)
                by_market.update((query, market) for query in found for market in told)
    assert {stats.queries[i]: int(n) for i, n in enumerate(stats.searches)} == searches
    assert pairs_of(stats) == pairs
    assert stats.segments == segments
    cells = stats.engaged.tocoo()
    assert {(stats.queries[q], int(p)): v for q, p, v in zip(cells.row, cells.col, cells.data, strict=True)} == engaged
    assert {m: int(n) for m, n in zip(stats.markets, stats.market_segments, strict=True) if n} == markets
    held = stats.by_market.tocoo()
    assert {
        (stats.queries[q], stats.markets[m]): int(n) for q, m, n in zip(held.row, held.col, held.data, strict=True)
    } == by_market


@pytest.mark.parametrize("seed", range(3))
def test_two_parts_of_a_log_add_up_to_the_whole(seed: int) -> None:
    log, contexts = random_log(seed)
    first = np.random.default_rng(seed).random(len(log)) < 0.4
    parts = [read(log.take(kept), contexts=[c for c, k in zip(contexts, kept, strict=True) if k]) for kept in (first, ~first)]
    same(merge(*parts), read(log, contexts=contexts))
    same(merge(*reversed(parts)), read(log, contexts=contexts))


def test_parts_of_other_catalogues_add_up_by_item_id() -> None:
    a = read_searches(log_of([(0, "tent"), (1, 1)]), np.array([5, 7]), gap_s=GAP_S)
    b = read_searches(log_of([(0, "tent"), (1, 0)]), np.array([6, 7]), gap_s=GAP_S)
    both = merge(a, b)
    assert both.item_ids.tolist() == [5, 6, 7]
    assert both.engaged.toarray().tolist() == [[0.0, 1.0, 1.0]]


def test_what_has_too_many_values_is_no_market_however_it_is_read() -> None:
    few, many = MAX_VALUES, MAX_VALUES + 1
    log = log_of(*([(0.0, "tent")] for _ in range(many)))
    contexts = [{"city": str(i), "device": "phone"} for i in range(many)]
    whole = read(log, contexts=contexts)
    assert whole.markets == ("city=", "device=phone")
    assert whole.market_segments.tolist() == [0, many]
    kept = np.arange(many) < few
    assert len(read(log.take(kept), contexts=contexts[:few]).markets) == few + 1
    same(merge(read(log.take(kept), contexts=contexts[:few]), read(log.take(~kept), contexts=contexts[few:])), whole)
    same(merge(whole, read(log.take(kept), contexts=contexts[:few])), merge(read(log.take(kept), contexts=contexts[:few]), whole))


def test_engagement_is_weighted_and_ends_with_the_segment() -> None:
    log = SessionLog.of(
        np.array(["s"] * 6),
        np.array([-1, 0, 1, 2, -1, 3]),
        1.7e9 + np.array([0.0, 1, 2, 3, 4, 4 + GAP_S + 1]),
        code=np.array([SEARCH, VIEW, CART, LIST, SEARCH, VIEW], dtype=np.int8),
        query=np.array(["tent", "", "", "", "lantern", ""], dtype=object),
    )
    stats = read(log)
    assert stats.engaged.toarray().tolist() == [[0] * 5, [1.0, 3.0, 0, 0, 0]]  # lantern, tent; a list seen is no engagement


def test_a_crawler_counts_by_its_first_queries_only() -> None:
    words = [f"word{i:04d}" for i in range(500)]
    stats = read(log_of([(float(i), word) for i, word in enumerate(reversed(words))] + [(500.0, 3)]))
    assert [stats.queries[i] for i in range(len(stats.queries))] == words[-MAX_SEGMENT_QUERIES:]
    assert stats.pairs.nnz == MAX_SEGMENT_QUERIES * (MAX_SEGMENT_QUERIES - 1)
    assert stats.engaged.nnz == 0  # what follows belongs to a query that doesn't count


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("x" * 10_000, "x" * MAX_QUERY),
        ("tent " * 2_000, ("tent " * 2_000)[:MAX_QUERY].strip()),
        ("two\x00per\tson\r\n tent\x7f", "two per son tent"),
        ("\u200btent\u202e\ufeff", "tent"),
        ("tent\ud800", "tent"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),  # text like any other until its words are read
        (" \t\n ", ""),
        ("\x00\x01", ""),
        ("⛺", "⛺"),
    ],
)
def test_a_query_is_taken_clean_and_cut(typed: str, kept: str) -> None:
    assert clean_query(typed) == kept
    stats = read(log_of([(0, typed)]))
    assert [stats.queries[i] for i in range(len(stats.queries))] == ([kept] if kept else [])


def test_a_log_without_searches_is_empty_and_adds_nothing() -> None:
    none = read(log_of([(0, 1), (1, 2)]))
    assert (len(none.queries), none.segments, none.pairs.shape, none.engaged.shape) == (0, 0, (0, 0), (0, 5))
    nothing = SessionLog.of(np.zeros(0, dtype=str), np.zeros(0, dtype=np.int64), np.zeros(0))
    same(read(nothing), none)
    log, contexts = random_log(9, 20)
    whole = read(log, contexts=contexts)
    same(merge(none, whole), whole)
    same(merge(none, none), none)


def test_stats_are_a_component() -> None:
    log, contexts = random_log(1, 50)
    stats = read(log, contexts=contexts)
    same(from_parts(QueryStats, *to_parts(stats)), stats)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gap_s": 0.0}, "gap_s 0.0 must be above 0"),
        ({"gap_s": float("nan")}, "gap_s nan must be above 0"),
        ({"contexts": [{}, {}]}, "contexts of 2 sessions, log of 1"),
        ({"item_ids": np.array([3, 2, 5])}, "item_ids must ascend"),
        ({"item_ids": np.array([3])}, "position 1 has no item"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes: dict[str, object], told: str) -> None:
    given: dict[str, object] = {"item_ids": np.arange(5), "contexts": None, "gap_s": GAP_S, **changes}
    with pytest.raises(ValueError, match=told):
        read_searches(log_of([(0, "tent"), (1, 1)]), **given)  # type: ignore[arg-type]


def test_who_searched_for_what_together_is_known_once_a_visitor_in_parts_as_in_the_whole() -> None:
    """Oracle: a set of (visitor, queries of a segment) gathered event by event, for guests and for shoppers with many visits."""
    log, _ = random_log(7)
    log = replace(log, users=np.array([f"ann{s % 40}" if s % 3 else "" for s in range(len(log))]))
    stats = read(log)
    expected: set[tuple[str, frozenset[str]]] = set()
    for s, rows in enumerate(log.slices()):
        who, last, asked = log.users[s] or f"guest {s}", log.at[rows.start], set()
        for event in range(rows.start, rows.stop):
            if log.at[event] - last > GAP_S:
                expected.add((who, frozenset(asked)))
                asked = set()
            last = log.at[event]
            asked |= {log.queries[log.query[event]]} if log.query[event] >= 0 else set()
        expected.add((who, frozenset(asked)))
    expected = {(who, asked) for who, asked in expected if len(asked) > 1}
    found = stats.together
    sets = [frozenset(stats.queries[q] for q in found.indices[a:b].tolist()) for a, b in pairwise(found.indptr.tolist())]
    assert Counter(sets) == Counter(asked for _, asked in expected)
    assert len(set(stats.visitors.tolist())) == len({who for who, _ in expected})
    half = np.arange(len(log)) % 2 == 0
    same(merge(read(log.take(half)), read(log.take(~half))), stats)
