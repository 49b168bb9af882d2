"""Whether a policy may serve in the place of another: judged from the log, and only where the log can tell. Pure.

The candidate and the policy that serves are compared on the same decisions, doubly robust. A pass takes an interval of the
difference that isn't below zero, and enough of the log that speaks of the candidate. Everything else is said in words.

Whoever looks often enough at what is only chance sees it pass one day. So the error is spent over all looks at the candidates for
one policy's place (Lan & DeMets 1983, "Discrete sequential boundaries for clinical trials"; here without a last look): the k-th
has 1 / (k (k + 1)) of it, which sums to the whole. That holds by the union bound whichever candidates are looked at, on samples
that overlap as they like, and stays cheap where a look is taken only once the sample has grown by `GROWTH`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clusters.decision_log import DecisionLog
from clusters.off_policy import Estimate, Estimates, difference, estimate, foretold
from clusters.policy import Policy, propensities

BETTER, WORSE, SAME, UNKNOWN = "better", "worse", "same", "unknown"

LEAST_SESSIONS = 50
"""Sessions' worth of information under which an interval over sessions means nothing."""

UNSUPPORTED = 0.01
"""Share of the candidate's choices that the log may never have been able to take, before its value can't be told."""

SAME_CHOICES = 1e-6
"""Mean difference of two policies' propensities from which they are two."""

GROWTH = 1.2
"""Times the last look's sample, from which another look is worth the certainty that it costs: tenfold takes 13 looks."""

WEIGHT_CONFIDENCE = 0.999
"""Of the interval that the mean weight must hold 1 in: a false alarm would stop all learning."""


@dataclass(frozen=True)
class Verdict:
    """What the log says of a candidate.

    verdict : "better"; "worse"; "same" where it decides as the one that serves; "unknown" for not known yet.
    difference, low, high : mean reward a decision, candidate's less the other's, doubly robust; None where it can't be told.
    serving : value of the policy that serves, a decision.
    effective, effective_sessions : decisions' and sessions' worth of information on the candidate.
    look : which look at candidates for the place this was, from 1; 0 where it was none, for nothing could have passed.
    confidence : of the interval, as that look asks for.
    missing : words on what is missing, "" where nothing is.
    estimators : each estimator's difference, by name, as [value, low, high].
    """

    verdict: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    serving: float | None = None
    effective: float = 0.0
    effective_sessions: float = 0.0
    decisions: int = 0
    sessions: int = 0
    confidence: float = 0.95
    look: int = 0
    missing: str = ""
    estimators: dict[str, list[float]] = field(default_factory=dict)

    @property
    def passes(self) -> bool:
        """Whether the candidate may serve by itself. What isn't known is no pass."""
        return self.verdict == BETTER

    def to_json(self) -> dict[str, Any]:
        """Plain values; what isn't finite is null."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        told["estimators"] = {name: [_finite(v) for v in values] for name, values in self.estimators.items()}
        return {name: _finite(value) if isinstance(value, float) else value for name, value in told.items()}


def judge(
    log: DecisionLog,
    candidate: Policy,
    serving: Policy,
    *,
    least_effective_sample: int,
    look: int = 1,
    confidence: float = 0.95,
) -> Verdict:
    """What decisions that the candidate did not learn from say of it, against the policy that serves.

    log : decisions with their true propensities, whichever policy took them; those without a reward are left out.
    least_effective_sample : decisions' worth of information on the candidate under which nothing is known yet.
    look : one more than the looks that were taken before at candidates for the place of `serving`.
    confidence : that nothing passes that isn't better, over all looks together.
    """
    log = log.credited()
    if not len(log):
        return Verdict(UNKNOWN, confidence=confidence, missing="No decision has a reward yet.")
    theirs = propensities(candidate, log.x, log.action)
    ours = propensities(serving, log.x, log.action)
    return compare(log, theirs, ours, least_effective_sample=least_effective_sample, look=look, confidence=confidence)


def asked_of(look: int, confidence: float = 0.95) -> float:
    """Confidence of the interval at the k-th look, from 1, that makes `confidence` of all of them together."""
    return 1.0 - (1.0 - confidence) / (look * (look + 1))


def compare(
    log: DecisionLog,
    theirs: np.ndarray,
    ours: np.ndarray,
    *,
    least_effective_sample: int,
    look: int = 1,
    confidence: float = 0.95,
) -> Verdict:
    """`judge` of two policies by their propensities (n, O) on the log's options, all of whose decisions have a reward."""
    q, confidence = foretold(log), asked_of(look, confidence)
    found = difference(log, theirs, ours, q=q, confidence=confidence)
    judged, value = found.dr, estimate(log, ours, q=q, confidence=confidence).dr
    if judged is None or value is None:
        raise RuntimeError("a reward model was given and not used")
    weight = estimate(log, theirs, confidence=WEIGHT_CONFIDENCE).weight
    same = float(np.abs(theirs - ours).sum(1).mean()) < SAME_CHOICES
    missing = "" if same else _missing(found, weight, least_effective_sample)
    looked = 0 if same or missing else look
    if same:
        verdict, missing = SAME, "It decides as the policy that serves."
    elif missing:
        verdict = UNKNOWN
    elif judged.low >= 0.0 and judged.value > 0.0:
        verdict = BETTER
    elif judged.high < 0.0:
        verdict = WORSE
    else:
        verdict, missing = UNKNOWN, _more(judged, found)
    named = {"ips": found.ips, "clipped": found.clipped, "snips": found.snips, "dr": found.dr, "clipped_dr": found.clipped_dr}
    return Verdict(
        verdict,
        difference=_finite(judged.value),
        low=_finite(judged.low),
        high=_finite(judged.high),
        serving=value.value,
        effective=found.effective,
        effective_sessions=found.effective_sessions,
        decisions=found.decisions,
        sessions=found.sessions,
        confidence=confidence,
        look=looked,
        missing=missing,
        estimators={name: list(each) for name, each in named.items() if each is not None},
    )


def _missing(found: Estimates, weight: Estimate, least: int) -> str:
    """Why the difference can't be judged, "" where it can."""
    if found.unsupported > UNSUPPORTED:
        return (
            f"{found.unsupported:.0%} of what it would choose was never possible under the policies that served: only an "
            "experiment can tell."
        )
    if found.effective < least:
        return (
            f"The log speaks for {found.effective:,.0f} decisions of this policy, of {found.decisions:,}; {least:,} are needed: "
            f"{_times(least / max(found.effective, 1e-9))} as many decisions as now, or an experiment."
        )
    if found.effective_sessions < LEAST_SESSIONS:
        return f"The log speaks for {found.effective_sessions:,.0f} visits of this policy; {LEAST_SESSIONS} are needed."
    if not weight.low <= 1.0 <= weight.high:
        return (
            f"The logged propensities don't add up (weights have a mean of {weight.value:.3f}, not 1): decisions were "
            "not drawn as the log says."
        )
    return ""


def _more(judged: Estimate, found: Estimates) -> str:
    """What it would take to tell a difference as large as the one seen."""
    wide = (judged.high - judged.low) / 2.0
    seen = abs(judged.value)
    told = f"The difference lies between {judged.low:+.4f} and {judged.high:+.4f} a decision, on both sides of nothing."
    if seen > wide / 10.0:
        more = _times((wide / seen) ** 2)
        return f"{told} Were it as large as it looks, {more} as many visits as now ({found.sessions:,}) would tell."
    return f"{told} It looks like hardly any."


def _times(factor: float) -> str:
    return f"about {math.ceil(factor * 10) / 10:,.1f} times" if factor < 10 else f"about {math.ceil(factor):,} times"


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
