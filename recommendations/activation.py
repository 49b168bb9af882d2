"""Which release serves, with the merchandisers' edits as they stand, and rows that say what it serves.

A release's clusters hold what was learned and the edits of that time. Edits made since are applied when it is activated, as
a release of its own *of* the other: `metrics` then names that one ("of") and a fingerprint of the edits ("edits"). So every
release that serves has the edits in force, and rolling back undoes what was learned, never what somebody decided.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from clusters.edits import ClusterEdit
from clusters.item_clusters import with_edits
from clusters.lineage import Actor
from clusters.models import ClusterChange
from personas.models import Shop
from recommendations import releases
from recommendations.cluster_rows import write_clusters
from recommendations.engine import Engine
from recommendations.models import Release, TrainingRun
from recommendations.overlay_requests import request_overlay
from recommendations.reading import read_edits

TRIES = 4
"""Times that a release is made anew because somebody edited meanwhile; then it is activated as it is, and the next look at
the edits mends it."""


class _Overtaken(Exception):
    """The edits, or the active release, are no longer those that a release was made of."""


def fingerprint(edits: Iterable[ClusterEdit]) -> str:
    """The same for the same edits, "" for none."""
    told = [dataclasses.asdict(edit) for edit in edits]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=sorted).encode()).hexdigest()[:16] if told else ""


def edits_of(release: Release) -> str:
    """Fingerprint of the edits that a release has taken up."""
    return str(release.metrics.get("edits", ""))


def activate(release: Release, *, by: Actor, reason: str = "", on: Release | None = None) -> Release:
    """Make a release serve, with the edits as they stand, and its clusters the rows; the release that now does.

    on : the only release that it may follow; None for any.
    Raises ReleaseError; the active release then stays.
    """
    shop = release.shop
    for left in reversed(range(TRIES)):
        edits = read_edits(shop)
        chosen = _with_edits(release, edits)
        try:
            releases.activate(chosen, by=by.user, also=_rows(chosen, edits, on, by, reason, last=not left))
        except _Overtaken:
            if chosen.pk != release.pk:
                releases.discard(chosen, "Overtaken by another edit.")
            if on is not None and Release.objects.active(shop) != on:
                raise
        else:
            if chosen.pk != release.pk and release.state == Release.State.READY:
                TrainingRun.objects.filter(release=release).update(release=chosen)
                releases.discard(release, f"Serves as {chosen}, with what was edited since.")
            releases.prune(shop)
            request_overlay(shop)
            return chosen
    raise AssertionError("the last try doesn't look whether it was overtaken")


def _rows(
    release: Release, edits: tuple[ClusterEdit, ...], on: Release | None, by: Actor, reason: str, *, last: bool
) -> Callable[[Engine], None]:
    shop = release.shop

    def also(engine: Engine) -> None:
        if on is not None and Release.objects.active(shop) != on:
            raise _Overtaken
        if not last and fingerprint(read_edits(shop)) != fingerprint(edits):
            raise _Overtaken
        release.refresh_from_db(fields=["components"])  # an erasure may have taken words out of what it was made of
        write_clusters(shop, engine, by=by, reason=reason, provenance=releases.provenance_of(release))

    return also


def _with_edits(release: Release, edits: tuple[ClusterEdit, ...]) -> Release:
    """The release itself where it has taken up these edits, else a new one of it that has."""
    now = fingerprint(edits)
    if edits_of(release) == now:
        return release
    shop, manifest = release.shop, release.components
    root = releases.root_of(shop)
    catalogue = releases.load_component(root, "catalogue", manifest["catalogue"])
    clusters, personas = (
        releases.load_component(root, kind, manifest[kind], catalogue=manifest["catalogue"]) for kind in ("clusters", "personas")
    )
    known = frozenset(clusters.learned.cluster_ids.tolist())
    edited = with_edits(clusters, catalogue, read_edits(shop, known=known), personas.attribute_descriptors)
    metrics = {
        **release.metrics,
        "of": releases.origin(release),
        "edits": now,
        "clusters": len(edited),
    }
    notes = f"Release {releases.origin(release)} with what merchandisers edited of its clusters."
    return releases.publish_clusters(shop, manifest, edited, metrics=metrics, notes=notes)


def publish_edits(shop: Shop) -> Release:
    """Bring edits that shoppers don't see yet to them: the active release with other clusters, nothing trained.

    The active release itself where nothing was edited since. Raises ReleaseError if none is active.
    """
    while True:
        active = Release.objects.active(shop)
        if active is None:
            raise releases.ReleaseError(f"{shop.slug} has no release whose clusters could be edited: train it first")
        if edits_of(active) == fingerprint(read_edits(shop)):
            return active
        try:
            return activate(active, by=Actor(ClusterChange.Actor.LEARNING, who="publishing edits"), on=active)
        except _Overtaken:
            continue


def roll_back(shop: Shop, *, by: Any = None) -> Release:
    """Serve with what learning had made before the present release; edits since stay. Raises ReleaseError if there is none."""
    earlier = releases.earlier(shop)
    actor = Actor(ClusterChange.Actor.MERCHANDISER, user=by, who=by.get_username() if by is not None else "")
    return activate(earlier, by=actor, reason=f"Rolled back to release {releases.origin(earlier)}.")
