"""What the sessions of an experiment came to: measures of each, and the arms' differences, which may be looked at any time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from django.db import transaction
from django.db.models import F, TextField
from django.db.models.functions import Cast
from django.utils import timezone
from scipy.stats import chisquare

from clusters import sequential
from clusters.models import Item
from clusters.rewards import Rewards, worths
from clusters.sequential import Arm, Difference
from personas.events import CODE
from personas.models import ArchivedEvent, Epoch, Session, Shop, in_chunks
from recommendations import hourly
from recommendations.learning import policies
from recommendations.learning.bounds import settings_of
from recommendations.learning.models import Experiment, ExperimentSession
from recommendations.learning.reading import Happenings, as_one, happenings
from recommendations.serving.trials import read_arms

METRICS = {
    "reward": "Reward",
    "engagements": "Engagements",
    "carts": "Added to the cart",
    "purchases": "Purchases",
    "revenue": "Revenue",
}
"""Name -> in words; each is told a visit. The reward is what the policies learn from."""

AT_ONCE = 200
"""Sessions counted in one transaction, for which the archiver of the shop waits."""

POINTS = 40
"""Of a difference over time."""

UNBALANCED = 0.001
"""Chance of a split as uneven as the one seen from which on the split itself is doubted (Fabijan et al. 2019)."""

CONFIDENCE = 0.95
_CART, _PURCHASE = CODE["add_to_cart"], CODE["purchase"]


# Counting


def count(shop: Shop, *, most: int = 20_000) -> int:
    """Measure sessions of the shop's experiments that were not, or did something since; how many were.

    Under the shop's lock, as the archiver writes: nothing that comes meanwhile is missed. Safe to run twice, and at once.
    """
    rewards = policies.rewards_of(settings_of(shop))
    done = 0
    while done < most:
        with transaction.atomic():
            Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
            waiting = ExperimentSession.objects.filter(experiment__shop=shop, counted_at=None)
            rows = list(waiting.order_by("experiment", "pk")[:AT_ONCE])
            measured = measures(shop, {row.session_id for row in rows}, rewards)
            for row in rows:
                row.measures, row.counted_at = measured.get(row.session_id, nothing()), timezone.now()
            ExperimentSession.objects.bulk_update(rows, ["measures", "counted_at"])
        done += len(rows)
        if len(rows) < AT_ONCE:
            break
    return done


def nothing() -> dict[str, float]:
    """Measures of a session that did nothing."""
    return dict.fromkeys(("reports", *METRICS), 0.0)


def measures(shop: Shop, session_ids: Iterable[str], rewards: Rewards) -> dict[str, dict[str, float]]:
    """Session id -> what it came to, of those archived.

    reward : sum over the slates that were reported as seen.  revenue : what purchases came to, at the item's own price where the
    event had none.
    """
    names = set(session_ids)
    revenue = _revenue(shop, names)
    return {name: _of(each, rewards, revenue.get(name, 0.0)) for name, each in happenings(shop, names).items()}


def _of(happened: Happenings, rewards: Rewards, revenue: float) -> dict[str, float]:
    slates = worths(rewards, happened.reports, happened.engagements)
    codes = [engagement.code for engagement in happened.engagements]
    return {
        "reports": float(len(slates)),
        "reward": sum(worth for _, worth in slates),
        "engagements": float(sum(rewards.weights.get(code, 0.0) > 0.0 for code in codes)),
        "carts": float(codes.count(_CART)),
        "purchases": float(codes.count(_PURCHASE)),
        "revenue": revenue,
    }


def _revenue(shop: Shop, session_ids: set[str]) -> dict[str, float]:
    names = {pk: name for name, pk in Session.objects.ids_of(shop, session_ids).items()}
    rows: list[tuple[int, int, float | None, float, dict[str, Any] | None]] = []
    for chunk in in_chunks(names):
        bought = ArchivedEvent.objects.filter(shop=shop, session__in=chunk, code=_PURCHASE)
        rows += bought.values_list("session_id", "item", "price", "quantity", "data")
    unpriced = {item for _, item, price, _, _ in rows if price is None}
    prices: dict[int, float] = {}
    for chunk in in_chunks(unpriced):
        known = Item.objects.filter(shop=shop, pk__in=chunk, price__isnull=False).values_list("pk", "price")
        prices.update((pk, float(price)) for pk, price in known if price is not None)
    revenue: dict[str, float] = {}
    for session, item, price, quantity, data in rows:
        each = float(prices.get(item, 0.0) if price is None else price)
        revenue[names[session]] = revenue.get(names[session], 0.0) + hourly.worth_of(each, float(quantity), data)
    return revenue


# The arms against each other


class _Measures(msgspec.Struct):
    """What of `ExperimentSession.measures` is compared."""

    reward: float = 0.0
    engagements: float = 0.0
    carts: float = 0.0
    purchases: float = 0.0
    revenue: float = 0.0


@dataclass(frozen=True)
class Counted:
    """n sessions of an experiment that were measured, by the time they began.

    at : (n,) float64, seconds.  arm : (n,) place of the arm, -1 for one that is none.  unit : (n,) 0..U-1.
    values : metric -> (n,).
    """

    at: np.ndarray
    arm: np.ndarray
    unit: np.ndarray
    values: Mapping[str, np.ndarray]

    def arms(self, metric: str, first: int, second: int, till: float = math.inf) -> tuple[Arm, Arm]:
        """Two arms' units with the sessions that began by then."""
        return self._arm(metric, first, till), self._arm(metric, second, till)

    def _arm(self, metric: str, arm: int, till: float) -> Arm:
        rows = (self.arm == arm) & (self.at <= till)
        unit = self.unit[rows]
        visits, total = np.bincount(unit), np.bincount(unit, self.values[metric][rows])
        return Arm(total[visits > 0], visits[visits > 0].astype(np.float64))


