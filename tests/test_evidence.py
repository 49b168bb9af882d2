"""The evidence network: exact against enumeration of the joint distribution."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from personas.evidence import MIN_SESSIONS, SMOOTHING, EvidenceNetwork, fit_evidence, log_prior, used

VALUES = (("de", "fr", "pl"), ("day", "night"), ("phone", "desk", "tv"))
VARIABLES = ("country", "daypart", "device")


def network(seed: int) -> EvidenceNetwork:
    rng = np.random.default_rng(seed)
    tables = tuple(np.log(rng.dirichlet(np.ones(len(v)), size=4)) for v in VALUES)
    return EvidenceNetwork(np.log(rng.dirichlet(np.ones(4))), VARIABLES, VALUES, tables)


@pytest.mark.parametrize("given", list(itertools.product([0, 1], repeat=3)))
def test_missing_evidence_is_marginalised_as_enumeration_does(given: tuple[int, ...]) -> None:
    net = network(1)
    observed = {name: values[-1] for name, values, on in zip(VARIABLES, VALUES, given, strict=True) if on}
    total = np.zeros(4)
    for places in itertools.product(*(range(len(v)) for v in VALUES)):
        cell = np.exp(net.log_initial)
        for table, i in zip(net.log_tables, places, strict=True):
            cell = cell * np.exp(table[:, i])
        whole = {name: values[i] for name, values, i in zip(VARIABLES, VALUES, places, strict=True)}
        if observed.items() <= whole.items():
            total += cell
    np.testing.assert_allclose(np.exp(log_prior(net, observed)), total / total.sum(), rtol=0, atol=1e-12)


def test_unknown_variables_and_values_carry_no_weight() -> None:
    net = network(2)
    plain = log_prior(net, {"device": "tv"})
    evidence = {"device": "tv", "country": "atlantis", "shoe_size": "43"}
    np.testing.assert_array_equal(log_prior(net, evidence), plain)
    assert used(net, evidence) == {"device": "tv"}
    np.testing.assert_allclose(log_prior(net, {}), net.log_initial, rtol=0, atol=1e-15)


def test_tables_are_the_expected_shares_smoothed_towards_the_variables_own() -> None:
    posteriors = np.repeat([[1.0, 0.0], [0.25, 0.75]], [200, 200], axis=0)
    evidence = [{"device": "phone"}] * 200 + [{"device": "desk"}] * 200
    net = fit_evidence(posteriors, evidence, log_initial=np.log([0.5, 0.5]))
    table = dict(zip(net.values[0], np.exp(net.log_tables[0]).T, strict=True))
    # phone under the second persona: none of its 150 sessions, and half of the smoothing
    np.testing.assert_allclose(table["phone"], [(200 + SMOOTHING / 2) / (250 + SMOOTHING), SMOOTHING / 2 / (150 + SMOOTHING)])
    assert np.exp(log_prior(net, {"device": "desk"}))[1] > 0.7


def test_rare_values_and_constant_variables_tell_nothing() -> None:
    sessions = 10 * MIN_SESSIONS
    evidence = [
        {"shop": "here", "device": "desk" if s % 2 else "phone", **({"device": "toaster"} if s < MIN_SESSIONS - 1 else {})}
        for s in range(sessions)
    ]
    net = fit_evidence(np.full((sessions, 3), 1 / 3), evidence, log_initial=np.log(np.full(3, 1 / 3)))
    assert net.variables == ("device",)
    assert set(net.values[0]) == {"desk", "phone"}
    np.testing.assert_allclose(np.exp(net.log_tables[0]).sum(axis=1), 1 - (MIN_SESSIONS - 1) / sessions)


def test_sessions_without_evidence_give_a_network_without_variables() -> None:
    initial = np.log([0.2, 0.8])
    for evidence in (None, [{}, {}]):
        net = fit_evidence(np.full((2, 2), 0.5), evidence, log_initial=initial)
        np.testing.assert_allclose(log_prior(net, {"country": "de"}), initial, rtol=0, atol=1e-15)
    with pytest.raises(ValueError, match="evidence of 1 sessions, posteriors of 2"):
        fit_evidence(np.full((2, 2), 0.5), [{}], log_initial=initial)
