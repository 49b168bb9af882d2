"""What calls of the API are sent and answer, by example; those that views give themselves come first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

_WHY = {"reason": "As agreed on Monday."}

ANSWERS = Path(__file__).with_name("answers.json")
"""What a demo shop answered, shortened: by the name of the answer's schema, or by the operation's id where it has none."""

REQUESTS: dict[str, Any] = {
    "attributes_create": {
        "key": "thrift",
        "name": "Thrift",
        "weights": {"price_tier=low": 0.8},
        "behaviours": {"event=search": 0.2},
    },
    "attributes_update": {"key": "thrift", "name": "Thrift", "weights": {"price_tier=low": 1.0}},
    "attributes_partial_update": {"weights": {"price_tier=low": 1.0}},
    "personas_create": {"key": "hunter", "name": "Bargain hunter", "icon": "tag", "colour": "#0072B2", "mix": {"thrift": 1.0}},
    "personas_update": {"key": "hunter", "name": "Bargain hunter", "icon": "tag", "colour": "#0072B2", "mix": {"thrift": 0.8}},
    "personas_partial_update": {"mix": {"thrift": 0.8}},
    "persona_versions_create": {"note": "Thrift weighs more."},
    "clusters_create": {"name": "Picnic", "items": ["sku-7", {"item_id": "sku-9", "weight": 0.5}], **_WHY},
    "clusters_partial_update": {"name": "Picnic for two", "locked": True},
    "clusters_items_create": {"add": ["sku-12"], "exclude": ["sku-3"], **_WHY},
    "clusters_merge_create": {"clusters": [4, 7], "name": "Out and about"},
    "clusters_split_create": {"groups": [{"name": "Blankets", "items": ["sku-7"]}]},
    "clusters_give_back_create": _WHY,
    "clusters_restore_create": {"name": "Picnic"},
    "clusters_import_create": {"clusters": [{"name": "Picnic", "items": ["sku-7", "sku-9"]}]},
    "cluster_changes_undo_create": {"reason": "A mistake."},
    "events_create": {
        "session_id": "visit-1",
        "context": {"country": "PL", "device": "mobile"},
        "events": [
            {"event_id": "a1", "name": "view_item", "items": [{"item_id": "sku-7"}]},
            {"event_id": "a2", "name": "add_to_cart", "items": [{"item_id": "sku-7", "price": 28, "quantity": 1}]},
        ],
        "recommend": {"context": "cart", "count": 4, "reasons": True},
    },
    "events_segment_create": {
        "type": "track",
        "event": "Product Viewed",
        "anonymousId": "visit-1",
        "messageId": "m1",
        "properties": {"product_id": "sku-7", "price": 18.99, "currency": "EUR"},
    },
    "events_google_retail_create": {
        "eventType": "detail-page-view",
        "visitorId": "visit-1",
        "eventTime": "2026-11-20T10:00:00Z",
        "productDetails": [{"product": {"id": "sku-7"}, "quantity": 1}],
    },
    "events_ga4_create": {
        "client_id": "visit-1",
        "events": [{"name": "view_item", "params": {"items": [{"item_id": "sku-7"}]}}],
    },
    "items_bulk_create": '{"item_id": "sku-8", "title": "Blue skirt", "price": 21}\n{"item_id": "sku-12", "in_stock": false}\n',
    "recommendations_create": {
        "session_id": "visit-1",
        "recommend": {"context": "similar", "item_id": "sku-7", "count": 8, "reasons": True},
    },
    "session_tokens_create": {"session_id": "visit-1", "ttl_s": 3600},
    "rules_partial_update": {"enabled": False},
    "feeds_partial_update": {"every_minutes": 30},
    "experiments_plan_create": {"starts_at": "2026-12-01T08:00:00Z", "ends_at": "2026-12-15T08:00:00Z"},
    "experiments_stop_create": {"reason": "Enough was seen."},
    "proposals_approve_create": {"reason": "Seen in the shop, too."},
    "proposals_reject_create": {"reason": "Not for this season."},
    "proposals_undo_create": {"reason": "Sales fell."},
    "policies_go_live_create": {"reason": "It passed."},
    "policies_refuse_create": {"reason": "After the sale."},
    "shoppers_consent_update": {"demographics": True},
    "shoppers_demographics_update": {"age_band": "25-34"},
    "shoppers_merge_create": {"from": "guest-7"},
}
"""Bodies by the operation's id."""


@cache
def answers() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(ANSWERS.read_text(encoding="utf-8"))
    return told


def answer_of(operation: str, schema: Mapping[str, Any]) -> Any:
    """What the operation answers by example, None where nobody wrote one. schema : of the answer."""
    if operation in answers():
        return answers()[operation]
    if schema.get("type") == "array":
        one = answer_of(operation, schema["items"])
        return None if one is None else [one]
    name = schema.get("$ref", "").rpartition("/")[2]
    if name.startswith("Paginated"):
        one = answers().get(name.removeprefix("Paginated").removesuffix("List"))
        return None if one is None else {"next": None, "previous": None, "results": [one]}
    return answers().get(name)
