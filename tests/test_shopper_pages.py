"""Pages of sessions and shoppers: charts with their words, consent, merge, export, erasure, and who may do what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from personas import versions
from personas.models import Archetype, Attribute, Erasure, Session, Shop, Shopper, ShopperAlias
from recommendations import releases, rights, stories
from recommendations.desk import stacks
from recommendations.models import Release
from recommendations.serving import archiving
from recommendations.serving.activity import Entry
from recommendations.visits import course_charts
from recommendations.visits.course import course_of
from tests.test_archiving import NOW, make_record
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop(transactional_db: None, redis_client: redis.Redis, data_dir: Path, settings: Any) -> Shop:
    """A shop of two personas with an active release, and a visit of anna's."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    shop = Shop.objects.create(slug="s", name="S")
    for kind in ("skirts", "shirts"):
        Attribute.objects.create(shop=shop, key=kind, name=kind, weights={f"category={kind}": 1.0})
        Archetype.objects.create(shop=shop, key=kind, name=f"<{kind}>", mix={kind: 1.0})
    attributes, archetypes = versions.current(shop)
    engine = train_world(make_world(sessions=60), attributes=attributes, archetypes=archetypes)
    manifest = releases.save_engine(releases.root_of(shop), engine)
    Release.objects.create(shop=shop, number=7, components=manifest, state=Release.State.ACTIVE)
    saver = Archetype.objects.get(key="skirts")
    for n in range(3):
        visit(shop, "visit-0", n, "anna", started_at=NOW - 5.0, shares={saver.pk: 1.0}, steps=2 * n + 2)
    return shop


def visit(shop: Shop, session: str, n: int, shopper: str = "", **changes: Any) -> None:
    archiving.write(shop, [(Entry(0, f"{n + 1}-0", b""), make_record(shop.pk, session, n, shopper=shopper, **changes))])


def page(name: str, row: Any) -> str:
    kind = "session" if isinstance(row, Session) else "shopper"
    return reverse(f"admin:personas_{kind}_{name}", args=[row.pk])


def test_a_session_tells_its_course_in_a_picture_and_in_words(admin_client: Client, shop: Shop) -> None:
    """Oracle: the replay itself; the picture has its sentence, and the step its numbers."""
    session = Session.objects.get()
    story = stories.tell(session)
    shown = admin_client.get(page("change", session)).content.decode()
    told = course_charts.sentence(story.engine, course_of(session).standings)
    assert told.startswith("6 events in 2 seconds.")
    assert told.replace("<", "&lt;").replace(">", "&gt;") in shown
    assert shown.count("<g><title>") == len(story.steps)
    assert 'role="img" aria-label="6 events' in shown
    assert "&lt;skirts&gt;" in shown
    assert "<skirts>" not in shown
    visit = reverse("admin:personas_session_visit", args=[session.pk])
    assert visit in shown
    shown = admin_client.get(visit).content.decode()
    k = int(story.steps[-1].after.belief[0] < story.steps[-1].after.belief[1])
    assert f"{100 * story.steps[-1].after.belief[k]:.0f} in 100" in shown
    factor = story.steps[-1].evidence.factors[0]
    assert f'<td class="visits-n">{course_charts.nats(factor.nats[0], 2)}</td>' in shown


def test_the_end_of_a_visit_is_who_acts_then_not_who_did_most_of_it(shop: Shop) -> None:
    course = course_of(Session.objects.get())
    first, second = course.engine.personas.ids
    sides = (((0.9, 0.1), first), ((0.1, 0.9), first))  # the second one took over; the visit was mostly the first's
    start, *steps = course.standings[:3]
    steps = [
        step._replace(reading=step.reading._replace(belief=belief, active=(active,), unsure=False, several=False))
        for step, (belief, active) in zip(steps, sides, strict=True)
    ]
    told = course_charts.sentence(course.engine, [start, *steps])
    names = course.engine.personas.archetype_names
    assert f"Sure from the 1st event on: {names[0]}." in told
    assert told.endswith(f"At the end: {names[1]}.")
    turns = steps[1].reading._replace(several=True, active=(first, second))
    told = course_charts.sentence(course.engine, [start, steps[0], steps[1]._replace(reading=turns)])
    assert told.endswith(f"At the end: {names[0]} and {names[1]}, taking turns.")


def test_evidence_is_told_in_words_with_its_sign(shop: Shop) -> None:
    """A factor that speaks for a persona in the replay is said to, by as many nats."""
    story = stories.tell(Session.objects.get())
    for step in story.steps:
        for words in course_charts.said(story.engine, step):
            if " spoke " not in words:
                continue
            name = words.split(" for ")[-1].split(" against ")[-1].rsplit(",", 1)[0]
            k = story.engine.personas.archetype_names.index(name)
            nats = float(words.rsplit(", weight ", 1)[1].replace("−", "-"))
            assert any(abs(float(f.nats[k]) - nats) < 0.051 for f in step.evidence.factors)
            assert (nats > 0) == (" spoke for " in words)


def test_a_session_without_a_release_says_what_is_missing(admin_client: Client, shop: Shop) -> None:
    Release.objects.update(state=Release.State.RETIRED)
    assert "there is none to use" in admin_client.get(page("change", Session.objects.get())).content.decode()


