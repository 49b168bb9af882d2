"""Edits of clusters and rules that are kept as drafts until somebody publishes them; personas have drafts of their own.

A draft is one verb with its values (`recommendations.drafts.verbs`). It is checked when it is made, upon all drafts of the shop
before it, and again when it is published, in one transaction with the others, by the very verbs that act at once: lineage,
audit and overlay follow as ever. What somebody else did meanwhile to what a draft touches is told, and that draft waits until
somebody says that it shall go all the same: nobody overrules unawares.

    draft = drafting.keep(shop, "cluster", "rename", by=user, subject=cluster.pk, values={"name": "Picnic"})
    drafting.look(shop)             # each draft with what would become of it now; nothing is changed
    drafting.publish(shop, by=user)
    with drafting.as_if_published(shop): ...   # the rows as they would be, for a preview; all is taken back at the end
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction
from django.utils import timezone

from clusters.admin import by_whom
from clusters.cluster_drafts import EditConflict, EditError, check_reason, editing, listed
from clusters.lineage import Actor
from clusters.models import ClusterChange
from clusters.undoing import REBUILT_BY
from personas.models import Shop
from recommendations import rule_editing
from recommendations.desk.clusters.overtaken import last_change, touched
from recommendations.drafts.verbs import (
    WHOLE,
    Names,
    clusters_in,
    do_cluster,
    do_rule,
    fields_as_json,
    fields_of,
    rule_of,
    sentence,
)
from recommendations.models import DraftEdit, MerchandisingRule

Kind = DraftEdit.Kind

MOST_DRAFTS = 200
"""Drafts that a shop may have at a time: publishing is one transaction."""

RIGHTS = {
    (Kind.CLUSTER.value, False): "clusters.change_itemcluster",
    (Kind.CLUSTER.value, True): "clusters.add_itemcluster",
    (Kind.RULE.value, False): "recommendations.change_merchandisingrule",
    (Kind.RULE.value, True): "recommendations.add_merchandisingrule",
}
"""The right that the same edit needs where it acts at once, by kind and whether it makes something new."""

VIEWS = {Kind.CLUSTER.value: "clusters.view_itemcluster", Kind.RULE.value: "recommendations.view_merchandisingrule"}


class State(StrEnum):
    READY = "ready"
    OVERTAKEN = "overtaken"
    REFUSED = "refused"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Fate:
    """What becomes of a draft. told : what it does, or why it waits.  touches : id of the row that it made or edited."""

    draft: DraftEdit
    state: State
    told: str
    touches: int | None = None

    @property
    def goes(self) -> bool:
        """Whether it is published: done, or so already."""
        return self.state in (State.READY, State.NOTHING)


class Known(NamedTuple):
    """What had been done to a shop's clusters and rules when somebody looked.

    change : key of the last `ClusterChange`, 0 for none.  rules : when a rule was changed last, None for no rule.
    """

    change: int
    rules: dt.datetime | None

    def __str__(self) -> str:
        return f"{self.change} {self.rules.isoformat() if self.rules else ''}"

    @classmethod
    def read(cls, text: str) -> Known:
        """Inverse of `str`; of a text that is none, nothing was known."""
        change, _, rules = text.partition(" ")
        try:
            return cls(int(change), dt.datetime.fromisoformat(rules) if rules else None)
        except ValueError:
            return cls(0, None)


def known(shop: Shop) -> Known:
    """What has been done by now."""
    last = ClusterChange.objects.filter(shop=shop).order_by("-pk").values_list("pk", flat=True).first()
    return Known(last or 0, MerchandisingRule.objects.filter(shop=shop).aggregate(last=models.Max("updated_at"))["last"])


def may(user: Any, kind: str, verb: str) -> bool:
    """Whether somebody may make, discard and publish such a draft: whoever may do it at once."""
    return bool(user.has_perm(RIGHTS[kind, verb == "create"]))


def drafts_of(shop: Shop, kind: str | None = None, subject: int | None = None) -> models.QuerySet[DraftEdit]:
    """A shop's drafts in the order in which they were made."""
    rows = DraftEdit.objects.filter(shop=shop).select_related("by").order_by("pk")
    rows = rows if kind is None else rows.filter(kind=kind)
    return rows if subject is None else rows.filter(subject=subject)


