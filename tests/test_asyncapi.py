"""The document of live messages: its examples fit its schemas, and it has every message that a socket sends or reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from django.test import Client

from recommendations.api import asyncapi
from recommendations.serving import consumers, desk, opened, sockets

SERVING = Path(consumers.__file__).parent


def messages(action: str, channel: str) -> dict[str, Any]:
    """Message type -> message, of what is sent or received on a channel."""
    found = {}
    for operation in asyncapi.document()["operations"].values():
        if operation["action"] == action and operation["channel"]["$ref"] == f"#/channels/{channel}":
            for each in operation["messages"]:
                message = asyncapi.resolved(each)
                found[message["payload"]["properties"]["type"]["const"]] = message
    return found


def every_message() -> list[tuple[str, dict[str, Any]]]:
    return list(asyncapi.document()["components"]["messages"].items())


def test_it_is_asyncapi_3() -> None:
    document = asyncapi.document()
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= document["info"].keys()
    assert set(document["channels"]) == {"session", "desk"}
    allowed = {"address", "title", "description", "servers", "bindings", "messages"}
    assert all(channel.keys() <= allowed for channel in document["channels"].values())
    assert {operation["action"] for operation in document["operations"].values()} == {"send", "receive"}


def test_every_reference_leads_somewhere() -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                asyncapi.resolved(node)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(asyncapi.document())


@pytest.mark.parametrize(("name", "message"), every_message(), ids=[name for name, _ in every_message()])
def test_examples_fit_their_schemas(name: str, message: dict[str, Any]) -> None:
    schema = asyncapi.with_references(message["payload"])
    jsonschema.Draft202012Validator.check_schema(schema)
    assert message["examples"]
    for example in message["examples"]:
        jsonschema.validate(example["payload"], schema)


@pytest.mark.parametrize(("channel", "module"), [("session", consumers), ("desk", desk)])
def test_it_has_what_the_sockets_send_and_read(channel: str, module: Any) -> None:
    source = Path(module.__file__).read_text() + (SERVING / "sockets.py").read_text()
    sent = set(re.findall(r'\{"type": "(\w+)"', source)) - {"websocket"}
    assert sent == messages("send", channel).keys()
    read = set(re.findall(r'kind == "(\w+)"', Path(module.__file__).read_text())) | {"pong"}
    assert read == messages("receive", channel).keys()


def test_it_has_every_close_code() -> None:
    codes = {
        sockets.UNAUTHORISED,
        sockets.FORBIDDEN,
        sockets.NOT_FOUND,
        sockets.SLOW,
        sockets.TOO_MANY,
        sockets.FULL,
        opened.RESTART,
    }
    assert asyncapi.document()["x-close-codes"].keys() == codes | {sockets.FAILED}


def test_it_is_served_to_read_and_to_parse() -> None:
    client = Client()
    assert yaml.safe_load(client.get("/api/asyncapi.yaml").content) == asyncapi.document()
    assert client.get("/api/asyncapi.yaml?format=json").json()["asyncapi"] == "3.0.0"
    page = client.get("/api/asyncapi/").content.decode()
    assert all(f"<code>{name}</code>" in page for name in messages("send", "session"))
