"""What Redis holds of a shopper between visits: who they were, what they bought, and demographics where they consented.

A copy that the hot path reads with one GET when a shopper comes; the database is the truth, and a worker writes the copy
anew after every batch that the archiver took, and every night. A Redis that lost it costs a guest's prior until then.
A guest's id that was merged into a shopper holds only whose it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from django.conf import settings
from django.db import OperationalError
from django.db.models import F, Window
from django.db.models.functions import RowNumber
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from clusters.catalogue import Catalogue
from personas import memory as blending
from personas.encoding import ItemFacts
from personas.events import CODE, UNKNOWN_ITEM
from personas.history import Purchase, purchase_evidence
from personas.importing import shoppers_changed
from personas.memory import Remembered
from personas.models import ArchivedEvent, Session, Shop, Shopper, ShopperAlias, in_chunks, moment
from personas.profile import PersonaModel
from personas.sessions import NO_ITEM
from personas.summaries import summarise
from recommendations import releases
from recommendations.engine import clock_evidence
from recommendations.models import Release
from recommendations.ranking.reminders import WANTED_CODES, reminders_of
from recommendations.reading import read_log
from recommendations.serving import held
from recommendations.serving.activity import partition

logger = logging.getLogger(__name__)

TTL_S = 30 * 24 * 3600
"""Life of a copy that nobody renewed. Who comes back later is a guest for their first visit, while a worker looks them up."""

WANTED = "shoppers:wanted"
"""Set of msgpack (shop, shopper) pairs whose memory a worker should write anew."""

MOST_WANTED = 100_000
"""Beyond as many, misses ask no more; what is archived, and every night, still does."""

SYNCED = "shoppers:synced"
"""Hash of shop -> number of the release under which all of its shoppers' memory was last asked to be written anew."""

LOCK_S = 120.0


class Memory(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """personas : archetype id -> share, of `sessions` earlier sessions, worth `weight` (`personas.memory.weight`) at `at`.

    history : evidence of purchases.  own : ids of items wanted before (`ranking.reminders`).
    demographics : only with recorded consent.  at : seconds since the epoch.
    alias_of : the shopper in whom this id was merged; all else is then empty.
    """

    personas: dict[int, float] = {}
    weight: float = 0.0
    sessions: int = 0
    history: dict[str, str] = {}
    demographics: dict[str, str] = {}
    own: tuple[int, ...] = ()
    at: float = 0.0
    alias_of: str = ""

    def earlier(self, now: float) -> dict[int, float]:
        """Archetype id -> share, summing to what the memory is worth at `now` (seconds since the epoch), at most 1."""
        worth = blending.strength(self.weight * blending.faded((now - self.at) / 86_400.0))
        return {archetype: round(share * worth, 6) for archetype, share in self.personas.items()}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Memory).decode
_decode_wanted = msgspec.msgpack.Decoder(tuple[int, str]).decode


def key(shop: int, shopper: str, partitions: int) -> str:
    return f"{{{partition(shop, shopper, partitions)}}}:shopper:{shop}:{shopper}"


def decode(data: bytes | None) -> Memory | None:
    """A memory, or None for what is missing, damaged or of another shape: it is written anew, never guessed at."""
    if data is None:
        return None
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        logger.warning("a shopper's memory can't be read (%s); it will be written anew", error)
        return None


async def _get(client: AsyncRedis, name: str) -> bytes | None:
    data: Any = await client.get(name)
    return data


async def recall(client: AsyncRedis, shop: int, shopper: str, *, partitions: int) -> Memory | None:
    """What is held of a shopper, whichever of their ids is given. A miss asks a worker to look them up."""
    found = decode(await _get(client, key(shop, shopper, partitions)))
    if found is not None and found.alias_of:
        shopper = found.alias_of
        found = decode(await _get(client, key(shop, shopper, partitions)))
    if found is None and await client.scard(WANTED) < MOST_WANTED:
        await client.sadd(WANTED, _encode((shop, shopper)))
    return found


