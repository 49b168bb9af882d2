"""Shops, their keys and personas, shoppers, sessions and the archived activity log, as database rows.

Ids are append-only: an attribute, archetype or event keeps its id for ever, and none is used twice.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import connections, models, transaction
from django.db.models import Func, Q
from django.utils import timezone

from personas.archetypes import PersonaError, parse_personas
from personas.events import MAX_ID, MAX_QUERY, NAMES, UNKNOWN_ITEM

T = TypeVar("T")

SCOPES = ("ingest", "read", "manage")
KEY_PREFIX = 8
"""Characters of an API key that stay readable, so that a person can tell one from another."""

ROTATION_GRACE = timedelta(hours=24)
"""How long a key that was rotated still works, unless said otherwise: time to put the new one onto every server."""

USE_TOLD = timedelta(minutes=1)
"""How exactly it is told when a key was used last: no key's row is written more often."""

MAX_ORIGINS = 50

_SLUG = RegexValidator(r"^[a-z0-9][a-z0-9-]*\Z", "Use lower-case letters, digits and hyphens.")
_ORIGIN = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::\d{1,5})?"
)
_COLOUR = RegexValidator(r"^#[0-9a-fA-F]{6}\Z", "Write a colour as #rrggbb.")


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


def validate_origins(value: object) -> None:
    """A list of origins as browsers send them, scheme://host[:port] in lower case. Raises ValidationError."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValidationError('Write a list of origins, such as ["https://shop.example"].')
    if len(value) > MAX_ORIGINS:
        raise ValidationError(f"{len(value)} origins are more than {MAX_ORIGINS}.")
    for each in value:
        if not _ORIGIN.fullmatch(each):
            raise ValidationError(
                f"{each[:80]!r} is no origin: write scheme://host[:port] in lower case, without a path or a star."
            )


class Shop(models.Model):
    """One web shop; every other row, key and release belongs to one."""

    slug = models.SlugField(max_length=50, unique=True, validators=[_SLUG])
    name = models.CharField(max_length=120)
    currency = models.CharField(max_length=3, default="EUR", help_text="ISO 4217, for display.")
    settings = models.JSONField(default=dict, blank=True)
    allowed_origins = models.JSONField(
        default=list,
        blank=True,
        help_text="Whose pages may call with a session token, a list such as https://shop.example; our own hosts always may.",
    )
    demo = models.BooleanField(default=False, help_text="A demo shop has a public storefront.")
    retention_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Sessions whose last event is older are deleted every night; empty keeps them."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raises ValidationError on `allowed_origins` that no browser would send."""
        try:
            validate_origins(self.allowed_origins)
        except ValidationError as error:
            raise ValidationError({"allowed_origins": error.messages}) from error


def in_chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """Lists of at most 500: SQLite takes no more than 999 parameters in a statement."""
    rest = iter(values)
    while chunk := list(islice(rest, 500)):
        yield chunk


def validate_scopes(value: object) -> None:
    """A non-empty list of known scopes. Raises ValidationError."""
    if not isinstance(value, list) or not value or not all(isinstance(v, str) and v in SCOPES for v in value):
        raise ValidationError(f"Scopes {value!r} must be a non-empty list out of {', '.join(SCOPES)}.")


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def live(self) -> ApiKeyQuerySet:
        """Those that open something now: neither revoked nor at their end."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()), revoked_at__isnull=True)

    def note_uses(self, uses: Mapping[int, datetime]) -> None:
        """Tell when keys were used last, by their primary keys; nothing else of them is written, and no signal is sent."""
        for pk, at in sorted(uses.items()):
            self.filter(pk=pk).exclude(last_used_at__gt=at - USE_TOLD).update(last_used_at=at)

    def issue(
        self,
        *,
        shop: Shop,
        name: str,
        scopes: Sequence[str],
        test: bool = False,
        rate: int | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key's row and its plaintext, which is stored nowhere and can't be had again.

        Raises ValidationError on an unknown scope, and on a test key that may manage: what that changes would be real.
        """
        chosen = list(dict.fromkeys(scopes))
        validate_scopes(chosen)
        if test and "manage" in chosen:
            raise ValidationError("A test key can't have the scope manage: what it changes would be no test.")
        plaintext = f"{'pct' if test else 'pc'}_{secrets.token_urlsafe(32)}"
        key = self.create(
            shop=shop,
            name=name,
            scopes=chosen,
            prefix=plaintext[:KEY_PREFIX],
            sha256=hash_key(plaintext),
            test=test,
            rate=rate,
            expires_at=expires_at,
        )
        return key, plaintext


