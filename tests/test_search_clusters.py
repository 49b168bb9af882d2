"""From query clusters to item clusters, in a small shop where it is known what is looked for together, and why."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import sparse

from clusters.catalogue import Catalogue, ItemRow, build_catalogue
from clusters.correlated_attributes import attribute_words, correlate
from clusters.descriptor_search import Search
from clusters.query_clusters import QueryClusters, TermPair
from clusters.query_terms import QueryTerms
from clusters.search_clusters import (
    MAX_CLUSTERS,
    MAX_ITEMS,
    MAX_TERMS,
    PER_TYPE,
    TYPICAL,
    ItemDescriptor,
    SearchClusters,
    build_search_clusters,
    explain_membership,
    from_search_history,
    search_of,
)
from clusters.search_history import QueryStats
from clusters.search_index import Document, Filters, build_index
from clusters.search_titles import say_market, title_of
from personas.components import Text

CAMPING = ("tent", "sleeping bag", "lantern")
BAKING = ("cake tin", "whisk", "apron")
BRANDS = ("Alpino", "Basecamp")
CATEGORY = {
    **{"tent": "outdoors", "sleeping bag": "outdoors", "lantern": "outdoors"},
    **{"cake tin": "kitchen", "whisk": "kitchen", "apron": "clothes"},
}


def shop(*, per_type: int = 8, out_of_stock: Sequence[str] = ()) -> Catalogue:
    """Each type in two brands and rising prices; a lantern for the garden as well, in a category of its own."""
    rows: list[ItemRow] = []
    for name in (*CAMPING, *BAKING):
        for k in range(per_type):
            n = len(rows) + 1
            rows.append(
                ItemRow(n, f"sku-{n}", f"{name} no{n}", CATEGORY[name], BRANDS[k % 2], "", 10.0 + k, name not in out_of_stock)
            )
    for _ in range(4):
        n = len(rows) + 1
        rows.append(ItemRow(n, f"sku-{n}", f"garden lantern no{n}", "garden", "Basecamp", "", 12.0))
    return build_catalogue(rows)


@dataclass
class Words:
    """The plainest search there is: items whose titles have all the words, in the order of their ids. Counts its calls."""

    catalogue: Catalogue
    calls: int = 0

    def __call__(self, words: str, filters: Filters, count: int) -> tuple[np.ndarray, np.ndarray]:
        self.calls += 1
        wanted = set(words.split())
        names = self.catalogue.descriptors
        asked = {f"{kind}={v}" for kind in ("category", "brand", "colour", "price_tier") for v in getattr(filters, kind)}
        rows = self.catalogue.item_descriptors
        found = []
        for i in range(len(self.catalogue)):
            has = {names[j] for j in rows.indices[rows.indptr[i] : rows.indptr[i + 1]].tolist()}
            if wanted <= set(self.catalogue.titles[i].split()) and asked <= has:
                found.append(i)
        return np.array(found[:count], dtype=np.int64), np.ones(len(found[:count]))


Segment = tuple[tuple[str, ...], tuple[int, ...], str]
"""Queries of a segment, positions of the items viewed after each of them, market."""


def counted(segments: Sequence[Segment], catalogue: Catalogue) -> QueryStats:
    """The counts by their definition, a loop at a time."""
    queries = sorted({q for asked, _, _ in segments for q in asked})
    markets = tuple(sorted({m for _, _, m in segments if m}))
    place = {q: i for i, q in enumerate(queries)}
    pairs = np.zeros((len(queries), len(queries)), dtype=np.int64)
    engaged = np.zeros((len(queries), len(catalogue)))
    by_market = np.zeros((len(queries), len(markets)), dtype=np.int64)
    for asked, items, market in segments:
        for a, b in itertools.permutations(set(asked), 2):
            pairs[place[a], place[b]] += 1
        for q in set(asked):
            engaged[place[q], list(items)] += 1.0
            if market:
                by_market[place[q], markets.index(market)] += 1
    searches = Counter(q for asked, _, _ in segments for q in set(asked))
    shape = (len(segments), len(queries))
    return QueryStats(
        queries=Text.of(queries),
        searches=np.array([searches[q] for q in queries], dtype=np.int64),
        pairs=sparse.csr_matrix(pairs),
        item_ids=catalogue.item_ids,
        engaged=sparse.csr_matrix(engaged),
        markets=markets,
        by_market=sparse.csr_matrix(by_market),
        market_segments=np.array([sum(m == market for _, _, m in segments) for market in markets], dtype=np.int64),
        segments=len(segments),
        together=sparse.csr_matrix(
            np.array([[q in asked for q in queries] for asked, _, _ in segments], dtype=bool).reshape(shape)
        ),
        visitors=np.arange(len(segments)),
    )


def read(stats: QueryStats, types: Sequence[Sequence[str]], catalogue: Catalogue) -> tuple[QueryTerms, QueryClusters]:
    """Terms and groups as planted: a query's type, and its words that are an attribute of the shop."""
    worded = attribute_words(catalogue)
    named = [t for group in types for t in group] + sorted(worded)
    queries = [stats.queries[i] for i in range(len(stats.queries))]
    has = np.array([[f" {t} " in f" {q} " for t in named] for q in queries], dtype=bool).reshape(len(queries), len(named))
    searches = (has * stats.searches[:, None]).sum(0)
    group = np.array([g for g, each in enumerate(types) for _ in each] + [-1] * len(worded), dtype=np.int64)
    both = has.T.astype(int) @ stats.pairs.toarray() @ has.astype(int)
    pairs = [
        TermPair(a, b, int(both[a, b]), 0.5)
        for a, b in itertools.combinations(range(len(named)), 2)
        if both[a, b] and group[a] == group[b] >= 0
    ]
    terms = QueryTerms(tuple(named), tuple(named), sparse.csr_matrix(has), tuple(worded.get(t, "") for t in named))
    return terms, QueryClusters(group, tuple(pairs), searches, np.where(group >= 0, 0.8, 0.0))


