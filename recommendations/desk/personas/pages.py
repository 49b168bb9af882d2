"""Pages of personas at the desk: all side by side, one in the data, and its weights as sliders with what they would change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_POST

from personas import versions
from personas.archetypes import PersonaError
from personas.models import Archetype, Shop
from recommendations.desk import charts
from recommendations.desk.personas import drawing, weighing
from recommendations.desk.personas.overview import DAYS, Shares, fits, mixed, overview, period, sentence, shares
from recommendations.desk.personas.portraits import Table, portrait
from recommendations.desk.personas.rates import LEAST_SEEN, Pairs, Reached, names_of, pairs
from recommendations.desk.personas.version_pages import PUBLISH
from recommendations.desk.shops import chosen
from recommendations.desk.tables import csv_file

MOST_CLUSTERS = 30
"""Clusters of a persona that its page lists; the file has all."""

NAME = "personas_archetype"


class PersonaDesk:
    """Mixed into the admin of archetypes."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view  # type: ignore[attr-defined]
        urls: list[URLPattern] = super().get_urls()  # type: ignore[misc]
        return [
            path("overview/", view(self.overview), name=f"{NAME}_overview"),
            path("overview/<int:pk>/", view(self.portrait), name=f"{NAME}_portrait"),
            path("overview/<int:pk>/weights/", view(self.weights), name=f"{NAME}_weights"),
            path("overview/<int:pk>/weights/try/", view(require_POST(self.try_out)), name=f"{NAME}_try"),
            *urls,
        ]

    def overview(self, request: HttpRequest) -> HttpResponseBase:
        """All personas of a shop, ?shop=slug&days=28; ?csv=1 for a file."""
        self._check_view(request)
        shops = list(Shop.objects.order_by("slug"))
        shop = chosen(request, shops)
        days = period(request.GET.get("days"))
        tiles = overview(shop, days, _now()) if shop else []
        if shop and request.GET.get("csv"):
            header = (
                "persona",
                "key",
                "share now",
                f"share in {days} days",
                "share at last fit",
                "seen",
                "clicked",
                "low",
                "high",
            )
            rows = (
                (
                    t.archetype.name, t.archetype.key, t.now, t.share, t.fit.get("share"), t.rate.seen, t.rate.clicked,
                    t.rate.low / 100, t.rate.high / 100,
                )
                for t in tiles
            )  # fmt: skip
            return csv_file(f"personas-{shop.slug}", header, rows)
        context = {
            "title": "Personas",
            "shop": shop,
            "shops": shops,
            "days": days,
            "periods": DAYS,
            "tiles": [(tile, mark_safe(drawing.spark(tile.by_day, tile.archetype.colour))) for tile in tiles],
            "told": sentence(tiles, days),
            "empty": not any(tile.share is not None for tile in tiles),
            "pending": versions.unpublished(shop) if shop else [],
            "may_publish": request.user.has_perm(PUBLISH),
        }
        return self._desk_page(request, "overview", context)

    def portrait(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """One persona in the data, ?days=28; ?csv=clusters, who, share or fits for a file."""
        self._check_view(request)
        who = _persona(pk)
        days, now = period(request.GET.get("days")), _now()
        until, since = now.date(), now.date() - dt.timedelta(days=days - 1)
        wanted = request.GET.get("csv", "")
        if wanted:
            return _file(who, wanted, since, now)
        counted = shares(who.shop, since - dt.timedelta(days=days), now)
        told = pairs(who.shop, since, until)
        clusters = told.first(pk, MOST_CLUSTERS)
        reached = told.reached(pk, names_of(who.shop, clusters), MOST_CLUSTERS)
        course = fits(who.shop, pk)
        tables = portrait(who.shop, pk, since, until)
        names = dict(who.shop.attributes.values_list("key", "name"))
        context = {
            "title": who.name,
            "who": who,
            "shop": who.shop,
            "days": days,
            "periods": DAYS,
            "parts": mixed(who, names),
            "share": _share_told(counted, who, days),
            "course": _course(counted, who, days),
            "by_day": list(zip(counted.days[days:], (100 * counted.of(pk)[days:]).tolist(), strict=True)),
            "tables": [(table, _drawn(table)) for table in tables],
            "someone": any(table.much for table in tables),
            "rate": told.of_persona(pk),
            "everybody": told.everybody,
            "reached": reached,
            "widest": _widest(reached, told),
            "more": told.count(pk) - len(reached),
            "fits": course,
            "fits_drawn": mark_safe(_fits(course)) if course else "",
            "may_change": self.has_change_permission(request),  # type: ignore[attr-defined]
        }
        return self._desk_page(request, "portrait", context)

    def weights(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The sliders of one persona; a POST saves them to the draft."""
        from recommendations.desk.personas.trying import sample  # the numeric stack, which other pages do without

        self._check_view(request)
        who = _persona(pk)
        parts = weighing.parts_of(who)
        suggest = reverse("admin:personas_attribute_descriptors")
        form = weighing.form_of(parts, who.shop, suggest, request.POST if request.method == "POST" else None)
        seen = {part.field: part.seen for part in parts}
        if request.method == "POST":
            self._check_change(request, parts, form)
            seen = {part.field: request.POST.get(f"seen-{part.field}", part.seen) for part in parts}
            if form.is_valid():
                sent = {name.removeprefix("seen-"): value for name, value in request.POST.items() if name.startswith("seen-")}
                try:
                    with transaction.atomic():
                        changed = weighing.save(who, form.cleaned_data, sent)  # type: ignore[arg-type]
                        for row, sentences in changed:
                            self.log_change(request, row, " ".join(sentences))  # type: ignore[attr-defined]
                except weighing.OvertakenError as error:
                    told = " ".join(error.told)
                    messages.error(request, f"Not saved. {told} What you set is still here; save again to have it your way.")
                    seen = {part.field: part.seen for part in weighing.parts_of(_persona(pk))}
                except ValidationError as error:
                    form.add_error(None, error)
                else:
                    saved = "Saved to the draft; shoppers see it once it is published." if changed else "Nothing was changed."
                    messages.success(request, saved)
                    return HttpResponseRedirect(reverse(f"admin:{NAME}_weights", args=[pk]))
        visits = sample(who.shop)
        context = {
            "title": f"Weights of {who.name}",
            "who": who,
            "shop": who.shop,
            "form": form,
            "parts": [(part, form[part.field], seen[part.field]) for part in parts],
            "visits": visits,
            "pending": versions.unpublished(who.shop),
            "may_change": self._may_change(request),
            "may_publish": request.user.has_perm(PUBLISH),
            "people": Archetype.objects.filter(shop=who.shop).order_by("place", "pk"),
            "media": self.media + form.media,  # type: ignore[attr-defined]
        }
        return self._desk_page(request, "weights", context)

    def try_out(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the sliders as they stand would change, as a part of their page. Nothing is saved."""
        from recommendations.desk.personas import tried  # the numeric stack, which other pages do without

        self._check_view(request)
        who = _persona(pk)
        parts = weighing.parts_of(who)
        form = weighing.form_of(parts, who.shop, "", request.POST)
        context: dict[str, Any] = {"who": who, "shop": who.shop}
        if not form.is_valid():
            context["problems"] = [str(message) for messages_ in form.errors.values() for message in messages_]
        else:
            definition = weighing.definition_of(who.shop, parts, form.cleaned_data)
            visits = [int(v) for v in request.POST.get("visits", "").split(",") if v.isdecimal() and len(v) < 19]
            try:
                context["tried"] = tried.told(who, definition, visits)
            except PersonaError as error:
                context["problems"] = [f"{error.field}: {error.reason}."]
            except tried.CantTellError as error:
                context["problems"] = [str(error)]
        return TemplateResponse(request, "admin/personas/desk/tried.html", context)

    def _check_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied

    def _may_change(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("personas.change_archetype") and request.user.has_perm("personas.change_attribute"))

    def _check_change(self, request: HttpRequest, parts: list[weighing.Part], form: Any) -> None:
        if not self._may_change(request):
            raise PermissionDenied

    def _desk_page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        site, meta = self.admin_site, self.model._meta  # type: ignore[attr-defined]
        whole = {**site.each_context(request), "opts": meta, "media": self.media, **context}  # type: ignore[attr-defined]
        return TemplateResponse(request, f"admin/personas/desk/{name}.html", whole)


def _now() -> dt.datetime:
    return timezone.now().astimezone(dt.UTC)


def _persona(pk: int) -> Archetype:
    who = Archetype.objects.select_related("shop").filter(pk=pk).first()
    if who is None:
        raise Http404("There is no such persona.")
    return who


def _share_told(counted: Shares, who: Archetype, days: int) -> str:
    """The share of the period beside the one before, in a sentence."""
    mine, whole = counted.by_persona.get(who.pk), counted.total
    if mine is None or whole[days:].sum() <= 0:
        return f"Nobody was here in the last {days} days"
    now = float(mine[days:].sum() / whole[days:].sum())
    told = f"{100 * now:.0f} in 100 events of the last {days} days were taken for {who.name}"
    if whole[:days].sum() <= 0:
        return f"{told}; there is nothing before to compare with"
    return f"{told}; {100 * float(mine[:days].sum() / whole[:days].sum()):.0f} in the {days} days before"


def _course(counted: Shares, who: Archetype, days: int) -> SafeString:
    percent = 100 * counted.of(who.pk)
    now, before = percent[days:], percent[:days]
    every = 1 if days <= 7 else 7
    labels = [f"{day:%-d %b}" if i % every == 0 else "" for i, day in enumerate(counted.days[days:])]
    told = f"Share of {who.name} by the day, in percent, the last {days} days and the {days} before."
    return mark_safe(charts.course(now, before, labels, [], sentence=told))  # its words are escaped there


def _widest(reached: list[Reached], told: Pairs) -> float:
    """Where the scale of the rates ends, percent: the intervals of clusters seen often have room, those of the others are cut."""
    known = [r.rate.high for r in reached if r.rate.seen >= LEAST_SEEN]
    return max([*known, 3.0 * told.everybody.percent, 1.0])


def _drawn(table: Table) -> SafeString | str:
    if table.measure != "hour" or not table.known:
        return ""
    told = f"{table.title}. {table.sentence}"
    return mark_safe(drawing.hours([v.share for v in table.values], [v.average for v in table.values], sentence=told))


def _fits(course: list[Any]) -> str:
    last = course[-1]
    kept = "" if last.kept is None else f", and shows {100 * last.kept:.0f} % of what it is named by"
    told = f"At the last of {len(course)} fits it takes {100 * last.share:.0f} % of the events{kept}."
    labels = [f"{fit.at:%-d %b %Y}" for fit in course]
    return drawing.fits([fit.kept for fit in course], [fit.share for fit in course], labels, sentence=told)


def _file(who: Archetype, wanted: str, since: dt.date, now: dt.datetime) -> HttpResponseBase:
    """One of the page's tables as a file. Raises Http404 for what is none."""
    name, until = f"{who.shop.slug}-{who.key}-{wanted}", now.date()
    if wanted == "clusters":
        told = pairs(who.shop, since, until)
        return csv_file(
            name, ("cluster", "name", "seen", "clicked", "low", "high", "seen by all", "clicked by all"), _rows(who, told)
        )
    if wanted == "who":
        tables = portrait(who.shop, who.pk, since, until)
        rows = ((t.title, v.name, v.share, v.average) for t in tables for v in t.values)
        return csv_file(name, ("what", "value", "share", "average"), rows)
    if wanted == "share":
        counted = shares(who.shop, since, now)
        return csv_file(name, ("day", "share"), zip(counted.days, counted.of(who.pk).tolist(), strict=True))
    if wanted == "fits":
        rows_ = ((f.at.isoformat(), f.version, f.share, f.kept, f.drift) for f in fits(who.shop, who.pk))
        return csv_file(name, ("fitted", "version", "share", "shows of its name", "drift"), rows_)
    raise Http404("There is no such file.")


def _rows(who: Archetype, told: Pairs) -> Iterator[tuple[Any, ...]]:
    mine = [cluster for p, cluster in told.rates if p == who.pk]
    for one in told.reached(who.pk, names_of(who.shop, mine)):
        rate, whole = one.rate, one.everybody
        yield one.cluster, one.name, rate.seen, rate.clicked, rate.low / 100, rate.high / 100, whole.seen, whole.clicked
