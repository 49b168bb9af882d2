"""Preview: a shopper made to order, and the slates that they get on each page now and after what is unpublished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from personas.models import Shop
from recommendations.desk.shops import chosen

if TYPE_CHECKING:
    from recommendations.desk.made_visits import Believed, Slot
    from recommendations.desk.preview_asks import Asked
    from recommendations.engine import Engine
    from recommendations.serving.asks import Ask
    from recommendations.session import SessionState

SHOWN = 8
"""Items of each slate."""

MOST_FOUND = 12

RIGHTS = ("clusters.view_itemcluster", "recommendations.view_merchandisingrule", "personas.view_archetype")
"""A preview tells of all three, so that it takes the right to look at each."""

PLACES = {
    "home": ("Home page", ""),
    "similar": ("Item page: similar", "beside “{}”"),
    "complementary": ("Item page: goes with it", "beside “{}”"),
    "cart": ("Cart", "with “{}"),
    "search": ("Search", "for “{}”"),
}
"""Context -> its name, and what it stands beside."""

MOVED = {"new": "comes in", "gone": "goes", "up": "up", "down": "down"}


def urls(pages: Any) -> list[URLPattern]:
    """Of the pages that `DraftPages` registers."""
    view, name = pages.admin_site.admin_view, "recommendations_draftedit"

    def preview(request: HttpRequest) -> HttpResponse:
        return shown(request, pages)

    return [
        path("preview/", view(preview), name=f"{name}_preview"),
        path("preview/found/<int:shop_id>/", view(found), name=f"{name}_preview_found"),
    ]


def may_preview(user: Any) -> bool:
    return all(user.has_perm(right) for right in RIGHTS)


def _allowed(request: HttpRequest) -> None:
    if not may_preview(request.user):
        raise PermissionDenied


def shown(request: HttpRequest, pages: Any) -> HttpResponse:
    """The page; what is asked for is its address (`preview_asks`). To htmx, what stands in it."""
    from recommendations.desk import preview_asks  # the numeric stack, which other pages of the admin do without
    from recommendations.drafts.engines import drafted
    from recommendations.releases import ReleaseError

    _allowed(request)
    shops = list(Shop.objects.order_by("slug"))
    shop = chosen(request, shops)
    context: dict[str, Any] = {"title": "Preview", "shops": shops, "shop": shop, "missing": ""}
    address = ""
    if shop is None:
        context["missing"] = "There is no shop yet. Make one, import its catalogue and train it."
    else:
        try:
            made = drafted(shop)
        except ReleaseError:
            context["missing"] = f"Nothing serves {shop} yet, so there is no slate to show. Train it first."
        else:
            asked = preview_asks.read(request.GET, made.now)
            here = reverse("admin:recommendations_draftedit_preview")
            address = f"{here}?{asked.query(shop.slug)}"
            if not request.headers.get("HX-Request") and {"add", "drop", "like"} & request.GET.keys():
                return HttpResponseRedirect(address)
            context |= _result(shop, made, asked)
    if request.headers.get("HX-Request"):
        response = TemplateResponse(request, "admin/desk/preview_body.html", context)
        if address:
            response["HX-Push-Url"] = address
        return response
    whole = {**pages.admin_site.each_context(request), "media": pages.media, **context}
    return TemplateResponse(request, "admin/desk/preview.html", whole)


def found(request: HttpRequest, shop_id: int) -> HttpResponse:
    """?q= : items that words find, each with what the shopper may do with it."""
    from clusters.search_index import search
    from clusters.searching import index_of
    from recommendations.stories import engine_of

    _allowed(request)
    shop = get_object_or_404(Shop, pk=shop_id)
    words = request.GET.get("q", "").strip()[:200]
    items: list[Shown] = []
    if words:
        engine = engine_of(shop)
        hits = search(index_of(shop), words, count=MOST_FOUND, as_you_type=True, facets=False)
        items = [item for pk in hits.item_ids.tolist() if (item := _item(shop, engine, pk)) is not None]
    return TemplateResponse(request, "admin/desk/preview_found.html", {"words": words, "items": items, "shop": shop})


# What is shown


class Shown(NamedTuple):
    """An item of the catalogue that serves."""

    external: str
    title: str
    picture: str


class ShownSlot(NamedTuple):
    item: Shown | None
    reason: str
    change: str
    moved: str


@dataclass(frozen=True)
class Place:
    """One page of the shop. sides : title -> its slots; one side where nothing is unpublished.  differs : slots that do."""

    name: str
    beside: str
    sides: tuple[tuple[str, tuple[ShownSlot, ...]], ...]
    differs: int


def _result(shop: Shop, made: Any, asked: Asked) -> dict[str, Any]:
    from recommendations.desk import made_visits, preview_asks

    now = timezone.now().timestamp()
    engines = [made.now, made.then] if made.differs else [made.now]
    engines = [made_visits.with_rules_for_all(engine) for engine in engines]
    visits = [asked.visit(engine, now) for engine in engines]
    states = [made_visits.begun(e, v, shop=shop.pk) for e, v in zip(engines, visits, strict=True)]
    beliefs = [made_visits.believed(e, s) for e, s in zip(engines, states, strict=True)]
    titles = ["Now", "After what is unpublished"]
    places, clusters = [], []
    for name, ask, beside in _asks(shop, engines[0], asked):
        slates = [_slate(engine, state, ask, visits[0].at) for engine, state in zip(engines, states, strict=True)]
        if name == "home":
            clusters = [_clusters(e, s) for e, s in zip(engines, slates, strict=True)]
        slots = made_visits.beside(slates[0].items, slates[1].items) if len(slates) == 2 else (
            made_visits.beside(slates[0].items, slates[0].items)[0],
        )  # fmt: skip
        sides = tuple((title, _slots(shop, e, side)) for title, e, side in zip(titles, engines, slots, strict=False))
        label, words = PLACES[name]
        differs = sum(bool(slot.change) for slot in slots[-1]) if len(slates) == 2 else 0
        places.append(Place(label, words.format(beside), sides, differs))
    model = engines[0].personas
    return {
        "asked": asked,
        "mix": [
            {"key": key, "name": name, "colour": colour, "much": asked.mix.get(key, 0)}
            for key, name, colour in zip(model.archetype_keys, model.archetype_names, model.archetype_colours, strict=True)
        ],
        "variables": [
            (name, name.replace("_", " ").capitalize(), values, asked.context.get(name, ""))
            for name, values in preview_asks.variables(engines[0])
        ],
        "does": [
            (n, preview_asks.VERBS[verb], f"“{what}”" if verb == "search" else _title(shop, engines[0], what))
            for n, (verb, what) in enumerate(asked.does)
        ],
        "made": made,
        "unpublished": len(made.fates) + len(made.personas),
        "beliefs": _beliefs(titles, engines, beliefs),
        "clusters": clusters[0] if clusters else [],
        "clusters_in": [name for name in clusters[1] if name not in clusters[0]] if len(clusters) == 2 else [],
        "clusters_out": [name for name in clusters[0] if name not in clusters[1]] if len(clusters) == 2 else [],
        "places": places,
        "differ": sum(place.differs > 0 for place in places),
    }


def _asks(shop: Shop, engine: Engine, asked: Asked) -> list[tuple[str, Ask, str]]:
    """(context, what is asked, what it stands beside) of each page; by what the shopper did last, unless the address says."""
    from clusters.search_index import search
    from clusters.searching import index_of
    from recommendations.serving.asks import MOST_FOUND as MOST_RANKED
    from recommendations.serving.asks import Ask, Sought

    catalogue = engine.catalogue
    touched = [what for verb, what in asked.does if verb not in ("search", "bought")]
    first = int(engine.ranker.popularity.top[0]) if len(engine.ranker.popularity.top) else 0
    anchor = asked.item or (touched[-1] if touched else catalogue.external_ids[first])
    cart = [what for verb, what in asked.does if verb == "add_to_cart"] or [anchor]
    searched = [what for verb, what in asked.does if verb == "search"]
    title = _title(shop, engine, anchor)
    words = asked.words or (searched[-1] if searched else _kind(engine, anchor) or title)
    hits = search(index_of(shop), words, count=MOST_RANKED, facets=False)
    results = tuple(zip(hits.item_ids.tolist(), hits.scores.tolist(), strict=True))
    more = f"” and {len(cart) - 1} more" if len(cart) > 1 else "”"
    return [
        ("home", Ask(context="home", count=SHOWN), ""),
        ("similar", Ask(context="similar", count=SHOWN, item_id=anchor), title),
        ("complementary", Ask(context="complementary", count=SHOWN, item_id=anchor), title),
        ("cart", Ask(context="cart", count=SHOWN, items=list(dict.fromkeys(cart))), _title(shop, engine, cart[-1]) + more),
        ("search", Sought(context="search", count=SHOWN, query=words, found=results), words),
    ]


def _slate(engine: Engine, state: SessionState, ask: Ask, at: float) -> Any:
    from recommendations.desk import made_visits
    from recommendations.serving.asks import request_of

    return made_visits.slate(engine, state, replace(request_of(engine, ask, at), reasons=True))


def _kind(engine: Engine, external: str) -> str:
    catalogue = engine.catalogue
    code = int(catalogue.category[catalogue.position(catalogue.ids_of([external])[0])])
    return catalogue.categories[code] if code >= 0 else ""


def _item(shop: Shop, engine: Engine, pk: int) -> Shown | None:
    """None where the catalogue that serves lacks it."""
    catalogue = engine.catalogue
    position = catalogue.position(pk)
    if position < 0:
        return None
    external = catalogue.external_ids[position]
    drawn = reverse("storefront:picture", kwargs={"slug": shop.slug, "external_id": external}) if shop.demo else ""
    return Shown(external, catalogue.titles[position] or external, drawn)


def _title(shop: Shop, engine: Engine, external: str) -> str:
    item = _item(shop, engine, int(engine.catalogue.ids_of([external])[0]))
    return item.title if item is not None else external


def _slots(shop: Shop, engine: Engine, side: Sequence[Slot]) -> tuple[ShownSlot, ...]:
    return tuple(
        ShownSlot(_item(shop, engine, slot.item.item), slot.item.reason, slot.change, MOVED.get(slot.change, "")) for slot in side
    )


def _clusters(engine: Engine, slate: Any) -> list[str]:
    clusters = engine.clusters
    return [clusters.names[clusters.position_of[c]] for c in slate.clusters if c in clusters.position_of]


def _beliefs(titles: Sequence[str], engines: Sequence[Engine], beliefs: Sequence[Believed]) -> list[tuple[str, Any, bool]]:
    """(title, rows, whether unsure) of each engine; once where all are the same."""
    told = [(t, _belief(e, b), b.unsure) for t, e, b in zip(titles, engines, beliefs, strict=False)]
    return [("Now and after", *told[0][1:])] if len(told) == 2 and told[0][1:] == told[1][1:] else told


def _belief(engine: Engine, believed: Believed) -> list[dict[str, Any]]:
    model = engine.personas
    rows = zip(model.ids, model.archetype_names, model.archetype_colours, strict=True)
    told = [{"name": name, "colour": colour, "percent": 100 * believed.shares.get(pk, 0.0)} for pk, name, colour in rows]
    return sorted(told, key=lambda row: -row["percent"])
