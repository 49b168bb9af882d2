"""The weights of one persona as sliders: its mix, and what its attributes weigh; tried as they stand, saved to the draft."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from personas import versions
from personas.archetypes import STRENGTH
from personas.forms import WeightsField, WeightsWidget, behaviours
from personas.models import Archetype, Attribute, Shop
from recommendations.desk.personas.drafts import fingerprint

Weighed = Archetype | Attribute


@dataclass(frozen=True)
class Part:
    """One list of weights on the page. field : its name in the form.  of : the row's own field.  shared : names of the other
    personas that have the attribute, whom a change of it changes too."""

    field: str
    row: Weighed
    of: str
    title: str
    help: str
    shared: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, float]:
        weights: dict[str, float] = getattr(self.row, self.of)
        return weights

    @property
    def seen(self) -> str:
        return fingerprint(self.values)


class OvertakenError(Exception):
    """What was to be saved was changed by somebody else meanwhile. told : a sentence for each list."""

    def __init__(self, told: Sequence[str]) -> None:
        super().__init__(" ".join(told))
        self.told = tuple(told)


def parts_of(archetype: Archetype) -> list[Part]:
    """The lists of a persona: its mix, then what the attributes of it weigh, most of the mix first."""
    found = [Part("mix", archetype, "mix", "Mix of attributes", "How much of each; the shares need not sum to 1.")]
    attributes = {a.key: a for a in Attribute.objects.filter(shop=archetype.shop_id)}
    others = Archetype.objects.filter(shop=archetype.shop_id).exclude(pk=archetype.pk).order_by("place", "pk")
    having: dict[str, list[str]] = {}
    for other in others:
        for key in other.mix:
            having.setdefault(key, []).append(other.name)
    for key in sorted(archetype.mix, key=lambda k: -_number(archetype.mix[k])):
        if (row := attributes.get(key)) is not None:
            shared = tuple(having.get(key, ()))
            found.append(Part(f"weights-{row.pk}", row, "weights", row.name, "What is looked for.", shared))
            found.append(Part(f"behaviours-{row.pk}", row, "behaviours", row.name, "How it is looked for.", shared))
    return found


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def form_of(parts: Sequence[Part], shop: Shop, suggest: str, data: Any = None) -> forms.Form:
    """The lists as one form. suggest : address that names descriptors."""
    keys = tuple(Attribute.objects.filter(shop=shop).order_by("pk").values_list("key", flat=True))
    form = forms.Form(data, initial={part.field: part.values for part in parts})
    for part in parts:
        if part.of == "mix":
            widget = WeightsWidget(what="Attribute", low=0.0, vocabulary=keys)
        elif part.of == "weights":
            widget = WeightsWidget(what="Descriptor", times=math.exp(STRENGTH))
            widget.suggest, widget.shop = suggest, shop.pk
        else:
            widget = WeightsWidget(what="Behaviour", vocabulary=behaviours(), times=math.exp(STRENGTH))
        form.fields[part.field] = WeightsField(required=False, label=part.title, widget=widget)
    return form


def definition_of(shop: Shop, parts: Sequence[Part], values: Mapping[str, dict[str, float]]) -> versions.Definition:
    """The shop's draft with these lists in place of its own. values : by field."""
    definition = versions.draft(shop)
    rows = {("mix", e["id"]): e for e in definition["archetypes"]}
    rows |= {(of, e["id"]): e for e in definition["attributes"] for of in ("weights", "behaviours")}
    for part in parts:
        rows[part.of, part.row.pk][part.of] = values[part.field]
    return definition


def save(
    archetype: Archetype, values: Mapping[str, dict[str, float]], seen: Mapping[str, str]
) -> list[tuple[Weighed, list[str]]]:
    """Write the lists that were changed to the draft; the rows changed, each with what changed, in sentences.

    values : by field.  seen : by field, `Part.seen` of the page that they come from; lists that it left alone keep what others
    set meanwhile. Raises OvertakenError where somebody else changed the same list, ValidationError where the draft's rules
    don't take it; nothing is saved then.
    """
    with transaction.atomic():
        Shop.objects.select_for_update().get(pk=archetype.shop_id)
        current = Archetype.objects.get(pk=archetype.pk)
        parts = parts_of(current)
        known = {part.field for part in parts}
        if gone := [field for field in seen if field not in known]:
            raise OvertakenError([f"The mix no longer has an attribute of this page ({len(gone) // 2 or 1} of them)."])
        overtook: list[str] = []
        changed: dict[int, tuple[Weighed, list[str]]] = {}
        for part in parts:
            if part.field not in values or part.field not in seen:
                continue
            mine = values[part.field]
            if fingerprint(mine) == seen[part.field] or mine == part.values:
                continue
            if part.seen != seen[part.field]:
                overtook.append(f"{part.title} was changed meanwhile{_by_whom(part.row)}: now {_told(part.values)}.")
                continue
            row, told = changed.setdefault(id(part.row), (part.row, []))
            told += _changes(part.title, part.values, mine)
            setattr(row, part.of, dict(mine))
        if overtook:
            raise OvertakenError(overtook)
        for row, _ in changed.values():
            try:
                row.clean()
            except ValidationError as error:
                raise ValidationError(f"{row}: {' '.join(error.messages)}") from error
            row.save()
        return list(changed.values())


def _by_whom(row: Weighed) -> str:
    kind = ContentType.objects.get_for_model(row)
    entry = (
        LogEntry.objects.filter(content_type=kind, object_id=str(row.pk)).select_related("user").order_by("-action_time").first()
    )
    return f" by {entry.user.get_username()}, {timezone.localtime(entry.action_time):%-d %b %H:%M}" if entry else ""


def _told(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in list(weights.items())[:6]).replace("-", "−") or "empty"


def _changes(title: str, before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    names = [*before, *(name for name in after if name not in before)]
    told = [(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]
    return [f"{title}: {name} {_weight(a)} → {_weight(b)}." for name, a, b in told]


def _weight(value: float | None) -> str:
    return "not weighed" if value is None else f"{value:g}".replace("-", "−")
