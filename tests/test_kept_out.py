"""Kinds of items that a cluster takes in none of: how they are written, in builds, in a visit, live, in rows, and undone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from clusters import editing, kept_out, kept_out_rows
from clusters.bounds import Bounds
from clusters.catalogue import ItemRow, build_catalogue
from clusters.editing import Actor, EditConflict, EditError
from clusters.edits import ClusterEdit
from clusters.item_clusters import CO_VISIT, ItemClusters, build_clusters, with_edits, with_ids
from clusters.kept_out import REDUCED
from clusters.models import ClusterBar, ClusterChange, ClusterItemRule, ClusterMembership, Item, ItemCluster
from clusters.reach import Reach
from personas.components import from_parts, to_parts
from personas.models import Shop
from recommendations import activation, releases
from recommendations.drafts import drafting
from recommendations.drafts.verbs import Names, sentence
from recommendations.engine import Engine
from recommendations.learning.bounds import settings_of
from recommendations.learning.lasting_bounds import WORDS, allowed, held
from recommendations.overlay import Offer, Overlay, with_arm, with_overlay
from recommendations.reading import read_catalogue, read_edits
from tests.cluster_worlds import planted
from tests.overlay_shops import make_shop
from tests.worlds import make_world, train_world

ANN = Actor("merchandiser", who="Ann")


# How they are written


def test_kinds_have_one_written_form() -> None:
    for told, form in (
        ("discount=reduced", "discount=reduced"),
        (" brand = Acme & Co. ", "brand=Acme & Co."),
        ("price=100..", "price=100.."),
        ("price=..20.50", "price=..20.5"),
        ("price=020..100.00", "price=20..100"),
        ("price=19,90..1000,5", "price=19.9..1000.5"),
        ("price=..,5", "price=..0.5"),
        ("price_tier=top", "price_tier=top"),
        ("tag=a=b", "tag=a=b"),
    ):
        assert kept_out.read(told) == form
        assert kept_out.read(form) == form


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (3, "must be written as"),
        ("sale", "must be written as"),
        ("margin=3", "must be one of category"),
        ("brand=", "1 to 120 characters"),
        ("brand=a\x00", "1 to 120 characters"),
        ("discount=half", 'only "reduced"'),
        ("price_tier=huge", "price tier 'huge'"),
        ("price=..", "must have a price as"),
        ("price=9..3", "none can be both"),
        ("price=1.2.3..9", "'1.2.3', which must be a number"),
        ("price=1,000..", '\'1,000\', which must be a number such as "1200" or "19.90", with a point'),
        ("price=1.000,50..", "with a point"),
        ("price=,..3", "with a point"),
        ("price=..99999999999", "above all"),
        ("price=-3..9", "must have a price as"),
    ],
)
def test_what_is_no_kind_is_refused_with_the_reason(told: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        kept_out.read(told)


def random_rows(seed: int) -> list[ItemRow]:
    rng = np.random.default_rng(seed)
    return [
        ItemRow(
            n,
            f"i{n}",
            title=f"thing {n}",
            category=("", "a", "b")[rng.integers(3)],
            brand=("", "Acme", "Ωmega")[rng.integers(3)],
            colour=("", "red")[rng.integers(2)],
            price=None if rng.random() < 0.2 else round(float(rng.uniform(1, 100)), 2),
            tags=(("sale",), ("sale", "new"), ("wholesale",), ())[rng.integers(4)],
            regular_price=None if rng.random() < 0.4 else 50.0,
        )
        for n in range(1, 120)
    ]


KINDS = (
    "category=a",
    "brand=Acme",
    "brand=Ωmega",
    "colour=red",
    "tag=sale",
    REDUCED,
    "price_tier=top",
    "price=20..60",
    "price=80..",
)


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_rows_and_the_catalogue_made_of_them_say_the_same(seed: int) -> None:
    """Oracle: of each kind a line of Python over the rows, tiers by the catalogue's own array."""
    rows, shop = random_rows(seed), Shop.objects.create(slug="s", name="S")
    fields = ("external_id", "title", "category", "brand", "colour", "price", "regular_price")
    made = [Item(pk=r.item_id, shop=shop, tags=list(r.tags), **{name: getattr(r, name) for name in fields}) for r in rows]
    Item.objects.bulk_create(made)
    catalogue = build_catalogue(rows)
    tier = dict(zip(catalogue.item_ids.tolist(), catalogue.price_tier.tolist(), strict=True))
    oracle = {
        "category=a": lambda r: r.category == "a",
        "brand=Acme": lambda r: r.brand == "Acme",
        "brand=Ωmega": lambda r: r.brand == "Ωmega",
        "colour=red": lambda r: r.colour == "red",
        "tag=sale": lambda r: "sale" in r.tags,
        REDUCED: lambda r: r.price is not None and r.regular_price is not None and r.price < r.regular_price,
        "price_tier=top": lambda r: tier[r.item_id] == 3,
        "price=20..60": lambda r: r.price is not None and 20 <= r.price <= 60,
        "price=80..": lambda r: r.price is not None and r.price >= 80,
    }
    by_rows = kept_out_rows.by_kind(shop, KINDS)
    for kind in KINDS:
        wanted = {r.item_id for r in rows if oracle[kind](r)}
        assert wanted, kind
        assert by_rows[kind] == wanted, kind
        assert set(catalogue.item_ids[kept_out.under(catalogue, [kind])].tolist()) == wanted, kind
        some = sorted(wanted)[:3] + [r.item_id for r in rows if not oracle[kind](r)][:3]
        assert kept_out_rows.under(shop, [kind], some) == wanted & set(some), kind
    assert not kept_out.under(catalogue, ["brand=nobody's", "tag=nothing"]).any()
    assert kept_out_rows.under(shop, []) == set()


