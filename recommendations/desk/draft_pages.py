"""Unpublished changes: what is drafted of personas, clusters and rules, by whom, and what would become of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from clusters.cluster_drafts import EditError
from personas import versions
from personas.archetypes import PersonaError
from personas.models import Archetype, Attribute, Shop
from recommendations import audit, presence
from recommendations.desk import preview_pages
from recommendations.desk.clusters.items import numbers
from recommendations.desk.shops import chosen
from recommendations.desk.tables import csv_file
from recommendations.drafts import discards as draft_discards
from recommendations.drafts import drafting
from recommendations.drafts import outcomes as draft_outcomes
from recommendations.drafts.drafting import Fate, Known, State
from recommendations.models import DraftEdit, Release

PUBLISH_PERSONAS = "personas.add_personaversion"
SEE_PERSONAS = "personas.view_archetype"
DISCARDED = "discarded drafts"
"""In somebody's session: shop id -> what they discarded last, until they do something else with drafts."""

FIRST = "It counts from the first release on."

SUBJECTS = {
    "cluster": "admin:clusters_itemcluster_change",
    "rule": "admin:recommendations_merchandisingrule_change",
}


class Row(NamedTuple):
    """One draft as the page shows it. fate : what would become of it now, None while that is being found out.

    url : of what it is about, "" for something new.
    """

    draft: DraftEdit
    told: str
    fate: Fate | None
    may: bool
    url: str


class PersonasDraft(NamedTuple):
    """What the draft of the personas changes. by, at : who changed a row of it last, "" and None where nobody knows."""

    changes: list[str]
    problem: str
    by: str
    at: dt.datetime | None
    url: str


def sees(user: Any) -> list[str]:
    """Kinds of drafts that somebody may see: of what they may look at."""
    return [kind for kind, right in drafting.VIEWS.items() if user.has_perm(right)]


def may_look(user: Any) -> bool:
    return bool(sees(user)) or bool(user.has_perm(SEE_PERSONAS))


def personas_draft(shop: Shop) -> PersonasDraft | None:
    """None where the draft is what is in force, or nothing was published yet: the first training publishes it."""
    version = versions.latest(shop)
    drafted = versions.draft(shop) if version else None
    changes = versions.difference(version.definition, drafted) if version and drafted else []
    if version is None or drafted is None or not changes:
        return None
    kinds = ContentType.objects.get_for_models(Attribute, Archetype)
    rows: Any = LogEntry.objects.none()
    for model, name in ((Attribute, "attributes"), (Archetype, "archetypes")):
        keys = [str(entry["id"]) for entry in drafted[name]]
        rows |= LogEntry.objects.filter(content_type=kinds[model], object_id__in=keys, action_time__gt=version.published_at)
    last = rows.select_related("user").order_by("-action_time").first()
    fault = versions.problem(drafted)
    return PersonasDraft(
        changes,
        f"{fault.field}: {fault.reason}" if fault else "",
        last.user.get_username() if last else "",
        last.action_time if last else None,
        reverse("admin:personas_personaversion_publish", args=[shop.pk]),
    )


