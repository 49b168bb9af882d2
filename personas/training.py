"""A shop's persona model fitted on its log: archetypes and facts in, `PersonaModel` out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import sparse

from personas.archetypes import Archetype, Attribute, starting_model
from personas.assembly import assemble
from personas.encoding import ItemFacts, Steps, encode_steps, gaps, value_names
from personas.evidence import fit_evidence, log_prior
from personas.fitting import FitReport, expect, filter_log, fit
from personas.hmm import PersonaHMM
from personas.profile import PersonaModel
from personas.repeats import steps_once
from personas.sessions import SessionLog


def train_personas(
    log: SessionLog,
    facts: ItemFacts,
    catalogue_descriptors: tuple[str, ...],
    item_descriptors: sparse.csr_matrix,
    attributes: Sequence[Attribute],
    archetypes: Sequence[Archetype],
    evidence: Sequence[Mapping[str, str]] | None,
    previous: PersonaModel | None,
    iterations: int = 20,
    progress: Callable[[int, int], None] | None = None,
    jobs: int = 1,
) -> tuple[PersonaModel, np.ndarray, FitReport]:
    """A persona model fitted on a log, (N, K) float32 beliefs after each of its events, and how the fit went.

    facts, item_descriptors : of n items, by position.  catalogue_descriptors : D names.
    evidence : one mapping a session, or None.  previous : the last model of the shop, from which EM starts where it
        explains the log better than the archetypes do (its categories are matched by name, and the names of
        co-visit groups need not mean the same from one release to the next).
    jobs : threads of the fit, -1 for all processors; the result is the same.
    An empty log gives the archetypes' own model. Raises PersonaError if there is no archetype.
    """
    if item_descriptors.shape != (len(facts.category), len(catalogue_descriptors)):
        raise ValueError(f"item_descriptors {item_descriptors.shape} != {(len(facts.category), len(catalogue_descriptors))}")
    steps = steps_once(encode_steps(facts, log))
    codes, offsets, sessions = steps.codes, steps.offsets, len(steps.sessions)
    if evidence is not None:
        evidence = [evidence[s] for s in steps.sessions.tolist()]
    begin, pseudo_counts = starting_model(attributes, archetypes, facts, catalogue_descriptors, item_descriptors, codes, sessions)
    if previous is not None and len(codes):
        last = _previous_start(previous, begin, archetypes, facts)
        if expect(last, codes, offsets).log_likelihood > expect(begin, codes, offsets).log_likelihood:
            begin = last
    hmm, report = fit(
        codes, offsets, start=begin, pseudo_counts=pseudo_counts, iterations=iterations, progress=progress, jobs=jobs
    )
    heads = expect(hmm, codes, offsets).posteriors[offsets[:-1]] if evidence is not None else np.zeros((sessions, 1))
    network = fit_evidence(heads, evidence, log_initial=hmm.log_initial)
    model = assemble(hmm, network, facts, attributes, archetypes, catalogue_descriptors, item_descriptors)
    return model, _beliefs(model, steps, log, evidence), report


def _beliefs(model: PersonaModel, steps: Steps, log: SessionLog, evidence: Sequence[Mapping[str, str]] | None) -> np.ndarray:
    """(N, K) float32, what the online filter would have believed after each event of the log; before a session's first
    step, the prior of nobody in particular."""
    prior = np.array([log_prior(model.network, given) for given in evidence]) if evidence else None
    reached = filter_log(model.hmm, steps.codes, steps.offsets, log_prior=prior, elapsed_s=gaps(log)[steps.rows])
    # `last` is -1 before the first step, and so reads the row appended here.
    return np.vstack((reached, np.exp(model.hmm.log_initial)[None])).astype(np.float32)[steps.last]


def _previous_start(previous: PersonaModel, begin: PersonaHMM, archetypes: Sequence[Archetype], facts: ItemFacts) -> PersonaHMM:
    """`begin` with the previous model's tables for the archetypes and values that both have, matched by id and name."""
    place = {i: k for k, i in enumerate(previous.ids)}
    pairs = [(k, place[a.id]) for k, a in enumerate(archetypes) if a.id in place]
    if not pairs:
        return begin
    now, before = np.array(pairs).T
    tables = []
    for table, old, names, old_names in zip(
        begin.log_emission, previous.hmm.log_emission, value_names(facts), value_names(previous.facts), strict=True
    ):
        column = {name: i for i, name in enumerate(old_names)}
        shared = [(i, column[name]) for i, name in enumerate(names) if name in column]
        mixed = np.exp(table)
        if shared:
            to, source = np.array(shared).T
            mixed[np.ix_(now, to)] = np.exp(old[np.ix_(before, source)])
        tables.append(np.log(mixed / mixed.sum(axis=1, keepdims=True)))
    initial, transition = np.exp(begin.log_initial), np.exp(begin.log_transition)
    initial[now] = np.exp(previous.hmm.log_initial[before])
    transition[np.ix_(now, now)] = np.exp(previous.hmm.log_transition[np.ix_(before, before)])
    return PersonaHMM(
        np.log(initial / initial.sum()), np.log(transition / transition.sum(axis=1, keepdims=True)), tuple(tables), begin.learned
    )
