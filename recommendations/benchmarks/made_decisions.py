"""Decisions of a made shop and what followed them, written as rows: what they are worth is known."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from django.db import connection, models, transaction

from clusters.decision_log import ABSENT
from clusters.policy import ACTIONS, CONTRACT, EXPAND, FEATURES, KEEP, Policy, choose, default_policy
from personas.events import CODE
from personas.models import ArchivedEvent, Session, Shop
from recommendations.models import AdaptationDecision, ServedSlate

OF_A_SESSION = 10
"""Decisions of a session, each with a slate that is seen after it."""

SHOWN = 8
"""Items of a slate, all reported."""

LIKED = {KEEP: 0.2, EXPAND: 0.2, CONTRACT: 0.8}
"""Chance that a look follows on the slate after a decision: contracting is the right thing, always."""

BETWEEN_S = 700.0
"""Seconds from a decision to the next: of the slates that count to one, the window leaves at most three."""

_PART = 5_000
"""Sessions made at a time."""


def made_decisions(
    shop: Shop,
    *,
    decisions: int,
    until: dt.datetime,
    over_s: float = 86_400.0,
    seed: int = 0,
    name: str = "made",
    policy: Policy | None = None,
    liked: dict[int, float] = LIKED,
) -> int:
    """Write sessions with so many decisions, their slates as reported and looks at their items; how many decisions.

    until : when the last session ends.  over_s : seconds over which they begin.  name : of the sessions, before a number.
    policy : that decides, the hand rule by default.  liked : action code -> chance of a look.
    """
    rng, policy = np.random.default_rng(seed), policy or default_policy()
    sessions = -(-decisions // OF_A_SESSION)
    for start in range(0, sessions, _PART):
        count = min(_PART, sessions - start)
        n = min(count * OF_A_SESSION, decisions - start * OF_A_SESSION)
        x, action, target = _options(rng, n)
        choice, chances = choose(policy, x, action, rng)
        taken = action[np.arange(n), choice]
        looked = rng.random(n) < np.array([liked[a] for a in range(len(ACTIONS))])[taken]
        length = OF_A_SESSION * BETWEEN_S
        begun = until.timestamp() - length - np.sort(rng.random(count))[::-1] * max(0.0, over_s - length)
        at = np.repeat(begun, OF_A_SESSION)[:n] + BETWEEN_S * (np.arange(n) % OF_A_SESSION)
        items = rng.integers(1, 1_000, size=(n, SHOWN))
        names = [f"{name}-{start + s}" for s in range(count)]
        with transaction.atomic():
            _write(shop, names, begun, at, x, action, target, choice, chances, policy.version, items, looked)
    return decisions


def _options(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, O, d), codes and targets (n, O): half may expand towards two clusters by two sizes, half may contract."""
    action = np.full((n, 5), ABSENT, dtype=np.int8)
    action[:, 0] = KEEP
    wide = rng.random(n) < 0.5
    action[wide, 1:] = EXPAND
    action[~wide, 1] = CONTRACT
    at = {name: i for i, name in enumerate(FEATURES)}
    x = np.zeros((n, 5, len(FEATURES)))
    x[:] = np.round(rng.random((n, 1, len(FEATURES))), 6)
    x[:, :, [at["mass"], at["transition"]]] *= -1.0
    x[:, :, at["bias"]] = 1.0
    about = [at[name] for name in FEATURES if name.startswith("target_") or name in {"related", "items"}]
    x[:, :, about] = np.where((action == EXPAND)[:, :, None], np.round(rng.random((n, 5, len(about))), 6), 0.0)
    # Small parts of slates, of clusters that are smaller than most, and targets that suit personas as much as they do in shops:
    # were these up to 1, the hand rule would leave nothing to chance, and there would be nothing to gain by learning.
    for name, part in (("shown", 0.2), ("share", -0.2), ("target_persona", 0.1)):
        x[:, :, at[name]] = np.round(part * x[:, :, at[name]], 6)
    x[action == ABSENT] = 0.0
    target = np.where(action == EXPAND, np.array([0, 2, 2, 3, 3]), 0)
    return x, action, target


