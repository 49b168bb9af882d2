"""MAP EM for the persona HMM, batched across sessions by time step, in chunks of sessions side by side.

hmmlearn runs forward-backward one session after the other; real sessions are short and many, so here step t of all
sessions that last that long is one matrix product. Rows are laid out *time-major*: first event 0 of every session,
longest session first, then event 1 of those that have one, and so on; every step is then a contiguous slice.

Reference: Rabiner (1989), sections III.C and V.A (scaling); Dirichlet priors as in Gauvain & Lee (1994).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from joblib import Parallel, delayed
from scipy import sparse

from personas.hmm import HALF_LIFE_S, PersonaHMM, PseudoCounts, log_likelihoods, maximise

ENOUGH = 1e-6
"""Gain in the objective, nats an event, below which more iterations change nothing that anyone could see."""

HEARSAY = 20.0
"""Expected sightings of a value in a state at which half of its learned lift stands: a chance count of 20 is good to a
fifth or so, one of 1 to nothing."""

NAMING = 1.5
"""How many times as often as the others an archetype must have a value for it to be what it is named by."""

NAME_KEPT = 0.25
"""Share of what an archetype is named by (in nats of lift) below which a state is reported to have drifted from it."""

CHUNK = 60_000
"""Events of a chunk: its arrays stay near the processor, and a million events make work for a dozen. The cut doesn't depend
on how many work side by side, so that the result doesn't either."""

LONGEST = 2_000
"""Events after which the fit starts a session anew: a robot's session of 100,000 must not cost that many steps."""


@dataclass(frozen=True)
class FitReport:
    """How a fit went.

    log_likelihood : nats an event before each iteration and after the last.
    objective : the same with the log-prior, which EM never lowers.
    drift : (K,) how far each state is from its archetype: total variation distance, 0 to 1, mean over learned factors.
    share : (K,) share of the events that each state takes.
    kept : (K,) how much of what its archetype is named by a state still shows, of the learned factor that lost most: 1 as the
        archetype has it, 0 no more than the personas on the whole, negative the contrary; NaN where no factor names it.
    worst : (K,) that factor's place, -1 where none names it.
    drifted : (K,) bool, states whose `kept` is below `NAME_KEPT`: reported, never renamed.
    """

    log_likelihood: tuple[float, ...]
    objective: tuple[float, ...]
    drift: np.ndarray
    share: np.ndarray
    kept: np.ndarray = field(default_factory=lambda: np.zeros(0))
    worst: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    drifted: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))


@dataclass(frozen=True)
class Expectation:
    """Expected counts of one E-step over N events, and the log-likelihood in nats.

    initial : (K,).  transition : (K, K).  posteriors : (N, K) P(z_n | whole session), in the order given.
    """

    log_likelihood: float
    initial: np.ndarray
    transition: np.ndarray
    posteriors: np.ndarray


@dataclass(frozen=True)
class _Layout:
    """rows : (N,) places of the time-major rows in the log.  starts : (T + 1,) where each time step starts in `rows`."""

    rows: np.ndarray
    starts: np.ndarray


@dataclass(frozen=True)
class _Chunk:
    """Some sessions, of about the same length.

    patterns : (u,) the patterns they show.  which : (n,) place in `patterns` of each time-major row.  starts : (T + 1,).
    gather : (u, n) 0/1 CSR, sums rows by pattern.
    """

    patterns: np.ndarray
    which: np.ndarray
    starts: np.ndarray
    gather: sparse.csr_matrix


@dataclass(frozen=True)
class _Counts:
    """Expected counts over all chunks. weight : (U, K) events of each pattern and state."""

    log_likelihood: float
    initial: np.ndarray
    transition: np.ndarray
    weight: np.ndarray


