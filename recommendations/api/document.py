"""The OpenAPI document, beyond what views tell of themselves: refusals with their codes, headers, credentials, examples."""

from __future__ import annotations

import re
from threading import Lock
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from recommendations.api.examples import REQUESTS, answer_of

PROBLEM = "application/problem+json"

REFUSALS: dict[str, tuple[str, tuple[str, ...]]] = {
    "400": (
        "What was sent can't be read, or a field of it can't be.",
        ("malformed_json", "invalid_field", "cut_off", "malformed_gzip"),
    ),
    "401": (
        "No credential, or none that opens anything.",
        ("missing_credentials", "invalid_key", "invalid_token", "expired_token"),
    ),
    "403": (
        "The credential may not do this.",
        ("missing_scope", "foreign_session", "foreign_shopper", "key_needed", "key_in_page", "foreign_origin"),
    ),
    "404": ("There is nothing at this address, or nothing that this credential may see.", ("not_found",)),
    "405": ("The address doesn't answer this method; `Allow` names those that it does.", ("method_not_allowed",)),
    "406": ("Answers are JSON.", ("not_acceptable",)),
    "409": (
        "Sound, but not as things stand; `detail` says what stands in the way.",
        ("conflict", "consent_missing", "already_merged", "idempotency_in_progress"),
    ),
    "412": ("The row is not the one that `If-Match` or `If-None-Match` speaks of.", ("changed_meanwhile", "there_already")),
    "413": ("More than is taken at a time.", ("body_too_large", "too_many_events")),
    "415": ("A body of another kind.", ("json_needed", "unsupported_encoding")),
    "422": ("A field can't be taken.", ("invalid_field", "idempotency_mismatch")),
    "429": ("Too many requests a second with this credential; wait for `Retry-After` seconds.", ("rate_limited",)),
    "500": ("Something failed here, and was logged.", ("internal",)),
    "503": (
        "Not now; send it again after `Retry-After` seconds.",
        ("no_release", "release_unusable", "session_busy", "storage_unavailable"),
    ),
}
"""By status: what it means, and the codes that come with it."""

ALWAYS = ("400", "401", "403", "405", "406", "429", "500", "503")
WITH_BODY = ("409", "413", "415", "422")

TAGS = {
    "events": "What shoppers do, in.",
    "recommendations": "Slates out, and why.",
    "sessions": "Visits: profiles, the evidence, what would have been.",
    "session-tokens": "What a page may speak with.",
    "shoppers": "Consent, merging at a log-in, export, erasure.",
    "items": "The catalogue.",
    "feeds": "Files of the catalogue, fetched on a schedule.",
    "search": "The catalogue's search.",
    "clusters": "Clusters, and the hand on them.",
    "cluster-changes": "What became of clusters, and its undo.",
    "personas": "Personas, as a draft.",
    "attributes": "Attributes that personas are mixed of, as a draft.",
    "persona-versions": "What was published of them.",
    "rules": "What merchandisers want of slates.",
    "releases": "What serves.",
    "experiments": "Ways to adapt, side by side.",
    "proposals": "Lasting changes that learning proposes.",
    "policies": "Policies that were learned.",
    "shops": "The shop itself.",
}

READ_LOOSELY = frozenset({"OfferIn", "PatchedOfferIn", "FactsIn", "ItemIn"})
"""Shapes of items, as files and feeds write them too."""

LIVE = re.compile(r"/api/v1/(events(/[a-z0-9-]+)?|recommendations|session-tokens|sessions/\{session_id\}/profile)$")
"""Addresses that the live process answers, which session tokens open too."""

TAGGED = (
    "items",
    "clusters",
    "releases",
    "rules",
    "personas",
    "attributes",
    "persona-versions",
    "experiments",
    "proposals",
    "policies",
)
"""Groups whose single rows have an `ETag`."""

UNREPEATED = ("/api/v1/items/bulk",)
"""Calls whose answers are kept under no `Idempotency-Key`: sent again, they write nothing twice."""

MATCHED = ("items", "clusters", "rules", "personas", "attributes")
"""Groups whose rows are written under `If-Match`."""

_RATE = {"schema": {"type": "integer"}}
_HEADERS: dict[str, Any] = {
    "RateLimit-Limit": {**_RATE, "description": "Requests a second that the credential may make, where it has a limit."},
    "RateLimit-Remaining": {**_RATE, "description": "What is left of it just now."},
    "RateLimit-Reset": {**_RATE, "description": "Seconds until all of it is there again."},
    "ETag": {"schema": {"type": "string"}, "description": "For `If-None-Match` and `If-Match`."},
    "Retry-After": {**_RATE, "description": "Seconds to wait."},
}


class Generator(SchemaGenerator):
    """The document, made once in a process: it takes seconds, and threads that make it at the same time get in each other's way
    (the framework hangs the view that is looked at on what all views share), so that one was answered by 500.
    """

    _making = Lock()
    _made: dict[str, Any] | None = None

    def get_schema(self, request: Any = None, public: bool = False) -> dict[str, Any]:
        """As anybody is told it, whoever asks."""
        with Generator._making:
            if Generator._made is None:
                Generator._made = SchemaGenerator().get_schema(request=None, public=True)
            return Generator._made


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """The document with all that its calls have in common. A hook of drf-spectacular's."""
    parts = result.setdefault("components", {})
    parts["headers"] = _HEADERS
    parts["responses"] = {f"Refused{status}": _refusal(status) for status in REFUSALS}
    parts["securitySchemes"] = {
        "apiKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key of one shop, for servers only. Its scopes: `ingest` (events, tokens), `read`, `manage`.",
        },
        "sessionToken": {
            "type": "http",
            "scheme": "bearer",
            "description": "A signed token that opens one session to a page: its events, slates and profile, and nothing else.",
        },
        "staff": {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "Staff who are logged in to the admin, with their permissions there; `?shop=SLUG` names the shop.",
        },
    }
    for name in READ_LOOSELY & parts["schemas"].keys():
        for field, schema in parts["schemas"][name]["properties"].items():
            parts["schemas"][name]["properties"][field] = _loosely(field, schema)
    result["tags"] = [{"name": name, "description": told} for name, told in TAGS.items()]
    for path, calls in result["paths"].items():
        for method, call in calls.items():
            if isinstance(call, dict) and "responses" in call:
                _complete(path, method, call)
    return result


