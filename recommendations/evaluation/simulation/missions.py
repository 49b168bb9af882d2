"""Shoppers who come for an occasion and search for the things that it takes: a tent, a lantern, hiking boots.

The things of an occasion lie in several categories, and what makes them belong together shows in the searches alone: that is
what clusters from search history are to find, and here it is known. Words vary as people's do (plurals, capitals, slips
of the finger, an attribute added, another order), and now and then a search is for something else. What is picked from the
results follows the acting persona's taste, as in `walk`. These sessions have no exact posterior.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clusters.catalogue import MISSING, Catalogue
from clusters.search_index import Document, SearchIndex, build_index, search
from personas.events import Event
from recommendations.evaluation.simulation.kinds import Kinds
from recommendations.evaluation.simulation.shoppers import Heads, draw_heads
from recommendations.evaluation.simulation.walk import SHOWN, Visit, Walk
from recommendations.evaluation.simulation.world import CONTEXT, DEMOGRAPHICS, OVERLAP, Tastes, World, soften

Search = Callable[[str], np.ndarray]
"""Words -> catalogue positions of what they find, best first."""

FEWEST_THINGS = 4
"""Things of an occasion that must be found, or it is left out."""

FEWEST, MOST = 2, 5
"""Things of its occasion that a shopper searches for."""

ANOTHER = 0.15
"""Chance that a shopper comes back to a second occasion within the session."""

PAUSE_S = (2_400.0, 3_600.0)
"""The pause before it, uniform: longer than the gap at which search histories are cut."""

STRAY = 0.10
"""Share of searches that are for a thing of another occasion."""

PLURAL, CAPITALS, TYPO, ATTRIBUTE, ORDER = 0.30, 0.15, 0.05, 0.15, 0.05
"""Chances that a search has the other number of its last word, capitals, a slip, a colour or brand before it, its words
the other way round."""

LOOKS = (0.10, 0.50, 0.28, 0.12)
"""Chances of looking at 0, 1, 2, ... items of a search's list."""

BUYS = 0.5
"""Chance that what is in the cart at the end is bought."""

SHORTEST_SLIP = 5
"""Letters from which a word is mistyped; its first letter is always right."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SIBILANTS = ("ss", "sh", "ch", "x")
_WORD = re.compile(r"[^\W\d_]+")


class OccasionError(ValueError):
    """Occasions that can't be taken, with the field and the reason."""


class Occasion(NamedTuple):
    """What somebody comes for. things : search phrases, in lower case, of no other occasion."""

    name: str
    things: tuple[str, ...]


class Dropped(NamedTuple):
    """What was left out of the occasions. thing : "" where it is the whole occasion."""

    occasion: str
    thing: str
    reason: str


class Sought(NamedTuple):
    """What one search was for. occasion, thing : places in `Missions.occasions` and its things.  query : as typed."""

    occasion: int
    thing: int
    query: str


@dataclass(frozen=True)
class Missions:
    """Occasions that a catalogue can serve.

    dropped : what it can't, and why.  attributes : (occasion, thing) -> colours and brands among what the thing finds.
    search : the catalogue search by which shoppers find.
    """

    occasions: tuple[Occasion, ...]
    dropped: tuple[Dropped, ...]
    attributes: dict[tuple[int, int], tuple[str, ...]]
    search: Search


@dataclass(frozen=True)
class MissionSession:
    """A session of N events.

    occasions : one or two places in `Missions.occasions`, in the order of the session.  persona : place in `World.personas`.
    sought : one for each search, in the order of the events.  The rest as in `SimulatedSession`.
    """

    key: str
    shopper: str
    occasions: tuple[int, ...]
    persona: int
    events: tuple[Event, ...]
    sought: tuple[Sought, ...]
    context: dict[str, str]
    demographics: dict[str, str]


def parse_occasions(document: object) -> tuple[Occasion, ...]:
    """Occasions of a list of {"name", "things"}. Raises OccasionError, which names what is wrong and where."""
    if not isinstance(document, list):
        raise OccasionError("occasions: not a list")
    occasions: list[Occasion] = []
    of_thing: dict[str, str] = {}
    for place, entry in enumerate(document):
        if not isinstance(entry, dict):
            raise OccasionError(f"occasions[{place}]: not an object")
        name, things = entry.get("name"), entry.get("things")
        if not isinstance(name, str) or not name.strip():
            raise OccasionError(f"occasions[{place}].name: missing or not a text")
        if any(name == other.name for other in occasions):
            raise OccasionError(f"occasions[{place}].name: {name!r} is there already")
        if not isinstance(things, list) or not all(isinstance(thing, str) and thing.strip() for thing in things):
            raise OccasionError(f"occasions[{place}].things: not a list of texts")
        plain = tuple(" ".join(thing.lower().split()) for thing in things)
        for thing in plain:
            if thing in of_thing:
                raise OccasionError(f"occasions[{place}].things: {thing!r} is a thing of {of_thing[thing]!r} already")
            of_thing[thing] = name
        occasions.append(Occasion(name, plain))
    return tuple(occasions)


