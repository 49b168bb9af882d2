"""Attributes and archetypes as merchandisers write them, and the model that a fit starts from.

An *attribute* ("Budget-conscious") weighs item descriptors and behaviours; an *archetype* is a named mix of attributes
and one hidden state of the HMM. Their weights become the HMM's first emission tables and its Dirichlet pseudo-counts,
which is what keeps a state at its name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from personas.encoding import FACTORS, ItemFacts, value_names
from personas.hmm import PersonaHMM, PseudoCounts

STRENGTH = math.log(20.0)
"""An archetype of weight 1 on a value shows it 20 times as often, relative to the others, as one of weight 0."""

KAPPA = 200.0
"""Pseudo-counts behind each row of a table at the least. Enough where a log is small; alone, it doesn't hold a state to
its name on a large one: after 165,000 views of a clothing shop, the "Luxury Seeker" showed more low prices than top."""

HOLD = 0.5
"""Further pseudo-counts on the factors that an archetype is named by, as a share of a state's even share of the log's
events that have the factor.

For a state of even share, a third of such a table is then the merchandiser's word and two thirds the log's. On the same
shop every state keeps its trait, for 0.08 nats an event of held-out likelihood (-2.88 against -2.80)."""

LEAN = 0.2
"""The same for where sessions start and how personas follow one another: rare personas stay within reach."""

NAMED = 0.3
"""Spread of an archetype's scores over a factor's values from which the factor is one that it is named by."""

STAY = 0.9
"""Prior probability that the next event comes from the same persona: a shopper changes purpose rarely, not never."""

PRIOR_EVENTS = 100.0
"""Events that the usual shares of any shop count for beside the log's own."""

EVENT_SHARES = {
    "view_item": 0.60,
    "select_item": 0.08,
    "view_item_list": 0.08,
    "search": 0.06,
    "add_to_cart": 0.06,
    "remove_from_cart": 0.01,
    "add_to_wishlist": 0.01,
    "purchase": 0.03,
    "refund": 0.005,
    "user_engagement": 0.065,
}
"""Usual shares of the events of a shop, for those that its log doesn't show."""

BEHAVIOURS = ("event", "dwell", "gap", "novelty", "discount")
"""Factors that `Attribute.behaviours` weigh. What is searched for is told by descriptors: who is drawn to category=tents
searches for tents."""

_OWN_FACTOR = ("price_tier=", "discount=")
"""Descriptors that are factors of their own, beside the categories."""

MAX_ARCHETYPES = 24
MAX_ATTRIBUTES = 60
MAX_NAME = 200
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # PostgreSQL's JSON takes neither
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_DEFAULT_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")  # Okabe & Ito (2008)


