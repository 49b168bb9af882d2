"""Every call of the OpenAPI document has an example of what is sent and of what is answered, and each fits its own schema."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import jsonschema
import pytest
from django.test import Client

from recommendations.api.document import Generator
from recommendations.api.examples import answers


@cache
def document() -> dict[str, Any]:
    return Generator().get_schema()


def contents() -> Iterator[tuple[str, dict[str, Any]]]:
    """What is sent and answered, by name: media types with their schemas and examples. Refusals share theirs."""
    for calls in document()["paths"].values():
        for call in calls.values():
            for kind, content in call.get("requestBody", {}).get("content", {}).items():
                yield f"{call['operationId']} sent as {kind}", content
            for status, answer in call["responses"].items():
                for kind, content in answer.get("content", {}).items():
                    yield f"{call['operationId']} answers {status} {kind}", content
    for name, answer in document()["components"]["responses"].items():
        for content in answer["content"].values():
            yield name, {**content, "examples": {"Example": {"value": content["example"]}}}


def strict(schema: Any, *, sent: bool) -> Any:
    """OpenAPI 3.0 as JSON Schema: `nullable` as a type, and no field but those that an object's schema names.

    sent : of a request, which brings nothing that is `readOnly`.
    """
    if isinstance(schema, list):
        return [strict(each, sent=sent) for each in schema]
    if not isinstance(schema, dict):
        return schema
    fields = schema.get("properties")
    made = {key: strict(value, sent=sent) for key, value in schema.items() if key not in ("nullable", "properties")}
    if fields is not None:
        made["properties"] = {name: strict(each, sent=sent) for name, each in fields.items()}
        made.setdefault("additionalProperties", False)
        if sent:
            made["required"] = [name for name in schema.get("required", ()) if not fields[name].get("readOnly")]
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") is True else made


@cache
def components(sent: bool) -> dict[str, Any]:
    schemas = {name: strict(each, sent=sent) for name, each in document()["components"]["schemas"].items()}
    return {"components": {"schemas": schemas}}


CONTENTS = list(contents())


@pytest.mark.parametrize(("name", "content"), CONTENTS, ids=[name for name, _ in CONTENTS])
def test_there_is_an_example_and_it_fits(name: str, content: dict[str, Any]) -> None:
    assert content.get("examples"), "nobody wrote one: recommendations/api/examples.py, answers.json"
    sent = " sent as " in name
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    validator = jsonschema.Draft202012Validator(
        {**strict(content["schema"], sent=sent), **components(sent)}, format_checker=checker
    )
    for example in content["examples"].values():
        assert [error.message for error in validator.iter_errors(example["value"])] == []


def test_threads_that_ask_at_once_are_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Generator, "_made", None)
    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(lambda _: Client().get("/api/schema/?format=json"), range(3)))
    assert [answer.status_code for answer in told] == [200] * 3
    assert len({answer.content for answer in told}) == 1


def test_no_example_is_of_what_is_gone() -> None:
    told = document()
    operations = {call["operationId"] for calls in told["paths"].values() for call in calls.values()}
    assert answers().keys() <= operations | told["components"]["schemas"].keys()
