"""The audit log: who did what to what, by whichever door. Written as it is done, kept for ever, changed by nobody.

The admin's own record of a change (`LogEntry`) is one entry here, within its transaction. So are an erasure and an import of a
file, which leave rows of their own. What is done over the API and left neither is told by its address (`of_call`). What the
system does of itself says so where it is done. No entry names a shopper: an erasure would have to find it here.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from typing import Any, NamedTuple

from django.apps import apps
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.db.models import Model
from django.db.models.signals import post_save
from django.urls import NoReverseMatch, reverse

from clusters.models import ClusterChange
from personas.models import ApiKey, ArchivedEvent, Erasure, Session, Shop, Shopper, ShopperAlias
from recommendations.key_hand import ACCOUNT
from recommendations.models import AuditEntry, FileImport, Release, ServedSlate

logger = logging.getLogger(__name__)

By = AuditEntry.By

MADE, CHANGED, DELETED = "made", "changed", "deleted"
ACTIVATED, STOPPED, ERASED, EXPORTED, IMPORTED = "activated", "stopped", "erased", "exported", "imported"

PRIVATE = (Shopper, ShopperAlias, Session, ArchivedEvent, ServedSlate)
"""Rows that are of one shopper: an erasure takes them, and so no entry may name them."""

_SIGNED = re.compile(r"^API key “(.*?)”[:.] ?")

_ARGUMENT = re.compile(r"\(\?P<\w+>[^)]*\)|<(?:\w+:)?\w+>")
"""What stands in a route for a part of the address, which may be a shopper's id."""

_VERBS = {
    "create": MADE, "update": CHANGED, "partial_update": CHANGED, "destroy": DELETED, "POST": CHANGED, "PUT": CHANGED,
    "PATCH": CHANGED, "DELETE": DELETED,
}  # fmt: skip
"""What the API calls its own verbs; others, such as "merge", are said as they are."""

_told: ContextVar[list[AuditEntry] | None] = ContextVar("audit_told", default=None)


class Who(NamedTuple):
    """Who did something. by : of `AuditEntry.By`.  name : as they are called now."""

    by: str
    name: str


SYSTEM = Who(By.SYSTEM, "")


def person(user: Any) -> Who:
    return Who(By.PERSON, user.get_username())


def key(row: ApiKey) -> Who:
    return Who(By.KEY, row.name)


def record(
    who: Who,
    action: str,
    *,
    subject: Model | None = None,
    shop: Shop | int | None = None,
    what: str = "",
    model: type[Model] | None = None,
    named: tuple[str, str] = ("", ""),
) -> AuditEntry:
    """Put something that was done on record, within the caller's transaction.

    action : a word, at most 30 characters.  subject : what it was done to.  shop : of something that doesn't say it itself.
    model, named : of something that has no row here, (key, name) of it.
    """
    shop = shop if shop is not None else shop_of(subject)
    model = type(subject) if subject is not None else model
    if subject is not None:
        named = (str(subject.pk or ""), str(subject))
    if model is not None and issubclass(model, PRIVATE):
        name = str(model._meta.verbose_name)
        named = ("", f"a{'n' if name[0] in 'aeiou' else ''} {name}")
    shown = model is not None and named[0].isdigit() and action != DELETED
    entry = AuditEntry.objects.create(
        shop_id=shop.pk if isinstance(shop, Shop) else shop,
        by=who.by,
        actor=who.name[:200],
        action=action[:30],
        subject_type="" if model is None else model._meta.label_lower[:60],
        subject_id=named[0][:64],
        subject=named[1][:200],
        what=what,
        address=_page_of(model, named[0]) if shown and model is not None else "",
    )
    told = _told.get()
    if told is not None:
        told.append(entry)
    return entry


def shop_of(row: Model | None) -> Shop | None:
    """The shop that a row is of, None for one of all shops."""
    if row is None or isinstance(row, Shop):
        return row
    for name in ("shop", "cluster", "release", "experiment"):
        found = getattr(row, name, None)
        if isinstance(found, Model):
            return shop_of(found)
    return None


def _page_of(model: type[Model], pk: str) -> str:
    """The page that shows a row, "" where none does."""
    try:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])
    except NoReverseMatch:
        return ""


# By the system itself


