"""What a cluster of searches is called, and how its attributes and markets are said: plain words for merchandisers."""

from __future__ import annotations

from collections.abc import Sequence

MAX_LABEL = 25
"""Characters of a query term in a title: three of them, a market and a number stay under a name's 120."""

MOST_TERMS = 3
"""Query terms in a title. Three say what it is about; more are a list."""

_DEVICES = {"mobile": "on phones", "tablet": "on tablets", "desktop": "on computers"}
_TIERS = {"low": "low prices", "middle": "middle prices", "upper": "upper prices", "top": "top prices"}


def title_of(labels: Sequence[str], market: str, taken: set[str]) -> str:
    """ "Tent, sleeping bag and lantern", with "on phones" for a market's variant; distinct from `taken`, which grows by it.

    labels : the cluster's query terms, the most telling first, at least one. Further ones stand in where the title is taken,
    then numbers; upper and lower case are the same title.
    """
    said = [_label(label) for label in labels]
    tail = f", {_clip(say_market(market))}" if market else ""
    candidates = [_listed(said[:MOST_TERMS])]
    candidates += [_listed([*said[: MOST_TERMS - 1], other]) for other in said[MOST_TERMS:]]
    number = 2
    while True:
        for head in candidates:
            title = f"{head}{tail}"
            if title.casefold() not in taken:
                taken.add(title.casefold())
                return title
        candidates = [f"{_listed(said[:MOST_TERMS])} ({number})"]
        number += 1


def say_market(market: str) -> str:
    """ "device=mobile" as "on phones", "country=Germany" as "in Germany", "language=Polish" as "in Polish"."""
    variable, _, value = market.partition("=")
    if variable == "device":
        return _DEVICES.get(value, f"on {value}")
    return f"in {value}"


def say_attribute(descriptor: str) -> str:
    """ "price_tier=low" as "low prices", "brand=Alpino" as "brand Alpino", "category=outdoors" as "category outdoors"."""
    kind, _, value = descriptor.partition("=")
    if kind == "price_tier":
        return _TIERS.get(value, value)
    return "reduced prices" if kind == "discount" else f"{kind} {value}"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _listed(labels: Sequence[str]) -> str:
    text = labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
    return f"{text[:1].upper()}{text[1:]}"


def _label(label: str) -> str:
    """What was typed all in capitals is not shouted in a title."""
    return _clip(label.lower() if label.isupper() else label)


def _clip(text: str) -> str:
    return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1].rstrip()}…"
