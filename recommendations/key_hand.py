"""Whose hand an API key's is in records that name a user: one account for all keys, which nobody can log in with."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model

from personas.models import ApiKey

ACCOUNT = "api-keys"


def account_of_keys() -> Any:
    """The account, made when it is first needed: no password, no rights, not active."""
    user, made = get_user_model().objects.get_or_create(username=ACCOUNT, defaults={"is_active": False})
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def signed(key: ApiKey, words: str) -> str:
    """What a key did, or why, with its name."""
    return f"API key “{key.name}”: {words}" if words else f"API key “{key.name}”."


def log(key: ApiKey, row: Any, words: str, flag: int) -> None:
    """Put what a key did to a row into the admin's record of it."""
    LogEntry.objects.log_actions(account_of_keys().pk, [row], flag, change_message=signed(key, words), single_object=True)
