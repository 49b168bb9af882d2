"""Releases: manifests of components on disk, activated and rolled back while everything runs.

A release is a mapping, kind -> version, of components in `<RELEASES_DIR>/<shop>/` (`personas.component_files`).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from redis import Redis

from clusters.catalogue import Catalogue
from clusters.item_clusters import ItemClusters
from clusters.policy import Policy
from clusters.provenance import Provenance
from personas import component_files
from personas.component_files import ComponentError, save_component
from personas.models import Shop
from personas.profile import PersonaModel
from recommendations.engine import Engine
from recommendations.learning.standing import components_in_use
from recommendations.models import Component, Release, TrainingRun
from recommendations.ranking.ranker import Ranker

KINDS: dict[str, type[Any]] = {
    "catalogue": Catalogue,
    "personas": PersonaModel,
    "clusters": ItemClusters,
    "ranker": Ranker,
    "policy": Policy,
}
SEARCHES = "searches"
"""Kind of what a release's clusters of searches were made of: for people, so that serving doesn't load it."""

INDEPENDENT = frozenset({"catalogue", "policy", SEARCHES})
"""Kinds that hold no catalogue positions; the others name the catalogue version that their positions are of."""

KEEP = 5
"""Releases whose files are kept, beside the active one, to roll back to."""

CHANNEL = "releases"


class ReleaseError(RuntimeError):
    """A release that can't be loaded or activated, with what to do."""


def pointer(shop_id: int) -> str:
    """Redis key that holds the number of the shop's active release."""
    return f"release:{shop_id}"


def redis_client() -> Redis:
    return Redis.from_url(settings.REDIS_URL)


# Components


def load_component(root: Path, kind: str, version: str, *, catalogue: str = "") -> Any:
    """A component of a release, see `personas.component_files`. Raises ReleaseError."""
    try:
        return component_files.load_component(
            root,
            kind,
            Provenance if kind == SEARCHES else KINDS[kind],
            version,
            catalogue=None if kind in INDEPENDENT else catalogue,
        )
    except ComponentError as error:
        raise ReleaseError(str(error)) from error


def load_engine(root: Path, manifest: Mapping[str, str], *, release: str) -> Engine:
    """The engine of a manifest. Raises ReleaseError."""
    missing = sorted(set(KINDS) - set(manifest))
    if missing:
        raise ReleaseError(f"release {release} lacks {', '.join(missing)}; train again")
    parts = {kind: load_component(root, kind, manifest[kind], catalogue=manifest["catalogue"]) for kind in KINDS}
    return Engine(release=release, **parts)


def save_engine(root: Path, engine: Engine) -> dict[str, str]:
    """All components of an engine; kind -> version."""
    manifest = {"catalogue": save_component(root, "catalogue", engine.catalogue)}
    for kind in KINDS:
        if kind != "catalogue":
            bound_to = "" if kind in INDEPENDENT else manifest["catalogue"]
            manifest[kind] = save_component(root, kind, getattr(engine, kind), catalogue=bound_to)
    return manifest


# Releases of a shop


def root_of(shop: Shop) -> Path:
    """Folder that holds the shop's components."""
    return Path(settings.RELEASES_DIR) / shop.slug


def publish(
    shop: Shop, engine: Engine, *, metrics: Mapping[str, Any], notes: str = "", provenance: Provenance | None = None
) -> Release:
    """Save an engine and record it as the shop's next release, ready but not yet active."""
    root = root_of(shop)
    return _record(shop, save_engine(root, engine) | _save_provenance(root, provenance), metrics, notes)


def publish_clusters(
    shop: Shop,
    manifest: Mapping[str, str],
    clusters: ItemClusters,
    *,
    metrics: Mapping[str, Any],
    notes: str = "",
    provenance: Provenance | None = None,
) -> Release:
    """Save clusters, over the catalogue of the manifest, and record the manifest with them as the next release, ready.

    provenance : of new clusters of searches; None leaves the manifest's.
    """
    root = root_of(shop)
    version = save_component(root, "clusters", clusters, catalogue=manifest["catalogue"])
    return _record(shop, {**manifest, "clusters": version} | _save_provenance(root, provenance), metrics, notes)


def publish_manifest(shop: Shop, manifest: Mapping[str, str], *, metrics: Mapping[str, Any], notes: str = "") -> Release:
    """Record components that are on disk as the shop's next release, ready."""
    return _record(shop, dict(manifest), metrics, notes)


def _save_provenance(root: Path, provenance: Provenance | None) -> dict[str, str]:
    return {} if provenance is None else {SEARCHES: save_component(root, SEARCHES, provenance)}


def provenance_of(release: Release) -> Provenance | None:
    """What the release's clusters of searches were made of, None where it has none. Raises ReleaseError."""
    if SEARCHES not in release.components:
        return None
    found: Provenance = load_component(root_of(release.shop), SEARCHES, release.components[SEARCHES])
    return found


def _record(shop: Shop, manifest: dict[str, str], metrics: Mapping[str, Any], notes: str) -> Release:
    with transaction.atomic():
        Shop.objects.select_for_update().get(pk=shop.pk)
        record_components(shop, manifest)
        last = Release.objects.filter(shop=shop).order_by("-number").values_list("number", flat=True).first() or 0
        return Release.objects.create(
            shop=shop, number=last + 1, components=manifest, state=Release.State.READY, metrics=dict(metrics), notes=notes
        )


