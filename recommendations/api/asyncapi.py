"""The websockets' messages for people and machines: `docs/asyncapi.yaml`, as a page and as it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

PATH = settings.BASE_DIR / "docs" / "asyncapi.yaml"


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The AsyncAPI 3 document."""
    read: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return read


def resolved(node: Any) -> Any:
    """What a `$ref` of the document stands for; anything else as it is. Raises KeyError on one that leads nowhere."""
    while isinstance(node, dict) and "$ref" in node:
        found: Any = document()
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def with_references(schema: Any) -> Any:
    """A schema with what it refers to put in its place."""
    schema = resolved(schema)
    if isinstance(schema, dict):
        return {name: with_references(value) for name, value in schema.items()}
    return [with_references(each) for each in schema] if isinstance(schema, list) else schema


@require_safe
def raw(request: HttpRequest) -> HttpResponse:
    """The document, as YAML; as JSON at the address that asks for it."""
    if request.GET.get("format") == "json":
        return HttpResponse(json.dumps(document()), content_type="application/json")
    return HttpResponse(PATH.read_text(encoding="utf-8"), content_type="application/yaml; charset=utf-8")


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The document to read."""
    told = document()
    channels = []
    for key, channel in told["channels"].items():
        operations = [op for op in told["operations"].values() if op["channel"]["$ref"] == f"#/channels/{key}"]
        channels.append(
            {
                "key": key,
                **{name: channel[name] for name in ("title", "address", "description")},
                "query": _fields(channel["bindings"]["ws"]["query"]),
                "operations": [
                    {"title": op["title"], "messages": [_message(resolved(each)) for each in op["messages"]]} for op in operations
                ],
            }
        )
    context = {"info": told["info"], "channels": channels, "codes": told["x-close-codes"].items()}
    return render(request, "asyncapi.html", context)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    payload = resolved(message["payload"])
    return {
        "type": payload["properties"]["type"]["const"],
        "summary": message["summary"],
        "fields": [field for field in _fields(payload) if field["name"] != "type"],
        "examples": [json.dumps(example["payload"], indent=2, ensure_ascii=False) for example in message["examples"]],
    }


def _fields(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, field in schema.get("properties", {}).items():
        field = resolved(field)
        kind = field.get("type", "one of " + ", ".join(map(str, field["enum"])) if "enum" in field else "object")
        found.append(
            {
                "name": name,
                "kind": " or ".join(kind) if isinstance(kind, list) else kind,
                "needed": name in schema.get("required", ()),
                "means": field.get("description", ""),
            }
        )
    return found
