"""A draft of a shop's personas as an engine: what publishing it would serve before the fit that follows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from personas import versions
from personas.archetypes import parse_personas
from personas.models import PersonaVersion, Shop
from personas.reweighing import Fitted
from recommendations import stories
from recommendations.desk.personas.previews import with_definition
from recommendations.engine import Engine
from recommendations.models import Release, TrainingRun

EVENTS = 1e6
"""Events that a fit is taken to have read where no run tells: enough for the log to weigh what it weighs in a large one."""


class NotFittedError(LookupError):
    """No draft can be shown on the active release, with what to do about it."""


def fitted_to(shop: Shop, release: Release, engine: Engine) -> Fitted:
    """What the personas of a release were fitted to and on: the version that its fit read, else the one in force.

    Raises NotFittedError where that isn't the personas which the release serves.
    """
    run = TrainingRun.objects.fit_of(release)
    report: dict[str, Any] = run.report if run else {}
    number = report.get("version")
    version = PersonaVersion.objects.filter(shop=shop, number=number).first() if number else versions.latest(shop)
    attributes, archetypes = versions.read(version) if version else parse_personas(versions.draft(shop))
    if {a.id for a in archetypes} != set(engine.personas.ids):
        raise NotFittedError(
            "What is served was fitted to other personas. Wait for the fit of the version in force, or start it."
        )
    shares = {entry["id"]: entry["share"] for entry in report.get("archetypes", ())}
    return Fitted(attributes, archetypes, float(report.get("events") or EVENTS), shares)


def drafted_engine(shop: Shop, definition: Mapping[str, Any] | None = None, *, on: Engine | None = None) -> Engine:
    """The shop's engine with its personas moved to a definition (`versions.Definition`), the draft's where none is given.

    on : the engine to move, that of the active release and its overlay where none is given.
    Raises ReleaseError without a release that can be read, NotFittedError, and PersonaError where the definition can't be taken.
    """
    engine = stories.engine_of(shop) if on is None else on
    release = Release.objects.active(shop)
    assert release is not None, "an engine of the shop is that of its active release"
    attributes, archetypes = parse_personas(versions.draft(shop) if definition is None else definition)
    return with_definition(engine, fitted_to(shop, release, engine), attributes, archetypes)


def fingerprint(definition: Mapping[str, Any]) -> str:
    """16 characters that are the same for definitions that say the same."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]
