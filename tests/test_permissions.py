"""Who may do what: every page of the admin, every action and the desk's websocket, tried by every role.

The tables below are the oracle: they name the least role that may, and whoever stands above it may too. A page or an action that
no table names fails, by its name: somebody who adds one has to say here who may see it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import models, transaction
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver
from django.utils import timezone

from personas.models import ArchivedEvent, Shop
from recommendations import roles
from recommendations.serving import desk

pytestmark = pytest.mark.usefixtures("redis_client")

LEVELS = ("anonymous", "staff", "viewer", "merchandiser", "manager", "superuser")
"""Each may what those before it may. "staff" may log in and has no role."""

NOBODY = "nobody"

STAFF, V, M, R, S, N = "staff", "viewer", "merchandiser", "manager", "superuser", NOBODY

# Model -> who may see its list and a row, make one, send something to its page, delete one. Proposals, experiments and policies
# are decided on pages of their own; what is sent to a row's page only shows it.
ROWS: dict[str, tuple[str, str, str, str]] = {
    "auth.group": (S, S, S, S),
    "auth.user": (S, S, S, S),
    "clusters.cataloguefeed": (V, S, S, S),
    "clusters.clusterchange": (V, N, N, N),
    "clusters.clustersettings": (V, N, STAFF, N),
    "clusters.item": (V, S, M, S),
    "clusters.itemcluster": (V, M, M, N),
    "personas.apikey": (S, S, S, N),
    "personas.archetype": (V, M, M, N),
    "personas.archivedevent": (V, N, N, N),
    "personas.attribute": (V, M, M, N),  # none that a persona is made of, as here
    "personas.erasure": (V, N, N, N),
    "personas.personaversion": (V, N, N, N),
    "personas.session": (V, N, N, N),
    "personas.shop": (V, S, M, N),
    "personas.shopper": (M, N, N, N),
    "recommendations.adaptationdecision": (V, N, N, N),
    "recommendations.adaptationsettings": (V, N, M, S),
    "recommendations.auditentry": (M, N, N, N),
    "recommendations.blockedaction": (V, N, N, N),
    "recommendations.clusterproposal": (V, N, V, N),
    "recommendations.component": (V, N, N, N),
    "recommendations.experiment": (V, M, V, N),
    "recommendations.fileimport": (V, N, V, N),  # what is sent to its page only shows it
    "recommendations.merchandisingrule": (V, M, M, N),
    "recommendations.overlaychange": (V, N, N, N),
    "recommendations.policyversion": (V, N, V, N),
    "recommendations.release": (V, N, M, N),
    "recommendations.servedslate": (V, N, N, N),
    "recommendations.trainingrun": (V, N, N, N),
}

# Page -> who may see it, and who may send something to it; None where it takes only the one or only the other.
PAGES: dict[str, tuple[str | None, str | None]] = {
    "search": (STAFF, STAFF),
    "auth_user_password_change": (S, S),
    "recommendations_auditentry_csv": (M, None),
    "clusters_clusterchange_undo": (M, M),
    "clusters_clustersettings_build": (V, M),
    "clusters_clustersettings_progress": (V, None),
    "clusters_clustersettings_start": (None, M),
    "clusters_clustersettings_decide": (None, M),
    "clusters_itemcluster_grid": (V, None),
    "clusters_itemcluster_merge": (M, M),
    "clusters_itemcluster_import": (M, M),
    "clusters_itemcluster_found": (V, None),
    "clusters_itemcluster_items": (None, M),
    "clusters_itemcluster_split": (M, M),
    "clusters_itemcluster_keep_out": (M, M),
    "clusters_itemcluster_several": (M, M),
    "personas_session_live": (V, None),
    "personas_session_visits": (V, None),
    "personas_session_named": (V, None),
    "personas_session_visit": (V, None),
    "personas_session_items": (V, None),
    "personas_session_visitors_start": (None, M),
    "personas_session_visitors_stop": (None, M),
    "auth_group_people": (V, None),
    "auth_group_people_csv": (V, None),
    "auth_group_people_give": (None, S),
    "personas_personaversion_publish": (V, M),
    "personas_personaversion_progress": (V, None),
    "personas_personaversion_compare": (V, None),
    "personas_personaversion_discard": (None, M),
    "personas_personaversion_restore": (M, M),
    "personas_attribute_descriptors": (V, None),
    "personas_archetype_overview": (V, None),
    "personas_archetype_portrait": (V, None),
    "personas_archetype_weights": (V, M),
    "personas_archetype_try": (None, V),
    "recommendations_merchandisingrule_csv": (V, None),
    "recommendations_merchandisingrule_verdict": (V, None),
    "recommendations_merchandisingrule_hold": (None, M),
    "recommendations_merchandisingrule_conflicts": (V, None),
    "recommendations_merchandisingrule_tried": (None, V),
    "recommendations_merchandisingrule_found": (V, None),
    "recommendations_merchandisingrule_switch": (None, M),
    "recommendations_merchandisingrule_retire": (None, M),
    "recommendations_merchandisingrule_restore": (None, M),
    "personas_shopper_change_consent": (S, S),
    "personas_shopper_export": (M, None),
    "personas_shopper_merge": (S, S),
    "personas_shopper_erase": (S, S),
    "recommendations_fileimport_coverage": (V, None),
    "recommendations_fileimport_searches": (V, None),
    "recommendations_fileimport_training": (V, None),
    "recommendations_fileimport_training_progress": (V, None),
    "recommendations_fileimport_training_start": (None, M),
    "recommendations_fileimport_training_cancel": (None, M),
    "recommendations_fileimport_hand_in": (None, M),
    "recommendations_fileimport_begin": (None, M),
    "recommendations_fileimport_piece": (None, M),
    "recommendations_fileimport_progress": (V, None),
    "recommendations_fileimport_rejected": (M, None),
    "recommendations_fileimport_cancel": (None, M),
    "recommendations_fileimport_again": (None, M),
    "recommendations_draftedit_outcomes": (V, None),
    "recommendations_draftedit_publish": (None, M),
    "recommendations_draftedit_discard": (None, M),
    "recommendations_draftedit_bring_back": (None, M),
    "recommendations_draftedit_count": (STAFF, None),
    "recommendations_draftedit_present": (M, None),
    "recommendations_draftedit_preview": (V, None),
    "recommendations_draftedit_preview_found": (V, None),
    "recommendations_experiment_csv": (V, None),
    "recommendations_experiment_result": (V, None),
    "recommendations_experiment_plan": (None, M),
    "recommendations_experiment_start": (None, M),
    "recommendations_experiment_discard": (None, M),
    "recommendations_experiment_stop": (None, M),
    "recommendations_experiment_live": (None, M),
    "recommendations_experiment_back": (None, M),
    "recommendations_policyversion_live": (None, R),  # one that is not known to be better, as here
    "recommendations_policyversion_refuse": (None, M),
    "recommendations_policyversion_back": (None, M),
    "recommendations_clusterproposal_look": (None, M),
    "recommendations_clusterproposal_day": (M, M),
    "recommendations_clusterproposal_experiment": (M, M),
    "recommendations_clusterproposal_several": (M, M),
    "recommendations_clusterproposal_decide": (None, M),
    "recommendations_clusterproposal_try": (None, V),
    "recommendations_servedslate_why": (V, None),
    "recommendations_draftedit_changelist": (V, None),
    "clusters_clustersettings_change": (STAFF, STAFF),  # leads to the page of builds, and says nothing itself
    "personas_archivedevent_history": (STAFF, None),  # there is no row here: Django leads back to the list
}

# Model -> action -> who may run it.
ACTIONS: dict[str, dict[str, str]] = {
    "auth.group": {"delete_selected": S},
    "auth.user": {"delete_selected": S},
    "clusters.cataloguefeed": {"delete_selected": S, "fetch_now": S},
    "clusters.item": {"delete_selected": S},
    "clusters.itemcluster": {"merge_chosen": M, "retire_chosen": M, "restore_chosen": M},
    "personas.apikey": {"rotate": S, "revoke": S},
    "recommendations.adaptationsettings": {"delete_selected": S},
    "recommendations.clusterproposal": {"approve_chosen": M, "try_chosen": M, "reject_chosen": M},
    "recommendations.merchandisingrule": {"switch_on": M, "switch_off": M, "retire_chosen": M, "restore_chosen": M},
    "recommendations.release": {"activate": M, "roll_back": M},
}

STANDARD = ("changelist", "add", "change", "delete", "history")

DATE = dt.date(2026, 1, 5)

SOUND: dict[str, dict[str, Any]] = {
    "personas.attribute": {"key": "thrift", "weights": {"colour=blue": 1.0}},
    "personas.archetype": {"key": "hunter", "mix": {"thrift": 1.0}},
    "recommendations.merchandisingrule": {"action": "exclude"},
    "recommendations.draftedit": {"kind": "rule", "verb": "create", "values": {"fields": {"name": "r", "action": "exclude"}}},
}
"""Fields of rows that pages can make sense of only so."""


# What is tried


def urls(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[tuple[str | None, str]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from urls(pattern.url_patterns, before + str(pattern.pattern))
        else:
            yield pattern.name, before + str(pattern.pattern)


def model_of(name: str) -> tuple[type[models.Model], str] | None:
    """The model that a page is of, and the rest of its name."""
    for model in admin.site._registry:
        prefix = f"{model._meta.app_label}_{model._meta.model_name}_"
        if name.startswith(prefix):
            return model, name.removeprefix(prefix)
    return None


def made(model: type[models.Model], rows: dict[type[models.Model], models.Model]) -> models.Model:
    """A row with something in each field that must have something; those that it leads to are made too."""
    if model in rows:
        return rows[model]
    values: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        if field.primary_key or field.has_default() or field.null or (field.blank and not field.is_relation):
            continue
        if isinstance(field, models.ForeignKey):
            values[field.name] = made(field.related_model, rows)
        elif field.choices:
            values[field.name] = field.flatchoices[0][0]
        elif isinstance(field, models.DateTimeField):
            values[field.name] = timezone.now()
        elif isinstance(field, models.DateField):
            values[field.name] = DATE
        elif isinstance(field, models.JSONField):
            values[field.name] = {"attributes": [], "archetypes": []}
        elif isinstance(field, models.CharField | models.TextField):
            values[field.name] = "#123456" if "colour" in field.name else "x1"
        else:
            values[field.name] = 1
    rows[model] = model._base_manager.create(**values | SOUND.get(model._meta.label_lower, {}))
    return rows[model]


@pytest.fixture
def rows(db: None) -> dict[type[models.Model], models.Model]:
    found: dict[type[models.Model], models.Model] = {}
    for model in admin.site._registry:
        if model is not ArchivedEvent:  # partitioned by its own way of writing
            made(model, found)
    return found


@pytest.fixture
def clients(db: None) -> dict[str, Client]:
    """A browser of each role, logged in."""
    found = {"anonymous": Client()}
    for level in LEVELS[1:]:
        user = User.objects.create(username=level, is_staff=True, is_superuser=level == S)
        if level in {V, M, R}:
            user.groups.add(Group.objects.get(name=f"{level.capitalize()}s"))
        found[level] = Client(raise_request_exception=False)
        found[level].force_login(user)
    return found


def address(route: str, name: str, rows: dict[type[models.Model], models.Model]) -> str:
    """A route's address, about the rows that there are."""
    of = model_of(name)
    own = rows.get(of[0]) if of else None
    keys = {model._meta.model_name: row.pk for model, row in rows.items()}

    def value(match: re.Match[str]) -> str:
        argument = match[1].split(":")[-1]
        if argument in {"pk", "object_id", "id"}:
            return str(own.pk if own is not None else 1)
        known = {
            "shop_id": keys["shop"],
            "run": keys["trainingrun"],
            "item": keys["item"],
            "verb": "approve" if "proposal" in name else "retire",
        }
        return str(known.get(argument, 1))

    return "/admin/" + re.sub(r"<([^>]+)>", value, route)


