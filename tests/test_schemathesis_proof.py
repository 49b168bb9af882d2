"""The OpenAPI document against a real server with real keys: schemathesis finds nothing. `make proof` alone has schemathesis."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.small_server import SmallServer, small_server

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(importlib.util.find_spec("schemathesis") is None, reason="needs requirements/proof.txt"),
]

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "12"))
TIMEOUT_S = os.environ.get("SCHEMATHESIS_TIMEOUT_S", "30")
"""Of one answer; longer where others work on the machine."""

SETTINGS = """
hooks = "hooks.py"

[checks.positive_data_acceptance]
# What is sound by its form may name what the shop lacks, or what isn't so just now: 304, 400 and 422 by field, 404, 409, 412.
expected-statuses = ["2xx", 304, 400, 404, 409, 412, 422]

[checks.negative_data_rejection]
# An address that leads nowhere and a precondition that fails refuse as well, before the body is looked at.
expected-statuses = [400, 404, 409, 412, 415, 422]

# Of many at once, each is judged by itself: 200, with what was rejected in its place. `tests/test_bad_input.py` tries those.
[[operations]]
include-name = ["POST /api/v1/events", "POST /api/v1/items/", "POST /api/v1/items/bulk", "POST /api/v1/clusters/import/"]
checks.negative_data_rejection.expected-statuses = [200, 400, 404, 409, 415, 422]
"""

HOOKS = """
import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
"""
"""Bodies that schemathesis doesn't know how to write."""

EXCLUDED = "unsupported_method"
"""Methods that an address doesn't answer are tried by `test_what_an_address_does_not_answer_is_told` over all of the document."""


@pytest.fixture(scope="module")
def server() -> Iterator[SmallServer]:
    before = os.environ.get("THROTTLE_KEY_PER_S")
    os.environ["THROTTLE_KEY_PER_S"] = "0"  # hundreds of requests a second are the point here
    with small_server() as made:
        _fill(made)
        yield made
    if before is None:
        del os.environ["THROTTLE_KEY_PER_S"]
    else:
        os.environ["THROTTLE_KEY_PER_S"] = before


def _fill(server: SmallServer) -> None:
    """Rows that the document's first ids lead to."""
    arms = [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5, "adapts": False}]
    with httpx.Client(base_url=f"{server.base}/api/v1", headers={"authorization": f"Bearer {server.key}"}, timeout=60) as client:
        for path, body in (
            ("attributes/", {"key": "thrift", "name": "Thrift"}),
            ("personas/", {"key": "hunter", "name": "Hunter", "colour": "#0072B2", "mix": {"thrift": 1.0}}),
            ("rules/", {"name": "One first", "action": "pin", "slot": 1, "target": {"items": ["sku-1"]}}),
            ("feeds/", {"url": "https://shop.example/feed.xml"}),
            ("clusters/", {"name": "Picnic", "items": ["sku-1", "sku-2"]}),
            ("experiments/", {"name": "Pays?", "arms": arms}),
        ):
            answer = client.post(path, json=body)
            assert answer.status_code in (200, 201), (path, answer.text)
        view = {"event_id": "e1", "name": "view_item", "items": [{"item_id": "sku-1"}]}
        assert client.post("events", json={"session_id": "visit-1", "events": [view]}).status_code == 200
    server.archived("visit-1")


@pytest.mark.timeout(2_700)
def test_schemathesis_finds_nothing(server: SmallServer, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    (tmp_path / "hooks.py").write_text(HOOKS)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(tmp_path / "schemathesis.toml")]
    command += ["run", f"{server.base}/api/schema/?format=json", "--header", f"Authorization: Bearer {server.key}"]
    command += ["--checks", "all", "--exclude-checks", EXCLUDED, "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", str(EXAMPLES), "--seed", "1", "--continue-on-failure", "--no-color"]
    command += ["--request-timeout", TIMEOUT_S, "--generation-database", "none", "--warnings", "off"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2_400, cwd=tmp_path)
    print(done.stdout[-20_000:], done.stderr[-2_000:])
    assert done.returncode == 0


def test_what_an_address_does_not_answer_is_told(server: SmallServer) -> None:
    document = httpx.get(f"{server.base}/api/schema/?format=json", timeout=60).json()
    known = {"get", "post", "put", "patch", "delete"}
    with httpx.Client(base_url=server.base, headers={"authorization": f"Bearer {server.key}"}, timeout=30) as client:
        for path, calls in document["paths"].items():
            address = path
            for part in [part for part in path.split("/") if part.startswith("{")]:
                address = address.replace(part, "1")
            for method in known - calls.keys():
                answer = client.request(method.upper(), address, json={} if method != "get" else None)
                if (answer.status_code, path.count("/")) == (404, 4) and "events/" in path and method == "get":
                    continue
                assert answer.status_code == 405 or "events/" in path, (method, path, answer.status_code, answer.text[:200])
                if answer.status_code == 405:
                    assert answer.json()["code"] == "method_not_allowed"
                    assert method.upper() not in answer.headers["allow"], (method, path)


def test_the_document_is_served_as_json_and_yaml_and_its_page_loads_nothing_from_elsewhere(server: SmallServer) -> None:
    assert httpx.get(f"{server.base}/api/schema/?format=json", timeout=60).json()["openapi"].startswith("3.")
    assert httpx.get(f"{server.base}/api/schema/", timeout=60).text.startswith("openapi: 3.")
    page = httpx.get(f"{server.base}/api/docs/", timeout=60)
    assert page.status_code == 200
    assert "//cdn" not in page.text
    assert json.dumps("https://") not in page.text