@admin.register(DraftEdit)
class DraftPages(ModelAdmin):
    """All goes through `recommendations.drafts.drafting`; who may do a thing at once may draft, discard and publish it."""

    class Media:
        css = {"all": ("personas.css", "today.css", "drafts.css")}

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, "recommendations_draftedit"
        return [
            path("", view(self.drafts), name=f"{name}_changelist"),
            path("outcomes/", view(self.outcomes), name=f"{name}_outcomes"),
            path("publish/<int:shop_id>/", view(require_POST(self.publish)), name=f"{name}_publish"),
            path("discard/<int:shop_id>/", view(require_POST(self.discard)), name=f"{name}_discard"),
            path("bring-back/<int:shop_id>/", view(require_POST(self.bring_back)), name=f"{name}_bring_back"),
            path("present/", view(presence.view), name=f"{name}_present"),
            path("count/", view(self.count), name=f"{name}_count"),
            *preview_pages.urls(self),
        ]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_look(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_look(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    # Looked at

    def drafts(self, request: HttpRequest) -> HttpResponseBase:
        """?shop= its slug, ?kind= one kind only, ?format=csv the same as a file.

        Of many drafts the page itself asks after what would become of them (`outcomes`).
        """
        as_file = request.GET.get("format") == "csv"
        context = self._context(request, at_once=not as_file)
        if as_file:
            lines = _lines(context["rows"], context["personas"])
            return csv_file("unpublished-changes", ("what", "change", "by", "at", "reason", "state"), lines)
        context |= {**self.admin_site.each_context(request), "media": self.media, "title": "Unpublished changes"}
        return TemplateResponse(request, "admin/desk/drafts.html", context)

    def outcomes(self, request: HttpRequest) -> HttpResponse:
        """The list with what would become of each, as a part of the page. ?shop=, ?kind=: as for the page."""
        context = self._context(request, at_once=False)
        if not context["shop"] or not (context["rows"] or context["personas"]):
            return HttpResponse()
        return TemplateResponse(request, "admin/desk/drafts_list.html", context)

    def _context(self, request: HttpRequest, *, at_once: bool) -> dict[str, Any]:
        """Raises PermissionDenied."""
        if not may_look(request.user):
            raise PermissionDenied
        shops = list(Shop.objects.order_by("slug"))
        shop = chosen(request, shops)
        kind = request.GET.get("kind", "")
        kinds = [each for each in sees(request.user) if not kind or each == kind]
        with_personas = request.user.has_perm(SEE_PERSONAS) and kind in ("", "personas")
        known = drafting.known(shop) if shop else Known(0, None)
        rows = self._rows(request, shop, kinds, known, at_once=at_once) if shop else []
        personas = personas_draft(shop) if shop and with_personas else None
        may_personas = request.user.has_perm(PUBLISH_PERSONAS)
        return {
            "shops": shops,
            "shop": shop,
            "kind": kind,
            "kinds": [("", "All")] + [(name, f"{name.capitalize()}s") for name in sees(request.user)]
            + ([("personas", "Personas")] if request.user.has_perm(SEE_PERSONAS) else []),
            "rows": rows,
            "personas": personas,
            "may_personas": may_personas,
            "may": any(row.may for row in rows) or bool(personas and may_personas),
            "known": known,
            "finding_out": any(row.fate is None for row in rows),
            "waits": sum(row.fate is not None and not row.fate.goes for row in rows),
            "discarded": len(self._discarded(request, shop)) if shop else 0,
            "serves": bool(shop and Release.objects.active(shop)),
        }  # fmt: skip

    def _rows(self, request: HttpRequest, shop: Shop, kinds: list[str], known: Known, *, at_once: bool) -> list[Row]:
        drafts = list(drafting.drafts_of(shop))
        if not drafts:
            return []
        found = (draft_outcomes.at_once if at_once else draft_outcomes.outcomes)(shop, drafts, known)
        fates = {fate.draft.pk: fate for fate in found or ()}
        return [
            Row(
                draft,
                told,
                fates.get(draft.pk),
                drafting.may(request.user, draft.kind, draft.verb),
                reverse(SUBJECTS[draft.kind], args=[draft.subject]) if draft.subject else "",
            )
            for draft, told in drafting.told(drafts)
            if draft.kind in kinds
        ]

    def count(self, request: HttpRequest) -> HttpResponse:
        """How many changes wait, as a line that a page shows in its corner; nothing where none do."""
        if not may_look(request.user):
            return HttpResponse(status=204)
        drafts = DraftEdit.objects.filter(kind__in=sees(request.user)).count()
        if request.user.has_perm(SEE_PERSONAS):
            drafts += sum(len(changes) for _, changes in versions.pending(list(Shop.objects.all())))
        if not drafts:
            return HttpResponse(status=204)
        context = {"drafts": drafts}
        response = TemplateResponse(request, "admin/desk/drafts_count.html", context)
        response["Cache-Control"] = "no-store"
        return response

    # Published, discarded, brought back

    def publish(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """What was ticked, in one transaction."""
        from recommendations import publishing  # the numeric stack, which other pages of the admin do without

        shop, only = self._asked(request, shop_id)
        told: list[str] = []
        try:
            with transaction.atomic():
                anyway, seen = set(numbers(request.POST.getlist("anyway"))), request.POST.get("seen")
                known = None if seen is None else Known.read(seen)
                fates = drafting.publish(shop, by=request.user, only=only, anyway=anyway, seen=known)
                if self._personas(request):
                    made = publishing.publish(shop, note=request.POST.get("note", ""), user=request.user)
                    self.log_change(request, made, "Published.")
                    told.append(f"version {made.number} of the personas, whose fit begins now")
        except (versions.VersionError, PersonaError) as error:
            messages.error(request, f"Nothing was published. {_sentence(error)}")
            return HttpResponseRedirect(_here(shop))
        self._forget(request, shop)
        done = sum(fate.goes for fate in fates)
        told = ([f"{done} change{'' if done == 1 else 's'}"] if done else []) + told
        if told:
            reach = _reach(edits=bool(done), personas=len(told) > bool(done)) if Release.objects.active(shop) else FIRST
            messages.success(request, f"Published: {' and '.join(told)}. {reach}")
        left = [fate for fate in fates if not fate.goes]
        if left:
            overtaken = sum(fate.state == State.OVERTAKEN for fate in left)
            why = "somebody else changed the same since" if overtaken == len(left) else "see below why"
            messages.warning(request, f"{len(left)} change{'' if len(left) == 1 else 's'} stayed: {why}.")
        if not told and not left:
            messages.info(request, "Nothing was ticked, so nothing was published.")
        return HttpResponseRedirect(_here(shop))

    def discard(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """What was ticked goes; it can be brought back until something else is done with drafts."""
        shop, only = self._asked(request, shop_id)
        with_personas = self._personas(request)
        try:
            with transaction.atomic():
                kept: list[Any] = list(draft_discards.discard(shop, only=only, by=request.user))
                if with_personas:
                    kept.append({"personas": versions.draft(shop)})
                    versions.discard(shop)
                    audit.record(
                        audit.person(request.user), audit.CHANGED, subject=shop, what="Discarded the draft of the personas."
                    )
        except (versions.VersionError, PersonaError) as error:
            messages.error(request, f"Nothing was discarded. {_sentence(error)}")
            return HttpResponseRedirect(_here(shop))
        if kept:
            request.session[DISCARDED] = {str(shop.pk): kept}
            messages.success(request, f"{len(kept)} change{' is' if len(kept) == 1 else 's are'} discarded.")
        else:
            messages.info(request, "Nothing was ticked, so nothing was discarded.")
        return HttpResponseRedirect(_here(shop))

    def bring_back(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """What was discarded last, as it was."""
        shop, _ = self._asked(request, shop_id)
        held = self._discarded(request, shop)
        drafts = [each for each in held if "personas" not in each and drafting.may(request.user, each["kind"], each["verb"])]
        try:
            back = draft_discards.bring_back(shop, drafts, by=request.user)
        except EditError as error:
            messages.error(request, f"Nothing is back. {_sentence(error)}")
            return HttpResponseRedirect(_here(shop))
        for each in held:
            if "personas" in each and request.user.has_perm(PUBLISH_PERSONAS):
                try:
                    with transaction.atomic():
                        versions.redraft(shop, each["personas"])
                        audit.record(
                            audit.person(request.user),
                            audit.CHANGED,
                            subject=shop,
                            what="Brought the draft of the personas back.",
                        )
                    back += 1
                except PersonaError as error:
                    messages.error(request, f"The personas’ draft isn’t back. {_sentence(error)}")
        self._forget(request, shop)
        messages.success(request, f"{back} change{' is' if back == 1 else 's are'} back.")
        return HttpResponseRedirect(_here(shop))

    def _asked(self, request: HttpRequest, shop_id: int) -> tuple[Shop, set[int]]:
        """The shop, and the keys of the drafts that were ticked."""
        rights = {*drafting.RIGHTS.values(), PUBLISH_PERSONAS}
        if not any(request.user.has_perm(right) for right in rights):
            raise PermissionDenied
        return get_object_or_404(Shop, pk=shop_id), set(numbers(request.POST.getlist("draft")))

    def _personas(self, request: HttpRequest) -> bool:
        """Whether the personas were ticked. Raises PermissionDenied."""
        if "personas" not in request.POST:
            return False
        if not request.user.has_perm(PUBLISH_PERSONAS):
            raise PermissionDenied
        return True

    def _discarded(self, request: HttpRequest, shop: Shop) -> list[Any]:
        held: list[Any] = request.session.get(DISCARDED, {}).get(str(shop.pk), [])
        return held

    def _forget(self, request: HttpRequest, shop: Shop) -> None:
        request.session.pop(DISCARDED, None)


def _reach(*, edits: bool, personas: bool) -> str:
    """When shoppers see what was published: edits at once, personas after their fit."""
    if not personas:
        return "Shoppers see it within seconds."
    if not edits:
        return "Shoppers see it once the fit is done."
    return "Shoppers see the changes within seconds, the personas once the fit is done."


def _here(shop: Shop) -> str:
    return f"{reverse('admin:recommendations_draftedit_changelist')}?shop={shop.slug}"


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _lines(rows: Iterable[Row], personas: PersonasDraft | None) -> Iterable[tuple[Any, ...]]:
    for row in rows:
        at = timezone.localtime(row.draft.at).isoformat(timespec="seconds")
        yield (
            row.draft.kind,
            row.told,
            row.draft.by.get_username(),
            at,
            row.draft.reason,
            row.fate.state.value if row.fate else "",
        )
    if personas is not None:
        at = timezone.localtime(personas.at).isoformat(timespec="seconds") if personas.at else ""
        for change in personas.changes:
            yield "personas", change, personas.by, at, "", "refused" if personas.problem else "ready"