def fit(
    codes: np.ndarray,
    offsets: np.ndarray,
    *,
    start: PersonaHMM,
    pseudo_counts: PseudoCounts,
    iterations: int = 20,
    progress: Callable[[int, int], None] | None = None,
    jobs: int = 1,
) -> tuple[PersonaHMM, FitReport]:
    """The maximum a posteriori model reached by EM from `start`, and how it went.

    codes : (N, F) ints, -1 absent.  offsets : (S + 1,) session boundaries.
    jobs : threads that share the chunks of the E-step, -1 for all processors; the result is the same. Threads
        copy nothing. On two processors a million events took two of them as long as one (18 and 17 s).
    progress : called with (iterations done, of how many).
    An empty log gives the prior's model. Raises ValueError on shapes that disagree.
    """
    _check(codes, offsets, start)
    seen = _seen(codes, start)
    learned = np.array([int(s.sum()) >= 2 for s in seen])
    patterns, pattern_of = _patterns(codes, start)
    shows = _shows(patterns, start)
    chunks = _chunks(_cut(offsets), pattern_of)
    model = PersonaHMM(start.log_initial, start.log_transition, start.log_emission, learned)
    n = max(1, len(codes))
    likelihoods: list[float] = []
    objectives: list[float] = []
    with Parallel(n_jobs=jobs, prefer="threads") as workers:
        expected = _expect_all(model, shows, chunks, workers)
        for i in range(iterations):
            likelihoods.append(expected.log_likelihood / n)
            objectives.append(likelihoods[-1] + _log_prior(model, pseudo_counts) / n)
            if len(objectives) > 1 and objectives[-1] - objectives[-2] < ENOUGH:
                break
            model = _maximise_all(expected, shows, pseudo_counts, seen, learned)
            expected = _expect_all(model, shows, chunks, workers)
            if progress:
                progress(i + 1, iterations)
    likelihoods.append(expected.log_likelihood / n)
    objectives.append(likelihoods[-1] + _log_prior(model, pseudo_counts) / n)
    if progress:
        progress(iterations, iterations)
    events = expected.weight.sum(axis=0)
    model = _without_hearsay(model, events, pseudo_counts)
    drift, kept, worst, drifted = _drift(model, pseudo_counts)
    return model, FitReport(tuple(likelihoods), tuple(objectives), drift, events / n, kept, worst, drifted)


def expect(model: PersonaHMM, codes: np.ndarray, offsets: np.ndarray) -> Expectation:
    """One E-step over all sessions: the forward-backward algorithm with scaling."""
    _check(codes, offsets, model)
    n, k = len(codes), len(model.log_initial)
    if not n:
        return Expectation(0.0, np.zeros(k), np.zeros((k, k)), np.zeros((0, k)))
    patterns, pattern_of = _patterns(codes, model)
    layout = _time_major(offsets)
    likelihood, top = _scaled(log_likelihoods(model, patterns))
    which = pattern_of[layout.rows]
    scaled, alpha, initial, transition = _forward_backward(model, likelihood[which], layout.starts)
    posteriors = np.empty((n, k))
    posteriors[layout.rows] = alpha
    return Expectation(scaled + float(top[which].sum()), initial, transition, posteriors)


def filter_log(
    model: PersonaHMM,
    codes: np.ndarray,
    offsets: np.ndarray,
    *,
    log_prior: np.ndarray | None = None,
    elapsed_s: np.ndarray | None = None,
) -> np.ndarray:
    """(N, K) float32 beliefs after each event, as the online filter reaches them: P(z_n | events up to n).

    log_prior : (S, K) each session's own prior; without it, the model's initial distribution.
    elapsed_s : (N,) seconds since the session's previous event; without it, no time passes.
    """
    _check(codes, offsets, model)
    layout = _time_major(offsets)
    patterns, pattern_of = _patterns(codes, model)
    frames = log_likelihoods(model, patterns)[pattern_of[layout.rows]]
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    prior = np.exp(
        np.broadcast_to(model.log_initial, (len(lengths), len(model.log_initial))) if log_prior is None else log_prior
    )[order]
    kept = None if elapsed_s is None else 0.5 ** (np.maximum(elapsed_s, 0.0)[layout.rows] / HALF_LIFE_S)[:, None]
    previous = prior
    for t, (a, b) in enumerate(zip(layout.starts[:-1].tolist(), layout.starts[1:].tolist(), strict=True)):
        belief = previous[: b - a]
        if t:
            belief = belief @ model.transition
            if kept is not None:
                belief = kept[a:b] * belief + (1.0 - kept[a:b]) * prior[: b - a]
        previous = frames[a:b] = _conditioned(belief, frames[a:b])
    beliefs = np.empty(frames.shape, dtype=np.float32)
    beliefs[layout.rows] = frames
    return beliefs


