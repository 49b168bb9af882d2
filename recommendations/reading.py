"""Rows become arrays: a shop's items, its log and what merchandisers decided of its clusters, as training reads them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from django.db.models import Exists, OuterRef, Q, QuerySet

from clusters import kept_out_rows
from clusters.catalogue import Catalogue, build_catalogue
from clusters.edits import ClusterEdit
from clusters.models import ClusterBar, ClusterItemRule, ClusterMembership, ClusterTie, Item, ItemCluster
from personas.events import NAMES, UNKNOWN_ITEM, Event
from personas.models import ArchivedEvent, Session, Shop, TrainingEvent, in_chunks, moment
from personas.sessions import SessionLog
from recommendations.models import MerchandisingRule, ServedSlate
from recommendations.ranking.rules import Rule, Scope, Target
from recommendations.replaying import Served
from recommendations.session import Pending

CHUNK = 50_000
"""Rows read at a time, so that a million events are never a million Python tuples at once."""

MICROSECOND = 1e-6
"""How exactly the database keeps a time."""


def read_catalogue(shop: Shop) -> Catalogue:
    """All items of a shop."""
    return build_catalogue(Item.objects.filter(shop=shop).as_rows())


def read_edits(shop: Shop, *, known: Collection[int] | None = None, with_barred: bool = True) -> tuple[ClusterEdit, ...]:
    """What merchandisers decided of the shop's clusters and learning must keep, by cluster id; the others are left out.

    known : ids of the clusters that learning has made; those that it hasn't made yet and was given back are told too. None
        leaves them out: nobody decides anything of them.
    with_barred : whether to look up which items are of the kinds that are kept out, which costs a reading of the items; what was
        decided can be compared without.
    """
    there = Q(retired_at=None) | Q(locked=True)  # retired and locked: a learned one that was taken out by hand
    # A learned one may be gone because all of its items are such: forgotten then, it would be back with them in the next release.
    said = Q(Exists(ClusterBar.objects.filter(cluster=OuterRef("pk"))))
    said |= Q(Exists(ClusterItemRule.objects.filter(cluster=OuterRef("pk"), rule=ClusterItemRule.Rule.EXCLUDED)))
    there |= said & ~Q(kind__in=ItemCluster.HAND_KINDS)
    shops = ItemCluster.objects.filter(there, shop=shop)
    rules: dict[tuple[int, str], set[int]] = {}
    lessened: dict[int, dict[int, float]] = {}
    ruling = ClusterItemRule.objects.filter(cluster__in=shops).values_list("cluster", "item", "rule", "factor")
    for cluster, item, rule, factor in ruling:
        rules.setdefault((cluster, rule), set()).add(item)
        if factor is not None:
            lessened.setdefault(cluster, {})[item] = factor
    ties: dict[int, dict[int, float]] = {}
    for source, target, weight in ClusterTie.objects.filter(source__in=shops).values_list("source", "target", "weight"):
        ties.setdefault(source, {})[target] = weight
    bars = kept_out_rows.bars_of(shop)
    kept_out = {kind for kinds in bars.values() for kind in kinds} if with_barred else ()
    of_kind = kept_out_rows.by_kind(shop, kept_out)
    ruled = {cluster for cluster, _ in rules} | ties.keys() | bars.keys()
    rows = list(shops.defer("descriptors", "parts", "provenance").order_by("pk"))
    holds = {row.pk for row in rows if row.is_hand_owned}
    back = {row.pk for row in rows if known is not None and row.pk not in known} - holds
    members: dict[int, dict[int, float]] = {}
    for chunk in in_chunks(holds):
        held = ClusterMembership.objects.filter(cluster__in=chunk).order_by("cluster", "item")
        for cluster, item, weight in held.values_list("cluster", "item", "weight"):
            members.setdefault(cluster, {})[item] = weight
    return tuple(
        ClusterEdit(
            cluster_id=row.pk,
            kind=row.kind,
            name=row.name if row.named_by_hand or row.pk in holds else "",
            locked=row.locked,
            members=members.get(row.pk, {}) if row.pk in holds else None,
            core=frozenset(rules.get((row.pk, ClusterItemRule.Rule.CORE), ())),
            excluded=frozenset(rules.get((row.pk, ClusterItemRule.Rule.EXCLUDED), ())),
            taken=frozenset(rules.get((row.pk, ClusterItemRule.Rule.TAKEN), ())),
            lessened=lessened.get(row.pk, {}),
            ties=ties.get(row.pk, {}),
            bars=bars.get(row.pk, ()),
            barred=frozenset().union(*(of_kind[kind] for kind in bars.get(row.pk, ()))) if with_barred else None,
            minimum=row.minimum_size,
            maximum=row.maximum_size,
            retired=row.retired_at is not None and row.locked,
        )
        for row in rows
        if row.pk in holds | back or row.named_by_hand or row.minimum_size or row.maximum_size or row.pk in ruled
    )


def read_rules(shop: Shop) -> tuple[Rule, ...]:
    """The merchandisers' rules that are switched on, by id, whatever their dates."""
    return tuple(read_rule(row) for row in MerchandisingRule.objects.acting().filter(shop=shop).order_by("pk"))


