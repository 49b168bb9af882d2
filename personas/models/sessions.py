"""Sessions and the archived activity log: what is learned from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from django.db import connections, models
from django.db.models import Func

from personas.events import MAX_ID, MAX_QUERY, NAMES, UNKNOWN_ITEM
from personas.models.shoppers import Shopper, in_chunks
from personas.models.shops import Shop


class Origin(models.TextChoices):
    """Where an event or a session came from; what is simulated says so wherever it shows."""

    LIVE = "live", "Live"
    IMPORT = "import", "Imported"
    SIMULATED = "simulated", "Simulated"
    TEST = "test", "Test"


class Clock(models.TextChoices):
    """How much of an event's time is known (`personas.sessions.SessionLog.clock`)."""

    SECOND = "second", "To the second"
    DAY = "day", "Only the day"
    ORDER = "order", "Only the order"


class Epoch(Func):
    """A datetime as seconds since the epoch, to the microsecond, computed by the database."""

    arity = 1
    output_field = models.FloatField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        # SQLite's own functions stop at milliseconds; the stored text "YYYY-MM-DD HH:MM:SS.ffffff" does not.
        sql, params = compiler.compile(self.source_expressions[0])
        # Whole seconds are cut out first: given the fraction, strftime rounds up from half a millisecond short.
        return f"(CAST(strftime('%%s', substr({sql}, 1, 19)) AS REAL) + CAST(substr({sql}, 20) AS REAL))", [*params, *params]

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        sql, params = compiler.compile(self.source_expressions[0])
        return f"EXTRACT(EPOCH FROM {sql})::double precision", params


HISTORY_ENDS_S = 7_200.0
"""A simulated shop's history starts its last session before `settings["simulated_until"]`; that may last so long."""


def teaches(shop: Shop, origin: str, at: float | None = None) -> bool:
    """Whether what comes in from there is learned from: not from tests, nor from simulated visitors, unless the shop's
    settings ask for them (`"learn_from_visitors": true`), or they are of a simulated shop's history.

    at : when it happened, seconds; None for live.
    """
    if origin != Origin.SIMULATED:
        return origin != Origin.TEST
    until = shop.settings.get("simulated_until") if shop.settings.get("simulated") is True else None
    history = at is not None and until is not None and at < until + HISTORY_ENDS_S
    return history or shop.settings.get("learn_from_visitors") is True


def _untaught(shop: Shop, time: str) -> models.Q:
    """The rows that `teaches` leaves out, and not the simulated history that a shop was set up with. time : the column's name."""
    tests = models.Q(origin=Origin.TEST)
    if teaches(shop, Origin.SIMULATED):
        return tests
    until = shop.settings.get("simulated_until")
    if until is None:
        return tests if shop.settings.get("simulated") is True else tests | models.Q(origin=Origin.SIMULATED)
    return tests | models.Q(origin=Origin.SIMULATED, **{f"{time}__gte": moment(until + HISTORY_ENDS_S)})


class SessionEvidence(NamedTuple):
    """What training reads of a session beside its events; `demographics` is empty without consent."""

    pk: int
    session_id: str
    shopper: str
    context: dict[str, str]
    demographics: dict[str, str]
    clock: str


class SessionQuerySet(models.QuerySet["Session"]):
    def for_list(self) -> SessionQuerySet:
        return self.select_related("shop", "shopper")

    def learned_from(self, shop: Shop) -> SessionQuerySet:
        """A shop's sessions but those of test keys and simulated visitors."""
        return self.filter(shop=shop).exclude(_untaught(shop, "started_at"))

    def for_training(self, shop: Shop) -> Iterator[SessionEvidence]:
        """Every session that is learned from, ascending by pk, the order of `ArchivedEvent.objects.for_training`."""
        person = ("shopper__external_id", "shopper__consent_demographics", "shopper__demographics")
        rows = self.learned_from(shop).order_by("pk").values_list("pk", "session_id", "context", "clock", *person)
        for pk, session_id, context, clock, shopper, consent, demographics in rows.iterator(chunk_size=5_000):
            yield SessionEvidence(pk, session_id, shopper or "", context, demographics if consent else {}, clock)

    def ids_of(self, shop: Shop, session_ids: Iterable[str]) -> dict[str, int]:
        """Session id -> pk, for those that exist."""
        found: dict[str, int] = {}
        for chunk in in_chunks(session_ids):
            found.update(self.filter(shop=shop, session_id__in=chunk).values_list("session_id", "pk"))
        return found

    def of_pks(self, pks: Iterable[int]) -> Iterator[Session]:
        """The sessions of many primary keys."""
        for chunk in in_chunks(pks):
            yield from self.filter(pk__in=chunk)

    def recount(self, pks: Iterable[int]) -> None:
        """Set count, start and end of the sessions from their archived events; those without any stay as they are."""
        events = ArchivedEvent.objects.filter(session=models.OuterRef("pk")).order_by().values("session")
        for chunk in in_chunks(pks):
            self.filter(pk__in=chunk).filter(models.Exists(events)).update(
                events=events.annotate(n=models.Count("pk")).values("n"),
                started_at=events.annotate(first=models.Min("at")).values("first"),
                last_at=events.annotate(last=models.Max("at")).values("last"),
            )