def read(experiment: Experiment) -> Counted:
    """The sessions measured so far."""
    place = {arm.name: i for i, arm in enumerate(read_arms(experiment.arms))}
    told = ExperimentSession.objects.filter(experiment=experiment, counted_at__isnull=False).order_by("at", "pk")
    rows = list(told.values_list(Epoch("at"), "arm", "unit", Cast(F("measures"), TextField())))
    measured = msgspec.json.decode(as_one(row[3] for row in rows), type=list[_Measures])
    units: dict[str, int] = {}
    return Counted(
        np.array([row[0] for row in rows], dtype=np.float64),
        np.array([place.get(row[1], -1) for row in rows], dtype=np.int64),
        np.array([units.setdefault(row[2], len(units)) for row in rows], dtype=np.int64),
        {name: np.array([getattr(each, name) for each in measured], dtype=np.float64) for name in METRICS},
    )


def result_of(experiment: Experiment) -> dict[str, Any]:
    """What is known by now, as plain values; intervals hold however often one looks. What isn't known is null.

    arms : of each {"name", "visits", "shoppers", metric: mean a visit}.
    differences : challenger -> metric -> {"value", "low", "high", "base", "relative"}.
    series : challenger -> [[seconds, value, low, high], ...] of the experiment's metric.
    verdicts : challenger -> "better", "worse" or "unknown".
    guardrails : [{"metric", "least", "arm", "relative", "broken"}].  split : chance of a split as uneven as this one.
    """
    arms, counted = read_arms(experiment.arms), read(experiment)
    challengers = range(1, len(arms))
    # Each challenger is another chance of being wrong.
    confidence = 1.0 - (1.0 - CONFIDENCE) / max(len(challengers), 1)
    differences = {
        i: {name: sequential.difference(*counted.arms(name, 0, i), confidence=confidence) for name in METRICS}
        for i in challengers
    }
    waiting = ExperimentSession.objects.filter(experiment=experiment, counted_at=None).count()
    return {
        "counted_at": timezone.now().isoformat(),
        "waiting": waiting,
        "arms": [_arm(counted, i, arm.name) for i, arm in enumerate(arms)],
        "differences": {arms[i].name: {name: _told(d) for name, d in of.items()} for i, of in differences.items()},
        "series": {arms[i].name: _series(counted, i, experiment.metric, confidence) for i in challengers},
        "verdicts": {arms[i].name: verdict(of[experiment.metric]) for i, of in differences.items()},
        "guardrails": [
            _guarded(rail, arms[i].name, of[rail["metric"]]) for rail in experiment.guardrails for i, of in differences.items()
        ],
        "split": _split(counted, [arm.share for arm in arms]),
    }


def verdict(found: Difference) -> str:
    """ "better" or "worse" where the interval says so, else "unknown"."""
    return "better" if found.low > 0.0 else "worse" if found.high < 0.0 else "unknown"


def broken(result: Mapping[str, Any]) -> str:
    """Why the experiment must stop by itself, "" where nothing says so."""
    for rail in result.get("guardrails", ()):
        if rail["broken"]:
            return f"{METRICS[rail['metric']]} of “{rail['arm']}” fell by {-rail['relative']:.0%}, and surely fell."
    return ""


def _guarded(rail: Mapping[str, Any], arm: str, found: Difference) -> dict[str, Any]:
    """Broken where it surely fell, and by what is seen as far as was said or further."""
    relative = found.value / found.base if found.base > 0 else None
    fell = relative is not None and found.high < 0.0 and relative <= float(rail["least"])
    return {"metric": rail["metric"], "least": float(rail["least"]), "arm": arm, "relative": _finite(relative), "broken": fell}


def _arm(counted: Counted, arm: int, name: str) -> dict[str, Any]:
    rows = counted.arm == arm
    means = {metric: _finite(float(values[rows].mean())) if rows.any() else None for metric, values in counted.values.items()}
    return {"name": name, "visits": int(rows.sum()), "shoppers": len(np.unique(counted.unit[rows])), **means}


def _told(found: Difference) -> dict[str, float | None]:
    relative = found.value / found.base if found.base > 0 else None
    values = {"value": found.value, "low": found.low, "high": found.high, "base": found.base, "relative": relative}
    return {name: _finite(value) for name, value in values.items()}


def _series(counted: Counted, arm: int, metric: str, confidence: float) -> list[list[float | None]]:
    """From when on anything can be said."""
    at = counted.at[(counted.arm == 0) | (counted.arm == arm)]
    if not len(at):
        return []
    moments = np.unique(np.quantile(at, np.linspace(0.0, 1.0, POINTS + 1)[1:], method="higher"))
    points = []
    for moment in moments.tolist():
        found = sequential.difference(*counted.arms(metric, 0, arm, till=moment), confidence=confidence)
        if math.isfinite(found.low):
            points.append([moment, found.value, found.low, found.high])
    return points


def _split(counted: Counted, shares: list[float]) -> float | None:
    """Chance of a split of shoppers as uneven as this, were they drawn as they should be; None for too few to tell."""
    seen = np.array([len(np.unique(counted.unit[counted.arm == i])) for i in range(len(shares))], dtype=float)
    expected = seen.sum() * np.array(shares) / sum(shares)
    return None if (expected < 5).any() else float(chisquare(seen, expected).pvalue)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