def refused(answer: Any, level: str) -> bool:
    if level == "anonymous":
        return answer.status_code in {302, 403} and (answer.status_code == 403 or "/admin/login/" in answer["location"])
    return bool(answer.status_code == 403)


def least(clients: dict[str, Client], url: str, method: str) -> str:
    """The least role that isn't refused; that those above it may what it may is another test's."""
    for level in LEVELS:
        with transaction.atomic():
            answer = getattr(clients[level], method.lower())(url)
            transaction.set_rollback(True)
        if not refused(answer, level):
            return level
    return NOBODY


# Pages


def expected(name: str) -> tuple[str | None, str | None] | None:
    """Who may see a page, and who may send something to it, by the tables; None where no table names it."""
    if name in PAGES:
        return PAGES[name]
    of = model_of(name)
    if of is None or of[1] not in STANDARD or of[0]._meta.label_lower not in ROWS:
        return None
    see, make, change, delete = ROWS[of[0]._meta.label_lower]
    return {
        "changelist": (see, None),
        "add": (make, make),
        "change": (see, change),
        "delete": (delete, delete),
        "history": (see, None),
    }[of[1]]


@pytest.mark.timeout(600)
def test_each_role_sees_the_pages_that_are_for_it_and_no_others(
    clients: dict[str, Client], rows: dict[type[models.Model], models.Model]
) -> None:
    wrong, unnamed = [], []
    for name, route in urls(admin.site.urls[0]):
        if name is None or name in OPEN:
            continue
        told = expected(name)
        if told is None:
            unnamed.append(name)
            continue
        url = address(route, name, rows)
        for method, role in zip(("GET", "POST"), told, strict=True):
            if role is not None and (found := least(clients, url, method)) != role:
                wrong.append(f"{method} {name}: {found} may, and {role} should")
    assert not unnamed, f"say in PAGES who may see {', '.join(sorted(unnamed))}"
    assert not wrong, "\n".join(wrong)


