"""The Data pages beside imports: gaps of the catalogue, searches without results, trainings and releases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from celery import current_app
from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.http import urlencode
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError

from personas.models import Shop
from recommendations import audit
from recommendations.desk import data
from recommendations.desk.data_frame import MOST_LINES, address
from recommendations.desk.import_pages import PATIENCE, ImportPages
from recommendations.desk.tables import csv_file
from recommendations.models import FileImport, Release, TrainingRun

SIZE = 50
"""Rows of a page."""

ACTIVATE = "recommendations.change_release"
TASKS = {
    "all": ("recommendations.tasks.train_shop", "a training of everything"),
    "personas": ("recommendations.tasks.fit_personas", "a fit of the personas"),
    "clusters": ("recommendations.tasks.build_clusters", "a build of the clusters"),
}
"""By name: the tasks import the numeric stack, which pages of the admin do without."""


@admin.register(FileImport)
class DataPages(ImportPages):
    """Imports of files; the other pages of data lie beside its list."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        pages: dict[str, tuple[str, Callable[..., HttpResponseBase]]] = {
            "coverage": ("coverage/", self.coverage),
            "searches": ("searches/", self.searches),
            "training": ("training/", self.training),
            "training_progress": ("training/<int:shop_id>/progress/", self.training_progress),
            "training_start": ("training/<int:shop_id>/start/", require_POST(self.training_start)),
            "training_cancel": ("training/<int:run>/cancel/", require_POST(self.training_cancel)),
            "hand_in": ("hand-in/", require_POST(self.hand_in)),
            "begin": ("begin/", require_POST(self.begin)),
            "piece": ("<int:pk>/piece/", require_POST(self.piece)),
            "progress": ("progress/", self.progress),
            "rejected": ("<int:pk>/rejected/", self.rejected),
            "cancel": ("<int:pk>/cancel/", require_POST(self.cancel)),
            "again": ("<int:pk>/again/", require_POST(self.again)),
        }
        urls = [path(way, view(of), name=f"recommendations_fileimport_{name}") for name, (way, of) in pages.items()]
        return [*urls, *super().get_urls()]

    # The catalogue

    def coverage(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """How many items lack what, and which they are."""
        self._may(request, "clusters.view_item")
        shops, shop = self._shop(request)
        if shop is None:
            return self._page(request, "coverage", "data_coverage", {"shops": shops, "shop": None})
        gap, words, category = (request.GET.get(name, "").strip()[:120] for name in ("gap", "q", "category"))
        items = data.lacking(shop, gap, words, category)
        if request.GET.get("format") == "csv":
            columns = ("external_id", "title", "category", "brand", "price", "in_stock")
            rows = items.values_list(*columns)[:MOST_LINES].iterator(chunk_size=2_000)
            return csv_file(f"items-{gap or 'all'}-{shop.slug}", columns, rows)
        found = data.coverage(shop)
        known = next((each for each, _ in found.gaps if each.key == gap), None)
        pages = Paginator(items, SIZE)
        if not words and not category:  # counted already
            pages.__dict__["count"] = found.items if known is None else dict((g.key, n) for g, n in found.gaps)[gap]
        context = {
            "shops": shops,
            "shop": shop,
            "found": found,
            "gap": known,
            "words": words,
            "category": category,
            "categories": data.categories(shop),
            "page": pages.get_page(request.GET.get("page")),
            "query": _query(request, "page", "format"),
        }
        return self._page(request, "coverage", "data_coverage", context)

    # Searches

    def searches(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """What shoppers search for, and what they don't find."""
        self._may(request, "personas.view_session")
        shops, shop = self._shop(request)
        days = next((n for n in data.PERIODS if str(n) == request.GET.get("days")), data.PERIODS[1])
        words, only = request.GET.get("q", "").strip()[:120], request.GET.get("only", "")
        least = whole(request, "least", default=data.LEAST_TIMES, most=data.MOST_TIMES)
        under = whole(request, "under", default=data.FEW_PERCENT, most=100)
        led_since = data.led_since(shop) if shop is not None else None
        terms, total = data.terms(shop, days, words, led_since) if shop is not None else ([], 0)
        nothing = [term for term in terms if not term.found]
        few = [term for term in terms if term.found and term.told >= max(least, 1) and term.percent < under]
        shown = {"none": nothing, "part": [t for t in terms if t.loosely or t.missing], "few": few}.get(only, terms)
        if request.GET.get("format") == "csv" and shop is not None:
            head = ("searched for", "times", "led to an item", "of 100", "items found now", "read as", "words that no item has")
            rows = ((t.term, t.times, t.led, round(t.percent, 1), t.found, t.read_as, " ".join(t.missing)) for t in shown)
            return csv_file(f"searches-{shop.slug}", head, rows)
        context = {
            "shops": shops,
            "shop": shop,
            "days": days,
            "periods": data.PERIODS,
            "words": words,
            "only": only,
            "least": least,
            "under": under,
            "most_times": data.MOST_TIMES,
            "few": len(few),
            "led_since": led_since if led_since and led_since <= data.today() else None,
            "total": total,
            "told": len(terms),
            "most": data.MOST_TERMS,
            "nothing": sum(term.times for term in nothing),
            "page": Paginator(shown, SIZE).get_page(request.GET.get("page")),
            "query": _query(request, "page", "format"),
        }
        return self._page(request, "searches", "data_searches", context)

    # Trainings

    def training(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """What trains now, what came of it before, and what each release was made from."""
        self._may(request, "recommendations.view_trainingrun")
        shops, shop = self._shop(request)
        if shop is None:
            return self._page(request, "training", "data_training", {"shops": shops, "shop": None})
        releases = data.trained(shop) if request.user.has_perm("recommendations.view_release") else []
        if request.GET.get("format") == "csv":
            return csv_file(f"releases-{shop.slug}", _RELEASE_HEAD, (_release_line(each) for each in releases))
        context = {"shops": shops, "shop": shop, "releases": releases, **self._runs(request, shop)}
        return self._page(request, "training", "data_training", context)

    def training_progress(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """How the training goes, as a part of the page."""
        self._may(request, "recommendations.view_trainingrun")
        shop = get_object_or_404(Shop, pk=shop_id)
        return TemplateResponse(request, "admin/desk/data_training_runs.html", {"shop": shop, **self._runs(request, shop)})

    def _runs(self, request: HttpRequest, shop: Shop) -> dict[str, Any]:
        from recommendations.run_records import is_cancelled, under_way

        working, rows = under_way(shop), data.runs(shop)
        asked = parse_asked(request.GET.get("asked", ""))
        waits = asked is not None and working is None and not any(row.run.started_at >= asked for row in rows)
        return {
            "working": working,
            "cancelled": working is not None and is_cancelled(working),
            "percent": 100 * working.progress if working else 0,
            "runs": [row for row in rows if working is None or row.run.pk != working.pk],
            "asked": request.GET.get("asked", "") if waits else "",
            "lost": bool(waits and asked is not None and timezone.now() - asked > PATIENCE),
            "may_train": request.user.has_perm(ACTIVATE),
            "has_release": Release.objects.active(shop) is not None,
        }

    def training_start(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """Ask a worker for a training."""
        from recommendations.run_records import under_way

        self._may(request, ACTIVATE)
        shop = get_object_or_404(Shop, pk=shop_id)
        to = f"{address('training')}?{urlencode({'shop': shop.slug})}"
        task, words = TASKS.get(request.POST.get("kind", ""), ("", ""))
        if not task:
            messages.error(request, "Say what is to be trained.")
            return HttpResponseRedirect(to)
        if under_way(shop) is not None:
            messages.warning(request, "Nothing was asked for: a training is under way. Wait until it is done, or cancel it.")
            return HttpResponseRedirect(to)
        if request.POST["kind"] != "all" and Release.objects.active(shop) is None:
            messages.error(request, f"{shop} has no release yet: train everything first.")
            return HttpResponseRedirect(to)
        now = timezone.now()
        try:
            current_app.send_task(task, args=(shop.pk,), retry=False)
        except OperationalError:
            messages.error(request, "Nothing was asked for: the queue of tasks can’t be reached. Try again in a minute.")
            return HttpResponseRedirect(to)
        audit.record(audit.person(request.user), "asked", subject=shop, what=f"Asked for {words}.")
        return HttpResponseRedirect(f"{to}&asked={now:%Y-%m-%dT%H:%M:%SZ}")

    def training_cancel(self, request: HttpRequest, run: int) -> HttpResponse:
        """Have a training end at its next step."""
        from recommendations.run_records import cancel, under_way

        self._may(request, ACTIVATE)
        row = get_object_or_404(TrainingRun.objects.select_related("shop"), pk=run)
        if under_way(row.shop) != row:
            messages.warning(request, "It has ended already.")
        else:
            cancel(row, request.user.get_username())
            audit.record(audit.person(request.user), audit.STOPPED, subject=row, what="Cancelled the training.")
            messages.success(request, "The training ends at its next step. What serves goes on serving.")
        return HttpResponseRedirect(f"{address('training')}?{urlencode({'shop': row.shop.slug})}")


def parse_asked(text: str) -> Any:
    """When something was asked for, by the address; None where that says nothing that can be read."""
    try:
        at = parse_datetime(text)
    except ValueError:  # the 99th of a month
        return None
    return at if at is not None and timezone.is_aware(at) else None


def whole(request: HttpRequest, name: str, *, default: int, most: int) -> int:
    """A whole number from 1 that the address gives, the default where it gives none."""
    told = request.GET.get(name, "").strip()
    return min(max(int(told), 1), most) if told.isdecimal() and len(told) < 10 else default


def _query(request: HttpRequest, *without: str) -> str:
    """The address's filters, but for some."""
    kept = [(name, str(value)) for name, value in request.GET.items() if name not in without and value]
    return urlencode(kept)


_RELEASE_HEAD = ("number", "state", "made", "activated", "by", "trained from", "evaluation", "notes")


def _release_line(each: data.Trained) -> Sequence[Any]:
    release = each.release
    times = (f"{at:%Y-%m-%d %H:%M}" if at else "" for at in (release.created_at, release.activated_at))
    by = release.activated_by.get_username() if release.activated_by else ""
    return (release.number, release.state, *times, by, each.facts, " ".join(each.evaluated), release.notes)
