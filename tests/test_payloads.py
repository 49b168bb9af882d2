"""The JSON of a slate: written from parts that are kept, as msgspec writes the whole."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from personas.components import Text
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.serving.payloads import cluster_json, item_json, persona_json, slate_json
from recommendations.session import SessionState, Slate, SlateItem
from tests.worlds import make_world, train_world

SCORES = (0.0, -0.0, 1.0, 3.05, -2.71828, 1e-5, 123456.78905, 1e17, float(np.float32(0.1)), math.nan, math.inf, -math.inf)
TITLES = ("plain", 'a "quoted" \\ title', "Über 🧥 50 %", "line\nbreak\u2028", "</script>{0}%s")


@pytest.fixture(scope="module")
def engine() -> Engine:
    made = train_world(make_world(sessions=150))
    old = made.catalogue.titles
    titles = Text.of(TITLES[i] if i < len(TITLES) else old[i] for i in range(len(made.catalogue)))
    return replace(made, catalogue=replace(made.catalogue, titles=titles))


def written(engine: Engine, state: SessionState, slate: Slate, *, reasons: bool) -> bytes:
    """The oracle: one encoder over plain objects."""
    items = []
    for item in slate.items:
        because = item_json(engine, item.because)["item_id"] if item.because else None
        words = {"because": because, "expert": item.expert, "experts": item.experts, "reason": item.reason}
        items.append(
            item_json(engine, item.item)
            | {"slot": item.slot, "score": round(item.score, 4) if math.isfinite(item.score) else None}
            | {"propensity": round(item.propensity, 4)}
            | {"persona": persona_json(engine, item.persona), "cluster": cluster_json(engine, item.cluster)}
            | (words if reasons else {})
        )
    whole = {
        "recommendation_id": slate.recommendation_id,
        "session_id": state.session,
        "context": slate.context,
        "version": state.version,
        "release": slate.release,
        "notes": slate.notes,
        "items": items,
    }
    return msgspec.json.encode(whole)


@pytest.mark.parametrize("reasons", [False, True])
def test_a_slate_is_written_as_one_encoder_writes_it(engine: Engine, reasons: bool) -> None:
    rng = random.Random(7)
    state = loop.start(engine, shop=1, session='s"1"', at=1.0)
    ids = engine.catalogue.item_ids.tolist()
    personas, clusters = (0, *engine.personas.ids, 999_999), (0, *engine.clusters.cluster_ids.tolist(), 999_999)
    for _ in range(60):
        items = tuple(
            SlateItem(
                rng.choice(ids[:8]),
                slot,
                rng.choice(SCORES),
                rng.random(),
                rng.choice(personas),
                rng.choice(clusters),
                rng.choice((0, *ids[:8])),
                rng.choice(("", "encoder")),
                rng.choice(TITLES),
                rng.choice(({}, {"encoder": 0.25, "neighbours": 0.75})),
            )
            for slot in range(rng.randrange(6))
        )
        slate = Slate("r1", "home", "1", items, (), notes=("filled_up",))
        told = msgspec.json.encode(slate_json(engine, state, slate, reasons=reasons))
        assert msgspec.json.decode(told) == msgspec.json.decode(written(engine, state, slate, reasons=reasons))
        if not any(abs(item.score) >= 1e16 for item in items if math.isfinite(item.score)):  # 1e+17 or 1e17: the same number
            assert told == written(engine, state, slate, reasons=reasons)