def read_rule(row: MerchandisingRule) -> Rule:
    """A row in the form that the engine takes; places count from 0 there."""
    target = row.target
    return Rule(
        rule_id=row.pk,
        name=row.name,
        action=row.action,
        target=Target(
            items=tuple(target.get("items", ())),
            categories=tuple(target.get("categories", ())),
            brands=tuple(target.get("brands", ())),
            attributes=tuple(target.get("attributes", ())),
            clusters=tuple(target.get("clusters", ())),
            price_min=target.get("price_min"),
            price_max=target.get("price_max"),
        ),
        scope=Scope(
            personas=tuple(row.personas),
            contexts=tuple(row.contexts),
            clusters=tuple(row.clusters),
            starts=None if row.starts_at is None else row.starts_at.timestamp(),
            ends=None if row.ends_at is None else row.ends_at.timestamp(),
        ),
        slot=(row.slot or 1) - 1,
        strength=1.0 if row.strength is None else row.strength,
        share=1.0 if row.share is None else row.share,
        margin=0.0 if row.margin is None else row.margin,
        holdout=row.holdout,
    )


def read_log(
    shop: Shop, catalogue: Catalogue, sessions: Collection[int] | None = None, *, since: dt.datetime | None = None
) -> tuple[SessionLog, list[dict[str, str]]]:
    """The archived log of a shop, and the context of each of its sessions in the log's order.

    A session that is erased, or outlives its retention, while it is being read is left out.
    sessions : primary keys of the only ones to read, at most 500; None for all.
    since : time that the last event of a session to read must have come at, or after; None for all.
    """
    all_events, all_sessions = ArchivedEvent.objects.all(), Session.objects.all()
    if sessions is not None:
        all_events, all_sessions = all_events.filter(session__in=sessions), all_sessions.filter(pk__in=sessions)
    if since is not None:
        all_events, all_sessions = all_events.filter(session__last_at__gte=since), all_sessions.filter(last_at__gte=since)
    rows = all_events.for_training(shop)
    columns: list[np.ndarray] = []
    buffer: list[tuple[float, ...]] = []
    queries: list[str] = []
    for *row, query in rows:
        buffer.append(tuple(np.nan if value is None else value for value in row))
        queries.append(query)
        if len(buffer) == CHUNK:
            columns.append(np.array(buffer, dtype=np.float64))
            buffer = []
    if buffer:
        columns.append(np.array(buffer, dtype=np.float64))
    table = np.concatenate(columns) if columns else np.zeros((0, len(TrainingEvent._fields) - 1))
    told = {row.pk: row for row in all_sessions.for_training(shop)}
    keys = table[:, 0].astype(np.int64)
    words = np.array(queries, dtype=object)
    there = np.isin(keys, np.fromiter(told, dtype=np.int64, count=len(told)))
    if not there.all():
        table, keys, words = table[there], keys[there], words[there]
    _, code, item, at, place, dwell, price, _ = table.T
    log = SessionLog.of(
        keys,
        catalogue.positions(item.astype(np.int64).tolist()),
        at,
        code=code.astype(np.int8),
        order=place,
        user=np.array([told[k].shopper for k in keys.tolist()]) if len(keys) else None,
        dwell_s=dwell,
        price=price,
        clock=_coarsest({row.clock for row in told.values()}),
        query=words,
    )
    read = [told[int(k)] for k in log.keys.tolist()]
    return log, [_words({**row.context, **row.demographics}) for row in read]


def _coarsest(clocks: set[str]) -> str:
    """What can be said of every session's time, when a file knew only the day and live events know the second."""
    return next((c for c in ("order", "day") if c in clocks), "second")


def _words(context: Mapping[str, object]) -> dict[str, str]:
    return {str(k): str(v) for k, v in context.items() if v not in (None, "")}


