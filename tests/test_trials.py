"""Arms of an experiment in a serving process: who is in which, for how long, and what their engines share."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import redis
from asgiref.sync import sync_to_async

from clusters.policy import default_policy
from personas.models import Shop
from recommendations import activation, releases
from recommendations.engine import Engine
from recommendations.learning import experiments, policies
from recommendations.learning.models import Experiment
from recommendations.overlay import Offer, Overlay, with_arm, with_overlay
from recommendations.serving import process, turns
from recommendations.serving.activity import decode_record, log_key, partition
from recommendations.serving.asks import Ask
from recommendations.serving.engines import Engines, warm
from recommendations.serving.process import Process
from recommendations.serving.trials import Arm, Trial, assign
from recommendations.session import Membership
from tests.worlds import make_world, train_world

SHOP = 1
NOW = 1_700_000_000.0
SALT = b"0123456789abcdef"
HALF = Trial(7, SALT, (Arm("as it is", 0.5), Arm("still", 0.5, adapts=False)))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return replace(train_world(make_world(sessions=150)), release="1")


# Who is where


def test_shares_are_kept_and_the_rest_is_outside() -> None:
    trial = Trial(1, SALT, (Arm("a", 0.5), Arm("b", 0.3)))
    found = [assign(trial, "", f"shopper-{n}") for n in range(20_000)]
    counts = {name: sum(f is not None and f.arm == name for f in found) for name in ("a", "b")}
    for name, share in (("a", 0.5), ("b", 0.3)):
        assert counts[name] == pytest.approx(20_000 * share, abs=4 * np.sqrt(20_000 * share * (1 - share)))
    assert found.count(None) == 20_000 - sum(counts.values())


def test_another_salt_draws_anew() -> None:
    other = HALF._replace(salt=b"fedcba9876543210")
    same = 0
    for n in range(2_000):
        one, two = assign(HALF, "", f"s{n}"), assign(other, "", f"s{n}")
        assert one is not None
        assert two is not None
        same += one.arm == two.arm
        assert one.unit != two.unit, "nobody can be followed from one experiment to the next"
    assert same == pytest.approx(1_000, abs=4 * np.sqrt(500))


def test_every_process_draws_the_same() -> None:
    code = (
        "import django; django.setup()\n"
        "from recommendations.serving.trials import *\n"
        f"t = Trial(7, {SALT!r}, (Arm('as it is', 0.5), Arm('still', 0.5, adapts=False)))\n"
        "print([assign(t, 'v', f's{n}').unit for n in range(5)], [assign(t, f'v{n}', '').arm for n in range(20)])"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    units = [assign(HALF, "v", f"s{n}") for n in range(5)]
    arms = [assign(HALF, f"v{n}", "") for n in range(20)]
    assert there.strip() == f"{[u.unit for u in units if u]} {[a.arm for a in arms if a]}"


def test_a_shopper_and_a_session_of_one_name_are_two() -> None:
    one, two = assign(HALF, "anna", ""), assign(HALF, "x", "anna")
    assert one is not None
    assert two is not None
    assert one.unit != two.unit


# What engines share


def test_an_arm_with_another_policy_shares_everything_else(engine: Engine) -> None:
    warm(engine, NOW)
    policy = replace(default_policy(), version="another")
    arm = with_arm(engine, policy=policy)
    assert arm.policy is policy
    for name in ("catalogue", "personas", "clusters", "ranker", "overlay"):
        assert getattr(arm, name) is getattr(engine, name)
    for name in ("layout", "shelves", "companions", "likeness", "sieve", "out_of_stock", "gone", "rule_set", "reach"):
        assert vars(arm)[name] is vars(engine)[name], name


def test_an_arm_with_other_clusters_shares_what_is_not_of_clusters(engine: Engine) -> None:
    """Under an overlay with a new price and a new item, which joins the arm's clusters as it does the shop's."""
    from clusters.catalogue import ItemRow

    item = ItemRow(item_id=9_999, external_id="new", title="Something new", category=engine.catalogue.categories[0])
    under = with_overlay(engine, Overlay(3, {1: Offer(5.0, None, True)}, items=(item,)))
    warm(under, NOW)
    other = replace(engine.clusters, names=tuple(f"other {name}" for name in engine.clusters.names))
    arm = with_arm(under, clusters=other)
    assert arm.clusters.names == other.names
    assert arm.clusters.items.shape == under.clusters.items.shape
    np.testing.assert_allclose(arm.clusters.items.toarray(), under.clusters.items.toarray())
    for name in ("catalogue", "personas", "ranker", "policy", "overlay"):
        assert getattr(arm, name) is getattr(under, name)
    for name in ("shelves", "companions", "likeness", "sieve", "out_of_stock"):
        assert vars(arm)[name] is vars(under)[name], name
    warm(arm, NOW)


# Turns


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    """A process whose shop has no experiment yet; `running` is what the next look finds."""
    running: dict[int, Trial] = {}
    engines = Engines(find=lambda: {SHOP: "1"}, load=lambda _: engine, running=lambda: running)
    engines.test_running = running  # type: ignore[attr-defined]
    made = await process.start(redis_url, engines)
    yield made
    await made.stop()


async def run(here: Process, trial: Trial | None) -> None:
    running = here.engines.test_running  # type: ignore[attr-defined]
    running.clear()
    if trial is not None:
        running[SHOP] = trial
    await here.engines.refresh()


async def turn(here: Process, session: str, n: int, shopper: str = "") -> turns.Turn:
    event = {"event_id": f"{session}-{n}", "name": "view_item", "items": [{"item_id": f"sku-{n}"}]}
    return await turns.take(here, turns.Visit(SHOP, session, shopper), [event], ask=Ask(count=4), now=NOW + n)


def arm_of(turn: turns.Turn) -> str:
    return turn.state.trial.arm if turn.state.trial is not None else ""


async def test_a_session_is_served_as_its_arm_and_logged_so(here: Process, redis_client: redis.Redis) -> None:
    await run(here, HALF)
    seen = set()
    for n in range(12):
        session = f"visit-{n}"
        done = await turn(here, session, 1)
        drawn = assign(HALF, session, "")
        assert drawn is not None
        assert done.state.trial == drawn
        assert done.engine.bounds.adapts is (drawn.arm == "as it is")
        part = partition(SHOP, session, here.store.partitions)
        records = [decode_record(fields[b"r"]) for _, fields in redis_client.xrange(log_key(part))]
        record = next(r for r in records if r.session == session)
        assert (record.experiment, record.arm, record.unit) == drawn[:3]
        seen.add(drawn.arm)
    assert seen == {"as it is", "still"}


async def test_a_shopper_is_in_one_arm_on_every_visit_and_who_logs_in_stays_where_the_visit_began(here: Process) -> None:
    await run(here, HALF)
    drawn = assign(HALF, "", "anna")
    assert drawn is not None
    for n in range(4):
        assert (await turn(here, f"of-anna-{n}", 1, "anna")).state.trial == drawn
    guest = next(f"guest-{n}" for n in range(50) if (m := assign(HALF, f"guest-{n}", "")) and m.arm != drawn.arm)
    before = await turn(here, guest, 1)
    after = await turn(here, guest, 2, "anna")
    assert after.state.shopper == "anna"
    assert arm_of(before) == arm_of(after) != drawn.arm
    assert after.state.trial == before.state.trial


async def test_visits_under_way_stay_out_and_go_on_when_it_ends(here: Process) -> None:
    await turn(here, "early", 1)
    await run(here, HALF)
    assert (await turn(here, "early", 2)).state.trial is None
    session = next(f"visit-{n}" for n in range(50) if (m := assign(HALF, f"visit-{n}", "")) and m.arm == "still")
    assert not (await turn(here, session, 1)).engine.bounds.adapts
    await run(here, None)
    ended = await turn(here, session, 2)
    assert ended.state.trial is None
    assert ended.engine is here.engines.get(SHOP)
    assert ended.state.events == 2
    again = HALF._replace(number=8)
    await run(here, again)
    assert (await turn(here, session, 3)).state.trial is None, "one visit is in one experiment at most"


async def test_an_arm_that_cannot_be_loaded_is_left_out_and_the_rest_is_served(
    here: Process, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Trial(9, SALT, (Arm("as it is", 0.5), Arm("lost", 0.5, policy="0000")))
    await run(here, broken)
    await run(here, broken)
    assert sum("arm lost of experiment 9" in r.getMessage() for r in caplog.records) == 1
    session = next(f"visit-{n}" for n in range(50) if (m := assign(broken, f"visit-{n}", "")) and m.arm == "lost")
    done = await turn(here, session, 1)
    assert done.state.trial is None
    assert done.engine is here.engines.get(SHOP)


async def test_arms_follow_the_shops_engine(here: Process, engine: Engine) -> None:
    await run(here, HALF)
    session = next(f"visit-{n}" for n in range(50) if (m := assign(HALF, f"visit-{n}", "")) and m.arm == "still")
    before = (await turn(here, session, 1)).engine
    here.engines.put(SHOP, replace(engine, overlay=Overlay(5)))
    await run(here, HALF)
    after = (await turn(here, session, 2)).engine
    assert (before.overlay.version, after.overlay.version) == (0, 5)
    assert not after.bounds.adapts


def test_membership_is_stored_in_few_bytes(engine: Engine) -> None:
    from recommendations import engine as loop
    from recommendations.serving.store import decode_state, encode_state

    state = loop.start(engine, shop=SHOP, session="v", at=NOW)
    within = replace(state, trial=Membership(7, "as it is", "0" * 32))
    assert decode_state(encode_state(within)).trial == within.trial
    assert len(encode_state(within)) - len(encode_state(state)) < 60


@pytest.mark.django_db(transaction=True)
@pytest.mark.asyncio
async def test_an_experiment_is_served_within_seconds_of_its_start_and_no_longer_than_that_after_its_end(
    engine: Engine, data_dir: Path, redis_client: redis.Redis, redis_url: str
) -> None:
    """A process as it is run, with the database and the channel: nothing is told to it but by the verbs."""

    def made() -> Experiment:
        shop = Shop.objects.create(slug="boutique", name="Boutique")
        activation.activate(releases.publish(shop, engine, metrics={}), by=policies._actor(None))
        arms = [{"name": "as it is", "share": 0.5}, {"name": "still", "share": 0.5, "adapts": False}]
        return experiments.create(shop, name="x", arms=arms)

    experiment = await sync_to_async(made)()
    here = await process.start(redis_url, Engines())
    try:
        shop = experiment.shop_id

        async def served(*, wanted: bool) -> float:
            began = time.monotonic()
            while (shop in here.engines._trials) is not wanted:
                assert time.monotonic() - began < 4.0
                await asyncio.sleep(0.02)
            return time.monotonic() - began

        assert shop not in here.engines._trials
        await sync_to_async(experiments.start)(experiment)
        await served(wanted=True)
        assert set(here.engines._trials[shop].engines) == {"as it is", "still"}
        await sync_to_async(experiments.stop)(experiment)
        await served(wanted=False)
    finally:
        await here.stop()