def read(shop: int, shopper: str, client: Redis | None = None) -> Memory | None:
    """What is held under this id, for those who may ask; an alias says so and is not followed."""
    data: Any = (client or _connect()).get(key(shop, shopper, settings.ACTIVITY_PARTITIONS))
    return decode(data)


def want(shop: int, shoppers: Iterable[str], client: Redis | None = None) -> None:
    """Have a worker write these shoppers' memory anew, soon."""
    members = [_encode((shop, shopper)) for shopper in shoppers]
    if members:
        (client or _connect()).sadd(WANTED, *members)


def rebuild_wanted(*, seconds: float = 10.0, client: Redis | None = None, batch: int = 200) -> int:
    """Write anew what is wanted, for at most about so long; the number of ids. The rest waits for the next time."""
    client = client or _connect()
    done, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        members: Any = client.spop(WANTED, batch)
        if not members:
            break
        wanted: dict[int, list[str]] = {}
        for member in members:
            shop, shopper = _decode_wanted(member)
            wanted.setdefault(shop, []).append(shopper)
        try:
            for row in Shop.objects.filter(pk__in=wanted):
                _rebuild_some(row, wanted[row.pk], client)
        except (OperationalError, RedisError):
            client.sadd(WANTED, *members)
            raise
        done += len(members)
    return done


def _rebuild_some(shop: Shop, shoppers: Collection[str], client: Redis) -> None:
    """`rebuild`, where what can't be rebuilt is told and left for the night: asking again at once would fail again."""
    try:
        rebuild(shop, shoppers, client=client)
    except (OperationalError, RedisError):
        raise
    except Exception:
        logger.exception("the memory of %s shoppers of shop %s could not be written anew", len(shoppers), shop.pk)


def unsynced(client: Redis | None = None) -> list[int]:
    """Shops to `sync`: those with a release that their memory was not yet written under, as after a Redis that lost its data.

    Each is named once, to whoever asks first.
    """
    client = client or _connect()
    active = Release.objects.filter(state=Release.State.ACTIVE).order_by().values_list("shop_id", "number")
    synced: Any = client.hgetall(SYNCED)
    found = [shop for shop, number in active if synced.get(b"%d" % shop) != b"%d" % number]
    numbers = dict(active)
    for shop in found:
        client.hset(SYNCED, str(shop), str(numbers[shop]))
    return found


def sync(shop: Shop, *, client: Redis | None = None) -> int:
    """Write anew what is held of a shop's shoppers, and what should be: of those who came within `TTL_S`, and of aliases.

    The number of ids.
    """
    client, done = client or _connect(), 0
    since = time.time() - TTL_S
    lately = Session.objects.filter(shop=shop, last_at__gte=moment(since), shopper__isnull=False).order_by()
    recent = Shopper.objects.filter(shop=shop, pk__in=lately.values("shopper")).order_by("pk")
    aliases = ShopperAlias.objects.filter(shop=shop).order_by("pk")
    due = (rows.values_list("external_id", flat=True).iterator(chunk_size=2_000) for rows in (recent, aliases))
    written: set[str] = set()
    for source in (_held(client, shop.pk), *due):
        for chunk in in_chunks(shopper for shopper in source if shopper not in written):
            rebuild(shop, chunk, client=client)
            written.update(chunk)
            done += len(chunk)
    return done


def _held(client: Redis, shop: int) -> Iterator[str]:
    """Ids of a shop of which something is held."""
    for found in held.scan(client, "shopper", shop):
        yield found.split(":", 3)[3]


def rebuild(shop: Shop, shopper_ids: Collection[str], *, client: Redis | None = None, now: float | None = None) -> int:
    """Write anew what Redis holds of these ids, from the database as it is now; how many of them it knows.

    Call it after the transaction that changed something. An id that the database doesn't know is forgotten. Rebuilds of a
    shop go one after the other, so that none writes what it read before another's change.
    """
    client = client or _connect()
    at = time.time() if now is None else now
    known = 0
    with client.lock(f"memory:{shop.pk}", timeout=LOCK_S):
        for ids in in_chunks(dict.fromkeys(shopper_ids)):
            written = _of_shoppers(shop, ids, at=at)
            pipe = client.pipeline(transaction=False)
            for shopper in ids:
                where = key(shop.pk, shopper, settings.ACTIVITY_PARTITIONS)
                if shopper in written:
                    pipe.set(where, _encode(written[shopper]), ex=TTL_S)
                else:
                    pipe.delete(where)
            pipe.execute()
            known += len(written)
    return known


