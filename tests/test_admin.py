"""Admin: every page opens, for an admin and for a merchandiser, with a number of queries that rows don't raise."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from clusters.models import ClusterMembership, ClusterRelation, Item, ItemCluster
from personas import versions
from personas.encoding import FACTORS
from personas.models import (
    ApiKey,
    Archetype,
    ArchivedEvent,
    Attribute,
    EventRow,
    PersonaVersion,
    Session,
    Shop,
    Shopper,
    hash_key,
)
from recommendations import demo, releases
from recommendations.desk.item_pages import LATEST, in_none_words
from recommendations.models import AdaptationDecision, Component, Release, ServedSlate, TrainingRun
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOST_ON_A_PAGE = {ItemCluster: 22}
"""Of a page that is a whole story: its items, reasons, lineage, days, neighbours, whom it suits."""

MODELS = [
    Shop, ApiKey, Attribute, Archetype, PersonaVersion, Shopper, Session, ArchivedEvent, Item, ItemCluster,
    Release, Component, TrainingRun, ServedSlate, AdaptationDecision,
]  # fmt: skip


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def fill(start: int, count: int) -> None:
    """Rows of every model: `count` more shops, each with one of everything."""
    for i in range(start, start + count):
        shop = Shop.objects.create(slug=f"s{i}", name=f"Shop {i}")
        ApiKey.objects.issue(shop=shop, name="server", scopes=["read"])
        Attribute.objects.create(shop=shop, key="budget", name="Budget", weights={"price_tier=low": 1.0})
        archetype = Archetype.objects.create(shop=shop, key="saver", name="Saver", mix={"budget": 1.0})
        versions.publish(shop)
        Attribute.objects.filter(shop=shop).update(description="A change that waits to be published")
        shopper = Shopper.objects.create(shop=shop, external_id=f"u{i}")
        belief = {"belief": {str(archetype.pk): 0.75}}
        session = Session.objects.create(
            shop=shop, session_id=f"x{i}", shopper=shopper, started_at=NOW, last_at=NOW, persona=belief
        )
        ArchivedEvent.objects.append(
            shop=shop, origin="live", rows=[EventRow(session.pk, f"e{k}", 0, NOW, NOW, k, item_ref="A<b>") for k in range(3)]
        )
        items = [Item.objects.create(shop=shop, external_id=f"a{k}", title=f"Item <{k}>", price=2) for k in range(3)]
        one, two = (
            ItemCluster.objects.create(shop=shop, name=f"Cluster {k}", descriptors=[{"name": "colour=blue", "lift": 3.1}])
            for k in range(2)
        )
        for item in items:
            ClusterMembership.objects.create(cluster=one, item=item, weight=0.5)
        ClusterRelation.objects.create(source=one, target=two, weight=0.2)
        Component.objects.create(shop=shop, kind="ranker", version="v", path="p", checksum="c")
        release = Release.objects.create(shop=shop, number=1, components={"ranker": "v"}, metrics={"events": 3})
        TrainingRun.objects.create(shop=shop, release=release, progress=0.5)
        slot = {"item": items[0].pk, "slot": 0, "score": 0.5, "propensity": 1.0, "persona": archetype.pk, "cluster": one.pk}
        ServedSlate.objects.create(
            shop=shop, recommendation_id=f"r{i}", session_id=f"x{i}", at=NOW, items=[{**slot, "expert": "encoder"}]
        )
        AdaptationDecision.objects.create(
            shop=shop, session_id=f"x{i}", event_id="e0", at=NOW, cluster=one.pk, action="expand", target=two.pk, propensity=0.5
        )


def address(model: type, page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)  # type: ignore[attr-defined]


def queries(client: Client, url: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = client.get(url)
    assert response.status_code == 200, url
    return len(captured)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_lists_and_rows_open_and_rows_cost_no_queries(admin_client: Client, model: type) -> None:
    fill(0, 2)
    few = queries(admin_client, address(model, "changelist"))
    fill(2, 8)
    many = queries(admin_client, address(model, "changelist"))
    title = re.search(r"<title>(.*?)</title>", admin_client.get(address(model, "changelist")).content.decode(), re.DOTALL)
    assert title is not None
    assert "Select" not in title[1]
    assert many <= few, f"{few} queries for 2 rows, {many} for 10"
    assert many <= 15
    row = model.objects.first()  # type: ignore[attr-defined]
    assert queries(admin_client, address(model, "change", row.pk)) <= MOST_ON_A_PAGE.get(model, 18)


@pytest.mark.parametrize(
    ("slates", "words"),
    [
        (0, "Not yet: this shop has shown nobody a slate so far."),
        (1, "Not in the one slate that this shop has shown so far."),
        (12, "In none of the shop’s 12 slates so far."),
        (LATEST, "In none of the shop’s last 300 slates."),
    ],
)
def test_no_more_slates_are_named_than_there_were(slates: int, words: str) -> None:
    assert in_none_words(slates) == words


def test_an_item_leads_to_why_it_was_recommended_for_whom_may_see_slates(admin_client: Client, client: Client) -> None:
    fill(0, 1)
    item, slate = Item.objects.earliest("pk"), ServedSlate.objects.get()
    why = reverse("admin:recommendations_servedslate_why", args=[slate.pk, item.pk])
    path = address(Item, "change", item.pk)
    assert why in admin_client.get(path).content.decode()
    not_held = address(Item, "change", Item.objects.latest("pk").pk)
    assert "Not in the one slate" in admin_client.get(not_held).content.decode()
    ServedSlate.objects.bulk_create(
        ServedSlate(shop=item.shop, recommendation_id=f"more{n}", session_id="x0", at=NOW) for n in range(LATEST)
    )
    assert "In none of the shop’s last 300 slates." in admin_client.get(not_held).content.decode()
    ServedSlate.objects.exclude(pk=slate.pk).delete()
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_item"))
    client.force_login(clerk)
    page = client.get(path).content.decode()
    assert "Item &lt;0&gt;" in page
    assert why not in page
    session = reverse("admin:personas_session_change", args=[Session.objects.get().pk])
    assert session in admin_client.get(address(ServedSlate, "change", slate.pk)).content.decode()


def test_pages_show_names_and_escape_them(admin_client: Client) -> None:
    fill(0, 1)
    cluster = admin_client.get(address(ItemCluster, "change", ItemCluster.objects.earliest("pk").pk)).content.decode()
    assert "Item &lt;1&gt;" in cluster
    assert "colour=blue" in cluster
    assert "3.10" in cluster
    assert "Saver 75 %" in admin_client.get(address(Session, "changelist")).content.decode()
    session = admin_client.get(address(Session, "change", Session.objects.get().pk)).content.decode()
    assert "A&lt;b&gt;" in session
    assert "75.0 %" in session
    assert "Item &lt;0&gt;, …" in session, "what was recommended"
    assert "Cluster 0</a> → <a" in session, "what was decided"
    assert session.index("recommended") < session.index("cluster: expand") < session.rindex("view_item"), "the latest first"
    decisions = admin_client.get(address(AdaptationDecision, "changelist")).content.decode()
    assert "Cluster 0" in decisions
    assert "Cluster 1" in decisions
    decision = AdaptationDecision.objects.earliest("pk")
    AdaptationDecision.objects.filter(pk=decision.pk).update(features=[-0.4, -0.3, 0, 1, 0, 0.5, 0.6, 1])
    page = admin_client.get(address(AdaptationDecision, "change", decision.pk)).content.decode()
    assert "Cluster 0" in page
    assert "Cluster 1" in page
    assert "the item just touched is in it: 1 yes" in page


def test_search_finds(admin_client: Client) -> None:
    fill(0, 3)
    for model, word, found in ((Item, "a1", 3), (Session, "x1", 1), (ArchivedEvent, "x1", 3), (ServedSlate, "r2", 1)):
        response = admin_client.get(address(model, "changelist"), {"q": word})
        assert response.context["cl"].result_count == found


def test_new_key_is_shown_once_and_works(admin_client: Client) -> None:
    shop = Shop.objects.create(slug="s", name="S")
    form = {"shop": shop.pk, "name": "server", "scopes": ["ingest", "read"]}
    response = admin_client.post(address(ApiKey, "add"), form)
    plaintext = response.context["plaintext"]
    key = ApiKey.objects.get()
    assert (key.sha256, key.scopes, key.shop) == (hash_key(plaintext), ["ingest", "read"], shop)
    assert "no-store" in response["Cache-Control"]
    assert plaintext in response.content.decode()
    assert plaintext not in admin_client.get(address(ApiKey, "change", key.pk)).content.decode()
    admin_client.post(address(ApiKey, "changelist"), {"action": "revoke", "_selected_action": [key.pk]})
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_archive_can_be_changed_by_nobody(admin_client: Client) -> None:
    fill(0, 1)
    event = ArchivedEvent.objects.first()
    assert event is not None
    for page, args in (("add", ()), ("delete", (event.pk,))):
        assert admin_client.get(address(ArchivedEvent, page, *args)).status_code == 403
    assert admin_client.post(address(ArchivedEvent, "change", event.pk), {"item": 9}).status_code == 403


def test_key_of_a_trait_stays_and_a_used_trait_too(admin_client: Client) -> None:
    fill(0, 1)
    used = Attribute.objects.get()
    spare = Attribute.objects.create(shop=used.shop, key="spare", name="Spare")
    form = {"key": "other", "name": "Thrifty", "description": "", "weights": "{}", "behaviours": "{}"}
    assert admin_client.post(address(Attribute, "change", used.pk), form).status_code == 302
    used.refresh_from_db()
    assert (used.key, used.name) == ("budget", "Thrifty")
    assert admin_client.get(address(Attribute, "delete", used.pk)).status_code == 403
    assert admin_client.get(address(Attribute, "delete", spare.pk)).status_code == 200
    chosen = {"action": "delete_selected", "_selected_action": [used.pk], "post": "yes"}
    admin_client.post(address(Attribute, "changelist"), chosen)
    assert Attribute.objects.filter(pk=used.pk).exists()


def test_a_persona_says_what_was_learned_of_it(admin_client: Client, data_dir: object) -> None:
    """Oracle: the trained model's own table of categories."""
    shop = Shop.objects.create(slug="s", name="S")
    kinds = ("skirts", "shirts")
    for kind in kinds:
        Attribute.objects.create(shop=shop, key=kind, name=kind, weights={f"category={kind}": 1.0})
        Archetype.objects.create(shop=shop, key=kind, name=kind, mix={kind: 1.0})
    late = Archetype.objects.create(shop=shop, key="late", name="Late", mix={"skirts": 1.0})
    skirts = Archetype.objects.get(key="skirts")
    assert "no active release" in admin_client.get(address(Archetype, "change", skirts.pk)).content.decode()

    attributes, archetypes = versions.current(shop)
    engine = train_world(make_world(sessions=60), attributes=attributes, archetypes=archetypes[:2])
    manifest = releases.save_engine(releases.root_of(shop), engine)
    Release.objects.create(shop=shop, number=1, components=manifest, state=Release.State.ACTIVE)
    model = engine.personas
    code = model.facts.category_names.index("skirts")
    share = np.exp(model.hmm.log_emission[FACTORS.index("category")][:, code])
    page = admin_client.get(address(Archetype, "change", skirts.pk)).content.decode()
    told = re.search(r'title="skirts: ([\d.]+) %, average ([\d.]+) %"', page)
    assert told is not None
    mine = share[model.ids.index(skirts.pk)]
    assert [float(g) for g in told.groups()] == pytest.approx([100 * mine, 100 * share.mean()], abs=0.05)
    assert mine > share.mean()
    assert "before this persona was added" in admin_client.get(address(Archetype, "change", late.pk)).content.decode()