# Where clusters are formed


@pytest.fixture(scope="module")
def world():
    """Eight groups of twelve items, ids from 1, every other one blue; a third of the views is astray."""
    log, catalogue, _ = planted(groups=8, size=12, sessions=2_500, stray=0.3, seed=2)
    return log, catalogue, build_clusters(log, catalogue)


def ids_of(clusters: ItemClusters, cluster_id: int) -> set[int]:
    return set(clusters.item_ids[clusters.items[clusters.position_of[cluster_id]].indices].tolist())


BLUE = frozenset(range(1, 97, 2))


def test_a_build_takes_none_in_whatever_else_is_said_but_core_items(world) -> None:
    log, catalogue, clusters = world
    mine = ids_of(clusters, 1)
    core = min(mine & BLUE)
    edit = ClusterEdit(1, CO_VISIT, bars=("colour=blue",), core=frozenset({core}), taken=frozenset({93, 95}), minimum=30)
    for made in (
        with_edits(clusters, catalogue, [edit]),
        build_clusters(log, catalogue, previous=clusters, edits=[edit]),
    ):
        after = ids_of(made, 1)
        assert after & BLUE == {core}
        assert mine - BLUE <= after
        assert len(after) == 30, "filled up from what it may have"
        assert np.allclose(made.of_item.sum(1), 1.0, atol=1e-6), "what left is elsewhere"
        assert made.bars[made.position_of[1]] == ("colour=blue",)


def test_what_the_rows_say_goes_before_what_a_catalogue_knew(world) -> None:
    _, catalogue, clusters = world
    mine = ids_of(clusters, 1)
    two = frozenset(sorted(mine)[:2])
    made = with_edits(clusters, catalogue, [ClusterEdit(1, CO_VISIT, bars=("colour=blue",), barred=two)])
    assert ids_of(made, 1) == mine - two


def test_a_cluster_whose_items_are_the_merchandisers_keeps_to_it_too(world) -> None:
    _, catalogue, clusters = world
    edit = ClusterEdit(70, "manual", name="Ours", members=dict.fromkeys(range(1, 11), 1.0), bars=("colour=blue",))
    assert ids_of(with_edits(clusters, catalogue, [edit]), 70) == set(range(2, 11, 2))


def test_they_stay_through_files_other_ids_and_rebuilds_without_edits(world) -> None:
    log, catalogue, clusters = world
    made = with_edits(clusters, catalogue, [ClusterEdit(2, CO_VISIT, bars=("colour=blue",))])
    arrays, meta = to_parts(made)
    assert from_parts(ItemClusters, arrays, json.loads(json.dumps(meta))).bars == made.bars
    older = {name: value for name, value in meta.items() if name != "bars"}
    assert from_parts(ItemClusters, arrays, older).bars == (), "of a release from before there were any"
    moved = with_ids(made, {2: 500})
    assert moved.bars[moved.position_of[500]] == ("colour=blue",)
    again = build_clusters(log, catalogue, previous=made)
    assert not ids_of(again, 2) & BLUE