def activated(release: Release, hand: Any, reason: str) -> None:
    """A release that came to serve without somebody's click, which the admin records. hand : `clusters.lineage.Actor`."""
    if hand.user is None:
        who = Who(By.KEY, hand.who) if hand.kind == ClusterChange.Actor.API else SYSTEM
        record(who, ACTIVATED, subject=release, what=f"Release {release.number} serves. {reason}".strip())


# By the admin, erasures and files


def connect_signals() -> None:
    """Called when the app is ready."""
    post_save.connect(_of_admin, sender=LogEntry, dispatch_uid="audit_admin")
    post_save.connect(_of_erasure, sender=Erasure, dispatch_uid="audit_erasure")
    post_save.connect(_of_import, sender=FileImport, dispatch_uid="audit_import")


def key_name(signed: str) -> str:
    """A key's name out of what `key_hand.signed` made, or "API key NAME"."""
    found = _SIGNED.match(signed)
    return found.group(1) if found else signed.removeprefix("API key").strip(" “”.:")


def _of_admin(instance: LogEntry, created: bool, raw: bool = False, **_: Any) -> None:
    if not created or raw:  # rows of a fixture (`loaddata`) come with their entries
        return
    model = instance.content_type.model_class() if instance.content_type is not None else None
    row = model._base_manager.filter(pk=instance.object_id).first() if model is not None and instance.object_id else None
    words = instance.get_change_message()
    who = person(instance.user)
    if instance.user.get_username() == ACCOUNT:
        who, words = Who(By.KEY, key_name(words)), _SIGNED.sub("", words)
    action = {ADDITION: MADE, DELETION: DELETED}.get(instance.action_flag, CHANGED)
    record(who, action, subject=row, what=words, model=model, named=(instance.object_id or "", instance.object_repr))


def _of_erasure(instance: Erasure, created: bool, raw: bool = False, **_: Any) -> None:
    if created and not raw:
        if instance.by.startswith("API key"):
            who = Who(By.KEY, key_name(instance.by))
        else:
            who = Who(By.PERSON, instance.by) if instance.by and not instance.by.startswith("manage.py") else SYSTEM
        record(who, ERASED, shop=instance.shop_id, model=Shopper, what="Everything held of a shopper was deleted.")


def _of_import(instance: FileImport, created: bool, raw: bool = False, **_: Any) -> None:
    if created and not raw:
        who = person(instance.by) if instance.by is not None else SYSTEM
        record(who, IMPORTED, subject=instance, what=f"A file of {instance.get_kind_display().lower()} was handed in.")


# By the API


def listen() -> None:
    """A call begins: `of_call` is to know whether it was recorded."""
    _told.set([])


def heard() -> None:
    """The call is over."""
    _told.set(None)


def of_call(request: Any, view: Any) -> None:
    """Put a call that changed something on record, if nothing of it is yet. request : of the REST framework."""
    if _told.get():
        return
    model = getattr(getattr(view, "queryset", None), "model", None)
    who = key(request.auth) if isinstance(request.auth, ApiKey) else person(request.user)
    shop = request.auth.shop if isinstance(request.auth, ApiKey) else _named_shop(request)
    argument, named = next(iter(view.kwargs.items()), ("", ""))
    row = None
    if model is not None and not issubclass(model, PRIVATE) and argument in {"pk", "external_id"}:
        of_shop = {} if argument == "pk" else {"shop": shop}
        row = model._base_manager.filter(**{argument: named}, **of_shop).first()
    route = request.resolver_match.route if request.resolver_match else ""
    record(
        who,
        _VERBS.get(verb := getattr(view, "action", None) or request.method, verb).replace("_", " "),
        subject=row,
        shop=shop,
        model=model,
        named=("", str(named)),
        what=f"Over the API: {request.method} /{_ARGUMENT.sub('…', route).strip('^$').lstrip('/')}",
    )


def _named_shop(request: Any) -> Shop | None:
    slug = request.query_params.get("shop", "")
    return Shop.objects.filter(slug=slug).first() if slug else None


def name_of(label: str) -> str:
    """What rows of a model are called: "merchandising rule" of "recommendations.merchandisingrule"."""
    try:
        return str(apps.get_model(label)._meta.verbose_name)
    except (LookupError, ValueError):
        return label.partition(".")[2] or label