OPEN = frozenset(
    {"login", "logout", "jsi18n", "index", "password_change", "password_change_done", "app_list", "view_on_site", "autocomplete"}
)
"""For everybody who may log in, each for themselves; the login for all. `index` shows those Today who may see visits.
`autocomplete` answers only where a model is named with it, by that model's rights."""


@pytest.mark.timeout(600)
def test_a_page_has_one_heading_of_the_first_level_and_nothing_of_its_template_s_language(
    clients: dict[str, Client], rows: dict[type[models.Model], models.Model]
) -> None:
    """Screen readers go by it. The bar above a page is its heading only where the page has none of its own. Nor does any show a
    template's own marks."""
    wrong, seen = {}, 0
    for name, route in [*urls(admin.site.urls[0]), ("app_list", "clusters/")]:
        if name is None or name in OPEN - {"index", "password_change", "app_list"} or "<app_label>" in route:
            continue
        with transaction.atomic():
            answer = clients[S].get(address(route, name, rows))
            transaction.set_rollback(True)
        told = b"" if answer.streaming else answer.content
        if answer.status_code == 200 and b"<html" in told:
            seen += 1
            if (headings := re.findall(rb"<h1\b|{#|{%", told)) != [b"<h1"]:
                wrong[name] = headings
    assert not wrong
    assert seen > 80


