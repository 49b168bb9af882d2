"""The page of one visit: its time line, one step of it, and the visit as it would have been. It only reads.

The address holds all of it: `step`, `edit` (as often as there are changes), `on=now` for the release that serves now, `follow`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone

from clusters.models import Item
from personas.models import Origin, Session, Shop
from recommendations import counterfactual
from recommendations.reading import events_of
from recommendations.releases import ReleaseError
from recommendations.serving.watching import pseudonym
from recommendations.visits import course_charts, drawing, edits, listing, telling
from recommendations.visits.beside import Beside, Pair, beside, told
from recommendations.visits.course import Course, NoEventsError, course_of
from recommendations.visits.edits import Change, EditsError
from recommendations.visits.pages import allowed
from recommendations.visits.telling import Names, Shown

SUGGESTED = 20
FIELDS = {"edits": "Changes", "event_id": "Step", "item": "Item", "name": "Kind of event", "query": "Words", "op": "Change"}
"""What `counterfactual.EditError` names, in the page's words."""


class Address(NamedTuple):
    """Where somebody is on the page. edits : as the address has them."""

    path: str
    edits: tuple[str, ...]
    now: bool
    follow: bool

    def to(self, step: int | None, given: tuple[str, ...] | None = None, **more: str) -> str:
        """Another step, None for the newest; with other changes; with more, or with `on` and `follow` as they are told."""
        options = {"on": "now" if self.now else "", "follow": "1" if self.follow and step is None else ""} | more
        query = [("step", str(step))] if step is not None else []
        query += [("edit", text) for text in (self.edits if given is None else given)]
        query += [(name, value) for name, value in options.items() if value]
        return f"{self.path}?{urlencode(query)}" if query else self.path


def visit(request: HttpRequest, pk: int) -> HttpResponse:
    """?step, edit, on, follow; op, at, kind and what of the forms become one more `edit`; `have` is how many events are shown."""
    allowed(request)
    session = get_object_or_404(Session.objects.select_related("shop", "shopper"), pk=pk)
    given = tuple(text for text in request.GET.getlist("edit") if text)
    here = Address(request.path, given, request.GET.get("on") == "now", request.GET.get("follow") == "1")
    if request.GET.get("op"):
        step, kind, what = (request.GET.get(name, "") for name in ("step", "kind", "what"))
        more = tuple(edits.texts(given, request.GET["op"], request.GET.get("at", step), kind, what))
        return HttpResponseRedirect(here.to(_number(step), more))
    have = _number(request.GET.get("have", ""))
    if have is not None and events_of(session).count() <= have and listing.going(session, timezone.now()):
        return HttpResponse(status=204)
    context: dict[str, Any] = {
        "title": f"Visit {pseudonym(session.shop_id, session.session_id)}",
        "name": pseudonym(session.shop_id, session.session_id),
        "session": session,
        "shop": session.shop,
        "simulated": session.origin == Origin.SIMULATED,
        "base": "admin/visits/part.html" if request.headers.get("x-part") else "admin/titled.html",
    }
    if not request.headers.get("x-part"):
        context |= admin.site.each_context(request)
    try:
        course = course_of(session, now=here.now)
    except (NoEventsError, ReleaseError) as error:
        return _answer(request, {**context, "missing": str(error)})
    return _answer(request, {**context, **_told(request, course, here)})


def _answer(request: HttpRequest, context: dict[str, Any]) -> TemplateResponse:
    return TemplateResponse(request, "admin/visits/visit.html", context, headers={"Vary": "X-Part"})


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else None


def _told(request: HttpRequest, course: Course, here: Address) -> dict[str, Any]:
    asked = _number(request.GET.get("step", ""))
    step = course.last if asked is None else min(asked, course.last)
    names = Names(course, request.user)
    shown, rows = telling.served(course, step, names)
    wanted = telling.request_of(course, rows)
    changes: list[Change] = []
    both: Beside | None = None
    wrong = ""
    if here.edits:
        try:
            changes = edits.read(here.edits, course)
            both = beside(course, [change.edit for change in changes], step, wanted)
        except EditsError as error:
            changes, wrong = [], f"Change {error.place + 1}: {error}."
        except counterfactual.EditError as error:
            changes, wrong = [], f"Change {error.index + 1}, {FIELDS.get(error.field, error.field).lower()}: {error.reason}."
    detail = telling.step(course, step, names)
    would_be: tuple[telling.Card, ...] = ()
    if not shown and both is None:
        at = course.standings[step].at
        made = counterfactual.moment(
            course.engine, course.event(step), at, course.state(step), replace(wanted, explore=0.0)
        ).slate
        names.load(item.item for item in made.items) if made else None
        would_be = telling.made(made, names)
    going = listing.going(course.session, timezone.now())
    return {
        **course_charts.words(course),
        "charts": drawing.charts(course, step, both, here.to),
        "released": _released(course, here, step),
        "step": detail,
        "last_step": course.last,
        "ways": _ways(here, step, course.last),
        "list": _list(course, step, names, here, changes),
        "slates": shown,
        "would_be": would_be,
        "changes": [
            {"words": change.words, "undo": here.to(step, tuple(t for k, t in enumerate(here.edits) if k != place))}
            for place, change in enumerate(changes)
        ],
        "wrong": wrong,
        "as_it_was": here.to(step, ()),
        "both": _both(course, both, changes, names) if both else None,
        "forms": {
            "edits": here.edits,
            "now": here.now,
            "kinds": edits.KINDS.items(),
            "out": here.to(step, (*here.edits, f"out:{step}")),
        },
        "going": going,
        "follow": here.follow and asked is None,
        "follow_url": here.to(None, follow="1"),
        "stay_url": here.to(course.last, follow=""),
        "poll": here.to(None, follow="1", have=str(course.last)),
        "cut": course.cut,
    }