# In a visit, and live


def test_an_expansion_brings_none_in(world) -> None:
    _, catalogue, clusters = world
    made = with_edits(clusters, catalogue, [ClusterEdit(1, CO_VISIT, bars=("colour=blue",))])
    free, bound = Reach(clusters, catalogue, Bounds()), Reach(made, catalogue, Bounds())
    source = made.position_of[1]
    for target, _ in bound.near(source):
        items = set(catalogue.item_ids[list(bound.way(source, target).items)].tolist())
        assert not items & BLUE
    assert any(set(catalogue.item_ids[list(free.way(source, t).items)].tolist()) & BLUE for t, _ in free.near(source))
    shut = with_edits(clusters, catalogue, [ClusterEdit(1, CO_VISIT, bars=("price=0..",), barred=frozenset())])
    target = shut.position_of[2]
    assert Reach(shut, catalogue, Bounds()).way(shut.position_of[1], target) == ((), "kept_out")
    assert "kept_out" in WORDS


@pytest.fixture(scope="module")
def trained() -> Engine:
    return train_world(make_world(sessions=150), most_examples=500)


def barred(engine: Engine, *kinds: str, cluster: int = 0) -> tuple[Engine, int]:
    """The engine with kinds kept out of the cluster at a position, and the cluster's id."""
    pk = engine.clusters.cluster_ids.item(cluster)
    edit = ClusterEdit(pk, CO_VISIT, bars=kinds, barred=frozenset())
    return replace(engine, clusters=with_edits(engine.clusters, engine.catalogue, [edit])), pk


def test_an_item_whose_price_falls_goes_out_live_and_comes_back_with_it(trained: Engine) -> None:
    engine, pk = barred(trained, REDUCED)
    inside = sorted(ids_of(engine.clusters, pk))
    item = inside[0]
    price = float(engine.catalogue.price[engine.catalogue.position(item)])
    cut = with_overlay(engine, Overlay(1, {item: Offer(price, price + 5, True)}))
    assert ids_of(cut.clusters, pk) == set(inside[1:])
    at = cut.catalogue.position(item)
    assert pk not in [cut.clusters.cluster_ids.item(c) for c, _ in cut.clusters.of(at)]
    was, now = engine.clusters.of_item.sum(1), cut.clusters.of_item.sum(1)
    lone = not cut.clusters.of(at)
    assert np.allclose(np.delete(was, at), np.delete(now, at), atol=1e-6)
    assert now[at] == pytest.approx(0.0 if lone else was[at])
    assert cut.clusters.primary[at] != cut.clusters.position_of[pk]
    assert len(cut.clusters.weight) == len(cut.clusters.part) == cut.clusters.items.nnz
    later = with_overlay(cut, Overlay(2, {item: Offer(price, price + 5, False)}))
    assert later.clusters is cut.clusters, "what hangs on the clusters isn't made anew for a change of stock"
    assert with_overlay(later, Overlay(3, {item: Offer(price, None, True)})).clusters is engine.clusters
    arm = with_arm(cut, clusters=engine.clusters)
    assert item not in ids_of(arm.clusters, pk), "nor is it in an experiment's arm"


def test_a_new_item_of_such_a_kind_does_not_come_in_and_others_do(trained: Engine) -> None:
    catalogue = trained.catalogue
    twin = int(ids_of(trained.clusters, trained.clusters.cluster_ids.item(0)).pop())
    p = catalogue.position(twin)
    told = {
        "title": catalogue.titles[p],
        "category": catalogue.categories[catalogue.category[p]],
        "colour": catalogue.colours[catalogue.colour[p]],
        "price": float(catalogue.price[p]),
    }
    new = (ItemRow(9_000, "n1", **told), ItemRow(9_001, "n2", regular_price=told["price"] + 9, **told))
    free = with_overlay(trained, Overlay(1, items=new))
    homes = {c for c, _ in free.clusters.of(free.catalogue.position(9_001))}
    home = min(homes)
    engine, pk = barred(trained, REDUCED, cluster=home)
    live = with_overlay(engine, Overlay(1, items=new))
    assert 9_000 in ids_of(live.clusters, pk)
    assert 9_001 not in ids_of(live.clusters, pk)
    again = with_overlay(live, Overlay(2, {twin: Offer(told["price"], None, False)}, items=new))
    assert 9_001 not in ids_of(again.clusters, pk)
    engine, pk = barred(trained, "tag=clearance", cluster=home)
    assert "tag=clearance" not in engine.catalogue.descriptors
    live = with_overlay(engine, Overlay(1, items=(new[0], replace(new[1], tags=("new", "clearance")))))
    assert ids_of(live.clusters, pk) & {9_000, 9_001} == {9_000}, "a tag that no training saw"
    arm = with_arm(live, clusters=engine.clusters)
    assert ids_of(arm.clusters, pk) & {9_000, 9_001} == {9_000}, "nor in an experiment's arm"