def _write(
    shop: Shop,
    names: Sequence[str],
    begun: np.ndarray,
    at: np.ndarray,
    x: np.ndarray,
    action: np.ndarray,
    target: np.ndarray,
    choice: np.ndarray,
    chances: np.ndarray,
    version: str,
    items: np.ndarray,
    looked: np.ndarray,
) -> None:
    date = connection.ops.adapt_datetimefield_value
    times = [date(dt.datetime.fromtimestamp(t, tz=dt.UTC)) for t in at.tolist()]
    seen = [date(dt.datetime.fromtimestamp(t + 10.0, tz=dt.UTC)) for t in at.tolist()]
    acted = [date(dt.datetime.fromtimestamp(t + 20.0, tz=dt.UTC)) for t in at.tolist()]
    ends = [date(dt.datetime.fromtimestamp(t + OF_A_SESSION * BETWEEN_S, tz=dt.UTC)) for t in begun.tolist()]
    _insert(
        Session,
        ("shop_id", "session_id", "started_at", "last_at", "events", "origin", "clock", "context"),
        (
            (shop.pk, name, times[min(s * OF_A_SESSION, len(times) - 1)], ends[s], 0, "live", "second", "{}")
            for s, name in enumerate(names)
        ),
    )
    pks = Session.objects.ids_of(shop, names)
    of = [names[n // OF_A_SESSION] for n in range(len(times))]

    def decisions() -> Iterator[tuple[Any, ...]]:
        for n, name in enumerate(of):
            there = int((action[n] != ABSENT).sum())
            options = [
                [a, t, f, 12 if t else 0]
                for a, t, f in zip(action[n, :there].tolist(), target[n, :there].tolist(), x[n, :there].tolist(), strict=True)
            ]
            c = int(choice[n])
            code, to, features, _ = options[c]
            told = [json.dumps(each) for each in (features, options, chances[n, :there].tolist())]
            yield (shop.pk, name, f"e{n}", times[n], 1, ACTIONS[code], to, float(chances[n, c]), version, c, "", *told)

    columns = ("shop_id", "session_id", "event_id", "at", "cluster", "action", "target", "propensity", "policy", "choice", "arm")
    _insert(AdaptationDecision, (*columns, "features", "options", "propensities"), decisions())
    _insert(
        ServedSlate,
        ("shop_id", "recommendation_id", "session_id", "at", "context", "items", "versions"),
        ((shop.pk, f"r-{name}-{n % OF_A_SESSION}", name, times[n], "home", "[]", "{}") for n, name in enumerate(of)),
    )

    def events() -> Iterator[tuple[Any, ...]]:
        report, look, slots = CODE["view_item_list"], CODE["view_item"], list(range(SHOWN))
        for n, name in enumerate(of):
            shown = items[n].tolist()
            data = {"items": shown, "refs": [], "slots": slots, "recommendation_id": f"r-{name}-{n % OF_A_SESSION}"}
            place = 2 * (n % OF_A_SESSION)
            rest = (1.0, "", "live")
            yield (shop.pk, pks[name], f"v{n}", report, seen[n], seen[n], place, shown[0], "", *rest, json.dumps(data))
            if looked[n]:
                yield (shop.pk, pks[name], f"l{n}", look, acted[n], acted[n], place + 1, shown[0], "", *rest, None)

    told_of = ("shop_id", "session_id", "event_id", "code", "at", "received_at", "place", "item", "item_ref", "quantity")
    _insert(ArchivedEvent, (*told_of, "query", "origin", "data"), events())


def _insert(model: type[models.Model], columns: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    """Building a million model objects would cost several times the insert itself."""
    table, names = connection.ops.quote_name(model._meta.db_table), ", ".join(map(connection.ops.quote_name, columns))
    sql = f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(columns))})"
    with connection.cursor() as cursor:
        cursor.executemany(sql, list(rows))
