"""Who may do what: three roles, kept as groups of permissions from the first migration on.

A role that is there keeps what was given to it, or taken from it, by hand; what a new version brings comes to it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.apps import AppConfig, apps
from django.contrib.auth.models import Group, Permission
from django.db import connections
from django.db.models import Max, Q
from django.db.models.signals import post_migrate, pre_migrate

from recommendations.learning.overriding import RIGHT as OVERRIDE

VIEWERS, MERCHANDISERS, MANAGERS = "Viewers", "Merchandisers", "Managers"
ROLES = (VIEWERS, MERCHANDISERS, MANAGERS)

OURS = ("personas", "clusters", "recommendations")

EDITED = (
    "shop", "attribute", "archetype", "item", "itemcluster", "clustersettings", "release", "merchandisingrule", "clusterproposal",
    "adaptationsettings", "policyversion", "experiment",
)  # fmt: skip
"""Models that a merchandiser may change; all others of ours may be looked at, API keys apart."""

OWNED = ("attribute", "archetype", "draftedit")
"""Models of which they may add and delete rows too."""

MADE = (
    "personaversion", "itemcluster", "clustersettings", "merchandisingrule", "adaptationsettings", "experiment", "fileimport",
)  # fmt: skip
"""Models of which they may add rows only: publishing a version; a cluster's id is for ever, so that it is retired instead."""

HIDDEN = ("apikey",)

UNSEEN = ("shopper", "shopperalias", "auditentry", *HIDDEN)
"""What viewers don't see: who a shopper is, and with it what is held of them as a file; who did what; keys."""

GIVES = "auth.change_user"
"""The right to give roles, which no role has of itself."""


class Act(NamedTuple):
    """Something that people do here, and the rights that it takes, all of them."""

    group: str
    does: str
    rights: tuple[str, ...]


ACTS = (
    Act("Look", "Today, visits and live sessions, what was recommended and why", ("personas.view_session",)),
    Act("Look", "Personas, clusters, rules, experiments and what learning proposes", ("clusters.view_itemcluster",)),
    Act("Look", "Shoppers by their id, and everything held of one as a file", ("personas.view_shopper", "personas.view_session")),
    Act("Look", "The audit log: who did what", ("recommendations.view_auditentry",)),
    Act("Change", "Clusters: pin, boost, bury, exclude, merge, split, undo", ("clusters.change_itemcluster",)),
    Act("Change", "How clusters are built, and rebuild them", ("clusters.change_clustersettings",)),
    Act("Change", "Personas’ weights", ("personas.change_archetype", "personas.change_attribute")),
    Act("Change", "Publish personas, and go back to an earlier version", ("personas.add_personaversion",)),
    Act("Change", "Rules", ("recommendations.add_merchandisingrule", "recommendations.change_merchandisingrule")),
    Act("Change", "Items: prices, stock, costs", ("clusters.change_item",)),
    Act("Change", "Import files", ("recommendations.add_fileimport",)),
    Act("Decide", "What learning proposes, and which policy serves", ("recommendations.change_clusterproposal",)),
    Act("Decide", "Experiments: make, start, stop", ("recommendations.add_experiment", "recommendations.change_experiment")),
    Act("Decide", "Let through what is “not known yet”", (OVERRIDE,)),
    Act("Decide", "Bounds of the adaptation, and switch it off", ("recommendations.change_adaptationsettings",)),
    Act("Decide", "Which release serves", ("recommendations.change_release",)),
    Act("Run", "The shop’s settings, simulated visitors", ("personas.change_shop",)),
    Act("Run", "Catalogue feeds", ("clusters.change_cataloguefeed",)),
    Act("Run", "Record a shopper’s consent, merge a guest", ("personas.change_shopper",)),
    Act("Run", "Erase a shopper", ("personas.delete_shopper",)),
    Act("Run", "API keys: issue, rotate, revoke", ("personas.add_apikey", "personas.change_apikey")),
    Act("Run", "Give roles to people", (GIVES,)),
)


def rights_of(role: str) -> Iterable[Permission]:
    """What a role has when it is made."""
    ours = Permission.objects.filter(content_type__app_label__in=OURS)
    names = {model._meta.model_name or "" for label in OURS for model in apps.get_app_config(label).get_models()}
    if role == VIEWERS:
        return ours.filter(codename__in=[f"view_{name}" for name in names if name not in UNSEEN])
    codes = [f"view_{name}" for name in names if name not in HIDDEN]
    codes += [f"change_{name}" for name in names if name in EDITED]
    codes += [f"{right}_{name}" for name in OWNED for right in ("add", "change", "delete")]
    codes += [f"add_{name}" for name in MADE]
    chosen = Q(codename__in=codes)
    if role == MANAGERS:
        app, _, code = OVERRIDE.partition(".")
        chosen |= Q(content_type__app_label=app, codename=code)
    return ours.filter(chosen)


def role(name: str, *, newer_than: int = 0) -> Group:
    """The group of a role, with all that it has; to one that is there only what is newer than a permission's key is added."""
    group, made = Group.objects.get_or_create(name=name)
    group.permissions.add(*(right for right in rights_of(name) if made or right.pk > newer_than))
    return group


_last: dict[str, int] = {}
"""By database alias, the newest permission before a migration."""


def connect_signals() -> None:
    """Called when the app is ready: each migration keeps the roles up."""
    config = apps.get_app_config("recommendations")
    pre_migrate.connect(_before, sender=config, dispatch_uid="roles_before")
    post_migrate.connect(_after, sender=config, dispatch_uid="roles_after")


def _before(sender: AppConfig, using: str, **_: Any) -> None:
    there = Permission._meta.db_table in connections[using].introspection.table_names()
    _last[using] = (Permission.objects.using(using).aggregate(last=Max("pk"))["last"] or 0) if there else 0


def _after(sender: AppConfig, using: str, **_: Any) -> None:
    if using != "default" or not Permission.objects.filter(content_type__app_label="recommendations").exists():
        return  # a migration that is not the whole: the next one sees to it
    for name in ROLES:
        role(name, newer_than=_last.get(using, 0))


# Giving them


def may_give(user: Any, group: Group) -> bool:
    """Whether a user may give a role to others, or take it: who holds the right to, and nobody gives more than they have."""
    if user.is_superuser:
        return True
    held: Sequence[str] = [f"{app}.{code}" for app, code in group.permissions.values_list("content_type__app_label", "codename")]
    return bool(user.has_perm(GIVES) and user.has_perms(held))
