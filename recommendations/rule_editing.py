"""The merchandiser's hand on rules: every verb checks what is given, writes the row, and asks for it to act.

Rules act within seconds, on every process, through the live overlay. A rule is never deleted: logs name it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.utils import timezone

from clusters.catalogue import PRICE_TIERS
from clusters.cluster_drafts import EditConflict, EditError, check_name, listed
from clusters.models import Item, ItemCluster
from personas.models import Archetype, Shop, in_chunks
from recommendations.models import MerchandisingRule
from recommendations.session import CONTEXTS

MOST_RULES = 500
"""Rules that a shop may have at a time."""

MOST_ITEMS = 1_000
"""Items that a rule may name one by one."""

MOST_NAMES = 200
"""Categories, brands, attributes, clusters or personas that a rule may name."""

MOST_SLOTS = 50
LEAST_STRENGTH, MOST_STRENGTH = 1.1, 1_000.0
LEAST_MARGIN = -10.0
MOST_PRICE = 1e10

NUMBERS = {"pin": "slot", "boost": "strength", "bury": "strength", "balance": "share", "margin": "margin"}
"""The number that an action needs, by action."""

FIELDS = (
    "name", "action", "target", "personas", "contexts", "clusters", "starts_at", "ends_at", "slot", "strength", "share", "margin",
    "holdout", "enabled",
)  # fmt: skip
"""What is set of a rule."""

MOST_HELD = 0.5
"""Share of visits that may go without a rule: with half of them each way, what it brings is known soonest."""

MOST_TRIALS = 5
"""Rules that some visits go without, at a time: for each, a slate on which it could act is made once more."""

KINDS = ("category", "brand", "colour", "tag", "price_tier", "discount", "term")
"""Kinds of attributes that a target may name, as "colour=blue"."""

NEEDS_TARGET = frozenset({"pin", "boost", "bury", "exclude"})


def create(*, shop: Shop, user: Any = None, **fields: Any) -> MerchandisingRule:
    """A new rule. fields : of `FIELDS`; `target` as `ranking.rules.Target` has it, with ids of items.

    user : who made it, None for an API key. Raises EditError, which names the field.
    """
    if unknown := [name for name in fields if name not in FIELDS]:
        raise EditError(unknown[0], f"is not known; a rule has {', '.join(FIELDS)}")
    with editing(shop):
        if MerchandisingRule.objects.standing().filter(shop=shop).count() >= MOST_RULES:
            raise EditConflict("rule", f"would be one more than the {MOST_RULES} that a shop may have: take some out first")
        values = check(shop, fields)
        _room_for_trial(shop, values)
        row = MerchandisingRule(shop=shop, created_by=user, **values)
        row.save()
        _publish(shop)
    return row


def change(*, rule: MerchandisingRule, **fields: Any) -> list[str]:
    """Set fields of a rule; what isn't named stays. Returns the names of those that changed. Raises EditError."""
    if unknown := [name for name in fields if name not in FIELDS]:
        raise EditError(unknown[0], f"is not known; a rule has {', '.join(FIELDS)}")
    with editing(rule.shop):
        _reread(rule, standing=True)
        before = {name: getattr(rule, name) for name in FIELDS}
        given = {**before, **fields}
        if given["action"] != before["action"]:  # the number of the old action is not the new one's
            given |= {name: None for name in NUMBERS.values() if name not in fields}
        values = check(rule.shop, given)
        if not rule.holdout:
            _room_for_trial(rule.shop, values)
        changed = [name for name in FIELDS if values[name] != before[name]]
        if changed:
            for name in changed:
                setattr(rule, name, values[name])
            rule.save(update_fields=[*changed, "updated_at"])
            _publish(rule.shop)
    return changed


def switch(*, rule: MerchandisingRule, on: bool) -> bool:
    """Switch a rule on or off; False where it was so already. Raises EditError."""
    with editing(rule.shop):
        _reread(rule, standing=True)
        if rule.enabled == on:
            return False
        rule.enabled = on
        rule.save(update_fields=["enabled", "updated_at"])
        _publish(rule.shop)
    return True


def retire(*, rule: MerchandisingRule) -> bool:
    """Take a rule out; False where it was. `restore` brings it back as it was."""
    with editing(rule.shop):
        _reread(rule)
        if rule.retired_at is not None:
            return False
        rule.retired_at = timezone.now()
        rule.save(update_fields=["retired_at", "updated_at"])
        _publish(rule.shop)
    return True


