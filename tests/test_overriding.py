"""What isn't known to be better: each role tried on each verb, by the page and by the verb itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse

from clusters.policy import default_policy
from personas.component_files import save_component
from personas.models import Shop
from recommendations import activation, demo, releases
from recommendations.engine import Engine
from recommendations.learning import experiments, policies, proposals
from recommendations.learning.models import AdaptationSettings, ClusterProposal, Experiment, PolicyVersion
from recommendations.learning.overriding import may_override
from tests.proposal_shops import bare_shop
from tests.test_proposals import pks, proposed
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db

ROLES = ("guest", "merchandiser", "manager", "owner")
"""Staff without a right; with the demo's groups; a superuser."""

PERMITTED = {
    "policy, unknown": {"manager", "owner"},
    "policy, passed": {"merchandiser", "manager", "owner"},
    "policy, back": {"merchandiser", "manager", "owner"},
    "proposal, unknown": {"manager", "owner"},
    "proposal, better": {"merchandiser", "manager", "owner"},
    "proposal, rejected": {"merchandiser", "manager", "owner"},
    "experiment, unknown": {"manager", "owner"},
    "experiment, better": {"merchandiser", "manager", "owner"},
    "experiment, back": {"merchandiser", "manager", "owner"},
}
"""Verb -> who may."""


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=150))


@pytest.fixture
def shop(settings: Any, tmp_path: Path, engine: Engine, redis_client: redis.Redis) -> Shop:
    """A shop that serves, where learning may change as much as it likes."""
    settings.RELEASES_DIR = tmp_path
    shop = Shop.objects.create(slug="boutique", name="Boutique")
    activation.activate(releases.publish(shop, engine, metrics={}), by=policies._actor(None))
    return shop


def person(role: str) -> User:
    if role == "owner":
        return User.objects.create_superuser(role)
    user = User.objects.create_user(role, is_staff=True)
    if role != "guest":
        user.groups.add({"merchandiser": demo.merchandisers, "manager": demo.managers}[role]())
    return user


def learned(shop: Shop, verdict: str) -> PolicyVersion:
    """A candidate of which the gate said so."""
    policy = replace(default_policy(), version=f"thompson-{verdict}")
    component = save_component(releases.root_of(shop), "policy", policy)
    releases.record_components(shop, {"policy": component})
    told = {"verdict": verdict, "missing": ""}
    against = policies.serves(shop).version
    return PolicyVersion.objects.create(shop=shop, version=policy.version, component=component, verdict=told, against=against)


def tried(shop: Shop, verdict: str) -> Experiment:
    arms = [{"name": "as it is", "share": 0.5}, {"name": "still", "share": 0.5, "adapts": False}]
    made = experiments.create(shop, name="x", arms=arms)
    experiments.start(made)
    Experiment.objects.filter(pk=made.pk).update(result={"verdicts": {"still": verdict}})
    made.refresh_from_db()
    return made


def serving(shop: Shop) -> str:
    return releases.load_active(shop.pk).policy.version


Tried = tuple[str, dict[str, Any], Callable[[], bool]]
"""The address of a verb, what is sent, and whether it was done."""


def policy_verb(shop: Shop, verb: str, user: User) -> Tried:
    row = learned(shop, "unknown" if verb == "unknown" else "better")
    if verb == "back":
        policies.go_live(row)
        address = reverse("admin:recommendations_policyversion_back", args=[shop.pk])
        return address, {}, lambda: serving(shop) == default_policy().version
    address = reverse("admin:recommendations_policyversion_live", args=[row.pk])
    return address, {"reason": "I say so."}, lambda: serving(shop) == row.version


def proposal_verb(shop: Shop, verb: str, user: User) -> Tried:
    shop = bare_shop()
    AdaptationSettings.objects.create(shop=shop, drift_budget=1.0)
    row = proposed(shop, "add", 203, verdict="better" if verb == "better" else "unknown")
    address = reverse("admin:recommendations_clusterproposal_decide", args=[row.pk])
    sent = {"verb": {"unknown": "override", "better": "approve", "rejected": "reject"}[verb], "reason": "I say so."}
    state = ClusterProposal.State.REJECTED if verb == "rejected" else ClusterProposal.State.APPLIED
    return address, {**sent, "item": pks(shop, 203)}, lambda: ClusterProposal.objects.get(pk=row.pk).state == state


