"""Decisions to sums, chunk by chunk: what each led to is credited once, and what a chunk taught is kept.

A chunk is a run of primary keys. It is *claimed* by a row without statistics, then *sealed*: rewards and statistics are
written in one transaction. Any number of workers may seal; one that is killed leaves a claim that the next one seals.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Max, Min, QuerySet, TextField
from django.db.models.functions import Cast

from clusters.crediting import credited
from clusters.policy import ACTIONS, Statistics, nothing, statistics
from clusters.rewards import Rewards
from personas.models import Epoch, Shop, moment
from recommendations import releases
from recommendations.learning.models import PolicyEvidence, PolicyVersion
from recommendations.learning.reading import LATE_S, as_one, features_array, followed, plain, uncollected
from recommendations.locks import renewed
from recommendations.models import AdaptationDecision
from recommendations.serving.activity import StreamLog

logger = logging.getLogger(__name__)

CHUNK = 20_000
"""Decisions of a chunk: sealed in a second, in some tens of megabytes."""

SEAL_S = 3600.0
"""Seconds that fewer wait to be sealed: rows of sums are for hours, not minutes."""

LOCK_S = 60.0
"""Seconds that a killed worker's chunk is left alone."""

WHOLE_DAYS = 3
"""Days whose chunks are kept apart; those of older days are one a day."""

FORGOTTEN = 10
"""Half lives after which what was learned weighs a thousandth, and goes."""


class Day(NamedTuple):
    """What a day's decisions of one policy came to. All sums, so that parts add up.

    actions : of each action, decisions, credited or not.  credited, sessions : decisions with a reward, and their sessions.
    reward : sum.  square, cross, count2 : over sessions, of (sum of rewards)^2, (sum of rewards) x decisions, decisions^2.
    """

    day: str
    policy: str
    actions: list[int]
    credited: int
    sessions: int
    reward: float
    square: float
    cross: float
    count2: float

    def plus(self, other: Day) -> Day:
        both = [a + b for a, b in zip(self.actions, other.actions, strict=True)]
        return Day(
            self.day,
            self.policy,
            both,
            self.credited + other.credited,
            self.sessions + other.sessions,
            self.reward + other.reward,
            self.square + other.square,
            self.cross + other.cross,
            self.count2 + other.count2,
        )


def ripe_before(rewards: Rewards, *, now: float) -> float:
    """Time before which all that a decision may have led to is in the archive: an archiver that is behind holds learning up."""
    oldest = StreamLog(releases.redis_client(), partitions=settings.ACTIVITY_PARTITIONS).oldest()
    return min(now - LATE_S, now if oldest is None else oldest) - rewards.window_s


def claim(shop: Shop, *, before: float, all_of_it: bool = False) -> int:
    """Lay out chunks of decisions of before a time (seconds) that are in none yet; how many.

    all_of_it : also few, and of lately; else they wait until there are many, or for `SEAL_S`.

    Primary keys are given before they are committed, so that a low one may come late. The archiver holds the shop's row while
    it writes: under that lock every key up to the highest is there, or never will be.
    """
    with transaction.atomic():
        _lock(shop)
        last = _last(shop)
        high = _of(shop).order_by("-pk").values_list("pk", flat=True).first() or 0
    chunks: list[PolicyEvidence] = []
    after, until = last, moment(before)
    # By the index of times, which holds keys too; the sum keeps databases from looking through every row for the first of them.
    lately = AdaptationDecision.objects.filter(shop=shop, at__gte=until).annotate(key=F("pk") + 0).filter(key__gt=last)
    unripe = lately.aggregate(first=Min("key"))["first"]
    if unripe is not None:
        high = min(high, unripe - 1)
    while after < high:
        rows = _of(shop).filter(pk__gt=after, pk__lte=high).order_by("pk")[:CHUNK]
        found = rows.aggregate(count=Count("pk"), first=Min("pk"), last=Max("pk"), earliest=Min("at"), latest=Max("at"))
        count = found["count"]
        if not count or (count < CHUNK and not all_of_it and found["earliest"] >= until - dt.timedelta(seconds=SEAL_S)):
            break
        day = found["latest"].astimezone(dt.UTC).date()
        chunks.append(
            PolicyEvidence(
                shop=shop, first=found["first"], last=found["last"], day=day, decisions=count, credited=0, statistics={}
            )
        )
        after = found["last"]
    with transaction.atomic():
        _lock(shop)
        if _last(shop) != last:
            return 0  # another worker has laid them out meanwhile
        PolicyEvidence.objects.bulk_create(chunks)
    return len(chunks)


def _of(shop: Shop) -> QuerySet[AdaptationDecision]:
    # The sum keeps SQLite from an index of the shop's, by which it would sort all its rows for each chunk.
    return AdaptationDecision.objects.annotate(of_shop=F("shop_id") + 0).filter(of_shop=shop.pk)