def record_components(shop: Shop, manifest: Mapping[str, str]) -> None:
    """Rows of components that are on disk."""
    for kind, version in manifest.items():
        text = (root_of(shop) / kind / version / "component.json").read_bytes()
        Component.objects.get_or_create(
            shop=shop,
            kind=kind,
            version=version,
            defaults={"path": f"{shop.slug}/{kind}/{version}", "checksum": hashlib.sha256(text).hexdigest()},
        )


def load(release: Release) -> Engine:
    """The engine of a release, verified. Raises ReleaseError."""
    return load_engine(root_of(release.shop), release.components, release=str(release.number))


def activate(release: Release, *, by: Any = None, also: Callable[[Engine], None] | None = None) -> None:
    """Make a release the one that serves; every process swaps within seconds. Verified first. Raises ReleaseError.

    also : what to do with its engine in the same transaction, before; what it raises leaves everything as it was. Rows that
        tell of a release follow it that way: see `recommendations.activation`.
    """
    engine = load(release)
    with transaction.atomic():
        Shop.objects.select_for_update().get(pk=release.shop_id)
        if also is not None:
            also(engine)
        Release.objects.filter(shop=release.shop, state=Release.State.ACTIVE).exclude(pk=release.pk).update(
            state=Release.State.RETIRED
        )
        release.state = Release.State.ACTIVE
        release.activated_at = timezone.now()
        release.activated_by = by
        release.save(update_fields=["state", "activated_at", "activated_by"])
        transaction.on_commit(lambda: announce(release))


def announce(release: Release) -> None:
    """Tell the running processes; those that miss it find the pointer at their next look."""
    client = redis_client()
    client.set(pointer(release.shop_id), release.number)
    client.publish(CHANNEL, str(release.shop_id))


def announce_again(release: Release) -> None:
    """Announce the active release if whoever activated it didn't live to."""
    said = redis_client().get(pointer(release.shop_id))
    if said != str(release.number).encode() and Release.objects.active(release.shop_id) == release:
        announce(release)


def origin(release: Release) -> int:
    """Number of the release that learning made: of one that only takes up merchandisers' edits, the one it is made of."""
    return int(release.metrics.get("of", release.number))


def metrics_of(release: Release) -> dict[str, Any]:
    """The release's metrics for another that learning makes beside it."""
    return {name: value for name, value in release.metrics.items() if name != "of"}


def earlier(shop: Shop) -> Release:
    """The release to roll back to: the one that learning made before the one that serves, with the edits it had at the end.

    Raises ReleaseError if there is none.
    """
    active = Release.objects.active(shop)
    present = None if active is None else origin(active)
    for release in Release.objects.filter(shop=shop, state=Release.State.RETIRED).order_by("-activated_at"):
        if origin(release) != present:
            return release
    raise ReleaseError(f"shop {shop.slug} has no earlier release to roll back to")


def discard(release: Release, why: str) -> None:
    """Take back a release that never served. Nothing is done to one that did."""
    Release.objects.filter(pk=release.pk, state=Release.State.READY).update(state=Release.State.FAILED, notes=why)


def load_active(shop_id: int) -> Engine:
    """The engine of the shop's active release. Raises ReleaseError if there is none."""
    release = Release.objects.filter(shop_id=shop_id, state=Release.State.ACTIVE).select_related("shop").first()
    if release is None:
        raise ReleaseError(f"shop {shop_id} has no active release: run manage.py train")
    return load(release)


def prune(shop: Shop, *, keep: int = KEEP) -> int:
    """Delete the files of components that neither the active release, the last `keep` nor what is learned names; count of them.

    Releases that only take up edits don't count: of those made of one release, the one that served last is kept beside it, as
    `earlier` finds it; the others' rows go too, for nothing can be done with them any more.
    """
    removed = 0
    with transaction.atomic():
        Shop.objects.select_for_update().get(pk=shop.pk)  # a release that is being recorded keeps what it names
        lasting = Release.objects.filter(shop=shop).exclude(state=Release.State.FAILED)
        standing: dict[int, Release] = {}
        for release in lasting.order_by(F("activated_at").desc(nulls_last=True), "-number"):
            standing.setdefault(origin(release), release)
        made = sorted(standing, reverse=True)[:keep]
        kept = [*(standing[number] for number in made), *lasting.filter(number__in=made)]
        waiting = Q(state=Release.State.READY, training_runs__kind=TrainingRun.Kind.CLUSTERS)
        kept += lasting.filter(Q(state=Release.State.ACTIVE) | waiting)
        named = {(kind, version) for release in kept for kind, version in release.components.items()} | components_in_use(shop)
        for component in Component.objects.filter(shop=shop):
            if (component.kind, component.version) not in named:
                shutil.rmtree(root_of(shop) / component.kind / component.version, ignore_errors=True)
                component.delete()
                removed += 1
        last = lasting.order_by("-number").values_list("number", flat=True).first() or 0  # no number is given twice
        past = Release.objects.filter(shop=shop, state__in=(Release.State.RETIRED, Release.State.FAILED), training_runs=None)
        past.filter(metrics__has_key="of", number__lt=last).exclude(pk__in=[release.pk for release in kept]).delete()
    return removed
