"""Learning across sessions: what a chunk teaches is what its decisions led to, once, and a policy serves only when it may."""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from clusters import gate
from clusters.crediting import credited
from clusters.policy import ACTIONS, CONTRACT, EXPAND, FEATURES, KEEP, Policy, default_policy, learn, propensities, statistics
from clusters.rewards import Engagement, Report, Rewards, credit
from personas.events import CODE
from personas.models import ArchivedEvent, EventRow, Session, Shop, moment
from recommendations import activation, releases
from recommendations.benchmarks.made_decisions import made_decisions
from recommendations.engine import Engine
from recommendations.learning import evidence, policies
from recommendations.learning.bounds import settings_of
from recommendations.learning.models import AdaptationSettings, PolicyEvidence, PolicyVersion
from recommendations.learning.reading import LATE_S, followed, happenings, numbered
from recommendations.models import AdaptationDecision, Release
from recommendations.serving.activity import log_key
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=2)
"""By then all that followed is known."""


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=150))


@pytest.fixture
def shop(settings: Any, tmp_path: Path, engine: Engine, redis_client: redis.Redis) -> Shop:
    """A shop that serves with the hand rule."""
    settings.RELEASES_DIR = tmp_path
    shop = Shop.objects.create(slug="boutique", name="Boutique")
    activation.activate(releases.publish(shop, engine, metrics={}), by=policies._actor(None))
    return shop


@pytest.fixture
def user() -> User:
    return User.objects.create_superuser("ada")


def decide(shop: Shop, session: str, event: str, at: float, **fields: Any) -> AdaptationDecision:
    told = {"action": "keep", "propensity": 0.5, "features": [0.0] * len(FEATURES), "policy": "p", "cluster": 7}
    return AdaptationDecision.objects.create(shop=shop, session_id=session, event_id=event, at=moment(at), **(told | fields))


def happen(shop: Shop, session: str, *events: tuple[str, float, list[int], dict[str, Any] | None], late_s: float = 0.0) -> None:
    """events : (name, seconds, items, data).  late_s : after which they came in."""
    row = Session.objects.create(shop=shop, session_id=session, started_at=moment(0.0), last_at=moment(0.0))
    rows = [
        EventRow(
            *(row.pk, f"{session}-{n}", CODE[name], moment(at), moment(at + late_s), n, items[0]),
            data=json.dumps(data) if data else None,
        )
        for n, (name, at, items, data) in enumerate(events)
    ]
    ArchivedEvent.objects.append(shop=shop, rows=rows, origin="live")


# Reading


def test_decisions_are_read_with_all_their_options_and_older_ones_without_features_that_came_later(shop: Shop) -> None:
    full, few = [0.25] * len(FEATURES), [0.5] * 8
    decide(shop, "a", "1", 100.0, options=[], propensities=[])  # of before options were logged
    one = decide(
        shop,
        "b",
        "1",
        200.5,
        options=[[KEEP, 0, few, 0], [EXPAND, 9, few, 4], [EXPAND, 9, few, 12]],
        propensities=[0.2, 0.3, 0.5],
        choice=2,
        reward=1.5,
    )
    two = decide(shop, "b", "2", 300.0, options=[[KEEP, 0, full, 0], [CONTRACT, 0, full, 0]], propensities=[0.9, 0.1], choice=1)
    pks, log, sessions = numbered(AdaptationDecision.objects.filter(shop=shop).order_by("pk"))
    assert pks.tolist() == [one.pk, two.pk]
    assert sessions == ("b",)
    assert log.action.tolist() == [[KEEP, EXPAND, EXPAND], [KEEP, CONTRACT, -1]]
    assert log.target.tolist() == [[0, 9, 9], [0, 0, 0]]
    assert log.x[0].tolist() == [few + [0.0] * (len(FEATURES) - 8)] * 3
    assert log.x[1].tolist() == [full, full, [0.0] * len(FEATURES)]
    assert log.choice.tolist() == [2, 1]
    assert log.at.tolist() == [200.5, 300.0]
    assert log.reward[0] == 1.5
    assert np.isnan(log.reward[1])