def _lock(shop: Shop) -> None:
    Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)


def _last(shop: Shop) -> int:
    return PolicyEvidence.objects.filter(shop=shop).order_by("-first").values_list("last", flat=True).first() or 0


def seal(shop: Shop, rewards: Rewards, *, progress: Callable[[float], None] = lambda share: None) -> bool:
    """Seal every chunk that nobody is at; whether all are sealed then. progress : called with how far it is, 0 to 1."""
    client = releases.redis_client()
    waiting = PolicyEvidence.objects.filter(shop=shop, statistics={}).order_by("first")
    found = list(waiting.values_list("pk", "first"))
    for n, (pk, first) in enumerate(found):
        progress(n / len(found))
        lock = client.lock(f"learning:{shop.pk}:{first}", timeout=LOCK_S, blocking=False, thread_local=False)
        if not lock.acquire():
            continue
        with renewed(lock, every=LOCK_S / 3):
            chunk = waiting.filter(pk=pk).first()  # it may be sealed since we looked
            if chunk is not None:
                _seal(shop, chunk, rewards)
    return not waiting.exists()


def _seal(shop: Shop, chunk: PolicyEvidence, rewards: Rewards) -> None:
    with uncollected():
        told, pairs, decisions = _taught(shop, chunk, rewards)
    with transaction.atomic():
        mine = PolicyEvidence.objects.filter(pk=chunk.pk, statistics={})
        if mine.update(statistics=told, credited=len(pairs), decisions=decisions, sealed_at=dt.datetime.now(dt.UTC)):
            _write_rewards(pairs)


def _taught(shop: Shop, chunk: PolicyEvidence, rewards: Rewards) -> tuple[dict[str, Any], list[tuple[float, int]], int]:
    """A chunk's statistics as they are kept; (reward, pk) of those of its decisions that have one; how many there are."""
    texts = (Cast(F("features"), TextField()), Cast(F("propensities"), TextField()))
    columns = ("pk", "session_id", Epoch("at"), "action", "policy", *texts)
    rows = _of(shop).filter(pk__gte=chunk.first, pk__lte=chunk.last).order_by("pk").values_list(*columns)
    # Before options were logged the propensities were of three actions; they say nothing of what is chosen among today.
    taken = [row for row in plain(rows) if row[6] != "[]" and row[3] in _CODES]
    pks, names, at, actions, policies, features, _ = zip(*taken, strict=True) if taken else ((),) * 7
    times = np.array(at, dtype=np.float64)
    number: dict[str, int] = {}
    session = np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)
    happened = followed(shop, list(number))
    earned = credited(rewards, session, times, happened)
    late = 0
    if happened.late:
        came_late = np.array([each in happened.late for each in zip(session.tolist(), at, strict=True)])
        earned[came_late], late = np.nan, int(came_late.sum())
        logger.info("%s decisions of %s came in too late to be credited", late, shop.slug)
    codes = np.array([_CODES[action] for action in actions], dtype=np.int64)
    has = ~np.isnan(earned)
    dates = days_at(times)
    sums = {}
    if has.any():
        x = features_array(msgspec.json.decode(as_one(features), type=list[list[float]]))
        for day in np.unique(dates[has]):
            of = has & (dates == day)
            sums[str(day)] = statistics(x[of], codes[of], earned[of]).to_json()
    told = {"sums": sums, "days": days_of(names, dates, policies, codes, earned), **({"late": late} if late else {})}
    pairs = [(reward, pk) for pk, reward in zip(pks, earned.tolist(), strict=True) if reward == reward]
    return told, pairs, len(pks)


_CODES = {name: code for code, name in enumerate(ACTIONS)}


def _write_rewards(pairs: Sequence[tuple[float, int]]) -> None:
    """(reward, pk) of decisions; those that were erased meanwhile are not there."""
    table = connection.ops.quote_name(AdaptationDecision._meta.db_table)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            sql = f"UPDATE {table} AS d SET reward = v.r FROM unnest(%s::float8[], %s::bigint[]) AS v(r, id) WHERE d.id = v.id"
            cursor.execute(sql, [[reward for reward, _ in pairs], [pk for _, pk in pairs]])
        else:
            cursor.executemany(f"UPDATE {table} SET reward = %s WHERE id = %s", pairs)


def days_at(at: np.ndarray) -> np.ndarray:
    """(n,) datetime64[D], in UTC, of seconds since the epoch."""
    return at.astype(np.int64).astype("datetime64[s]").astype("datetime64[D]")