def test_whoever_may_log_in_and_nothing_else_is_told_nothing_of_the_shop(clients: dict[str, Client], db: None) -> None:
    Shop.objects.create(slug="secret-goods", name="Secret goods")
    assert "ecret goods" not in clients["staff"].get("/admin/").content.decode()
    assert "ecret goods" in clients[V].get("/admin/").content.decode()
    assert clients["anonymous"].get("/admin/").status_code == 302


# Actions


def test_each_role_has_the_actions_that_are_for_it_and_no_others(clients: dict[str, Client]) -> None:
    wrong = []
    for model, pages in admin.site._registry.items():
        label = model._meta.label_lower
        named: dict[str, list[str]] = {}
        for level in LEVELS[1:]:
            request = RequestFactory().get("/")
            request.user = User.objects.get(username=level)
            for action in pages.get_actions(request):
                named.setdefault(action, []).append(level)
        found = {action: levels[0] for action, levels in named.items()}
        for action, levels in named.items():
            assert tuple(levels) == LEVELS[LEVELS.index(levels[0]) :], f"{label}: {action}"
        if found != ACTIONS.get(label, {}):
            wrong.append(f"{label}: {found}, and the table says {ACTIONS.get(label, {})}")
    assert not wrong, "\n".join(wrong)


# The websocket