def plant(catalogue: Catalogue, occasions: Sequence[Occasion], find: Search | None = None) -> Missions:
    """The occasions that the catalogue can serve; each thing is searched for, and what finds nothing is dropped.

    An occasion needs `FEWEST_THINGS` things that are found, the best results of which lie in two categories or more where the
    catalogue has categories. find : by default the shop's search over the texts that the catalogue itself has.
    """
    find = _remembering(find or catalogue_search(catalogue))
    kept: list[Occasion] = []
    dropped: list[Dropped] = []
    attributes: dict[tuple[int, int], tuple[str, ...]] = {}
    for occasion in occasions:
        things, homes = [], []
        for thing in occasion.things:
            found = find(thing)
            if len(found):
                things.append(thing)
                homes.append(Counter(catalogue.category[found[:SHOWN]].tolist()).most_common(1)[0][0])
            else:
                dropped.append(Dropped(occasion.name, thing, "the catalogue search finds nothing"))
        if len(things) < FEWEST_THINGS:
            dropped.append(Dropped(occasion.name, "", f"{len(things)} of its things are found, {FEWEST_THINGS} are needed"))
        elif len(set(homes)) == 1 and homes[0] != MISSING:
            dropped.append(Dropped(occasion.name, "", f"all its things are in {catalogue.categories[homes[0]]!r}"))
        else:
            for place, thing in enumerate(things):
                attributes[len(kept), place] = _attributes(catalogue, find(thing)[:SHOWN])
            kept.append(Occasion(occasion.name, tuple(things)))
    return Missions(tuple(kept), tuple(dropped), attributes, find)


def catalogue_search(catalogue: Catalogue) -> Search:
    """The storefront's search over what the catalogue holds: it has no descriptions."""
    tag = [name.removeprefix("tag=") if name.startswith("tag=") else "" for name in catalogue.descriptors]
    matrix = catalogue.item_descriptors

    def documents() -> Iterator[Document]:
        for i, item in enumerate(catalogue.item_ids.tolist()):
            tags = (tag[d] for d in matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]].tolist())
            price = float(catalogue.price[i])
            yield Document(
                item,
                catalogue.titles[i],
                _name(catalogue.categories, catalogue.category[i]),
                _name(catalogue.brands, catalogue.brand[i]),
                _name(catalogue.colours, catalogue.colour[i]),
                tuple(filter(None, tags)),
                price=None if np.isnan(price) else price,
                in_stock=bool(catalogue.in_stock[i]),
            )

    return index_search(build_index(documents()), catalogue)


def index_search(index: SearchIndex, catalogue: Catalogue) -> Search:
    """The first page of the storefront's search, as positions in a catalogue; of items that it lacks, nothing.

    What has only some of the words isn't what the shopper came for: then nothing is found.
    """

    def find(words: str) -> np.ndarray:
        found = search(index, words, count=SHOWN, facets=False)
        positions = catalogue.positions([] if found.relaxed else found.item_ids.tolist())
        kept: np.ndarray = positions[positions >= 0]
        return kept

    return find


def shop_for(
    world: World,
    missions: Missions,
    *,
    sessions: int,
    seed: int,
    start_at: float,
    days: float = 30.0,
    overlap: float = OVERLAP,
) -> Iterator[MissionSession]:
    """Sessions in order of time, the same for the same arguments; `start_at`, `days`, `overlap` as in `simulate`.

    Raises ValueError where no occasion was planted.
    """
    if not missions.occasions:
        raise ValueError("no occasion was planted: there is nothing to come for")
    tastes = soften(world, overlap)
    rng = np.random.default_rng((seed, 2))
    heads = draw_heads(world, rng, sessions, start_at, max(1, int(days)), Kinds(1.0, 0.0, 0.0))
    share = rng.dirichlet(np.full(len(missions.occasions), 8.0))
    for s in range(sessions):
        yield _session(world, tastes, missions, heads, s, np.random.default_rng((seed, 3, s)), share, f"sim-{seed}-mission")