def test_a_decision_that_does_not_hold_together_is_passed_over_and_the_rest_kept(shop: Shop) -> None:
    x = [0.0] * len(FEATURES)
    decide(shop, "a", "1", 1.0, options=[[KEEP, 0, x, 0]], propensities=[1.0], choice=3)
    decide(shop, "a", "2", 1.0, options=[[KEEP, 0, x, 0]], propensities=[0.5, 0.5], choice=0)
    decide(shop, "a", "3", 1.0, options=[[99, 0, x, 0]], propensities=[1.0], choice=0)
    good = decide(shop, "a", "4", 1.0, options=[[KEEP, 0, x, 0]], propensities=[1.0], choice=0)
    assert numbered(AdaptationDecision.objects.all()).pks.tolist() == [good.pk]


def test_what_happened_is_reports_that_name_a_slate_and_engagements_with_items_we_know(shop: Shop) -> None:
    happen(
        shop,
        "a",
        ("view_item_list", 10.0, [1, 0, 3], {"items": [1, 0, 3], "slots": [4, 5, 6], "recommendation_id": "r1"}),
        ("view_item_list", 11.0, [1], None),
        ("search", 12.0, [0], None),
        ("view_item", 13.0, [3], None),
        ("purchase", 14.0, [1, 3], {"items": [1, 3]}),
    )
    found = happenings(shop, ["a", "nobody"])
    assert list(found) == ["a"]
    assert found["a"].reports == [Report(10.0, (1, 3), "r1", (4, 6))]
    look, bought = CODE["view_item"], CODE["purchase"]
    assert found["a"].engagements == [Engagement(13.0, 3, look), Engagement(14.0, 1, bought), Engagement(14.0, 3, bought)]


def test_columns_of_what_happened_are_credited_as_what_happened(shop: Shop) -> None:
    """Sessions with slots that don't fit, items that the catalogue lacks, nothing but those, lists of others, equal times."""
    rng = np.random.default_rng(3)
    names = [f"s{n}" for n in range(40)]
    for name in names:
        at = sorted(rng.integers(0, 400, size=12).tolist())
        events: list[tuple[str, float, list[int], dict[str, Any] | None]] = []
        for n, t in enumerate(at):
            items = rng.integers(0, 5, size=rng.integers(1, 4)).tolist()
            slots = rng.integers(0, 9, size=len(items) + int(rng.random() < 0.3)).tolist()
            if rng.random() < 0.5:
                slate = {"recommendation_id": f"r{n % 3}"} if rng.random() < 0.8 else {}
                events.append(("view_item_list", t, items, {"items": items, "slots": slots, **slate}))
            else:
                events.append((str(rng.choice(["view_item", "search", "purchase"])), t, items, None))
        happen(shop, name, *events)
    there = happenings(shop, names)
    asked = [*reversed(names), "nobody"]  # numbered otherwise than their rows
    at = rng.integers(0, 300, size=(len(asked), 5)).astype(float)
    found = credited(Rewards(), np.repeat(np.arange(len(asked)), 5), at.ravel(), followed(shop, asked)).reshape(at.shape)
    for n, name in enumerate(asked[:-1]):
        expected = credit(Rewards(), at[n].tolist(), there[name].reports, there[name].engagements)
        np.testing.assert_allclose(found[n], expected, atol=1e-12, err_msg=name)
    assert np.isnan(found[-1]).all()
    assert (~np.isnan(found)).sum() > 50


# Sealing


def test_what_was_decided_upon_an_event_that_came_in_late_teaches_nothing_and_is_counted(shop: Shop) -> None:
    """The server decides upon what it receives: the slates around the time that the event gives were made before."""
    at = NOW.timestamp() - 86_400.0
    for session, late_s in (("in time", LATE_S), ("late", LATE_S + 1.0)):
        slate = {"items": [1, 2], "slots": [0, 1], "recommendation_id": f"r-{session}"}
        seen = ("view_item_list", at + 30.0, [1, 2], slate)
        happen(shop, session, ("view_item", at, [9], None), seen, ("view_item", at + 60.0, [1], None), late_s=late_s)
        decide(shop, session, f"{session}-0", at, propensities=[0.5, 0.5])
    seal(shop)
    rewards = dict(AdaptationDecision.objects.values_list("session_id", "reward"))
    assert rewards["in time"] == pytest.approx(1.0 - 0.05 / np.log2(3))
    assert rewards["late"] is None
    chunk = PolicyEvidence.objects.get()
    assert (chunk.decisions, chunk.credited, evidence.late_of([chunk])) == (2, 1, 1)