def forget(shop: int, shopper_ids: Collection[str], *, client: Redis | None = None) -> int:
    """Delete what is held of these ids, aliases included where they are named; the number of keys that were there.

    Call it once the database has forgotten them: no rebuild that is under way then brings them back.
    """
    if not shopper_ids:
        return 0
    client = client or _connect()
    with client.lock(f"memory:{shop}", timeout=LOCK_S):
        client.srem(WANTED, *(_encode((shop, shopper)) for shopper in shopper_ids))
        pipe = client.pipeline(transaction=False)
        for shopper in shopper_ids:
            pipe.delete(key(shop, shopper, settings.ACTIVITY_PARTITIONS))
        return sum(int(n) for n in pipe.execute())


def renew(sender: Any, shop: Shop, external_ids: Collection[str], **_: object) -> None:
    """Have shoppers' memory written anew upon a change of their rows, such as a consent that was withdrawn."""
    try:
        want(shop.pk, external_ids)
    except RedisError:
        logger.exception("the memory of %s shoppers of %s stays as it was until the night", len(external_ids), shop.slug)


def connect_signals() -> None:
    """Called once when the app is ready."""
    shoppers_changed.connect(renew, dispatch_uid="shoppers-memory")


def _connect() -> Redis:
    return Redis.from_url(settings.REDIS_URL)


def _of_shoppers(shop: Shop, ids: Sequence[str], *, at: float) -> dict[str, Memory]:
    """Memory by id, of at most 500 ids: shoppers', and aliases, which name theirs."""
    whose = ShopperAlias.objects.filter(shop=shop, external_id__in=ids).values_list("external_id", "shopper__external_id")
    found = {alias: Memory(alias_of=shopper) for alias, shopper in whose}
    shoppers = {s.pk: s for s in Shopper.objects.filter(shop=shop, external_id__in=ids)}
    sessions, bought = _remembered(shop, shoppers), _bought(shop, shoppers)
    for pk, shopper in shoppers.items():
        told = blending.latest(sessions[pk])
        found[shopper.external_id] = Memory(
            personas={archetype: round(share, 6) for archetype, share in blending.blend(told, now=at).items()},
            weight=sum(blending.weight(session, now=at) for session in told),
            sessions=len(told),
            history=bought[pk][0],
            own=bought[pk][1],
            demographics=_words(shopper.demographics) if shopper.consent_demographics else {},
            at=at,
        )
    return found


def _remembered(shop: Shop, shoppers: Collection[int]) -> dict[int, list[Remembered]]:
    """Shopper's pk -> the latest sessions, oldest first. What no process served is filtered now, and kept with its row."""
    newest = Window(RowNumber(), partition_by=F("shopper"), order_by=(F("last_at").desc(), F("pk").desc()))
    rows = Session.objects.learned_from(shop).filter(shopper__in=shoppers, events__gt=0)
    rows = rows.order_by("last_at", "pk")
    latest = list(rows.annotate(nth=newest).filter(nth__lte=blending.SESSIONS).values_list("pk", "shopper", "persona", "last_at"))
    filtered = summarise_sessions(shop, [pk for pk, _, persona, _ in latest if persona is None])
    found: dict[int, list[Remembered]] = {pk: [] for pk in shoppers}
    for pk, shopper, persona, last_at in latest:
        told = persona or filtered.get(pk)
        if told:
            found[shopper].append(_as_remembered(told, last_at.timestamp()))
    return found


def _as_remembered(persona: Any, ended_at: float) -> Remembered:
    """A session's summary as a row keeps it; one of before there were shares holds the last belief."""
    shares = persona.get("shares") or persona.get("belief") or {}
    return Remembered(ended_at, int(persona.get("steps", 1)), {int(archetype): float(p) for archetype, p in shares.items()})


