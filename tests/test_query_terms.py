"""The written form of searches: words whose reading is plain, counts that decide, and real queries.

The real ones are from WANDS, the Wayfair product search relevance data (Chen et al. 2022), MIT License, Copyright (c) 2022
Wayfair: a small excerpt.
"""

from __future__ import annotations

import numpy as np
import pytest

from clusters.query_terms import QueryTerms, log_likelihood_ratio, misspellings, read_terms
from personas.events import MAX_QUERY
from recommendations.evaluation.search_terms import check_normalisation, counted_queries, forms, tfidf_groups

WANDS = (
    ("leather chair", "Accent Chairs"),
    ("leather chairs", "Accent Chairs"),
    ("body pillow and case", "Sheets And Sheet Sets"),
    ("body pillow case", "Sheets And Sheet Sets"),
    ("writing desk", "Desks"),
    ('writing desk 48"', "Desks"),
    ("wood coffee table set by storage", "Living Room Table Sets"),
    ("industrial pipe dining  table", "Dining Tables"),
    ("smart coffee table", "Coffee & Cocktail Tables"),
    ("coffee table fire pit", "Outdoor Fireplaces"),
    ("westling coffee table", "Coffee & Cocktail Tables"),
    ("arwen table lamp", "Table Lamps"),
    ("blk 18x18 seat cushions", "Furniture Cushions"),
    ("3 1/2 inch drawer pull", "Cabinet and Drawer Pulls"),
)


def terms_of(counts: dict[str, int], **kwargs: object) -> dict[str, list[str]]:
    """{query: its terms} of queries searched so often."""
    stats = counted_queries([query for query, n in counts.items() for _ in range(n)])
    read = read_terms(stats, **kwargs)  # type: ignore[arg-type]
    return {stats.queries[i]: sorted(form) for i, form in enumerate(forms(read))}


def labels_of(counts: dict[str, int], **kwargs: object) -> dict[str, str]:
    read = read_terms(counted_queries([q for q, n in counts.items() for _ in range(n)]), **kwargs)  # type: ignore[arg-type]
    return dict(zip(read.terms, read.labels, strict=True))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Red TENT", "red tent"),
        ("crème brûlée", "creme brulee"),
        ("cre\u0300me", "crème"),
        ("tents", "tent"),
        ("lamp table", "table lamp"),
        ("tents for the garden", "garden tent"),
        ("buy cheap tent online", "tent"),
        ("rain-jacket", "rain jacket"),
        ("women's shoes", "womens shoe"),
        ("writing desk 48 inch", "writing desk"),
        ("18x18 cushion", "cushions 2m"),
        ("tent!!!", "  (tent) "),
        ("<b>tent</b>", "tent"),
        ("tent <script>alert</script>", "alert tent"),
        ("⛺ tent 🔥", "tent"),
        ("ＴＥＮＴ", "tent"),
    ],
)
def test_ways_of_writing_the_same_come_out_the_same(one: str, other: str) -> None:
    read = terms_of({one: 1, other: 1})
    assert len(read) == 2
    assert len({tuple(form) for form in read.values()}) == 1
    assert all(read.values())


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("x" * 10_000, ["x" * MAX_QUERY]),
        ("палатка", ["палатка"]),
        ("Палатка ЗЕЛЕНАЯ", ["зеленая", "палатка"]),
        ("ΣΚΗΝΗ", ["σκηνη"]),
        ("帐篷睡袋", ["帐篷睡袋"]),
        ("茶", ["茶"]),
        ("⛺🔥", []),
        ("!?", []),
        ("a", []),
        ("for the", []),
        ("sale", []),
        ("new in", []),
        ("4711", ["4711"]),  # nothing else to go by: an article's number
        ("desk 4711", ["desk"]),
        ("7qt slow cooker", ["cooker", "slow"]),
        ("<script></script>", []),
        ("trash can", ["can", "trash"]),
    ],
)
def test_every_query_has_a_clear_outcome(query: str, terms: list[str]) -> None:
    assert list(terms_of({query: 1}).values()) == [terms]