def built(
    segments: Sequence[Segment],
    catalogue: Catalogue,
    types: Sequence[Sequence[str]] = (CAMPING, BAKING),
    search: Search | None = None,
) -> SearchClusters:
    stats = counted(segments, catalogue)
    terms, groups = read(stats, types, catalogue)
    return build_search_clusters(stats, terms, groups, catalogue, search or Words(catalogue))


def of_type(catalogue: Catalogue, name: str) -> list[int]:
    return [i for i in range(len(catalogue)) if catalogue.titles[i].startswith(name)]


def viewing(catalogue: Catalogue, types: Sequence[str], *, times: int = 10, brand: str = "", market: str = "") -> list[Segment]:
    """Segments with one query each, after which all items of the type, or those of a brand, are viewed."""
    made: list[Segment] = []
    for name in types:
        items = [i for i in of_type(catalogue, name) if not brand or catalogue.brands[catalogue.brand[i]] == brand]
        made += [((name,), tuple(items), market)] * times
    return made


def together(types: Sequence[str], *, times: int = 10, market: str = "") -> list[Segment]:
    return [(pair, (), market) for pair in itertools.combinations(types, 2) for _ in range(times)]


def test_a_query_cluster_becomes_a_cluster_of_what_its_searches_find() -> None:
    catalogue = shop()
    made = built(together(CAMPING) + together(BAKING), catalogue)
    assert made.titles == ("Tent, sleeping bag and lantern", "Cake tin, whisk and apron")
    camping = set(made.of_item[:, 0].nonzero()[0].tolist())
    garden = of_type(catalogue, "garden lantern")
    assert camping == {i for name in CAMPING for i in of_type(catalogue, name)} | set(garden)
    weight = made.of_item[:, 0].toarray().ravel()
    assert weight.max() <= 1.0
    assert (weight[sorted(camping)] > 0).all()
    tents = of_type(catalogue, "tent")
    assert (np.diff(weight[tents]) < 0).all()  # in the order in which the search ranks them


