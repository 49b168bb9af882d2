"""Versions of a shop's personas: what merchandisers publish, and what training reads.

The rows of `Attribute` and `Archetype` are the draft. Publishing freezes them into a `PersonaVersion`, which never
changes; restoring writes an earlier version's rows back as the draft and publishes that as a version of its own, so
that the list of versions tells what was in force when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Subquery

from personas.archetypes import Archetype, Attribute, PersonaError, parse_personas
from personas.models import Archetype as ArchetypeRow
from personas.models import Attribute as AttributeRow
from personas.models import PersonaVersion, Shop

Definition = dict[str, Any]
"""{"attributes": [...], "archetypes": [...]}, what `parse_personas` takes, with ids; archetypes in order of display."""

Personas = tuple[tuple[Attribute, ...], tuple[Archetype, ...]]

FIRST_NOTE = "Published by the first training."
MAX_NOTE = 300

_ICON = "user"
"""Drawn for a persona for which nobody chose an icon."""


class VersionError(ValueError):
    """A version that can't be published or restored, with the reason."""


def draft(shop: Shop) -> Definition:
    """The rows as they stand, valid or not."""
    return _drafts([shop])[shop.pk]


def _drafts(shops: Sequence[Shop]) -> dict[int, Definition]:
    drafts: dict[int, Definition] = {shop.pk: {"attributes": [], "archetypes": []} for shop in shops}
    for a in AttributeRow.objects.filter(shop__in=shops).order_by("pk"):
        drafts[a.shop_id]["attributes"].append(
            {
                "id": a.pk,
                "key": a.key,
                "name": a.name,
                "description": a.description,
                "weights": a.weights,
                "behaviours": a.behaviours,
            }
        )
    for p in ArchetypeRow.objects.filter(shop__in=shops).order_by("place", "pk"):
        drafts[p.shop_id]["archetypes"].append(
            {"id": p.pk, "key": p.key, "name": p.name, "icon": p.icon or _ICON, "colour": p.colour, "mix": p.mix}
        )
    return drafts


def latest(shop: Shop) -> PersonaVersion | None:
    """The version that was published last, None before the first."""
    return PersonaVersion.objects.filter(shop=shop).order_by("-number").first()


def in_force(shop: Shop) -> PersonaVersion | None:
    """The latest version. Of a shop that has none the draft is published as version 1.

    None for a shop without any archetype: training then makes some from its categories.
    Raises PersonaError if the draft of a first version can't be taken.
    """
    version = latest(shop)
    if version is None and ArchetypeRow.objects.filter(shop=shop).exists():
        try:
            version = publish(shop, note=FIRST_NOTE)
        except VersionError:
            version = latest(shop)  # a merchandiser published the draft between the two
    return version


def current(shop: Shop) -> Personas:
    """What training reads: the version in force (`in_force`)."""
    return read(in_force(shop))


def read(version: PersonaVersion | None) -> Personas:
    """Attributes and archetypes of a version; none of None."""
    return ((), ()) if version is None else parse_personas(version.definition)


def ever(shop: Shop) -> dict[int, Archetype]:
    """Archetypes by id, as they were published last: those in force in their order, then those that are gone but were once
    published, by which old sessions and slates are told; then those that are only drafted."""
    found: dict[int, Archetype] = {}
    published = PersonaVersion.objects.filter(shop=shop).order_by("-number").values_list("definition", flat=True)
    for definition in (*published.iterator(), draft(shop)):
        for entry in definition["archetypes"]:
            found.setdefault(entry["id"], Archetype(**entry))
    return found


def names(shops: Sequence[Shop]) -> dict[int, str]:
    """Archetype id -> its name as `ever` has it, of many shops in as many queries as of one."""
    found = {entry["id"]: entry["name"] for drafted in _drafts(shops).values() for entry in drafted["archetypes"]}
    for (definition,) in PersonaVersion.objects.filter(shop__in=shops).order_by("number").values_list("definition"):
        found.update((entry["id"], entry["name"]) for entry in definition["archetypes"])
    return found


def shown(shop: Shop) -> tuple[Archetype, ...]:
    """Archetypes as pages name them to shoppers: those in force; of a shop that has published nothing, those drafted."""
    version = latest(shop)
    return read(version)[1] if version else tuple(ever(shop).values())


def unpublished(shop: Shop) -> list[str]:
    """What the draft changes against the version in force, in sentences; nothing before the first version."""
    version = latest(shop)
    return difference(version.definition, draft(shop)) if version else []


def pending(shops: Sequence[Shop]) -> list[tuple[Shop, list[str]]]:
    """The shops whose draft isn't what is in force, each with its `unpublished`; a shop that has archetypes and no version
    yet comes with no sentence. As many queries for many shops as for one."""
    drafts = _drafts(shops)
    last = PersonaVersion.objects.filter(shop=OuterRef("shop")).order_by("-number").values("pk")[:1]
    published = {version.shop_id: version for version in PersonaVersion.objects.filter(shop__in=shops, pk=Subquery(last))}
    told = []
    for shop in shops:
        version, drafted = published.get(shop.pk), drafts[shop.pk]
        changes = difference(version.definition, drafted) if version else []
        if changes or (version is None and drafted["archetypes"]):
            told.append((shop, changes))
    return told


def publish(shop: Shop, *, note: str = "", user: Any = None) -> PersonaVersion:
    """The draft as the shop's next version.

    Raises PersonaError, naming the field, where the draft can't be taken; VersionError if it changes nothing.
    """
    return _append(shop, note=note, user=user, restores=None)


