"""Rewards in a compiled loop are those of `rewards.credit`, session by session."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from clusters.crediting import FAR, Followed, credited
from clusters.rewards import Engagement, Report, Rewards, attention, credit
from personas.events import CODE

CODES = tuple(CODE[name] for name in ("view_item", "select_item", "add_to_cart", "purchase", "remove_from_cart", "search"))
OTHERS = Rewards(weights={CODE["view_item"]: 0.3, CODE["purchase"]: 7.0}, ignored_cost=0.2, reports=2, window_s=40.0)


def made(rng: np.random.Generator) -> tuple[list[float], list[Report], list[Engagement]]:
    """A session with whatever may happen: slates told in parts or again, items in two of them or twice in one, equal times."""
    at = rng.integers(0, 100, size=60).astype(float)
    reports = []
    for n in range(rng.integers(0, 12)):
        items = tuple(rng.integers(1, 9, size=rng.integers(1, 6)).tolist())
        slots = tuple(rng.integers(0, 300, size=len(items)).tolist()) if rng.random() < 0.5 else ()
        reports.append(Report(at[n], items, f"r{rng.integers(4)}", slots))
    acts = [Engagement(at[20 + n], int(rng.integers(1, 10)), int(rng.choice(CODES))) for n in range(rng.integers(0, 15))]
    return at[40 : 40 + rng.integers(0, 8)].tolist(), reports, acts


def columns(sessions: list[tuple[list[float], list[Report], list[Engagement]]]) -> Followed:
    reports = [(s, r) for s, (_, told, _) in enumerate(sessions) for r in sorted(told, key=lambda r: r.at)]
    acts = [(s, e) for s, (_, _, done) in enumerate(sessions) for e in sorted(done, key=lambda e: e.at)]
    slates: dict[tuple[int, str], int] = {}
    return Followed(
        np.array([s for s, _ in reports], dtype=np.int64),
        np.array([r.at for _, r in reports]),
        np.array([slates.setdefault((s, r.slate), len(slates)) for s, r in reports], dtype=np.int64),
        np.cumsum([0, *(len(r.items) for _, r in reports)]),
        np.array(list(chain.from_iterable(r.items for _, r in reports)), dtype=np.int64),
        np.array(list(chain.from_iterable(r.slots or range(len(r.items)) for _, r in reports)), dtype=np.int64),
        np.array([s for s, _ in acts], dtype=np.int64),
        np.array([e.at for _, e in acts]),
        np.array([e.item for _, e in acts], dtype=np.int64),
        np.array([e.code for _, e in acts], dtype=np.int64),
    )


@pytest.mark.parametrize("rewards", [Rewards(), OTHERS])
def test_it_is_what_crediting_each_session_by_itself_says(rewards: Rewards) -> None:
    rng = np.random.default_rng(5)
    sessions = [made(rng) for _ in range(400)]
    session = np.array([s for s, (decided, _, _) in enumerate(sessions) for _ in decided])
    at = np.array([t for decided, _, _ in sessions for t in decided])
    expected = np.concatenate([credit(rewards, *each) for each in sessions])
    shuffled = rng.permutation(len(at))
    found = credited(rewards, session[shuffled], at[shuffled], columns(sessions))
    assert np.isnan(expected).any()
    assert (~np.isnan(expected)).sum() > 500
    np.testing.assert_allclose(found, expected[shuffled], rtol=0, atol=1e-12)


def test_nothing_that_followed_is_no_reward() -> None:
    none = columns([([1.0, 2.0], [], [])])
    assert np.isnan(credited(Rewards(), np.zeros(2, dtype=np.int64), np.array([1.0, 2.0]), none)).all()
    assert len(credited(Rewards(), np.zeros(0, dtype=np.int64), np.zeros(0), none)) == 0


def test_slots_far_down_are_looked_at_as_rewards_says() -> None:
    assert attention(FAR - 1) == attention(FAR) == attention(10 * FAR) < attention(FAR - 2)