def _ways(here: Address, step: int, last: int) -> dict[str, str]:
    """Where the buttons lead, "" where there is nowhere to go."""
    return {
        "first": here.to(0) if step else "",
        "back": here.to(step - 1) if step else "",
        "on": here.to(step + 1) if step < last else "",
        "last": here.to(last) if step < last else "",
    }


def _list(course: Course, step: int, names: Names, here: Address, changes: list[Change]) -> dict[str, Any]:
    found = telling.listed(course, step, names)
    changed: dict[int, list[str]] = {}
    for change in changes:
        changed.setdefault(change.step, []).append(change.edit.op)
    for row in found["rows"]:
        row |= {"url": here.to(row["step"]), "here": row["step"] == step, "changed": changed.get(row["step"], [])}
    for way in ("before", "after"):
        found[way] = here.to(found[way]) if found[way] else ""
    return found


def _released(course: Course, here: Address, step: int) -> dict[str, Any]:
    """Which release the visit is told on, whether that is the one that served it, and the way to the other."""
    number, served = course.engine.release, course.served_on
    overlay = course.engine.overlay.version
    notes = [course.note] if course.note else []
    if here.now and served and served[-1] != number:
        notes.append(f"Release {served[-1]} served it: this is how release {number} would take it today.")
    elif not served and course.session.origin == Origin.IMPORT:
        notes.append("Nothing was served in this visit: it was imported, and this is how the release would have taken it.")
    elif not served:
        notes.append("No slate of this visit is archived, so that nobody knows which release served it.")
    elif len(set(served)) > 1 and not here.now:
        notes.append(f"It was served on releases {', '.join(dict.fromkeys(served))}: all of it is told on {served[-1]}.")
    if course.session.persona and served and not here.now and not course.note and (apart := _apart(course)):
        notes.append(apart)
    if notes and served:
        notes.append("What was served then is shown as it was logged.")
    other = here.to(step, on="" if here.now else "now") if served else ""
    return {"number": number, "overlay": overlay, "notes": notes, "other": other, "now": here.now, "served": bool(served)}


def _apart(course: Course) -> str:
    """Where the replay ended elsewhere than what served then, in a sentence; "" where they agree or can't be compared."""
    summary: dict[str, Any] = course.session.persona or {}
    logged = {int(i): float(p) for i, p in (summary.get("belief") or {}).items()}
    model = course.engine.personas
    if course.cut or str(summary.get("release", "")) != course.engine.release or logged.keys() != set(model.ids):
        return ""
    k = max(range(len(model.ids)), key=lambda k: abs(logged[model.ids[k]] - course.standings[-1].reading.belief[k]))
    then, replayed = logged[model.ids[k]], course.standings[-1].reading.belief[k]
    if abs(then - replayed) < 0.02:
        return ""
    return (
        f"What served then ended with {model.archetype_names[k]} at {100 * then:.0f} in 100, the replay {100 * replayed:.0f}: "
        "something that isn't kept counted then too, such as evidence that came in mid-visit."
    )


def _both(course: Course, both: Beside, changes: list[Change], names: Names) -> list[dict[str, Any]]:
    """This step and the end, each as it was and as it would have been."""
    pairs: list[tuple[str, Pair]] = [("At this step", both.here)]
    if both.end is not both.here:
        pairs.append(("At the end of the visit", both.end))
    names.load(i.item for _, pair in pairs for m in (pair.was, pair.would) if m.slate for i in m.slate.items)
    words = [change.words for change in changes]
    return [
        {
            "title": title,
            "told": told(pair, course.engine.personas.archetype_names, words),
            "belief": telling.by_persona(course, pair.was.belief, pair.would.belief),
            "in": [names.cluster(c) for c in pair.would.clusters if c not in pair.was.clusters],
            "out": [names.cluster(c) for c in pair.was.clusters if c not in pair.would.clusters],
            "alike": pair.alike,
            "same": sum(c in pair.was.clusters for c in pair.would.clusters),
            "was": Shown("As it was", "", telling.made(pair.was.slate, names, other=pair.would.slate, differs="goes")),
            "would": Shown(
                "As it would have been", "", telling.made(pair.would.slate, names, other=pair.was.slate, differs="comes")
            ),
        }
        for title, pair in pairs
    ]


def items(request: HttpRequest, pk: int) -> HttpResponse:
    """Items of a shop that what was typed (?q) may become: [{"id", "title"}], at most `SUGGESTED`."""
    allowed(request)
    shop = get_object_or_404(Shop, pk=pk)
    words = request.GET.get("q", "").strip()[:200]
    found: list[dict[str, str]] = []
    if words:
        from clusters.search_index import search  # the numeric stack, which other pages of the admin do without
        from clusters.searching import index_of

        ids = search(index_of(shop), words, count=SUGGESTED, as_you_type=True, facets=False).item_ids.tolist()
        rows = Item.objects.filter(shop=shop).in_bulk(ids)
        found = [{"id": rows[i].external_id, "title": str(rows[i])} for i in ids if i in rows]
    return JsonResponse({"items": found})