def test_no_queries_have_no_terms() -> None:
    read = read_terms(counted_queries(["", " \x00"]))
    assert (read.terms, read.labels, read.attribute, read.of_query.shape) == ((), (), (), (0, 0))


def test_a_rare_form_near_a_frequent_one_is_a_misspelling_of_it() -> None:
    counts = {"lantern": 100, "lantren": 2, "lanterm": 3, "lanten": 20, "lantxxn": 1, "kantern": 1, "lanterned": 1}
    assert misspellings(counts) == {"lantren": "lantern", "lanterm": "lantern", "lanten": "lantern", "lanterned": "lantern"}


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ({"lantern": 100, "lanten": 21}, "not rare enough"),
        ({"lantern": 100, "lentxrn": 1}, "two edits in seven letters"),
        ({"tent": 100, "ten": 1}, "three letters"),
        ({"ps4pro": 100, "ps5pro": 1}, "a digit"),
        ({"lamp": 100, "camp": 1}, "another first letter"),
        ({"black": 20, "back": 1}, "a short word, likely one of its own"),
        ({"帐篷睡袋": 100, "帐篷睡床": 1}, "letters that are words"),
    ],
)
def test_what_may_be_a_word_of_its_own_is_left(counts: dict[str, int], why: str) -> None:
    assert misspellings(counts) == {}, why


def test_the_catalogues_words_are_right_and_what_others_are_taken_for() -> None:
    assert misspellings({"black": 20, "back": 1}, {"black"}) == {"back": "black"}
    assert misspellings({"black": 20, "back": 1}, {"black", "back"}) == {}
    counts = {"platters": 100, "planters": 30, "plantres": 1}
    assert misspellings(counts)["plantres"] == "planters"  # one edit before two
    assert misspellings(counts, {"platters"})["plantres"] == "platters"
    assert terms_of({"sofa": 50, "sofe": 10}, vocabulary={"Sofas"})["sofe"] == ["sofa"]


def test_a_misspelling_is_never_read_as_another_misspelling() -> None:
    counts = {"backpack": 1000, "backpck": 50, "bakpck": 2}
    meant = misspellings(counts)
    assert meant == {"backpck": "backpack", "bakpck": "backpck"} or set(meant.values()) == {"backpack"}
    assert not set(meant) & set(meant.values())


@pytest.mark.parametrize(
    ("counts", "term"),
    [
        ({"sweatshirt": 9, "sweat shirt": 2, "sweat-shirts": 1}, "sweatshirt"),
        ({"sleepingbag": 2, "sleeping bag": 9, "sleeping bags": 1}, "sleeping bag"),
        ({"t-shirt": 5, "tshirt": 3, "t shirts": 2}, "tshirt"),
    ],
)
def test_a_compound_is_one_term_however_it_is_written(counts: dict[str, int], term: str) -> None:
    assert set(map(tuple, terms_of(counts).values())) == {(term,)}


def test_two_words_are_left_apart_where_nobody_writes_them_in_one() -> None:
    assert terms_of({"table top": 1, "desk": 1})["table top"] == ["table", "top"]


def test_words_that_hardly_stand_alone_are_a_phrase_and_a_colour_with_its_dress_is_none() -> None:
    counts = {
        "sleeping bag": 30,
        "warm sleeping bag": 5,
        "warm hat": 9,
        "bag": 20,
        "red dress": 30,
        "red shoe": 30,
        "dress": 30,
        "red hat": 20,
        "red wine glass": 99,
    }
    read = terms_of(counts)
    assert read["warm sleeping bag"] == ["sleeping bag", "warm"]
    assert read["red dress"] == ["dress", "red"]
    assert read["red shoe"] == ["red", "shoe"]
    assert read["bag"] == ["bag"]


