"""Shops, their keys and personas, shoppers, sessions and the archived activity log, as database rows.

Ids are append-only: an attribute, archetype or event keeps its id for ever, and none is used twice.
"""

from personas.models.definitions import Archetype, Attribute, PersonaVersion, check_personas
from personas.models.keys import KEY_PREFIX, ROTATION_GRACE, SCOPES, USE_TOLD, ApiKey, ApiKeyQuerySet, hash_key, validate_scopes
from personas.models.sessions import (
    HISTORY_ENDS_S,
    ArchivedEvent,
    ArchivedEventQuerySet,
    Clock,
    Epoch,
    EventRow,
    Origin,
    Session,
    SessionEvidence,
    SessionQuerySet,
    TrainingEvent,
    moment,
    teaches,
)
from personas.models.shoppers import Erasure, Shopper, ShopperAlias, ShopperQuerySet, in_chunks
from personas.models.shops import MAX_ORIGINS, Shop, validate_origins

__all__ = [
    "ApiKey",
    "ApiKeyQuerySet",
    "Archetype",
    "ArchivedEvent",
    "ArchivedEventQuerySet",
    "Attribute",
    "Clock",
    "Epoch",
    "Erasure",
    "EventRow",
    "HISTORY_ENDS_S",
    "KEY_PREFIX",
    "MAX_ORIGINS",
    "Origin",
    "PersonaVersion",
    "ROTATION_GRACE",
    "SCOPES",
    "Session",
    "SessionEvidence",
    "SessionQuerySet",
    "Shop",
    "Shopper",
    "ShopperAlias",
    "ShopperQuerySet",
    "TrainingEvent",
    "USE_TOLD",
    "check_personas",
    "hash_key",
    "in_chunks",
    "moment",
    "teaches",
    "validate_origins",
    "validate_scopes",
]