@pytest.mark.django_db(transaction=True)
def test_the_desk_is_told_to_those_who_may_see_visits() -> None:
    told: dict[str, str] = {}
    for name in roles.ROLES:
        roles.role(name)
    for level in LEVELS[1:]:
        user = User.objects.create(username=level, is_staff=True, is_superuser=level == S)
        if level in {V, M, R}:
            user.groups.add(Group.objects.get(name=f"{level.capitalize()}s"))
        client = Client()
        client.force_login(user)
        found = async_to_sync(desk.staff_of)(client.cookies[settings.SESSION_COOKIE_NAME].value)
        told[level] = "may" if found == user.pk else "may not"
    assert told == {"staff": "may not", V: "may", M: "may", R: "may", S: "may"}
    assert async_to_sync(desk.staff_of)("") is None, "nobody without a cookie"


# Roles


def test_no_role_may_more_than_the_next_and_viewers_change_nothing(db: None) -> None:
    held = [set(Group.objects.get(name=name).permissions.values_list("codename", flat=True)) for name in roles.ROLES]
    assert held[0] < held[1] < held[2]
    assert all(right.startswith("view_") for right in held[0])
    assert not {"view_apikey", "view_shopper", "view_auditentry"} & held[0]
    assert not any("apikey" in right for right in held[2])
    assert held[2] - held[1] == {"override_unknown"}


def test_a_role_keeps_what_was_taken_from_it_by_hand_and_is_given_what_is_new(db: None) -> None:
    group = Group.objects.get(name=roles.MERCHANDISERS)
    taken = group.permissions.get(codename="change_release")
    newer = group.permissions.order_by("pk").last()
    assert newer is not None
    group.permissions.remove(taken, newer)
    last = Permission.objects.filter(pk__lt=newer.pk).order_by("pk").last()
    assert last is not None
    roles.role(roles.MERCHANDISERS, newer_than=last.pk)
    held = set(group.permissions.values_list("codename", flat=True))
    assert "change_release" not in held
    assert newer.codename in held


@pytest.mark.parametrize(("who", "whom", "role", "answer"), [
    (S, "staff", roles.MANAGERS, 302), (R, "staff", roles.VIEWERS, 403), ("giver", "staff", roles.VIEWERS, 302),
    ("giver", "staff", roles.MANAGERS, 403), ("giver", "giver", roles.MANAGERS, 403), ("giver", S, roles.VIEWERS, 403),
])  # fmt: skip
def test_nobody_gives_a_role_that_may_more_than_they_themselves(
    clients: dict[str, Client], who: str, whom: str, role: str, answer: int
) -> None:
    giver = User.objects.create(username="giver", is_staff=True)
    giver.groups.add(Group.objects.get(name=roles.MERCHANDISERS))
    giver.user_permissions.add(Permission.objects.get(codename="change_user"))
    clients["giver"] = Client()
    clients["giver"].force_login(giver)
    group, person = Group.objects.get(name=role), User.objects.get(username=whom)
    found = clients[who].post(f"/admin/auth/group/{group.pk}/people/", {"user": person.pk})
    assert found.status_code == answer
    assert person.groups.filter(pk=group.pk).exists() is (answer == 302)
    if answer == 302:
        assert clients[who].post(f"/admin/auth/group/{group.pk}/people/", {"user": person.pk, "take": "1"}).status_code == 302
        assert not person.groups.filter(pk=group.pk).exists()