# On the rows


@pytest.fixture
def shop(settings: Any, tmp_path: Path, trained: Engine) -> Shop:
    settings.DATA_DIR, settings.RELEASES_DIR = tmp_path, tmp_path / "releases"
    shop = make_shop(trained)
    activation.activate(releases.publish(shop, trained, metrics={}), by=Actor(ClusterChange.Actor.TRAINING, who="Training"))
    return shop


def first_of(shop: Shop) -> ItemCluster:
    return ItemCluster.objects.live().filter(shop=shop).order_by("pk")[0]


def members(cluster: ItemCluster) -> set[int]:
    return set(cluster.memberships.values_list("item_id", flat=True))


def on_sale(items: list[int]) -> None:
    Item.objects.filter(pk__in=items).update(price=5, regular_price=9)


@pytest.mark.django_db
def test_kept_out_published_and_undone(shop: Shop) -> None:
    cluster = first_of(shop)
    before = members(cluster)
    sale = sorted(before)[:3]
    on_sale(sale)
    editing.set_core(cluster=cluster, items=sale[:1], by=ANN)
    (change,) = editing.keep_out(cluster=cluster, kinds=[REDUCED], by=ANN, reason="No sale")
    assert change.summary == "Takes in no items reduced in price: 2 items out, 1 item of its core stays"
    assert change.delta["bars"] == {REDUCED: [None, True]}
    assert members(cluster) == before - set(sale[1:])
    assert editing.keep_out(cluster=cluster, kinds=[REDUCED], by=ANN) == (), "said once"
    activation.publish_edits(shop)
    engine = releases.load_active(shop.pk)
    assert ids_of(engine.clusters, cluster.pk) == members(cluster) == before - set(sale[1:])
    assert engine.clusters.bars[engine.clusters.position_of[cluster.pk]] == (REDUCED,)
    (undone,) = editing.undo(change=change, by=ANN)
    assert undone.action == ClusterChange.Action.LET_IN
    assert not ClusterBar.objects.exists()
    activation.publish_edits(shop)
    assert ids_of(releases.load_active(shop.pk).clusters, cluster.pk) == before
    editing.undo(change=undone, by=ANN)
    assert members(cluster) == before - set(sale[1:])


@pytest.mark.django_db
def test_an_edit_is_published_anew_for_what_is_said_not_for_what_prices_do(shop: Shop) -> None:
    cluster = first_of(shop)
    editing.keep_out(cluster=cluster, kinds=[REDUCED], by=ANN)
    release = activation.publish_edits(shop)
    item = min(members(cluster))
    on_sale([item])
    assert activation.publish_edits(shop) == release
    assert item in {i for e in read_edits(shop) for i in e.barred or ()}
    editing.let_in(cluster=cluster, kinds=[REDUCED], by=ANN)
    assert activation.publish_edits(shop) != release
    assert item in members(cluster)


@pytest.mark.django_db
def test_a_locked_cluster_loses_what_became_such_with_the_next_release_on_the_record(shop: Shop) -> None:
    cluster = first_of(shop)
    editing.set_locked(cluster=cluster, locked=True, by=ANN)
    editing.keep_out(cluster=cluster, kinds=[REDUCED], by=ANN)
    before = members(cluster)
    item = min(before)
    on_sale([item])
    editing.rename(cluster=cluster, name="Picnic", by=ANN)
    assert members(cluster) == before, "a new name is no more than that"
    activation.publish_edits(shop)
    assert members(cluster) == before - {item}
    last = ClusterChange.objects.filter(cluster=cluster).latest("pk")
    assert (last.summary, last.delta["members"][str(item)][1]) == ("1 item out", None)