class PersonaError(ValueError):
    """A definition that can't be taken, with the field at fault."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class Attribute:
    """A trait. weights : descriptor -> -1 to 1.  behaviours : "factor=value" -> -1 to 1, such as "novelty=return", with the
    factors of `BEHAVIOURS`."""

    id: int
    key: str
    name: str
    description: str = ""
    weights: dict[str, float] = field(default_factory=dict)
    behaviours: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Archetype:
    """A kind of shopper. mix : attribute key -> weight, positive; they need not sum to 1."""

    id: int
    key: str
    name: str
    icon: str = "user"
    colour: str = "#999999"
    mix: dict[str, float] = field(default_factory=dict)


def parse_personas(raw: object) -> tuple[tuple[Attribute, ...], tuple[Archetype, ...]]:
    """Attributes and archetypes of {"attributes": [...], "archetypes": [...]}; without an "id" they count from 1.

    Raises PersonaError with the field, such as "archetypes[2].mix".
    """
    if not isinstance(raw, Mapping):
        raise PersonaError("personas", "must be an object with attributes and archetypes")
    attributes = []
    for i, entry in _entries(raw, "attributes", MAX_ATTRIBUTES):
        at = f"attributes[{i}]"
        weights = _weights(entry, at, "weights")
        behaviours = _weights(entry, at, "behaviours")
        for name in behaviours:
            _check_behaviour(f"{at}.behaviours", name)
        attributes.append(
            Attribute(
                _id(entry, at, i),
                _key(entry, at),
                _text(entry, at, "name"),
                str(entry.get("description", "")),
                weights,
                behaviours,
            )
        )
    known = _distinct("attributes", attributes)
    archetypes = []
    for i, entry in _entries(raw, "archetypes", MAX_ARCHETYPES):
        at = f"archetypes[{i}]"
        mix = _weights(entry, at, "mix", low=0.0)
        if not sum(mix.values()) > 0:
            raise PersonaError(f"{at}.mix", "needs an attribute with a positive weight")
        if unknown := sorted(set(mix) - known):
            raise PersonaError(f"{at}.mix", f"{unknown[0]!r} is not an attribute's key")
        colour = _text(entry, at, "colour")
        if not _COLOUR.fullmatch(colour):
            raise PersonaError(f"{at}.colour", f"{colour!r} is not of the form #RRGGBB")
        archetypes.append(
            Archetype(_id(entry, at, i), _key(entry, at), _text(entry, at, "name"), _text(entry, at, "icon"), colour, mix)
        )
    _distinct("archetypes", archetypes)
    if not archetypes:
        raise PersonaError("archetypes", "is empty; at least one is needed")
    return tuple(attributes), tuple(archetypes)


def default_personas(facts: ItemFacts) -> tuple[tuple[Attribute, ...], tuple[Archetype, ...]]:
    """Personas for a shop that has defined none, at most 8, never empty.

    Two of price where prices differ, two of behaviour, and one for each of the largest categories or groups.
    """
    attributes = [
        Attribute(0, "explorer", "Explorer", "Looks at one new thing after another", {}, {"novelty=new": 0.6}),
        Attribute(
            0,
            "comparer",
            "Comparer",
            "Returns to what was seen before deciding",
            {},
            {"novelty=return": 0.8, "novelty=repeat": 0.6},
        ),
    ]
    icons = ["compass", "repeat"]
    if len(np.unique(facts.price_tier[facts.price_tier >= 0])) > 1:
        low = {"price_tier=low": 1.0, "price_tier=middle": 0.3}
        top = {"price_tier=top": 1.0, "price_tier=upper": 0.4}
        attributes.insert(0, Attribute(0, "budget", "Budget-conscious", "Keeps to the lower prices of every category", low))
        attributes.insert(1, Attribute(0, "luxury", "Luxury Seeker", "Keeps to the upper prices of every category", top))
        icons = ["tag", "gem", *icons]
    items = np.bincount(facts.category[facts.category >= 0], minlength=len(facts.category_names))
    if len(facts.category_names) > 1:
        for group in np.argsort(-items, kind="stable")[: 8 - len(attributes)].tolist():
            if items[group]:
                name = facts.category_names[group]
                title = name[:1].upper() + name[1:]
                attributes.append(Attribute(0, f"group-{group}", title, f"Drawn to {name}", {f"category={name}": 1.0}))
                icons.append("star")
    attributes = [Attribute(i, a.key, a.name, a.description, a.weights, a.behaviours) for i, a in enumerate(attributes, 1)]
    archetypes = [
        Archetype(i, a.key, a.name, icon, _DEFAULT_COLOURS[i - 1], {a.key: 1.0})
        for i, (a, icon) in enumerate(zip(attributes, icons, strict=True), 1)
    ]
    return tuple(attributes), tuple(archetypes)


def mix_matrix(attributes: Sequence[Attribute], archetypes: Sequence[Archetype]) -> np.ndarray:
    """(K, A) float64, each archetype's weights over the attributes; rows sum to 1."""
    place = {a.key: i for i, a in enumerate(attributes)}
    mix = np.zeros((len(archetypes), len(attributes)))
    for k, archetype in enumerate(archetypes):
        for key, weight in archetype.mix.items():
            if key not in place:
                raise PersonaError(f"archetypes[{k}].mix", f"{key!r} is not an attribute's key")
            if not 0.0 <= weight < math.inf:  # NaN fails too
                raise PersonaError(f"archetypes[{k}].mix", f"weight {weight!r} of {key!r} is not a positive number")
            mix[k, place[key]] = weight
        if not mix[k].sum() > 0:
            raise PersonaError(f"archetypes[{k}].mix", f"{archetype.key!r} has no attribute of positive weight")
    mix /= mix.sum(axis=1, keepdims=True)
    return mix