def test_every_membership_is_explained_by_a_pair_a_search_and_a_rank() -> None:
    catalogue = shop()
    made = built(together(CAMPING, times=41) + together(BAKING), catalogue)
    for c, (trace, via) in enumerate(zip(made.traces, made.via, strict=True)):
        members = set(made.of_item[:, c].nonzero()[0].tolist())
        assert set(via) == members
        for item, ways in via.items():
            for place, rank in ways:
                found, _ = Words(catalogue)(trace.descriptors[place].words, Filters(), 100)
                assert found[rank - 1] == item  # the oracle: the search itself
    third = of_type(catalogue, "lantern")[2]
    assert explain_membership(made.traces[0], made.via[0][third]) == (
        "Shoppers who searched for “tent” also searched for “lantern” (41 times).",
        "The search “lantern” ranks it 3rd, 3rd in category outdoors.",
    )
    assert explain_membership(made.traces[0], ()) == ()


def test_an_attribute_that_all_types_share_is_told_and_its_items_come_first() -> None:
    """Who camps here buys Alpino; who bakes buys both brands."""
    catalogue = shop()
    seen = viewing(catalogue, CAMPING, brand="Alpino") + viewing(catalogue, BAKING)
    made = built(seen + together(CAMPING) + together(BAKING), catalogue)
    assert "brand=Alpino" in dict(made.traces[0].attributes)
    assert "brand=Alpino" not in dict(made.traces[1].attributes)
    weight = made.of_item[:, 0].toarray().ravel()
    brand = np.array([catalogue.brands[b] for b in catalogue.brand.tolist()])
    for name in CAMPING:
        rows = np.array(of_type(catalogue, name))  # the word alone ranks them in this order, the brands in turn
        assert weight[rows[brand[rows] == "Alpino"]][2] > weight[rows[brand[rows] == "Basecamp"]][0]
    reasons = explain_membership(made.traces[0], made.via[0][of_type(catalogue, "tent")[0]])
    assert any("among brand Alpino" in reason for reason in reasons)


def test_a_category_keeps_apart_what_a_word_alone_confuses() -> None:
    """Lanterns of the garden are found by the word, but nobody who camps looks at them."""
    catalogue = shop()
    seen = viewing(catalogue, CAMPING) + viewing(catalogue, BAKING)
    made = built(seen + together(CAMPING) + together(BAKING), catalogue)
    assert dict(made.traces[0].attributes)["category=outdoors"] > 1.2
    weight = made.of_item[:, 0].toarray().ravel()
    assert weight[of_type(catalogue, "lantern")].min() > weight[of_type(catalogue, "garden lantern")].max()


def test_what_goes_with_one_of_the_terms_only_is_no_attribute() -> None:
    """A brand that only tents are bought of, and a category that is an apron's own."""
    catalogue = shop()
    seen = viewing(catalogue, ("tent",), brand="Alpino") + viewing(catalogue, (*CAMPING[1:], *BAKING))
    made = built(seen + together(CAMPING) + together(BAKING), catalogue)
    assert "brand=Alpino" not in dict(made.traces[0].attributes)
    assert "category=clothes" not in dict(made.traces[1].attributes)


def test_each_term_means_the_category_that_its_searchers_look_at() -> None:
    """Tulips are flowers, and the name of a table that the search likes better; the group has no category in common."""
    rows = [ItemRow(n + 1, f"d{n}", f"tulip table no{n}", "furniture", price=90.0) for n in range(16)]
    rows += [ItemRow(n + 21, f"f{n}", f"tulip bunch no{n}", "floral", price=9.0) for n in range(10)]
    rows += [ItemRow(n + 31, f"c{n}", f"cake no{n}", "groceries", price=9.0) for n in range(6)]
    catalogue = build_catalogue(rows)
    flowers = [i for i in range(len(catalogue)) if "bunch" in catalogue.titles[i]]
    segments: list[Segment] = [(("tulip",), tuple(flowers), "")] * 10 + together(("tulip", "cake"))
    for seen, first in (([], "table"), (segments, "bunch")):
        made = built(seen + together(("tulip", "cake")), catalogue, (("tulip", "cake"),))
        weight = made.of_item[:, 0].toarray().ravel()
        best = max(of_type(catalogue, "tulip"), key=lambda i: weight[i])
        assert first in catalogue.titles[best]


