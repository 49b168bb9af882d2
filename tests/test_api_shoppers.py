"""Sessions and shoppers over REST: what is told, who may ask, and what a request that makes no sense is answered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client

from personas import versions
from personas.models import ApiKey, Archetype, Attribute, Erasure, Session, Shop, Shopper, moment
from recommendations import reading, releases, rights, stories
from recommendations.engine import Engine
from recommendations.models import Release
from recommendations.reading import read_event
from recommendations.serving import archiving
from recommendations.serving.activity import Entry
from tests.test_archiving import NOW, make_record
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop(transactional_db: None, redis_client: redis.Redis) -> Shop:
    Shop.objects.create(slug="other", name="Other")
    return Shop.objects.create(slug="s", name="S")


@pytest.fixture
def key(shop: Shop) -> dict[str, str]:
    """Plaintext by scope."""
    return {scope: ApiKey.objects.issue(shop=shop, name=scope, scopes=[scope])[1] for scope in ("read", "manage", "ingest")}


def visit(shop: Shop, session: str, n: int, shopper: str = "", **changes: Any) -> None:
    archiving.write(shop, [(Entry(0, f"{n + 1}-0", b""), make_record(shop.pk, session, n, shopper=shopper, **changes))])


def ask(client: Client, method: str, path: str, key: str, body: object = None) -> Any:
    data = (
        {} if body is None else {"data": body if isinstance(body, str) else json.dumps(body), "content_type": "application/json"}
    )
    return getattr(client, method)(f"/api/v1/{path}", headers={"authorization": f"Bearer {key}"}, **data)


def test_sessions_are_listed_a_page_after_the_other(client: Client, shop: Shop, key: dict[str, str]) -> None:
    for n in range(5):
        visit(shop, f"visit-{n}", 100 * n, "anna" if n % 2 else "")
    visit(Shop.objects.get(slug="other"), "elsewhere", 0)
    found, page = [], ask(client, "get", "sessions?limit=2", key["read"]).json()
    while True:
        found += [row["session_id"] for row in page["results"]]
        if page["next"] is None:
            break
        page = client.get(page["next"], headers={"authorization": f"Bearer {key['read']}"}).json()
    assert found == [f"visit-{n}" for n in (4, 3, 2, 1, 0)]

    def listed(query: str) -> list[str]:
        return [row["session_id"] for row in ask(client, "get", f"sessions?{query}", key["read"]).json()["results"]]

    assert listed("shopper=anna") == ["visit-3", "visit-1"]
    rights.merge(shop, "anna", "guest")
    assert listed("shopper=guest") == ["visit-3", "visit-1"], "by an alias too"
    assert listed("origin=import") == []
    between = f"since={moment(NOW + 90):%Y-%m-%dT%H:%M:%SZ}&until={moment(NOW + 250):%Y-%m-%dT%H:%M:%SZ}"
    assert listed(between) == ["visit-2", "visit-1"]
    assert ask(client, "get", "sessions?origin=nowhere", key["read"]).status_code == 400
    assert ask(client, "get", "sessions?since=yesterday", key["read"]).json()["field"] == "since"


def test_a_shopper_their_timeline_and_consent(client: Client, shop: Shop, key: dict[str, str]) -> None:
    saver = Archetype.objects.create(shop=shop, key="saver", name="Saver", mix={})
    visit(shop, "visit-0", 0, "anna", shares={saver.pk: 0.75, 999_999: 0.25}, steps=2)
    visit(shop, "visit-1", 100, "anna")
    consent = ask(client, "put", "shoppers/anna/consent", key["manage"], {"demographics": True}).json()
    assert consent["demographics"] is True
    assert (
        ask(client, "put", "shoppers/anna/demographics", key["manage"], {"age_band": "30-39", "children": 2}).status_code == 200
    )
    told = ask(client, "get", "shoppers/anna", key["read"]).json()
    assert (told["shopper_id"], told["sessions"], told["consent"]) == ("anna", 2, consent)
    assert told["demographics"] == told["memory"]["demographics"] == {"age_band": "30-39", "children": "2"}
    line = ask(client, "get", "shoppers/anna/timeline?limit=5", key["read"]).json()["sessions"]
    assert [(s["session_id"], s["events"], s["purchases"]) for s in line] == [("visit-1", 2, 0), ("visit-0", 2, 0)]
    assert [(p["key"], p["share"]) for p in line[1]["personas"]] == [("saver", 0.75)], "personas that are gone have no name"
    ask(client, "put", "shoppers/anna/consent", key["manage"], {"demographics": False})
    told = ask(client, "get", "shoppers/anna", key["read"]).json()
    assert (told["demographics"], told["memory"]["demographics"], told["consent"]["demographics"]) == ({}, {}, False)
    refused = ask(client, "put", "shoppers/anna/demographics", key["manage"], {"age_band": "30-39"})
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_missing")
    assert refused["content-type"] == "application/problem+json"


def test_merge_export_and_erase(client: Client, shop: Shop, key: dict[str, str]) -> None:
    visit(shop, "visit-0", 0, "guest")
    merged = ask(client, "post", "shoppers/anna/merge", key["manage"], {"from": "guest"})
    assert merged.json() == {"shopper_id": "anna", "sessions": 1, "aliases": ["guest"]}
    given = ask(client, "get", "shoppers/guest/export", key["read"])
    assert given["content-disposition"] == 'attachment; filename="shopper.json"'
    assert [s["session_id"] for s in given.json()["sessions"]] == ["visit-0"]
    gone = ask(client, "delete", "shoppers/guest", key["manage"])
    assert (gone.status_code, gone.json()["counts"]["sessions"]) == (200, 1)
    assert not Shopper.objects.exists()
    assert not Session.objects.exists()
    assert Erasure.objects.get().by == "API key manage"
    for method, path in (("get", "guest"), ("get", "anna/export"), ("get", "anna/timeline"), ("delete", "anna")):
        answer = ask(client, method, f"shoppers/{path}", key["manage" if method == "delete" else "read"])
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("put", "shoppers/anna/consent", {}, 422, "demographics"),
        ("put", "shoppers/anna/consent", {"demographics": "yes"}, 422, "demographics"),
        ("put", "shoppers/anna/consent", [True], 422, "demographics"),
        ("put", "shoppers/anna/consent", "{not json", 400, None),
        ("put", f"shoppers/{'x' * 129}/consent", {"demographics": True}, 422, "shopper_id"),
        ("put", "shoppers/anna/demographics", ["age"], 422, "demographics"),
        ("put", "shoppers/anna/demographics", '{"age": NaN}', 400, None),
        ("put", "shoppers/anna/demographics", {"age": {"years": 3}}, 422, "demographics.age"),
        ("put", "shoppers/nobody/demographics", {"age": 3}, 404, None),
        ("post", "shoppers/anna/merge", {}, 422, "from"),
        ("post", "shoppers/anna/merge", {"from": "anna"}, 422, "from"),
        ("get", "sessions/none/ledger", None, 404, None),
        ("get", "sessions/a%00b/ledger", None, 422, "session_id"),
        ("get", "shoppers/a%00b", None, 422, "shopper_id"),
        ("get", "sessions?shopper=a%00b", None, 400, "shopper"),
        ("get", "sessions?since=yesterday", None, 400, "since"),
        ("get", "sessions?cursor=nonsense", None, 400, "cursor"),
        ("get", "sessions?cursor=cD1ub3doZXJl", None, 400, "cursor"),
    ],
)
def test_what_makes_no_sense_is_told(
    client: Client, shop: Shop, key: dict[str, str], method: str, path: str, body: object, status: int, field: str | None
) -> None:
    rights.set_consent(shop, "anna", demographics=True)
    answer = ask(client, method, path, key["read" if method == "get" else "manage"], body)
    assert (answer.status_code, answer.json().get("field")) == (status, field)
    assert answer["content-type"] == "application/problem+json"


def test_sessions_that_ended_at_one_moment_are_all_listed_once(client: Client, shop: Shop, key: dict[str, str]) -> None:
    at = moment(NOW)
    Session.objects.bulk_create(Session(shop=shop, session_id=f"v{n}", started_at=at, last_at=at) for n in range(1_600))
    found, address = [], "sessions?limit=500"
    for _ in range(5):
        page = ask(client, "get", address, key["read"]).json()
        found += [row["session_id"] for row in page["results"]]
        if page["next"] is None:
            break
        address = page["next"].partition("/api/v1/")[2]
    assert len(found) == len(set(found)) == 1_600


def test_ids_with_a_slash_have_all_the_rights_too(client: Client, shop: Shop, key: dict[str, str]) -> None:
    visit(shop, "web/visit/1", 0, "web/anna")
    for path in ("shoppers/web%2Fanna", "shoppers/web%2Fanna/timeline", "shoppers/web/anna/export"):
        answer = ask(client, "get", path, key["read"])
        assert (answer.status_code, answer.json()["shopper_id"]) == (200, "web/anna")
    assert ask(client, "get", "sessions/web%2Fvisit%2F1/ledger", key["read"]).json()["code"] == "no_release", "it was found"
    assert ask(client, "put", "shoppers/web%2Fanna/consent", key["manage"], {"demographics": False}).status_code == 200
    assert ask(client, "delete", "shoppers/web%2Fanna", key["manage"]).status_code == 200
    assert not Shopper.objects.exists()


def test_a_store_that_is_away_is_told_as_a_problem(client: Client, shop: Shop, key: dict[str, str], settings: Any) -> None:
    visit(shop, "visit-1", 0, "anna")
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    for method, path, body in (
        ("get", "shoppers/anna", None),
        ("get", "shoppers/anna/export", None),
        ("put", "shoppers/anna/consent", {"demographics": False}),
        ("delete", "shoppers/anna", None),
    ):
        answer = ask(client, method, path, key["read" if method == "get" else "manage"], body)
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert answer["content-type"] == "application/problem+json"
    assert Shopper.objects.get().consent_at is not None, "a withdrawal holds from its record on; asked again, it is finished"


CALLS = [
    ("get", "sessions", "read"),
    ("get", "sessions/x/ledger", "read"),
    ("get", "shoppers/anna", "read"),
    ("get", "shoppers/anna/timeline", "read"),
    ("get", "shoppers/anna/export", "read"),
    ("put", "shoppers/anna/consent", "manage"),
    ("put", "shoppers/anna/demographics", "manage"),
    ("post", "shoppers/anna/merge", "manage"),
    ("delete", "shoppers/anna", "manage"),
]


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
def test_every_call_asks_for_its_scope(
    client: Client, shop: Shop, key: dict[str, str], method: str, path: str, scope: str
) -> None:
    """Neither another scope nor a member of staff without the right gets in, and a key of another shop finds nothing."""
    Shopper.objects.create(shop=shop, external_id="anna")
    for other in {"read", "manage", "ingest"} - {scope}:
        answer = ask(client, method, path, key[other])
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert getattr(client, method)(f"/api/v1/{path}").status_code == 401
    client.force_login(get_user_model().objects.create(username="plain", is_staff=True))
    assert getattr(client, method)(f"/api/v1/{path}?shop=s").status_code == 403
    assert Shopper.objects.filter(external_id="anna").exists()


def test_staff_name_the_shop(client: Client, shop: Shop) -> None:
    user = get_user_model().objects.create(username="clerk", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_shopper"))
    rights.set_consent(shop, "anna", demographics=True)
    client.force_login(user)
    assert client.get("/api/v1/shoppers/anna").json()["field"] == "shop"
    assert client.get("/api/v1/shoppers/anna?shop=s").status_code == 200
    assert client.get("/api/v1/shoppers/anna?shop=other").status_code == 404
    assert client.delete("/api/v1/shoppers/anna?shop=s").status_code == 403


@pytest.fixture
def served(shop: Shop, data_dir: Path) -> Engine:
    """An active release of two personas."""
    for kind in ("skirts", "shirts"):
        Attribute.objects.create(shop=shop, key=kind, name=kind, weights={f"category={kind}": 1.0})
        Archetype.objects.create(shop=shop, key=kind, name=kind.title(), mix={kind: 1.0})
    attributes, archetypes = versions.current(shop)
    engine = train_world(make_world(sessions=60), attributes=attributes, archetypes=archetypes)
    manifest = releases.save_engine(releases.root_of(shop), engine)
    Release.objects.create(shop=shop, number=7, components=manifest, state=Release.State.ACTIVE)
    return replace(engine, release="7")


def test_a_ledger_is_a_replay(client: Client, shop: Shop, key: dict[str, str], served: Engine) -> None:
    """What the replay itself says is `test_replaying`'s; here, that all of it is told, and a page of it if so asked."""
    visit(shop, "visit-0", 0, started_at=NOW - 5.0)
    visit(shop, "visit-0", 1, started_at=NOW - 5.0)
    told = ask(client, "get", "sessions/visit-0/ledger", key["read"]).json()
    assert (told["release"], told["count"], told["cut"], len(told["steps"])) == ("7", 4, 0, 4)
    assert [p["key"] for p in told["personas"]] == ["skirts", "shirts"]
    first = told["steps"][0]
    assert (first["event"], sum(first["after"].values())) == ("view_item", pytest.approx(1.0, abs=1e-5))
    assert {f["factor"] for f in first["factors"]} >= {"event", "category"}
    assert all(set(f["nats"]) == {"skirts", "shirts"} for f in first["factors"])
    assert [s["before"] for s in told["steps"][1:]] == [s["after"] for s in told["steps"][:-1]]
    page = ask(client, "get", "sessions/visit-0/ledger?offset=2&limit=1", key["read"]).json()
    assert (page["count"], [s["event_id"] for s in page["steps"]]) == (4, ["e1.0"])
    assert ask(client, "get", "sessions/visit-0/ledger?limit=many", key["read"]).json()["field"] == "limit"