def descriptor_weights(attributes: Sequence[Attribute], descriptors: Sequence[str]) -> sparse.csr_matrix:
    """(A, D) float32, the attributes' weights by descriptor name. Names that the catalogue lacks are left out."""
    place = {name: i for i, name in enumerate(descriptors)}
    cells = [(a, place[n], w) for a, attribute in enumerate(attributes) for n, w in attribute.weights.items() if n in place and w]
    rows, columns, values = zip(*cells, strict=True) if cells else ((), (), ())
    shape = (len(attributes), len(descriptors))
    return sparse.csr_matrix((np.array(values, dtype=np.float32), (np.array(rows, int), np.array(columns, int))), shape=shape)


def unknown_descriptors(attributes: Sequence[Attribute], descriptors: Iterable[str]) -> list[tuple[str, str]]:
    """(attribute key, descriptor) of each weight on a descriptor that no item has: a slip, or goods that are no longer sold.

    Such a weight is skipped, never an error. descriptors : the catalogue's; of a shop without categories, those of its
    groups (`category=<name>`) too.
    """
    known = frozenset(descriptors)
    return [(a.key, name) for a in attributes for name, weight in a.weights.items() if weight and name not in known]


def item_scores(
    attributes: Sequence[Attribute], facts: ItemFacts, descriptors: Sequence[str], item_descriptors: sparse.csr_matrix
) -> np.ndarray:
    """(n, A) float32 in [0, 1], how well each item suits each attribute: 1 is one descriptor of the largest weight."""
    scores = np.asarray((item_descriptors @ descriptor_weights(attributes, descriptors).T).todense(), dtype=np.float32)
    known = set(descriptors)
    for a, attribute in enumerate(attributes):
        for c, name in enumerate(facts.category_names):
            if f"category={name}" in attribute.weights and f"category={name}" not in known:  # a co-visit group
                scores[facts.category == c, a] += attribute.weights[f"category={name}"]
        best = max(attribute.weights.values(), default=0.0)
        scores[:, a] = np.clip(scores[:, a] / best, 0.0, 1.0) if best > 0 else 0.0
    return scores


def starting_model(
    attributes: Sequence[Attribute],
    archetypes: Sequence[Archetype],
    facts: ItemFacts,
    descriptors: Sequence[str] = (),
    item_descriptors: sparse.csr_matrix | None = None,
    codes: np.ndarray | None = None,
    sessions: int = 0,
) -> tuple[PersonaHMM, PseudoCounts]:
    """The HMM that the archetypes describe before it is fitted, and the pseudo-counts that hold the fit to it.

    An archetype tilts what the shop's usual shopper shows; where it is silent it shows just that.
    What tilts categories tilts in the same way what is searched for.
    codes : (N, F) observation codes of the log, whose shares are the usual shopper's; without them, usual shares.
    sessions : how many sessions the log has.
    descriptors : D names.  item_descriptors : (n, D) CSR. With them, a weight on a descriptor that is no factor (a
    term, colour or brand) counts for the categories or groups in which items have it.
    Raises PersonaError where an archetype has no attribute, or a weight is no number.
    """
    if not archetypes:
        raise PersonaError("archetypes", "is empty; at least one is needed")
    names = value_names(facts)
    k = len(archetypes)
    even = 0.0 if codes is None else len(codes) / k
    tables, counts = [], []
    for f, tilt in enumerate(tilts(attributes, archetypes, facts, descriptors, item_descriptors)):
        usual = _usual(FACTORS[f], names[f], facts, None if codes is None else codes[:, f])
        shown = 0.0 if codes is None else np.count_nonzero(codes[:, f] >= 0) / k
        table = tilted(usual, tilt)
        tables.append(np.log(table))
        counts.append(held(tilt, shown) * table)
    initial = np.full(k, 1.0 / k)
    transition = np.full((k, k), (1.0 - STAY) / (k - 1)) if k > 1 else np.ones((1, 1))
    if k > 1:
        np.fill_diagonal(transition, STAY)
    learned = np.zeros(len(FACTORS), dtype=bool)
    model = PersonaHMM(np.log(initial), np.log(transition), tuple(tables), learned)
    return model, PseudoCounts((KAPPA + LEAN * sessions) * initial, (KAPPA + LEAN * even) * transition, tuple(counts))


