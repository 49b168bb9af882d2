"""What the serving code believes of shoppers whose persona is known, beside the exact posterior of the world they come from.

Protocol. A session's evidence (context, demographics, clock) makes its prior, as `engine.start` does; then each event goes
through `personas.profile.update` with the very signal that `engine.observe` makes of it. The truth at an event is the
persona that acted. Figures are over *steps* (`encoding.STEPS`): a reported list says what we showed, an engagement adds to
the step before it. The exact posterior of the world, which knows its choice rules and what was on the shelf, is what
nobody can beat; it is measured by the same functions.

- Accuracy: the likeliest persona after a session's fifth step is the one that acts, sessions of at least five steps.
- Calibration: of the likeliest persona's probability after every step, and classwise.
- Mixed told from unsure: AUC of the profile's `together` (P(two personas take turns)) after the last event, of mixed
  sessions against all others, and against the third of the single sessions that ended with the most entropy; sessions of
  at least five steps. The profile's `mixing`, in nats, is measured beside it. Of the exact posterior the score is
  P(kind = mixed).
- Shifts: sessions that shift with three steps or more on both sides. Found, if a shift towards the persona that now acts is
  told at one of the first three steps from the shift on. A false alarm is a shift told in a session of one persona. Of the
  exact posterior a shift is a change of the persona that leads with a probability of at least one half. As that rule has
  many false alarms, the best that is possible is told too: of P(the session has shifted, and to whom), the threshold
  that gives false alarms in five of a hundred sessions of one persona.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clusters.catalogue import Catalogue
from personas import profile as personas
from personas.encoding import NOVELTY_WINDOW, STEPS
from personas.events import CODE, ITEM_ACTIONS, Event
from personas.profile import PersonaModel, Signal
from personas.sessions import NO_ITEM
from recommendations.engine import clock_evidence, read_signal
from recommendations.evaluation.personas.statistics import Interval, auc, calibration_error, classwise_error, resample
from recommendations.evaluation.simulation import KINDS, SimulatedSession

AFTER = 5
"""Steps after which accuracy is read, and that a session needs for its kind to be told."""

SIDE = 3
"""Steps within which a shift counts as found, and that both its sides must have."""

LEAD = 0.5
"""Probability from which the exact posterior's persona leads: more likely than all the others together."""

FALSE_ALARMS = 0.05
"""Share of the sessions of one persona in which the best possible rule may tell a shift."""

UNSURE = 1 / 3
"""Share of the single sessions, those of the highest entropy, that stand for the merely unsure."""


class Reader:
    """The signals of a session's events, for who needs the persona only: `engine.read_signal` with what a state would hold."""

    def __init__(self, catalogue: Catalogue, at: float) -> None:
        self.catalogue, self.last_at = catalogue, at
        self.recent: list[int] = []

    def signal(self, event: Event) -> Signal:
        """What the event tells the persona, given those read before."""
        self.last_at = max(event.at, self.last_at)
        signal = read_signal(self.catalogue, self.recent, event, at=self.last_at)
        if signal.position != NO_ITEM and event.name in ITEM_ACTIONS:
            self.recent = [*self.recent, event.item][-NOVELTY_WINDOW:]
        return signal


@dataclass(frozen=True)
class Filtered:
    """One session as both see it, over its n steps.

    belief, exact : (n, K).  exact_shifted : (n, K) P(the session has shifted, and to that persona).
    truth : (n,) persona that acted.
    kind : place in `KINDS`.  shift_at : step, or None.
    told, exact_told : (step, persona) of the shifts that were told.
    together, mixing, several, exact_mixed : after the last event.
    prior : (K,) belief before the first event.
    """

    kind: int
    prior: np.ndarray
    belief: np.ndarray
    exact: np.ndarray
    exact_shifted: np.ndarray
    truth: np.ndarray
    shift_at: int | None
    told: tuple[tuple[int, int], ...]
    exact_told: tuple[tuple[int, int], ...]
    together: float
    mixing: float
    several: bool
    exact_mixed: float


