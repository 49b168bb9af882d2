"""Web shops: every other row belongs to one."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

MAX_ORIGINS = 50

_SLUG = RegexValidator(r"^[a-z0-9][a-z0-9-]*\Z", "Use lower-case letters, digits and hyphens.")
_ORIGIN = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::\d{1,5})?"
)


def validate_origins(value: object) -> None:
    """A list of origins as browsers send them, scheme://host[:port] in lower case. Raises ValidationError."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValidationError('Write a list of origins, such as ["https://shop.example"].')
    if len(value) > MAX_ORIGINS:
        raise ValidationError(f"{len(value)} origins are more than {MAX_ORIGINS}.")
    for each in value:
        if not _ORIGIN.fullmatch(each):
            raise ValidationError(
                f"{each[:80]!r} is no origin: write scheme://host[:port] in lower case, without a path or a star."
            )


class Shop(models.Model):
    """One web shop; every other row, key and release belongs to one."""

    slug = models.SlugField(max_length=50, unique=True, validators=[_SLUG])
    name = models.CharField(max_length=120)
    currency = models.CharField(max_length=3, default="EUR", help_text="ISO 4217, for display.")
    settings = models.JSONField(default=dict, blank=True)
    allowed_origins = models.JSONField(
        default=list,
        blank=True,
        help_text="Whose pages may call with a session token, a list such as https://shop.example; our own hosts always may.",
    )
    demo = models.BooleanField(default=False, help_text="A demo shop has a public storefront.")
    retention_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Sessions whose last event is older are deleted every night; empty keeps them."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raises ValidationError on `allowed_origins` that no browser would send."""
        try:
            validate_origins(self.allowed_origins)
        except ValidationError as error:
            raise ValidationError({"allowed_origins": error.messages}) from error
