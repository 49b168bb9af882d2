"""Experiments: what is refused, who is counted for what, what stops them, and how a winner is made live and taken back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import redis
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.cluster_drafts import EditConflict, EditError
from clusters.policy import default_policy
from clusters.rewards import Rewards
from clusters.sequential import LEAST
from personas.component_files import save_component
from personas.events import CODE
from personas.models import ArchivedEvent, EventRow, Session, Shop, moment
from recommendations import activation, exporting, releases, rights
from recommendations.engine import Engine
from recommendations.learning import experiments, measuring, policies
from recommendations.learning.models import AdaptationSettings, Experiment, ExperimentSession, PolicyVersion
from recommendations.models import Release, ServedSlate
from recommendations.serving import archiving, trials
from recommendations.serving.activity import Entry, LoggedEvent, LoggedItem, LoggedSlate, Record, encode_record
from recommendations.serving.exposures import write_exposures
from recommendations.serving.trials import Arm, assign
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db

NOW = 1_700_000_000.0
STILL = ({"name": "as it is", "share": 0.5}, {"name": "still", "share": 0.5, "adapts": False})


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=150))


@pytest.fixture
def shop(data_dir: Any, engine: Engine, redis_client: redis.Redis) -> Shop:
    """A shop that serves with the hand rule."""
    shop = Shop.objects.create(slug="boutique", name="Boutique")
    activation.activate(releases.publish(shop, engine, metrics={}), by=policies._actor(None))
    trials.load_parts.cache_clear()
    return shop


@pytest.fixture
def ada() -> User:
    return User.objects.create_superuser("ada", password="correct horse")


def learned(shop: Shop) -> PolicyVersion:
    """A policy on record that doesn't serve."""
    policy = replace(default_policy(), version="thompson-other")
    component = save_component(releases.root_of(shop), "policy", policy)
    releases.record_components(shop, {"policy": component})
    return PolicyVersion.objects.create(shop=shop, version=policy.version, component=component)


def running(shop: Shop, arms: Sequence[dict[str, Any]] = STILL, **fields: Any) -> Experiment:
    made = experiments.create(shop, name="What adapting is worth", arms=arms, **fields)
    experiments.start(made)
    return made


def active(shop: Shop) -> Release:
    found = Release.objects.active(shop)
    assert found is not None
    return found


# What is refused


