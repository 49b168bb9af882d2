"""Files handed in: the form, their list with how each goes, what of them was not taken, cancelling and running again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.http import urlencode
from kombu.exceptions import OperationalError

from personas.models import Shop
from recommendations.desk.data_frame import MOST_LINES, DataFrame, address
from recommendations.desk.tables import csv_file
from recommendations.models import FileImport

SHOWN_IMPORTS = 30

PATIENCE = timedelta(seconds=60)
"""From when what no worker began is told as such."""

PIECE = 65_536

IMPORT = "recommendations.add_fileimport"


class ImportPages(DataFrame):
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse | StreamingHttpResponse:
        """Files that were handed in, those under way with their progress, and the form to hand one in."""
        self._may(request, "recommendations.view_fileimport")
        shops, shop = self._shop(request)
        if request.GET.get("format") == "csv" and shop is not None:
            rows = FileImport.objects.filter(shop=shop).select_related("by")[:MOST_LINES].iterator(chunk_size=500)
            head = ("handed in", "file", "holds", "state", "read", "new", "known", "not taken", "error", "by")
            return csv_file(f"imports-{shop.slug}", head, (_import_line(row) for row in rows))
        kinds = FileImport.Kind.choices
        context = {"shops": shops, "shop": shop, "kinds": kinds, "may_import": request.user.has_perm(IMPORT)}
        return self._page(request, "changelist", "data_imports", {**context, **self._imports(request, shop)})

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """An import is told in the list; the audit log leads here."""
        self._may(request, "recommendations.view_fileimport")
        row = get_object_or_404(FileImport.objects.select_related("shop"), pk=object_id if object_id.isdecimal() else 0)
        return HttpResponseRedirect(f"{address('changelist')}?{urlencode({'shop': row.shop.slug})}")

    def progress(self, request: HttpRequest) -> HttpResponse:
        """The list of imports alone, for a page that waits."""
        self._may(request, "recommendations.view_fileimport")
        _, shop = self._shop(request)
        context = {"shop": shop, "may_import": request.user.has_perm(IMPORT), **self._imports(request, shop)}
        return TemplateResponse(request, "admin/desk/data_imports_list.html", context)

    def _imports(self, request: HttpRequest, shop: Shop | None) -> dict[str, Any]:
        from recommendations import file_imports  # the importers, which other pages of the admin do without

        if shop is None:
            return {"imports": [], "waits": False}
        rows = list(FileImport.objects.filter(shop=shop).select_related("by")[:SHOWN_IMPORTS])
        working = file_imports.under_way(rows)
        told = [_shown(row, row.pk in working, file_imports.is_whole(row)) for row in rows]
        return {"imports": told, "waits": any(each["state"] in ("waiting", "running", "arriving") for each in told)}

    def hand_in(self, request: HttpRequest) -> HttpResponse:
        """A file from a browser without scripts, in one piece; the server's bound on a body holds."""
        from recommendations import file_imports

        self._may(request, IMPORT)
        shop = get_object_or_404(Shop, slug=request.POST.get("shop", ""))
        to = f"{address('changelist')}?{urlencode({'shop': shop.slug})}"
        file = request.FILES.get("file")
        try:
            if file is None:
                raise file_imports.HandInError("Choose a file.")
            check = request.POST.get("check") == "1"
            kind = request.POST.get("kind", "")
            row = file_imports.begin(shop, kind, file.name or "", file.size or 0, by=request.user, check=check)
            file_imports.take_piece(row, 0, file.chunks())
            file_imports.ask(row)
        except file_imports.HandInError as error:
            messages.error(request, str(error))
        except OperationalError:
            messages.error(request, "The queue of tasks can’t be reached. The file is kept: press Run again in a minute.")
        return HttpResponseRedirect(to)

    def begin(self, request: HttpRequest) -> HttpResponse:
        """Announce a file that comes in pieces: where to send them."""
        from recommendations import file_imports

        self._may(request, IMPORT)
        shop = get_object_or_404(Shop, slug=request.POST.get("shop", ""))
        size = request.POST.get("size", "")
        try:
            row = file_imports.begin(
                shop,
                request.POST.get("kind", ""),
                request.POST.get("name", ""),
                int(size) if size.isdecimal() and len(size) < 16 else 0,
                by=request.user,
                check=request.POST.get("check") == "1",
            )
        except file_imports.HandInError as error:
            return JsonResponse({"error": str(error)}, status=422)
        return JsonResponse({"piece": address("piece", row.pk)})

    def piece(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A piece of a file, as the request's body; with the last one the import is asked for."""
        from recommendations import file_imports

        self._may(request, IMPORT)
        row = get_object_or_404(FileImport, pk=pk, by=request.user)
        offset = request.GET.get("offset", "")
        if not (offset.isdecimal() and len(offset) < 16):
            return JsonResponse({"error": "offset must be a whole number"}, status=422)
        try:
            there = file_imports.take_piece(row, int(offset), iter(lambda: request.read(PIECE), b""))
            if file_imports.is_whole(row):
                file_imports.ask(row)
        except file_imports.HandInError as error:
            return JsonResponse({"error": str(error)}, status=409)
        except OperationalError:
            return JsonResponse({"error": "The queue of tasks can’t be reached. The file is kept: press Run again."}, status=503)
        return JsonResponse({"received": there})

    def rejected(self, request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
        """The lines that were not taken, as a file; for those who import, since reasons may quote a shopper's id."""
        from recommendations import file_imports

        self._may(request, IMPORT)
        row = get_object_or_404(FileImport.objects.select_related("shop"), pk=pk)
        if not row.folder or not file_imports.rejects_of(row).exists():
            messages.error(request, f"Rejected lines are kept {file_imports.KEPT.days} days. Hand the file in again to see them.")
            return HttpResponseRedirect(f"{address('changelist')}?{urlencode({'shop': row.shop.slug})}")
        return csv_file(f"rejected-{row.pk}", ("line", "field", "reason"), file_imports.rejected(row))

    def cancel(self, request: HttpRequest, pk: int) -> HttpResponse:
        from recommendations import file_imports

        return self._decide(
            request, pk, lambda row: file_imports.cancel(row, request.user.get_username()), "It stops at its next step."
        )

    def again(self, request: HttpRequest, pk: int) -> HttpResponse:
        from recommendations import file_imports

        return self._decide(request, pk, file_imports.again, "It waits for a worker.")

    def _decide(self, request: HttpRequest, pk: int, act: Callable[[FileImport], None], told: str) -> HttpResponse:
        from recommendations import file_imports

        self._may(request, IMPORT)
        row = get_object_or_404(FileImport.objects.select_related("shop"), pk=pk)
        try:
            act(row)
        except file_imports.HandInError as error:
            messages.error(request, str(error))
        except OperationalError:
            messages.error(request, "The queue of tasks can’t be reached. Try again in a minute.")
        else:
            messages.success(request, told)
        return HttpResponseRedirect(f"{address('changelist')}?{urlencode({'shop': row.shop.slug})}")


def _shown(row: FileImport, working: bool, whole: bool) -> dict[str, Any]:
    """An import as the list tells it. state : of the row, or "arriving" while it is being sent, or "interrupted"."""
    state: str = row.state
    if state == FileImport.State.WAITING and not whole:
        state = "arriving"
    elif state == FileImport.State.RUNNING and not working:
        state = "interrupted"
    received = 100 * row.counts.get("received", 0) / max(row.size, 1)
    return {
        "row": row,
        "state": state,
        "check": bool(row.counts.get("check")),
        "percent": received if state == "arriving" else 100 * row.progress,
        "stops": "cancelled" in row.counts and state == "running",
        "may_again": state == "interrupted" or state == "waiting" and timezone.now() - row.started_at > PATIENCE,
        "may_cancel": state in ("waiting", "arriving", "running", "interrupted"),
    }


def _import_line(row: FileImport) -> Sequence[Any]:
    counts = [row.counts.get(name, "") for name in ("read", "added", "known")]
    by = row.by.get_username() if row.by else ""
    return (f"{row.started_at:%Y-%m-%d %H:%M}", row.name, row.kind, row.state, *counts, row.rejected, row.error, by)