def follow(model: PersonaModel, catalogue: Catalogue, session: SimulatedSession, order: np.ndarray) -> Filtered:
    """The session through the serving code. order : (K,) the world's persona of each of the model's archetypes."""
    at = session.events[0].at
    evidence = clock_evidence(at) | session.context | session.demographics
    state = personas.start(model, evidence=evidence, at=at)
    prior = np.exp(np.array(state.log_belief))
    reader = Reader(catalogue, at)
    steps: list[int] = []
    beliefs: list[tuple[float, ...]] = []
    told: list[tuple[int, int]] = []
    for n, event in enumerate(session.events):
        before, state = state, personas.update(model, state, reader.signal(event))
        if CODE[event.name] in STEPS:
            steps.append(n)
            beliefs.append(state.log_belief)
        if state.shift is not None and state.shift is not before.shift and state.shift != before.shift and steps:
            told.append((len(steps) - 1, int(order[model.ids.index(state.shift.target)])))
    rows = np.array(steps, dtype=np.int64)
    belief = _reordered(np.exp(np.array(beliefs)).reshape(len(rows), len(order)), order)
    exact = session.posterior[rows]
    profile = personas.profile(model, state)
    return Filtered(
        kind=KINDS.index(session.kind),
        prior=_reordered(prior[None], order)[0],
        belief=belief,
        exact=exact,
        exact_shifted=session.shifted[rows],
        truth=session.personas[rows],
        shift_at=None if session.shift_at is None else int(np.searchsorted(rows, session.shift_at)),
        told=tuple(told),
        exact_told=changes(exact),
        together=profile.together,
        mixing=profile.mixing,
        several=profile.several,
        exact_mixed=float(session.kind_posterior[-1, KINDS.index("mixed")]),
    )


def follow_all(
    model: PersonaModel,
    keys: Sequence[str],
    catalogue: Catalogue,
    sessions: Sequence[SimulatedSession],
    progress: Callable[[int, int], None] | None = None,
) -> list[Filtered]:
    """`follow` of every session. keys : the world's personas by key, of which the model has all. Raises ValueError if not."""
    if set(keys) != set(model.archetype_keys):
        raise ValueError(f"the world's personas {sorted(keys)} are not the model's, {sorted(model.archetype_keys)}")
    order = np.array([list(keys).index(key) for key in model.archetype_keys])
    followed = []
    for n, session in enumerate(sessions):
        followed.append(follow(model, catalogue, session, order))
        if progress and n % 100 == 0:
            progress(n, len(sessions))
    return followed


def _reordered(belief: np.ndarray, order: np.ndarray) -> np.ndarray:
    by_world = np.empty_like(belief)
    by_world[:, order] = belief
    return by_world


def changes(belief: np.ndarray) -> tuple[tuple[int, int], ...]:
    """(step, persona) at which another persona than before comes to lead, with a probability of at least `LEAD`.

    belief : (n, K). The first lead is no change.
    """
    lead = -1
    found: list[tuple[int, int]] = []
    for n, (k, p) in enumerate(zip(belief.argmax(axis=1).tolist(), belief.max(axis=1).tolist(), strict=True)):
        if p >= LEAD and k != lead:
            if lead >= 0:
                found.append((n, k))
            lead = k
    return tuple(found)


def best_rule(sessions: Sequence[Filtered], single: np.ndarray) -> list[tuple[tuple[int, int], ...]]:
    """What each session would be told by the exact posterior, at `FALSE_ALARMS` among the sessions of a boolean mask."""
    loudest = [s.exact_shifted.sum(axis=1) for s in sessions]
    tops = np.array([score.max(initial=0.0) for score in loudest])
    threshold = float(np.quantile(tops[single], 1.0 - FALSE_ALARMS)) if single.any() else 0.0
    return [
        tuple((n, int(s.exact_shifted[n].argmax())) for n in np.flatnonzero(score > threshold).tolist())
        for s, score in zip(sessions, loudest, strict=True)
    ]


def entropies(belief: np.ndarray) -> np.ndarray:
    """(n,) nats, of (n, K) beliefs."""
    entropy: np.ndarray = -(belief * np.log(np.maximum(belief, 1e-300))).sum(axis=1)
    return entropy


def found_within(session: Filtered, told: Sequence[tuple[int, int]], steps: int = SIDE) -> bool:
    """Whether the session's shift was told, and its target rightly, within so many steps from it on."""
    assert session.shift_at is not None
    return any(0 <= n - session.shift_at < steps and persona == session.truth[n] for n, persona in told)


def two_sided(session: Filtered) -> bool:
    """Whether the session shifts with `SIDE` steps on both sides."""
    return session.shift_at is not None and SIDE <= session.shift_at <= len(session.truth) - SIDE