@pytest.mark.parametrize(
    ("arms", "told"),
    [
        (STILL[:1], "arms must be 2 to 4"),
        ((*STILL, {"name": "still", "share": 0.0}), "arms.3.share must be"),
        (({"name": "", "share": 0.5}, STILL[1]), "arms.1.name must be"),
        (({"name": "still", "share": 0.5}, STILL[1]), "names of their own"),
        (({"name": "a", "share": 0.6}, {**STILL[1], "share": 0.6}), "more than all shoppers"),
        (({"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}), "serve the same"),
        ((STILL[0], {"name": "b", "share": 0.5, "policy": "nothing"}), "arms.2.policy is not kept any more"),
        ((STILL[0], {"name": "b", "share": 0.5, "clusters": "nothing"}), "arms.2.clusters is not kept any more"),
        ((STILL[0], {"name": "b", "share": "half"}), "arms.2.share must be"),
    ],
)
def test_arms_that_make_no_experiment_are_refused_with_the_reason(shop: Shop, arms: Any, told: str) -> None:
    with pytest.raises(EditError, match=told):
        experiments.create(shop, name="x", arms=arms)
    assert not Experiment.objects.exists()


@pytest.mark.parametrize(
    ("rails", "told"),
    [
        ([{"metric": "smiles", "least": -0.1}], "guardrails.metric must be one of"),
        ([{"metric": "revenue", "least": 0.1}], "guardrails.least must be a fall"),
        ([{"metric": "revenue", "least": -0.1}] * 2, "name a measure twice"),
    ],
)
def test_guardrails_that_are_none_are_refused(shop: Shop, rails: Any, told: str) -> None:
    with pytest.raises(EditError, match=told):
        experiments.create(shop, name="x", arms=STILL, guardrails=rails)


def test_one_runs_at_a_time_and_none_is_started_again(shop: Shop) -> None:
    first = running(shop)
    assert trials.running() == {shop.pk: trials.Trial(first.pk, first.salt.bytes, trials.read_arms(first.arms))}
    second = experiments.create(shop, name="Second", arms=STILL)
    with pytest.raises(EditConflict, match="another one of this shop runs"):
        experiments.start(second)
    assert experiments.stop(first)
    assert not experiments.stop(first)
    experiments.start(second)
    with pytest.raises(EditConflict, match="started before"):
        experiments.start(first)
    assert trials.running()[shop.pk].number == second.pk


def test_a_shop_that_serves_nothing_can_start_none(shop: Shop) -> None:
    made = experiments.create(shop, name="x", arms=STILL)
    Release.objects.filter(shop=shop).update(state=Release.State.RETIRED)
    with pytest.raises(EditError, match="train the shop first"):
        experiments.start(made)


# Arms of components on disk


def test_an_arm_is_served_with_its_policy_and_its_clusters(shop: Shop, engine: Engine) -> None:
    policy = learned(shop)
    now = active(shop)
    base = releases.load(now)
    arm = Arm("new", 0.5, policy.component, now.components["clusters"], adapts=False)
    made = trials.arm_engine(base, arm, *trials.load_parts(shop.pk, str(now.number), arm))
    assert made.policy.version == "thompson-other"
    assert made.clusters.names == engine.clusters.names
    assert not made.bounds.adapts
    assert made.ranker is base.ranker


def test_clusters_of_another_catalogue_make_no_arm(shop: Shop) -> None:
    arm = Arm("new", 0.5, "", active(shop).components["clusters"])
    Release.objects.filter(shop=shop).update(components={**active(shop).components, "catalogue": "another"})
    with pytest.raises(releases.ReleaseError):
        trials.load_parts(shop.pk, str(active(shop).number), arm)


# Who is counted for what


def record(shop: Shop, session: str, made: Experiment, shopper: str = "", **fields: Any) -> Record:
    trial = trials.Trial(made.pk, made.salt.bytes, trials.read_arms(made.arms))
    member = assign(trial, session, shopper)
    assert member is not None
    told: dict[str, Any] = {"context": {}, "release": str(active(shop).number), "version": 1, "started_at": NOW, "at": NOW}
    return Record(shop=shop.pk, session=session, shopper=shopper, **(told | member.logged | fields))


def keep(shop: Shop, *records: Record) -> None:
    """Archive records as the archiver does."""
    archiving.write(shop, [(Entry(0, f"{n + 1}-0", encode_record(each)), each) for n, each in enumerate(records)])


def test_a_session_is_counted_by_hand(shop: Shop, engine: Engine) -> None:
    """A slate of three, one bought, one looked at after; a second one passed over; a look at something else is no slate's."""
    made = running(shop)
    first, second, third, other = engine.catalogue.item_ids[:4].tolist()
    view, cart, bought, listed = (CODE[name] for name in ("view_item", "add_to_cart", "purchase", "view_item_list"))

    def event(n: int, code: int, at: float, items: tuple[int, ...], **fields: Any) -> LoggedEvent:
        refs = tuple(f"sku-{item}" for item in items)
        return LoggedEvent(f"e{n}", code, NOW + at, NOW + at, items, refs, **fields)

    slots = {"slots": (0, 1, 2)}
    events = (
        event(1, listed, 1, (first, second, third), recommendation_id="one", **slots),
        event(2, view, 2, (first,)),
        event(3, cart, 3, (first,)),
        event(4, bought, 4, (first,), price=20.0, quantity=2.0),
        event(5, listed, 5, (second, third, first), recommendation_id="two", **slots),
        event(6, view, 6, (other,)),
    )
    keep(shop, record(shop, "visit", made, events=events))
    assert measuring.count(shop) == 1
    row = ExperimentSession.objects.get()
    rewards = Rewards()
    worth = rewards.weights[view] + rewards.weights[cart] + rewards.weights[bought]
    seen = [1.0, 1.0 / np.log2(3), 0.5]
    cost = rewards.ignored_cost * (seen[1] + seen[2] + sum(seen))
    assert row.measures == {
        "reports": 2.0,
        "reward": pytest.approx(worth - cost),
        "engagements": 4.0,
        "carts": 1.0,
        "purchases": 1.0,
        "revenue": 40.0,
    }
    assert measuring.count(shop) == 0


def test_what_comes_later_is_counted_anew_and_a_record_that_comes_again_changes_nothing(shop: Shop) -> None:
    made = running(shop)
    one = record(shop, "visit", made, events=(LoggedEvent("a", CODE["view_item"], NOW, NOW, (1,), ("sku-1",)),))
    keep(shop, one)
    keep(shop, one)
    measuring.count(shop)
    assert ExperimentSession.objects.get().measures["engagements"] == 1.0
    keep(shop, record(shop, "visit", made, events=(LoggedEvent("b", CODE["view_item"], NOW + 9, NOW + 9, (2,), ("sku-2",)),)))
    assert ExperimentSession.objects.get().counted_at is None
    assert measuring.count(shop) == 1
    assert ExperimentSession.objects.get().measures["engagements"] == 2.0


def test_a_record_of_an_experiment_that_is_gone_is_archived_all_the_same(shop: Shop) -> None:
    made = running(shop)
    one = record(shop, "visit", made)
    made.delete()
    write_exposures(shop.pk, [one])
    assert not ExperimentSession.objects.exists()


def test_a_slate_says_what_it_was_served_with(shop: Shop) -> None:
    policy = learned(shop)
    arms = (STILL[0], {"name": "new", "share": 0.5, "policy": policy.component})
    made = running(shop, arms)
    session = next(f"v{n}" for n in range(50) if record(shop, f"v{n}", made).arm == "new")
    slate = LoggedSlate("r1", NOW, "home", (LoggedItem(1, 0, 1.0, 1.0, 0, 0, "popularity"),))
    keep(shop, record(shop, session, made, slate=slate))
    versions = ServedSlate.objects.get().versions
    assert (versions["experiment"], versions["arm"], versions["policy"]) == (made.pk, "new", policy.component)
    told = trials.arm_of(versions)
    assert told is not None
    assert told.policy == policy.component


# What it shows, and what stops it


def visits(made: Experiment, n: int, gain: float, *, revenue: float = 1.0, seed: int = 0) -> None:
    """Sessions counted already: n shoppers an arm, `gain` the challenger's reward above the control's."""
    rng = np.random.default_rng(seed)
    rows = []
    for place, arm in enumerate(trials.read_arms(made.arms)):
        for k in range(n):
            paid = rng.exponential(10.0) * (revenue if place else 1.0)
            measures = {"reward": rng.normal(1.0 + gain * place), "engagements": 1.0, "revenue": paid}
            at = moment(NOW + 60.0 * k)
            rows.append(ExperimentSession(experiment=made, session_id=f"{arm.name}{k}", unit=uuid.uuid4().hex, arm=arm.name,
                                          at=at, measures=measures, counted_at=timezone.now()))  # fmt: skip
    ExperimentSession.objects.bulk_create(rows)


def test_few_visits_say_nothing_and_many_say_which_is_better(shop: Shop) -> None:
    made = running(shop)
    visits(made, LEAST - 1, gain=1.0)
    experiments.look(shop)
    made.refresh_from_db()
    assert made.result["verdicts"] == {"still": "unknown"}
    assert made.result["differences"]["still"]["reward"]["low"] is None
    assert made.result["series"] == {"still": []}
    ExperimentSession.objects.all().delete()
    visits(made, 600, gain=0.5)
    experiments.look(shop)
    made.refresh_from_db()
    assert made.result["verdicts"] == {"still": "better"}
    told = made.result["differences"]["still"]["reward"]
    assert told["low"] < 0.5 < told["high"]
    assert len(made.result["series"]["still"]) > 10
    assert made.result["arms"][0]["shoppers"] == 600
    assert made.result["split"] > 0.1
    assert made.state == Experiment.State.RUNNING


def test_a_guardrail_that_surely_fell_stops_it(shop: Shop) -> None:
    made = running(shop, guardrails=[{"metric": "revenue", "least": -0.2}])
    visits(made, 800, gain=0.5, revenue=0.5)
    experiments.look(shop)
    made.refresh_from_db()
    assert made.state == Experiment.State.STOPPED
    assert made.stopped_by is None
    assert "Revenue of “still” fell by" in made.reason
    assert trials.running() == {}


def test_a_guardrail_that_may_have_fallen_by_chance_stops_nothing(shop: Shop) -> None:
    made = running(shop, guardrails=[{"metric": "revenue", "least": -0.01}])
    visits(made, 150, gain=0.0, revenue=0.95)
    experiments.look(shop)
    made.refresh_from_db()
    assert made.state == Experiment.State.RUNNING


def test_a_split_that_is_not_as_drawn_is_told(shop: Shop) -> None:
    made = running(shop)
    visits(made, 500, gain=0.0)
    lost = ExperimentSession.objects.filter(arm="still").values_list("pk", flat=True)[:150]
    ExperimentSession.objects.filter(pk__in=list(lost)).delete()
    experiments.look(shop)
    made.refresh_from_db()
    assert made.result["split"] < measuring.UNBALANCED


def test_an_arm_whose_clusters_fit_no_more_stops_it(shop: Shop) -> None:
    now = active(shop)
    made = running(shop, (STILL[0], {"name": "new", "share": 0.5, "clusters": now.components["clusters"]}))
    Release.objects.filter(pk=now.pk).update(state=Release.State.RETIRED)
    trained = {**now.components, "catalogue": "new", "clusters": "new"}
    Release.objects.create(shop=shop, number=99, state=Release.State.ACTIVE, components=trained)
    experiments.look(shop)
    made.refresh_from_db()
    assert made.state == Experiment.State.STOPPED
    assert "another catalogue" in made.reason


# A winner, live and back


def test_what_is_not_known_to_be_better_takes_a_reason_which_is_kept(shop: Shop, ada: User) -> None:
    made = running(shop)
    with pytest.raises(EditError, match="reason is needed"):
        experiments.make_live(made, "still", by=ada)
    with pytest.raises(EditError, match="served already"):
        experiments.make_live(made, "as it is", by=ada, reason="x")
    experiments.make_live(made, "still", by=ada, reason="The board wants it.")
    assert made.result["live"]["overridden"]
    assert made.result["live"]["reason"] == "The board wants it."
    assert made.state == Experiment.State.STOPPED
    assert not AdaptationSettings.objects.get(shop=shop).enabled
    with pytest.raises(EditConflict, match="made live already"):
        experiments.make_live(made, "still", by=ada, reason="again")
    experiments.roll_back(made, by=ada)
    assert AdaptationSettings.objects.get(shop=shop).enabled
    assert "live" not in made.result
    assert made.result["taken_back"]["by"] == "ada"


def test_a_policy_that_won_serves_and_is_taken_back(shop: Shop, ada: User) -> None:
    policy, before = learned(shop), active(shop).components["policy"]
    made = running(shop, (STILL[0], {"name": "new", "share": 0.5, "policy": policy.component}))
    visits(made, 600, gain=0.5)
    experiments.look(shop)
    made.refresh_from_db()
    experiments.make_live(made, "new", by=ada)
    assert active(shop).components["policy"] == policy.component
    assert not made.result["live"]["overridden"]
    policy.refresh_from_db()
    assert policy.state == PolicyVersion.State.LIVE
    experiments.roll_back(made, by=ada)
    assert active(shop).components["policy"] == before


def test_an_arm_that_is_known_to_be_worse_is_not_made_live_whoever_asks(shop: Shop, ada: User, client: Client) -> None:
    made = running(shop)
    visits(made, 600, gain=-0.5)
    experiments.look(shop)
    made.refresh_from_db()
    with pytest.raises(EditError, match="known to be worse"):
        experiments.make_live(made, "still", by=ada, reason="The board wants it.")
    assert made.state == Experiment.State.RUNNING
    client.force_login(ada)
    page = client.get(reverse("admin:recommendations_experiment_change", args=[made.pk])).content.decode()
    assert "“still” is known to be worse, and can't be made live." in page
    assert "<option>still</option>" not in page


def test_an_arms_policy_that_the_gate_found_worse_takes_an_experiment_that_says_otherwise(shop: Shop, ada: User) -> None:
    policy = learned(shop)
    PolicyVersion.objects.filter(pk=policy.pk).update(verdict={"verdict": "worse", "missing": ""})
    made = running(shop, (STILL[0], {"name": "new", "share": 0.5, "policy": policy.component}))
    with pytest.raises(EditError, match="known to be worse"):
        experiments.make_live(made, "new", by=ada, reason="The board wants it.")
    visits(made, 600, gain=0.5)
    experiments.look(shop)
    made.refresh_from_db()
    experiments.make_live(made, "new", by=ada)
    assert active(shop).components["policy"] == policy.component


def test_an_arm_that_broke_a_guardrail_is_not_known_to_be_better(shop: Shop, ada: User) -> None:
    made = running(shop, guardrails=[{"metric": "revenue", "least": -0.2}])
    visits(made, 800, gain=0.5, revenue=0.5)
    experiments.look(shop)
    made.refresh_from_db()
    assert made.result["verdicts"] == {"still": "better"}
    with pytest.raises(EditError, match="reason is needed"):
        experiments.make_live(made, "still", by=ada)
    experiments.make_live(made, "still", by=ada, reason="The sale was on.")
    assert made.result["live"]["overridden"]


def test_clusters_that_were_built_since_are_not_lost_by_taking_an_arm_back(shop: Shop, engine: Engine, ada: User) -> None:
    names = engine.clusters.learned.names
    built = []
    for mark in "!?":
        renamed = replace(engine.clusters.learned, names=tuple(f"{name}{mark}" for name in names))
        built.append(
            releases.publish_clusters(shop, active(shop).components, replace(engine.clusters, learned=renamed), metrics={})
        )
    made = running(shop, (STILL[0], {"name": "new", "share": 0.5, "clusters": built[0].components["clusters"]}))
    experiments.make_live(made, "new", by=ada, reason="Try it.")
    later = activation.activate(built[1], by=policies._actor(ada))
    with pytest.raises(EditConflict, match="built since"):
        experiments.roll_back(made, by=ada)
    assert active(shop) == later
    assert "live" in made.result


def test_clusters_that_won_serve_and_are_taken_back(shop: Shop, engine: Engine, ada: User) -> None:
    other = replace(
        engine.clusters, learned=replace(engine.clusters.learned, names=tuple(f"{n}!" for n in engine.clusters.learned.names))
    )
    now = active(shop)
    built = releases.publish_clusters(shop, now.components, other, metrics={})
    version = built.components["clusters"]
    assert version in dict(experiments.cluster_choices(shop))
    made = running(shop, (STILL[0], {"name": "new", "share": 0.5, "clusters": version}))
    experiments.make_live(made, "new", by=ada, reason="Try it.")
    assert active(shop).components["clusters"] == version
    assert active(shop).components["policy"] == now.components["policy"]
    experiments.roll_back(made, by=ada)
    assert active(shop).components["clusters"] == now.components["clusters"]


# Rights


def test_what_is_held_of_a_shopper_is_shown_and_erased(shop: Shop) -> None:
    made = running(shop)
    keep(shop, record(shop, "visit", made, "anna"), record(shop, "other", made, "bert"))
    shown = exporting.export(shop, "anna")["sessions"][0]["experiments"]
    assert [(e["experiment"], e["arm"]) for e in shown] == [(made.name, record(shop, "visit", made, "anna").arm)]
    assert rights.erase(shop, "anna", by="test").counts["experiments"] == 1
    assert ExperimentSession.objects.values_list("session_id", flat=True).get() == "other"


# The admin


def test_the_pages_lead_from_a_form_to_a_winner_and_back(shop: Shop, ada: User, client: Client) -> None:
    client.force_login(ada)
    assert b"There are none yet" in client.get(reverse("admin:recommendations_experiment_changelist")).content
    add = reverse("admin:recommendations_experiment_add")
    assert client.get(add).status_code == 200
    sent = {"shop": shop.pk, "name": "Worth of adapting", "share": 100, "metric": "reward", "name_1": "still", "rail_revenue": 15}
    refused = client.post(add, sent)
    assert b"serve the same in two of them" in refused.content
    client.post(add, {**sent, "still_1": "on"})
    made = Experiment.objects.get()
    assert made.guardrails == [{"metric": "revenue", "least": -0.15}]
    assert [arm.share for arm in trials.read_arms(made.arms)] == [0.5, 0.5]
    page = reverse("admin:recommendations_experiment_change", args=[made.pk])
    assert b"Start it" in client.get(page).content
    client.post(reverse("admin:recommendations_experiment_start", args=[made.pk]))
    assert b"Nothing has been counted yet" in client.get(page).content
    visits(made, 300, gain=0.8)
    experiments.look(shop)
    told = client.get(page).content.decode()
    assert "“still” is better" in told
    assert "experiment-band" in told
    assert client.get(reverse("admin:recommendations_experiment_result", args=[made.pk])).status_code == 200
    client.post(reverse("admin:recommendations_experiment_live", args=[made.pk]), {"arm": "still"})
    assert b"was made live by ada" in client.get(page).content
    client.post(reverse("admin:recommendations_experiment_back", args=[made.pk]))
    assert b"taken back by ada" in client.get(page).content
    assert b"still" in client.get(reverse("admin:recommendations_experiment_changelist")).content


def test_who_may_only_look_changes_nothing(shop: Shop, client: Client) -> None:
    made = running(shop)
    looks = User.objects.create_user("eve", password="battery staple", is_staff=True)
    looks.user_permissions.add(Permission.objects.get(codename="view_experiment"))
    client.force_login(looks)
    page = client.get(reverse("admin:recommendations_experiment_change", args=[made.pk]))
    assert page.status_code == 200
    assert b"Stop it" not in page.content
    for verb in ("start", "stop", "live", "back"):
        assert client.post(reverse(f"admin:recommendations_experiment_{verb}", args=[made.pk])).status_code == 403
    assert client.get(reverse("admin:recommendations_experiment_add")).status_code == 403
    made.refresh_from_db()
    assert made.state == Experiment.State.RUNNING
    stranger = User.objects.create_user("mallory", password="battery staple", is_staff=True)
    client.force_login(stranger)
    assert client.get(reverse("admin:recommendations_experiment_result", args=[made.pk])).status_code == 403


def test_events_without_a_price_count_at_the_items_own(shop: Shop, engine: Engine) -> None:
    from clusters.models import Item

    item = Item.objects.create(shop=shop, external_id="own", title="Own", price=12.5)
    row = Session.objects.create(shop=shop, session_id="v", started_at=moment(NOW), last_at=moment(NOW))
    events = [
        EventRow(row.pk, "a", CODE["purchase"], moment(NOW), moment(NOW), 0, item.pk, quantity=2.0),
        EventRow(row.pk, "b", CODE["purchase"], moment(NOW), moment(NOW), 1, 987_654),
    ]
    ArchivedEvent.objects.append(shop=shop, rows=events, origin="live")
    assert measuring.measures(shop, {"v"}, Rewards())["v"]["revenue"] == 25.0