def experiment_verb(shop: Shop, verb: str, user: User) -> Tried:
    made = tried(shop, "unknown" if verb == "unknown" else "better")

    def adapts() -> bool:
        return AdaptationSettings.objects.get_or_create(shop=shop)[0].enabled

    if verb == "back":
        experiments.make_live(made, "still", by=user)
        return reverse("admin:recommendations_experiment_back", args=[made.pk]), {}, adapts
    address = reverse("admin:recommendations_experiment_live", args=[made.pk])
    return address, {"arm": "still", "reason": "I say so."}, lambda: not adapts()


VERBS = {"policy": policy_verb, "proposal": proposal_verb, "experiment": experiment_verb}


@pytest.mark.parametrize("what", PERMITTED)
def test_who_may_does_and_who_may_not_is_refused_with_nothing_changed(shop: Shop, client: Client, what: str) -> None:
    """The roles in order of what they may: those who may not come first, and leave things as they were."""
    kind, verb = what.split(", ")
    people = {role: person(role) for role in ROLES}
    address, sent, done = VERBS[kind](shop, verb, people["owner"])
    asked = [role for role in ROLES if role not in PERMITTED[what]] + [r for r in ROLES if r in PERMITTED[what]][:1]
    assert asked[0] == "guest"
    for role in asked:
        client.force_login(people[role])
        answer = client.post(address, sent)
        assert answer.status_code == (302 if role in PERMITTED[what] else 403), role
        assert done() == (role in PERMITTED[what]), role


@pytest.mark.parametrize("role", ROLES)
def test_the_verbs_themselves_ask_for_the_right(shop: Shop, role: str) -> None:
    """What a page would let through by a mistake of its own, the verb doesn't."""
    user, other = person(role), bare_shop()
    AdaptationSettings.objects.create(shop=other, drift_budget=1.0)
    policy, proposal, experiment = (
        learned(shop, "unknown"),
        proposed(other, "add", 203, verdict="unknown"),
        tried(shop, "unknown"),
    )
    verbs: tuple[Callable[[], object], ...] = (
        lambda: policies.go_live(policy, by=user, reason="I say so."),
        lambda: proposals.apply_proposal(proposal=proposal, user=user, reason="I say so.", override=True),
        lambda: experiments.make_live(experiment, "still", by=user, reason="I say so."),
    )
    for verb in verbs:
        if role in {"manager", "owner"}:
            verb()
        else:
            with pytest.raises(PermissionDenied, match="Only somebody who may override"):
                verb()
    policy.refresh_from_db()
    proposal.refresh_from_db()
    experiment.refresh_from_db()
    through = role in {"manager", "owner"}
    assert (policy.overridden, proposal.overridden, "live" in experiment.result) == (through,) * 3


@pytest.mark.parametrize("role", ["merchandiser", "manager"])
def test_the_button_is_there_only_for_who_may_and_the_page_says_who(shop: Shop, client: Client, role: str) -> None:
    client.force_login(person(role))
    policy, experiment = learned(shop, "unknown"), tried(shop, "unknown")
    pages = [
        client.get(reverse(f"admin:recommendations_{name}_change", args=[row.pk])).content.decode()
        for name, row in (("policyversion", policy), ("experiment", experiment))
    ]
    buttons = ("Let it serve</button>", "Make it live</button>")
    assert [button in page for button, page in zip(buttons, pages, strict=True)] == [role == "manager"] * 2
    assert ["Only somebody who may override" in page for page in pages] == [role == "merchandiser"] * 2


def test_a_policy_that_won_an_experiment_was_not_let_through_unknown(shop: Shop) -> None:
    """The gate never judged it, the experiment did; and taking it back asks for no right but to change experiments."""
    merchandiser, policy = person("merchandiser"), learned(shop, "unknown")
    arms = [{"name": "as it is", "share": 0.5}, {"name": "new", "share": 0.5, "policy": policy.component}]
    made = experiments.create(shop, name="x", arms=arms)
    experiments.start(made)
    Experiment.objects.filter(pk=made.pk).update(result={"verdicts": {"new": "better"}})
    made.refresh_from_db()
    experiments.make_live(made, "new", by=merchandiser)
    policy.refresh_from_db()
    assert (policy.state, policy.overridden) == (PolicyVersion.State.LIVE, False)
    experiments.roll_back(made, by=merchandiser)
    assert serving(shop) == default_policy().version


def test_nobody_may_override() -> None:
    assert not may_override(None)
    assert not may_override(AnonymousUser())
