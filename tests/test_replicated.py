"""An engine made large by replication is one that serves: what measures steps over more items than anyone trains here."""

from __future__ import annotations

import numpy as np

from personas.events import Event
from recommendations import engine as loop
from recommendations.benchmarks.replicated import replicate
from recommendations.benchmarks.step import START, made_engine
from recommendations.session import Request


def test_each_copy_is_served_with_items_of_its_own() -> None:
    engine, _ = made_engine(items=240, events=1_500)
    large = replicate(engine, 3)
    n = len(engine.catalogue)
    assert len(large.catalogue) == 3 * n
    assert len(set(large.catalogue.item_ids.tolist())) == 3 * n
    assert np.diff(large.ranker.rows.indptr).tolist() == np.diff(engine.ranker.rows.indptr).tolist() * 3
    for copy in range(3):
        state = loop.start(large, shop=1, session="s", at=START)
        for step in range(3):
            item = int(large.catalogue.item_ids[copy * n + step])
            state = loop.observe(large, state, Event(f"e{step}", "view_item", START + step, START + step, (item,)))
        _, slate = loop.recommend(large, state, Request(now=START + 3, explore=0.0), loop.generator(state))
        places = large.catalogue.positions(i.item for i in slate.items)
        assert np.mean(places // n == copy) >= 0.9
