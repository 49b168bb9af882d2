"""Merchandisers' rules in the admin: what they do and how often, one rule with what it will come to, switches and undo."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from clusters.cluster_drafts import MAX_NAME, EditError
from clusters.models import Item
from personas.models import Shop
from recommendations import row_overtaken, rule_editing, rule_words
from recommendations.desk.clusters.change_pages import refused, sent
from recommendations.desk.clusters.items import found_items, numbers, picked
from recommendations.desk.clusters.stories import picture
from recommendations.desk.rules.forms import RuleForm, initial_of
from recommendations.desk.rules.outcome_pages import Outcomes, calendar_context
from recommendations.desk.shops import of_form
from recommendations.drafts import drafting
from recommendations.models import MerchandisingRule, Release, RuleTally

DAYS = 7
"""Days back that a rule's work is told of."""

MOST_CONFLICTS = 20
"""Conflicts that the list tells."""


class StandingFilter(admin.SimpleListFilter):
    title = "taken out"
    parameter_name = "out"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Those taken out")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[MerchandisingRule]) -> QuerySet[MerchandisingRule]:
        return queryset.filter(retired_at__isnull=self.value() != "yes")


@admin.register(MerchandisingRule)
class RulePages(Outcomes):
    """All goes through `recommendations.rule_editing`, and acts within seconds."""

    list_display = ("name", "shop", "does", "acts_where", "acts_when", "switch_here", "acted")
    list_display_links = ("name",)
    list_filter = ("shop", "action", "enabled", StandingFilter)
    list_select_related = ("shop",)
    search_fields = ("name",)
    list_per_page = 50
    ordering = ("shop", "pk")
    list_before_template = "admin/rules/list_top.html"
    actions = ("switch_on", "switch_off", "retire_chosen", "restore_chosen")
    show_full_result_count = False

    class Media:
        css = {"all": ("personas.css", "clusters.css", "rules.css")}

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, "recommendations_merchandisingrule"
        urls: list[URLPattern] = super().get_urls()
        return [
            *self.outcome_urls(),
            path("conflicts/", view(self.conflicts), name=f"{name}_conflicts"),
            path("tried/<int:shop_id>/", view(require_POST(self.tried)), name=f"{name}_tried"),
            path("found/<int:shop_id>/", view(self.found), name=f"{name}_found"),
            path("<int:pk>/switch/", view(require_POST(self.switch)), name=f"{name}_switch"),
            path("<int:pk>/retire/", view(require_POST(self.retire)), name=f"{name}_retire"),
            path("<int:pk>/restore/", view(require_POST(self.restore)), name=f"{name}_restore"),
            *urls,
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # taken out, not deleted: logs name it

    # The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[MerchandisingRule]:
        since = timezone.now().astimezone(dt.UTC).date() - dt.timedelta(days=DAYS - 1)
        lately = RuleTally.objects.filter(day__gte=since).order_by("day")
        rows: QuerySet[MerchandisingRule] = super().get_queryset(request)
        return rows.prefetch_related(Prefetch("tallies", lately, to_attr="lately"))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        names = rule_words.Names.of(changes.result_list)
        for row in changes.result_list:
            row.names, row.may_switch = names, self.has_change_permission(request)
        return changes

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {
            "may_add": self.has_add_permission(request),
            "any": MerchandisingRule.objects.exists(),
            "query": request.GET.urlencode(),
            **calendar_context(request),
            **(extra_context or {}),
        }
        response: HttpResponse = super().changelist_view(request, extra)
        return response

    @admin.display(description="what it does")
    def does(self, rule: MerchandisingRule) -> str:
        return rule_words.what(rule, rule.names)  # type: ignore[attr-defined]

    @admin.display(description="where")
    def acts_where(self, rule: MerchandisingRule) -> str:
        return rule_words.where(rule, rule.names)  # type: ignore[attr-defined]

    @admin.display(description="when", ordering="ends_at")
    def acts_when(self, rule: MerchandisingRule) -> str:
        return rule_words.when(rule, timezone.now())

    @admin.display(description="on", ordering="enabled")
    def switch_here(self, rule: MerchandisingRule) -> SafeString | str:
        if rule.retired_at is not None:
            return "–"
        if not rule.may_switch:  # type: ignore[attr-defined]
            return "on" if rule.enabled else "off"
        return switch_button(rule)

    @admin.display(description=f"acted, {DAYS} days")
    def acted(self, rule: MerchandisingRule) -> SafeString:
        return sparkline(rule.lately)  # type: ignore[attr-defined]

    @admin.action(description="Switch the chosen rules on", permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[MerchandisingRule]) -> None:
        self._each(request, queryset, lambda rule: rule_editing.switch(rule=rule, on=True), "Switched on.")

    @admin.action(description="Switch the chosen rules off", permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[MerchandisingRule]) -> None:
        self._each(request, queryset, lambda rule: rule_editing.switch(rule=rule, on=False), "Switched off.")

    @admin.action(description="Take the chosen rules out", permissions=["change"])
    def retire_chosen(self, request: HttpRequest, queryset: QuerySet[MerchandisingRule]) -> None:
        self._each(request, queryset, lambda rule: rule_editing.retire(rule=rule), "Taken out.")

    @admin.action(description="Restore the chosen rules", permissions=["change"])
    def restore_chosen(self, request: HttpRequest, queryset: QuerySet[MerchandisingRule]) -> None:
        self._each(request, queryset, lambda rule: rule_editing.restore(rule=rule), "Restored.")

    def _each(
        self,
        request: HttpRequest,
        rules: QuerySet[MerchandisingRule],
        do: Callable[[MerchandisingRule], bool],
        word: str,
    ) -> None:
        done = 0
        for rule in rules.select_related("shop"):
            try:
                with transaction.atomic():
                    if do(rule):
                        done += 1
                        self.log_change(request, rule, word)
            except EditError as error:
                refused(request, error)
        was = "" if done else " All were so already."
        self.message_user(request, f"{done} rule{'' if done == 1 else 's'}: {word.lower()}{was}", messages.SUCCESS)

    def conflicts(self, request: HttpRequest) -> HttpResponse:
        """Rules that get in each other's way, of all shops, as a part of the list."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        from recommendations.desk.rules import previews  # the numeric stack, which the list does without

        told = []
        for shop in Shop.objects.filter(rules__enabled=True, rules__retired_at=None).distinct():
            engine = previews.engine_for(shop)
            told += [(shop, each) for each in previews.told_conflicts(shop, engine)] if engine is not None else []
        context = {"told": told[:MOST_CONFLICTS], "more": len(told) > MOST_CONFLICTS}
        return TemplateResponse(request, "admin/rules/conflicts.html", context)

    # Switched, taken out, brought back

    def _of(self, request: HttpRequest, pk: int) -> MerchandisingRule:
        if not self.has_change_permission(request):
            raise PermissionDenied
        return get_object_or_404(MerchandisingRule.objects.select_related("shop"), pk=pk)

    def switch(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Switch it over; the button as it is then."""
        rule = self._of(request, pk)
        try:
            with transaction.atomic():
                if rule_editing.switch(rule=rule, on=request.POST.get("to") == "on"):
                    self.log_change(request, rule, "Switched on." if rule.enabled else "Switched off.")
        except EditError as error:
            return HttpResponse(str(error), status=409, content_type="text/plain; charset=utf-8")
        if request.headers.get("HX-Request"):
            return HttpResponse(switch_button(rule))
        return HttpResponseRedirect(here(rule))

    def retire(self, request: HttpRequest, pk: int) -> HttpResponse:
        rule = self._of(request, pk)
        with transaction.atomic():
            retired = rule_editing.retire(rule=rule)
            if retired:
                self.log_change(request, rule, "Taken out.")
        if retired:
            undo = reverse("admin:recommendations_merchandisingrule_change", args=[rule.pk])
            messages.success(
                request,
                format_html('“{}” is taken out. <a class="underline" href="{}">Bring it back</a> on its page.', rule, undo),
            )
        return HttpResponseRedirect(reverse("admin:recommendations_merchandisingrule_changelist"))

    def restore(self, request: HttpRequest, pk: int) -> HttpResponse:
        rule = self._of(request, pk)
        try:
            with transaction.atomic():
                restored = rule_editing.restore(rule=rule)
                if restored:
                    self.log_change(request, rule, "Restored.")
            if restored:
                messages.success(request, f"“{rule}” is back{'' if rule.enabled else ', switched off'}. {_reach(rule.shop)}")
        except EditError as error:
            refused(request, error)
        return HttpResponseRedirect(here(rule))

    # One rule

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        shops = list(Shop.objects.all())
        shop = of_form(request, shops)
        if shop is None:
            messages.warning(request, "There is no shop yet.")
            return HttpResponseRedirect(reverse("admin:recommendations_merchandisingrule_changelist"))
        return self._edited(request, shop, None, shops)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        rule = self.get_object(request, object_id)
        if rule is None:
            response: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return response
        if request.method == "POST" and not self.has_change_permission(request, rule):
            raise PermissionDenied
        return self._edited(request, rule.shop, rule, [rule.shop])

    def _edited(self, request: HttpRequest, shop: Shop, rule: MerchandisingRule | None, shops: list[Shop]) -> HttpResponse:
        begin: dict[str, Any] = {"action": request.GET.get("action", "pin"), "slot": 1, "strength": 2, "share": 25, "margin": 20}
        begin |= _about(request)
        like = None if rule or request.method == "POST" else _like(request, shop)
        begin |= {**initial_of(like), "name": f"{like.name}, again"[:MAX_NAME]} if like else {"holdout": 0}
        form = RuleForm(shop, rule, sent(request), initial=initial_of(rule) if rule else begin)
        told = request.POST.get(row_overtaken.TOLD, "")
        if request.method == "POST" and form.is_valid():
            try:
                with rule_editing.editing(shop):  # nobody's change comes between what the form is merged with and the write
                    if rule is not None:
                        rule.refresh_from_db()
                    saved = self._save(request, shop, rule, form)
            except EditError as error:
                form.refuse(error)
                told = error.told if isinstance(error, row_overtaken.RowOvertaken) else told
            else:
                return HttpResponseRedirect(here(saved) if saved else drafted_at(shop))
        may = self.has_change_permission(request, rule) if rule else True
        given = request.POST if request.method == "POST" else _ticked(rule or like)
        names = rule_words.Names.of([rule] if rule else [])
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": rule.name if rule else "Make a rule",
            "rule": rule,
            "shop": shop,
            "shops": shops,
            "form": form,
            "may": may and (rule is None or rule.retired_at is None),
            "may_restore": may and rule is not None and rule.retired_at is not None,
            "found": found_items(shop, given),
            "does": rule_words.what(rule, names) if rule else "",
            "where": rule_words.where(rule, names) if rule else "",
            "when": _when(rule) if rule else "",
            "acted": sparkline(rule.lately) if rule else "",  # type: ignore[attr-defined]
            "serves": Release.objects.active(shop) is not None,
            "shown": request.POST.get(row_overtaken.SHOWN) or (row_overtaken.shown(rule, rule_editing.FIELDS) if rule else ""),
            "told": told,
        }
        return TemplateResponse(request, "admin/rules/rule.html", context)

    def _save(self, request: HttpRequest, shop: Shop, rule: MerchandisingRule | None, form: RuleForm) -> MerchandisingRule | None:
        """The rule as it is saved; None for one that is kept as a draft. Raises EditError."""
        fields = form.given(_items(request.POST, shop))
        held = rule.target.get("items", []) if rule is not None else []
        if held and not fields["target"]["items"] and not Item.objects.filter(shop=shop, pk__in=held).exists():
            raise EditError("target.items", "were named and are all gone: choose others, or take the rule out")
        if rule is not None:
            fields = row_overtaken.merged(rule, rule_editing.check(shop, fields), request.POST, by=request.user)
        if request.POST.get("how") == "draft":
            self._keep(request, shop, rule, fields)
            return None
        if rule is None:
            rule = rule_editing.create(shop=shop, user=request.user, **fields)
            self.log_addition(request, rule, "Made.")
            messages.success(request, f"Saved. {_reach(shop) if rule.enabled else 'It is switched off.'}")
            return rule
        changed = rule_editing.change(rule=rule, **fields)
        if changed:
            told = ", ".join(name.removesuffix("_at") for name in changed)
            self.log_change(request, rule, f"Changed: {told}.")
            messages.success(request, f"Saved: {told}. {_reach(shop) if rule.enabled else 'It is switched off.'}")
        else:
            messages.info(request, "Nothing was changed: all was so already.")
        return rule

    def _keep(self, request: HttpRequest, shop: Shop, rule: MerchandisingRule | None, fields: dict[str, Any]) -> None:
        """As a draft. Raises EditError."""
        verb, subject = ("create", None) if rule is None else ("change", rule.pk)
        drafting.keep(shop, "rule", verb, by=request.user, subject=subject, values={"fields": fields})
        messages.success(request, "Kept as a draft. Shoppers see nothing of it until it is published, under Unpublished changes.")

    # What it will come to

    def tried(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """What the form would come to, as a part of its page: its items, its conflicts, a slate without it and with it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        from recommendations.desk.rules import previews  # the numeric stack, which other pages of the admin do without

        shop = get_object_or_404(Shop, pk=shop_id)
        pks = numbers([request.POST.get("rule", "")])
        row = MerchandisingRule.objects.filter(shop=shop, pk__in=pks).first()
        data = request.POST.copy()
        data["name"] = data.get("name", "").strip() or "This rule"  # it can be tried before it has a name
        form = RuleForm(shop, row, data)
        context: dict[str, Any] = {"shop": shop, "faults": []}
        if form.is_valid():
            try:
                fields = rule_editing.check(shop, form.given(_items(request.POST, shop)))
            except EditError as error:
                form.refuse(error)
            else:
                context |= self._come_to(request, shop, previews.as_rule(shop, fields, row.pk if row else None))
        context["faults"] = [
            ("Which items" if n == "ids" else form.fields[n].label or n if n in form.fields else "", e)
            for n, es in form.errors.items()
            for e in es
        ]
        return TemplateResponse(request, "admin/rules/tried.html", context)

    def _come_to(self, request: HttpRequest, shop: Shop, rule: Any) -> dict[str, Any]:
        from recommendations.desk.rules import previews

        engine = previews.engine_for(shop)
        reach = previews.reach(shop, rule, engine)
        told: dict[str, Any] = {"reach": reach, "rule": rule, "serves": engine is not None}
        ids = list(reach.sample)
        if engine is not None:
            told["conflicts"] = previews.told_conflicts(shop, engine, rule)
            model = engine.personas
            asked = numbers([request.POST.get("visitor", "")])
            # A rule for a persona says nothing of somebody new.
            chosen = asked[0] if asked else next((p for p in rule.scope.personas if p in model.ids), None)
            shown = previews.preview(shop, engine, rule, persona=chosen, now=_trial_time(rule))
            told |= {
                "preview": shown,
                "visitors": list(zip(model.ids, model.archetype_names, strict=True)),
                "visitor": chosen,
            }
            ids += [slot.item for slot in (*shown.before, *shown.after)]
        items = previews.items_of(shop, ids)
        told["sample"] = [(items[pk], picture(shop, items[pk])) for pk in reach.sample if pk in items]
        if engine is not None:
            pictures = {pk: picture(shop, item) for pk, item in items.items()}
            told["sides"] = [
                (title, [(slot, items.get(slot.item), pictures.get(slot.item, "")) for slot in side])
                for title, side in (("Without the rule", shown.before), ("With it", shown.after))
            ]
        return told

    def found(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """What a search finds, to be ticked, as a part of a page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        shop = get_object_or_404(Shop, pk=shop_id)
        return TemplateResponse(request, "admin/clusters/found.html", {"found": found_items(shop, request.GET)})


def _like(request: HttpRequest, shop: Shop) -> MerchandisingRule | None:
    """The rule that a new one begins as, where the address names one (?like=id)."""
    return MerchandisingRule.objects.filter(shop=shop, pk__in=numbers([request.GET.get("like", "")])).first()


def _about(request: HttpRequest) -> dict[str, Any]:
    """What a new rule is about, where the address says it: pages of clusters lead here with their cluster."""
    given = {name: numbers(request.GET.getlist(name)) for name in ("in_clusters", "clusters")}
    return {name: pks for name, pks in given.items() if pks} | {"attributes": request.GET.get("attributes", "")[:MAX_NAME]}


def _when(rule: MerchandisingRule) -> str:
    dates = rule_words.when(rule, timezone.now())
    return dates if rule.enabled or rule.retired_at is not None else f"switched off ({dates})"


def _trial_time(rule: Any) -> float:
    """Now, or where the rule's dates lie elsewhere the first moment that it acts at."""
    now = timezone.now().timestamp()
    if rule.scope.starts is not None and now < rule.scope.starts:
        return float(rule.scope.starts)
    return now


def _items(given: QueryDict, shop: Shop) -> list[int]:
    """Ids of items ticked and pasted, () for none. Raises EditError."""
    if not given.getlist("item") and not given.get("ids", "").strip():
        return []
    return picked(given, shop)


def _ticked(rule: MerchandisingRule | None) -> QueryDict:
    """The items of a rule as a request would name them."""
    given = QueryDict(mutable=True)
    given.setlist("item", [str(pk) for pk in (rule.target.get("items", []) if rule else [])])
    return given


def _reach(shop: Shop) -> str:
    return "It acts within seconds." if Release.objects.active(shop) else "It acts from the first release on."


def drafted_at(shop: Shop) -> str:
    """Where what is kept as a draft waits."""
    return f"{reverse('admin:recommendations_draftedit_changelist')}?shop={shop.slug}"


def here(rule: MerchandisingRule) -> str:
    return reverse("admin:recommendations_merchandisingrule_change", args=[rule.pk])


def switch_button(rule: MerchandisingRule) -> SafeString:
    """A switch for the list; it takes the token of the form around it along."""
    return format_html(
        '<button type="button" class="rule-switch" role="switch" aria-checked="{}" aria-label="{}" hx-post="{}" '
        'hx-vals=\'{{"to": "{}"}}\' hx-swap="outerHTML"><span></span>{}</button>',
        "true" if rule.enabled else "false",
        f"{rule.name}: switched {'on' if rule.enabled else 'off'}",
        reverse("admin:recommendations_merchandisingrule_switch", args=[rule.pk]),
        "off" if rule.enabled else "on",
        "on" if rule.enabled else "off",
    )


def sparkline(tallies: list[RuleTally]) -> SafeString:
    """Slates that a rule acted on, day by day, with the sum in words."""
    today = timezone.now().astimezone(dt.UTC).date()
    of = {tally.day: tally.slates for tally in tallies}
    days = [of.get(today - dt.timedelta(days=back), 0) for back in range(DAYS - 1, -1, -1)]
    total, moved = sum(days), sum(tally.items for tally in tallies)
    if not total:
        return SafeString('<span class="persona-quiet">not yet</span>')
    most = max(days)
    bars = "".join(
        f'<rect x="{8 * i}" y="{20 - height:.1f}" width="6" height="{height:.1f}" rx="1"/>'
        for i, n in enumerate(days)
        if (height := max(1.5 if n else 0.0, 20 * n / most))
    )
    drawn = SafeString(f'<svg class="rule-spark" width="54" height="20" aria-hidden="true">{bars}</svg>')
    slates, items = f"{total:,} slate{'' if total == 1 else 's'}", f"{moved:,} item{'' if moved == 1 else 's'}"
    return format_html(
        '<span class="rule-acted">{} <span title="{} moved, put in or kept out; by day, the latest last: {}">{}</span></span>',
        drawn,
        items,
        ", ".join(f"{n:,}" for n in days),
        slates,
    )