def test_three_words_may_be_a_phrase() -> None:
    counts = {"baby car seat": 20, "car seat": 5, "baby car seat cover": 3, "lamp": 100}
    assert terms_of(counts)["baby car seat cover"] == ["baby car seat", "cover"]


@pytest.mark.parametrize("other", ["poster travel", "posters travel", "Travel Posters", "red poster travel"])
def test_a_phrase_is_one_term_in_either_order_and_number(other: str) -> None:
    counts = {"travel poster": 20, other: 4, "poster": 9, "lamp": 100}
    read = terms_of(counts, attributes={"red": "colour=red"})
    assert "travel poster" in read[other]
    assert read["travel poster"] == ["travel poster"]
    assert read["poster"] == ["poster"], "but a word of it alone is another"
    assert labels_of(counts)["travel poster"] == "travel poster"
    even = terms_of({other: 4, "travel poster": 4, "lamp": 100}, attributes={"red": "colour=red"})
    assert set(even["travel poster"]) <= set(even[other]), "even where both are as frequent"


def test_both_orders_together_make_the_phrase() -> None:
    assert terms_of({"film camera": 2, "camera film": 1, "lamp": 100})["camera film"] == ["film camera"]
    turned = terms_of({"baby car seat": 20, "car seat": 5, "car seat baby": 4, "lamp": 100})
    assert turned["car seat baby"] == turned["baby car seat"] == ["baby car seat"]


@pytest.mark.parametrize(
    ("plural", "singular"), [("smart TVs", "smart tv"), ("bread knives", "bread knife"), ("shelves", "shelf"), ("menus", "menu")]
)
def test_plurals_that_the_log_gives_away(plural: str, singular: str) -> None:
    read = terms_of({plural: 4, singular: 6, "lamp": 100}, vocabulary=[plural, singular])
    assert read[plural] == read[singular]
    assert len(read[singular]) == 1


def test_a_word_is_no_plural_of_what_nobody_searches_for() -> None:
    counts = {"gps": 5, "bus": 5, "live plant": 5, "life vest": 5, "saves": 5, "safe": 5, "dress": 5, "olives": 5}
    assert set(labels_of(counts)) >= {"gps", "bus", "live plant", "life vest", "save", "safe", "dress", "olive"}


def test_a_phrase_needs_support_and_neighbours() -> None:
    assert terms_of({"sleeping bag": 2, "lamp": 100})["sleeping bag"] == ["bag", "sleeping"]
    apart = terms_of({"bag for sleeping": 20, "lamp": 100})
    assert apart["bag for sleeping"] == ["bag", "sleeping"]


def test_attributes_are_marked_and_never_part_of_a_phrase() -> None:
    attributes = {"Red": "colour=red", "navy blue": "colour=navy blue", "The North Face": "brand=The North Face", "!": "brand=!"}
    counts = {"red wagon": 50, "Navy Blue jacket": 5, "the north face jacket": 9, "blue jacket": 1, "lamp": 90}
    stats = counted_queries([query for query, n in counts.items() for _ in range(n)])
    read = read_terms(stats, attributes=attributes)
    by_term = dict(zip(read.terms, read.attribute, strict=True))
    assert by_term["red"] == "colour=red"
    assert by_term["navy blue"] == "colour=navy blue"
    assert by_term["north face"] == "brand=The North Face"
    assert by_term["wagon"] == by_term["jacket"] == by_term["blue"] == ""


def test_a_label_is_what_is_typed_most() -> None:
    assert labels_of({"crème brûlée": 3, "Crème Brûlée": 1, "creme brulee": 2})["creme brulee"] == "crème brûlée"
    assert labels_of({"IKEA": 3, "ikea": 2})["ikea"] == "IKEA"
    assert labels_of({"Sleeping Bags": 1, "sleeping bags": 4, "sleeping bag": 2})["sleeping bag"] == "sleeping bags"
    assert labels_of({"t-shirt": 5, "tshirt": 3})["tshirt"] == "t-shirt"
    assert labels_of({"lantern": 9, "lantren": 1})["lantern"] == "lantern"


