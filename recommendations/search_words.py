"""Words that shoppers typed, where clusters tell of them: none stays that too few visitors have in the log after an erasure."""

from __future__ import annotations

import datetime as dt
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import cache
from itertools import chain

from django.db import transaction

from clusters.models import ItemCluster
from clusters.provenance import Provenance, labels_of, without_labels
from personas.component_files import save_component
from personas.events import CODE
from personas.models import ArchivedEvent, Erasure, Shop
from personas.queries import words
from recommendations import releases
from recommendations.cluster_statistics import least_visitors
from recommendations.models import Component, Release


def forget_rare(shop: Shop) -> int:
    """Blank what clusters tell of searches that fewer visitors than the shop's minimum support have in the log; how many labels.

    In the caller's transaction, which holds the shop's lock, so that no release is activated meanwhile. It goes from the
    rows and from what releases keep of their searches. Names are the released clusters': the next build gives them new ones.
    """
    rows = [row for row in ItemCluster.objects.filter(shop=shop) if row.provenance]
    kept: dict[str, list[Release]] = defaultdict(list)
    for release in Release.objects.filter(shop=shop, components__has_key=releases.SEARCHES):
        kept[release.components[releases.SEARCHES]].append(release)
    made: dict[str, Provenance] = {}
    for version, named in kept.items():
        with suppress(releases.ReleaseError):  # its files were pruned
            found = releases.provenance_of(named[0])
            assert found is not None, "they were chosen by it"
            made[version] = found
    traces = chain((row.provenance for row in rows), *(found.traces for found in made.values()))
    rare = _rare(shop, {label for trace in traces for label in labels_of(trace)})
    if not rare:
        return 0
    touched = [row for row in rows if labels_of(row.provenance) & rare]
    for row in touched:
        row.provenance = without_labels(row.provenance, rare)
    ItemCluster.objects.bulk_update(touched, ["provenance"], batch_size=200)
    for version, found in made.items():
        if any(labels_of(trace) & rare for trace in found.traces):
            new = save_component(releases.root_of(shop), releases.SEARCHES, found.without(rare))
            _replace(shop, kept[version], version, new)
    return len(rare)


def erased_since(shop: Shop, at: dt.datetime) -> bool:
    """Whether somebody was erased after what is being learned from may have been read."""
    return Erasure.objects.filter(shop=shop, at__gte=at).exists()


def has_searches(sessions: Collection[int]) -> bool:
    """Whether somebody typed something in one of these sessions, given by primary key; at most 500."""
    return ArchivedEvent.objects.filter(session__in=sessions, code=CODE["search"]).exists()


def _rare(shop: Shop, labels: Collection[str]) -> set[str]:
    """Those that fewer visitors than the minimum support searched for, in any query with all their words."""
    needed = {label: frozenset(words(label)) or frozenset({label.casefold()}) for label in labels}
    by_word: dict[str, list[str]] = defaultdict(list)
    for label, each in needed.items():
        by_word[min(each)].append(label)

    @cache
    def told(query: str) -> tuple[str, ...]:
        there = {*words(query), query.casefold()}
        return tuple(label for word in there for label in by_word.get(word, ()) if needed[label] <= there)

    least = least_visitors(shop)
    visitors: dict[str, set[object]] = {label: set() for label in labels}
    typed = ArchivedEvent.objects.learned_from(shop).filter(code=CODE["search"]).exclude(query="").order_by()
    if labels:
        for query, session, shopper in typed.values_list("query", "session_id", "session__shopper_id").iterator(
            chunk_size=10_000
        ):
            for label in told(query):
                if len(visitors[label]) < least:
                    visitors[label].add(f"session {session}" if shopper is None else shopper)
    return {label for label, who in visitors.items() if len(who) < least}


def _replace(shop: Shop, named: Iterable[Release], old: str, new: str) -> None:
    """Have releases name another component of their searches; the old one's files go once that is committed."""
    for release in named:
        release.components = {**release.components, releases.SEARCHES: new}
        release.save(update_fields=["components"])
    releases.record_components(shop, {releases.SEARCHES: new})
    Component.objects.filter(shop=shop, kind=releases.SEARCHES, version=old).delete()
    transaction.on_commit(lambda: shutil.rmtree(releases.root_of(shop) / releases.SEARCHES / old, ignore_errors=True))