# Made


def keep(
    shop: Shop,
    kind: str,
    verb: str,
    *,
    by: Any,
    subject: int | None = None,
    values: Mapping[str, Any] | None = None,
    reason: str = "",
    seen: int | None = None,
) -> DraftEdit:
    """An edit kept as a draft. values : JSON, as `draft_verbs` says; of a rule's `change`, all `fields` that the form has.

    seen : the last change of the cluster that the page knew of, where it named one. Raises EditError, which names the field.
    """
    draft = DraftEdit(
        shop=shop, kind=kind, subject=subject, verb=verb, values=dict(values or {}), reason=check_reason(reason), by=by
    )
    if (kind, verb == "create") not in RIGHTS:
        raise EditError("kind", f"must be one of {', '.join(Kind.values)}")
    with editing(shop):
        if DraftEdit.objects.filter(shop=shop).count() >= MOST_DRAFTS:
            raise EditConflict("drafts", f"would be more than the {MOST_DRAFTS} that a shop may have: publish or discard some")
        _know(draft, seen)
        with as_if_published(shop, anyway=None):
            fate = _done(_Run(shop, by, anyway=None), draft)
            if fate.state == State.NOTHING:
                raise EditConflict("draft", "would change nothing: all is so already, or drafted already")
        draft.save()
    return draft


def _know(draft: DraftEdit, seen: int | None) -> None:
    """What is known of the subject: the last change of its clusters; of a rule when it was changed last, and what it was."""
    if draft.kind == Kind.CLUSTER:
        draft.base = "" if draft.verb == "create" else str(last_change(clusters_in(draft)) if seen is None else seen)
    elif draft.verb != "create":
        rule = rule_of(draft.shop, draft.subject)
        draft.base = rule.updated_at.isoformat()
        if draft.verb == "change":
            before = {name: getattr(rule, name) for name in rule_editing.FIELDS}
            with _taken_back(draft.shop):
                changed = rule_editing.change(rule=rule, **fields_of(draft.values["fields"]))
            if not changed:
                raise EditConflict("draft", "would change nothing: all is so already")
            after = {name: getattr(rule, name) for name in changed}
            draft.values = {"fields": fields_as_json(after), "was": fields_as_json({name: before[name] for name in changed})}
    else:
        draft.values = {"fields": fields_as_json(draft.values["fields"])}


# Looked at, published


@dataclass(frozen=True)
class _Ruled:
    """What a run found a rule to be, and did to it. by : field -> key of who drafted its last change."""

    at: dt.datetime
    fields: dict[str, Any]
    by: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, rule: MerchandisingRule) -> _Ruled:
        return cls(rule.updated_at, fields_as_json({name: getattr(rule, name) for name in rule_editing.FIELDS}))


@dataclass
class _Run:
    """One go at some drafts. user : who publishes, None for a rehearsal, of which nothing goes on record.

    anyway : keys of those that go although they are overtaken, by what was `seen` (None: by anything); None lets all go.
    authors : key of a change that this run made -> key of who drafted it.  ruled : by key of a rule that this run changed.
    """

    shop: Shop
    user: Any
    anyway: Collection[int] | None = ()
    seen: Known | None = None
    authors: dict[int, int] = field(default_factory=dict)
    ruled: dict[int, _Ruled] = field(default_factory=dict)
    began: dt.datetime = field(default_factory=timezone.now)


class _TakenBack(Exception):
    """Ends a transaction that was only looked at."""


@contextmanager
def as_if_published(
    shop: Shop, drafts: Sequence[DraftEdit] | None = None, *, anyway: Collection[int] | None = ()
) -> Iterator[list[Fate]]:
    """The rows as they would be, were the drafts published; all that happened meanwhile is taken back at the end.

    What publishing would ask others for (a release, an overlay) isn't asked. drafts : None for all of the shop.
    """
    with _taken_back(shop):
        yield _all(_Run(shop, None, anyway), list(drafts_of(shop)) if drafts is None else list(drafts))


@contextmanager
def _taken_back(shop: Shop) -> Iterator[None]:
    """The shop's lock, and a transaction whose end takes back all that was done in it."""
    try:
        with editing(shop):
            yield
            raise _TakenBack
    except _TakenBack:
        pass


