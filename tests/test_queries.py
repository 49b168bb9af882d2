"""What the words of a search are about: against a loop of counts, and on words whose category is plain."""

from __future__ import annotations

import math

import numpy as np
import pytest

from personas.queries import CLEAR, MAX_QUERY_WORDS, NO_TOPIC, SMOOTHING, TELLING, QueryTopics, learn_topics, words

CATEGORIES = ("dresses", "tents", "boots")
TITLES = (
    *(("Red summer dress", 0), ("Blue dress with lace", 0), ("Robe d'été légère", 0), ("Red evening dress", 0)),
    *(("Two-person tent", 1), ("Red tent", 1), ("Hiking boots", 2), ("Red boots", 2), ("Voucher", -1)),
)
TEXTS = [f"{title} {CATEGORIES[c]}" if c >= 0 else title for title, c in TITLES]
CATEGORY = np.array([c for _, c in TITLES])


@pytest.fixture(scope="module")
def topics() -> QueryTopics:
    return learn_topics(TEXTS, CATEGORY, len(CATEGORIES))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("tent", "tents"),
        ("TENTS!", "tents"),
        ("lace", "dresses"),
        ("robe légère", "dresses"),
        ("ROBE LEGERE", "dresses"),
        ("waterproof boot", "boots"),
        ("red boots", "boots"),
        ("red", None),  # half of all items with the word are dresses, as are half of all items
        ("tent boots", None),
        ("voucher", None),  # of no category
        ("xylophone", None),
        ("", None),
        ("?!", None),
    ],
)
def test_a_search_is_about_the_category_that_its_words_clearly_favour(
    topics: QueryTopics, query: str, expected: str | None
) -> None:
    found = topics.topic(query)
    assert (None if found == NO_TOPIC else CATEGORIES[found]) == expected


def test_case_accents_and_simple_plurals_do_not_count() -> None:
    assert words("Crème BRÛLÉES, no. 12 & a Straße") == ["creme", "brulee", "no", "12", "strasse"]
    for singular, plural in [
        *(("dress", "dresses"), ("blouse", "blouses"), ("box", "boxes"), ("watch", "watches"), ("brush", "brushes")),
        *(("tie", "ties"), ("hoodie", "hoodies"), ("accessory", "accessories"), ("tent", "tents"), ("glass", "glasses")),
    ]:
        assert words(singular) == words(plural)
    assert words("bus canvas iris gas") == ["bus", "canva", "iris", "gas"]


@pytest.mark.parametrize("seed", range(20))
def test_topics_are_those_of_bayes_rule_over_counted_items(seed: int) -> None:
    """The oracle counts items in plain Python and multiplies probabilities."""
    rng = np.random.default_rng(seed)
    n, categories, vocabulary = 60, int(rng.integers(2, 6)), 15
    bags = [{f"w{w}q" for w in rng.integers(0, vocabulary, rng.integers(1, 5)).tolist()} for _ in range(n)]
    category = rng.integers(-1, categories, n)
    learned = learn_topics([" ".join(sorted(bag)) for bag in bags], category, categories)
    kept = [i for i in range(n) if category[i] >= 0]
    share = [sum(category[i] == c for i in kept) / len(kept) for c in range(categories)]
    told = 0
    for _ in range(100):
        query = {f"w{w}q" for w in rng.integers(0, vocabulary + 3, rng.integers(1, 4)).tolist()}
        joint = list(share)
        known = [w for w in query if any(w in bags[i] for i in kept)]
        for w in known:
            held = [category[i] for i in kept if w in bags[i]]
            for c in range(categories):
                joint[c] *= (held.count(c) + SMOOTHING * share[c]) / (len(held) + SMOOTHING) / share[c]
        p = [j / sum(joint) for j in joint]
        best = max(range(categories), key=lambda c: p[c])
        odds, before = p[best] / (1 - p[best]), share[best] / (1 - share[best])
        if abs(p[best] - CLEAR) < 1e-4 or abs(odds / before - TELLING) < 1e-4:
            continue  # on the edge, where float32 may round either way
        expected = best if known and p[best] >= CLEAR and odds >= TELLING * before else NO_TOPIC
        assert learned.topic(" ".join(sorted(query))) == expected
        told += expected != NO_TOPIC
    assert 0 < told < 100


def test_a_word_of_one_item_decides_and_a_word_that_all_items_have_does_not() -> None:
    learned = learn_topics(["new zelt"] + ["new dress"] * 99, np.array([0] + [1] * 99), 2)
    assert learned.topic("zelt") == 0
    assert learned.topic("new") == NO_TOPIC  # 99 of 100 are dresses, as is everything
    assert math.exp(learned.log_share[1]) == pytest.approx(0.99)


@pytest.mark.parametrize(
    ("category", "categories"), [([], 0), ([-1, -1], 0), ([0, 0], 1), ([1, 1], 3)], ids=["empty", "none", "one", "one used"]
)
def test_with_nothing_to_tell_apart_no_search_has_a_topic(category: list[int], categories: int) -> None:
    learned = learn_topics(["tent"] * len(category), np.array(category, dtype=int), categories)
    assert learned.words == ()
    assert learned.topic("tent") == NO_TOPIC


def test_a_category_without_items_is_no_topic() -> None:
    learned = learn_topics(["tent", "boots"], np.array([0, 2]), 4)
    assert [learned.topic("tent"), learned.topic("boots"), learned.topic("hats")] == [0, 2, NO_TOPIC]


def test_a_pasted_page_is_read_up_to_its_first_words(topics: QueryTopics) -> None:
    filler = " ".join(f"word{i}" for i in range(MAX_QUERY_WORDS))
    assert topics.topic(f"{filler} tent") == NO_TOPIC
    assert topics.topic(f"tent {filler}") == CATEGORIES.index("tents")


def test_tables_that_do_not_fit_their_words_are_refused() -> None:
    with pytest.raises(ValueError, match=r"log_lift \(2, 3\) != \(1, 3\)"):
        QueryTopics(("tent",), np.zeros(3, np.float32), np.zeros((2, 3), np.float32))