def test_a_term_keeps_to_the_company_of_the_others_where_nobody_shows_what_it_means() -> None:
    """Not one view: tents and sleeping bags are found outdoors alone, so the garden's lanterns come last."""
    catalogue = shop()
    made = built(together(CAMPING) + together(BAKING), catalogue)
    weight = made.of_item[:, 0].toarray().ravel()
    assert weight[of_type(catalogue, "lantern")].min() > weight[of_type(catalogue, "garden lantern")].max()
    reason = explain_membership(made.traces[0], made.via[0][of_type(catalogue, "lantern")[0]])[1]
    assert reason == "The search “lantern” ranks it 1st, 1st in category outdoors."


def test_a_rare_taste_is_no_attribute_however_surprising() -> None:
    """One search in twenty-five is for Alpino: far beyond the rest of the shop, and no reason to put it first."""
    catalogue = shop()
    asked: list[Segment] = [((f"{'' if k % 25 else 'alpino '}{t}",), (), "") for t in CAMPING for k in range(1000)]
    asked += [((t,), (), "") for t in BAKING for _ in range(1000)]
    made = built(asked, catalogue)
    assert made.traces[0].attributes == ()


def test_chance_is_no_attribute() -> None:
    """Views at random, over many seeds: an attribute other than the categories searched for is told once at most."""
    told = 0
    catalogue = shop()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        seen = [((t,), tuple(rng.choice(of_type(catalogue, t), 2).tolist()), "") for t in (*CAMPING, *BAKING) for _ in range(8)]
        stats = counted(seen, catalogue)
        terms, _ = read(stats, (CAMPING, BAKING), catalogue)
        found = correlate(stats, terms, catalogue).going_with(range(len(CAMPING)))
        told += sum(not a.name.startswith("category=") for a in found)
    assert told <= 1


def test_words_that_are_added_to_searches_are_attributes_too() -> None:
    """Without a single view: "alpino tent" is searched for more than "alpino whisk"."""
    catalogue = shop()
    asked: list[Segment] = [((f"{'alpino ' if k % 2 else ''}{t}",), (), "") for t in CAMPING for k in range(60)]
    asked += [((t,), (), "") for t in BAKING for _ in range(60)]
    made = built(asked + together(CAMPING) + together(BAKING), catalogue)
    assert dict(made.traces[0].attributes)["brand=Alpino"] > 2.0
    assert made.traces[1].attributes == ()


def test_a_market_that_searches_differently_gets_a_variant() -> None:
    """In Norway they ask for Alpino and for no lantern: nights are light. Elsewhere it is all three alike."""
    catalogue = shop()
    elsewhere = together(CAMPING, times=40, market="country=Germany")
    norway: list[Segment] = [(("alpino tent", "alpino sleeping bag"), (), "country=Norway")] * 60
    norway += [(("alpino tent", "lantern"), (), "country=Norway")] * 3
    made = built(elsewhere + norway + together(BAKING, times=20, market="country=Germany"), catalogue)
    variants = {trace.market: c for c, trace in enumerate(made.traces) if trace.market}
    assert "country=Norway" in variants
    c = variants["country=Norway"]
    assert made.titles[c] == "Tent and sleeping bag, in Norway"
    assert dict(made.traces[c].attributes)["brand=Alpino"] > 1.5
    assert "lantern" not in {d.words for d in made.traces[c].descriptors}
    assert explain_membership(made.traces[c], made.via[c][0])[-1] == "This is how it is searched for in Norway."


def test_what_shoppers_are_makes_no_market() -> None:
    """As clear a difference as Norway's, by income: no title tells shoppers what others of their income search for."""
    catalogue = shop()
    segments = together(CAMPING, times=40, market="income_band=high") + together(BAKING, times=20, market="income_band=high")
    segments += [(("alpino tent", "alpino sleeping bag"), (), "income_band=low")] * 60
    made = built(segments, catalogue)
    assert [trace.market for trace in made.traces] == ["", ""]


def test_markets_that_search_alike_have_no_variants() -> None:
    catalogue = shop()
    markets = ("device=mobile", "device=desktop", "device=tablet")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        drawn = together(CAMPING, times=30) + together(BAKING, times=30)
        made = built([(q, i, markets[int(rng.integers(3))]) for q, i, _ in drawn], catalogue)
        assert [trace.market for trace in made.traces] == ["", ""]