def test_a_ledger_reads_no_more_events_than_it_replays(
    client: Client, shop: Shop, key: dict[str, str], served: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit(shop, "visit-1", 0)
    visit(shop, "visit-1", 1)
    read: list[object] = []
    monkeypatch.setattr(reading, "read_event", lambda row: read.append(row) or read_event(row))  # type: ignore[func-returns-value]
    monkeypatch.setattr(stories, "MOST_EVENTS", 3)
    told = ask(client, "get", "sessions/visit-1/ledger", key["read"]).json()
    assert (told["count"], told["cut"], len(read)) == (3, 1, 3)


def test_without_a_release_the_ledger_says_what_to_do(client: Client, shop: Shop, key: dict[str, str], data_dir: Path) -> None:
    visit(shop, "visit-0", 0)
    answer = ask(client, "get", "sessions/visit-0/ledger", key["read"])
    assert (answer.status_code, answer.json()["code"]) == (503, "no_release")
    assert "manage.py train s" in answer.json()["detail"]


def test_commands_export_and_erase(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    visit(shop, "visit-0", 0, "anna")
    path = tmp_path / "anna.json"
    call_command("export_shopper", "s", "anna", output=str(path))
    assert json.loads(path.read_text())["sessions"][0]["session_id"] == "visit-0"
    assert path.stat().st_mode & 0o077 == 0, "readable by its owner only"
    with pytest.raises(CommandError, match="--yes"):
        call_command("erase_shopper", "s", "anna")
    call_command("erase_shopper", "s", "anna", yes=True)
    assert "1 sessions" in capsys.readouterr().out
    with pytest.raises(CommandError, match="Nothing is held"):
        call_command("erase_shopper", "s", "anna", yes=True)
    with pytest.raises(CommandError, match="there are: other, s"):
        call_command("export_shopper", "t", "anna")
    assert Erasure.objects.get().by == "manage.py"