def seal(shop: Shop, *, at: dt.datetime = LATER) -> bool:
    evidence.claim(shop, before=evidence.ripe_before(Rewards(), now=at.timestamp()), all_of_it=True)
    return evidence.seal(shop, Rewards())


def posterior(shop: Shop, half_life_days: float = 28) -> Any:
    return learn(default_policy(), evidence.total(evidence.sealed(shop), NOW.date(), half_life_days))


@pytest.mark.postgres
def test_what_is_sealed_is_what_crediting_each_session_by_itself_says(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "CHUNK", 37)  # sessions straddle chunks
    made_decisions(shop, decisions=200, until=NOW, seed=1)
    assert seal(shop)
    x, actions, rewards = [], [], []
    for session in Session.objects.filter(shop=shop):
        there = happenings(shop, [session.session_id])[session.session_id]
        rows = list(AdaptationDecision.objects.filter(session_id=session.session_id).order_by("at"))
        earned = credit(Rewards(), [row.at.timestamp() for row in rows], there.reports, there.engagements)
        for row, reward in zip(rows, earned.tolist(), strict=True):
            assert row.reward == pytest.approx(reward, nan_ok=True)
            x.append(row.features)
            actions.append(ACTIONS.index(row.action))
            rewards.append(reward)
    assert len(rewards) == 200
    assert not np.isnan(rewards).any()
    expected = learn(default_policy(), statistics(np.array(x), np.array(actions), np.array(rewards)))
    assert np.allclose(posterior(shop, 1e12).mean, expected.mean, atol=1e-9)
    assert np.allclose(posterior(shop, 1e12).precision, expected.precision, rtol=1e-9)
    assert PolicyEvidence.objects.filter(shop=shop).count() == 6
    assert sum(PolicyEvidence.objects.values_list("credited", flat=True)) == 200


def test_sealing_again_changes_nothing_and_takes_up_only_what_is_new(shop: Shop) -> None:
    made_decisions(shop, decisions=100, until=NOW, seed=1)
    seal(shop)
    before = list(PolicyEvidence.objects.values())
    seal(shop)
    assert list(PolicyEvidence.objects.values()) == before
    made_decisions(shop, decisions=50, until=NOW, seed=2, name="more")
    seal(shop)
    assert list(PolicyEvidence.objects.order_by("first").values_list("decisions", flat=True)) == [100, 50]