def test_each_type_has_its_place_however_many_items_one_has() -> None:
    rows = [ItemRow(n + 1, f"m{n}", f"mug no{n}", "kitchen", price=9.0) for n in range(90)]
    rows += [ItemRow(201 + n, f"t{n}", f"teapot no{n}", "kitchen", price=9.0) for n in range(3)]
    catalogue = build_catalogue(rows)
    made = built(together(("mug", "teapot")), catalogue, (("mug", "teapot"),))
    sizes = [len(set(made.via[0]) & set(of_type(catalogue, name))) for name in ("mug", "teapot")]
    assert sizes == [PER_TYPE, 3]
    assert len(made.via[0]) <= MAX_ITEMS


def test_two_words_for_the_same_items_are_one_type() -> None:
    """Sofa and couch find the same: with nothing else, there is nothing that goes together."""
    sofas = [ItemRow(n + 1, f"s{n}", f"sofa couch no{n}", "living", price=90.0) for n in range(5)]
    rugs = [ItemRow(n + 10, f"r{n}", f"rug no{n}", "living", price=40.0) for n in range(5)]
    catalogue = build_catalogue(sofas + rugs)
    assert len(built(together(("sofa", "couch")), catalogue, (("sofa", "couch"),))) == 0
    made = built(together(("sofa", "couch", "rug")), catalogue, (("sofa", "couch", "rug"),))
    assert made.titles == ("Sofa and rug",)
    assert {d.words for d in made.traces[0].descriptors} == {"sofa", "couch", "rug"}  # both words stay as reasons


def test_departments_and_what_finds_a_large_part_of_the_shop_are_no_types_of_items() -> None:
    """Decor is a category of things that go by other names, mugs are called so; "gift" is written on every second item."""
    rows = [ItemRow(n + 1, f"v{n}", f"vase no{n}", "decor", price=9.0) for n in range(10)]
    rows += [ItemRow(n + 11, f"m{n}", f"mug no{n}", "mugs", price=9.0) for n in range(10)]
    rows += [ItemRow(n + 31, f"g{n}", f"gift thing no{n}", "other", price=9.0) for n in range(150)]
    rows += [ItemRow(n + 201, f"o{n}", f"thing no{n}", "other", price=9.0) for n in range(150)]
    catalogue = build_catalogue(rows)
    by_title = Words(catalogue)

    def search(words: str, filters: Filters, count: int) -> tuple[np.ndarray, np.ndarray]:
        name = {"mug": "mugs"}.get(words, words)  # categories are searched as well, as in the storefront
        if name in catalogue.categories:
            found = np.flatnonzero(catalogue.category == catalogue.categories.index(name))[:count]
            return found, np.ones(len(found))
        return by_title(words, filters, count)

    types = ("decor", "mug", "gift", "vase")
    made = built(together(types), catalogue, (types,), search)
    assert made.titles == ("Mug and vase",)
    assert {d.words for d in made.traces[0].descriptors} == {"mug", "vase"}


def test_terms_that_find_nothing_are_told_but_bring_nothing() -> None:
    catalogue = shop()
    made = built(together((*CAMPING, "campfire")), catalogue, ((*CAMPING, "campfire"),))
    assert "campfire" in {label for label, _ in made.traces[0].terms}
    assert "campfire" not in {d.words for d in made.traces[0].descriptors}
    assert made.titles == ("Tent, sleeping bag and lantern",)


def test_goods_out_of_stock_stay_members_but_make_no_cluster() -> None:
    segments = together(CAMPING) + together(BAKING)
    catalogue = shop(out_of_stock=("tent",))
    made = built(segments, catalogue)
    assert made.titles[0] == "Tent, sleeping bag and lantern"
    assert set(of_type(catalogue, "tent")) <= set(made.via[0])
    assert built(segments, shop(out_of_stock=("tent", "sleeping bag", "lantern"))).titles == ("Cake tin, whisk and apron",)
    assert len(built(segments, shop(out_of_stock=(*CAMPING, *BAKING)))) == 0