def look(shop: Shop, drafts: Sequence[DraftEdit] | None = None) -> list[Fate]:
    """What would become of each draft now, in their order; nothing is changed."""
    with as_if_published(shop, drafts) as fates:
        return fates
    raise AssertionError("a rehearsal tells")


def publish(
    shop: Shop,
    *,
    by: Any,
    only: Collection[int] | None = None,
    anyway: Collection[int] = frozenset(),
    seen: Known | None = None,
) -> list[Fate]:
    """Publish a shop's drafts in their order, in one transaction; those that are overtaken or refused stay, and say why.

    only : keys of those to publish, None for all.  anyway : of those that go although somebody else changed what they touch.
    seen : what was known when that was decided, so that what was done since is told first; None lets them go over anything.
    Those that `by` may not do at once stay too.
    """
    with editing(shop):
        drafts = [draft for draft in drafts_of(shop) if only is None or draft.pk in only]
        run = _Run(shop, by, anyway, seen)
        fates = _all(run, drafts)
        DraftEdit.objects.filter(pk__in=[fate.draft.pk for fate in fates if fate.goes]).delete()
        if run.authors:
            from recommendations.cluster_runs import request_publish  # the numeric stack, which most pages do without

            request_publish(shop)
    return fates


def _all(run: _Run, drafts: Iterable[DraftEdit]) -> list[Fate]:
    fates = []
    for draft in drafts:
        if run.user is not None and not may(run.user, draft.kind, draft.verb):
            fates.append(Fate(draft, State.REFUSED, "You may not make such a change."))
            continue
        try:
            fates.append(_done(run, draft))
        except EditError as error:
            if isinstance(error, _Overtaken):
                fates.append(Fate(draft, State.OVERTAKEN, f"{error}.", draft.subject))
                continue
            text = str(error).replace("_", " ")
            fates.append(Fate(draft, State.REFUSED, f"{text[:1].upper()}{text[1:]}.", draft.subject))
    return fates


class _Overtaken(EditConflict):
    """Somebody else changed since what a draft touches."""

    def __init__(self, told: Sequence[str]) -> None:
        super().__init__("draft", "")
        self.args = (listed(list(told), 3),)


def _done(run: _Run, draft: DraftEdit) -> Fate:
    """A draft done within a savepoint. Raises EditError; then nothing of it is."""
    try:
        with transaction.atomic():
            return _rule_done(run, draft) if draft.kind == Kind.RULE else _cluster_done(run, draft)
    except (KeyError, TypeError, AttributeError) as error:
        raise EditError("values", f"of “{draft.verb[:40]}” can't be read: {error}") from error


def _cluster_done(run: _Run, draft: DraftEdit) -> Fate:
    by = draft.by if run.user is None else run.user
    changes = do_cluster(draft, run.shop, Actor(ClusterChange.Actor.MERCHANDISER, user=by, who=by.get_username()))
    if not changes:
        return Fate(draft, State.NOTHING, "All is so already.", draft.subject)
    if draft.verb != "create" and run.anyway is not None:
        _check_changes(run, draft, changes, anyway=draft.pk in run.anyway)
    run.authors.update(dict.fromkeys([change.pk for change in changes], draft.by_id))
    _log(run, draft, [(change.cluster, change.summary, CHANGE) for change in changes])
    told = "; ".join(change.summary if len(changes) == 1 else f"{change.cluster}: {change.summary}" for change in changes)
    return Fate(draft, State.READY, f"{told}.", changes[0].cluster_id)


def _check_changes(run: _Run, draft: DraftEdit, made: Sequence[ClusterChange], *, anyway: bool) -> None:
    """Raises _Overtaken where others than its author changed since what it touches."""
    if anyway and run.seen is None:
        return
    since = ClusterChange.objects.for_list().filter(cluster__in={c.cluster_id for c in made}, pk__gt=int(draft.base or 0))
    others = since.exclude(pk__in=[c.pk for c in made]).exclude(actor__in=REBUILT_BY).order_by("pk")
    mine: dict[int, set[str | int]] = {}
    for change in made:
        mine.setdefault(change.cluster_id, set()).update(touched(change))
    overtook = [
        other
        for other in others
        if run.authors.get(other.pk, other.user_id) != draft.by_id
        and (draft.verb in WHOLE or touched(other) & mine[other.cluster_id])
        and not (anyway and run.seen is not None and (other.pk in run.authors or other.pk <= run.seen.change))
    ]
    if overtook:
        raise _Overtaken([f"{by_whom(c)}, {_moment(c.at)}: {c.summary}" for c in overtook])