def test_how_a_log_is_cut_into_chunks_does_not_matter(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made_decisions(shop, decisions=300, until=NOW, seed=3)
    found = []
    for size in (1_000, 100, 7):
        PolicyEvidence.objects.all().delete()
        monkeypatch.setattr(evidence, "CHUNK", size)
        seal(shop)
        found.append(posterior(shop))
    assert len({policy.version for policy in found}) == 1
    assert all(np.allclose(found[0].mean, policy.mean, atol=1e-10) for policy in found)


def test_a_decision_waits_until_what_follows_it_is_known(shop: Shop) -> None:
    made_decisions(shop, decisions=10, until=NOW, seed=1)
    latest = AdaptationDecision.objects.order_by("-at").values_list("at", flat=True)[0]
    early = latest + dt.timedelta(seconds=Rewards().window_s)
    seal(shop, at=early)
    assert not AdaptationDecision.objects.get(at=latest).reward
    assert PolicyEvidence.objects.get().decisions < 10
    seal(shop, at=early + dt.timedelta(seconds=LATE_S + 1))
    assert sum(PolicyEvidence.objects.values_list("decisions", flat=True)) == 10


def test_an_archiver_that_is_behind_holds_sealing_up(shop: Shop, redis_client: redis.Redis) -> None:
    made_decisions(shop, decisions=10, until=NOW, seed=1)
    first = AdaptationDecision.objects.order_by("at").values_list("at", flat=True)[0]
    redis_client.xadd(log_key(3), {b"r": b"not yet archived"}, id=f"{int(first.timestamp() * 1000)}-0")
    seal(shop)
    assert not PolicyEvidence.objects.exists()
    redis_client.delete(log_key(3))
    seal(shop)
    assert PolicyEvidence.objects.get().decisions == 10


def test_few_decisions_wait_for_more_but_not_for_ever(shop: Shop) -> None:
    made_decisions(shop, decisions=10, until=NOW, seed=1)
    latest = AdaptationDecision.objects.order_by("-at").values_list("at", flat=True)[0].timestamp()
    assert evidence.claim(shop, before=latest + 1.0) == 1, "the first has waited for an hour and a half"
    made_decisions(shop, decisions=1, until=NOW + dt.timedelta(hours=3), over_s=0.0, seed=1, name="more")
    latest = AdaptationDecision.objects.order_by("-at").values_list("at", flat=True)[0].timestamp()
    assert evidence.claim(shop, before=latest + 1.0) == 0
    assert evidence.claim(shop, before=latest + evidence.SEAL_S + 1.0) == 1


def test_a_claim_that_its_worker_left_is_sealed_by_the_next(shop: Shop, redis_client: redis.Redis) -> None:
    made_decisions(shop, decisions=20, until=NOW, seed=1)
    evidence.claim(shop, before=LATER.timestamp(), all_of_it=True)
    chunk = PolicyEvidence.objects.get()
    redis_client.set(f"learning:{shop.pk}:{chunk.first}", "another worker", ex=60)
    assert not evidence.seal(shop, Rewards())
    assert not evidence.sealed(shop).exists(), "nothing is learned from beyond a chunk that isn't sealed"
    redis_client.delete(f"learning:{shop.pk}:{chunk.first}")
    assert evidence.seal(shop, Rewards())
    assert evidence.sealed(shop).get().credited == 20


def test_past_days_become_one_chunk_each_and_teach_the_same(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "CHUNK", 25)
    for back in (6, 5, 1):
        made_decisions(shop, decisions=100, until=NOW - dt.timedelta(days=back), over_s=0.0, seed=back, name=f"d{back}")
    seal(shop)
    before, told = posterior(shop), evidence.days(evidence.sealed(shop))
    assert PolicyEvidence.objects.count() == 12
    evidence.compact(shop, NOW.date(), 28)
    assert PolicyEvidence.objects.count() == 1 + 1 + 4
    assert posterior(shop).version == before.version
    after = evidence.days(evidence.sealed(shop))
    assert [day[:5] for day in after] == [day[:5] for day in told]
    assert np.allclose([day[5:] for day in after], [day[5:] for day in told])
    evidence.compact(shop, NOW.date() + dt.timedelta(days=400), 28)
    assert PolicyEvidence.objects.count() == 1, "the last stays: it says up to where decisions were counted"


def test_what_a_candidate_learned_from_is_not_joined_with_more_before_it_is_judged(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that died between the two leaves it to the next, which may find more decisions of the same past day."""
    monkeypatch.setattr(evidence, "CHUNK", 25)
    made_decisions(shop, decisions=150, until=NOW - dt.timedelta(days=6), over_s=0.0, seed=1)
    made_decisions(shop, decisions=25, until=NOW - dt.timedelta(days=1), over_s=0.0, seed=2, name="late")
    seal(shop)
    end = PolicyEvidence.objects.order_by("first")[2].last
    row = PolicyVersion.objects.create(shop=shop, version="candidate", component="c", learned={"last": end})
    before = evidence.total(evidence.sealed(shop, upto=end), NOW.date(), 28)
    evidence.compact(shop, NOW.date(), 28)
    assert [chunk.decisions for chunk in evidence.sealed(shop)] == [75, 75, 25]
    after = evidence.total(evidence.sealed(shop, upto=end), NOW.date(), 28)
    assert np.allclose(after.count, before.count)
    assert after.count.sum() > 0
    row.verdict = {"verdict": "unknown"}
    row.save()
    evidence.compact(shop, NOW.date(), 28)
    assert [chunk.decisions for chunk in evidence.sealed(shop)] == [150, 25]


def test_days_tell_means_and_their_spread_over_sessions() -> None:
    at = np.array([0.0, 10.0, 20.0, 86_400.0])
    actions, rewards = np.array([KEEP, EXPAND, KEEP, CONTRACT]), np.array([1.0, 3.0, np.nan, 2.0])
    first, second = evidence.days_of(["a", "a", "b", "b"], evidence.days_at(at), ["p"] * 4, actions, rewards)
    assert first == evidence.Day("1970-01-01", "p", [2, 1, 0], 2, 1, 4.0, 16.0, 8.0, 4.0)
    assert second == evidence.Day("1970-01-02", "p", [0, 0, 1], 1, 1, 2.0, 4.0, 2.0, 1.0)


# Learning and the gate


def test_a_better_policy_is_learned_passes_and_serves_by_itself(shop: Shop) -> None:
    made_decisions(shop, decisions=4_000, until=NOW, seed=5)
    before = Release.objects.active(shop)
    outcome = policies.learn_policy(shop, now=LATER)
    row = PolicyVersion.objects.get(state=PolicyVersion.State.LIVE)
    assert outcome.candidate == row
    assert row.verdict["verdict"] == gate.BETTER
    assert row.verdict["low"] >= 0.0
    assert row.learned["credited"] == 4_000
    assert (row.decided_by, row.overridden) == (None, False)
    active = Release.objects.active(shop)
    assert active != before
    assert {**active.components, "policy": ""} == {**before.components, "policy": ""}
    served = releases.load(active).policy
    assert served.version == row.version
    x = np.zeros((1, 2, len(FEATURES)))
    x[..., FEATURES.index("bias")] = 1.0
    x[..., FEATURES.index("ignored")] = 0.5
    asked = np.array([[KEEP, CONTRACT]], dtype=np.int8)
    assert propensities(default_policy(), x, asked)[0, 1] < 0.7
    assert propensities(served, x, asked)[0, 1] > 0.9, "contracting is what the log said is right"
    assert PolicyVersion.objects.get(state=PolicyVersion.State.RETIRED).version == default_policy().version


def test_running_it_again_makes_nothing_new(shop: Shop) -> None:
    made_decisions(shop, decisions=2_000, until=NOW, seed=5)
    policies.learn_policy(shop, now=LATER)
    rows, release = list(PolicyVersion.objects.values()), Release.objects.active(shop)
    policies.learn_policy(shop, now=LATER, at_once=True)
    assert list(PolicyVersion.objects.values()) == rows
    assert Release.objects.active(shop) == release


def test_too_few_decisions_are_not_known_yet_and_never_a_pass(shop: Shop) -> None:
    made_decisions(shop, decisions=60, until=NOW, seed=5)
    row = policies.learn_policy(shop, now=LATER).candidate
    assert row is not None
    assert row.state == PolicyVersion.State.CANDIDATE
    assert row.verdict["verdict"] == gate.UNKNOWN
    assert row.verdict["missing"]
    assert releases.load_active(shop.pk).policy.version == default_policy().version


def test_where_it_makes_no_difference_hardly_anything_passes(shop: Shop) -> None:
    """Twelve logs in which no action matters: the gate lets at most two candidates serve (5 % each; P(3 or more) is 2 %)."""
    passed, liked = 0, dict.fromkeys((KEEP, EXPAND, CONTRACT), 0.3)
    for seed in range(12):
        for rows in (AdaptationDecision, PolicyEvidence, Session, PolicyVersion):
            rows.objects.filter(shop=shop).delete()
        made_decisions(shop, decisions=1_000, until=NOW, seed=seed, name=f"s{seed}", liked=liked)
        AdaptationSettings.objects.update_or_create(shop=shop, defaults={"goes_live_by_itself": False})
        row = policies.learn_policy(shop, now=LATER).candidate
        passed += row is not None and row.verdict["verdict"] == gate.BETTER
    assert passed <= 2


def test_a_candidate_is_judged_without_what_it_learned_from_the_decision(shop: Shop) -> None:
    """Oracle: statistics of the other folds' rows, from scratch."""
    made_decisions(shop, decisions=300, until=NOW, seed=5)
    seal(shop)
    chunks = list(evidence.sealed(shop))
    _, log, sessions = numbered(AdaptationDecision.objects.filter(shop=shop, reward__isnull=False).order_by("pk"))
    given = AdaptationSettings(shop=shop)
    learned = {"day": NOW.date().isoformat(), "half_life_days": 28}
    found = policies._unlearned(learned, chunks, given, log, sessions)
    fold = np.array([zlib.crc32(sessions[s].encode()) % policies.FOLDS for s in log.session])
    for k in range(policies.FOLDS):
        rest = log.rows(fold != k)
        weight = evidence.weights(evidence.days_at(rest.at), NOW.date(), 28)
        policy = learn(default_policy(), statistics(rest.chosen_x, rest.chosen, rest.reward, weight))
        assert np.allclose(found[fold == k], propensities(policy, log.x[fold == k], log.action[fold == k]), atol=1e-6)


def test_the_next_candidate_is_judged_on_what_came_after_the_policy_that_serves(shop: Shop) -> None:
    made_decisions(shop, decisions=4_000, until=NOW, seed=5)
    policies.learn_policy(shop, now=LATER)
    live = PolicyVersion.objects.get(state=PolicyVersion.State.LIVE)
    assert live.learned
    made_decisions(
        shop,
        decisions=500,
        until=NOW + dt.timedelta(days=1),
        seed=6,
        name="next",
        policy=releases.load_active(shop.pk).policy,
    )
    row = policies.learn_policy(shop, now=LATER + dt.timedelta(days=1)).candidate
    assert row is not None
    assert row.verdict["decisions"] == 500
    assert row.against == live.version


def test_old_decisions_weigh_less(shop: Shop) -> None:
    made_decisions(shop, decisions=100, until=NOW - dt.timedelta(days=28), over_s=0.0, seed=1)
    seal(shop)
    whole = evidence.total(evidence.sealed(shop), NOW.date() - dt.timedelta(days=28), 28.0)
    half = evidence.total(evidence.sealed(shop), NOW.date(), 28.0)
    assert half.count.tolist() == (whole.count / 2.0).tolist()
    assert np.allclose(half.precision, whole.precision / 2.0)


def test_it_waits_an_hour_between_two_candidates(shop: Shop) -> None:
    made_decisions(shop, decisions=100, until=NOW, seed=1)
    policies.learn_policy(shop, now=LATER)
    made_decisions(shop, decisions=100, until=NOW + dt.timedelta(minutes=10), seed=2, name="more")
    assert policies.learn_policy(shop, now=LATER + dt.timedelta(minutes=30)).candidate is None
    assert policies.learn_policy(shop, now=LATER + dt.timedelta(hours=3)).candidate is not None


def test_another_look_waits_for_a_fifth_more_decisions_and_asks_for_more(shop: Shop) -> None:
    liked = dict.fromkeys((KEEP, EXPAND, CONTRACT), 0.3)
    made_decisions(shop, decisions=1_000, until=NOW, seed=1, liked=liked)
    first = policies.learn_policy(shop, now=LATER).candidate
    assert first is not None
    assert (first.verdict["look"], first.verdict["confidence"], first.verdict["since"]) == (1, 0.975, 1_000)
    made_decisions(shop, decisions=150, until=NOW + dt.timedelta(hours=3), over_s=0.0, seed=2, name="few", liked=liked)
    told = policies.learn_policy(shop, now=LATER + dt.timedelta(hours=4))
    assert told.candidate is None
    assert told.told.endswith("The next is judged at 1,200 decisions with a reward, of 1,150 now.")
    made_decisions(shop, decisions=50, until=NOW + dt.timedelta(hours=6), over_s=0.0, seed=3, name="more", liked=liked)
    second = policies.learn_policy(shop, now=LATER + dt.timedelta(hours=8)).candidate
    assert second is not None
    assert (second.verdict["look"], second.against) == (2, first.against)
    assert second.verdict["confidence"] == pytest.approx(1 - 0.05 / 6)


def test_looks_are_not_forgotten_with_the_candidates_that_are(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "CANDIDATES_KEPT", 1)
    serving = policies.serves(shop)
    for n in range(3):
        told = {"look": n + 1, "since": 100}
        PolicyVersion.objects.create(shop=shop, version=f"p{n}", component="c", against=serving.version, verdict=told)
    PolicyVersion.objects.create(shop=shop, version="q", component="c", against="another", verdict={"look": 1})
    for n in range(3):  # looks that were none: too little was known, or it decides as the other
        PolicyVersion.objects.create(shop=shop, version=f"s{n}", component="c", against=serving.version, verdict={"look": 0})
    policies._tidy(shop)
    assert set(PolicyVersion.objects.exclude(pk=serving.pk).values_list("version", flat=True)) == {"p2", "q", "s2"}
    assert policies.looks_at(serving) == (3, 100)


def test_nothing_is_learned_where_adaptation_is_off(shop: Shop) -> None:
    made_decisions(shop, decisions=100, until=NOW, seed=1)
    AdaptationSettings.objects.create(shop=shop, enabled=False)
    assert "switched off" in policies.learn_policy(shop, now=LATER, at_once=True).told
    assert not PolicyEvidence.objects.exists()


# The commands


def test_the_command_tells_in_words_what_was_learned_and_how_it_ended(
    shop: Shop, redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    made_decisions(shop, decisions=60, until=NOW - dt.timedelta(days=30), seed=5)
    redis_client.set(f"learning:{shop.pk}", "another worker", ex=60)
    with pytest.raises(CommandError, match="Boutique: Another worker is learning") as busy:
        call_command("learn_policy", "boutique")
    assert busy.value.returncode == 2
    redis_client.delete(f"learning:{shop.pk}")
    call_command("learn_policy", "boutique")
    told = capsys.readouterr()
    assert "Boutique: learned from 60 decisions of 60." in told.out
    assert "is not known yet" in told.out
    assert "learning of boutique: crediting" in told.err or "learning of boutique: learning" in told.err
    AdaptationSettings.objects.create(shop=shop, enabled=False)
    with pytest.raises(CommandError, match="Boutique: Adaptation is switched off") as off:
        call_command("learn_policy", "boutique")
    assert off.value.returncode == 1
    with pytest.raises(CommandError, match="there is no shop 'nope'"):
        call_command("learn_policy", "nope")


def test_the_command_that_proposes_tells_what_it_came_to(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("propose_clusters", "boutique")
    told = capsys.readouterr().out
    assert "Boutique: 0 decisions of 0 visits, 0 comparisons." in told
    assert "0 new proposals" in told


# Who decides


@pytest.fixture
def candidate(shop: Shop) -> PolicyVersion:
    """One that isn't known to be better."""
    made_decisions(shop, decisions=60, until=NOW, seed=5)
    row = policies.learn_policy(shop, now=LATER).candidate
    assert row is not None
    return row


def serving(shop: Shop) -> str:
    return releases.load_active(shop.pk).policy.version


def test_a_manager_may_override_with_a_reason_on_record(shop: Shop, candidate: PolicyVersion, user: User) -> None:
    with pytest.raises(policies.PolicyError, match="give a reason"):
        policies.go_live(candidate, by=user)
    assert serving(shop) == default_policy().version
    policies.go_live(candidate, by=user, reason="Christmas is near.")
    candidate.refresh_from_db()
    assert serving(shop) == candidate.version
    assert (candidate.state, candidate.overridden, candidate.decided_by) == (PolicyVersion.State.LIVE, True, user)
    assert candidate.reason == "Christmas is near."
    with pytest.raises(policies.PolicyError, match="serves already"):
        policies.go_live(candidate, by=user, reason="Again.")


def test_nobody_overrides_what_is_known_to_be_worse(shop: Shop, candidate: PolicyVersion, user: User) -> None:
    candidate.verdict = {**candidate.verdict, "verdict": gate.WORSE}
    candidate.save()
    for overridden in (None, True):
        with pytest.raises(policies.PolicyError, match="known to be worse"):
            policies.go_live(candidate, by=user, reason="Christmas is near.", overridden=overridden)
    assert serving(shop) == default_policy().version


def test_rolling_back_serves_with_the_policy_of_before_and_leaves_the_next_to_people(
    shop: Shop, candidate: PolicyVersion, user: User
) -> None:
    policies.go_live(candidate, by=user, reason="Trying.")
    assert policies.roll_back(shop, by=user).version == default_policy().version
    assert serving(shop) == default_policy().version
    candidate.refresh_from_db()
    assert candidate.state == PolicyVersion.State.REFUSED
    assert not settings_of(shop).goes_live_by_itself
    with pytest.raises(policies.PolicyError, match="No other policy"):
        policies.roll_back(shop, by=user)


def test_a_refused_candidate_stays_refused(shop: Shop, candidate: PolicyVersion, user: User) -> None:
    policies.refuse(candidate, by=user, reason="Odd weights.")
    policies.learn_policy(shop, now=LATER + dt.timedelta(hours=5), at_once=True)
    candidate.refresh_from_db()
    assert candidate.state == PolicyVersion.State.REFUSED
    with pytest.raises(policies.PolicyError, match="doesn't wait"):
        policies.refuse(candidate, by=user)


def test_a_training_and_a_rollback_of_it_keep_the_policy_that_serves(
    shop: Shop, candidate: PolicyVersion, user: User, engine: Engine
) -> None:
    policies.go_live(candidate, by=user, reason="Trying.")
    trained = releases.publish(shop, engine, metrics={})  # with the policy of when the training began
    active = activation.activate(trained, by=policies._actor(None))
    assert serving(shop) == candidate.version
    assert releases.origin(active) == trained.number
    activation.roll_back(shop)
    assert serving(shop) == candidate.version
    assert PolicyVersion.objects.get(state=PolicyVersion.State.LIVE) == candidate


def test_a_hand_rule_of_before_an_upgrade_gives_way_to_that_of_the_training_but_what_was_learned_does_not(
    settings: Any, tmp_path: Path, engine: Engine, redis_client: redis.Redis
) -> None:
    settings.RELEASES_DIR = tmp_path
    shop, today, by = Shop.objects.create(slug="boutique", name="Boutique"), default_policy(), policies._actor(None)
    older = replace(today, mean=today.mean + 0.01, precision=2 * today.precision, version="of-last-spring")
    tied = today.precision + 0.1
    taught = replace(older, precision=tied, covariance=np.linalg.inv(tied), version="taught")

    def published(policy: Policy) -> Release:
        return releases.publish(shop, replace(engine, policy=policy), metrics={})

    activation.activate(published(older), by=by)
    assert serving(shop) == "of-last-spring"
    activation.activate(published(today), by=by)
    assert serving(shop) == today.version
    assert PolicyVersion.objects.get(state=PolicyVersion.State.LIVE).version == today.version
    activation.activate(published(older), by=by)
    assert serving(shop) == today.version, "a rollback to a release of before the upgrade brings its rule back no more"
    activation.activate(published(taught), by=by)
    assert serving(shop) == today.version, "nor what somebody turned down"
    policies.roll_back(shop, by=User.objects.create_superuser("grace"))
    assert serving(shop) == "of-last-spring"
    activation.activate(published(today), by=by)
    assert serving(shop) == "of-last-spring", "who went back from today's rule is not led to it again by a training"
    component = published(taught).components["policy"]
    activation.serve_policy(shop, component, by=by, reason="", told=lambda release: None)
    activation.activate(published(today), by=by)
    assert serving(shop) == "taught"


def test_a_policy_that_goes_live_while_a_release_is_activated_is_not_lost(
    shop: Shop, candidate: PolicyVersion, user: User, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = releases.publish(shop, engine, metrics={})
    plain: Callable[..., None] = releases.activate
    raced = []

    def activate(release: Release, **options: Any) -> None:
        if not raced:
            raced.append(release)
            policies.go_live(candidate, by=user, reason="Meanwhile.")
        plain(release, **options)

    monkeypatch.setattr(releases, "activate", activate)
    activation.activate(trained, by=policies._actor(None))
    assert raced
    assert serving(shop) == candidate.version


def test_components_of_policies_outlive_the_pruning_of_releases(shop: Shop, candidate: PolicyVersion, user: User) -> None:
    releases.prune(shop, keep=0)
    policies.go_live(candidate, by=user, reason="Still there.")
    assert serving(shop) == candidate.version
