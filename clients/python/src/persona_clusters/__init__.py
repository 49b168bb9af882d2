"""Client of a Persona Clusters installation, for a shop's server."""

from persona_clusters.aio import AsyncClient
from persona_clusters.client import Client
from persona_clusters.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PersonaError,
    RateLimited,
    Unauthorised,
    Unavailable,
    Unreachable,
)
from persona_clusters.shapes import Event, EventItem, ItemsWritten, Persona, Profile, Result, Slate, SlateItem, Token, Told

__all__ = [
    "AsyncClient", "Client", "Conflict", "Event", "EventItem", "Forbidden", "Invalid", "ItemsWritten", "NotFound", "Persona",
    "PersonaError", "Profile", "RateLimited", "Result", "Slate", "SlateItem", "Token", "Told", "Unauthorised", "Unavailable",
    "Unreachable",
]  # fmt: skip
