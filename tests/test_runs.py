"""A shop's training from its database to the release that serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clusters.models import Item, ItemCluster
from personas.events import CODE
from personas.models import ArchivedEvent, ArchivedEventQuerySet, EventRow, Session, Shop, moment
from personas.sessions import NO_QUERY
from recommendations import engine as loop
from recommendations import releases, run_records
from recommendations.models import Release, TrainingRun
from recommendations.reading import read_catalogue, read_log
from recommendations.run_records import TrainingBusy
from recommendations.runs import OPENING_NOTE, fit_personas, train_shop
from recommendations.session import Request
from tests.worlds import MONDAY, World, event, make_world

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(sessions=200)


@pytest.fixture
def shop(world: World, settings: Any, tmp_path: Path) -> Shop:
    """The world as rows: what was an array position is an item's id again."""
    settings.RELEASES_DIR = tmp_path
    shop = Shop.objects.create(slug="boutique", name="Boutique")
    c = world.catalogue
    items = Item.objects.bulk_create(
        Item(
            shop=shop,
            external_id=c.external_ids[i],
            title=c.titles[i],
            category=c.categories[c.category[i]],
            colour=c.colours[c.colour[i]],
            price=round(float(c.price[i]), 2),
        )
        for i in range(len(c))
    )
    for key, rows in zip(world.log.keys.tolist(), world.log.slices(), strict=True):
        at = world.log.at[rows]
        session = Session.objects.create(
            shop=shop, session_id=key, started_at=moment(at[0]), last_at=moment(at[-1]), context={"country": "PL"}
        )
        ArchivedEvent.objects.append(
            shop=shop,
            origin="import",
            rows=[
                EventRow(session.pk, f"{key}-{n}", int(code), moment(t), moment(t), n, items[p].pk, items[p].external_id)
                for n, (code, t, p) in enumerate(zip(world.log.code[rows], at, world.log.position[rows], strict=True))
            ],
        )
    return shop


def test_rows_read_back_as_the_log_they_came_from(shop: Shop, world: World) -> None:
    catalogue = read_catalogue(shop)
    log, contexts = read_log(shop, catalogue)
    assert log.position.tolist() == world.log.position.tolist()
    assert log.code.tolist() == world.log.code.tolist()
    assert log.at == pytest.approx(world.log.at, abs=1e-5)
    assert contexts == [{"country": "PL"}] * len(log)


def test_words_of_searches_are_read_back(shop: Shop, world: World) -> None:
    session = Session.objects.get(session_id=str(world.log.keys[3]))
    at = session.last_at
    typed = ["blue skirt", "", "blue skirt"]
    rows = [EventRow(session.pk, f"q{n}", CODE["search"], at, at, 1_000 + n, query=query) for n, query in enumerate(typed)]
    ArchivedEvent.objects.append(shop=shop, origin="import", rows=rows)
    log, _ = read_log(shop, read_catalogue(shop))
    searches = log.query[log.code == CODE["search"]].tolist()
    assert [log.queries[q] if q != NO_QUERY else "" for q in searches] == typed
    assert log.keys[log.session_of[log.query != NO_QUERY]].tolist() == [str(session.pk)] * 2


