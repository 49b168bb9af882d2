"""The engine that a shop would be served with, were all that is unpublished published: personas, clusters and rules.

Clusters and rules are read in a transaction that does all drafts and is taken back, so that they are, to the byte, what
publishing makes of them (`activation`, `overlays`); personas are the draft before the fit that follows publishing
(`persona_drafts`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Count, Max

from clusters.item_clusters import with_edits
from clusters.models import ClusterChange
from personas import versions
from personas.archetypes import PersonaError
from personas.models import Shop
from recommendations import activation, releases
from recommendations.desk.personas import drafts as persona_drafts
from recommendations.drafts import drafting
from recommendations.drafts.drafting import Fate
from recommendations.engine import Engine
from recommendations.models import DraftEdit, MerchandisingRule, Release
from recommendations.overlay import with_overlay
from recommendations.reading import read_edits, read_rules
from recommendations.stories import engine_of

KEPT = 4
"""Engines that a process keeps; each shares with the one that serves what is the same."""


@dataclass(frozen=True)
class Drafted:
    """What serves a shop, and what would.

    now : what serves.  then : what would serve; `now` itself where nothing is unpublished.
    fates : what would become of each draft.  personas : what the draft of the personas changes, in sentences.
    notes : what of it can't be shown, and why.
    """

    now: Engine
    then: Engine
    fates: tuple[Fate, ...] = ()
    personas: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether anything is unpublished that shows in a slate."""
        return self.then is not self.now


_kept: OrderedDict[tuple[Any, ...], Drafted] = OrderedDict()
_lock = threading.Lock()


def drafted(shop: Shop) -> Drafted:
    """Raises ReleaseError where no release can be read. Nothing is changed in any row."""
    now = engine_of(shop)
    definition = versions.draft(shop)
    key = (id(now), shop.pk, *_state(shop), persona_drafts.fingerprint(definition))
    with _lock:
        held = _kept.get(key)
        if held is not None and held.now is now:
            _kept.move_to_end(key)
            return held
    made = _made(shop, now, definition)
    with _lock:
        _kept[key] = made
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return made


def _state(shop: Shop) -> tuple[Any, ...]:
    """The same as long as nobody drafts or edits anything of the shop that a slate could show."""
    drafts = DraftEdit.objects.filter(shop=shop).aggregate(n=Count("pk"), last=Max("pk"))
    rules = MerchandisingRule.objects.filter(shop=shop).aggregate(n=Count("pk"), last=Max("updated_at"))
    change = ClusterChange.objects.filter(shop=shop).order_by("-pk").values_list("pk", flat=True).first()
    version = versions.latest(shop)
    return drafts["n"], drafts["last"], rules["n"], rules["last"], change, version.number if version else 0


def _made(shop: Shop, now: Engine, definition: versions.Definition) -> Drafted:
    bare = now if now.bare is None else now.bare
    known = frozenset(bare.clusters.learned.cluster_ids.tolist())
    with drafting.as_if_published(shop) as done:
        fates, rules, release = tuple(done), read_rules(shop), Release.objects.active(shop)
        served = release is None or activation.edits_of(release) == activation.fingerprint(read_edits(shop, with_barred=False))
        edits = () if served else read_edits(shop, known=known)
    then, notes = now, []
    if release is not None and not served:
        root, manifest = releases.root_of(shop), release.components
        clusters = releases.load_component(root, "clusters", manifest["clusters"], catalogue=manifest["catalogue"])
        changed = with_edits(clusters, bare.catalogue, edits, bare.personas.attribute_descriptors)
        then = with_overlay(replace(bare, clusters=changed), replace(now.overlay, rules=rules))
    elif rules != now.overlay.rules:
        then = with_overlay(now, replace(now.overlay, rules=rules))
    sentences = tuple(versions.unpublished(shop))
    if sentences:
        try:
            then = persona_drafts.drafted_engine(shop, definition, on=then)
        except (persona_drafts.NotFittedError, PersonaError) as error:
            notes.append(f"The personas’ draft isn’t in the preview: {error}")
    waits = [fate for fate in fates if not fate.goes]
    if waits:
        many = "1 change waits" if len(waits) == 1 else f"{len(waits)} changes wait"
        notes.append(f"{many} for a decision under Unpublished changes and {'is' if len(waits) == 1 else 'are'} left out here.")
    return Drafted(now, then, fates, sentences, tuple(notes))
