"""The catalogue search itself: what is found, in which order, how words are read, what is counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.catalogue import PRICE_TIERS, ItemRow, build_catalogue
from clusters.postings import FILLERS, K1, WEIGHTS
from clusters.search_index import Document, Filters, SearchIndex, build_index, search, suggest
from personas.components import from_parts, to_parts
from personas.queries import words

SHELF = (
    Document(1, "Red tent", category="Camping", colour="red", price=80.0),
    Document(2, "Blue sweat shirt", category="Tops", brand="Acme", colour="blue", price=20.0),
    Document(3, "Sweatshirt", category="Tops", brand="Bolt", colour="red", price=25.0, in_stock=False),
    Document(4, "Tent pegs", category="Camping", price=8.0, description="Twelve pegs of steel"),
    Document(5, "Crème brûlée dishes", category="Kitchen", tags=("dessert",), price=30.0),
    Document(6, "Picnic blanket", category="Camping", colour="blue", description="Lies flat beside any tent"),
    Document(7, "Towel", category="Bath", brand="Acme"),
    Document(8, "Trowel", category="Garden"),
)


@pytest.fixture(scope="module")
def index() -> SearchIndex:
    return build_index(SHELF)


def ids(index: SearchIndex, query: str, **options: object) -> list[int]:
    found: list[int] = search(index, query, **options).item_ids.tolist()  # type: ignore[arg-type]
    return found


def test_scores_are_bm25f_as_published() -> None:
    """Oracle: the formula of Robertson & Zaragoza (2009), (3.20) and (3.21), written out with loops."""
    rng = np.random.default_rng(5)
    letters = [f"w{chr(97 + i)}" for i in range(12)]
    docs = [
        Document(i + 1, *(" ".join(rng.choice(letters, rng.integers(0, 5))) for _ in range(3)), description="wa wb")
        for i in range(30)
    ]
    fields = [{"title": d.title, "category": d.category, "brand": d.brand, "description": d.description} for d in docs]
    lengths = {f: [len(words(each[f])) for each in fields] for f in fields[0]}
    mean = {f: np.mean([x for x in lengths[f] if x]) for f in lengths}
    found = search(build_index(docs), "wc wd", count=100)
    assert found.total > 0
    for item, score in zip(found.item_ids.tolist(), found.scores.tolist(), strict=True):
        expected = 0.0
        for word in ("wc", "wd"):
            having = sum(any(word in words(text) for text in each.values()) for each in fields)
            tf = 0.0
            for f, text in fields[item - 1].items():
                weight, b = WEIGHTS[f]
                tf += weight * words(text).count(word) / (1 - b + b * lengths[f][item - 1] / mean[f])
            expected += math.log1p((len(docs) - having + 0.5) / (having + 0.5)) * tf * (K1 + 1) / (tf + K1)
        assert score == pytest.approx(expected, rel=1e-5)


def test_a_title_outweighs_a_description(index: SearchIndex) -> None:
    assert ids(index, "tent")[-1] == 6


@pytest.mark.parametrize(
    ("typed", "expected", "how"),
    [
        ("tents", [1, 4, 6], "exact"),
        ("TENT!", [1, 4, 6], "exact"),
        ("creme brulee", [5], "exact"),
        ("tnet", [1, 4, 6], "spelling"),  # neighbours swapped
        ("blankt", [6], "spelling"),  # one left out
        ("sweaatshrit", [3], "spelling"),  # two edits, of eleven letters
        ("dessrt", [5], "spelling"),
        ("swetshirt", [3], "spelling"),
        ("dishe", [5], "spelling"),
        ("dess", [5], "prefix"),
        ("zebra", [], "unknown"),
        ("tet", [1, 4, 6], "unknown"),
    ],
)
def test_words_are_read_in_the_form_that_items_have(index: SearchIndex, typed: str, expected: list[int], how: str) -> None:
    found = search(index, typed)
    if typed == "tet":  # three letters are too few to guess at, but "tet" begins nothing
        expected = []
    assert sorted(found.item_ids.tolist()) == expected
    assert {word.how for word in found.words} == {how}


def test_a_known_word_is_not_corrected(index: SearchIndex) -> None:
    assert ids(index, "trowel") == [8], "a towel is one edit away and another thing"
    assert ids(index, "towel") == [7]


def test_a_known_word_is_corrected_where_no_item_has_it_with_the_others_and_the_other_is_much_commoner() -> None:
    shelf = [Document(1, "Trowel", brand="Bolt"), *(Document(i, "Towel", brand="Acme") for i in range(2, 12))]
    found = search(build_index(shelf), "acme trowel")
    assert (found.total, found.relaxed) == (10, False)
    assert (found.words[1].how, found.words[1].read) == ("spelling", ("towel",)), "it is said what it was taken for"
    shelf = [Document(1, "Tent"), Document(2, "Tent", colour="green"), *(Document(i, "Black text") for i in range(3, 12))]
    found = search(build_index(shelf), "black tent")
    assert (found.relaxed, found.item_ids.tolist()) == (True, [1, 2]), "a tent is no text"


def test_a_word_that_few_items_have_is_not_what_another_word_was_meant_to_be() -> None:
    filled = [Document(i, f"Table lamp {i}") for i in range(1, 1_000)]
    shelf = build_index([*filled, Document(1_001, "Rack gebra"), Document(1_002, "Shooters"), Document(1_003, "Stargazer tent")])
    assert ids(shelf, "zebra") == [], "short words that begin otherwise are other words"
    assert ids(shelf, "cable") == [], "however common the other one is"
    told = [Document(i, "Mug", description="Makes sipping with ease") for i in range(1, 1_000)]
    assert ids(build_index(told), "easel") == [], "nothing goes by ease, however many descriptions have it"
    assert ids(shelf, "scooter") == [], "one item of a thousand is hardly what a shopper misspells"
    assert ids(shelf, "shoooters") == [1_002], "but of the same letters"
    assert ids(shelf, "stargazr") == [1_003], "but long words are rarely an edit apart by chance"
    assert search(shelf, "atble").total == 999, "the first two letters swapped"
    assert search(shelf, "tabel").total == 999


def test_a_digit_is_not_a_letter_to_get_wrong() -> None:
    shelf = build_index([Document(1, "Lens hood 2019x"), Document(2, "Lens hood 2018x")])
    assert ids(shelf, "2019x") == [1]
    assert ids(shelf, "2017x") == []


def test_one_word_or_two(index: SearchIndex) -> None:
    assert sorted(ids(index, "sweat shirt")) == [2, 3]
    assert ids(index, "sweat shirt")[0] == 2
    only_two = build_index([d for d in SHELF if d.item_id != 3])
    found = search(only_two, "sweatshirt")
    assert (found.item_ids.tolist(), found.words[0].read) == ([2], ("sweat shirt",))
    only_one = build_index([d for d in SHELF if d.item_id != 2])
    found = search(only_one, "sweat shirt")
    assert (found.item_ids.tolist(), found.relaxed) == ([3], False)
    assert found.words[0].read == ("sweatshirt",)


def test_all_words_first_then_what_there_is(index: SearchIndex) -> None:
    assert ids(index, "red tent") == [1]
    assert not search(index, "red tent").relaxed
    loose = search(index, "red pegs")
    assert loose.relaxed
    assert set(loose.item_ids.tolist()) == {1, 3, 4}
    unknown = search(index, "red zebra")
    assert (unknown.relaxed, set(unknown.item_ids.tolist())) == (True, {1, 3})
    assert unknown.words[1].how == "unknown"


def test_all_words_in_passing_are_worth_less_than_one_that_names_the_item() -> None:
    shelf = [
        Document(
            1, "Earrings", description="They go with any evening dress, with your red one too: long and light and of silver"
        ),
        Document(2, "Shirt dress", colour="white"),
        Document(3, "Pleated dress", colour="blue"),
        *(Document(i, "Red mug") for i in range(4, 9)),
        *(Document(i, "Lamp of brass") for i in range(9, 30)),
    ]
    found = search(build_index(shelf), "red dress")
    assert found.relaxed
    assert found.item_ids.tolist()[:2] == [2, 3]
    assert 1 in found.item_ids
    found = search(build_index([*shelf, Document(30, "Dress", colour="red")]), "red dress")
    assert (found.relaxed, found.item_ids[0]) == (False, 30)


def test_what_is_sold_out_comes_after_its_likes_and_before_what_only_mentions_the_words() -> None:
    shelf = build_index(
        [
            Document(1, "Tent", in_stock=False),
            Document(2, "Tent"),
            Document(3, "Blanket", description="Lies flat beside a tent"),
            Document(4, "Mug"),
        ]
    )
    assert ids(shelf, "tent") == [2, 1, 3]
    assert ids(shelf, "", filters=Filters(in_stock=False)) == [1]


def test_a_joined_word_that_hardly_any_item_has_stands_for_its_parts_too() -> None:
    towels = [Document(i, "Tea towel") for i in range(2, 6)]
    mention = Document(6, "Tray", description="For tea, beside a towel")
    shelf = build_index([Document(1, "Teatowel"), *towels, mention, *(Document(i, "Mug") for i in range(7, 20))])
    assert set(ids(shelf, "teatowel")) >= {1, 2, 3, 4, 5}
    shelf = build_index(
        [*(Document(i, "Handbag") for i in range(1, 3)), Document(3, "Bag", description="By hand"), Document(4, "Hand bag")]
    )
    assert ids(shelf, "handbag") == [1, 2], "not where more items are called so"


def test_fillers_are_not_needed(index: SearchIndex) -> None:
    assert ids(index, "a tent for the") == ids(index, "tent")
    assert "for" in FILLERS
    assert ids(index, "any") == [6], "alone, such a word is all that there is to go by"


def test_the_order_of_words_changes_nothing(index: SearchIndex) -> None:
    one, other = search(index, "blue acme shirt"), search(index, "shirt blue acme")
    assert one.item_ids.tolist() == other.item_ids.tolist()
    assert one.scores.tolist() == other.scores.tolist()


def test_equals_come_by_id_on_every_page() -> None:
    shelf = build_index(Document(i, "mug") for i in range(50, 0, -1))
    pages = [ids(shelf, "mug", count=7, offset=at) for at in range(0, 56, 7)]
    assert sum(pages, []) == list(range(1, 51))
    assert ids(shelf, "mug", offset=100) == []
    assert search(shelf, "mug", count=0).total == 50


def test_facets_leave_out_their_own_filter(index: SearchIndex) -> None:
    """Oracle: counting by hand over the shelf."""
    found = search(index, "tent", filters=Filters(category=("Camping",), colour=("red",)))
    assert found.item_ids.tolist() == [1]
    assert dict(found.facets["colour"]) == {"red": 1, "blue": 1}
    assert dict(found.facets["category"]) == {"Camping": 1}
    nothing = search(index, "tent", filters=Filters(colour=("green",)))
    assert nothing.total == 0
    assert ("green", 0) in nothing.facets["colour"], "what is asked for is told, so that it can be taken back"


def test_filters_on_price_stock_and_tier_are_those_of_the_catalogue(index: SearchIndex) -> None:
    assert ids(index, "shirt sweat", filters=Filters(in_stock=True)) == [2]
    assert set(ids(index, "tent", filters=Filters(price_from=8.0, price_to=80.0))) == {1, 4}, "both ends count"
    rng = np.random.default_rng(2)
    prices = [None if i % 9 == 0 else round(float(p), 2) for i, p in enumerate(rng.uniform(1, 9, 60))]
    kinds = [("skirts", "blouses", "")[i % 3] for i in range(60)]
    catalogue = build_catalogue(
        ItemRow(i + 1, str(i), category=kind, price=price) for i, (kind, price) in enumerate(zip(kinds, prices, strict=True))
    )
    shelf = build_index(
        Document(i + 1, "thing", kind, price=price) for i, (kind, price) in enumerate(zip(kinds, prices, strict=True))
    )
    for code, tier in enumerate(PRICE_TIERS):
        expected = catalogue.item_ids[catalogue.price_tier == code].tolist()
        assert ids(shelf, "thing", filters=Filters(price_tier=(tier,)), count=100) == expected


def test_filters_alone_list_what_passes(index: SearchIndex) -> None:
    assert ids(index, "", filters=Filters(brand=("Acme",))) == [2, 7]
    assert ids(index, "") == []
    assert ids(index, "?!", filters=Filters(brand=("Acme",))) == [], "a search without a word is about nothing"


def test_as_you_type_the_last_word_may_be_unfinished(index: SearchIndex) -> None:
    assert set(ids(index, "t", as_you_type=True)) >= {1, 4, 7, 8}
    assert ids(index, "red te", as_you_type=True) == [1]
    assert ids(index, "red te ", as_you_type=True) != [1], "after a space the word is done"
    assert ids(index, "tent", as_you_type=True)[0] in (1, 4), "the whole word counts more than what begins so"


def test_suggestions_complete_what_goes_with_the_words_before(index: SearchIndex) -> None:
    found = suggest(index, "t")
    assert set(found.queries) == {"tent", "towel", "trowel", "tops"}, "no item goes by the twelve in a description"
    assert found.categories == ("Tops",)
    assert suggest(index, "red t").queries == ("red tent", "red tops")
    assert suggest(index, "ac").brands == ("Acme",)
    assert suggest(index, "crè").queries == ("creme",)
    assert suggest(index, "dish").queries == ("dishes",), "as items spell it"
    assert suggest(index, "tnet").item_ids.tolist()[0] in (1, 4)
    for nothing in ("", " ", "?", "🎉", "\0"):
        assert suggest(index, nothing).queries == ()
    assert len(suggest(index, "t", count=2).queries) == 2


@pytest.mark.parametrize("shelf", [(), SHELF[:1], (Document(9),)], ids=["empty", "one", "no words"])
@pytest.mark.parametrize(
    "query", ["red tent", "", "...", "x" * 10_000, "tent " * 2_000, "<script>", "\0\x1b[2J", "🎉🎉", "帐篷", "the"]
)
def test_any_query_on_any_shelf_has_an_outcome(shelf: tuple[Document, ...], query: str) -> None:
    index = build_index(shelf)
    for as_you_type in (False, True):
        found = search(index, query, as_you_type=as_you_type, filters=Filters(category=("x",)))
        assert found.total == len(found.item_ids) == 0
        found = search(index, query, as_you_type=as_you_type)
        assert found.total == len(found.item_ids) <= len(shelf)
        assert len(found.words) <= 16
    suggest(index, query)


@settings(max_examples=60, deadline=None)
@given(query=st.text(max_size=40), offset=st.integers(0, 9), count=st.integers(0, 9))
def test_every_answer_is_whole(query: str, offset: int, count: int) -> None:
    index = build_index(SHELF)
    found = search(index, query, count=count, offset=offset)
    assert len(found.item_ids) == len(found.scores) == max(0, min(count, found.total - offset))
    assert len(set(found.item_ids.tolist())) == len(found.item_ids)
    assert (np.diff(found.scores) <= 0).all()


def test_an_index_survives_being_taken_apart(index: SearchIndex) -> None:
    again = from_parts(SearchIndex, *to_parts(index))
    for query in ("tent", "tnet", "red pegs"):
        one, other = search(index, query), search(again, query)
        assert one.item_ids.tolist() == other.item_ids.tolist()
        assert one.facets == other.facets


def test_a_repeated_id_is_refused() -> None:
    with pytest.raises(ValueError, match="distinct"):
        build_index([Document(1), Document(1)])
