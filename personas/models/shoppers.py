"""Shoppers whom a shop knows by an id of its own, and the proof that one was erased."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from django.db import models
from django.utils import timezone

from personas.events import MAX_ID
from personas.models.shops import Shop

T = TypeVar("T")


def in_chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """Lists of at most 500: SQLite takes no more than 999 parameters in a statement."""
    rest = iter(values)
    while chunk := list(islice(rest, 500)):
        yield chunk


class ShopperQuerySet(models.QuerySet["Shopper"]):
    def ids_of(self, shop: Shop, external_ids: Iterable[str]) -> dict[str, int]:
        """External id -> pk, for those that exist."""
        found: dict[str, int] = {}
        for chunk in in_chunks(external_ids):
            found.update(self.filter(shop=shop, external_id__in=chunk).values_list("external_id", "pk"))
        return found


class Shopper(models.Model):
    """A person known to the shop. Demographics may be read only where consent is recorded."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="shoppers")
    external_id = models.CharField(max_length=MAX_ID)
    consent_demographics = models.BooleanField(default=False)
    consent_at = models.DateTimeField(null=True, blank=True)
    demographics = models.JSONField(default=dict, blank=True)

    objects = ShopperQuerySet.as_manager()

    class Meta:
        ordering = ("shop", "pk")
        constraints = [
            models.UniqueConstraint(fields=["shop", "external_id"], name="shopper_external_id_once"),
            models.CheckConstraint(
                condition=models.Q(consent_demographics=True) | models.Q(demographics={}),
                name="shopper_demographics_need_consent",
                violation_error_message="Demographics may be kept only with the shopper's consent.",
            ),
        ]

    def __str__(self) -> str:
        return self.external_id


class ShopperAlias(models.Model):
    """Another id of a shopper: that of the guest who logged in. What still comes in under it counts for the shopper."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="+", db_index=False)
    external_id = models.CharField(max_length=MAX_ID)
    shopper = models.ForeignKey(Shopper, on_delete=models.CASCADE, related_name="aliases")
    merged_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("pk",)
        constraints = [models.UniqueConstraint(fields=["shop", "external_id"], name="shopper_alias_once")]

    def __str__(self) -> str:
        return self.external_id


class Erasure(models.Model):
    """That a shopper was erased, and how much of what: the proof that it was done, without naming whom.

    counts : {"sessions": 3, "events": 41, ...} by store.
    """

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="erasures")
    at = models.DateTimeField(default=timezone.now, editable=False)
    by = models.CharField(max_length=150, blank=True, help_text="Who asked: a user or an API key's name.")
    counts = models.JSONField(default=dict)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.shop}, {self.at:%Y-%m-%d %H:%M}"