def hash_key(plaintext: str) -> str:
    """SHA-256 of an API key, hexadecimal. The keys hold 256 random bits, so no salt or stretching is needed."""
    return hashlib.sha256(plaintext.encode()).hexdigest()


class ApiKey(models.Model):
    """A key of a shop's server; only its hash is kept."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=KEY_PREFIX, editable=False)
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list, validators=[validate_scopes])
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    test = models.BooleanField(
        default=False, help_text="What a test key sends is answered as ever, marked, and nothing learns from it."
    )
    rate = models.PositiveIntegerField(
        null=True, blank=True, help_text="Requests a second on the live endpoints; empty for the installation's own limit."
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="The key ends then by itself, as one that was rotated does."
    )
    replaced_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replaces", editable=False
    )

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ("shop", "name", "pk")
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def revoke(self) -> None:
        """Close the key from now on; a key once revoked keeps its first date."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self.save(update_fields=["revoked_at"])

    def note_use(self) -> None:
        """Tell when the key was used last, to the minute."""
        if self.last_used_at is None or timezone.now() - self.last_used_at >= USE_TOLD:
            ApiKey.objects.note_uses({self.pk: timezone.now()})

    @property
    def ended(self) -> bool:
        """Whether the key opens nothing any more."""
        return self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= timezone.now())

    def rotate(self, *, grace: timedelta = ROTATION_GRACE) -> tuple[ApiKey, str]:
        """A new key with all that this one may, and its plaintext; this one ends after `grace`, or earlier if it was to.

        Raises ValidationError if the key has ended, or was rotated already.
        """
        with transaction.atomic():
            row = ApiKey.objects.select_for_update().select_related("shop").get(pk=self.pk)
            if row.ended or row.replaced_by_id is not None:
                raise ValidationError(f"{row} {'has ended' if row.ended else 'was rotated already'}; issue a new key.")
            new, plaintext = ApiKey.objects.issue(
                shop=row.shop, name=row.name, scopes=row.scopes, test=row.test, rate=row.rate, expires_at=row.expires_at
            )
            end = timezone.now() + grace
            row.expires_at, row.replaced_by = min(end, row.expires_at or end), new
            row.save(update_fields=["expires_at", "replaced_by"])
        self.refresh_from_db()
        return new, plaintext