@pytest.mark.parametrize(
    ("segments", "types"),
    [
        ([], ()),
        (together(CAMPING), (("tent",),)),
        ([(("tent",), (), "")] * 50, (("tent",),)),
        (together(("x1", "x2")), (("x1", "x2"),)),
    ],
    ids=["no searches", "a single term", "all queries alike", "nothing found"],
)
def test_nothing_that_goes_together_is_no_cluster(segments: list[Segment], types: tuple[tuple[str, ...], ...]) -> None:
    catalogue = shop()
    made = built(segments, catalogue, types)
    assert len(made) == 0
    assert made.of_item.shape == (len(catalogue), 0)
    assert made.traces == made.via == ()


@pytest.mark.parametrize("rows", [[], [ItemRow(1, "a", "tent lantern", "outdoors", price=1.0)]], ids=["empty", "one item"])
def test_a_catalogue_too_small_for_clusters_has_none(rows: list[ItemRow]) -> None:
    catalogue = build_catalogue(rows)
    made = built(together(CAMPING), catalogue, (CAMPING,))
    assert len(made) == 0
    assert made.of_item.shape == (len(rows), 0)


def test_items_that_left_the_catalogue_are_passed_over() -> None:
    """Counts of an older log, over items that were taken out since: the rest is as it would be without them."""
    before, catalogue = shop(), build_catalogue([])
    stats = counted(viewing(before, CAMPING) + together(CAMPING), before)
    terms, groups = read(stats, (CAMPING,), before)
    assert len(build_search_clusters(stats, terms, groups, catalogue, Words(catalogue))) == 0
    fewer = build_catalogue([r for r in _rows(before) if "lantern" not in r.title])
    made = build_search_clusters(stats, terms, groups, fewer, Words(fewer))
    assert made.titles == ("Tent and sleeping bag",)


def _rows(catalogue: Catalogue) -> list[ItemRow]:
    return [
        ItemRow(int(item), f"sku-{item}", catalogue.titles[i], catalogue.categories[catalogue.category[i]])
        for i, item in enumerate(catalogue.item_ids.tolist())
    ]


def test_a_trace_survives_json() -> None:
    """It is kept beside the cluster as JSON; ids and counts must be numbers that JSON knows."""
    catalogue = shop()
    made = built(viewing(catalogue, CAMPING, brand="Alpino") + viewing(catalogue, BAKING) + together(CAMPING), catalogue)
    told = json.loads(json.dumps(made.traces[0]._asdict()))
    assert [tuple(pair) for pair in told["pairs"]] == list(made.traces[0].pairs)
    assert [ItemDescriptor(w, tuple(f), x, n) for w, f, x, n in told["descriptors"]] == list(made.traces[0].descriptors)
    assert json.loads(json.dumps(list(made.via[0].items())))[0][0] == min(made.via[0])


def test_a_term_that_hardly_belongs_brings_no_items() -> None:
    catalogue = shop()
    stats = counted(together(CAMPING), catalogue)
    terms, groups = read(stats, (CAMPING,), catalogue)
    stray = np.where(np.arange(len(groups.weight)) == 1, TYPICAL - 0.01, groups.weight)
    made = build_search_clusters(stats, terms, replace(groups, weight=stray), catalogue, Words(catalogue))
    assert [term for term, _ in made.traces[0].terms] == [CAMPING[0], *CAMPING[2:]]
    assert not set(made.via[0]) & set(of_type(catalogue, CAMPING[1]))


def test_the_same_counts_give_the_same_clusters() -> None:
    catalogue = shop()
    segments = viewing(catalogue, CAMPING, brand="Alpino") + together(CAMPING) + together(BAKING)
    a, b = built(segments, catalogue), built(list(reversed(segments)), catalogue)
    assert (a.of_item != b.of_item).nnz == 0
    assert (a.titles, a.traces, a.via) == (b.titles, b.traces, b.via)


