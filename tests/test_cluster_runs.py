"""Clusters built, compared, activated, edited and rolled back, from rows to what serves and back to rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction
from django.test import Client
from django.urls import reverse

from clusters import editing
from clusters.lineage import Actor
from clusters.models import ClusterChange, ClusterMembership, ClusterSettings, Item, ItemCluster
from clusters.provenance import labels_of
from personas.events import CODE
from personas.models import ArchivedEvent, EventRow, Session, Shop, Shopper, moment
from recommendations import activation, cluster_reports, cluster_runs, cluster_statistics, releases, rights, tasks
from recommendations.cluster_reasons import reasons
from recommendations.cluster_runs import activate_build, build_clusters, discard_build, publish_edits
from recommendations.engine import Engine
from recommendations.models import Release, TrainingRun
from recommendations.releases import ReleaseError
from recommendations.run_records import TrainingBusy, on_record
from recommendations.runs import fit_personas, train_shop
from tests.worlds import World, make_world, train_world

pytestmark = pytest.mark.django_db

ANN = Actor(ClusterChange.Actor.MERCHANDISER, who="Ann")
TRAINED = 220
"""Sessions of the world that the first release was trained on; they are of a day and a half."""


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(sessions=300)


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    return train_world(World(world.catalogue, world.log.take(np.arange(TRAINED)), world.group), most_examples=2_000)


@pytest.fixture
def shop(world: World, engine: Engine, settings: Any, tmp_path: Path) -> Shop:
    """The world as rows, and the release that was trained on them."""
    settings.DATA_DIR, settings.RELEASES_DIR = tmp_path, tmp_path / "releases"
    shop = Shop.objects.create(slug="boutique", name="Boutique")
    c = world.catalogue
    Item.objects.bulk_create(
        Item(
            pk=int(c.item_ids[i]),
            shop=shop,
            external_id=c.external_ids[i],
            title=c.titles[i],
            category=c.categories[c.category[i]],
            colour=c.colours[c.colour[i]],
            price=round(float(c.price[i]), 2),
        )
        for i in range(len(c))
    )
    add_sessions(shop, world, range(TRAINED))
    release = releases.publish(shop, engine, metrics={})
    activation.activate(release, by=Actor(ClusterChange.Actor.TRAINING, who="Training 1"))
    return shop


def add_sessions(shop: Shop, world: World, which: range, words: str = "") -> None:
    """Sessions of the world as rows; each begins with a search for what it looks at, where `words` are given."""
    slices, c = list(world.log.slices()), world.catalogue
    for s in which:
        rows = slices[s]
        at, key = world.log.at[rows], f"{words}{world.log.keys[s]}"
        session = Session.objects.create(
            shop=shop, session_id=key, started_at=moment(at[0]), last_at=moment(at[-1]), events=len(at)
        )
        positions = world.log.position[rows].tolist()
        events = [
            EventRow(session.pk, f"{key}-{n}", int(code), moment(t), moment(t), n, p + 1, c.external_ids[p])
            for n, (code, t, p) in enumerate(zip(world.log.code[rows], at, positions, strict=True))
        ]
        if words:
            events.append(EventRow(session.pk, f"{key}-q", CODE["search"], moment(at[0]), moment(at[0]), -1, query=words))
        ArchivedEvent.objects.append(shop=shop, origin="import", rows=events)


def rows_of(shop: Shop) -> dict[int, tuple[str, frozenset[int]]]:
    """Live cluster id -> its name and its items."""
    return {
        row.pk: (row.name, frozenset(row.memberships.values_list("item_id", flat=True)))
        for row in ItemCluster.objects.filter(shop=shop).live()
    }


def served(shop: Shop) -> dict[int, tuple[str, frozenset[int]]]:
    """The same, as the active release has it."""
    engine = releases.load_active(shop.pk)
    clusters = engine.clusters
    return {
        cluster: (clusters.names[c], frozenset(engine.catalogue.item_ids[clusters.items[c].indices].tolist()))
        for c, cluster in enumerate(clusters.cluster_ids.tolist())
    }


def first_of(shop: Shop) -> ItemCluster:
    row = ItemCluster.objects.filter(shop=shop).live().first()
    assert row is not None
    return row


# Building


def test_a_build_waits_beside_the_release_that_serves_with_its_comparison(shop: Shop) -> None:
    active, before = Release.objects.active(shop), rows_of(shop)
    run = build_clusters(shop)
    assert run.release is not None
    assert (run.kind, run.state, run.release.state) == ("clusters", TrainingRun.State.DONE, Release.State.READY)
    assert Release.objects.active(shop) == active
    assert rows_of(shop) == before
    told = run.report["clusters"]
    assert told["clusters"] == [len(before)] * 2
    assert (told["continued"], told["new"], told["retired"], told["moved"]["items"]) == (len(before), [], [], 0), "the same log"
    assert run.report["statistics"]["why_all"] == "nothing was counted before"


def test_what_is_counted_part_by_part_is_what_is_counted_at_once(shop: Shop, world: World) -> None:
    """Oracle: the whole log, read anew."""
    catalogue = releases.load_active(shop.pk).catalogue
    add_sessions(shop, world, range(5), words="blue skirt")
    build_clusters(shop)
    add_sessions(shop, world, range(TRAINED, 300))
    add_sessions(shop, world, range(295, 300), words="red shoes")
    part = cluster_statistics.count(shop, catalogue, incremental=True, told=lambda share: None)
    whole = cluster_statistics.count(shop, catalogue, incremental=False, told=lambda share: None)
    assert (part.told["from"] != "", whole.told["why_all"]) == (True, "asked for")
    assert part.told["events"] < 0.8 * whole.told["events"], "the first sessions weren't read again"
    a, b = part.statistics, whole.statistics
    assert (a.visits.pairs != b.visits.pairs).nnz == (a.visits.moves != b.visits.moves).nnz == 0
    assert a.visits.gain == pytest.approx(b.visits.gain)
    assert a.visits.sessions == b.visits.sessions
    assert list(a.queries.queries) == list(b.queries.queries) == ["blue skirt", "red shoes"]
    assert a.queries.searches.tolist() == b.queries.searches.tolist() == [5, 5]


def test_how_fine_clusters_are_is_kept_until_the_log_is_another(shop: Shop, world: World) -> None:
    first = build_clusters(shop)
    activate_build(first)
    add_sessions(shop, world, range(TRAINED, 300))
    second = build_clusters(shop)
    a, b = first.report["statistics"], second.report["statistics"]
    assert (b["from"], b["resolution"], b["chosen_on"]) == (a["version"], a["resolution"], a["chosen_on"])
    assert b["sessions"] < 300 == build_clusters(shop, incremental=False).report["statistics"]["chosen_on"]
    for words in ("once", "twice"):
        add_sessions(shop, world, range(300), words=words)
    assert build_clusters(shop).report["statistics"]["chosen_on"] == 900, "more than twice as many sessions"


def test_the_log_is_read_anew_where_what_was_counted_no_longer_holds(shop: Shop, world: World) -> None:
    build_clusters(shop)
    assert build_clusters(shop).report["statistics"]["from"]
    add_sessions(shop, world, range(1), words="late")
    assert build_clusters(shop).report["statistics"]["why_all"] == "sessions of before were added, went on or were deleted"
    ClusterSettings.objects.create(shop=shop, inactivity_minutes=10)
    assert build_clusters(shop).report["statistics"]["why_all"] == "the settings changed"
    assert build_clusters(shop, incremental=False).report["statistics"]["why_all"] == "asked for"


def test_erasing_a_shopper_deletes_what_was_counted(
    shop: Shop, world: World, redis_client: redis.Redis, django_capture_on_commit_callbacks: Any
) -> None:
    """What people typed lies in the counts: oracle, the bytes on disk."""
    add_sessions(shop, world, range(3), words="unmentionables")
    person = Shopper.objects.create(shop=shop, external_id="eve")
    Session.objects.filter(shop=shop, session_id__startswith="unmention").update(shopper=person)
    build_clusters(shop)
    folder = releases.root_of(shop) / cluster_statistics.KIND

    def told() -> list[Path]:
        return [path for path in releases.root_of(shop).rglob("*.npy") if b"unmentionables" in path.read_bytes()]

    assert told()
    with django_capture_on_commit_callbacks(execute=True):
        rights.erase(shop, "eve")
    assert not folder.exists()
    assert told() == []
    again = build_clusters(shop)
    assert again.report["statistics"]["why_all"]
    assert told() == []


def test_searches_are_not_counted_where_the_shop_wants_none(shop: Shop, world: World) -> None:
    add_sessions(shop, world, range(10), words="blue skirt")
    assert build_clusters(shop).report["statistics"]["segments"] == 10
    ClusterSettings.objects.create(shop=shop, search_history=ClusterSettings.SearchHistory.OFF)
    run = build_clusters(shop)
    assert run.report["statistics"]["segments"] == 0
    assert set(run.report["clusters"]["kinds"]) == {"co_visit"}


def test_a_shop_without_a_release_or_a_log_is_told(shop: Shop, world: World) -> None:
    bare = Shop.objects.create(slug="bare", name="Bare")
    with pytest.raises(ReleaseError, match="train it first"):
        build_clusters(bare)
    ArchivedEvent.objects.filter(shop=shop).delete()
    with pytest.raises(ValueError, match="no event on a known item"):
        build_clusters(shop)
    assert TrainingRun.objects.latest("pk").state == TrainingRun.State.FAILED
    with releases.redis_client().lock(f"training:{shop.pk}", timeout=30), pytest.raises(TrainingBusy):
        build_clusters(shop)


def searched(shop: Shop) -> None:
    """Visits that search for two things that go together, three items of each, and look at one of what is found."""
    things: dict[str, list[int]] = {}
    for what, category in (("tent", "skirts"), ("lantern", "shoes"), ("teapot", "trousers"), ("tray", "blouses")):
        items = list(Item.objects.filter(shop=shop, category=category)[:3])
        for item in items:
            item.title = f"{item.colour} {what}"
        Item.objects.bulk_update(items, ["title"])
        things[what] = [item.pk for item in items]
    start = Session.objects.latest("last_at").last_at.timestamp()
    for s in range(60):
        at = start + 600.0 * s
        session = Session.objects.create(shop=shop, session_id=f"s{s}", started_at=moment(at), last_at=moment(at + 25), events=4)
        events = []
        for k, what in enumerate(("tent", "lantern") if s % 2 else ("teapot", "tray")):
            t, item = at + 20 * k, things[what][s % 3]
            events.append(EventRow(session.pk, f"s{s}-{k}q", CODE["search"], moment(t), moment(t), 2 * k, query=what))
            events.append(
                EventRow(session.pk, f"s{s}-{k}v", CODE["view_item"], moment(t + 5), moment(t + 5), 2 * k + 1, item, "x")
            )
        ArchivedEvent.objects.append(shop=shop, origin="import", rows=events)


def test_what_is_searched_for_together_becomes_clusters_that_say_why(shop: Shop) -> None:
    """Oracle: the pairs that were searched for; every membership names the searches that found the item."""
    searched(shop)
    run = build_clusters(shop)
    assert run.report["clusters"]["kinds"]["search"][1] > 0
    activate_build(run)
    rows = ItemCluster.objects.filter(shop=shop, kind="search").live()
    assert len(rows) == run.report["clusters"]["kinds"]["search"][1]
    for row in rows:
        assert {label for label, _ in row.provenance["terms"]} in ({"tent", "lantern"}, {"teapot", "tray"})
        assert all(member.via for member in row.memberships.all())
        places = {place for member in row.memberships.all() for place, _ in member.via}
        assert max(places) < len(row.provenance["descriptors"])
    editing.rename(cluster=first_of(shop), name="Summer blues", by=ANN)
    publish_edits(shop)
    assert all(row.provenance for row in ItemCluster.objects.filter(shop=shop, kind="search").live()), "edits keep it"
    activation.roll_back(shop)
    assert not ItemCluster.objects.filter(shop=shop, kind="search").live().exists()


def test_what_fewer_than_the_minimum_of_people_search_for_is_told_of_nobody(shop: Shop) -> None:
    """Thirty visits for a tent and a lantern by one shopper, then by two, with the least support that a shop can ask for."""
    searched(shop)
    ClusterSettings.objects.create(shop=shop, minimum_support=1)
    camping = [f"s{s}" for s in range(1, 60, 2)]
    people = [Shopper.objects.create(shop=shop, external_id=name) for name in ("eve", "bob")]
    for person, told in zip(people, (False, True), strict=True):
        Session.objects.filter(shop=shop, session_id__in=camping[:: -1 if told else 1][: 15 if told else 30]).update(
            shopper=person
        )
        run = build_clusters(shop, incremental=False)
        assert run.release is not None
        found = releases.provenance_of(run.release)
        assert found is not None
        labels = set().union(*map(labels_of, found.traces))
        assert ("tent" in labels, "teapot" in labels) == (told, True)


def test_an_erasure_takes_words_out_that_too_few_others_typed(
    shop: Shop, redis_client: redis.Redis, django_capture_on_commit_callbacks: Any
) -> None:
    """Three campers, of whom one is erased. Oracle: the rows, and the bytes of what releases keep of their searches."""
    searched(shop)
    for n, name in enumerate(("eve", "bob", "cem")):
        person = Shopper.objects.create(shop=shop, external_id=name)
        mine = [f"s{s}" for s in range(1 + 2 * n, 60, 6)]
        Session.objects.filter(shop=shop, session_id__in=mine).update(shopper=person)
    activate_build(build_clusters(shop))

    def told(word: str) -> tuple[bool, bool, bool]:
        rows = any(word in json.dumps(row.provenance) for row in ItemCluster.objects.filter(shop=shop))
        kept = releases.root_of(shop) / releases.SEARCHES
        on_disk = any(word.encode() in path.read_bytes() for path in kept.rglob("*") if path.is_file())
        said = any(word in why for row in ItemCluster.objects.live() for why in why_of(row))
        return rows, on_disk, said

    def why_of(row: ItemCluster) -> list[str]:
        return [why for each in reasons(row, list(row.memberships.all())).values() for why in each]

    assert told("lantern") == told("teapot") == (True, True, True)
    with django_capture_on_commit_callbacks(execute=True):
        rights.erase(shop, "eve")
    assert told("lantern") == (False, False, False)
    assert told("teapot") == (True, True, True)
    editing.rename(cluster=first_of(shop), name="Summer blues", by=ANN)
    publish_edits(shop)
    assert (told("lantern"), told("teapot")) == ((False, False, False), (True, True, True)), "also in what serves next"


def test_somebody_erased_while_a_build_goes_on_is_not_learned_from(
    shop: Shop, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(shop)
    for n, name in enumerate(("eve", "bob", "cem")):
        person = Shopper.objects.create(shop=shop, external_id=name)
        Session.objects.filter(shop=shop, session_id__in=[f"s{s}" for s in range(1 + 2 * n, 60, 6)]).update(shopper=person)
    compare = cluster_reports.compare

    def erased_meanwhile(*given: Any) -> Any:
        rights.erase(shop, "eve")
        return compare(*given)

    monkeypatch.setattr(cluster_reports, "compare", erased_meanwhile)
    release = activate_build(build_clusters(shop))
    found = releases.provenance_of(release)
    assert found is not None
    assert set().union(*map(labels_of, found.traces)) == {"teapot", "tray"}


def test_bounds_of_a_hand_made_cluster_leave_its_items_alone(shop: Shop) -> None:
    """Its rows say what it holds; of a learned one, the release says so, and the rows follow."""
    own = editing.create(shop=shop, name="Wedding", items=[1, 20, 40, 60], by=ANN)[0].cluster
    editing.set_bounds(cluster=own, minimum_size=2, maximum_size=3, by=ANN)
    learned = first_of(shop)
    editing.set_bounds(cluster=learned, minimum_size=None, maximum_size=5, by=ANN)
    publish_edits(shop)
    assert rows_of(shop) == served(shop)
    assert rows_of(shop)[own.pk] == ("Wedding", frozenset({1, 20, 40, 60}))
    assert len(rows_of(shop)[learned.pk][1]) == 5
    editing.set_bounds(cluster=own, minimum_size=30, maximum_size=None, by=ANN)
    activate_build(build_clusters(shop))
    assert rows_of(shop) == served(shop)


# Ids


def test_ids_of_two_builds_and_of_hands_never_clash(shop: Shop, engine: Engine) -> None:
    """Every cluster of a build is new here, since the rows of before are those of another shop."""
    first = cluster_runs.first_free_id(shop)
    mine = cluster_runs.settle_ids(shop, shifted(engine, first), first)
    made = editing.create(shop=shop, name="By hand", items=[1, 2], by=ANN)[0].cluster
    theirs = ItemCluster.objects.reserve(shop, 3)
    assert made.pk not in mine.cluster_ids
    assert min(theirs) > max(*mine.cluster_ids.tolist(), made.pk)
    again = cluster_runs.settle_ids(shop, shifted(engine, first := cluster_runs.first_free_id(shop)), first)
    assert not set(again.cluster_ids.tolist()) & {made.pk, *theirs, *mine.cluster_ids.tolist()}
    assert ItemCluster.objects.reserved(shop).count() == len(again), "what the earlier ones left unused is gone"


def shifted(engine: Engine, first: int) -> Any:
    from clusters.item_clusters import with_ids

    return with_ids(engine.clusters, {c: first + c for c in engine.clusters.cluster_ids.tolist()})


def test_a_newer_build_discards_an_older_one(shop: Shop) -> None:
    first, second = build_clusters(shop), build_clusters(shop)
    first.refresh_from_db()
    assert first.release is not None
    assert first.release.state == Release.State.FAILED
    with pytest.raises(ReleaseError, match="failed already"):
        activate_build(first)
    discard_build(second)
    assert not Release.objects.filter(state=Release.State.READY).exists()
    assert not ItemCluster.objects.reserved(shop).exists()


# Activating


def regrouped(shop: Shop, world: World) -> TrainingRun:
    """A build on a log in which each visit keeps to one of four new groups: other clusters."""
    ArchivedEvent.objects.filter(shop=shop).delete()
    Session.objects.filter(shop=shop).delete()
    other = make_world(seed=3, per_group=18, sessions=300, stay=0.97)
    n = len(world.catalogue)
    rng = np.random.default_rng(5)
    to = rng.permutation(n)
    for s, rows in enumerate(other.log.slices()):
        at = other.log.at[rows]
        session = Session.objects.create(
            shop=shop, session_id=f"r{s}", started_at=moment(at[0]), last_at=moment(at[-1]), events=len(at)
        )
        events = []
        for k, (t, p) in enumerate(zip(at, other.log.position[rows].tolist(), strict=True)):
            item = int(to[p * n // len(other.catalogue)]) + 1
            events.append(EventRow(session.pk, f"r{s}-{k}", CODE["view_item"], moment(t), moment(t), k, item, f"sku-{item}"))
        ArchivedEvent.objects.append(shop=shop, origin="import", rows=events)
    return build_clusters(shop)


def test_rows_follow_what_is_activated_and_what_is_rolled_back_to(shop: Shop, world: World) -> None:
    """Oracle: the arrays of the release that serves; and the record walked back gives the items of before."""
    before = rows_of(shop)
    assert before == served(shop)
    run = regrouped(shop, world)
    assert run.report["clusters"]["moved"]["items"] > 20
    release = activate_build(run)
    assert (release.state, release) == (Release.State.ACTIVE, run.release)
    after = rows_of(shop)
    assert after == served(shop) != before
    assert not ItemCluster.objects.reserved(shop).exists()
    changes = ClusterChange.objects.filter(actor=ClusterChange.Actor.BUILD)
    assert changes.values("batch").distinct().count() == 1
    told = {change.cluster_id: change.delta.get("members", {}) for change in changes}
    for cluster, (_, items) in before.items():
        entered = {int(i) for i, (was, _) in told.get(cluster, {}).items() if was is None}
        left = {int(i) for i, (_, now) in told.get(cluster, {}).items() if now is None}
        assert after.get(cluster, ("", frozenset()))[1] == items - left | entered
    activation.roll_back(shop)
    assert rows_of(shop) == served(shop) == before
    assert ClusterChange.objects.latest("pk").reason == "Rolled back to release 1."


def test_rows_that_say_the_same_are_not_written(shop: Shop, django_assert_max_num_queries: Any) -> None:
    release = Release.objects.active(shop)
    assert release is not None
    stamps = dict(ItemCluster.objects.values_list("pk", "updated_at"))
    changes, members = ClusterChange.objects.count(), set(ClusterMembership.objects.values_list("pk", flat=True))
    activation.activate(release, by=ANN)
    assert dict(ItemCluster.objects.values_list("pk", "updated_at")) == stamps
    assert set(ClusterMembership.objects.values_list("pk", flat=True)) == members
    assert ClusterChange.objects.count() == changes


def test_a_build_is_set_beside_personas_that_were_fitted_since(shop: Shop, world: World) -> None:
    run = regrouped(shop, world)
    fitted = fit_personas(shop)
    release = activate_build(run)
    run.refresh_from_db()
    assert (release, release.state) == (run.release, Release.State.ACTIVE)
    assert release.components["personas"] == fitted.components["personas"]
    assert release.components["clusters"] != fitted.components["clusters"]
    engine = releases.load_active(shop.pk)
    assert engine.clusters.persona_lift.shape[1] == len(engine.personas.ids)
    assert rows_of(shop) == served(shop)


def test_a_build_that_was_edited_since_serves_with_the_edits(shop: Shop) -> None:
    run = build_clusters(shop)
    cluster = first_of(shop)
    editing.rename(cluster=cluster, name="Summer blues", by=ANN)
    release = activate_build(run)
    run.refresh_from_db()
    assert run.release == release == Release.objects.active(shop)
    assert served(shop)[cluster.pk][0] == "Summer blues"
    assert not Release.objects.filter(state=Release.State.READY).exists()


def test_a_build_over_another_catalogue_is_refused(shop: Shop) -> None:
    run = build_clusters(shop)
    Item.objects.create(pk=1_000, shop=shop, external_id="new", title="new", category="skirts")
    stale = train_shop(shop, quick=True)
    run.refresh_from_db()
    with pytest.raises(ReleaseError, match="failed already"):
        activate_build(run)
    assert run.release is not None
    Release.objects.filter(pk=run.release.pk).update(state=Release.State.READY)
    run.refresh_from_db()
    with pytest.raises(ReleaseError, match="build them again"):
        activate_build(run)
    assert Release.objects.active(shop) == stale


# Edits


def test_edits_are_published_without_a_training_and_in_one_release(shop: Shop) -> None:
    cluster = first_of(shop)
    gone, stays = cluster.memberships.values_list("item_id", flat=True)[:2]
    made = editing.create(shop=shop, name="Wedding", items=[1, 20, 40], by=ANN)[0].cluster
    editing.remove_items(cluster=cluster, items=[gone], by=ANN)
    editing.rename(cluster=cluster, name="Summer blues", by=ANN)
    before = Release.objects.active(shop)
    release = publish_edits(shop)
    assert before is not None
    assert (release.number, release.state, release.metrics["of"]) == (before.number + 1, Release.State.ACTIVE, before.number)
    same = {kind for kind, version in before.components.items() if release.components[kind] == version}
    assert same == set(before.components) - {"clusters"}
    now = served(shop)
    assert now[made.pk] == ("Wedding", frozenset({1, 20, 40}))
    assert now[cluster.pk][0] == "Summer blues"
    assert (gone in now[cluster.pk][1], stays in now[cluster.pk][1]) == (False, True)
    assert rows_of(shop) == now
    assert publish_edits(shop) == release, "nothing was edited since"


def test_an_edit_taken_back_gives_learning_its_say_again(shop: Shop) -> None:
    before, cluster = served(shop), first_of(shop)
    gone = next(iter(before[cluster.pk][1]))
    change = editing.remove_items(cluster=cluster, items=[gone], by=ANN)[0]
    publish_edits(shop)
    editing.undo(change=change, by=ANN)
    publish_edits(shop)
    assert served(shop) == before == rows_of(shop)


def test_edits_outlive_builds_trainings_and_rollbacks(shop: Shop, world: World) -> None:
    made = editing.create(shop=shop, name="Wedding", items=[1, 20, 40], by=ANN)[0].cluster
    cluster = first_of(shop)
    editing.set_locked(cluster=cluster, locked=True, by=ANN)
    locked = rows_of(shop)[cluster.pk]
    activate_build(regrouped(shop, world))
    later = editing.create(shop=shop, name="Party", items=[2, 21], by=ANN)[0].cluster
    for bring in (lambda: publish_edits(shop), lambda: activation.roll_back(shop), lambda: train_shop(shop, quick=True)):
        bring()
        now = served(shop)
        assert now[made.pk] == ("Wedding", frozenset({1, 20, 40}))
        assert now[later.pk] == ("Party", frozenset({2, 21}))
        assert now[cluster.pk] == locked
        assert rows_of(shop) == now


def test_a_cluster_taken_out_by_hand_stays_out(shop: Shop) -> None:
    cluster = first_of(shop)
    editing.retire(cluster=cluster, by=ANN)
    publish_edits(shop)
    assert cluster.pk not in served(shop)
    run = build_clusters(shop)
    activate_build(run)
    assert cluster.pk not in served(shop)
    assert cluster.pk not in rows_of(shop)
    editing.restore(cluster=cluster, by=ANN)
    publish_edits(shop)
    assert cluster.pk in served(shop)


def test_an_edit_made_while_a_release_is_activated_is_in_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    load = releases.load

    def edited_meanwhile(release: Release) -> Engine:
        if not made:
            made.append(editing.create(shop=shop, name="Wedding", items=[1, 20], by=ANN)[0].cluster.pk)
        return load(release)

    active = Release.objects.active(shop)
    assert active is not None
    monkeypatch.setattr(releases, "load", edited_meanwhile)
    release = activation.activate(active, by=ANN)
    assert made[0] in load(release).clusters.cluster_ids


def test_rolling_back_passes_by_releases_that_only_took_up_edits(shop: Shop, world: World) -> None:
    built = activate_build(regrouped(shop, world))
    editing.rename(cluster=first_of(shop), name="Summer blues", by=ANN)
    publish_edits(shop)
    release = activation.roll_back(shop)
    assert releases.origin(release) == 1
    Release.objects.filter(number__in=(built.number, built.number + 1)).update(state=Release.State.FAILED)
    with pytest.raises(ReleaseError, match="no earlier release"):
        activation.roll_back(shop)


def test_pruning_counts_edits_as_part_of_the_release_they_are_of(shop: Shop) -> None:
    cluster = first_of(shop)
    for n in range(8):
        editing.rename(cluster=cluster, name=f"Blues {n}", by=ANN)
        publish_edits(shop)
    assert len(list((releases.root_of(shop) / "clusters").iterdir())) == 2, "as learned, and as edited at last"
    assert len(list((releases.root_of(shop) / "ranker").iterdir())) == 1
    assert [release.number for release in Release.objects.order_by("number")] == [1, 9], "their rows go with their files"


def test_the_admin_tells_what_a_rollback_brought_back(admin_client: Client, shop: Shop, world: World) -> None:
    activate_build(regrouped(shop, world))
    editing.rename(cluster=first_of(shop), name="Summer blues", by=ANN)
    active = publish_edits(shop)
    page = reverse("admin:recommendations_release_changelist")
    chosen = {"action": "roll_back", "_selected_action": [active.pk]}
    told = admin_client.post(page, chosen, follow=True).content.decode()
    now = Release.objects.active(shop)
    assert f"{now} is active: what release 1 had learned, with clusters edited since." in told
    assert "release 1 with clusters edited since: " in told
    assert "granularity" not in told


def test_edits_never_push_out_what_can_be_rolled_back_to(shop: Shop, world: World) -> None:
    """Also where an older release with the same edits was activated again: it is the one that a rollback finds."""
    first, cluster = Release.objects.active(shop), first_of(shop)
    assert first is not None
    change = editing.rename(cluster=cluster, name="Blues", by=ANN)[0]
    publish_edits(shop)
    editing.undo(change=change, by=ANN)
    activation.activate(first, by=ANN)
    built = activate_build(regrouped(shop, world))
    for n in range(2 * releases.KEEP):
        editing.rename(cluster=first_of(shop), name=f"Blues {n}", by=ANN)
        publish_edits(shop)
    numbers = list(Release.objects.values_list("number", flat=True))
    assert len(numbers) == len(set(numbers)) <= 4
    assert releases.origin(activation.roll_back(shop)) == first.number
    assert releases.origin(activation.roll_back(shop)) == built.number


# Tasks and commands


@pytest.mark.django_db(transaction=True)
def test_a_row_of_edits_is_published_once(shop: Shop, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten edits, one message for later; taken before the row is over, it waits on; once it is done, the next edit asks again."""
    cluster = first_of(shop)
    for n in range(10):
        editing.rename(cluster=cluster, name=f"Blues {n}", by=ANN)
        cluster_runs.request_publish(shop)

    def waiting() -> list[bool]:
        """Messages that ask for these edits, and whether for later; what else a release asks for is not meant."""
        messages = [json.loads(message)["headers"] for message in redis_client.lrange("celery:celery", 0, -1)]
        return [m["eta"] is not None for m in messages if m["task"] == "recommendations.tasks.publish_cluster_edits"]

    assert waiting() == [True]
    number = Release.objects.latest("number").number
    redis_client.delete("celery:celery")
    tasks.publish_cluster_edits(shop.pk)
    assert (Release.objects.latest("number").number, len(waiting())) == (number, 1), "asked again"
    monkeypatch.setattr(cluster_runs, "PATIENCE_S", 0.0)
    with redis_client.lock(f"publishing:{shop.pk}:by", timeout=10):
        tasks.publish_cluster_edits(shop.pk)
    assert (Release.objects.latest("number").number, len(waiting())) == (number, 2), "another worker is at it"
    tasks.publish_cluster_edits(shop.pk)
    assert served(shop)[cluster.pk][0] == "Blues 9"
    assert Release.objects.latest("number").number == number + 1
    cluster_runs.request_publish(shop)
    assert len(waiting()) == 3


