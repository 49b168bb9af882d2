"""Why and what-if over rows and REST: a live session, archived, told again as it was served."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis
from asgiref.sync import sync_to_async
from django.test import Client
from pytest_django import Settings

from clusters.models import Item
from personas.models import ApiKey, Session, Shop
from recommendations import accounts, releases
from recommendations.counterfactual import Edit
from recommendations.engine import Engine
from recommendations.models import ServedSlate
from recommendations.serving import alone, archiving, process, turns
from recommendations.serving.asks import Ask
from recommendations.serving.process import Process
from tests.live_shops import SHOP, start_process
from tests.worlds import MONDAY, make_world, train_world

pytestmark = pytest.mark.django_db(transaction=True)
STARTED = MONDAY + 1_000_000.0


@pytest.fixture(scope="module")
def engine() -> Engine:
    return replace(train_world(make_world(sessions=200)), release="1")


@pytest.fixture
def shelf(settings: Settings, tmp_path: Path) -> Path:
    settings.RELEASES_DIR = tmp_path
    return tmp_path


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    yield await start_process(redis_url, engine)
    await process.stop()


def make_shop(engine: Engine) -> Shop:
    shop = Shop.objects.create(pk=SHOP, slug="s", name="S")
    catalogue = engine.catalogue
    Item.objects.bulk_create(
        Item(pk=int(pk), shop=shop, external_id=external, title=title, category="c")
        for pk, external, title in zip(catalogue.item_ids.tolist(), catalogue.external_ids, catalogue.titles, strict=True)
    )
    releases.activate(releases.publish(shop, engine, metrics={}))
    return shop


async def live_through(here: Process, engine: Engine) -> None:
    """A visit of six looks, each with a slate, asked for in several ways; then archived."""
    visit = turns.Visit(SHOP, "visit-1", "", {"country": "PL"})
    asks = [Ask(count=6), Ask(count=8, exclude=["sku-9"]), Ask(context="similar", item_id="sku-5"), Ask(diversity=0.5)]
    await turns.take(here, visit, ask=Ask(count=5), now=STARTED)
    for n, item in enumerate((1, 2, 30, 31, 5, 32)):
        event = {"event_id": f"e{n}", "name": "view_item", "items": [{"item_id": f"sku-{item}"}]}
        await turns.take(here, visit, [event], ask=asks[n % 4], now=STARTED + 20.0 * (n + 1))
    await sync_to_async(lambda: archiving.archive(archiving.open_log(), consumer="test"))()


async def test_a_served_slate_is_told_with_the_scores_it_had(engine: Engine, here: Process, shelf: Path) -> None:
    await sync_to_async(make_shop)(engine)
    await live_through(here, engine)

    def told() -> None:
        slates = list(ServedSlate.objects.order_by("at"))
        assert len(slates) == 7
        for slate in slates:
            for entry in slate.items:
                account = accounts.explain(slate, entry["item"])
                assert (account.exact, account.note) == (True, "")
                assert account.account.shown is not None, "the whole slate is the one that was served"
                assert account.account.shown.slot == entry["slot"]
                assert account.account.shown.propensity == pytest.approx(entry["propensity"])
                body = accounts.why_json(account)
                assert body["score"] == pytest.approx(body["baseline"] + sum(p["value"] for p in body["parts"]), abs=1e-4)
                assert body["sentences"]
        with pytest.raises(accounts.NotThereError, match="doesn't hold"):
            accounts.explain(slates[0], 9_999)

    await sync_to_async(told)()


async def test_slates_after_the_last_event_are_told_as_they_were_served(engine: Engine, here: Process, shelf: Path) -> None:
    """What is drawn for exploration follows how many slates came before, be there an event between them or not."""
    await sync_to_async(make_shop)(engine)
    visit = turns.Visit(SHOP, "visit-2", "", {})
    event = {"event_id": "e0", "name": "view_item", "items": [{"item_id": "sku-3"}]}
    await turns.take(here, visit, [event], ask=Ask(count=6), now=STARTED)
    for n in range(12):
        await turns.take(here, visit, ask=Ask(count=10), now=STARTED + 1.0 + n)
    await sync_to_async(lambda: archiving.archive(archiving.open_log(), consumer="test"))()

    def told() -> None:
        drawn = 0
        for slate in ServedSlate.objects.order_by("at"):
            for entry in slate.items:
                account = accounts.explain(slate, entry["item"])
                assert account.account.shown is not None
                assert account.account.shown.propensity == pytest.approx(entry["propensity"])
                drawn += entry["propensity"] < 0.5
        assert drawn, "the test needs a slot that explored"

    await sync_to_async(told)()


async def test_a_slate_without_a_session_is_told_too(engine: Engine, here: Process, shelf: Path) -> None:
    await sync_to_async(make_shop)(engine)
    ask = Ask(count=6, context="similar", item_id="sku-5")
    await alone.slate(here, turns.Visit(SHOP, alone.name()), ask, STARTED)
    await sync_to_async(lambda: archiving.archive(archiving.open_log(), consumer="test"))()

    def told() -> None:
        slate = ServedSlate.objects.get()
        for entry in slate.items:
            account = accounts.explain(slate, entry["item"])
            assert (account.exact, account.note) == (True, "")
            assert accounts.why_json(account)["session_id"] == ""

    await sync_to_async(told)()


async def test_over_rest(engine: Engine, here: Process, shelf: Path) -> None:
    shop = await sync_to_async(make_shop)(engine)
    await live_through(here, engine)
    await sync_to_async(_asked_over_rest)(shop)


def _asked_over_rest(shop: Shop) -> None:
    client = Client()
    keys = {scope: ApiKey.objects.issue(shop=shop, name=scope, scopes=[scope])[1] for scope in ("read", "ingest")}
    other = ApiKey.objects.issue(shop=Shop.objects.create(slug="o", name="O"), name="read", scopes=["read"])[1]

    def ask(path: str, body: object = None, key: str = keys["read"]) -> Any:
        headers = {"authorization": f"Bearer {key}"}
        if body is None:
            return client.get(f"/api/v1/{path}", headers=headers)
        return client.post(f"/api/v1/{path}", json.dumps(body), content_type="application/json", headers=headers)

    slate = ServedSlate.objects.order_by("at").last()
    assert slate is not None
    item = Item.objects.get(pk=slate.items[0]["item"]).external_id
    at = f"recommendations/{slate.recommendation_id}/items/{item}/why"
    body = ask(at).json()
    assert (body["item_id"], body["exact"], body["release"], body["context"]) == (item, True, "1", slate.context)
    assert {c["kind"] for c in body["causes"]} >= {"item", "expert", "cluster", "persona"}
    assert {entry["expert"] for entry in slate.items} == {""}, "nobody asked why"
    assert body["reason"]
    assert ask(at, key=keys["ingest"]).status_code == 403
    assert ask(at, key=other).status_code == 404
    assert ask(at, key="wrong").status_code == 401
    assert ask(f"recommendations/none/items/{item}/why").status_code == 404
    assert (
        ask(f"recommendations/{slate.recommendation_id}/items/none/why").json()["detail"] == "The catalogue has no item 'none'."
    )
    outside = next(i.external_id for i in Item.objects.all() if i.pk not in {e["item"] for e in slate.items})
    assert ask(f"recommendations/{slate.recommendation_id}/items/{outside}/why").status_code == 404

    at = "sessions/visit-1/counterfactual"
    edits = [{"op": "remove", "event_id": "e0"}, {"op": "replace", "event_id": "e5", "item_id": "sku-60"}]
    answer = ask(at, {"edits": edits, "recommend": {"count": 4}, "slates": 3})
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert [(m["was"] or {}).get("event_id") for m in body["moments"]] == [None, "e0", "e1", "e2", "e3", "e4", "e5"]
    assert body["moments"][1]["would"] is None
    assert body["moments"][-1]["would"]["item_id"] == "sku-60"
    assert len(body["moments"][-1]["would"]["slate"]) == 4
    assert body["end"]["items"]["in"]
    assert sum(body["end"]["belief"].values()) == pytest.approx(0.0, abs=1e-5)
    assert ask(at, {"context": {"country": "DE"}}).status_code == 200
    assert ask(at, {"edits": edits}, key=keys["ingest"]).status_code == 403
    assert ask(at, {"edits": edits}, key=other).status_code == 404
    assert ask("sessions/none/counterfactual", {"edits": edits}).status_code == 404
    for body, field in (
        ({}, "edits"),
        ({"edits": [{"op": "drop"}]}, "edits[0].op"),
        ({"edits": [{"op": "remove", "event_id": "e99"}]}, "edits[0].event_id"),
        ({"edits": [{"op": "insert", "event_id": "e1", "item_id": "none"}]}, "edits[0].item_id"),
        ({"edits": [{"op": "insert", "event_id": "e1", "item_id": "sku-1", "after_s": -1}]}, "edits[0].after_s"),
        ({"edits": [{"op": "remove", "event_id": "e1"}] * 21}, "edits"),
        ({"edits": [{"op": "insert", "event_id": "e1"}]}, "edits[0].item_id"),
        ({"edits": [{"op": "insert", "event_id": "e1", "name": "search"}]}, "edits[0].search_term"),
        ({"edits": edits, "recommend": {"count": 0}}, "recommend.count"),
        ({"edits": edits, "slates": 1000}, "slates"),
    ):
        answer = ask(at, body)
        assert (answer.status_code, answer.json()["field"]) == (400, field), answer.content


async def test_what_if_says_what_it_is_told_on_and_how_far(
    engine: Engine, here: Process, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await sync_to_async(make_shop)(engine)
    await live_through(here, engine)

    def told() -> None:
        session = Session.objects.select_related("shop", "shopper").get()
        with monkeypatch.context() as shorter:
            shorter.setattr(accounts, "MOST_EVENTS", 4)
            cut = accounts.what_if(session, [Edit("remove", "e0")])
            assert (cut.note, len(cut.comparison.was)) == ("Told up to event 4 of 6.", 5)
        now = accounts.what_if(session, [Edit("remove", "e0")])
        assert (now.note, now.engine.release) == ("", "1")
        ServedSlate.objects.update(versions={"release": "9"})
        gone = accounts.what_if(session, [Edit("remove", "e0")])
        assert gone.note == "Release 9 can't be read any more: told on release 1."
        slate = ServedSlate.objects.order_by("at").last()
        assert slate is not None
        assert not accounts.explain(slate, slate.items[0]["item"]).exact
        ServedSlate.objects.all().delete()
        assert "No slate of this session is archived" in accounts.what_if(session, [Edit("remove", "e0")]).note
        assert shop.pk == session.shop_id

    await sync_to_async(told)()