def restore(*, rule: MerchandisingRule) -> bool:
    """Bring a rule back that was taken out; False where it wasn't. Raises EditError where it can't be any more."""
    with editing(rule.shop):
        _reread(rule)
        if rule.retired_at is None:
            return False
        if MerchandisingRule.objects.standing().filter(shop=rule.shop).count() >= MOST_RULES:
            raise EditConflict("rule", f"would be one more than the {MOST_RULES} that a shop may have: take some out first")
        _room_for_trial(rule.shop, {"holdout": rule.holdout})
        rule.retired_at = None
        rule.save(update_fields=["retired_at", "updated_at"])
        _publish(rule.shop)
    return True


def check(shop: Shop, fields: Mapping[str, Any]) -> dict[str, Any]:
    """All of `FIELDS` as the row keeps them. Raises EditError, which names the field and the reason."""
    action = fields.get("action")
    if action not in MerchandisingRule.Action.values:
        raise EditError("action", f"must be one of {', '.join(MerchandisingRule.Action.values)}")
    target = check_target(shop, fields.get("target") or {})
    if action in NEEDS_TARGET and not target:
        raise EditError("target", f"is missing: say which items to {_VERB[action]}")
    contexts = _texts(fields.get("contexts"), "contexts")
    if strange := [name for name in contexts if name not in CONTEXTS]:
        raise EditError("contexts", f"names {listed(strange)}; there are {', '.join(CONTEXTS)}")
    starts, ends = (_moment(fields.get(name), name) for name in ("starts_at", "ends_at"))
    if starts is not None and ends is not None and starts >= ends:
        raise EditError("ends_at", "must be after the start")
    enabled = fields.get("enabled", True)
    if not isinstance(enabled, bool):
        raise EditError("enabled", "must be true or false")
    return {
        "name": check_name(fields.get("name")),
        "action": action,
        "target": target,
        "personas": _ids(fields.get("personas"), "personas", Archetype.objects.filter(shop=shop), f"persona of {shop.name}"),
        "contexts": contexts,
        "clusters": _ids(fields.get("clusters"), "clusters", _clusters(shop), f"live cluster of {shop.name}"),
        "starts_at": starts,
        "ends_at": ends,
        "holdout": _number(fields.get("holdout"), "holdout", 0.0, MOST_HELD) or 0.0,
        "enabled": enabled,
        **_numbers(action, fields),
    }


def _room_for_trial(shop: Shop, values: Mapping[str, Any]) -> None:
    """Raises EditConflict where as many rules of the shop as may be are tried already."""
    if not values["holdout"]:
        return
    tried = list(MerchandisingRule.objects.standing().filter(shop=shop, holdout__gt=0).values_list("name", flat=True))
    if len(tried) >= MOST_TRIALS:
        raise EditConflict(
            "holdout", f"can be had by {MOST_TRIALS} rules at a time, and {listed(tried)} have it: end one of these"
        )


def check_target(shop: Shop, given: object) -> dict[str, Any]:
    """A target as the row keeps it: conditions that are given. Raises EditError."""
    if not isinstance(given, Mapping):
        raise EditError("target", "must be an object of conditions")
    if unknown := [str(name) for name in given if name not in _CONDITIONS]:
        raise EditError(f"target.{unknown[0][:40]}", f"is not known; a target has {', '.join(_CONDITIONS)}")
    target: dict[str, Any] = {
        "items": _ids(given.get("items"), "target.items", Item.objects.filter(shop=shop), f"item of {shop.name}", MOST_ITEMS),
        "categories": _of_items(shop, given, "categories", "category"),
        "brands": _of_items(shop, given, "brands", "brand"),
        "attributes": _attributes(shop, _texts(given.get("attributes"), "target.attributes")),
        "clusters": _ids(given.get("clusters"), "target.clusters", _clusters(shop), f"live cluster of {shop.name}"),
    }
    least, most = (_number(given.get(n), f"target.{n}", 0.0, MOST_PRICE) for n in ("price_min", "price_max"))
    if least is not None and most is not None and least > most:
        raise EditError("target.price_max", f"is below the lowest price, {least:g}")
    target |= {"price_min": least, "price_max": most}
    return {name: value for name, value in target.items() if value not in ([], None)}


_CONDITIONS = ("items", "categories", "brands", "attributes", "clusters", "price_min", "price_max")
_VERB = {"pin": "pin", "boost": "boost", "bury": "bury", "exclude": "leave out"}


def _clusters(shop: Shop) -> Any:
    return ItemCluster.objects.live().filter(shop=shop).exclude(name="")