class Attribute(models.Model):
    """A trait ("Budget-conscious"): a weighting over item descriptors and behaviours."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="attributes")
    key = models.SlugField(max_length=60)
    name = models.CharField(max_length=80)
    description = models.TextField(blank=True)
    weights = models.JSONField(default=dict, blank=True, help_text='Item descriptors: {"price_tier=low": 1.0}')
    behaviours = models.JSONField(default=dict, blank=True, help_text='Factors of an event: {"event=search": 0.5}')

    class Meta:
        ordering = ("shop", "pk")
        constraints = [models.UniqueConstraint(fields=["shop", "key"], name="attribute_key_once")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """The same checks as for a personas file. Raises ValidationError."""
        check_personas([self], [{**_BARE, "mix": {self.key: 1.0}}], "attributes")


class Archetype(models.Model):
    """A persona, hidden state of the HMM: a named mix of attributes."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="archetypes")
    key = models.SlugField(max_length=60)
    name = models.CharField(max_length=80)
    icon = models.CharField(max_length=30, blank=True)
    colour = models.CharField(max_length=7, default="#0072B2", validators=[_COLOUR])
    mix = models.JSONField(default=dict, blank=True, help_text='Attributes by key: {"budget": 1.0}')
    place = models.PositiveSmallIntegerField(default=0, help_text="Order of display.")

    class Meta:
        ordering = ("shop", "place", "pk")
        constraints = [models.UniqueConstraint(fields=["shop", "key"], name="archetype_key_once")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """The same checks as for a personas file, against the shop's attributes. Raises ValidationError."""
        names = ("key", "name", "icon", "colour", "mix")
        check_personas(Attribute.objects.filter(shop=self.shop_id), [{name: getattr(self, name) for name in names}], "archetypes")


_WEIGHED = ("weights", "behaviours", "mix")
_BARE = {"key": "any", "name": "Any", "icon": "tag", "colour": "#000000"}


def check_personas(attributes: Iterable[Attribute], archetypes: list[dict[str, Any]], own: str) -> None:
    """Raises ValidationError where `parse_personas` would not take them; by field where it is a weight of what is checked.

    own : "attributes" or "archetypes", of which there is one then.
    """
    names = ("key", "name", "description", "weights", "behaviours")
    try:
        parse_personas({"attributes": [{n: getattr(a, n) for n in names} for a in attributes], "archetypes": archetypes})
    except PersonaError as error:
        field = error.field.rpartition(".")[2]
        own_weights = field in _WEIGHED and error.field.startswith(own)
        raise ValidationError({field: error.reason} if own_weights else str(error)) from error


class PersonaVersion(models.Model):
    """The shop's attributes and archetypes as they were published: what training reads. Never changed.

    The rows of `Attribute` and `Archetype` are the draft that merchandisers edit.

    definition : {"attributes": [...], "archetypes": [...]}, what `parse_personas` takes, with ids.
    restores : number of the earlier version that this one brought back, None for an edit.
    """

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="persona_versions", db_index=False)
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    note = models.CharField(max_length=300, blank=True)
    restores = models.PositiveIntegerField(null=True, blank=True)
    published_at = models.DateTimeField(default=timezone.now, editable=False)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ("-pk",)
        constraints = [models.UniqueConstraint(fields=["shop", "number"], name="persona_version_once")]

    def __str__(self) -> str:
        return f"{self.shop} personas, version {self.number}"


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


class ShopperQuerySet(models.QuerySet["Shopper"]):
    def ids_of(self, shop: Shop, external_ids: Iterable[str]) -> dict[str, int]:
        """External id -> pk, for those that exist."""
        found: dict[str, int] = {}
        for chunk in in_chunks(external_ids):
            found.update(self.filter(shop=shop, external_id__in=chunk).values_list("external_id", "pk"))
        return found


class Shopper(models.Model):
    """A person known to the shop. Demographics may be read only where consent is recorded."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="shoppers")
    external_id = models.CharField(max_length=MAX_ID)
    consent_demographics = models.BooleanField(default=False)
    consent_at = models.DateTimeField(null=True, blank=True)
    demographics = models.JSONField(default=dict, blank=True)

    objects = ShopperQuerySet.as_manager()

    class Meta:
        ordering = ("shop", "pk")
        constraints = [
            models.UniqueConstraint(fields=["shop", "external_id"], name="shopper_external_id_once"),
            models.CheckConstraint(
                condition=models.Q(consent_demographics=True) | models.Q(demographics={}),
                name="shopper_demographics_need_consent",
                violation_error_message="Demographics may be kept only with the shopper's consent.",
            ),
        ]

    def __str__(self) -> str:
        return self.external_id


class ShopperAlias(models.Model):
    """Another id of a shopper: that of the guest who logged in. What still comes in under it counts for the shopper."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="+", db_index=False)
    external_id = models.CharField(max_length=MAX_ID)
    shopper = models.ForeignKey(Shopper, on_delete=models.CASCADE, related_name="aliases")
    merged_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("pk",)
        constraints = [models.UniqueConstraint(fields=["shop", "external_id"], name="shopper_alias_once")]

    def __str__(self) -> str:
        return self.external_id


class Erasure(models.Model):
    """That a shopper was erased, and how much of what: the proof that it was done, without naming whom.

    counts : {"sessions": 3, "events": 41, ...} by store.
    """

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="erasures")
    at = models.DateTimeField(default=timezone.now, editable=False)
    by = models.CharField(max_length=150, blank=True, help_text="Who asked: a user or an API key's name.")
    counts = models.JSONField(default=dict)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.shop}, {self.at:%Y-%m-%d %H:%M}"


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
