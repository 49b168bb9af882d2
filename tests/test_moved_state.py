"""`session.moved` beside `dataclasses.replace`, its oracle."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from clusters import adaptation
from personas.profile import PersonaState
from recommendations.session import Pending, SessionState, moved

STATE = SessionState(
    1, "s", 7, "3", PersonaState((1,), (0.0,), (0.0,), 5.0), adaptation.start(), version=4, context={"country": "PL"}, own=(2,)
)


def test_a_moved_state_is_what_replace_makes_and_leaves_the_one_before_alone() -> None:
    copy = replace(STATE)
    told = {"version": 5, "pending": (Pending("r", (1,), (0,)),), "events": 3, "trial": None}
    assert moved(STATE, **told) == replace(STATE, **told)
    for name in (field.name for field in fields(SessionState)):
        assert moved(STATE, **{name: "x"}) == replace(STATE, **{name: "x"})
    assert copy == STATE


def test_a_name_that_no_field_has_is_refused() -> None:
    with pytest.raises(KeyError, match="versoin"):
        moved(STATE, versoin=5)
