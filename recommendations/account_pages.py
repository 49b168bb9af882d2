"""Admin: why a slate holds an item, and what a visit would have been. Both only read, and follow the rows' view permission."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from clusters.models import Item
from personas.events import UNKNOWN_ITEM
from personas.models import Session, moment
from recommendations import releases
from recommendations.models import MerchandisingRule, ServedSlate

SHOWN = 12
"""Items of a slate that the what-if page shows."""

MOST_EVENTS = 30
"""Events of a visit that can be changed on the page, the latest; the API takes any."""

_FIELDS = {"edits": "Changes", "event_id": "Event", "item": "Item", "name": "Kind of event", "query": "Words", "op": "Change"}
"""What `counterfactual.EditError` names, in the page's words."""

KINDS = {"item": "item looked at", "expert": "expert", "cluster": "group", "persona": "persona", "page": "page"}


def why(request: HttpRequest, site: AdminSite, pk: int, item: int) -> HttpResponse:
    """What carried one item of a served slate."""
    from recommendations import accounts  # the numeric stack, which other pages of the admin do without

    slate = get_object_or_404(ServedSlate.objects.select_related("shop"), pk=pk)
    entry = next((entry for entry in slate.items if entry["item"] == item), None)
    if entry is None:
        raise Http404
    found = Item.objects.filter(pk=item).first()
    context: dict[str, Any] = {
        **site.each_context(request),
        "title": f"Why “{found or item}” was shown",
        "slate": slate,
        "slot": entry["slot"] + 1,
        "rules": MerchandisingRule.objects.filter(pk__in=entry.get("rules", ())).order_by("pk"),
    }
    try:
        told = accounts.explain(slate, item)
    except (accounts.NotThereError, releases.ReleaseError) as error:
        return TemplateResponse(request, "admin/recommendations/why.html", {**context, "missing": str(error)})
    account = told.account
    widest = max((abs(part.value) for part in account.parts), default=1.0)
    lowest = max((abs(tried.fall) for tried in account.tried), default=1.0) or 1.0
    context |= {
        "told": told,
        "account": account,
        "place": account.place + 1,
        "others": account.ranked - 1,
        "reason": account.shown.reason if account.shown else "",
        "sentences": accounts.sentences(told),
        "parts": [(accounts.PARTS[part.name], part.value, _bar(part.value, widest)) for part in account.parts],
        "causes": [
            (KINDS[t.kind], accounts.PARTS[t.name] if t.kind == "expert" else t.name, t.fall, t.holds, _bar(t.fall, lowest))
            for t in account.tried
            if t.fall == t.fall
        ],
        "persona": next(
            (
                n
                for i, n in zip(told.engine.personas.ids, told.engine.personas.archetype_names, strict=True)
                if i == entry["persona"]
            ),
            "",
        ),
    }
    return TemplateResponse(request, "admin/recommendations/why.html", context)


def _bar(value: float, widest: float) -> dict[str, float]:
    """Where a bar starts and how long it is, in units of a drawing that is 200 wide with its zero in the middle."""
    length = 98.0 * abs(value) / widest
    return {"x": 100.0 if value >= 0 else 100.0 - length, "width": max(length, 0.5)}


def what_if(request: HttpRequest, site: AdminSite, session: Session) -> HttpResponse:
    """A visit beside what it would have been: events ticked away, changed or put in by the query."""
    from recommendations import accounts, counterfactual

    context: dict[str, Any] = {
        **site.each_context(request),
        "title": f"What if: visit {session.session_id}",
        "session": session,
        "given": request.GET,
        "events": [],
    }
    try:
        edits, wrong = _edits(request, session)
        told = accounts.what_if(session, edits, slates=1)
    except counterfactual.EditError as error:
        wrong = f"{_FIELDS.get(error.field, error.field)}: {error.reason}."
        edits, told = [], accounts.what_if(session, [], slates=1)
    except (accounts.NotThereError, releases.ReleaseError) as error:
        return TemplateResponse(request, "admin/recommendations/what_if.html", {**context, "missing": str(error)})
    was, would = told.comparison.was, told.comparison.would
    shown = {i.item for m in (was[-1], would[-1]) if m.slate for i in m.slate.items}
    titles = Item.objects.in_bulk({*shown, *(e.item for e in told.past.events if e.item != UNKNOWN_ITEM)})
    out = request.GET.getlist("out")
    model, clusters = told.engine.personas, told.engine.clusters

    def named(ids: tuple[int, ...], others: tuple[int, ...]) -> list[str]:
        return [clusters.names[clusters.position_of[c]] for c in ids if c not in others]

    def slate(moment_: counterfactual.Moment, other: counterfactual.Moment) -> list[dict[str, Any]]:
        there = {i.item for i in other.slate.items[:SHOWN]} if other.slate else set()
        items = moment_.slate.items[:SHOWN] if moment_.slate else ()
        return [{"title": titles.get(i.item, i.item), "reason": i.reason, "only": i.item not in there} for i in items]

    context |= {
        "told": told,
        "wrong": wrong,
        "edited": bool(edits),
        "changed": len(edits),
        "events": [
            {
                "id": event.event_id,
                "at": f"{moment(event.at):%H:%M:%S}",
                "name": event.name.replace("_", " "),
                "about": str(titles.get(event.item, "")) or event.query,
                "out": event.event_id in out,
                "item": request.GET.get(f"item-{event.event_id}", ""),
            }
            for event in told.past.events[: -MOST_EVENTS - 1 : -1]
        ],
        "hidden": max(0, len(told.past.events) - MOST_EVENTS),
        "belief": [
            {"name": name, "colour": colour, "was": 100 * a, "would": 100 * b, "by": 100 * (b - a)}
            for name, colour, a, b in zip(
                model.archetype_names, model.archetype_colours, was[-1].belief, would[-1].belief, strict=True
            )
        ],
        "clusters_out": named(was[-1].clusters, would[-1].clusters),
        "clusters_in": named(would[-1].clusters, was[-1].clusters),
        "clusters_both": len([c for c in was[-1].clusters if c in would[-1].clusters]),
        "was": slate(was[-1], would[-1]),
        "would": slate(would[-1], was[-1]),
        "kinds": [(n, n.replace("_", " ")) for n in ("view_item", "add_to_cart", "add_to_wishlist", "purchase")],
    }
    return TemplateResponse(request, "admin/recommendations/what_if.html", context)


def _edits(request: HttpRequest, session: Session) -> tuple[list[Any], str]:
    """The edits that the form asks for, and what is wrong with it, in words."""
    from recommendations.accounts import item_of
    from recommendations.counterfactual import Edit

    out = set(request.GET.getlist("out"))
    edits = [Edit("remove", event_id) for event_id in sorted(out)]
    for field, value in request.GET.items():
        event_id, external = field.removeprefix("item-"), str(value).strip()
        if not field.startswith("item-") or not external or event_id in out:
            continue
        item = item_of(session.shop, external)
        if item is None:
            return [], f"The catalogue has no item “{external}”: give its id as the shop writes it."
        edits.append(Edit("replace", event_id, item=item))
    added = request.GET.get("add", "").strip()
    if added:
        item = item_of(session.shop, added)
        if item is None:
            return [], f"The catalogue has no item “{added}”: give its id as the shop writes it."
        edits.append(Edit("insert", request.GET.get("after", ""), name=request.GET.get("kind", "view_item"), item=item))
    return edits, ""


def allowed(may: bool) -> None:
    """Raises PermissionDenied unless the rows may be viewed."""
    if not may:
        raise PermissionDenied