def days_of(
    names: Sequence[str], dates: np.ndarray, policies: Sequence[str], actions: np.ndarray, rewards: np.ndarray
) -> list[Day]:
    """`Day`s of decisions: their sessions, dates (n,), policies, action codes (n,) and rewards (n,), NaN for none."""
    group: dict[tuple[str, str], int] = {}
    session: dict[str, int] = {}
    keys = zip(dates.astype(str).tolist(), policies, strict=True)
    of = np.array([group.setdefault(key, len(group)) for key in keys], dtype=np.int64)
    who = np.array([session.setdefault(name, len(session)) for name in names], dtype=np.int64)
    found = []
    for (day, policy), n in group.items():
        mine = of == n
        has = mine & ~np.isnan(rewards)
        _, place = np.unique(who[has], return_inverse=True)
        sums, counts = np.bincount(place, rewards[has]), np.bincount(place)
        found.append(
            Day(
                day,
                policy,
                np.bincount(actions[mine], minlength=len(ACTIONS)).tolist(),
                int(has.sum()),
                len(counts),
                float(sums.sum()),
                float(sums @ sums),
                float(sums @ counts),
                float(counts @ counts),
            )
        )
    return found


# What is sealed


def sealed(shop: Shop, *, upto: int | None = None) -> QuerySet[PolicyEvidence]:
    """Sealed chunks, the earliest first, up to the first that isn't. upto : highest primary key of a decision, None for all."""
    chunks = PolicyEvidence.objects.filter(shop=shop).order_by("first")
    waiting = chunks.filter(statistics={}).values_list("first", flat=True).first()
    if waiting is not None:
        chunks = chunks.filter(first__lt=waiting)
    return chunks if upto is None else chunks.filter(last__lte=upto)


def weights(dates: np.ndarray, today: dt.date, half_life_days: float) -> np.ndarray:
    """(n,) how much decisions of dates (n,) count on another day."""
    age = (np.datetime64(today, "D") - dates.astype("datetime64[D]")).astype(np.int64)
    return np.asarray(0.5 ** (np.maximum(age, 0) / half_life_days))


def total(chunks: Iterable[PolicyEvidence], today: dt.date, half_life_days: float) -> Statistics:
    """What sealed chunks teach together, older days less. How decisions were cut into chunks doesn't matter."""
    found = nothing()
    for chunk in chunks:
        sums: Mapping[str, Any] = chunk.statistics["sums"]
        by = weights(np.array(list(sums), dtype="datetime64[D]"), today, half_life_days).tolist()
        for told, weight in zip(sums.values(), by, strict=True):
            found += Statistics.from_json(told).scaled(weight)
    return found


def late_of(chunks: Iterable[PolicyEvidence]) -> int:
    """How many decisions teach nothing because the events that they were made upon came in late (`reading.LATE_S`)."""
    return sum(int(chunk.statistics.get("late", 0)) for chunk in chunks)


def days(chunks: Iterable[PolicyEvidence]) -> list[Day]:
    """Each day's decisions by policy, in order of days."""
    return sorted(_added(Day(*told) for chunk in chunks for told in chunk.statistics.get("days", ())))


def _added(parts: Iterable[Day]) -> Iterable[Day]:
    found: dict[tuple[str, str], Day] = {}
    for part in parts:
        key = part.day, part.policy
        found[key] = found[key].plus(part) if key in found else part
    return found.values()


def compact(shop: Shop, today: dt.date, half_life_days: float) -> None:
    """Make one of each past day's chunks, and let those go that hardly weigh. Only one worker at a time may; see `policies`.

    Nothing is joined beyond what the newest policy learned from, before it is judged: by what is sealed up to there it will be.
    """
    with transaction.atomic():
        _lock(shop)
        newest = PolicyVersion.objects.filter(shop=shop, learned__has_key="last").order_by("-pk").first()
        end = newest.learned["last"] if newest is not None and not newest.verdict else None
        chunks = list(sealed(shop))
        gone: list[int] = []
        kept: PolicyEvidence | None = None
        for chunk in chunks[:-1]:  # the last one says up to where decisions are in chunks
            if (today - chunk.day).days <= WHOLE_DAYS:
                break
            if (today - chunk.day).days > FORGOTTEN * half_life_days:
                gone.append(chunk.pk)
            elif kept is not None and kept.day == chunk.day and kept.last != end:
                _join(kept, chunk)
                gone.append(chunk.pk)
            else:
                kept = chunk
        PolicyEvidence.objects.filter(pk__in=gone).delete()


def _join(kept: PolicyEvidence, chunk: PolicyEvidence) -> None:
    sums: dict[str, Any] = dict(kept.statistics["sums"])
    for day, told in chunk.statistics["sums"].items():
        sums[day] = (Statistics.from_json(sums[day]) + Statistics.from_json(told)).to_json() if day in sums else told
    late = late_of((kept, chunk))
    told = {"sums": sums, "days": list(days((kept, chunk))), **({"late": late} if late else {})}
    kept.last, kept.statistics = chunk.last, told
    kept.decisions, kept.credited = kept.decisions + chunk.decisions, kept.credited + chunk.credited
    kept.save()
