"""Admin of shoppers: their persona history as a time line, consent, and the calls that show, merge and erase."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from unfold.decorators import action
from unfold.enums import ActionVariant

from personas import versions
from personas.admin import ReadOnlyAdmin, ShopperAdmin, once, table
from personas.models import Erasure, Shopper
from recommendations import audit
from recommendations.desk import stacks
from recommendations.serving.problems import Problem
from recommendations.timelines import timeline

SHOWN_SESSIONS = 60
"""Visits that the time line draws, the latest."""


@admin.register(Shopper)
class ShopperStoryAdmin(ShopperAdmin):
    """A shopper with all that may be done for them. Nothing is edited by hand: consent has a date, erasure a record."""

    fields = ("shop", "external_id", "aliases", "consent", "shown_demographics")
    readonly_fields = fields
    change_form_outer_before_template = "admin/personas/shopper/line.html"
    actions_detail = ("change_consent", "export", "merge", "erase")

    class Media:
        css = {"all": ("story.css",)}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        allowed = row is not None and self.has_view_permission(request, row)
        extra = {"line": line(row)} if allowed else {}
        response: HttpResponse = super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})
        return response

    @admin.display(description="also known as")
    @once
    def aliases(self, row: Shopper) -> str:
        return ", ".join(f"{a.external_id} (guest, merged {a.merged_at:%-d %b %Y})" for a in row.aliases.all()) or "–"

    @admin.display(description="consent to demographics")
    def consent(self, row: Shopper) -> str:
        if row.consent_at is None:
            return "never asked"
        return f"{'given' if row.consent_demographics else 'withdrawn or refused'} {row.consent_at:%-d %b %Y, %H:%M}"

    @admin.display(description="demographics")
    def shown_demographics(self, row: Shopper) -> SafeString | str:
        if not row.demographics:
            return "none are kept" if row.consent_demographics else "none: they are kept only with consent"
        return table(("what", "value"), sorted(row.demographics.items()))

    # What may be done. The theme looks a permission's own name up in the database as it starts, before a first migration
    # has made one: so each is asked for by a method.

    def has_alter_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("personas.change_shopper"))

    def has_export_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perms(("personas.view_shopper", "personas.view_session")))

    def has_erase_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("personas.delete_shopper"))

    @action(description="Consent", url_path="consent", permissions=["alter"], icon="how_to_reg")
    def change_consent(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Record or withdraw consent."""
        from recommendations import rights  # the numeric stack, which other pages of the admin do without

        row = self._row(request, object_id)
        # What the page offered, not the opposite of what is: sent twice, it must not undo itself.
        asked = request.POST.get("consent")
        give = asked == "record" if asked else not row.consent_demographics

        def do() -> str:
            if asked not in {"record", "withdraw"}:
                raise Problem(
                    422, "invalid_field", "Whether to record or to withdraw was not sent; nothing was done.", field="consent"
                )

            def wrote() -> None:
                self.log_change(request, row, "Consent to demographics " + ("recorded." if give else "withdrawn."))

            rights.set_consent(row.shop, row.external_id, demographics=give, wrote=wrote)
            return "The consent is recorded." if give else "The consent is withdrawn; no demographics are held any more."

        told = (
            ["From now on demographics of this shopper may be kept and used to tell personas. Do this only if they said so."]
            if give
            else ["The shopper's demographics are deleted at once, wherever they are held, and used no more."]
        )
        title = f"{'Record' if give else 'Withdraw'} consent of {row}"
        hold = ("consent", "record" if give else "withdraw")
        return self._confirm(request, row, do, title=title, told=told, button=title.split(" of ")[0], danger=not give, hold=hold)

    @action(description="Export", url_path="export", icon="download", permissions=["export"])
    def export(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Everything held, as a file."""
        from recommendations import exporting

        row = self._row(request, object_id)
        given = exporting.export(row.shop, row.external_id)
        audit.record(audit.person(request.user), audit.EXPORTED, subject=row, what="Everything held of a shopper was handed out.")
        answer = JsonResponse(given, json_dumps_params={"indent": 2, "ensure_ascii": False})
        answer["Content-Disposition"] = 'attachment; filename="shopper.json"'
        add_never_cache_headers(answer)
        return answer

    @action(description="Merge", url_path="merge", permissions=["alter"], icon="merge")
    def merge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Another id is this shopper's too."""
        from recommendations import rights

        row = self._row(request, object_id)

        def do() -> str:
            def wrote() -> None:
                self.log_change(request, row, "A guest was merged into them.")

            moved = rights.merge(row.shop, row.external_id, request.POST.get("guest", "").strip(), wrote=wrote)["sessions"]
            return f"Merged; {moved} visit{'' if moved == 1 else 's'} moved."

        told = [
            "The visits of the guest become this shopper's, and what still comes in under the guest's id counts for them.",
            "It can't be undone: whose each visit was is not kept.",
        ]
        title = f"Merge a guest into {row}"
        return self._confirm(request, row, do, title=title, told=told, button="Merge", ask=("guest", "The guest's id"))

    @action(description="Erase", url_path="erase", permissions=["erase"], icon="delete_forever", variant=ActionVariant.DANGER)
    def erase(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Everything held is deleted."""
        from recommendations import rights
        from recommendations.serving import held

        row = self._row(request, object_id)

        def do() -> str:
            if request.POST.get("confirm", "").strip() != row.external_id:
                raise Problem(422, "invalid_field", "That is not the id of this shopper; nothing was erased.", field="confirm")
            done = rights.erase(row.shop, row.external_id, by=request.user.get_username())
            return "Erased: " + ", ".join(f"{count} {what}" for what, count in done.counts.items() if count) + "."

        found = rights.holdings(row.shop, row.external_id, held.connect())
        sessions = row.sessions.count()
        told = [
            f"{sessions} visit{'' if sessions == 1 else 's'} with their events, recommendations and decisions",
            f"{len(found.states)} live state{'' if len(found.states) == 1 else 's'} of visits under way, "
            f"and {len(found.entries)} entries of the log",
            "the shopper, with consent, demographics, what was remembered of them, and "
            + (", ".join(f"the id {name}" for name in found.person.ids[1:]) or "no further ids"),
        ]
        return self._confirm(
            request,
            row,
            do,
            title=f"Erase {row}",
            lead="This goes, in every store, and can't be undone:",
            told=told,
            after="Backups still hold it until they are replaced. What was learned from the visits stays: it names nobody.",
            button="Erase everything",
            danger=True,
            ask=("confirm", f"Type the id to go on: {row.external_id}"),
            back=reverse("admin:personas_shopper_changelist"),
        )

    def _row(self, request: HttpRequest, object_id: str) -> Shopper:
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404("There is no such shopper.")
        found: Shopper = row
        return found

    def _confirm(
        self, request: HttpRequest, row: Shopper, do: Callable[[], str], *, title: str, back: str = "", **page: Any
    ) -> HttpResponse:
        """A page that says what will happen, and its button. do : does it, and says what was done; may raise Problem."""
        here = reverse("admin:personas_shopper_change", args=[row.pk])
        problem = ""
        if request.method == "POST":
            try:
                done = do()
            except Problem as error:
                problem = error.detail
            else:
                self.message_user(request, done, messages.SUCCESS)
                return HttpResponseRedirect(back or here)
        context = {**self.admin_site.each_context(request), "title": title, "here": here, "problem": problem, **page}
        context |= {"opts": self.opts, "original": row, "media": self.media}
        return TemplateResponse(request, "admin/personas/shopper/confirm.html", context, status=422 if problem else 200)


def line(row: Shopper) -> dict[str, Any]:
    """What the template `shopper/line.html` shows: chart, sentence and rows of the visits, or that there are none."""
    sessions = timeline(row.shop, row, limit=SHOWN_SESSIONS)
    if not sessions:
        return {"missing": "No visit of this shopper is archived."}
    personas = list(versions.ever(row.shop).values())
    place = {a.id: k for k, a in enumerate(personas)}
    columns, seen = [], dict.fromkeys(range(len(personas)), 0.0)
    for visit in reversed(sessions):
        shares = [0.0] * len(personas)
        for told in visit["personas"]:
            shares[place[told["id"]]] = stacks.standing(told["share"], len(personas))
        for k, share in enumerate(shares):
            seen[k] += share
        columns.append(stacks.Column(shares, f"{visit['started_at']:%-d %b %Y}: {_who(visit)}"))
    names, colours = [a.name for a in personas], [a.colour for a in personas]
    told = _sentence(sessions, names, seen)
    return {
        "chart": mark_safe(stacks.draw(columns, colours, sentence=told)),
        "key": stacks.key(names, colours, {k: much for k, much in seen.items() if much >= 0.03}),
        "sentence": told,
        "width": stacks.width(len(columns)),
        "first": f"{sessions[-1]['started_at']:%-d %b %Y}",
        "last": f"{sessions[0]['started_at']:%-d %b %Y}",
        "rows": [{**visit, "who": _who(visit), "link": _link(row, visit["session_id"])} for visit in sessions],
        "simulated": any(visit["origin"] == "simulated" for visit in sessions),
        "hidden": max(0, row.sessions.count() - len(sessions)),
    }


def _who(visit: dict[str, Any]) -> str:
    told = [f"{p['name']} {100 * p['share']:.0f} in 100" for p in visit["personas"] if p["share"] >= 0.2][:3]
    return ", ".join(told) or ("no one more than others" if visit["personas"] else "not known: it was not served live")


def _sentence(sessions: list[dict[str, Any]], names: list[str], seen: dict[int, float]) -> str:
    count = len(sessions)
    bought = sum(visit["purchases"] for visit in sessions)
    parts = [f"{count} visit{'' if count == 1 else 's'}, {bought} purchase{'' if bought == 1 else 's'}."]
    usual = sorted((k for k in seen if seen[k] > 0), key=lambda k: -seen[k])[:2]
    if usual:
        parts.append(f"Mostly {' and '.join(names[k] for k in usual)}.")
        latest = sessions[0]["personas"][:1]
        if latest:
            parts.append(f"Last time: {latest[0]['name']}.")
    return " ".join(parts)


def _link(row: Shopper, session_id: str) -> SafeString:
    at = reverse("admin:personas_session_changelist")
    return format_html('<a class="underline" href="{}?q={}&shop__id__exact={}">{}</a>', at, session_id, row.shop_id, session_id)


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    """That shoppers were erased, and how much; whom is not kept."""

    list_display = ("at", "shop", "by", "shown_counts")
    list_filter = ("shop", "at")
    list_select_related = ("shop",)
    fields = ("shop", "at", "by", "shown_counts")
    readonly_fields = fields

    @admin.display(description="what went")
    def shown_counts(self, erasure: Erasure) -> str:
        return ", ".join(f"{count} {what}" for what, count in erasure.counts.items() if count) or "nothing"
