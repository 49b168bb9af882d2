"""Which release serves, with the merchandisers' edits as they stand, and rows that say what it serves.

A release's clusters hold what was learned and the edits of that time. Edits made since are applied when it is activated, as
a release of its own *of* the other: `metrics` then names that one ("of") and a fingerprint of the edits ("edits"). So every
release that serves has the edits in force, and rolling back undoes what was learned, never what somebody decided.

The adaptation's policy is kept likewise: whatever is activated serves with the policy that serves, for it learns from decisions,
not from trainings, and has a history of its own (`recommendations.learning.policies`). Where it has learned nothing yet, a
release that brings today's hand rule serves with that. Another policy is a release *of* the present one too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from clusters.edits import ClusterEdit
from clusters.item_clusters import with_edits
from clusters.lineage import Actor
from clusters.models import ClusterChange
from clusters.policy import Policy, default_policy
from personas.models import Shop
from recommendations import audit, releases
from recommendations.cluster_rows import write_clusters
from recommendations.engine import Engine
from recommendations.learning import standing
from recommendations.models import Release, TrainingRun
from recommendations.overlay_requests import request_overlay
from recommendations.reading import read_edits

TRIES = 4
"""Times that a release is made anew because somebody edited meanwhile; then it is activated as it is, and the next look at
the edits mends it."""


class _Overtaken(Exception):
    """The edits, the policy or the active release are no longer those that a release was made of."""


def fingerprint(edits: Iterable[ClusterEdit]) -> str:
    """The same for the same edits, "" for none. Which items are of a kind that is kept out is no edit."""
    told = []
    for edit in edits:
        fields = dict(vars(edit))  # not `asdict`, which copies each of ten thousands of members
        del fields["barred"]
        if not fields["bars"]:  # as it was before there were any, so that an upgrade publishes nothing anew
            del fields["bars"]
        told.append(fields)
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=sorted).encode()).hexdigest()[:16] if told else ""


def edits_of(release: Release) -> str:
    """Fingerprint of the edits that a release has taken up."""
    return str(release.metrics.get("edits", ""))


def policy_of(shop: Shop) -> str:
    """Version of the policy component that serves, "" where none does, or it can't be read."""
    active = Release.objects.active(shop)
    version = "" if active is None else str(active.components.get("policy", ""))
    return version if _read_policy(shop, version) else ""


def _policy_for(release: Release, serves: str) -> str:
    """Version of the policy component that a release is to serve with. serves : the present one's, "" for none."""
    own, serving = str(release.components.get("policy", "")), _read_policy(release.shop, serves)
    if serving is None or serves == own:
        return own
    brings = None if serving.has_learned else _read_policy(release.shop, own)
    if brings is None or brings.version != default_policy().version or standing.is_refused(release.shop, brings.version):
        return serves
    return own


def _read_policy(shop: Shop, version: str) -> Policy | None:
    try:
        found: Policy = releases.load_component(releases.root_of(shop), "policy", version)
    except releases.ReleaseError:
        return None
    return found


def activate(
    release: Release,
    *,
    by: Actor,
    reason: str = "",
    on: Release | None = None,
    policy: str = "",
    told: Callable[[Release], None] | None = None,
) -> Release:
    """Make a release serve, with the edits and the policy as they stand, and its clusters the rows; the release that now does.

    on : the only release that it may follow; None for any.
    policy : version of the policy component to serve with instead.  told : called in the transaction, once all is written, with
        the release.
    Raises ReleaseError; the active release then stays.
    """
    shop = release.shop
    for left in reversed(range(TRIES)):
        edits, serves = read_edits(shop), policy_of(shop)
        chosen = _as_things_stand(release, edits, policy or _policy_for(release, serves))
        check = None if policy or not left else serves
        try:
            releases.activate(chosen, by=by.user, also=_rows(chosen, edits, on, by, reason, check, told, last=not left))
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
    release: Release,
    edits: tuple[ClusterEdit, ...],
    on: Release | None,
    by: Actor,
    reason: str,
    policy: str | None,
    told: Callable[[Release], None] | None,
    *,
    last: bool,
) -> Callable[[Engine], None]:
    """policy : that must still serve, None for any."""
    shop = release.shop

    def also(engine: Engine) -> None:
        if on is not None and Release.objects.active(shop) != on:
            raise _Overtaken
        if not last and fingerprint(read_edits(shop, with_barred=False)) != fingerprint(edits):
            raise _Overtaken
        if policy is not None and policy_of(shop) != policy:
            raise _Overtaken
        release.refresh_from_db(fields=["components"])  # an erasure may have taken words out of what it was made of
        write_clusters(shop, engine, by=by, reason=reason, provenance=releases.provenance_of(release))
        standing.follow(shop, engine.policy.version, release.components["policy"])
        audit.activated(release, by, reason)
        if told is not None:
            told(release)

    return also


def _as_things_stand(release: Release, edits: tuple[ClusterEdit, ...], policy: str) -> Release:
    """The release itself where it has taken up these edits and has this policy, else a new one of it that has."""
    now, shop = fingerprint(edits), release.shop
    manifest = {**release.components, "policy": policy}
    if edits_of(release) == now:
        if release.components.get("policy", "") == policy:
            return release
        metrics = {**release.metrics, "of": releases.origin(release)}
        return releases.publish_manifest(
            shop, manifest, metrics=metrics, notes=f"Release {releases.origin(release)} with another policy of adaptation."
        )
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
        if edits_of(active) == fingerprint(read_edits(shop, with_barred=False)):
            return active
        try:
            return activate(active, by=Actor(ClusterChange.Actor.LEARNING, who="publishing edits"), on=active)
        except _Overtaken:
            continue


def serve_policy(shop: Shop, component: str, *, by: Actor, reason: str, told: Callable[[Release], None]) -> Release:
    """The active release with another policy, whatever is activated meanwhile. Arguments as of `activate`.

    Raises ReleaseError if none is active, or the policy can't be read.
    """
    while True:
        active = Release.objects.active(shop)
        if active is None:
            raise releases.ReleaseError(f"{shop.slug} has no release that could serve with another policy: train it first")
        try:
            return activate(active, by=by, reason=reason, on=active, policy=component, told=told)
        except _Overtaken:
            continue


def roll_back(shop: Shop, *, by: Any = None) -> Release:
    """Serve with what learning had made before the present release; edits since stay. Raises ReleaseError if there is none."""
    earlier = releases.earlier(shop)
    actor = Actor(ClusterChange.Actor.MERCHANDISER, user=by, who=by.get_username() if by is not None else "")
    return activate(earlier, by=actor, reason=f"Rolled back to release {releases.origin(earlier)}.")