def summarise_sessions(shop: Shop, sessions: Collection[int]) -> dict[int, dict[str, Any]]:
    """Filter archived sessions that no process served with the active release, and keep each one's `persona` with its row.

    sessions : primary keys. By key, what was written; those without a step, or without a release, are left as they are.
    """
    known = _known(shop) if sessions else None
    if known is None:
        return {}
    found: dict[int, dict[str, Any]] = {}
    for chunk in in_chunks(sessions):
        log, contexts = read_log(shop, known.catalogue, chunk)
        clocks = [clock_evidence(at) if log.clock == "second" else {} for at in log.starts.tolist()]
        told = summarise(known.personas, log, [clock | given for clock, given in zip(clocks, contexts, strict=True)])
        ends = log.at[log.offsets[told.sessions + 1] - 1] if len(told.sessions) else []
        for s, steps, belief, shares, end in zip(*told, ends, strict=True):
            found[int(log.keys[s])] = {
                "at": float(end),
                "release": known.release,
                "belief": _by_id(known.personas, belief),
                "shares": _by_id(known.personas, shares),
                "steps": int(steps),
            }
        rows = [Session(pk=pk, persona=found[pk]) for pk in chunk if pk in found]
        Session.objects.bulk_update(rows, ["persona"], batch_size=100)
    return found


def _by_id(model: PersonaModel, values: np.ndarray) -> dict[str, float]:
    return {str(archetype): round(p, 4) for archetype, p in zip(model.ids, values.tolist(), strict=True)}


class _Known(NamedTuple):
    """What of the active release is read here."""

    release: str
    catalogue: Catalogue
    personas: PersonaModel


def _known(shop: Shop) -> _Known | None:
    """Of the active release; None if there is none, or none that can be read."""
    release = Release.objects.active(shop)
    if release is None:
        return None
    try:
        return _load(str(releases.root_of(shop)), release.number, release.components["catalogue"], release.components["personas"])
    except (releases.ReleaseError, KeyError, ValueError) as error:
        logger.warning("release %s of %s can't be read, so that less is remembered of its shoppers: %s", release, shop, error)
        return None


@lru_cache(maxsize=4)
def _load(root: str, number: int, catalogue: str, personas: str) -> _Known:
    """Loaded once a release and process: the files are mapped, but their checksums are read."""
    folder = Path(root)
    return _Known(
        str(number),
        releases.load_component(folder, "catalogue", catalogue),
        releases.load_component(folder, "personas", personas, catalogue=catalogue),
    )


_NOTHING = ItemFacts(np.zeros(0, dtype=np.int16), np.zeros(0, dtype=np.int8), ())


def _bought(shop: Shop, shoppers: Collection[int]) -> dict[int, tuple[dict[str, str], tuple[int, ...]]]:
    """Shopper's pk -> evidence of all they bought, by the facts that the active release's network was taught with, and the ids
    of what they may want again."""
    known = _known(shop)
    bought: dict[int, list[Purchase]] = {pk: [] for pk in shoppers}
    wanted: dict[int, dict[int, list[int]]] = {pk: {} for pk in shoppers}
    rows = ArchivedEvent.objects.learned_from(shop).filter(session__shopper__in=shoppers, code__in=WANTED_CODES)
    # The latest visit comes last, and within it the latest event.
    rows = rows.order_by("session__started_at", "session", "place", "pk")
    for pk, visit, code, item in rows.values_list("session__shopper", "session", "code", "item").iterator(chunk_size=5_000):
        if item != UNKNOWN_ITEM:
            wanted[pk].setdefault(int(visit), []).append(item)
        if code == CODE["purchase"]:
            bought[pk].append(Purchase(int(visit), known.catalogue.position(item) if known else NO_ITEM))
    facts = known.personas.facts if known else _NOTHING
    return {
        pk: (purchase_evidence(purchases, facts), tuple(reminders_of(wanted[pk].values()))) for pk, purchases in bought.items()
    }


def _words(values: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items() if value not in (None, "")}