@pytest.mark.django_db
def test_no_edit_brings_one_in_but_a_hand_that_names_it(shop: Shop) -> None:
    first, second, *_ = ItemCluster.objects.live().filter(shop=shop).order_by("pk")
    others = sorted(members(second) - members(first))[:4]
    on_sale(others[:3])
    editing.keep_out(cluster=first, kinds=[REDUCED], by=ANN)
    editing.take_in(cluster=first, items=others, by=Actor("learning"))
    assert members(first) & set(others) == {others[3]}
    assert set(ClusterItemRule.objects.filter(cluster=first).values_list("item_id", flat=True)) == {others[3]}
    (added,) = editing.add_items(cluster=first, items=others[:1], by=ANN)
    assert added.delta["rules"] == {str(others[0]): [None, "core"]}
    editing.merge(clusters=[first, second], by=ANN)
    assert members(first) & set(others) == {others[0], others[3]}
    editing.add_items(cluster=first, items=others[1:2], by=ANN)
    assert ClusterItemRule.objects.get(cluster=first, item=others[1]).rule == "core", "in one owned by hand too"
    (split, *_) = [
        c.cluster for c in editing.split(cluster=first, groups={"Part": others[3:]}, by=ANN) if c.cluster.name == "Part"
    ]
    assert list(split.bars.values_list("kind", flat=True)) == [REDUCED]


@pytest.mark.django_db
def test_the_undo_of_a_removal_says_what_stays_out_and_why(shop: Shop) -> None:
    cluster = first_of(shop)
    gone = sorted(members(cluster))[:3]
    (change,) = editing.remove_items(cluster=cluster, items=gone, by=ANN)
    on_sale(gone[:1])
    editing.keep_out(cluster=cluster, kinds=[REDUCED, "brand=Nobody"], by=ANN)
    (undone,) = editing.undo(change=change, by=ANN)
    told = "Undone, but 1 item stays out, as the cluster takes in none reduced in price: "
    assert undone.summary.startswith(told)
    assert members(cluster) & set(gone) == set(gone[1:])
    editing.set_locked(cluster=cluster, locked=True, by=ANN)
    own = editing.create(shop=shop, name="Own", items=[*gone, *sorted(members(cluster))[:2]], by=ANN)[0].cluster
    (change,) = editing.remove_items(cluster=own, items=gone[:1], by=ANN)
    editing.keep_out(cluster=own, kinds=[REDUCED], by=ANN)
    with pytest.raises(EditConflict, match="can't be undone: 1 item stays out of “Own”, which takes in none reduced in price"):
        editing.undo(change=change, by=ANN)


@pytest.mark.django_db
@pytest.mark.parametrize("by_kind", [True, False])
def test_a_learned_cluster_of_nothing_else_by_now_is_gone_until_that_changes(shop: Shop, by_kind: bool) -> None:
    """It neither comes and goes with each look for edits, nor comes back with what is kept out of it."""
    cluster = first_of(shop)
    before = sorted(members(cluster))
    if by_kind:
        editing.keep_out(cluster=cluster, kinds=[REDUCED], by=ANN)
        activation.publish_edits(shop)
        on_sale(before)
        editing.set_bounds(cluster=cluster, minimum_size=None, maximum_size=500, by=ANN)
    else:
        editing.exclude(cluster=cluster, items=before, by=ANN)
    release = activation.publish_edits(shop)
    cluster.refresh_from_db()
    assert cluster.retired_at is not None
    assert activation.publish_edits(shop) == release
    if by_kind:
        Item.objects.filter(pk__in=before[:2]).update(regular_price=None)
        other = ItemCluster.objects.live().filter(shop=shop)[0]
        editing.rename(cluster=other, name="Picnic", by=ANN)
        release = activation.publish_edits(shop)
        assert members(cluster) == set(before[:2])
        assert activation.publish_edits(shop) == release


@pytest.mark.django_db
def test_a_core_item_that_is_newer_than_the_release_stays_in_one_owned_by_hand(shop: Shop) -> None:
    cluster = first_of(shop)
    editing.set_locked(cluster=cluster, locked=True, by=ANN)
    editing.keep_out(cluster=cluster, kinds=[REDUCED], by=ANN)
    new = [Item.objects.create(shop=shop, external_id=f"new{n}", title="New", price=5, regular_price=9).pk for n in range(2)]
    editing.set_core(cluster=cluster, items=new[:1], by=ANN)
    ClusterMembership.objects.create(cluster=cluster, item_id=new[1], weight=1.0)
    activation.publish_edits(shop)
    assert members(cluster) & set(new) == {new[0]}


