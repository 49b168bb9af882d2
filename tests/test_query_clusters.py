"""Terms that are searched for together: counts against those of the segments themselves, groups against planted ones."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import adjusted_mutual_info_score

from clusters.query_clusters import QueryClusters, cluster_terms, evidence, pair_visitors, term_counts
from clusters.query_terms import QueryTerms, read_terms
from clusters.search_history import QueryStats, clean_query, read_searches
from personas.events import CODE
from personas.queries import words
from personas.sessions import SessionLog
from recommendations.evaluation.search_terms import tfidf_groups

GAP_S = 1_800.0
OCCASIONS = (
    ("tent", "sleeping bag", "lantern", "backpack", "camp stove", "cooler"),
    ("crib", "stroller", "diaper bag", "baby monitor", "high chair"),
    ("saucepan", "whisk", "apron", "cutting board", "colander", "ladle"),
    ("trowel", "watering can", "flower pot", "potting soil", "garden hose", "pruner"),
    ("sunscreen", "swimsuit", "beach towel", "flip flop", "sunglass case", "snorkel", "umbrella"),
    ("desk", "office chair", "stapler", "monitor stand", "notebook"),
    ("fishing rod", "reel", "tackle box", "wader"),
    ("balloon", "candle", "paper plate", "streamer", "cake topper"),
    ("running shoe", "headband", "water bottle", "sports watch", "armband"),
    ("bath mat", "shower curtain", "soap dish", "loofah"),
)
STRAY = (
    "ring",
    "carpet",
    "mug",
    "poster",
    "guitar",
    "printer",
    "blanket",
    "vase",
    "clock",
    "kettle",
    "drill",
    "ladder",
    "mirror",
)
COLOURS = {"red": "colour=red", "blue": "colour=blue"}


def stats_of(*segments: list[str], users: list[str] | None = None) -> QueryStats:
    """Counts of segments, each the words searched in one session. users : whose each is, None for guests."""
    rows = [(s, i, text) for s, segment in enumerate(segments) for i, text in enumerate(segment)]
    typed = np.empty(len(rows), dtype=object)
    typed[:] = [text for _, _, text in rows]
    log = SessionLog.of(
        np.array([f"{s:06d}" for s, _, _ in rows], dtype=str),
        np.full(len(rows), -1),
        np.array([1.7e9 + 100_000.0 * s + 10.0 * i for s, i, _ in rows]),
        code=np.full(len(rows), CODE["search"], dtype=np.int8),
        query=typed,
        user=None if users is None else np.array([users[s] for s, _, _ in rows]),
    )
    return read_searches(log, np.arange(1, 4), gap_s=GAP_S)


def clustered(*segments: list[str], **kwargs: int) -> tuple[QueryTerms, QueryClusters]:
    stats = stats_of(*segments)
    terms = read_terms(stats, attributes=COLOURS)
    return terms, cluster_terms(stats, terms, **kwargs)


def pairs_of(terms: QueryTerms, groups: QueryClusters) -> dict[frozenset[str], int]:
    return {frozenset((terms.terms[p.first], terms.terms[p.second])): p.segments for p in groups.pairs}


def misspelt(text: str, rng: np.random.Generator) -> str:
    at = int(rng.integers(1, len(text) - 1))
    return (text[:at] + text[at + 1 :], text[:at] + text[at + 1] + text[at] + text[at + 2 :])[int(rng.integers(2))]


def planted_log(seed: int, visits: int = 1_500, stray: float = 0.15) -> list[list[str]]:
    """Visits that search for one to four things of an occasion, each in a way of its own, with strays among them."""
    rng = np.random.default_rng(seed)
    segments = []
    for _ in range(visits):
        things = OCCASIONS[rng.integers(len(OCCASIONS))]
        segment = []
        for thing in rng.permutation(things)[: rng.integers(1, 5)].tolist():
            text = STRAY[rng.integers(len(STRAY))] if rng.random() < stray else thing
            how = rng.random()
            if how < 0.2:
                text += "s"
            elif how < 0.3:
                text = text.upper()
            elif how < 0.4:
                text = f"{('red', 'blue', 'large', 'cheap')[rng.integers(4)]} {text}"
            elif how < 0.45:
                text = misspelt(text, rng)
            segment.append(text)
        segments.append(segment)
    return segments


def label_of(terms: QueryTerms, groups: QueryClusters) -> dict[str, int]:
    """Group of each term, those in none each alone."""
    return {term: int(g) if g >= 0 else -2 - i for i, (term, g) in enumerate(zip(terms.terms, groups.group, strict=True))}


@pytest.mark.parametrize("seed", range(4))
def test_planted_groups_come_back_and_better_than_by_the_words_alone(seed: int) -> None:
    segments = planted_log(seed)
    terms, groups = clustered(*segments)
    label = label_of(terms, groups)
    things = [(" ".join(words(thing)), o) for o, occasion in enumerate(OCCASIONS) for thing in occasion]
    truth = [o for _, o in things]
    ours = adjusted_mutual_info_score(truth, [label[thing] for thing, _ in things])
    # The baseline gets as many groups as were planted, and the same queries.
    queries = sorted({query for segment in segments for query in segment})
    baseline = dict(zip(queries, tfidf_groups(queries, len(OCCASIONS), seed).tolist(), strict=True))
    theirs = adjusted_mutual_info_score(truth, [baseline[thing] for occasion in OCCASIONS for thing in occasion])
    assert ours >= 0.8
    assert ours >= theirs + 0.3
    assert sum(label[word] >= 0 for word in STRAY) <= 2


def test_two_occasions_that_share_a_thing_stay_two() -> None:
    rng = np.random.default_rng(0)
    shared = [*OCCASIONS[:6], ("glove", *OCCASIONS[6]), ("glove", *OCCASIONS[8])]
    segments = [rng.permutation(shared[rng.integers(len(shared))])[:3].tolist() for _ in range(1_500)]
    terms, groups = clustered(*segments)
    label = label_of(terms, groups)
    assert label["reel"] == label["tackle box"]
    assert label["headband"] == label["armband"]
    assert label["reel"] != label["headband"]
    assert label["glove"] in (label["reel"], label["headband"])


@pytest.mark.parametrize("seed", range(3))
def test_what_is_only_of_one_taste_is_no_group(seed: int) -> None:
    """Who is of a taste searches for any two of its twenty things, the popular ones more often: pairs, but nothing that
    serves one purpose."""
    rng = np.random.default_rng(seed)
    tastes = [[f"{letter}{name}" for letter in "abcdefghijklmnopqrtu"] for name in ("festive", "outdoor", "kitchen")]
    share = 1 / np.arange(1, 21)
    share /= share.sum()
    segments = [rng.choice(tastes[rng.integers(3)], 2, replace=False, p=share).tolist() for _ in range(1_500)]
    segments += [rng.permutation(OCCASIONS[rng.integers(4)])[:3].tolist() for _ in range(300)]
    terms, groups = clustered(*segments)
    label = label_of(terms, groups)
    assert any({terms.terms[p.first], terms.terms[p.second]} <= set(tastes[0]) for p in groups.pairs), "though they are pairs"
    assert not [thing for taste in tastes for thing in taste if label[thing] >= 0]
    found = [{label[" ".join(words(thing))] for thing in occasion} for occasion in OCCASIONS[:4]]
    assert [len(each) for each in found] == [1] * 4
    assert len(set().union(*found)) == 4


def test_what_is_searched_beside_everything_makes_no_group_by_a_few_chances() -> None:
    """Shirts and sandals, each beside forty things twice, and eight times together: a pair, but a small part of either."""
    rng = np.random.default_rng(0)
    things = [f"{letter}{name}" for name in ("hing", "alder") for letter in "abcdefghijklmnopqrtu"]
    segments = [[each, thing] for each in ("shirt", "sandal") for thing in things for _ in range(2)] + [["shirt", "sandal"]] * 8
    segments += [rng.permutation(occasion)[:3].tolist() for occasion in OCCASIONS[:8] for _ in range(100)]
    terms, groups = clustered(*segments)
    assert pairs_of(terms, groups)[frozenset(("shirt", "sandal"))] == 8
    label = label_of(terms, groups)
    assert label["shirt"] < 0
    assert label["sandal"] < 0
    assert len(set(groups.group[groups.group >= 0].tolist())) == 8


def test_segments_with_one_query_do_not_make_pairs_of_the_others() -> None:
    """Against 20,000 lone searches anything that was ever searched together would look like a pair."""
    rng = np.random.default_rng(3)
    alone = [[STRAY[i]] for i in rng.integers(len(STRAY), size=20_000)]
    chance = [rng.choice(STRAY, 2, replace=False).tolist() for _ in range(400)]
    _, groups = clustered(*alone, *chance)
    assert len(groups.pairs) <= 1


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_terms_are_those_of_the_segments(seed: int) -> None:
    """Exact where a segment has a term in at most two queries, as here."""
    rng = np.random.default_rng(seed)
    things = ("tent", "lantern", "cooler", "mug", "drill")
    segments = [
        [
            text
            for thing in rng.permutation(things)[: rng.integers(1, 5)].tolist()
            for text in ([thing, thing.upper()] if rng.random() < 0.2 else [thing])
        ]
        for _ in range(300)
    ]
    stats = stats_of(*segments)
    terms = read_terms(stats)
    searches, counts = term_counts(stats, terms)
    held = [{text.lower() for text in segment} for segment in segments]
    place = {term: i for i, term in enumerate(terms.terms)}
    for thing in things:
        assert searches[place[thing]] == sum(thing in each for each in held)
    for one, other in combinations(things, 2):
        true = sum(one in each and other in each for each in held)
        assert counts[place[one], place[other]] == pytest.approx(true, rel=0.1)  # repeats are taken to be independent
        assert counts[place[one], place[other]] == counts[place[other], place[one]]
    assert counts.diagonal().sum() == 0


@pytest.mark.parametrize(
    ("segment", "pairs"),
    [
        (["tent", "lantern"], {("lantern", "tent")}),
        (["red tent", "lantern"], {("lantern", "tent"), ("lantern", "red")}),
        (["tent lantern"], set()),  # words of one query
        (["tent", "large tent"], set()),  # a query narrowed down
        (["tent", "TENTS"], set()),
        (["camping tent", "camping lantern"], {("lantern", "tent")}),
    ],
)
def test_a_pair_is_what_two_queries_differ_by(segment: list[str], pairs: set[tuple[str, str]]) -> None:
    stats = stats_of(segment)
    terms = read_terms(stats)
    _, counts = term_counts(stats, terms)
    cells = sparse.triu(counts).tocoo()
    assert {(terms.terms[i], terms.terms[j]) for i, j in zip(cells.row, cells.col, strict=True)} == pairs


def test_attributes_and_narrower_words_are_no_pairs() -> None:
    background = [[a, b] for a, b in (("mug", "vase"), ("drill", "ladder"), ("ring", "clock")) for _ in range(30)]
    terms, groups = clustered(*([["red", "wagon"]] * 20), *([["sleeping bag", "bag"]] * 20), *background)
    assert set(pairs_of(terms, groups)) == {frozenset(p) for p in (("mug", "vase"), ("drill", "ladder"), ("ring", "clock"))}
    assert all(groups.group[i] == -1 for i, term in enumerate(terms.terms) if term in ("red", "bag", "sleeping bag"))


def test_support_is_the_least_number_of_segments() -> None:
    background = [[a, b] for a, b in combinations(STRAY[:8], 2) for _ in range(4)]
    for support in (3, 4, 5):
        terms, groups = clustered(*([["tent", "lantern"]] * 4), *background, minimum_support=support)
        assert (frozenset(("tent", "lantern")) in pairs_of(terms, groups)) == (support <= 4)


def test_groups_are_numbered_by_searches_and_terms_weighed_by_their_ties() -> None:
    segments = [["mug", "vase"]] * 10 + [["tent", "lantern"]] * 30 + [["tent", "cooler"]] * 20 + [["lantern", "cooler"]] * 5
    segments += [["drill", "ladder"]] * 15
    terms, groups = clustered(*segments)
    label = label_of(terms, groups)
    assert (label["tent"], label["drill"], label["mug"]) == (0, 1, 2)
    assert groups.weight.max() == 1.0
    assert ((groups.weight > 0) == (groups.group >= 0)).all()
    for g in range(3):
        assert groups.weight[groups.group == g].max() == 1.0
    assert groups.searches[terms.terms.index("tent")] == 50
    strengths = [pair.strength for pair in groups.pairs]
    assert strengths == sorted(strengths, reverse=True)
    assert all(0 < strength <= 1 for strength in strengths)


def test_the_same_counts_give_the_same_groups() -> None:
    segments = planted_log(5, 400)
    (_, one), (_, other) = clustered(*segments), clustered(*segments[::-1])
    np.testing.assert_array_equal(one.group, other.group)
    assert one.pairs == other.pairs


@pytest.mark.parametrize(
    "segments",
    [
        [],
        [["tent"]],
        [["tent"]] * 500,
        [["tent", "Tents", "TENT"]] * 50,
        [["tent", "lantern"]],
        [["for the", "sale"]] * 50,
        [["⛺", "!!"]] * 50,
        [["red", "blue"]] * 50,
    ],
)
def test_a_log_that_says_nothing_of_pairs_has_no_groups(segments: list[list[str]]) -> None:
    terms, groups = clustered(*segments)
    assert groups.pairs == ()
    assert groups.group.tolist() == [-1] * len(terms.terms)
    assert groups.weight.tolist() == [0.0] * len(terms.terms)
    assert len(groups.searches) == len(terms.terms)


def test_one_pair_of_terms_alone_is_a_group() -> None:
    _, groups = clustered(*([["tent", "lantern"]] * 20))
    assert groups.group.tolist() == [0, 0]


def test_evidence_is_highest_for_the_planted_groups() -> None:
    """Three cliques of five with a tie between neighbours: coarser and finer groups account for them less."""
    graph = np.kron(np.eye(3), np.ones((5, 5))) - np.eye(15)
    for a, b in ((4, 5), (9, 10)):
        graph[a, b] = graph[b, a] = 1.0
    ties = sparse.csr_matrix(graph)
    planted = np.repeat(np.arange(3), 5)
    value = evidence(ties, planted)
    assert value > evidence(ties, np.zeros(15, dtype=np.int64))
    assert value > evidence(ties, np.where(planted == 2, 1, planted))
    assert value > evidence(ties, np.where(np.arange(15) < 2, 3, planted))
    assert value > evidence(ties, np.arange(15))


def test_what_does_not_fit_is_refused_by_name() -> None:
    stats = stats_of(["tent", "lantern"])
    terms = read_terms(stats)
    with pytest.raises(ValueError, match="minimum_support 0 must be at least 1"):
        cluster_terms(stats, terms, minimum_support=0)
    with pytest.raises(ValueError, match="terms of 2 queries, stats of 1"):
        cluster_terms(stats_of(["tent"]), terms)


def test_what_one_person_searches_for_again_and_again_is_nobody_elses_to_read() -> None:
    """Forty visits of one shopper, against the same forty of three shoppers; their other queries are alike."""
    others = [list(pair) for pair in (("tent", "lantern"), ("crib", "stroller"), ("desk", "stapler")) for _ in range(20)]
    theirs = [["wig", "crutch"], ["wig", "red crutch"]] * 20
    guests = [""] * len(others)
    for names, known in ((["ann"], False), (["ann", "ben"], False), (["ann", "ben", "cem"], True)):
        stats = stats_of(*others, *theirs, users=[*guests, *(names[v % len(names)] for v in range(len(theirs)))])
        terms = read_terms(stats, attributes=COLOURS)
        told = pairs_of(terms, cluster_terms(stats, terms))
        assert (frozenset(("wig", "crutch")) in told) == known
        assert frozenset(("tent", "lantern")) in told


def test_visitors_of_a_pair_are_those_of_whose_queries_each_brought_one_term() -> None:
    """Oracle: a loop over the segments, by the definition of a pair in `cluster_terms`."""
    segments = planted_log(1, visits=400) + [["red tent lantern", "tent"], ["tent lantern", "lantern tent stove"]] * 5
    users = [f"ann{v % 60}" if v % 4 else "" for v in range(len(segments))]
    stats = stats_of(*segments, users=users)
    terms = read_terms(stats, attributes=COLOURS)
    of = {stats.queries[q]: set(terms.of_query[q].indices.tolist()) for q in range(len(stats.queries))}
    pairs = cluster_terms(stats, terms, minimum_support=1).pairs
    expected = []
    for pair in pairs:
        who = set()
        for v, segment in enumerate(segments):
            asked = [of[clean_query(text)] for text in segment]
            one = any(pair.first in each and pair.second not in each for each in asked)
            if one and any(pair.second in each and pair.first not in each for each in asked):
                who.add(users[v] or v)
        expected.append(len(who))
    assert len(pairs) > 50
    assert pair_visitors(stats, terms, pairs).tolist() == expected