def restore(shop: Shop, number: int, *, user: Any = None) -> PersonaVersion:
    """An earlier version's rows as the draft again, published as a new version. What the draft held beside is gone.

    Rows are matched by key and keep their ids; one that was deleted since gets the id it had, so that what was learned of
    it is still its own. Raises VersionError if there is no such version, or it is what is in force and drafted already;
    PersonaError if today's rules don't take it any more.
    """
    version = PersonaVersion.objects.filter(shop=shop, number=number).first()
    if version is None:
        raise VersionError(f"{shop} has no version {number} of its personas")
    with transaction.atomic():
        _write_draft(shop, version)
        return _append(shop, note=f"Restores version {number}.", user=user, restores=number)


def discard(shop: Shop) -> None:
    """The draft as the version in force has it: what was edited since is gone. Raises VersionError before the first version."""
    version = latest(shop)
    if version is None:
        raise VersionError(f"no version of {shop}'s personas is published yet: there is nothing to go back to")
    with transaction.atomic():
        _write_draft(shop, version)


def redraft(shop: Shop, definition: Definition) -> None:
    """The draft as a definition has it, such as one that was discarded. Raises PersonaError where it can't be taken."""
    with transaction.atomic():
        _write_draft(shop, PersonaVersion(shop=shop, definition=definition))


def _append(shop: Shop, *, note: str, user: Any, restores: int | None) -> PersonaVersion:
    note = note.strip()
    if len(note) > MAX_NOTE:
        raise VersionError(f"the note has {len(note)} characters, more than {MAX_NOTE}")
    with transaction.atomic():
        Shop.objects.select_for_update().get(pk=shop.pk)
        attributes, archetypes = parse_personas(draft(shop))
        definition = {"attributes": [asdict(a) for a in attributes], "archetypes": [asdict(a) for a in archetypes]}
        last = latest(shop)
        if last is not None and not difference(last.definition, definition):
            raise VersionError(f"nothing to publish: the draft is the same as version {last.number}")
        return PersonaVersion.objects.create(
            shop=shop,
            number=last.number + 1 if last else 1,
            definition=definition,
            note=note,
            restores=restores,
            published_by=user if getattr(user, "pk", None) else None,
        )


def _write_draft(shop: Shop, version: PersonaVersion) -> None:
    """Make the shop's rows those of a version, under the shop's lock."""
    attributes, archetypes = parse_personas(version.definition)
    Shop.objects.select_for_update().get(pk=shop.pk)
    _write_rows(
        AttributeRow,
        shop,
        [
            (a.id, a.key, {"name": a.name, "description": a.description, "weights": a.weights, "behaviours": a.behaviours})
            for a in attributes
        ],
    )
    _write_rows(
        ArchetypeRow,
        shop,
        [
            (a.id, a.key, {"name": a.name, "icon": a.icon, "colour": a.colour, "mix": a.mix, "place": place})
            for place, a in enumerate(archetypes)
        ],
    )


def _write_rows(model: Any, shop: Shop, entries: Sequence[tuple[int, str, dict[str, Any]]]) -> None:
    """entries : (id, key, other fields), the rows that are to be the shop's only ones of the model."""
    model.objects.filter(shop=shop).exclude(key__in=[key for _, key, _ in entries]).delete()
    ids = dict(model.objects.filter(shop=shop).values_list("key", "pk"))
    taken = set(model.objects.filter(pk__in=[pk for pk, _, _ in entries]).values_list("pk", flat=True))
    for pk, key, fields in entries:
        model(pk=ids.get(key) or (None if pk in taken else pk), shop=shop, key=key, **fields).save()


# What changed, in words


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What `new` changes against `old`, a sentence each; empty if and only if they say the same.

    old, new : definitions; entries are matched by key.
    """
    told = []
    for kind, what, weighed in (("archetypes", "persona", ("mix",)), ("attributes", "attribute", ("weights", "behaviours"))):
        before = {entry["key"]: entry for entry in old[kind]}
        after = {entry["key"]: entry for entry in new[kind]}
        told += [f"{after[key]['name']}: added as {what}." for key in after if key not in before]
        told += [f"{before[key]['name']}: {what} removed." for key in before if key not in after]
        for key in after:
            if key in before:
                told += _changes(before[key], after[key], what, weighed)
        kept = [key for key in before if key in after]
        if kept != [key for key in after if key in before]:
            told.append(f"Order of {what}s: {', '.join(entry['name'] for entry in after.values())}.")
    return told


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], what: str, weighed: Sequence[str]) -> list[str]:
    name = after["name"]
    told = []
    if before["id"] != after["id"]:
        told.append(f"{name}: made anew; what was learned of the {what} of that key before is not its own.")
    if before["name"] != name:
        told.append(f"{before['name']}: renamed to {name}.")
    for field, word in (("icon", "icon"), ("colour", "colour"), ("description", "description")):
        if before.get(field, "") != after.get(field, ""):
            one, two = before.get(field) or "none", after.get(field) or "none"
            told.append(f"{name}: {word} changed." if field == "description" else f"{name}: {word} {one} → {two}.")
    for field in weighed:
        one, two = before[field], after[field]
        for key in [*one, *(k for k in two if k not in one)]:
            if one.get(key) != two.get(key):
                told.append(f"{name}: {key} {_weight(one.get(key))} → {_weight(two.get(key))}.")
    return told


def _weight(value: object) -> str:
    if value is None:
        return "not weighed"
    return f"{value:g}".replace("-", "−") if isinstance(value, int | float) else str(value)


def problem(definition: Mapping[str, Any]) -> PersonaError | None:
    """Why a definition can't be published, None if it can."""
    try:
        parse_personas(definition)
    except PersonaError as error:
        return error
    return None
