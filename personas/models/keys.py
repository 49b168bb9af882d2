"""Keys to the API: what each may do, until when, and what of it is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from personas.models.shops import Shop

SCOPES = ("ingest", "read", "manage")
KEY_PREFIX = 8
"""Characters of an API key that stay readable, so that a person can tell one from another."""

ROTATION_GRACE = timedelta(hours=24)
"""How long a key that was rotated still works, unless said otherwise: time to put the new one onto every server."""

USE_TOLD = timedelta(minutes=1)
"""How exactly it is told when a key was used last: no key's row is written more often."""


def validate_scopes(value: object) -> None:
    """A non-empty list of known scopes. Raises ValidationError."""
    if not isinstance(value, list) or not value or not all(isinstance(v, str) and v in SCOPES for v in value):
        raise ValidationError(f"Scopes {value!r} must be a non-empty list out of {', '.join(SCOPES)}.")


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def live(self) -> ApiKeyQuerySet:
        """Those that open something now: neither revoked nor at their end."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()), revoked_at__isnull=True)

    def note_uses(self, uses: Mapping[int, datetime]) -> None:
        """Tell when keys were used last, by their primary keys; nothing else of them is written, and no signal is sent."""
        for pk, at in sorted(uses.items()):
            self.filter(pk=pk).exclude(last_used_at__gt=at - USE_TOLD).update(last_used_at=at)

    def issue(
        self,
        *,
        shop: Shop,
        name: str,
        scopes: Sequence[str],
        test: bool = False,
        rate: int | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key's row and its plaintext, which is stored nowhere and can't be had again.

        Raises ValidationError on an unknown scope, and on a test key that may manage: what that changes would be real.
        """
        chosen = list(dict.fromkeys(scopes))
        validate_scopes(chosen)
        if test and "manage" in chosen:
            raise ValidationError("A test key can't have the scope manage: what it changes would be no test.")
        plaintext = f"{'pct' if test else 'pc'}_{secrets.token_urlsafe(32)}"
        key = self.create(
            shop=shop,
            name=name,
            scopes=chosen,
            prefix=plaintext[:KEY_PREFIX],
            sha256=hash_key(plaintext),
            test=test,
            rate=rate,
            expires_at=expires_at,
        )
        return key, plaintext


def hash_key(plaintext: str) -> str:
    """SHA-256 of an API key, hexadecimal. The keys hold 256 random bits, so no salt or stretching is needed."""
    return hashlib.sha256(plaintext.encode()).hexdigest()


class ApiKey(models.Model):
    """A key of a shop's server; only its hash is kept."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=KEY_PREFIX, editable=False)
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list, validators=[validate_scopes])
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    test = models.BooleanField(
        default=False, help_text="What a test key sends is answered as ever, marked, and nothing learns from it."
    )
    rate = models.PositiveIntegerField(
        null=True, blank=True, help_text="Requests a second on the live endpoints; empty for the installation's own limit."
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="The key ends then by itself, as one that was rotated does."
    )
    replaced_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replaces", editable=False
    )

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ("shop", "name", "pk")
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def revoke(self) -> None:
        """Close the key from now on; a key once revoked keeps its first date."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self.save(update_fields=["revoked_at"])

    def note_use(self) -> None:
        """Tell when the key was used last, to the minute."""
        if self.last_used_at is None or timezone.now() - self.last_used_at >= USE_TOLD:
            ApiKey.objects.note_uses({self.pk: timezone.now()})

    @property
    def ended(self) -> bool:
        """Whether the key opens nothing any more."""
        return self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= timezone.now())

    def rotate(self, *, grace: timedelta = ROTATION_GRACE) -> tuple[ApiKey, str]:
        """A new key with all that this one may, and its plaintext; this one ends after `grace`, or earlier if it was to.

        Raises ValidationError if the key has ended, or was rotated already.
        """
        with transaction.atomic():
            row = ApiKey.objects.select_for_update().select_related("shop").get(pk=self.pk)
            if row.ended or row.replaced_by_id is not None:
                raise ValidationError(f"{row} {'has ended' if row.ended else 'was rotated already'}; issue a new key.")
            new, plaintext = ApiKey.objects.issue(
                shop=row.shop, name=row.name, scopes=row.scopes, test=row.test, rate=row.rate, expires_at=row.expires_at
            )
            end = timezone.now() + grace
            row.expires_at, row.replaced_by = min(end, row.expires_at or end), new
            row.save(update_fields=["expires_at", "replaced_by"])
        self.refresh_from_db()
        return new, plaintext