class Session(models.Model):
    """One visit. `persona` is a summary of the latest profile, `context` the evidence that came with it."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="sessions", db_index=False)
    session_id = models.CharField(max_length=MAX_ID)
    shopper = models.ForeignKey(Shopper, null=True, blank=True, on_delete=models.SET_NULL, related_name="sessions")
    started_at = models.DateTimeField()
    last_at = models.DateTimeField()
    events = models.PositiveIntegerField(default=0)
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.LIVE)
    clock = models.CharField(max_length=6, choices=Clock, default=Clock.SECOND)
    context = models.JSONField(default=dict, blank=True)
    persona = models.JSONField(null=True, blank=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        ordering = ("-last_at", "-pk")
        constraints = [models.UniqueConstraint(fields=["shop", "session_id"], name="session_id_once")]
        indexes = [models.Index(fields=["shop", "-last_at"]), models.Index(fields=["-last_at", "-id"])]

    def __str__(self) -> str:
        return self.session_id


class TrainingEvent(NamedTuple):
    """One row of `ArchivedEvent.objects.for_training`: `session` is the session's pk, `at` seconds since the epoch."""

    session: int
    code: int
    item: int
    at: float
    place: int
    dwell_s: float | None
    price: float | None
    quantity: float
    query: str


class EventRow(NamedTuple):
    """One row for `ArchivedEvent.objects.append`; `data` is JSON text or None."""

    session: int
    event_id: str
    code: int
    at: datetime
    received_at: datetime
    place: int
    item: int = UNKNOWN_ITEM
    item_ref: str = ""
    price: float | None = None
    quantity: float = 1.0
    dwell_s: float | None = None
    query: str = ""
    data: str | None = None


class ArchivedEventQuerySet(models.QuerySet["ArchivedEvent"]):
    def learned_from(self, shop: Shop) -> ArchivedEventQuerySet:
        """A shop's events but those of test keys and simulated visitors."""
        return self.filter(shop=shop).exclude(_untaught(shop, "at"))

    def for_training(self, shop: Shop) -> Iterator[tuple[int, int, int, float, int, float | None, float | None, float, str]]:
        """Every event that is learned from as plain tuples in the columns of `TrainingEvent`, by session pk, then place, then
        pk."""
        rows = self.learned_from(shop).order_by("session_id", "place", "pk")
        columns = ("session_id", "code", "item", Epoch("at"), "place", "dwell_s", "price", "quantity", "query")
        return rows.values_list(*columns).iterator(chunk_size=10_000)

    def of_session(self, session: Session) -> ArchivedEventQuerySet:
        """A session's events in their order."""
        return self.filter(session=session).order_by("place", "pk")

    def append(self, *, shop: Shop, rows: Sequence[EventRow], origin: str) -> int:
        """Insert rows, skipping those whose (session, event_id) is there already; how many were new.

        Written as one `executemany`: building half a million model objects costs several times the insert itself.
        """
        if not rows:
            return 0
        connection = connections[self.db]
        # Many events share a time (a day, an invoice, the import): each is converted once.
        date = cache(connection.ops.adapt_datetimefield_value)
        columns = ("shop_id", "origin", "session_id", *EventRow._fields[1:])
        names = ", ".join(connection.ops.quote_name(c) for c in columns)
        table = connection.ops.quote_name(ArchivedEvent._meta.db_table)
        sql = f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(columns))}) ON CONFLICT DO NOTHING"
        parameters = [(shop.pk, origin, *row[:3], date(row.at), date(row.received_at), *row[5:]) for row in rows]
        with connection.cursor() as cursor:
            cursor.executemany(sql, parameters)
            return int(cursor.rowcount)


class ArchivedEvent(models.Model):
    """One event of the activity log, kept for long-term analysis. Written once, never changed.

    place : orders a session's events: the position that a file or the log gave it, else microseconds since the epoch.
    item : integer item id, 0 where unknown; no foreign key, since items belong to an app above and the log outlives them.
    item_ref : the item's external id as it was sent.
    data : what has no column: items and slots of a list, recommendation id, further items of a purchase.
    """

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="+", db_index=False)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="archived", db_index=False)
    event_id = models.CharField(max_length=MAX_ID)
    code = models.PositiveSmallIntegerField(choices=list(enumerate(NAMES)), verbose_name="event")
    at = models.DateTimeField()
    received_at = models.DateTimeField()
    place = models.BigIntegerField()
    item = models.BigIntegerField(default=UNKNOWN_ITEM)
    item_ref = models.CharField(max_length=MAX_ID, blank=True, verbose_name="item id")
    price = models.FloatField(null=True, blank=True)
    quantity = models.FloatField(default=1.0)
    dwell_s = models.FloatField(null=True, blank=True, verbose_name="dwell, s")
    query = models.CharField(max_length=MAX_QUERY, blank=True)
    data = models.JSONField(null=True, blank=True)
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.LIVE)

    objects = ArchivedEventQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        constraints = [models.UniqueConstraint(fields=["session", "event_id"], name="event_id_once")]
        indexes = [models.Index(fields=["shop", "session", "place"], name="event_for_training")]

    def __str__(self) -> str:
        return f"{NAMES[self.code]} {self.item_ref}".strip()


def moment(seconds: float) -> datetime:
    """Seconds since the epoch as an aware UTC datetime."""
    return datetime.fromtimestamp(seconds, tz=UTC)