def _complete(path: str, method: str, call: dict[str, Any]) -> None:
    group = path.removeprefix("/api/v1/").split("/")[0]
    call["tags"] = [group]
    live, one = bool(LIVE.match(path)), path.rstrip("/").endswith("}")
    call["security"] = [{"apiKey": []}, {"sessionToken": []} if live and group != "session-tokens" else {"staff": []}]
    if group == "session-tokens" or path == "/api/v1/events/{event_id}":
        call["security"] = [{"apiKey": []}] + ([] if group == "session-tokens" else [{"staff": []}])
    scope = call["x-scope"] = _scope(path, method, live=live)
    call["description"] = f"{call.get('description', '')}\n\nA key needs the scope `{scope}`.".strip()
    has_body = "requestBody" in call
    statuses = {*ALWAYS, *(("404",) if "{" in path or has_body else ()), *(WITH_BODY if has_body or method == "post" else ())}
    statuses |= {"422"} if live or group in ("shoppers", "sessions", "recommendations") else set()
    given = call.setdefault("parameters", [])
    for each in given:
        if each["in"] == "query" and not live:
            each["schema"] = _or_empty(each["schema"])
    if method == "post" and path not in UNREPEATED:
        given.append(
            _header(
                "Idempotency-Key",
                "Sent again under the same key within a day, the call is done once, and has the same answer.",
                minLength=1,
                maxLength=128,
            )
        )
    if method == "get" and one and group in TAGGED:
        given.append(_header("If-None-Match", "The `ETag` that the caller has: 304 where it is still so."))
        call["responses"]["304"] = {"description": "It is as the caller has it.", "headers": {"ETag": _ref("headers", "ETag")}}
    if method in ("put", "patch", "delete") and one and group in MATCHED:
        given.append(_header("If-Match", "The `ETag` of the row as the caller saw it: 412 where it is another by now."))
        statuses |= {"412"}
    if method in ("delete",):
        statuses |= {"409"}
    for status in [status for status in call["responses"] if status in ("4XX", *REFUSALS)]:
        del call["responses"][status]
    limits = {name: _ref("headers", name) for name in _HEADERS if name.startswith("RateLimit")}
    for status, answer in call["responses"].items():
        for content in answer.get("content", {}).values():
            if "examples" not in content and (told := answer_of(call["operationId"], content["schema"])) is not None:
                content["examples"] = {"Example": {"value": told}}
        if status != "304":
            answer["headers"] = {**limits, **answer.get("headers", {})}
            if method == "get" and one and group in TAGGED:
                answer["headers"]["ETag"] = _ref("headers", "ETag")
    call["responses"] |= {status: _ref("responses", f"Refused{status}") for status in sorted(statuses)}
    for content in call.get("requestBody", {}).get("content", {}).values():
        if "examples" not in content and call["operationId"] in REQUESTS:
            content["examples"] = {"Example": {"value": REQUESTS[call["operationId"]]}}


def _scope(path: str, method: str, *, live: bool) -> str:
    """Of `personas.models.SCOPES`, the one that a key needs for a call."""
    if live and not path.endswith(("/profile", "/recommendations")):
        return "ingest"
    return "read" if live or method == "get" or path.endswith("/counterfactual") else "manage"


def _or_empty(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is there without a value is as good as none: forms send all of their fields."""
    if schema["type"] == "array":
        return {**schema, "items": _or_empty(schema["items"])}
    if schema["type"] == "string" and not schema.keys() & {"enum", "format"}:
        return schema
    least = {"minimum": 0} if schema["type"] == "integer" else {}
    return {"anyOf": [{**least, **schema}, {"type": "string", "maxLength": 0}]}


def _loosely(field: str, schema: dict[str, Any]) -> dict[str, Any]:
    """What a field of an item may be: a feed's words for numbers and stock, and numbers for words, are read for what they say."""
    told = {name: schema[name] for name in ("description",) if name in schema}
    own = {name: value for name, value in schema.items() if name not in ("description", "nullable")}
    if field in ("tags", "item_id"):
        return schema
    others = ("string", "number", "boolean") if own["type"] != "number" else ("number", "string")
    return {**told, "nullable": True, "anyOf": [own, *({"type": kind} for kind in others if kind != own["type"])]}


def _refusal(status: str) -> dict[str, Any]:
    meaning, codes = REFUSALS[status]
    example = {
        "type": "about:blank",
        "title": codes[0].replace("_", " "),
        "status": int(status),
        "code": codes[0],
        "detail": meaning,
    }
    told = {"description": f"{meaning} `code`: {', '.join(f'`{code}`' for code in codes)}."}
    content = {PROBLEM: {"schema": _ref("schemas", "Problem"), "example": example}}
    waits = {"headers": {"Retry-After": _ref("headers", "Retry-After")}} if status in ("429", "503") else {}
    return {**told, "content": content, **waits}


def _header(name: str, told: str, **bounds: int) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": told, "schema": {"type": "string", **bounds}}


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}
