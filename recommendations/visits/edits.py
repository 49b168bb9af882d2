"""Changes of a visit in its page's address: `out:3`, `as:5:view_item:SKU`, `in:5:search:red dress`; several, in their order.

The number is that of a step, 0 the start. What follows is the kind of event and its item, by the shop's own id or by its title,
or the words of a search; either may be left out where an event is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.db.models import Q

from clusters.models import Item
from personas.events import NEEDS_ITEMS, UNKNOWN_ITEM, Event
from personas.models import Shop
from recommendations.counterfactual import MOST_EDITS, Edit
from recommendations.visits.course import Course

OPS = {"out": "remove", "as": "replace", "in": "insert"}
"""The address's word for each of `counterfactual.OPS`."""

KINDS = {
    "view_item": "looks at an item",
    "add_to_cart": "adds to the bag",
    "add_to_wishlist": "adds to the wish list",
    "purchase": "buys",
    "search": "searches",
}
"""Events that the page offers, in words."""

NOUNS = {
    "view_item": "the look at {}",
    "select_item": "the click on {}",
    "view_item_list": "the list that was seen",
    "search": "the search for {}",
    "add_to_cart": "putting {} into the bag",
    "remove_from_cart": "taking {} out of the bag",
    "add_to_wishlist": "the wish for {}",
    "purchase": "the purchase of {}",
    "refund": "giving {} back",
    "user_engagement": "the stay at {}",
}
"""Events as things that may be taken away or put in."""


class EditsError(ValueError):
    """A change in the address that can't be made, in words. place : of the change, from 0."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(reason)
        self.place = place


class Change(NamedTuple):
    """text : as the address has it.  words : "without the look at “Silk blouse”"."""

    text: str
    step: int
    edit: Edit
    words: str


def texts(given: Sequence[str], op: str, step: str, kind: str, what: str) -> list[str]:
    """The address's changes with one more that a form names, where it names one."""
    kept = [text for text in given if text]
    if op in OPS:
        kept.append(f"{op}:{step.strip()}" if op == "out" else f"{op}:{step.strip()}:{kind.strip()}:{what.strip()}")
    return kept


def read(given: Sequence[str], course: Course) -> list[Change]:
    """The changes that an address asks for. Raises EditsError on one that can't be read."""
    if len(given) > MOST_EDITS:
        raise EditsError(MOST_EDITS, f"there are {len(given)} changes, and at most {MOST_EDITS} are made at once")
    parts = [_parts(place, text, course) for place, text in enumerate(given)]
    wanted = {what for _, _, kind, what in parts if what and kind != "search"}
    items = items_of(course.session.shop, wanted)
    touched = {event.item for _, step, _, _ in parts if (event := course.event(step)) and event.item != UNKNOWN_ITEM}
    titles = {pk: str(item) for pk, item in Item.objects.in_bulk(touched).items()} | {i.pk: str(i) for i in items.values()}
    changes = []
    for place, (text, (op, step, kind, what)) in enumerate(zip(given, parts, strict=True)):
        event = course.event(step)
        item, query = 0, ""
        name = kind or (event.name if event and op == "as" else "view_item")
        if what and name == "search":
            query = what
        elif what:
            if what not in items:
                raise EditsError(place, f"the catalogue has no item “{what}”: give its id as the shop writes it, or its title")
            item = items[what].pk
        edit = Edit(OPS[op], event.event_id if event else "", name=kind, item=item, query=query)
        changes.append(Change(text, step, edit, _words(op, step, event, name, item, query, titles)))
    return changes


def _parts(place: int, text: str, course: Course) -> tuple[str, int, str, str]:
    op, number, kind, what = (text.split(":", 3) + ["", "", ""])[:4]
    if op not in OPS:
        raise EditsError(place, f"“{text[:60]}” is none of out:STEP, as:STEP:EVENT:ITEM, in:STEP:EVENT:ITEM")
    least = 0 if op == "in" else 1
    if not (number.isascii() and number.isdecimal() and len(number) < 7 and least <= int(number) <= course.last):
        raise EditsError(place, f"“{number[:20]}” is no step of this visit: they are {least} to {course.last}")
    return op, int(number), kind.strip(), what.strip()


def items_of(shop: Shop, names: set[str]) -> dict[str, Item]:
    """Items by what somebody typed: the shop's own id, else a title, whatever its case."""
    if not names:
        return {}
    found = {item.external_id: item for item in Item.objects.filter(shop=shop, external_id__in=names)}
    rest = names - found.keys()
    if rest:
        alike = Q()
        for name in rest:
            alike |= Q(title__iexact=name)
        by_title = {item.title.casefold(): item for item in Item.objects.filter(alike, shop=shop).order_by("-pk")}
        found |= {name: by_title[name.casefold()] for name in rest if name.casefold() in by_title}
    return {name: found[name] for name in names if name in found}


def noun(name: str, about: str) -> str:
    """An event as a thing: "the look at “Silk blouse”"."""
    return NOUNS.get(name, name.replace("_", " ")).format(f"“{about}”" if about else "an item")


def _words(op: str, step: int, event: Event | None, name: str, item: int, query: str, titles: dict[int, str]) -> str:
    was = noun(event.name, titles.get(event.item, "") or event.query) if event else ""
    if op == "out":
        return f"without {was}, step {step}"
    kept = event.item if event and op == "as" and name in NEEDS_ITEMS else 0
    about = query or titles.get(item or kept, "") or (event.query if event and op == "as" and name == "search" else "")
    now = noun(name, about)
    if op == "as":
        return f"with {now} in the place of {was}, step {step}"
    return f"with {now} put in {f'after step {step}' if step else 'before the first step'}"