def test_a_session_erased_while_the_log_is_read_is_left_out(shop: Shop, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its events have been read when its row goes: neither an error nor something that training may learn from."""
    gone = Session.objects.get(session_id=str(world.log.keys[3]))
    read = ArchivedEventQuerySet.for_training

    def then_erased(events: ArchivedEventQuerySet, of: Shop) -> Any:
        yield from read(events, of)
        ArchivedEvent.objects.filter(session=gone).delete()
        gone.delete()

    monkeypatch.setattr(ArchivedEventQuerySet, "for_training", then_erased)
    log, contexts = read_log(shop, read_catalogue(shop))
    others = np.arange(len(world.log)) != 3
    assert log.position.tolist() == world.log.take(others).position.tolist()
    assert len(log) == len(contexts) == others.sum()


def test_training_ends_in_an_active_release_and_rows_to_look_at(shop: Shop) -> None:
    release = train_shop(shop)
    engine = releases.load_active(shop.pk)
    assert (release.state, engine.release) == (Release.State.ACTIVE, "1")
    rows = ItemCluster.objects.filter(shop=shop).live()
    assert sorted(rows.values_list("pk", flat=True)) == engine.clusters.cluster_ids.tolist()
    assert all(c.memberships.count() == c.size for c in rows)
    run = TrainingRun.objects.get(shop=shop)
    assert (run.state, run.progress, run.release) == (TrainingRun.State.DONE, 1.0, release)


def test_a_second_training_keeps_ids_names_and_locks(shop: Shop) -> None:
    train_shop(shop)
    before = set(ItemCluster.objects.live().values_list("pk", flat=True))
    renamed = ItemCluster.objects.live().first()
    assert renamed is not None
    ItemCluster.objects.filter(pk=renamed.pk).update(name="Summer blues", named_by_hand=True, locked=True)
    train_shop(shop, seed=1)
    assert set(ItemCluster.objects.live().values_list("pk", flat=True)) == before
    renamed.refresh_from_db()
    assert (renamed.name, renamed.locked) == ("Summer blues", True)
    engine = releases.load_active(shop.pk)
    place = engine.clusters.position_of[renamed.pk]
    assert (engine.clusters.names[place], bool(engine.clusters.locked[place])) == ("Summer blues", True)


def test_a_cluster_made_by_hand_gets_an_id_of_its_own_after_training(shop: Shop) -> None:
    train_shop(shop)
    highest = ItemCluster.objects.order_by("-pk").values_list("pk", flat=True).first()
    made = ItemCluster.objects.create(shop=shop, name="By hand", kind=ItemCluster.Kind.MANUAL)
    assert made.pk > (highest or 0)


def test_a_quick_release_says_so(shop: Shop) -> None:
    assert "nightly training" in train_shop(shop, quick=True).notes
    assert train_shop(shop).notes == ""


def test_one_training_at_a_time(shop: Shop) -> None:
    with releases.redis_client().lock(f"training:{shop.pk}", timeout=30), pytest.raises(TrainingBusy, match="under way"):
        train_shop(shop)


def test_the_lock_is_renewed_while_training_and_free_afterwards(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a lock that lasts a fifth of a second, a training of seconds still keeps others out."""
    monkeypatch.setattr(run_records, "LOCK_S", 0.2)
    client, held = releases.redis_client(), []

    def look(stage: str, share: float) -> None:
        held.append(client.exists(f"training:{shop.pk}"))

    train_shop(shop, progress=look)
    assert len(held) > 5
    assert all(held)
    assert not client.exists(f"training:{shop.pk}")


def test_a_training_that_fails_says_why_and_leaves_the_release(shop: Shop) -> None:
    active = train_shop(shop)
    ArchivedEvent.objects.filter(shop=shop).delete()
    with pytest.raises(ValueError, match="no event on a known item"):
        train_shop(shop)
    failed = TrainingRun.objects.filter(shop=shop).latest("pk")
    assert failed.state == TrainingRun.State.FAILED
    assert "no event on a known item" in failed.error
    assert Release.objects.get(shop=shop, state=Release.State.ACTIVE) == active


def test_a_shop_without_a_log_begins_from_its_catalogue(shop: Shop) -> None:
    """Else nothing could begin: without a release no event is taken, and there would never be a log to train on."""
    ArchivedEvent.objects.filter(shop=shop).delete()
    Session.objects.filter(shop=shop).delete()
    release = train_shop(shop)
    assert release.notes == OPENING_NOTE
    assert (release.metrics["sessions"], release.metrics["events"]) == (0, 0)
    engine = releases.load(release)
    state = loop.start(engine, shop=shop.pk, session="s1", at=MONDAY, context={})
    for at in range(3):
        state, slate = loop.recommend(engine, state, Request(count=4, now=MONDAY), loop.generator(state))
        assert len({item.item for item in slate.items}) == 4
        state = loop.observe(engine, state, event(at, item=at))
    fitted = fit_personas(shop)
    assert (fitted.metrics["sessions"], fitted.metrics["events"]) == (0, 0), "personas may be edited before the first visit"
    with pytest.raises(ValueError, match="no event on a known item"):
        train_shop(shop)
    assert Release.objects.active(shop) == fitted, "once is enough"