def _conditioned(belief: np.ndarray, log_likelihood: np.ndarray) -> np.ndarray:
    """(n, K) beliefs after an observation each, as `hmm.condition` has them: the maximum is taken of the sum, so that what is
    hardly likely under the only state possible stays with it, and what is impossible under all leaves the belief."""
    with np.errstate(divide="ignore"):
        joint = np.log(belief) + log_likelihood
    top = joint.max(axis=1, keepdims=True)
    possible = top > -np.inf
    after = np.where(possible, np.exp(joint - np.where(possible, top, 0.0)), belief)
    after /= after.sum(axis=1, keepdims=True)
    return after


def _check(codes: np.ndarray, offsets: np.ndarray, model: PersonaHMM) -> None:
    if codes.ndim != 2 or codes.shape[1] != len(model.log_emission):
        raise ValueError(f"codes {codes.shape}, the model has {len(model.log_emission)} factors")
    if len(offsets) < 1 or offsets[-1] != len(codes):
        raise ValueError(f"offsets end at {offsets[-1] if len(offsets) else None}, codes has {len(codes)} rows")
    for f, table in enumerate(model.log_emission):
        if len(codes) and int(codes[:, f].max()) >= table.shape[1]:
            raise ValueError(f"code {int(codes[:, f].max())} of factor {f}, which has {table.shape[1]} values")


def _cut(offsets: np.ndarray) -> np.ndarray:
    """Boundaries with sessions over `LONGEST` events cut into pieces."""
    lengths = np.diff(offsets)
    if not len(lengths) or lengths.max() <= LONGEST:
        return offsets
    pieces = [np.arange(a, b, LONGEST) for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True) if b > a]
    return np.concatenate((*pieces, offsets[-1:])).astype(np.int64)


def _time_major(offsets: np.ndarray) -> _Layout:
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    heads, descending = offsets[:-1][order], lengths[order]
    steps = int(descending[0]) if len(descending) else 0
    alive = np.searchsorted(-descending, -np.arange(steps), side="left")
    starts = np.concatenate(([0], np.cumsum(alive))).astype(np.int64)
    rows = np.concatenate([heads[:n] + t for t, n in enumerate(alive.tolist())]) if steps else np.zeros(0, dtype=np.int64)
    return _Layout(rows.astype(np.int64), starts)


def _patterns(codes: np.ndarray, model: PersonaHMM) -> tuple[np.ndarray, np.ndarray]:
    """((U, F) the distinct rows of codes, (N,) which of them each row is): a log holds only some thousand."""
    key = np.zeros(len(codes), dtype=np.int64)
    for f, table in enumerate(model.log_emission):
        key = key * (table.shape[1] + 1) + codes[:, f] + 1
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return codes[first], inverse


def _seen(codes: np.ndarray, model: PersonaHMM) -> list[np.ndarray]:
    """F arrays (V_f,) bool: which values the log shows at all."""
    return [
        np.bincount(codes[:, f].astype(np.int64) + 1, minlength=table.shape[1] + 1)[1:] > 0
        for f, table in enumerate(model.log_emission)
    ]