def _rule_done(run: _Run, draft: DraftEdit) -> Fate:
    by = draft.by if run.user is None else run.user
    found = None if draft.verb == "create" else _Ruled.of(rule_of(run.shop, draft.subject))
    if found is not None and run.anyway is not None:
        _check_rule(run, draft, found, anyway=draft.pk in run.anyway)
    rule, told = do_rule(draft, run.shop, by)
    if not told:
        return Fate(draft, State.NOTHING, "All is so already.", rule.pk)
    if found is not None:
        done = draft.values["fields"] if draft.verb == "change" else ("enabled" if draft.verb == "switch" else "retired_at",)
        run.ruled.setdefault(rule.pk, found).by.update(dict.fromkeys(done, draft.by_id))
    _log(run, draft, [(rule, told, ADDITION if draft.verb == "create" else CHANGE)])
    return Fate(draft, State.READY, told, rule.pk)


def _check_rule(run: _Run, draft: DraftEdit, now: _Ruled, *, anyway: bool) -> None:
    """Raises _Overtaken where others than its author changed since what it touches, by hand or by a draft of this run."""
    rule = rule_of(run.shop, draft.subject)
    ours = run.ruled.get(rule.pk)
    before = now if ours is None else ours
    names = draft.values["was"] if draft.verb == "change" else None

    def differs(fields: Mapping[str, Any], name: str) -> bool:
        return fields[name] not in (draft.values["was"][name], draft.values["fields"][name])

    said = []
    if ours is not None and not anyway:
        others = [name for name, author in ours.by.items() if author != draft.by_id]
        if others if names is None else any(name in names and differs(now.fields, name) for name in others):
            said.append(f"“{rule.name}” was changed by another draft just before")
    overtook = before.at.isoformat() != draft.base and (names is None or any(differs(before.fields, name) for name in names))
    if anyway:
        overtook = overtook and run.seen is not None and (run.seen.rules is None or before.at > run.seen.rules)
    if overtook:
        said += _since(rule, draft, before=run.began)
    if said:
        raise _Overtaken(said)


def _since(rule: MerchandisingRule, draft: DraftEdit, *, before: dt.datetime) -> list[str]:
    """What others than its author did to a rule since a draft was made; none where only the author did."""
    kind = ContentType.objects.get_for_model(MerchandisingRule)
    rows = LogEntry.objects.filter(content_type=kind, object_id=str(rule.pk), action_time__gte=draft.at, action_time__lt=before)
    entries = list(rows.select_related("user").order_by("action_time"))
    told = [
        f"{entry.user.get_username()}, {_moment(entry.action_time)}: {entry.get_change_message().rstrip('.')}"
        for entry in entries
        if entry.user_id != draft.by_id
    ]
    return told if told or entries else [f"“{rule.name}” was changed {_moment(rule.updated_at)} by an API key"]


def _log(run: _Run, draft: DraftEdit, done: Sequence[tuple[Any, str, int]]) -> None:
    """In the admin's own record of who did what, as the pages have it that act at once; with whose draft it was."""
    if run.user is None:
        return
    whose = "" if draft.by_id == run.user.pk else f" Drafted by {draft.by.get_username()}."
    for row, told, flag in done:
        words = f"{told.rstrip('.')}.{whose}" if whose else told
        LogEntry.objects.log_actions(run.user.pk, [row], flag, change_message=words, single_object=True)


def _moment(at: dt.datetime) -> str:
    return f"{timezone.localtime(at):%-d %b, %H:%M}"


def told(drafts: Iterable[DraftEdit]) -> list[tuple[DraftEdit, str]]:
    """Each draft with what it would do, in a sentence."""
    rows = list(drafts)
    names = Names.of(rows)
    return [(row, sentence(row, names)) for row in rows]
