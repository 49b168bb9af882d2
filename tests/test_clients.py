"""The Python and JavaScript clients against a real server, which is killed, stopped and brought back under them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.small_server import ROOT, SmallServer, small_server

pytestmark = pytest.mark.timeout(300)
PYTHON, JAVASCRIPT = ROOT / "clients" / "python", ROOT / "clients" / "javascript"
sys.path.insert(0, str(PYTHON / "src"))

from persona_clusters import AsyncClient, Client, Conflict, Invalid, NotFound, Unauthorised, Unreachable  # noqa: E402

node = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[SmallServer]:
    with small_server() as made:
        yield made


@pytest.fixture
def client(server: SmallServer) -> Iterator[Client]:
    with Client(server.base, server.key, timeout=10, patience=5) as made:
        yield made


def views(start: str, count: int) -> list[Any]:
    return [{"event_id": f"{start}{i}", "name": "view_item", "items": [{"item_id": f"sku-{1 + i % 9}"}]} for i in range(count)]


def example(folder: Path, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def environment(server: SmallServer) -> dict[str, str]:
    return os.environ | {"BASE": server.base, "KEY": server.key, "PYTHONPATH": str(PYTHON / "src")}


def ran(command: list[str], server: SmallServer, **more: Any) -> list[str]:
    """Lines that a program wrote."""
    done = subprocess.run(command, env=environment(server), capture_output=True, text=True, timeout=60, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def is_walk(lines: list[str]) -> bool:
    """Whether the example said what it should: an event taken, four items with reasons, a persona."""
    return len(lines) == 6 and lines[0] == "accepted" and all(re.match(r"sku-\d+ \S", line) for line in lines[1:5])


def test_the_python_example_runs(server: SmallServer) -> None:
    text = example(PYTHON, "python")
    assert len(text.strip().splitlines()) <= 12
    assert is_walk(ran([sys.executable, "-c", text], server))


@node
def test_the_javascript_example_runs(server: SmallServer, tmp_path: Path) -> None:
    text = example(JAVASCRIPT, "js")
    assert len(text.strip().splitlines()) <= 10
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "persona-clusters").symlink_to(JAVASCRIPT)
    (tmp_path / "example.mjs").write_text(text)
    assert is_walk(ran(["node", "example.mjs"], server, cwd=tmp_path))


def test_pip_installs_the_package_with_its_types(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(PYTHON, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "to"), str(source)]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=110, check=False)
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("no index to fetch setuptools from")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "to" / "persona_clusters" / "py.typed").is_file()


def test_rows_and_people(client: Client) -> None:
    made = client.items.upsert([{"item_id": "new-1", "title": "New", "price": 5}, {"item_id": "new-2", "price": "dear"}])
    assert (made["added"], made["rejected"]) == (1, 1)
    assert made["results"][1]["field"] == "price"
    assert float(client.items.patch("new-1", price=4.5, in_stock=False)["price"]) == 4.5
    client.items.delete("new-1")
    with pytest.raises(NotFound):
        client.items.patch("new-1", price=4)
    assert client.shoppers.consent("anna", True)["demographics"] is True
    assert client.shoppers.demographics("anna", age_band="30-39")
    client.shoppers.consent("bela", False)
    with pytest.raises(Conflict) as refused:
        client.shoppers.demographics("bela", age_band="30-39")
    assert (refused.value.code, refused.value.status) == ("consent_missing", 409)
    assert client.shoppers.merge("anna", "guest-1")["shopper_id"] == "anna"
    assert client.shoppers.export("anna")
    assert client.shoppers.get("anna")["shopper_id"] == "anna"
    assert client.shoppers.erase("anna")["counts"]


def test_errors_are_typed(server: SmallServer, client: Client) -> None:
    with pytest.raises(Invalid) as wrong:
        client.recommend("c1", "similar", count=1_000)
    assert (wrong.value.code, wrong.value.field) == ("invalid_field", "recommend.count")
    with Client(server.base, "pc_wrong") as stranger, pytest.raises(Unauthorised) as unknown:
        stranger.profile("c1")
    assert unknown.value.code == "invalid_key"
    with Client("http://127.0.0.1:9", server.key, retries=0) as lost, pytest.raises(Unreachable):
        lost.profile("c1")


def test_1200_events_go_in_parts_and_count_once(server: SmallServer, client: Client) -> None:
    told = client.events("parts", views("p", 1_200), recommend={"count": 2})
    assert [r["status"] for r in told["results"]] == ["accepted"] * 1_200
    assert len(told["slate"]["items"]) == 2
    again = client.events("parts", views("p", 1_200))
    assert {r["status"] for r in again["results"]} == {"duplicate"}
    assert len(server.archived("parts")) == 1_200


def test_nothing_is_lost_while_the_server_is_dead_and_the_last_slate_stands_in(server: SmallServer, tmp_path: Path) -> None:
    how: dict[str, Any] = {"timeout": 5, "retries": 1, "patience": 5, "outbox": tmp_path / "outbox.sqlite3"}
    with Client(server.base, server.key, **how) as client:
        slate = client.recommend("dead", count=3)
        assert slate is not None
        client.events("dead", views("before", 5))
        server.kill()
        told = client.events("dead", views("while", 5))
        assert told["kept"]
        assert {r["status"] for r in told["results"]} == {"kept"}
        last = client.recommend("dead", count=3)
        assert last is not None
        assert (last["items"], last["stale"]) == (slate["items"], True)
        assert client.recommend("dead", count=4) is None
    server.start()
    with Client(server.base, server.key, **how) as client:  # another process, say
        client.events("dead", views("after", 5))
    archived = server.archived("dead")
    assert sorted(archived) == sorted(f"{part}{i}" for part in ("before", "while", "after") for i in range(5))


def test_a_server_that_hangs_costs_a_page_half_a_second(server: SmallServer) -> None:
    with Client(server.base, server.key) as client:
        server.send(signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert client.recommend("hangs") is None
            assert time.monotonic() - began < 2
            began = time.monotonic()
            assert client.recommend("hangs") is None
            assert time.monotonic() - began < 0.1, "for a second it doesn't ask"
        finally:
            server.send(signal.SIGCONT)


def test_a_cut_connection_is_retried_with_the_same_ids(server: SmallServer, client: Client) -> None:
    server.kill()
    began = time.monotonic()
    back = threading.Timer(0.5, server.start)
    back.start()
    with Client(server.base, server.key, timeout=10, retries=60) as patient:
        told = patient.events("cut", views("c", 3))
    back.join()
    assert not told["kept"], f"after {time.monotonic() - began:.1f} s"
    assert server.archived("cut") == ["c0", "c1", "c2"]


async def test_the_awaiting_client_does_the_same(server: SmallServer) -> None:
    async with AsyncClient(server.base, server.key, timeout=10, patience=5) as client:
        told = await asyncio.gather(*(client.events(f"a{i}", views("x", 3)) for i in range(4)))
        assert [len(t["results"]) for t in told] == [3] * 4
        slate = await client.recommend("a0", count=2)
        assert slate is not None
        assert len(slate["items"]) == 2
        assert (await client.profile("a0"))["version"] >= 3
        token = await client.session_token("a0", ttl_s=600)
        assert token["session_id"] == "a0"
        made = await client.items.upsert([{"item_id": "new-9", "title": "New"}])
        assert made["added"] == 1
        with pytest.raises(Invalid):
            await client.recommend("a0", count=-1)


JS_WALK = """
import { Client, Invalid, NotFound, Conflict, Unauthorised, Unreachable } from "FILE";
import assert from "node:assert/strict";
const persona = new Client(process.env.BASE, process.env.KEY, { timeout: 10000, patience: 5000 });
const view = (event_id) => ({ event_id, name: "view_item", items: [{ item_id: "sku-1" }] });
const views = (start, count) => Array.from({ length: count }, (_, i) => view(start + i));
const told = await persona.events("js", views("j", 600), { recommend: { count: 2 } });
assert.deepEqual([told.results.length, told.slate.items.length, told.kept], [600, 2, false]);
assert.equal((await persona.events("js", views("j", 600))).results.filter((r) => r.status === "duplicate").length, 600);
const goods = [{ item_id: "js-1", title: "New", price: 5 }, { item_id: "js-2", price: "dear" }, { item_id: "js-3" }];
const made = await persona.items.upsert(goods);
assert.deepEqual([made.added, made.rejected, made.results[1].field], [2, 1, "price"]);
assert.equal(Number((await persona.items.patch("js-3", { price: 4 })).price), 4);
await persona.items.delete("js-3");
await assert.rejects(persona.items.patch("js-3", { price: 4 }), NotFound);
assert.equal((await persona.shoppers.consent("jo", false)).demographics, false);
const lacking = (e) => e instanceof Conflict && e.code === "consent_missing";
await assert.rejects(persona.shoppers.demographics("jo", { age_band: "30-39" }), lacking);
assert.equal((await persona.shoppers.merge("jo", "guest-j")).shopper_id, "jo");
assert.ok(await persona.shoppers.export("jo"));
assert.ok((await persona.shoppers.erase("jo")).counts);
const wrong = (e) => e instanceof Invalid && e.field === "recommend.count";
await assert.rejects(persona.recommend("js", "similar", { count: 1000 }), wrong);
await assert.rejects(new Client(process.env.BASE, "pc_wrong").profile("js"), Unauthorised);
await assert.rejects(new Client("http://127.0.0.1:9", "k", { retries: 0 }).profile("js"), Unreachable);
assert.equal((await persona.sessionToken("js", { ttl: 600 })).session_id, "js");
console.log("done");
"""

JS_OUTAGE = """
import { Client } from "FILE";
import { createInterface } from "node:readline";
const persona = new Client(process.env.BASE, process.env.KEY, { retries: 1, patience: 3000 });
const view = (event_id) => ({ event_id, name: "view_item", items: [{ item_id: "sku-1" }] });
const views = (start) => Array.from({ length: 5 }, (_, i) => view(start + i));
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const slate = await persona.recommend("jsdead", "home", { count: 3 });
await persona.events("jsdead", views("before"));
console.log("ready");
await lines.next();
const told = await persona.events("jsdead", views("while"));
const last = await persona.recommend("jsdead", "home", { count: 3 });
const none = await persona.recommend("jsdead", "home", { count: 4 });
console.log(JSON.stringify([told.kept, last.stale, last.recommendation_id === slate.recommendation_id, none]));
await lines.next();
await persona.events("jsdead", views("after"));
console.log("done");
process.exit(0);
"""


@node
def test_the_javascript_client_walks_through_every_call(server: SmallServer, tmp_path: Path) -> None:
    script = tmp_path / "walk.mjs"
    script.write_text(JS_WALK.replace("FILE", str(JAVASCRIPT / "index.js")))
    assert ran(["node", str(script)], server) == ["done"]


@node
def test_the_javascript_client_loses_nothing_while_the_server_is_dead(server: SmallServer, tmp_path: Path) -> None:
    script = tmp_path / "outage.mjs"
    script.write_text(JS_OUTAGE.replace("FILE", str(JAVASCRIPT / "index.js")))
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(["node", str(script)], env=environment(server), **pipes) as walk:
        assert walk.stdin is not None
        assert walk.stdout is not None
        assert walk.stdout.readline() == "ready\n"
        server.kill()
        walk.stdin.write("\n")
        walk.stdin.flush()
        assert walk.stdout.readline() == "[true,true,true,null]\n"
        server.start()
        walk.stdin.write("\n")
        walk.stdin.flush()
        assert walk.stdout.readline() == "done\n"
    assert sorted(server.archived("jsdead")) == sorted(f"{part}{i}" for part in ("before", "while", "after") for i in range(5))