class PastSession(NamedTuple):
    """What `replaying.replay` takes of a session. started_at : seconds since the epoch.

    earlier : archetype id -> share that the shopper's earlier sessions gave its prior, {} for a guest.
    """

    session: str
    shopper: str
    context: dict[str, str]
    started_at: float
    events: tuple[Event, ...]
    served: tuple[Served, ...]
    earlier: dict[int, float]


def events_of(session: Session) -> QuerySet[ArchivedEvent]:
    """A session's archived events in their order, without those received before it started: they are of an earlier life of
    the same id, whose state had run out. A live session starts when its first turn came, which may be long after its first
    event's own time."""
    since = moment(_started_at(session) - MICROSECOND)
    return ArchivedEvent.objects.of_session(session).filter(received_at__gte=since)


def _started_at(session: Session) -> float:
    return float((session.persona or {}).get("started_at", session.started_at.timestamp()))


def read_session(session: Session, *, most: int | None = None, till: float | None = None) -> PastSession:
    """A session's archived events as they were when they were observed, the first `most` of them, and the slates given
    till then; with `till`, seconds since the epoch, those received and given till that time.

    Its evidence is what came with it, the purchases that were remembered of its shopper, and their demographics while they
    consent.
    """
    started_at = _started_at(session)
    rows = events_of(session) if till is None else events_of(session).filter(received_at__lte=moment(till))
    lived = tuple(read_event(row) for row in rows[:most])
    if till is None:
        till = lived[-1].received_at if lived else started_at
    slates = ServedSlate.objects.filter(
        shop=session.shop_id, session_id=session.session_id, at__gte=moment(started_at), at__lte=moment(till)
    )
    return _past(session, lived, tuple(_served(slate) for slate in slates.order_by("at", "pk")))


def read_sessions(sessions: Sequence[Session], *, most: int) -> list[PastSession]:
    """`read_session` of some sessions of one shop, each as if it were read alone, in two queries. At most 500."""
    rows = ArchivedEvent.objects.filter(session__in=[s.pk for s in sessions]).order_by("session_id", "place", "pk")
    began = {s.pk: moment(_started_at(s) - MICROSECOND) for s in sessions}
    lived: dict[int, list[Event]] = {s.pk: [] for s in sessions}
    for row in rows:
        if row.received_at >= began[row.session_id] and len(lived[row.session_id]) < most:
            lived[row.session_id].append(read_event(row))
    given: dict[str, list[Served]] = {s.session_id: [] for s in sessions}
    for slate in ServedSlate.objects.filter(shop__in={s.shop_id for s in sessions}, session_id__in=given).order_by("at", "pk"):
        given[slate.session_id].append(_served(slate))
    told = []
    for session in sessions:
        events, first = tuple(lived[session.pk]), _started_at(session)
        last = events[-1].received_at if events else first
        served = tuple(s for s in given[session.session_id] if first - MICROSECOND <= s.at <= last + MICROSECOND)
        told.append(_past(session, events, served))
    return told


def _past(session: Session, events: tuple[Event, ...], served: tuple[Served, ...]) -> PastSession:
    """session : with its shopper."""
    summary, shopper = session.persona or {}, session.shopper
    consented = shopper.demographics if shopper is not None and shopper.consent_demographics else {}
    return PastSession(
        session=session.session_id,
        shopper=shopper.external_id if shopper is not None else "",
        context=_words({**summary.get("history", {}), **consented, **session.context}),
        started_at=_started_at(session),
        events=events,
        served=served,
        earlier={int(archetype): float(share) for archetype, share in summary.get("earlier", {}).items()},
    )


def read_event(row: ArchivedEvent) -> Event:
    """An archived event in the form that `engine.observe` takes; ids of items are those of the time it was received."""
    data = row.data or {}
    single = (row.item,) if row.item != UNKNOWN_ITEM or row.item_ref else ()
    return Event(
        event_id=row.event_id,
        name=NAMES[row.code],
        at=row.at.timestamp(),
        received_at=row.received_at.timestamp(),
        items=tuple(data.get("items", single)),
        query=row.query,
        dwell_s=row.dwell_s,
        price=row.price,
        quantity=row.quantity,
        recommendation_id=data.get("recommendation_id", ""),
        slots=tuple(data.get("slots", ())),
        clock_ahead=bool(data.get("clock_ahead", False)),
        value=data.get("value"),
    )


def _served(slate: ServedSlate) -> Served:
    items = tuple(entry["item"] for entry in slate.items)
    clusters = tuple(entry["cluster"] for entry in slate.items)
    return Served(slate.at.timestamp(), Pending(slate.recommendation_id, items, clusters))