def test_a_stack_leaves_what_is_not_known_grey_and_thins_what_is_long() -> None:
    assert stacks.standing(0.5, 2) == stacks.standing(0.25, 4) == stacks.standing(0.1, 4) == 0.0
    assert stacks.standing(1.0, 4) == stacks.standing(0.3, 1) == 1.0
    columns = [stacks.Column((0.5, 0.25), f"{n} <b>", "here" if n == 3 else "") for n in range(1_000)]
    drawn = stacks.draw(columns, ("#111111", "#222222"), sentence='a "sentence"')
    assert drawn.count("<g><title>") == len(stacks.thin(columns)) <= stacks.MOST_COLUMNS
    assert drawn.count('class="stack-mark"') == 1, "a mark is not lost"
    assert (drawn.count(f'height="{stacks.HEIGHT / 2:.1f}"'), "<b>" in drawn) == (len(stacks.thin(columns)), False)
    assert 'aria-label="a &quot;sentence&quot;"' in drawn


def test_a_shopper_has_a_time_line_and_consent(admin_client: Client, shop: Shop) -> None:
    anna = Shopper.objects.get()
    shown = admin_client.get(page("change", anna)).content.decode()
    assert "1 visit, 0 purchases. Mostly &lt;skirts&gt;." in shown
    assert "never asked" in shown
    assert "Simulated" not in shown
    Session.objects.update(origin="simulated")
    assert "Simulated: nobody did this." in admin_client.get(page("change", anna)).content.decode()
    ask = admin_client.get(page("change_consent", anna)).content.decode()
    assert "Record consent of anna" in ask
    assert not Shopper.objects.get().consent_demographics, "to look is not to do"
    offered = 'name="consent" value="record"'
    assert offered in ask
    assert admin_client.post(page("change_consent", anna)).status_code == 422, "what to do is not guessed"
    for _ in range(2):  # a double click is no withdrawal
        assert admin_client.post(page("change_consent", anna), {"consent": "record"}).status_code == 302
    assert Shopper.objects.get().consent_demographics
    rights.set_demographics(shop, "anna", {"age_band": "30-39"})
    assert "30-39" in admin_client.get(page("change", anna)).content.decode()
    assert "deleted at once" in admin_client.get(page("change_consent", anna)).content.decode()
    admin_client.post(page("change_consent", anna), {"consent": "withdraw"})
    anna.refresh_from_db()
    assert (anna.consent_demographics, anna.demographics) == (False, {})


def test_pages_of_sessions_name_personas_as_published(admin_client: Client, shop: Shop) -> None:
    """A persona renamed in the draft keeps its published name, in the list and on the page, and there its table scrolls."""
    visit(shop, "visit-0", 3, "anna", belief={Archetype.objects.get(key="skirts").pk: 1.0})
    Archetype.objects.filter(key="skirts").update(name="Drafted")
    for at in (reverse("admin:personas_session_changelist"), page("change", Session.objects.get())):
        shown = admin_client.get(at).content.decode()
        assert "&lt;skirts&gt;" in shown
        assert "Drafted" not in shown
    assert 'class="overflow-x-auto"' in shown


def test_merge_and_export(admin_client: Client, shop: Shop) -> None:
    visit(shop, "visit-1", 9, "guest")
    anna = Shopper.objects.get(external_id="anna")
    wrong = admin_client.post(page("merge", anna), {"guest": "anna"})
    assert (wrong.status_code, "own id" in wrong.content.decode()) == (422, True)
    done = admin_client.post(page("merge", anna), {"guest": " guest "}, follow=True).content.decode()
    assert "1 visit moved" in done
    assert "guest (guest, merged" in done
    assert ShopperAlias.objects.get().shopper == anna
    given = admin_client.get(page("export", anna))
    assert "attachment" in given["content-disposition"]
    assert "no-store" in given["cache-control"]
    assert {s["session_id"] for s in json.loads(given.content)["sessions"]} == {"visit-0", "visit-1"}


def test_erasing_asks_for_the_id_and_says_what_goes(admin_client: Client, shop: Shop) -> None:
    anna = Shopper.objects.get()
    ask = admin_client.get(page("erase", anna)).content.decode()
    assert "1 visit with their events" in ask
    assert "be undone" in ask
    wrong = admin_client.post(page("erase", anna), {"confirm": "anne"})
    assert (wrong.status_code, Shopper.objects.count()) == (422, 1)
    done = admin_client.post(page("erase", anna), {"confirm": "anna"}, follow=True)
    assert "Erased: 1 sessions, 6 events" in done.content.decode()
    assert not Shopper.objects.exists()
    assert not Session.objects.exists()
    erasure = Erasure.objects.get()
    assert erasure.by == "admin"
    listed = admin_client.get(reverse("admin:personas_erasure_changelist")).content.decode()
    assert "6 events" in listed


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        (("view_shopper", "view_session"), {"change", "export"}),
        (("view_shopper",), {"change"}),
        (("view_shopper", "change_shopper"), {"change", "change_consent", "merge"}),
        (("view_shopper", "delete_shopper"), {"change", "erase"}),
        (("view_session",), set()),
    ],
)
def test_each_page_asks_for_its_permission(client: Client, shop: Shop, given: tuple[str, ...], allowed: set[str]) -> None:
    user = get_user_model().objects.create(username="clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=given))
    client.force_login(user)
    anna = Shopper.objects.get()
    for name in ("change", "export", "change_consent", "merge", "erase"):
        send: Callable[..., Any] = client.get if name in ("change", "export") else client.post
        assert (send(page(name, anna)).status_code == 403) == (name not in allowed), name
    if "change" in allowed:
        buttons = client.get(page("change", anna)).content.decode()
        for name in ("export", "merge", "erase"):
            assert (page(name, anna) in buttons) == (name in allowed), "no button for what one may not do"


def test_a_weight_that_rounds_to_nothing_has_no_sign() -> None:
    assert [course_charts.nats(n) for n in (-0.04, 0.04, 0.3, -0.26)] == ["0.0", "0.0", "+0.3", "−0.3"]