def test_merchandiser_sees_all_but_keys_and_changes_clusters() -> None:
    fill(0, 1)
    user = demo.merchandiser(get_user_model(), "a password of the demo")
    client = Client()
    assert client.login(username=user.username, password="a password of the demo")
    for model in MODELS:
        expected = 403 if model is ApiKey else 200
        assert client.get(address(model, "changelist")).status_code == expected
    cluster = ItemCluster.objects.earliest("pk")
    response = client.post(address(ItemCluster, "change", cluster.pk), {"name": "Summer blues", "locked": "on"})
    assert response.status_code == 302
    cluster.refresh_from_db()
    assert (cluster.name, cluster.locked, cluster.kind) == ("Summer blues", True, "co_visit")
    assert client.get(address(ItemCluster, "delete", cluster.pk)).status_code == 403


def test_release_that_does_not_verify_is_not_activated(admin_client: Client, data_dir: object) -> None:
    shop = Shop.objects.create(slug="s", name="S")
    release = Release.objects.create(shop=shop, number=1, components={"ranker": "gone"}, state=Release.State.READY)
    chosen = {"action": "activate", "_selected_action": [release.pk]}
    response = admin_client.post(address(Release, "changelist"), chosen, follow=True)
    assert "was not activated" in response.content.decode()
    release.refresh_from_db()
    assert release.state == Release.State.READY
    with pytest.raises(releases.ReleaseError):
        releases.load_active(shop.pk)
