"""The index on disk: made where there is none, made anew when the catalogue moves, the same for all, never a stale row."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.utils import timezone

from clusters import searching, tasks
from clusters.importing import import_catalogue
from clusters.models import Item
from clusters.search_index import SearchIndex, search
from personas.models import Shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(data_dir: Path) -> Shop:
    shop = Shop.objects.create(slug="boutique", name="Boutique")
    Item.objects.bulk_create(Item(shop=shop, external_id=f"X{i}", title=f"Lamp {i}", tags=["light"]) for i in range(5))
    return shop


@pytest.fixture(autouse=True)
def _look_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "LOOK_S", 0.0)


def found(shop: Shop, query: str) -> int:
    return search(searching.index_of(shop), query).total


def versions(data_dir: Path, shop: Shop) -> list[str]:
    return sorted(path.name for path in (data_dir / "search" / str(shop.pk) / "index").iterdir())


def test_the_first_search_makes_the_index(shop: Shop, data_dir: Path) -> None:
    assert found(shop, "lamps") == 5
    assert len(versions(data_dir, shop)) == 1
    assert searching.index_of(shop) is searching.index_of(shop)


def test_a_change_is_taken_up_and_nothing_else_is_rebuilt(shop: Shop, data_dir: Path) -> None:
    assert found(shop, "lamp") == 5
    assert not searching.refresh(shop), "nothing moved"
    Item.objects.create(shop=shop, external_id="new", title="Lamp of brass")
    assert found(shop, "brass") == 0
    assert searching.refresh(shop)
    assert found(shop, "brass") == 1
    item = Item.objects.get(external_id="X0")
    item.title = "Chandelier"
    item.save()
    assert searching.refresh(shop)
    assert (found(shop, "lamp"), found(shop, "chandelier")) == (5, 1)
    Item.objects.filter(external_id="X1").delete()
    assert searching.refresh(shop)
    assert found(shop, "lamp") == 4
    assert len(versions(data_dir, shop)) == 2, "the current one, and the one that others may just be opening"


def test_a_change_that_was_noted_earlier_and_committed_later_is_taken_up(shop: Shop) -> None:
    """As of a long import, whose rows have the time at which they were sent."""
    Item.objects.update(updated_at=timezone.now() - timedelta(days=1))
    Item.objects.filter(external_id="X0").update(updated_at=timezone.now())
    assert found(shop, "chandelier") == 0
    Item.objects.filter(external_id="X1").update(title="Chandelier", updated_at=timezone.now() - timedelta(seconds=20))
    assert searching.refresh(shop)
    assert found(shop, "chandelier") == 1
    assert not searching.refresh(shop)


def test_an_imported_change_is_taken_up(shop: Shop, tmp_path: Path) -> None:
    assert found(shop, "chandelier") == 0
    (tmp_path / "items.csv").write_text("item_id,title\nX0,Chandelier\n")
    import_catalogue(shop, tmp_path / "items.csv")
    assert searching.refresh(shop)
    assert found(shop, "chandelier") == 1


def test_a_shop_whose_index_is_being_made_holds_up_no_other_and_no_one_who_has_one(shop: Shop) -> None:
    other = Shop.objects.create(slug="other", name="Other")
    assert found(shop, "lamp") == 5
    searching.index_of(other)
    with searching._loading[searching._folder(shop.pk)]:
        got: list[int] = []
        threads = [threading.Thread(target=lambda s=s: got.append(len(searching.index_of(s)))) for s in (shop, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(got) == [0, 5]


def test_an_empty_catalogue_is_searched_like_any(data_dir: Path) -> None:
    shop = Shop.objects.create(slug="empty", name="Empty")
    assert found(shop, "lamp") == 0
    Item.objects.create(shop=shop, external_id="one", title="Lamp")
    assert searching.refresh(shop)
    assert found(shop, "lamp") == 1


def test_a_damaged_index_is_made_anew(shop: Shop, data_dir: Path) -> None:
    assert found(shop, "lamp") == 5
    searching._held.clear()
    for path in (data_dir / "search").rglob("*.npy"):
        path.write_bytes(b"garbage")
    assert found(shop, "lamp") == 5
    searching._held.clear()
    (data_dir / "search" / str(shop.pk) / "current.json").write_text("{")
    assert found(shop, "lamp") == 5


def test_an_index_of_another_format_is_made_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(shop, "lamp") == 5
    monkeypatch.setattr(searching, "FORMAT", searching.FORMAT + 1)
    assert searching.is_due(shop)
    assert searching.refresh(shop)


def test_who_comes_while_another_builds_leaves_it_to_them(shop: Shop) -> None:
    with searching._building(searching._folder(shop.pk), wait=False) as mine:
        assert mine
        assert not searching.refresh(shop)
    assert searching.refresh(shop)


def test_two_who_need_it_at_once_get_the_same(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[SearchIndex] = []
    build = searching._build
    monkeypatch.setattr(searching, "_build", lambda shop: made.append(build(shop)) or made[-1])
    folder = searching._folder(shop.pk)
    got: list[SearchIndex] = []
    with searching._building(folder, wait=True):
        # Their turn comes when this one is done; no thread reads rows, for the index is there by then.
        threads = [threading.Thread(target=lambda: got.append(searching.index_of(shop))) for _ in range(2)]
        for thread in threads:
            thread.start()
        searching._build(shop)
    for thread in threads:
        thread.join(20)
    assert len(made) == 1
    assert [len(index) for index in got] == [5, 5]


def test_the_schedule_refreshes_what_moved_and_forgets_who_is_gone(
    shop: Shop, data_dir: Path, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Shop.objects.create(slug="other", name="Other")
    tasks.refresh_searches()
    assert redis_client.llen("celery:celery") == 2
    tasks.refresh_search(shop.pk)
    tasks.refresh_search(other.pk)
    tasks.refresh_search(other.pk + 1)
    redis_client.flushall()
    tasks.refresh_searches()
    assert redis_client.llen("celery:celery") == 0
    Item.objects.create(shop=shop, external_id="new", title="Lamp of brass")
    monkeypatch.setattr(searching, "REST", 1e9)
    assert not searching.is_due(shop), "the last one was made a moment ago"
    monkeypatch.setattr(searching, "REST", 0.0)
    assert searching.is_due(shop)
    other.delete()
    tasks.refresh_searches()
    assert sorted(path.name for path in (data_dir / "search").iterdir()) == [str(shop.pk)]
