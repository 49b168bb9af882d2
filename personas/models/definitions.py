"""Attributes and archetypes, which merchandisers edit, and the versions of them that were published."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from personas.archetypes import PersonaError, parse_personas
from personas.models.shops import Shop

_COLOUR = RegexValidator(r"^#[0-9a-fA-F]{6}\Z", "Write a colour as #rrggbb.")


class Attribute(models.Model):
    """A trait ("Budget-conscious"): a weighting over item descriptors and behaviours."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="attributes")
    key = models.SlugField(max_length=60)
    name = models.CharField(max_length=80)
    description = models.TextField(blank=True)
    weights = models.JSONField(default=dict, blank=True, help_text='Item descriptors: {"price_tier=low": 1.0}')
    behaviours = models.JSONField(default=dict, blank=True, help_text='Factors of an event: {"event=search": 0.5}')

    class Meta:
        ordering = ("shop", "pk")
        constraints = [models.UniqueConstraint(fields=["shop", "key"], name="attribute_key_once")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """The same checks as for a personas file. Raises ValidationError."""
        check_personas([self], [{**_BARE, "mix": {self.key: 1.0}}], "attributes")


class Archetype(models.Model):
    """A persona, hidden state of the HMM: a named mix of attributes."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="archetypes")
    key = models.SlugField(max_length=60)
    name = models.CharField(max_length=80)
    icon = models.CharField(max_length=30, blank=True)
    colour = models.CharField(max_length=7, default="#0072B2", validators=[_COLOUR])
    mix = models.JSONField(default=dict, blank=True, help_text='Attributes by key: {"budget": 1.0}')
    place = models.PositiveSmallIntegerField(default=0, help_text="Order of display.")

    class Meta:
        ordering = ("shop", "place", "pk")
        constraints = [models.UniqueConstraint(fields=["shop", "key"], name="archetype_key_once")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """The same checks as for a personas file, against the shop's attributes. Raises ValidationError."""
        names = ("key", "name", "icon", "colour", "mix")
        check_personas(Attribute.objects.filter(shop=self.shop_id), [{name: getattr(self, name) for name in names}], "archetypes")


_WEIGHED = ("weights", "behaviours", "mix")
_BARE = {"key": "any", "name": "Any", "icon": "tag", "colour": "#000000"}


def check_personas(attributes: Iterable[Attribute], archetypes: list[dict[str, Any]], own: str) -> None:
    """Raises ValidationError where `parse_personas` would not take them; by field where it is a weight of what is checked.

    own : "attributes" or "archetypes", of which there is one then.
    """
    names = ("key", "name", "description", "weights", "behaviours")
    try:
        parse_personas({"attributes": [{n: getattr(a, n) for n in names} for a in attributes], "archetypes": archetypes})
    except PersonaError as error:
        field = error.field.rpartition(".")[2]
        own_weights = field in _WEIGHED and error.field.startswith(own)
        raise ValidationError({field: error.reason} if own_weights else str(error)) from error


class PersonaVersion(models.Model):
    """The shop's attributes and archetypes as they were published: what training reads. Never changed.

    The rows of `Attribute` and `Archetype` are the draft that merchandisers edit.

    definition : {"attributes": [...], "archetypes": [...]}, what `parse_personas` takes, with ids.
    restores : number of the earlier version that this one brought back, None for an edit.
    """

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="persona_versions", db_index=False)
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    note = models.CharField(max_length=300, blank=True)
    restores = models.PositiveIntegerField(null=True, blank=True)
    published_at = models.DateTimeField(default=timezone.now, editable=False)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ("-pk",)
        constraints = [models.UniqueConstraint(fields=["shop", "number"], name="persona_version_once")]

    def __str__(self) -> str:
        return f"{self.shop} personas, version {self.number}"