@pytest.mark.django_db
def test_a_part_of_nothing_but_what_is_kept_out_by_now_is_not_split_off(shop: Shop) -> None:
    cluster = first_of(shop)
    editing.keep_out(cluster=cluster, kinds=[REDUCED], by=ANN)
    before = sorted(members(cluster))
    on_sale(before[:2])
    with pytest.raises(EditError, match="takes in none of by now"):
        editing.split(cluster=cluster, groups={"Part": before[:2]}, by=ANN)
    assert members(cluster) == set(before)


@pytest.mark.django_db
def test_what_can_not_be_kept_out_is_refused(shop: Shop) -> None:
    cluster = first_of(shop)
    before = members(cluster)
    with pytest.raises(EditConflict, match="has only such items: retire it instead"):
        editing.keep_out(cluster=cluster, kinds=["price=0.."], by=ANN)
    with pytest.raises(EditError, match="must be one of category") as error:
        editing.keep_out(cluster=cluster, kinds=["size=9"], by=ANN)
    assert error.value.field == "kept_out"
    with pytest.raises(EditError, match="more than the 20 kinds"):
        editing.keep_out(cluster=cluster, kinds=[f"brand={n}" for n in range(21)], by=ANN)
    assert members(cluster) == before
    assert not ClusterBar.objects.exists()


@pytest.mark.django_db
def test_an_undo_waits_for_what_was_said_of_the_same_kind_since(shop: Shop) -> None:
    cluster = first_of(shop)
    (change,) = editing.keep_out(cluster=cluster, kinds=["brand=Acme"], by=ANN)
    editing.let_in(cluster=cluster, kinds=["brand=Acme"], by=ANN)
    with pytest.raises(EditConflict, match="what is kept out of .* changed since: lets items in again"):
        editing.undo(change=change, by=ANN)


@pytest.mark.django_db
def test_learning_may_not_propose_them(shop: Shop) -> None:
    first, second, *_ = ItemCluster.objects.live().filter(shop=shop).order_by("pk")
    others = sorted(members(second) - members(first))[:2]
    on_sale(others[:1])
    editing.keep_out(cluster=first, kinds=[REDUCED], by=ANN)
    settings = settings_of(shop)
    settings.drift_budget = 1.0
    lets = allowed(settings, held(first, timezone.now()), "add", others)
    assert (lets.items, lets.stopped) == ((others[1],), {"kept_out": (others[0],)})
    assert allowed(settings, held(first, timezone.now()), "add", others[:1]).bound == "kept_out"


@pytest.mark.django_db
def test_a_draft_of_it_is_kept_told_and_published(shop: Shop, django_user_model: Any) -> None:
    user = django_user_model.objects.create_superuser("ann")
    cluster = first_of(shop)
    sale = sorted(members(cluster))[:2]
    on_sale(sale)
    draft = drafting.keep(shop, "cluster", "keep_out", by=user, subject=cluster.pk, values={"kinds": [REDUCED]})
    assert members(cluster) >= set(sale)
    assert sentence(draft, Names.of([draft])) == f"“{cluster}” takes in no items reduced in price."
    with pytest.raises(EditError, match="at least one kind"):
        drafting.keep(shop, "cluster", "keep_out", by=user, subject=cluster.pk, values={"kinds": []})
    (fate,) = drafting.publish(shop, by=user)
    assert (fate.goes, fate.told) == (True, "Takes in no items reduced in price: 2 items out.")
    assert not members(cluster) & set(sale)


@pytest.mark.django_db
def test_edits_are_read_in_queries_that_do_not_grow_with_items(shop: Shop, django_assert_max_num_queries: Any) -> None:
    for cluster in ItemCluster.objects.live().filter(shop=shop):
        editing.keep_out(cluster=cluster, kinds=["brand=Acme", "tag=sale"], by=ANN)
    with django_assert_max_num_queries(12):
        edits = read_edits(shop)
    assert all(edit.bars == ("brand=Acme", "tag=sale") for edit in edits)
    assert len(read_catalogue(shop)) == Item.objects.filter(shop=shop).count()
    assert ClusterMembership.objects.exists()