def _session(
    world: World,
    tastes: Tastes,
    missions: Missions,
    heads: Heads,
    s: int,
    rng: np.random.Generator,
    share: np.ndarray,
    prefix: str,
) -> MissionSession:
    shopper, persona = int(heads.shopper[s]), int(heads.first[s])
    context = {n: CONTEXT[n][v[s]] for n, v in heads.context.items() if v[s] >= 0 and n != "daypart"}
    demographics = {n: DEMOGRAPHICS[n][v[shopper]] for n, v in heads.demographics.items()} if shopper >= 0 else {}
    key, name = f"{prefix}-{s}", f"{prefix}-shopper-{shopper}" if shopper >= 0 else ""
    walk = Walk(world, tastes, rng, Visit(key, name, context, demographics, float(heads.start[s]), ()), None)
    count = 1 + int(len(share) > 1 and rng.random() < ANOTHER)
    occasions = tuple(rng.choice(len(share), size=count, replace=False, p=share).tolist())
    sought: list[Sought] = []
    for turn, occasion in enumerate(occasions):
        if turn:
            walk.pause(float(rng.uniform(*PAUSE_S)))
        for place, thing in _wanted(missions, occasion, rng):
            query = typed(missions.occasions[place].things[thing], missions.attributes[place, thing], rng)
            sought.append(Sought(place, thing, query))
            walk.begin(persona)
            walk.seek(query, missions.search(query), int(rng.choice(len(LOOKS), p=LOOKS)))
    if rng.random() < BUYS:
        walk.buy()
    return MissionSession(key, name, occasions, persona, tuple(walk.events), tuple(sought), context, demographics)


def _wanted(missions: Missions, occasion: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """(occasion, thing) of each search."""
    things = len(missions.occasions[occasion].things)
    count = min(things, int(rng.integers(FEWEST, MOST + 1)))
    for thing in rng.permutation(things)[:count].tolist():
        if len(missions.occasions) > 1 and rng.random() < STRAY:
            other = (occasion + 1 + int(rng.integers(len(missions.occasions) - 1))) % len(missions.occasions)
            yield other, int(rng.integers(len(missions.occasions[other].things)))
        else:
            yield occasion, thing


def typed(thing: str, attributes: Sequence[str], rng: np.random.Generator) -> str:
    """A search for a thing as somebody types it. attributes : values that may come before it."""
    plural, capitals, slip, attribute, order, which, loud = rng.random(7)
    parts = thing.split()
    if plural < PLURAL:
        parts[-1] = other_number(parts[-1])
    if slip < TYPO:
        parts = mistyped(parts, rng)
    if order < ORDER:
        parts.reverse()
    if attribute < ATTRIBUTE and attributes:
        parts.insert(0, attributes[int(which * len(attributes))])
    query = " ".join(parts)
    if capitals >= CAPITALS:
        return query
    return query.upper() if loud < 0.3 else query[:1].upper() + query[1:]


def other_number(word: str) -> str:
    """The plural of a singular, the singular of a plural, by the rules that most English nouns follow."""
    if word.endswith(_SIBILANTS):
        return f"{word}es"
    if word.endswith("es") and word[:-2].endswith(_SIBILANTS):
        return word[:-2]
    if word.endswith("ies"):
        return word  # berry or cookie: that can't be seen
    if word.endswith("s"):
        return word[:-1]
    return f"{word[:-1]}ies" if word.endswith("y") and word[-2:-1] not in "aeiou" else f"{word}s"


def mistyped(parts: list[str], rng: np.random.Generator) -> list[str]:
    """Words with one slip in one of them: letters swapped, one left out, doubled, or another; short words stay."""
    long = [i for i, word in enumerate(parts) if len(word) >= SHORTEST_SLIP and _WORD.fullmatch(word)]
    if not long:
        return parts
    i = long[int(rng.integers(len(long)))]
    word = parts[i]
    at = int(rng.integers(1, len(word) - 1))
    slips = (
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + word[at + 1 :],
        word[: at + 1] + word[at:],
        word[:at] + _LETTERS[int(rng.integers(len(_LETTERS)))] + word[at + 1 :],
    )
    return [*parts[:i], slips[int(rng.integers(len(slips)))], *parts[i + 1 :]]


def _remembering(find: Search) -> Search:
    """The search with its answers kept: many shoppers type the same."""
    answers: dict[str, np.ndarray] = {}

    def remembered(words: str) -> np.ndarray:
        if words not in answers:
            answers[words] = find(words)
        return answers[words]

    return remembered


def _attributes(catalogue: Catalogue, found: np.ndarray) -> tuple[str, ...]:
    """Colours and brands of these items, each once, in order of the alphabet."""
    values = {_name(catalogue.colours, c) for c in catalogue.colour[found].tolist()}
    values |= {_name(catalogue.brands, b) for b in catalogue.brand[found].tolist()}
    return tuple(sorted(value.lower() for value in values if value))


def _name(names: tuple[str, ...], code: int) -> str:
    return names[code] if code != MISSING else ""