def _numbers(action: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """slot, strength, share and margin: the action's own, and None for the others."""
    numbers = {
        "slot": _number(fields.get("slot"), "slot", 1, MOST_SLOTS, whole=True),
        "strength": _number(fields.get("strength"), "strength", LEAST_STRENGTH, MOST_STRENGTH),
        "share": _number(fields.get("share"), "share", 0.0, 1.0),
        "margin": _number(fields.get("margin"), "margin", LEAST_MARGIN, 1.0),
    }
    if numbers["share"] == 0.0:
        raise EditError("share", "must be above 0: a rule that leaves out does that")
    if numbers["margin"] == 1.0:
        raise EditError("margin", "must be below 1: nothing earns its whole price")
    own = NUMBERS.get(action, "")
    for name, value in numbers.items():
        if name == own and value is None:
            raise EditError(name, "is missing")
        if name != own and value is not None:
            raise EditError(name, f"is not for “{MerchandisingRule.Action(action).label}”")
    return numbers


def _number(value: object, field: str, least: float, most: float, *, whole: bool = False) -> Any:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise EditError(field, "must be a number")
    if not least <= value <= most:
        raise EditError(field, f"must be {least:g} to {most:,g}")
    if whole and value != int(value):
        raise EditError(field, "must be a whole number")
    return int(value) if whole else float(value)


def _moment(value: object, field: str) -> dt.datetime | None:
    if value is not None and (not isinstance(value, dt.datetime) or value.tzinfo is None):
        raise EditError(field, "must be a date and time with its zone")
    return value


def _list(value: object, field: str, most: int) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise EditError(field, "must be a list")
    values = list(value)
    if len(values) > most:
        raise EditError(field, f"has {len(values):,} entries, more than {most:,}")
    return values


def _texts(value: object, field: str) -> list[str]:
    values = _list(value, field, MOST_NAMES)
    if not all(isinstance(each, str) and each.strip() for each in values):
        raise EditError(field, "must be a list of names")
    return list(dict.fromkeys(each.strip() for each in values))


def _ids(value: object, field: str, rows: Any, what: str, most: int = MOST_NAMES) -> list[int]:
    values = _list(value, field, most)
    if not all(isinstance(each, int) and not isinstance(each, bool) and 0 < each < 2**63 for each in values):
        raise EditError(field, "must be a list of ids")
    there = {pk for chunk in in_chunks(set(values)) for pk in rows.filter(pk__in=chunk).values_list("pk", flat=True)}
    if missing := [each for each in values if each not in there]:
        raise EditError(field, f"names {listed(missing)}, which is no {what}")
    return list(dict.fromkeys(values))


def _of_items(shop: Shop, given: Mapping[str, Any], name: str, column: str) -> list[str]:
    values = _texts(given.get(name), f"target.{name}")
    there = {
        value
        for chunk in in_chunks(values)
        for value in Item.objects.filter(shop=shop, **{f"{column}__in": chunk})
        .order_by()
        .values_list(column, flat=True)
        .distinct()
    }
    if missing := [value for value in values if value not in there]:
        raise EditError(f"target.{name}", f"names {listed(missing)}; no item of {shop.name} has that {column}")
    return values


def _attributes(shop: Shop, values: Sequence[str]) -> list[str]:
    """As they are, if each is a descriptor that an item has."""
    if not values:
        return []
    for value in values:
        kind, equals, rest = value.partition("=")
        if not equals or not rest or kind not in KINDS:
            raise EditError("target.attributes", f"has {value[:80]!r}; write it like colour=blue, with {', '.join(KINDS)}")
        if kind == "price_tier" and rest not in PRICE_TIERS:
            raise EditError("target.attributes", f"has {value[:80]!r}; price tiers are {', '.join(PRICE_TIERS)}")
    from recommendations import vocabulary  # the numeric stack, which most pages of the admin do without
    from recommendations.reading import read_catalogue

    missing = [value for value in values if value not in vocabulary.descriptors(shop)]
    if missing:  # perhaps items that are newer than the release have it
        rows = set(read_catalogue(shop).descriptors)
        missing = [value for value in missing if value not in rows]
    if missing:
        raise EditError("target.attributes", f"names {listed(missing)}; no item of {shop.name} has that")
    return list(values)


@contextmanager
def editing(shop: Shop) -> Iterator[None]:
    """A transaction in which nobody else edits the shop's rules."""
    with transaction.atomic():
        Shop.objects.select_for_update().get(pk=shop.pk)
        yield


def _reread(rule: MerchandisingRule, *, standing: bool = False) -> None:
    """The rule as it is now. Raises EditConflict."""
    rule.refresh_from_db(fields=[*FIELDS, "retired_at"])
    if standing and rule.retired_at is not None:
        raise EditConflict("rule", f"“{rule.name}” was taken out: restore it first")


def _publish(shop: Shop) -> None:
    from recommendations.overlays import request_overlay  # the numeric stack, which most pages of the admin do without

    request_overlay(shop)