def measures(sessions: Sequence[Filtered], *, seed: int = 0) -> dict[str, Interval]:
    """All figures of a set of sessions, by name, with intervals over sessions.

    Names that begin with "exact" are of the exact posterior, those with "best" of the best rule that it allows (`best_rule`);
    those that end with "ratio" are ours over its.
    """
    steps = _Steps.of(sessions)
    at_least = np.array([len(s.truth) >= AFTER for s in sessions])
    kind = np.array([s.kind for s in sessions])
    single, mixed = (kind == KINDS.index(name) for name in ("single", "mixed"))
    figures: dict[str, Callable[[np.ndarray], float]] = {}

    def both(name: str, ours: Callable[[np.ndarray], float], exact: Callable[[np.ndarray], float]) -> None:
        figures[name], figures[f"exact_{name}"] = ours, exact
        figures[f"{name}_ratio"] = lambda w: ours(w) / exact(w) if exact(w) else float("nan")

    right = np.zeros((len(sessions), 2))
    for i in np.flatnonzero(at_least).tolist():
        s = sessions[i]
        right[i] = [belief[AFTER - 1].argmax() == s.truth[AFTER - 1] for belief in (s.belief, s.exact)]
    for name, chosen in (("accuracy", at_least), ("accuracy_single", at_least & single)):
        both(name, _share(right[:, 0], chosen), _share(right[:, 1], chosen))
    for name, belief in (("", steps.belief), ("exact_", steps.exact)):
        figures[f"{name}calibration_error"] = steps.calibration(belief)
        figures[f"{name}classwise_error"] = steps.classwise(belief)
    unsure = at_least & (mixed | most_unsure(sessions, at_least & single))
    together, mixing, exact_mixed = (np.array([getattr(s, n) for s in sessions]) for n in ("together", "mixing", "exact_mixed"))
    for name, chosen in (("mixed_auc", at_least), ("mixed_unsure_auc", unsure)):
        both(name, _auc(together, mixed, chosen), _auc(exact_mixed, mixed, chosen))
        figures[f"{name}_by_mixing"] = _auc(mixing, mixed, chosen)
    several = np.array([s.several for s in sessions], dtype=float)
    figures["several_in_mixed"] = _share(several, at_least & mixed)
    figures["several_in_single"] = _share(several, at_least & single)
    shifting = np.array([two_sided(s) for s in sessions])
    rules = {"": [s.told for s in sessions], "exact_": [s.exact_told for s in sessions], "best_": best_rule(sessions, single)}
    for name, told in rules.items():
        for suffix, within in (("", SIDE), ("_in_5", 5)):
            found = [two_sided(s) and found_within(s, by, within) for s, by in zip(sessions, told, strict=True)]
            figures[f"{name}shifts_found{suffix}"] = _share(np.array(found, dtype=float), shifting)
        figures[f"{name}false_alarms"] = _share(np.array([bool(by) for by in told], dtype=float), single)
    ours, best = figures["shifts_found"], figures["best_shifts_found"]
    figures["shifts_found_ratio"] = lambda w: ours(w) / best(w) if best(w) else float("nan")
    return {name: resample(figure, len(sessions), seed=seed) for name, figure in figures.items()}


def most_unsure(sessions: Sequence[Filtered], among: np.ndarray) -> np.ndarray:
    """(S,) bool, the share `UNSURE` of the sessions in `among` whose last belief has the most entropy."""
    entropy = np.array([entropies(s.belief[-1:])[0] if len(s.belief) else 0.0 for s in sessions])
    if not among.any():
        return among
    chosen: np.ndarray = among & (entropy >= np.quantile(entropy[among], 1.0 - UNSURE))
    return chosen


def _share(value: np.ndarray, chosen: np.ndarray) -> Callable[[np.ndarray], float]:
    def share(weights: np.ndarray) -> float:
        weight = weights[chosen]
        return float(weight @ value[chosen] / weight.sum()) if weight.sum() else float("nan")

    return share


def _auc(score: np.ndarray, positive: np.ndarray, chosen: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda weights: auc(score[chosen], positive[chosen], weights[chosen])


@dataclass(frozen=True)
class _Steps:
    """All steps of all sessions: session (N,), belief and exact (N, K), truth (N,)."""

    session: np.ndarray
    belief: np.ndarray
    exact: np.ndarray
    truth: np.ndarray

    @classmethod
    def of(cls, sessions: Sequence[Filtered]) -> _Steps:
        return cls(
            np.repeat(np.arange(len(sessions)), [len(s.truth) for s in sessions]),
            np.concatenate([s.belief for s in sessions]),
            np.concatenate([s.exact for s in sessions]),
            np.concatenate([s.truth for s in sessions]),
        )

    def calibration(self, belief: np.ndarray) -> Callable[[np.ndarray], float]:
        top, right = belief.max(axis=1), belief.argmax(axis=1) == self.truth
        return lambda weights: calibration_error(top, right, weights[self.session])

    def classwise(self, belief: np.ndarray) -> Callable[[np.ndarray], float]:
        return lambda weights: classwise_error(belief, self.truth, weights[self.session])
