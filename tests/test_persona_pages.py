"""Admin of attributes, personas and versions: what may be typed, what is announced, who may publish, what is drawn."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import redis
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.models import Item
from personas import versions
from personas.encoding import FACTORS, value_names
from personas.fitting import FitReport
from personas.models import Archetype, Attribute, PersonaVersion, Shop
from recommendations import demo
from recommendations.desk.personas import charts as persona_charts
from recommendations.fit_reports import fit_report, sentences
from recommendations.models import Release, TrainingRun
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def shop(redis_client: redis.Redis) -> Shop:
    shop = Shop.objects.create(slug="s", name="Boutique")
    for n, colour in enumerate(("blue", "blue", "black")):
        Item.objects.create(shop=shop, external_id=f"a{n}", title=f"Skirt {n}", category="skirts", colour=colour, price=10 + n)
    Attribute.objects.create(shop=shop, key="budget", name="Budget", weights={"price_tier=low": 1.0, "colour=blue": 0.333})
    Archetype.objects.create(shop=shop, key="saver", name="Saver", icon="tag", mix={"budget": 1.0})
    return shop


def page(name: str, *args: object) -> str:
    return reverse(f"admin:personas_{name}", args=args)


def weighed(name: str, *pairs: tuple[str, str]) -> dict[str, list[str]]:
    return {f"{name}-name": [n for n, _ in pairs], f"{name}-weight": [w for _, w in pairs]}


def test_weights_are_rows_and_keep_their_digits(merchandiser: Client, shop: Shop) -> None:
    attribute = Attribute.objects.get()
    at = page("attribute_change", attribute.pk)
    text = merchandiser.get(at).content.decode()
    assert re.search(r'name="weights-name"[^>]* value="colour=blue"', text)
    assert re.search(r'name="weights-weight"[^>]* value="0.333"', text)
    form = {"name": "Budget", "description": ""}
    rows = weighed("weights", ("price_tier=low", "0,8"), ("", ""), ("term=sale", "−0.5"))
    assert merchandiser.post(at, {**form, **rows, **weighed("behaviours", ("event=search", "1"))}).status_code == 302
    attribute.refresh_from_db()
    assert attribute.weights == {"price_tier=low": 0.8, "term=sale": -0.5}
    assert attribute.behaviours == {"event=search": 1.0}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (("x=1", "2"), "x=1: 2 is not between −1 and 1."),
        (("x=1", "nan"), "x=1: nan is not between −1 and 1."),
        (("x=1", ""), "x=1: how much does it weigh?"),
        (("x=1", "much"), "x=1: &#x27;much&#x27; is not a number."),
        (("", "0.5"), "What weighs 0.5? Name it, or empty the row."),
        (("price_tier=low", "0.5"), "price_tier=low is there twice."),
    ],
)
def test_a_weight_that_can_not_be_taken_is_told_and_what_was_typed_stays(
    merchandiser: Client, shop: Shop, row: tuple[str, str], told: str
) -> None:
    rows = weighed("weights", ("price_tier=low", "0.75"), row)
    answer = merchandiser.post(page("attribute_change", Attribute.objects.get().pk), {"name": "Budget", **rows})
    text = answer.content.decode()
    assert answer.status_code == 200
    assert told in text
    assert 'value="0.75"' in text
    assert Attribute.objects.get().weights["price_tier=low"] == 1.0


def test_unknown_behaviours_and_empty_mixes_are_told_at_their_field(merchandiser: Client, shop: Shop) -> None:
    at = page("attribute_change", Attribute.objects.get().pk)
    answer = merchandiser.post(at, {"name": "B", **weighed("behaviours", ("event=jump", "1"))})
    assert "behaviours" in answer.context["adminform"].form.errors
    assert "is not one of" in str(answer.context["adminform"].form.errors["behaviours"])
    persona = page("archetype_change", Archetype.objects.get().pk)
    form = {"name": "Saver", "icon": "tag", "colour": "#000000", "place": "0"}
    assert "mix" in merchandiser.post(persona, form).context["adminform"].form.errors
    gone = merchandiser.post(persona, {**form, **weighed("mix", ("gone", "1"))})
    assert "is not an attribute" in str(gone.context["adminform"].form.errors["mix"])


def test_descriptors_are_suggested_with_how_many_items_have_them(merchandiser: Client, shop: Shop) -> None:
    """Oracle: the items themselves."""
    at = page("attribute_descriptors")
    found = merchandiser.get(at, {"shop": shop.pk, "q": "colour=B"}).json()["suggestions"]
    assert found == [{"name": "colour=blue", "items": 2}, {"name": "colour=black", "items": 1}]
    assert merchandiser.get(at, {"shop": "x"}).json() == {"suggestions": []}
    assert Client().get(at).status_code == 302


def test_what_is_not_published_is_announced_reviewed_and_published(merchandiser: Client, shop: Shop) -> None:
    lists = [page("attribute_changelist"), page("archetype_changelist")]
    assert all("nothing is published yet" in merchandiser.get(at).content.decode() for at in lists)
    publish = page("personaversion_publish", shop.pk)
    assert "becomes version 1" in merchandiser.get(publish).content.decode()
    answer = merchandiser.post(publish, {"note": "As we began"}, follow=True)
    assert "Version 1 is published." in answer.content.decode()
    assert "Nothing to publish" in answer.content.decode()
    assert "its first training uses version 1" in answer.content.decode(), "no release, so no fit"
    Attribute.objects.update(weights={"price_tier=low": 0.5, "colour=gold": 1.0})
    for at in lists:
        text = merchandiser.get(at).content.decode()
        assert "3 changes are not published yet." in " ".join(text.split())
        assert "Review and publish" in text
    text = merchandiser.get(publish).content.decode()
    assert "Budget: price_tier=low 1 → 0.5." in text
    assert "no item has colour=gold" in text
    merchandiser.post(publish, {"note": "Gold"})
    version = PersonaVersion.objects.get(number=2)
    assert (version.note, version.published_by and version.published_by.get_username()) == ("Gold", demo.USER)
    again = merchandiser.post(publish, follow=True).content.decode()
    assert "Not published. Nothing to publish: the draft is the same as version 2." in again


def test_a_draft_that_can_not_be_published_says_why_and_can_be_discarded(merchandiser: Client, shop: Shop) -> None:
    versions.publish(shop)
    Archetype.objects.update(mix={"gone": 1.0})
    publish = page("personaversion_publish", shop.pk)
    text = merchandiser.get(publish).content.decode()
    assert "archetypes[0].mix" in text
    assert "Publish version" not in text
    assert "Not published. Archetypes[0].mix" in merchandiser.post(publish, follow=True).content.decode()
    merchandiser.post(page("personaversion_discard", shop.pk))
    assert Archetype.objects.get().mix == {"budget": 1.0}


def test_an_earlier_version_is_looked_at_and_restored(merchandiser: Client, shop: Shop) -> None:
    first = versions.publish(shop)
    Archetype.objects.update(name="Thrifty")
    versions.publish(shop)
    Archetype.objects.update(name="Draft only")
    restore = page("personaversion_restore", first.pk)
    text = merchandiser.get(restore).content.decode()
    assert "Thrifty: renamed to Saver." in text
    assert "restoring drops it" in text
    assert "as version 3" in merchandiser.post(restore, follow=True).content.decode()
    assert Archetype.objects.get().name == "Saver"
    text = merchandiser.get(page("personaversion_changelist")).content.decode()
    assert text.count("in force") == 1
    assert "Restore version 2" in text


def test_viewers_look_and_change_nothing(viewer: Client, shop: Shop) -> None:
    first = versions.publish(shop)
    Archetype.objects.update(name="Thrifty")
    publish = page("personaversion_publish", shop.pk)
    text = viewer.get(publish).content.decode()
    assert "Saver: renamed to Thrifty." in text
    assert 'name="note"' not in text
    assert "Review and publish" not in viewer.get(page("attribute_changelist")).content.decode()
    for at in (publish, page("personaversion_discard", shop.pk), page("personaversion_restore", first.pk)):
        assert viewer.post(at).status_code == 403
    assert viewer.get(page("personaversion_restore", first.pk)).status_code == 403
    assert viewer.get(page("personaversion_discard", shop.pk)).status_code == 405
    assert viewer.get(page("personaversion_add")).status_code == 403
    assert PersonaVersion.objects.count() == 1


def test_the_last_persona_stays(merchandiser: Client, shop: Shop) -> None:
    last = Archetype.objects.get()
    assert merchandiser.get(page("archetype_delete", last.pk)).status_code == 403
    Archetype.objects.create(shop=shop, key="b", name="B", icon="tag", mix={"budget": 1.0})
    assert merchandiser.get(page("archetype_delete", last.pk)).status_code == 200


ENTRY = {
    **{"id": 1, "key": "saver", "name": "Saver", "share": 1.0, "share_before": 0.5, "moved": []},
    **{"drift": 0.6, "kept": 0.125, "worst": "price_tier", "drifted": True},
}
REPORT = {
    "version": 1,
    "last_event": 9,
    "events": 100,
    "sessions": 20,
    "seconds": 1.5,
    "log_likelihood": -2.5,
    "log_likelihood_before": -3.0,
    "iterations": 4,
    "archetypes": [ENTRY],
    "removed": ["Gardener"],
}


def test_a_fit_is_told_as_it_goes(merchandiser: Client, shop: Shop) -> None:
    progress = page("personaversion_progress", shop.pk)
    version = versions.publish(shop)
    release = Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    assert "waits for a worker" in merchandiser.get(progress).content.decode()
    run = TrainingRun.objects.create(shop=shop, kind="personas", state="running", stage="personas", progress=0.4)
    running = merchandiser.get(progress).content.decode()
    assert "being fitted: personas, 40 %" in running
    assert "hx-get" in running
    TrainingRun.objects.filter(pk=run.pk).update(kind="all")
    assert "A training is under way" in merchandiser.get(progress).content.decode()
    TrainingRun.objects.filter(pk=run.pk).update(kind="personas", state="failed", error="ValueError: no <event>")
    failed = merchandiser.get(progress).content.decode()
    assert "no &lt;event&gt;" in failed
    assert "hx-get" not in failed
    TrainingRun.objects.filter(pk=run.pk).update(
        state="done", release=release, report={**REPORT, "version": version.number}, finished_at=timezone.now()
    )
    done = merchandiser.get(progress).content.decode()
    assert "100 % of the events, 50 % before" in done
    assert "Saver has drifted: of what it is named by it shows 12 % under “Price, within the category”." in done
    assert "Gardener is no longer among the personas." in done


def test_a_report_says_what_moved() -> None:
    """Oracle: the tables of the two models."""
    world = make_world(sessions=80)
    before, after = (train_world(world, seed=0).personas, train_world(make_world(sessions=80, seed=5)).personas)
    k = len(after.ids)
    kept, worst = np.linspace(1, -0.5, k), np.full(k, FACTORS.index("category"))
    kept[1], worst[1] = np.nan, -1
    fit = FitReport((-3.0, -2.5), (-3.1, -2.6), np.linspace(0, 0.9, k), np.full(k, 1 / k), kept, worst, kept < 0.25)
    report = fit_report(fit, after, before, shares={after.ids[0]: 0.25})
    assert (report["log_likelihood_before"], report["log_likelihood"], report["iterations"]) == (-3.0, -2.5, 1)
    assert [e["share_before"] for e in report["archetypes"]] == [0.25, *[None] * (k - 1)]
    assert not report["archetypes"][0]["drifted"]
    assert (report["archetypes"][1]["kept"], report["archetypes"][1]["worst"]) == (None, "")
    last = report["archetypes"][-1]
    assert (last["drifted"], last["kept"], last["worst"]) == (True, -0.5, "category")
    for place, entry in enumerate(report["archetypes"]):
        for moved in entry["moved"]:
            f = FACTORS.index(moved["factor"])
            was, now = (
                np.exp(m.hmm.log_emission[f][place, value_names(m.facts)[f].index(moved["value"])]) for m in (before, after)
            )
            assert (moved["before"], moved["after"]) == (pytest.approx(was, abs=1e-4), pytest.approx(now, abs=1e-4))
        sizes = [abs(m["after"] - m["before"]) for m in entry["moved"]]
        assert sizes == pytest.approx(sorted(sizes, reverse=True), abs=2e-4)
    other = fit_report(fit, after, before, shares={}, same_groups=False)
    assert {m["factor"] for e in other["archetypes"] for m in e["moved"]}.isdisjoint({"category", "query"})
    told = [line for line in sentences({**REPORT, **report}) if "has drifted" in line]
    assert len(told) == sum(entry["drifted"] for entry in report["archetypes"])
    assert "shows the contrary under “What they look at”" in told[-1]
    assert sentences({}) == []


def test_charts_draw_every_factor_that_was_learned() -> None:
    model = train_world(make_world(sessions=80)).personas
    drawn = persona_charts.charts(model, 0)
    assert [c.title for c in drawn] == [persona_charts.TITLES[name] for name in model.learned]
    for chart, name in zip(drawn, model.learned, strict=True):
        table = np.exp(model.hmm.log_emission[FACTORS.index(name)])
        assert len(chart.bars) + chart.more == table.shape[1]
        assert {round(b.share, 6) for b in chart.bars} <= {round(100 * p, 6) for p in table[0].tolist()}
        assert all(0 <= b.width <= 100 and 0 <= b.mark <= 100 for b in chart.bars)
        assert max(max(b.width, b.mark) for b in chart.bars) == pytest.approx(100)
        assert chart.sentence.endswith(".")


def test_only_who_may_restore_is_offered_it(viewer: Client, shop: Shop) -> None:
    versions.publish(shop)
    Attribute.objects.update(weights={"price_tier=low": 0.5})
    versions.publish(shop)
    at, link = page("personaversion_changelist"), page("personaversion_restore", PersonaVersion.objects.get(number=1).pk)
    assert link not in viewer.get(at).content.decode()
    assert viewer.get(link).status_code == 403
    viewer.force_login(demo.merchandiser(get_user_model(), "a password of the demo"))
    assert link in viewer.get(at).content.decode()