@pytest.mark.django_db(transaction=True)
def test_an_edit_stands_while_the_broker_is_away(shop: Shop, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with transaction.atomic():
        editing.rename(cluster=first_of(shop), name="Summer blues", by=ANN)
        cluster_runs.request_publish(shop)
    assert first_of(shop).name == "Summer blues"


def test_a_release_that_nobody_lived_to_announce_is_announced_within_a_minute(shop: Shop, redis_client: redis.Redis) -> None:
    redis_client.set(releases.pointer(shop.pk), 0)
    tasks.publish_all_cluster_edits()
    assert redis_client.get(releases.pointer(shop.pk)) == b"1"


def test_what_a_killed_build_had_saved_is_taken_back_by_the_next(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(run: TrainingRun, release: Release) -> Release:
        raise SystemExit  # no `except` sees it, as none sees a kill

    with monkeypatch.context() as patch:
        patch.setattr(cluster_runs, "forget_erased", killed)
        with pytest.raises(SystemExit):
            build_clusters(shop)
    left = Release.objects.get(state=Release.State.READY)
    build_clusters(shop)
    left.refresh_from_db()
    assert (left.state, "interrupted" in left.notes) == (Release.State.FAILED, True)
    assert Release.objects.filter(state=Release.State.READY).count() == 1


def test_a_stage_is_told_as_it_begins(shop: Shop) -> None:
    """However soon after the one before: it may be long before it tells more."""
    active, seen = Release.objects.active(shop), []

    def work(run: TrainingRun, tell: Any) -> Release:
        for stage in ("reading", "searches", "clusters"):
            tell(stage, 0.0)
            seen.append(TrainingRun.objects.get(pk=run.pk).stage)
        assert active is not None
        return active

    on_record(shop, TrainingRun.Kind.CLUSTERS, None, work)
    assert seen == ["reading", "searches", "clusters"]


def test_the_minutes_look_finds_edits_that_nobody_published(shop: Shop, redis_client: redis.Redis) -> None:
    tasks.publish_all_cluster_edits()
    assert redis_client.llen("celery:celery") == 0
    editing.rename(cluster=first_of(shop), name="Summer blues", by=ANN)
    tasks.publish_all_cluster_edits()
    assert redis_client.llen("celery:celery") == 1
    tasks.publish_cluster_edits(shop.pk)
    assert not cluster_runs.has_edits(Release.objects.get(shop=shop, state=Release.State.ACTIVE))


def test_the_task_builds_and_leaves_the_rest_to_people(shop: Shop) -> None:
    tasks.build_clusters(shop.pk)
    assert TrainingRun.objects.filter(shop=shop, kind="clusters", release__state=Release.State.READY).count() == 1


def test_the_command_tells_what_moved_and_activates_if_asked(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("build_clusters", "boutique")
    told = capsys.readouterr().out
    assert "0 items of 72 (0 %) moved to another cluster" in told
    assert "is ready: activate it" in told
    call_command("build_clusters", "boutique", "--full", "--activate")
    assert "is active" in capsys.readouterr().out
    with pytest.raises(CommandError, match="there is no shop"):
        call_command("build_clusters", "nowhere")