def tilts(
    attributes: Sequence[Attribute],
    archetypes: Sequence[Archetype],
    facts: ItemFacts,
    descriptors: Sequence[str] = (),
    item_descriptors: sparse.csr_matrix | None = None,
) -> list[np.ndarray]:
    """F arrays (K, V_f), how far each archetype leans towards each value of a factor, by the weights that it mixes: 0 as
    anybody, 1 is `STRENGTH` nats. Arguments and errors as of `starting_model`."""
    names, mix, told = value_names(facts), mix_matrix(attributes, archetypes), []
    for f, factor in enumerate(FACTORS):
        read = "category" if factor == "query" else factor
        score = np.array([[_weight(a, read, value) for value in names[f]] for a in attributes]).reshape(len(attributes), -1)
        if read == "category" and item_descriptors is not None:
            score += _group_scores(attributes, facts, descriptors, item_descriptors)
        if not np.isfinite(score).all():
            a = int(np.flatnonzero(~np.isfinite(score).all(axis=1))[0])
            raise PersonaError(f"attributes[{a}]", f"{attributes[a].key!r} has a weight on {read} that is not a number")
        told.append(mix @ score)
    return told


def tilted(usual: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """(K, V) what archetypes that lean so show. usual : (V,) what the shop's usual shopper shows.  tilt : (K, V)."""
    table: np.ndarray = usual * np.exp(STRENGTH * tilt)
    table /= table.sum(axis=1, keepdims=True)
    return table


def held(tilt: np.ndarray, shown: float) -> np.ndarray:
    """(K, 1) pseudo-counts that hold each archetype's table to what `tilted` says.

    shown : events that have the factor, an archetype's even share of them.
    """
    named = np.ptp(tilt, axis=1, keepdims=True) >= NAMED
    counts: np.ndarray = KAPPA + named * HOLD * shown
    return counts


def _weight(attribute: Attribute, factor: str, value: str) -> float:
    """What the attribute says of a factor's value, at most 1 either way, though it may say so twice."""
    name = f"{factor}={value}"
    both = attribute.weights.get(name, 0.0) + attribute.behaviours.get(name, 0.0)
    return min(1.0, max(-1.0, both)) if math.isfinite(both) else math.nan


def _usual(factor: str, values: Sequence[str], facts: ItemFacts, codes: np.ndarray | None) -> np.ndarray:
    """(V,) what the shop's usual shopper shows: the log's shares, with a few counts from what any shop would show.

    A factor of which the log shows one value or none can't be told from it: usual events, the catalogue's categories,
    else all alike.
    """
    if factor == "event":
        prior = np.array([EVENT_SHARES[name] for name in values])
    elif factor in ("category", "query"):
        prior = np.bincount(facts.category[facts.category >= 0], minlength=len(values)) + 1.0
    else:
        prior = np.ones(len(values))
    prior /= prior.sum()
    if codes is None:
        return prior
    counts = np.bincount(codes[codes >= 0].astype(np.int64), minlength=len(values))
    return prior if (counts > 0).sum() < 2 else (counts + PRIOR_EVENTS * prior) / (counts.sum() + PRIOR_EVENTS)


def _group_scores(
    attributes: Sequence[Attribute], facts: ItemFacts, descriptors: Sequence[str], item_descriptors: sparse.csr_matrix
) -> np.ndarray:
    """(A, groups) weight of each group by its items' descriptors that are no factor of their own.

    The mean score of a group's items, above that of the catalogue, scaled so that the best group gets the
    attribute's largest such weight: few items have any one term, so plain means would be too small to count.
    """
    direct = {f"category={name}" for name in facts.category_names}
    indirect = [
        Attribute(
            a.id, a.key, a.name, "", {n: w for n, w in a.weights.items() if n not in direct and not n.startswith(_OWN_FACTOR)}
        )
        for a in attributes
    ]
    groups = max(1, len(facts.category_names))
    scores = np.asarray((item_descriptors @ descriptor_weights(indirect, descriptors).T).todense(), dtype=np.float64)
    has = facts.category >= 0
    if not has.any():
        return np.zeros((len(attributes), groups))
    sums = np.zeros((groups, len(attributes)))
    np.add.at(sums, facts.category[has], scores[has])
    sizes = np.bincount(facts.category[has], minlength=groups)[:, None]
    means = np.where(sizes > 0, sums / np.maximum(sizes, 1) - scores[has].mean(axis=0), 0.0)
    top = np.abs(means).max(axis=0)
    largest = np.array([max((abs(w) for w in a.weights.values()), default=0.0) for a in indirect])
    return (means * np.where(top > 1e-9, largest / np.maximum(top, 1e-9), 0.0)).T


def _entries(raw: Mapping[str, object], name: str, at_most: int) -> list[tuple[int, Mapping[str, object]]]:
    value = raw.get(name)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise PersonaError(name, "must be a list")
    if len(value) > at_most:
        raise PersonaError(name, f"has {len(value)} entries, more than {at_most}")
    for i, entry in enumerate(value):
        if not isinstance(entry, Mapping):
            raise PersonaError(f"{name}[{i}]", "must be an object")
    return list(enumerate(value))


def _id(entry: Mapping[str, object], at: str, place: int) -> int:
    value = entry.get("id", place + 1)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise PersonaError(f"{at}.id", f"{value!r} is not a positive integer")
    return value


def _key(entry: Mapping[str, object], at: str) -> str:
    key = _text(entry, at, "key")
    if not _KEY.fullmatch(key):
        raise PersonaError(f"{at}.key", f"{key!r} may hold only a-z, 0-9, _ and -, 50 at most")
    return key


def _text(entry: Mapping[str, object], at: str, name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > 100:
        raise PersonaError(f"{at}.{name}", "must be a text of 1 to 100 characters")
    return value.strip()


def _weights(entry: Mapping[str, object], at: str, name: str, *, low: float = -1.0) -> dict[str, float]:
    value = entry.get(name, {})
    if not isinstance(value, Mapping):
        raise PersonaError(f"{at}.{name}", "must be an object of weights")
    weights = {}
    for key, weight in value.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not low <= weight <= 1.0:  # NaN fails too
            raise PersonaError(f"{at}.{name}", f"weight {weight!r} of {key!r} is not a number from {low:g} to 1")
        if len(str(key)) > MAX_NAME or _UNWRITABLE.search(str(key)):
            raise PersonaError(f"{at}.{name}", f"{str(key)[:40]!r} is longer than {MAX_NAME} or holds control characters")
        weights[str(key)] = float(weight)
    return weights


def _check_behaviour(at: str, name: str) -> None:
    factor, _, value = name.partition("=")
    names = value_names(ItemFacts(np.zeros(0, np.int16), np.zeros(0, np.int8), ()))
    if factor == "query":
        raise PersonaError(at, f"{name!r}: what is searched for belongs to the weights, as category= or term=")
    if factor not in BEHAVIOURS:
        raise PersonaError(at, f"{name!r} must start with {'=, '.join(BEHAVIOURS[:-1])}= or {BEHAVIOURS[-1]}=")
    allowed = names[FACTORS.index(factor)]
    if value not in allowed:
        raise PersonaError(at, f"{name!r}: {value!r} is not one of {', '.join(allowed)}")


def _distinct(name: str, entries: Sequence[Attribute | Archetype]) -> set[str]:
    seen: set[str] = set()
    ids: set[int] = set()
    for i, entry in enumerate(entries):
        if entry.key in seen:
            raise PersonaError(f"{name}[{i}].key", f"{entry.key!r} appears twice")
        if entry.id in ids:
            raise PersonaError(f"{name}[{i}].id", f"{entry.id} appears twice")
        seen.add(entry.key)
        ids.add(entry.id)
    return seen