def test_searches_are_bounded() -> None:
    """500 clusters of 20 terms: no more searches than stated, and a plain one is made once for all variants."""
    catalogue = shop()
    types = [[f"thing{g}x{t}" for t in range(20)] for g in range(MAX_CLUSTERS + 200)]
    named = [t for group in types for t in group]
    q = len(named)
    stats = counted([], catalogue)
    stats = replace(
        stats,
        queries=Text.of(named),
        searches=np.ones(q, dtype=np.int64),
        pairs=sparse.csr_matrix((q, q), dtype=np.int64),
        engaged=sparse.csr_matrix((q, len(catalogue))),
        by_market=sparse.csr_matrix((q, 0), dtype=np.int64),
        segments=q,
    )
    terms = QueryTerms(tuple(named), tuple(named), sparse.identity(q, dtype=bool, format="csr"), ("",) * q)
    group = np.repeat(np.arange(len(types)), 20)
    search = Words(catalogue)
    groups = QueryClusters(group, (), np.ones(q, dtype=np.int64), np.full(q, 0.5))
    assert len(build_search_clusters(stats, terms, groups, catalogue, search)) == 0
    assert 0 < search.calls <= MAX_CLUSTERS * MAX_TERMS


def test_from_typed_searches_to_clusters_with_the_shops_own_search() -> None:
    """The whole chain: plurals, capitals, a slip and added colours, then the search of the storefront."""
    catalogue = shop()
    brand = [catalogue.brands[code] for code in catalogue.brand.tolist()]
    documents = [Document(r.item_id, r.title, r.category, b) for r, b in zip(_rows(catalogue), brand, strict=True)]
    search = search_of(build_index(documents), catalogue)
    rng = np.random.default_rng(1)
    segments: list[Segment] = []
    for _ in range(400):
        types = (CAMPING, BAKING)[int(rng.integers(2))]
        asked = [types[i] for i in rng.permutation(3)[:2].tolist()]
        forms = []
        for q in asked:
            variants = (q, f"{q}s", q.upper(), f"alpino {q}", q.replace("tent", "tnet"))
            forms.append(variants[int(rng.choice(5, p=(0.5, 0.2, 0.1, 0.15, 0.05)))])
        if rng.random() < 0.1:
            forms.append(str(rng.choice([*CAMPING, *BAKING])))
        segments.append((tuple(dict.fromkeys(forms)), (), ""))
    made = from_search_history(counted(segments, catalogue), catalogue, search)
    assert len(made) == 2
    for c in range(2):
        members = {catalogue.titles[i].rsplit(" ", 1)[0] for i in made.via[c]}
        assert members - {"garden lantern"} in (set(CAMPING), set(BAKING))
    nothing, _ = search("tent whisk", Filters(), 10)
    assert len(nothing) == 0  # no item has both; what has one of them is no type of its own


def test_no_history_gives_no_clusters() -> None:
    catalogue = shop()
    for segments in ([], [(("tent",), (), "")] * 100, [(("tent", "lantern"), (), "")]):
        made = from_search_history(counted(segments, catalogue), catalogue, Words(catalogue))
        assert len(made) == 0
        assert made.of_item.shape == (len(catalogue), 0)


def test_titles_are_distinct_and_fit() -> None:
    taken: set[str] = set()
    labels = ("tent", "sleeping bag", "lantern", "backpack")
    titles = [title_of(labels, market, taken) for market in ("", "", "device=mobile", "", "country=Germany")]
    assert titles == [
        "Tent, sleeping bag and lantern",
        "Tent, sleeping bag and backpack",
        "Tent, sleeping bag and lantern, on phones",
        "Tent, sleeping bag and lantern (2)",
        "Tent, sleeping bag and lantern, in Germany",
    ]
    assert len(title_of(["x" * 500] * 3, f"country={'y' * 500}", taken)) <= 120
    assert title_of(["CAMPING TENT", "iPhone case"], "", taken) == "Camping tent and iPhone case"
    assert [say_market(m) for m in ("device=watch", "language=Polish")] == ["on watch", "in Polish"]


def test_words_for_attributes_leave_goods_alone() -> None:
    """Orange is a colour here and a fruit as well; who types it may want to eat it."""
    rows = [
        ItemRow(1, "a", "a", "fruit", "", "orange", 1.0, tags=("orange",)),
        ItemRow(2, "b", "b", "shirts", "Bold & Brave", "red", 9.0, regular_price=12.0),
    ]
    found = attribute_words(build_catalogue(rows))
    assert found["red"] == "colour=red"
    assert found["bold brave"] == "brand=Bold & Brave"
    assert found["sale"] == "discount=reduced"
    assert "orange" not in found
