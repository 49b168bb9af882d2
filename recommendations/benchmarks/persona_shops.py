"""The shops that the personas are measured in: the demo shops as their files are, and a made one of any number of events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clusters.catalogue import Catalogue, ItemRow, build_catalogue
from clusters.search_index import Document
from personas.archetypes import Archetype, Attribute, parse_personas, starting_model
from personas.encoding import FACTORS, ItemFacts
from personas.events import CODE, ITEM_ACTIONS
from personas.files import RecordFile, Reject
from personas.importing import number_of
from personas.profile import PersonaModel
from personas.sessions import NO_ITEM, SessionLog
from personas.training import train_personas
from recommendations.benchmarks.load import BenchmarkError
from recommendations.benchmarks.stages import Report
from recommendations.engine import clock_evidence
from recommendations.evaluation.personas.sequences import Sequences
from recommendations.training import item_facts

STATES = 10
"""Archetypes of the made shop."""

LENGTH = 8
"""Steps of a made session."""

_ITEM_CODES = np.array([CODE[name] for name in sorted(ITEM_ACTIONS)], dtype=np.int8)


def demo_shop(folder: Path) -> tuple[Catalogue, tuple[Attribute, ...], tuple[Archetype, ...]]:
    """The catalogue and the personas of a demo shop's folder. Raises BenchmarkError on a line that can't be read."""
    rows = [
        ItemRow(
            item_id=document.item_id,
            external_id=external,
            title=document.title,
            category=document.category,
            brand=document.brand,
            colour=document.colour,
            price=document.price,
            tags=document.tags,
            regular_price=regular,
        )
        for external, document, regular in _items(folder)
    ]
    attributes, archetypes = parse_personas(json.loads((folder / "personas.json").read_text()))
    return build_catalogue(rows), attributes, archetypes


def demo_documents(folder: Path) -> list[Document]:
    """What the catalogue search reads of a demo shop's items; their ids are those of `demo_shop`. Raises BenchmarkError."""
    return [document for _, document, _ in _items(folder)]


def _items(folder: Path) -> Iterator[tuple[str, Document, float | None]]:
    """(external id, document, regular price) of each item. Raises BenchmarkError on a line that can't be read."""
    with RecordFile(folder / "items.csv.gz") as file:
        for n, record in enumerate(file, 1):
            if isinstance(record, Reject):
                raise BenchmarkError(f"{folder.name}: line {record.line}: {record.reason}")
            values = {name: str(value or "").strip() for name, value in record.values.items()}
            price, regular = (number_of(name, values.get(name)) for name in ("price", "regular_price"))
            document = Document(
                n,
                values.get("title", ""),
                values.get("category", ""),
                values.get("brand", ""),
                values.get("colour", ""),
                tuple(tag for tag in values.get("tags", "").split("|") if tag),
                values.get("description", ""),
                price,
            )
            yield values["item_id"], document, regular


def train_model(
    log: SessionLog,
    contexts: list[dict[str, str]],
    catalogue: Catalogue,
    attributes: tuple[Attribute, ...],
    archetypes: tuple[Archetype, ...],
    report: Report,
) -> PersonaModel:
    """The persona model as `train_engine` makes it. A session's evidence is what its exact posterior knows: no history."""
    facts = item_facts(catalogue, log.where(np.isin(log.code, _ITEM_CODES) & (log.position != NO_ITEM)))
    evidence = [clock_evidence(at) | given for at, given in zip(log.starts.tolist(), contexts, strict=True)]
    model, _, _ = train_personas(
        log,
        facts,
        catalogue.descriptors,
        catalogue.item_descriptors,
        attributes,
        archetypes,
        evidence,
        None,
        progress=report,
    )
    return model


def made_shop() -> tuple[tuple[Attribute, ...], tuple[Archetype, ...], ItemFacts]:
    """Ten archetypes, one for each of as many categories of 20, and 2,000 items."""
    categories = tuple(f"c{i:02}" for i in range(20))
    attributes = tuple(Attribute(i + 1, f"a{i}", f"a{i}", "", {f"category={categories[i]}": 1.0}) for i in range(STATES))
    archetypes = tuple(Archetype(i + 1, a.key, a.name, mix={a.key: 1.0}) for i, a in enumerate(attributes))
    n = np.arange(2_000)
    return attributes, archetypes, ItemFacts((n % 20).astype(np.int16), (n // 20 % 4).astype(np.int8), categories)


def made_steps(
    facts: ItemFacts, attributes: tuple[Attribute, ...], archetypes: tuple[Archetype, ...], events: int, *, seed: int
) -> Sequences:
    """Steps of personas that are only partly the archetypes, so that EM has something to learn, in sessions of `LENGTH`.

    A step in ten is another persona's; a factor in four is absent.
    """
    rng = np.random.default_rng(seed)
    model, _ = starting_model(attributes, archetypes, facts)
    k, sessions = len(archetypes), events // LENGTH
    state = rng.integers(k, size=(sessions, LENGTH))
    for t in range(1, LENGTH):
        state[:, t] = np.where(rng.random(sessions) < 0.1, state[:, t], state[:, t - 1])
    shown_by = state.ravel()
    codes = np.empty((len(shown_by), len(FACTORS)), dtype=np.int16)
    for f, table in enumerate(model.log_emission):
        own = rng.dirichlet(np.ones(table.shape[1]), size=k)
        cumulative = (0.6 * np.exp(table) + 0.4 * own).cumsum(axis=1)
        drawn = rng.random(len(shown_by))
        codes[:, f] = np.minimum((cumulative[shown_by] < drawn[:, None]).sum(axis=1), table.shape[1] - 1)
    codes[rng.random(codes.shape) < 0.25] = -1
    return Sequences(codes, np.arange(0, len(shown_by) + 1, LENGTH, dtype=np.int64), np.zeros(len(shown_by)))