def test_likelihood_ratios_are_dunnings() -> None:
    """Table 1 of Dunning (1993): "the swiss" 270.72, "can be" 263.90, from the bigram's counts."""
    both, a_only, b_only, neither = np.array([[110, 2442, 111, 29114], [29, 13, 123, 31612]], dtype=float).T
    total = both + a_only + b_only + neither
    ratio = [
        float(log_likelihood_ratio(both[i : i + 1], (both + a_only)[i : i + 1], (both + b_only)[i : i + 1], total[i])[0])
        for i in (0, 1)
    ]
    np.testing.assert_allclose(ratio, [270.72, 263.90], atol=0.01)


def test_likelihood_ratios_are_below_0_for_what_stands_apart_and_0_for_chance() -> None:
    ratio = log_likelihood_ratio(np.array([0.0, 10.0]), np.array([50.0, 100.0]), np.array([50.0, 100.0]), 1000.0)
    assert ratio[0] < 0
    assert ratio[1] == pytest.approx(0.0, abs=1e-9)


def test_the_order_of_the_log_does_not_matter() -> None:
    queries = [query for query, _ in WANDS] * 3
    one, other = (read_terms(counted_queries(each)) for each in (queries, queries[::-1]))
    assert (one.terms, one.labels) == (other.terms, other.labels)
    assert (one.of_query != other.of_query).nnz == 0


def test_real_queries_merge_where_they_ask_for_the_same_and_stay_as_they_are_read() -> None:
    found = check_normalisation([query for query, _ in WANDS], [each for _, each in WANDS])
    assert (found["queries"], found["forms"], found["without_terms"]) == (14, 11, 0)
    assert found["merged"] == [
        ["body pillow and case", "body pillow case"],
        ["leather chair", "leather chairs"],
        ["writing desk", 'writing desk 48"'],
    ]
    assert found["merged_across_classes"] == []
    assert found["phrases"] == ["coffee table"]
    assert found["unstable"] == 0


def test_what_words_between_kept_apart_is_not_read_as_a_phrase_again() -> None:
    queries = ["side table", "side table oak", "white side table", "entry table with side drawer"]
    queries += [f"lamp {other}" for other in ["oak", "elm", "ash", "fir", "yew", "bay", "fig", "gum", "box", "sal", "tea", "nut"]]
    found = check_normalisation(queries, [""] * len(queries))
    assert (found["phrases"], found["unstable"]) == (["side table"], 0)


def test_a_merge_across_classes_is_told() -> None:
    found = check_normalisation(["lamp", "lamps", "tent"], ["Lighting", "Fuel", "Camping"])
    assert found["merged_across_classes"] == [["lamp", "lamps"]]
    with pytest.raises(ValueError, match="1 queries, 2 classes"):
        check_normalisation(["lamp"], ["a", "b"])


def test_the_baseline_groups_queries_by_their_words() -> None:
    queries = ["red tent", "tent", "big tent", "oak desk", "desk", "desks"]
    groups = tfidf_groups(queries, 2, seed=0)
    assert len(set(groups[:3])) == len(set(groups[3:])) == 1
    assert groups[0] != groups[3]
    assert tfidf_groups(["!", ""], 3, seed=0).tolist() == [0, 0]
    assert len(set(tfidf_groups(["tent", "Tents", "desk"], 9, seed=0).tolist())) == 2
    with pytest.raises(ValueError, match="k 0"):
        tfidf_groups(queries, 0, seed=0)


def test_terms_are_told_of_every_query() -> None:
    read: QueryTerms = read_terms(counted_queries(["tent", "for", "red tent"]))
    assert read.of_query.shape == (3, 2)
    assert read.of_query.dtype == bool
    assert read.of_query.sum(axis=1).ravel().tolist() == [[0, 2, 1]]  # in the order of the queries: for, red tent, tent
