"""Experiments, proposals and policies over the API; and what every call shares: limits and answers that are given again."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from clusters.models import ClusterChange, ClusterMembership, Item, ItemCluster
from personas.models import ApiKey, Shop
from recommendations.learning.models import ClusterProposal, Experiment, PolicyVersion
from recommendations.models import MerchandisingRule
from tests.proposal_shops import bare_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(redis_client: redis.Redis) -> Shop:
    return bare_shop()


@pytest.fixture
def key(shop: Shop) -> str:
    return ApiKey.objects.issue(shop=shop, name="night shift", scopes=["read", "manage"])[1]


def call(client: Client, method: str, path: str, key: str, body: object = None, **headers: str) -> HttpResponse:
    told = {"authorization": f"Bearer {key}", **headers}
    return client.generic(method, f"/api/v1/{path}", json.dumps(body), content_type="application/json", headers=told)


def proposal(shop: Shop, *, verdict: str = "better", kind: str = "drop") -> ClusterProposal:
    cluster = ItemCluster.objects.get(shop=shop, name="Skirts")
    members = ClusterMembership.objects.filter(cluster=cluster).order_by("weight")[:2]
    items = [{"item": member.item_id, "weight": 0.5, "evidence": {}} for member in members]
    told = {"judged_at": timezone.now().isoformat()}
    return ClusterProposal.objects.create(shop=shop, cluster=cluster, kind=kind, items=items, verdict=verdict, evidence=told)


ARMS = [{"name": "as is", "share": 0.5}, {"name": "still", "share": 0.5, "adapts": False}]


def test_an_experiment_is_made_read_and_told_what_it_lacks(client: Client, shop: Shop, key: str) -> None:
    made = call(client, "POST", "experiments/", key, {"name": "Does it pay?", "arms": ARMS})
    assert made.status_code == 201
    told = made.json()
    assert (told["state"], [arm["adapts"] for arm in told["arms"]]) == ("draft", [True, False])
    assert Experiment.objects.get().created_by.username == "api-keys"  # type: ignore[union-attr]
    start = call(client, "POST", f"experiments/{told['id']}/start/", key)
    assert (start.status_code, "needs a release" in start.json()["detail"]) == (409, True)
    assert call(client, "POST", f"experiments/{told['id']}/stop/", key, {}).status_code == 409
    Experiment.objects.update(state="running")
    stopped = call(client, "POST", f"experiments/{told['id']}/stop/", key, {"reason": "Enough."}).json()
    assert (stopped["state"], stopped["stopped_by"], stopped["reason"]) == (
        "stopped", "api-keys", "API key “night shift”: Enough.",
    )  # fmt: skip
    assert call(client, "GET", f"experiments/{told['id']}/result/", key).json() == {
        "id": told["id"], "state": "stopped", "result": {},
    }  # fmt: skip
    assert [row["id"] for row in call(client, "GET", "experiments/?state=stopped", key).json()["results"]] == [told["id"]]
    bad = call(client, "POST", "experiments/", key, {"name": "x", "arms": ARMS[:1]})
    assert (bad.status_code, bad.json()["field"]) == (400, "arms")


def test_a_proposal_is_approved_and_undone_in_the_name_of_the_key(client: Client, shop: Shop, key: str) -> None:
    row = proposal(shop)
    told = call(client, "GET", f"proposals/{row.pk}/", key).json()
    names = [each["item_id"] for each in told["items"]]
    assert (told["cluster_name"], told["state"], len(names)) == ("Skirts", "open", 2)
    done = call(client, "POST", f"proposals/{row.pk}/approve/", key, {"items": names[:1], "reason": "Seen."})
    assert (done.status_code, done.json()["state"], done.json()["decided_by"]) == (200, "applied", "api-keys")
    assert done.json()["reason"] == "API key “night shift”: Seen."
    change = ClusterChange.objects.latest("pk")
    assert change.reason == "API key “night shift”: Seen."
    assert call(client, "POST", f"proposals/{row.pk}/approve/", key, {}).status_code == 409
    undone = call(client, "POST", f"proposals/{row.pk}/undo/", key, {})
    assert (undone.status_code, undone.json()["state"]) == (200, "undone")
    assert ClusterChange.objects.latest("pk").who == "night shift"
    other = proposal(shop)
    assert call(client, "POST", f"proposals/{other.pk}/reject/", key, {}).json()["state"] == "rejected"


def test_a_key_approves_nothing_that_is_not_known_to_be_better(client: Client, shop: Shop, key: str) -> None:
    row = proposal(shop, verdict="unknown")
    assert call(client, "POST", f"proposals/{row.pk}/approve/", key, {"reason": "I say so"}).status_code == 409
    policy = PolicyVersion.objects.create(shop=shop, version="p2", component="c2")
    refused = call(client, "POST", f"policies/{policy.pk}/go-live/", key, {"reason": "I say so"})
    assert (refused.status_code, "may override" in refused.json()["detail"]) == (403, True)
    assert call(client, "POST", f"policies/{policy.pk}/refuse/", key, {}).json()["state"] == "refused"
    assert call(client, "POST", f"policies/{policy.pk}/refuse/", key, {}).status_code == 409
    assert [row["version"] for row in call(client, "GET", "policies/?state=refused", key).json()["results"]] == ["p2"]


def test_what_may_only_be_read_is_not_decided_on(client: Client, shop: Shop) -> None:
    reads = ApiKey.objects.issue(shop=shop, name="r", scopes=["read"])[1]
    row, policy = proposal(shop), PolicyVersion.objects.create(shop=shop, version="p2", component="c2")
    for path in (f"proposals/{row.pk}/approve/", f"policies/{policy.pk}/refuse/", "experiments/"):
        assert call(client, "POST", path, reads, {}).status_code == 403
    assert call(client, "GET", f"proposals/{row.pk}/", reads).status_code == 200
    other = ApiKey.objects.issue(shop=Shop.objects.create(slug="o", name="O"), name="o", scopes=["read", "manage"])[1]
    assert call(client, "POST", f"proposals/{row.pk}/approve/", other, {}).status_code == 404


def test_a_list_of_proposals_names_its_items_at_once(
    client: Client, shop: Shop, key: str, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        proposal(shop)
    call(client, "GET", "proposals/", key)
    with django_assert_max_num_queries(3):
        assert len(call(client, "GET", "proposals/", key).json()["results"]) == 5


def test_a_rule_of_a_key_is_on_the_admins_record_under_its_name(client: Client, shop: Shop, key: str) -> None:
    made = call(client, "POST", "rules/", key, {"name": "No bags", "action": "exclude", "target": {"categories": ["Bags"]}})
    rule = MerchandisingRule.objects.get(pk=made.json()["id"])
    call(client, "PATCH", f"rules/{rule.pk}/", key, {"enabled": False})
    call(client, "DELETE", f"rules/{rule.pk}/", key)
    entries = LogEntry.objects.filter(object_id=str(rule.pk)).order_by("pk")
    assert [entry.change_message for entry in entries] == [
        "API key “night shift”: Made.", "API key “night shift”: Changed: enabled.", "API key “night shift”: Taken out.",
    ]  # fmt: skip
    account = entries[0].user
    assert (account.username, account.is_active, account.has_usable_password()) == ("api-keys", False, False)


# Limits, and answers given again


def test_a_key_that_asks_too_often_is_told_to_wait(client: Client, shop: Shop) -> None:
    row, slow = ApiKey.objects.issue(shop=shop, name="slow", scopes=["read"])
    row.rate = 2
    row.save()
    answers = [call(client, "GET", "items/", slow) for _ in range(4)]
    first, last = answers[0], answers[-1]
    assert (first.status_code, first["ratelimit-limit"], first["ratelimit-remaining"]) == (200, "2", "1")
    assert (last.status_code, last.json()["code"]) == (429, "rate_limited")
    assert int(last["retry-after"]) >= 1


def test_what_was_posted_under_a_key_is_done_once(client: Client, shop: Shop, key: str) -> None:
    body = {"name": "No bags", "action": "exclude", "target": {"categories": ["Bags"]}}
    first = call(client, "POST", "rules/", key, body, **{"idempotency-key": "k1"})
    again = call(client, "POST", "rules/", key, body, **{"idempotency-key": "k1"})
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert (again["idempotent-replayed"], MerchandisingRule.objects.count()) == ("true", 1)
    other = call(client, "POST", "rules/", key, {**body, "name": "Other"}, **{"idempotency-key": "k1"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    wrong = call(client, "POST", "rules/", key, {}, **{"idempotency-key": "k2"})
    assert wrong.status_code == 400
    assert call(client, "POST", "rules/", key, body, **{"idempotency-key": "k2"}).status_code == 201, "a refusal is not kept"
    assert call(client, "POST", "rules/", key, body, **{"idempotency-key": "é" * 9}).status_code in (201, 400)
    assert call(client, "POST", "rules/", key, body, **{"idempotency-key": "k" * 200}).json()["field"] == "Idempotency-Key"


def test_items_of_a_thousand_lines_need_no_key_to_be_sent_again(client: Client, shop: Shop, key: str) -> None:
    for added in (1, 0):
        answer = client.generic(
            "POST", "/api/v1/items/bulk", b'{"item_id": "n"}', content_type="application/x-ndjson",
            headers={"authorization": f"Bearer {key}", "idempotency-key": "k"},
        )  # fmt: skip
        assert answer.json()["added"] == added
    assert Item.objects.filter(external_id="n").count() == 1