def _chunks(offsets: np.ndarray, pattern_of: np.ndarray) -> list[_Chunk]:
    """The sessions in chunks of some `CHUNK` events, longest first: a chunk takes as many steps as its longest session has."""
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    done = np.cumsum(lengths[order])
    chunks = []
    for sessions in np.split(order, np.flatnonzero(np.diff((done - 1) // CHUNK)) + 1) if len(order) else []:
        bounds = np.concatenate(([0], np.cumsum(lengths[sessions])))
        layout = _time_major(bounds)
        session = np.searchsorted(bounds, layout.rows, side="right") - 1
        rows = offsets[sessions][session] + layout.rows - bounds[session]
        patterns, which = np.unique(pattern_of[rows], return_inverse=True)
        n = len(rows)
        gather = sparse.csr_matrix((np.ones(n), (which, np.arange(n))), shape=(len(patterns), n))
        chunks.append(_Chunk(patterns, which, layout.starts, gather))
    return chunks


def _shows(patterns: np.ndarray, model: PersonaHMM) -> sparse.csr_matrix:
    """(U, sum V_f) 1.0 where a pattern shows a value, the values of all factors one after the other.

    A product with it adds up a factor's terms, one with its transpose counts: some ten times as fast as indices do.
    """
    present = patterns >= 0
    first = np.array(model.first_rows)
    indptr = np.concatenate(([0], np.cumsum(present.sum(axis=1))))
    return sparse.csr_matrix(
        (np.ones(indptr[-1]), (patterns + first[:-1])[present], indptr), shape=(len(patterns), int(first[-1]))
    )


def _expect_all(model: PersonaHMM, shows: sparse.csr_matrix, chunks: list[_Chunk], workers: Parallel) -> _Counts:
    """One E-step over all chunks; their counts are added up in their order, whoever counted."""
    likelihood, top = _scaled(shows @ model.rows[:-1])
    parts = workers(delayed(_expect_chunk)(model, likelihood[c.patterns], top[c.patterns], c) for c in chunks)
    k = len(model.log_initial)
    total = _Counts(0.0, np.zeros(k), np.zeros((k, k)), np.zeros((shows.shape[0], k)))
    log_likelihood = 0.0
    for chunk, (part, initial, transition, weight) in zip(chunks, parts, strict=True):
        log_likelihood += part
        total.initial[:] += initial
        total.transition[:] += transition
        total.weight[chunk.patterns] += weight
    return _Counts(log_likelihood, total.initial, total.transition, total.weight)


def _expect_chunk(
    model: PersonaHMM, likelihood: np.ndarray, top: np.ndarray, chunk: _Chunk
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    scaled, alpha, initial, transition = _forward_backward(model, likelihood[chunk.which], chunk.starts)
    return scaled + float(top[chunk.which].sum()), initial, transition, chunk.gather @ alpha


def _scaled(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(U, K) likelihoods over their largest, and its (U,) logarithms, of (U, K) log-likelihoods."""
    top = frames.max(axis=1, initial=-np.inf)
    return np.exp(frames - top[:, None]), top


def _forward_backward(
    model: PersonaHMM, likelihood: np.ndarray, starts: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Log-likelihood in nats, (n, K) posteriors, (K,) first states and (K, K) transitions expected, of time-major rows.

    likelihood : (n, K), rows up to a factor.
    Works on probabilities scaled at every step; with pseudo-counts no table entry is small enough to underflow.
    """
    n, k = likelihood.shape
    alpha = np.empty((n, k))
    scale = np.empty((n, 1))
    bounds = list(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))
    previous = np.broadcast_to(np.exp(model.log_initial), (bounds[0][1], k))
    for t, (a, b) in enumerate(bounds):
        joint = (previous[: b - a] @ model.transition if t else previous) * likelihood[a:b]
        scale[a:b] = joint.sum(axis=1, keepdims=True)
        previous = np.divide(joint, scale[a:b], out=alpha[a:b])
    counts = np.zeros((k, k))
    backward: np.ndarray | None = None  # beta of step t + 1, for the sessions that have one
    for t in range(len(bounds) - 1, -1, -1):
        a, b = bounds[t]
        beta = np.ones((b - a, k))
        if backward is not None:
            c, d = bounds[t + 1]
            message = likelihood[c:d] * backward / scale[c:d]
            counts += alpha[a : a + d - c].T @ message
            beta[: d - c] = message @ model.transition.T
        alpha[a:b] *= beta
        backward = beta
    return float(np.log(scale).sum()), alpha, alpha[: bounds[0][1]].sum(axis=0), counts * model.transition


def _maximise_all(
    expected: _Counts,
    shows: sparse.csr_matrix,
    pseudo: PseudoCounts,
    seen: list[np.ndarray],
    learned: np.ndarray,
) -> PersonaHMM:
    """The M-step."""
    shown = (shows.T @ expected.weight).T
    tables, first = [], 0
    for f, prior in enumerate(pseudo.emission):
        counts = shown[:, first : first + prior.shape[1]]
        tables.append(np.log(maximise(counts, prior, seen[f])))
        first += prior.shape[1]
    initial = expected.initial + pseudo.initial
    transition = expected.transition + pseudo.transition
    return PersonaHMM(
        np.log(initial / initial.sum()), np.log(transition / transition.sum(axis=1, keepdims=True)), tuple(tables), learned
    )


def _without_hearsay(model: PersonaHMM, events: np.ndarray, pseudo: PseudoCounts) -> PersonaHMM:
    """The model with the lift of values that were hardly ever seen drawn to 1.

    A state that takes few events is not made likelier by one of a kind that almost nobody has shown: its Dirichlet
    prior alone would say so, twentyfold. Values of which the archetypes themselves say something are left alone.

    events : (K,) expected events of each state.
    """
    total = max(float(events.sum()), 1.0)
    tables = []
    for table, counts in zip(model.log_emission, pseudo.emission, strict=True):
        meant = counts / counts.sum(axis=1, keepdims=True)
        neutral = np.ptp(meant, axis=0) <= 1e-9 * meant.max(axis=0)
        pooled = (events @ np.exp(table)) / total if events.any() else meant.mean(axis=0)
        expected = events[:, None] * pooled
        kept = np.where(neutral, expected / (expected + HEARSAY), 1.0)
        log_pooled = np.log(np.maximum(pooled, 1e-300))
        drawn = log_pooled + kept * (table - log_pooled)
        drawn -= np.logaddexp.reduce(drawn, axis=1, keepdims=True)
        tables.append(np.where(neutral.any(), drawn, table))
    return PersonaHMM(model.log_initial, model.log_transition, tuple(tables), model.learned)


def _log_prior(model: PersonaHMM, pseudo: PseudoCounts) -> float:
    """Log-density of the Dirichlet priors at the model, up to a constant."""
    tables = [(pseudo.initial, model.log_initial), (pseudo.transition, model.log_transition)]
    tables += list(zip(pseudo.emission, model.log_emission, strict=True))
    return float(sum((counts * np.where(counts > 0, logs, 0.0)).sum() for counts, logs in tables))


def _drift(model: PersonaHMM, pseudo: PseudoCounts) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`drift`, `kept`, `worst` and `drifted` of the report.

    A factor names an archetype by the values that it has `NAMING` times as often as the archetypes on the whole. What is kept
    of them is the log of how much more often the state shows them than the states on the whole, over what the archetype says.
    All states count alike, however many events they take: a persona that nearly everybody is must not seem to have lost
    its name for being the usual shopper.
    """
    k = len(model.log_initial)
    distances = []
    kept = np.full((len(model.log_emission), k), np.nan)
    for f, (table, counts, learned) in enumerate(zip(model.log_emission, pseudo.emission, model.learned, strict=True)):
        if not learned:
            continue
        meant, shown = counts / counts.sum(axis=1, keepdims=True), np.exp(table)
        distances.append(0.5 * np.abs(shown - meant).sum(axis=1))
        usual, everybody = meant.mean(axis=0), shown.mean(axis=0)
        named = meant >= NAMING * usual
        lifts = [
            np.log(np.maximum((own * named).sum(axis=1), 1e-300)) - np.log(np.maximum((everyone * named).sum(axis=1), 1e-300))
            for own, everyone in ((shown, everybody), (meant, usual))
        ]
        some = named.any(axis=1)
        kept[f, some] = lifts[0][some] / lifts[1][some]
    drift = np.mean(distances, axis=0) if distances else np.zeros(k)
    some = ~np.isnan(kept).all(axis=0)
    worst = np.where(some, np.where(np.isnan(kept), np.inf, kept).argmin(axis=0), -1)
    least = np.where(some, kept[np.maximum(worst, 0), np.arange(k)], np.nan)
    return drift, least, worst, some & (least < NAME_KEPT)
