"""The demo storefront: pages of a shop, rendered here, made live by `static/panel.js` through the public doors.

A page reads the catalogue from the database and nothing else. Persona, clusters and recommendations reach it only
as they reach any integrator: over REST and the websocket, with a session token.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping

from django.core.paginator import Page, Paginator
from django.db.models import Count, F, Min, QuerySet
from django.db.models.functions import Mod
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET, require_POST, require_safe

from clusters.catalogue import PRICE_TIERS
from clusters.models import Item
from personas import versions
from personas.models import Session, Shop
from recommendations.models import Release, TrainingRun
from recommendations.serving.access import issue_session_token
from recommendations.web import bags, circumstances, kept, shoppers
from recommendations.web.cards import Card, card, readable
from recommendations.web.drawing.pictures import STYLE, picture

PAGE_SIZE = 24
RAIL_SIZE = 12
DOOR_PICTURES = 5
DOORS = 6
"""Categories that the first page opens with a picture."""

MOST_VARIANTS = 24

OF_THE_LOG = frozenset({"views", "lines", "above_category_avg_price"})
"""Columns of the demo's data that tell of its log, not of the goods: no shopper is shown them."""

SORTS = {
    "": ("Mixed", ()),
    "cheapest": ("Cheapest first", (F("price").asc(nulls_last=True), "pk")),
    "dearest": ("Dearest first", (F("price").desc(nulls_last=True), "pk")),
    "name": ("A to Z", ("title", "pk")),
}
"""Orders of a list of goods: the address's word, what the page calls it, and the columns; () for the mixture."""


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The demo shops; the only one, if there is only one that is ready."""
    shops = list(Shop.objects.filter(demo=True).order_by("pk"))
    ready = set(Release.objects.filter(state=Release.State.ACTIVE).values_list("shop_id", flat=True))
    usable = [shop for shop in shops if shop.pk in ready] or shops
    if len(usable) == 1:
        return redirect("storefront:home", slug=usable[0].slug)
    doors = [_door(shop, ready=shop.pk in ready) for shop in shops]
    return render(request, "storefront/index.html", {"doors": doors})


def _door(shop: Shop, *, ready: bool) -> dict[str, object]:
    """What the front page shows of a shop."""
    items = Item.objects.of_shop(shop)
    return {
        "shop": shop,
        "size": f"{items.count():,}",
        "ready": ready,
        "simulated": is_simulated(shop),
        "cards": [card(shop, found) for found in _shuffled(items.filter(in_stock=True))[:DOOR_PICTURES]],
    }


@require_safe
@never_cache
@gzip_page
def home(request: HttpRequest, slug: str) -> HttpResponse:
    shop = demo_shop(slug)
    if is_preparing(shop):
        return render(request, "storefront/preparing.html", {"shop": shop, "simulated": is_simulated(shop), **_progress(shop)})
    items = Item.objects.of_shop(shop).filter(in_stock=True)
    more: dict[str, object] = {}
    if request.GET.keys().isdisjoint({"page", "sort"}):
        reduced = items.filter(regular_price__gt=F("price"))
        more = {
            "seen": bags.in_order(shop, kept.items_of(request, shop, kept.SEEN)),
            "reduced": [card(shop, i) for i in _shuffled(reduced, step=2_741)[:RAIL_SIZE]],
            "doors": _doors_in(shop),
        }
    return _listing(request, shop, items, heading="", more=more)


def _doors_in(shop: Shop) -> list[tuple[str, int, Card]]:
    """The largest categories, each with its size and one of its goods for a picture."""
    shown = list(largest_categories(shop))[:DOORS]
    names = [name for name, _ in shown]
    firsts = Item.objects.of_shop(shop).filter(category__in=names, in_stock=True).order_by().values("category")
    pks = dict(firsts.annotate(first=Min("pk")).values_list("category", "first"))
    rows = Item.objects.in_bulk(list(pks.values()))
    return [(name, size, card(shop, rows[pks[name]])) for name, size in shown if pks.get(name) in rows]


@require_safe
@never_cache
@gzip_page
def category(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    shop = demo_shop(slug)
    items = Item.objects.of_shop(shop).filter(category=name)
    if not items.exists():
        raise Http404(f"{shop.name} has no category “{name}”.")
    return _listing(request, shop, items, heading=name.capitalize(), chosen=name)


@require_safe
@never_cache
@gzip_page
def item(request: HttpRequest, slug: str, external_id: str) -> HttpResponse:
    shop = demo_shop(slug)
    found = Item.objects.of_shop(shop).filter(external_id=external_id).first()
    if found is None:
        raise Http404(f"{shop.name} has no item “{external_id}”. It may have been taken out of the catalogue.")
    more = _shuffled(Item.objects.of_shop(shop).filter(category=found.category).exclude(pk=found.pk))[:RAIL_SIZE]
    seen = kept.items_of(request, shop, kept.SEEN)
    response = shop_page(
        request,
        shop,
        "storefront/item.html",
        chosen=found.category,
        item=found,
        card=card(shop, found),
        facts=_facts(found),
        tags=[str(tag) for tag in found.tags][:12],
        variants=_variants(shop, found),
        wished=found.pk in kept.items_of(request, shop, kept.WISHES),
        pieces=range(1, 11),
        more=[card(shop, i) for i in more],
        seen=bags.in_order(shop, [pk for pk in seen if pk != found.pk]),
    )
    looked_at = [found.pk, *(pk for pk in seen if pk != found.pk)][: kept.MAX_SEEN]
    kept.keep(request, response, shop, kept.visit_of(request), kept.SEEN, looked_at)
    return response


def _facts(found: Item) -> list[tuple[str, str]]:
    """What the catalogue knows of an item beside its price: names and values, in the page's words."""
    tier = price_tier(found)
    facts = [("Category", found.category), ("Brand", found.brand), ("Colour", found.colour)]
    own = [(name, value) for name, value in found.attributes.items() if name not in OF_THE_LOG]
    facts += [(str(name).replace("_", " ").capitalize(), _in_words(value)) for name, value in own]
    if tier is not None:
        facts.append(("Price tier", f"{PRICE_TIERS[tier]} in {found.category or 'this shop'}"))
    return [(name, value) for name, value in facts if value]


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _variants(shop: Shop, found: Item) -> list[tuple[str, Card]]:
    """The item and its siblings, each by what sets it apart from the others; nothing where it has none."""
    if not found.item_group_id:
        return []
    rows = list(Item.objects.of_shop(shop).filter(item_group_id=found.item_group_id).order_by("pk")[:MOST_VARIANTS])
    if len(rows) < 2:
        return []
    facts = [dict([("Colour", row.colour), *((str(k), _in_words(v)) for k, v in row.attributes.items())]) for row in rows]
    apart = [name for name in facts[0] if len({told.get(name, "") for told in facts}) > 1]
    shown = [card(shop, row) for row in rows]
    words = [", ".join(told[name] for name in apart if told.get(name)) for told in facts]
    return [(said or each.title, each) for said, each in zip(words, shown, strict=True)]


@require_safe
@gzip_page
def item_picture(request: HttpRequest, slug: str, external_id: str) -> HttpResponse:
    """The item's drawing. It depends on the item's own columns only, so its address may be kept for long."""
    found = get_object_or_404(Item, shop__slug=slug, shop__demo=True, external_id=external_id)
    tier = price_tier(found) or 0
    drawn_from = f"{STYLE}|{external_id}|{found.title}|{found.category}|{found.colour}|{tier}|{found.tags}"
    etag = f'"{hashlib.blake2b(drawn_from.encode(), digest_size=12).hexdigest()}"'
    if etag in request.headers.get("If-None-Match", ""):
        response: HttpResponse = HttpResponseNotModified()
    else:
        drawn = picture(
            external_id,
            title=readable(found.title),
            category=found.category,
            colour=found.colour,
            tier=tier,
            tags=tuple(str(tag) for tag in found.tags),
        )
        response = HttpResponse(drawn, content_type="image/svg+xml")
    response["ETag"] = etag
    response["Cache-Control"] = "public, max-age=604800"
    return response


@require_GET
@never_cache
def progress(request: HttpRequest, slug: str) -> JsonResponse:
    """How far the shop is on its way to the first release, for the page that waits for it."""
    return JsonResponse(_progress(demo_shop(slug)))


def _progress(shop: Shop) -> dict[str, object]:
    """`ready`, whether visitors' personas are followed; `waiting`, whether that is on its way; `open`, whether the goods
    are there; and in words where it is."""
    ready = Release.objects.active(shop) is not None
    running = None if ready else TrainingRun.objects.filter(shop=shop).order_by("-pk").first()
    failed = str(shop.settings.get("preparing_failed", ""))
    if ready:
        said = "Ready."
    elif failed:
        said = f"It could not be prepared: {failed} The next start tries again; the log tells more."
    elif running is not None and running.state == TrainingRun.State.RUNNING:
        said = f"Learning from its past visits: {running.stage or 'starting'}, {running.progress * 100:.0f} in 100 done."
    elif is_preparing(shop):
        items, visits = Item.objects.of_shop(shop).count(), Session.objects.filter(shop=shop).count()
        said = f"{items:,} goods and {visits:,} past visits are in." if items else "Its catalogue is being read."
    else:
        said = "Its goods and past visits are in; learning from them begins in a moment."
    waiting = not ready and (running is not None or "demo_data" in shop.settings or is_preparing(shop))
    return {"ready": ready, "waiting": waiting, "open": not is_preparing(shop), "said": said, "failed": bool(failed)}


@never_cache
@gzip_page
def sign_in(request: HttpRequest, slug: str) -> HttpResponse:
    """Who has been here before: pick one of a few, and their memory counts for this visit."""
    shop = demo_shop(slug)
    if request.method != "POST":
        return shop_page(request, shop, "storefront/sign_in.html", chosen="", known=shoppers.on_offer(shop))
    response = redirect("storefront:home", slug=shop.slug)
    before = shoppers.signed_in(request, shop)
    if shoppers.sign_in(request, response, shop, max_age=kept.AGE_S) != before and before:
        kept.keep_session(request, response, uuid.uuid4().hex)  # what one did is not the other's
    return response


@require_GET
@never_cache
def token(request: HttpRequest, slug: str) -> JsonResponse:
    """A fresh token for the page's session, for a page that was left open until its own expired."""
    shop, session = demo_shop(slug), kept.session_of(request)
    if session is None:
        raise Http404("This browser has no session here; load a page of the shop first.")
    shopper = shoppers.signed_in(request, shop)
    return JsonResponse({"session_id": session, "token": issue_session_token(shop.pk, session, shopper=shopper)})


@require_POST
def new_session(request: HttpRequest, slug: str) -> HttpResponse:
    """Start as somebody else: another visit, of a guest."""
    shop = demo_shop(slug)
    response = redirect("storefront:home", slug=shop.slug)
    shoppers.sign_out(response, shop)
    kept.keep_session(request, response, uuid.uuid4().hex)
    return response


@require_POST
def pause(request: HttpRequest, slug: str) -> HttpResponse:
    """Go on without being followed, or be followed again; kept for the visit."""
    shop = demo_shop(slug)
    at = request.POST.get("next", "")
    response = redirect(at if is_own_page(shop, at) else reverse("storefront:home", kwargs={"slug": shop.slug}))
    session = kept.visit_of(request)
    kept.keep_session(request, response, session)
    kept.keep(request, response, shop, session, kept.PAUSED, request.POST.get("paused") == "1")
    return response


def price_tier(found: Item) -> int | None:
    """The quartile of the item's price within its category, 0..3; None without a price.

    The same cuts as `clusters.catalogue.price_tiers`: of n prices ascending, linear interpolation puts cut k at place
    k (n - 1) / 4, so b cheaper items put the price above it when that place is under b. Two counts, no sort.
    """
    if found.price is None:
        return None
    priced = Item.objects.filter(shop_id=found.shop_id, category=found.category, price__isnull=False)
    count, cheaper = priced.count(), priced.filter(price__lt=found.price).count()
    return sum(k * (count - 1) / 4 < cheaper for k in (1, 2, 3))


def is_own_page(shop: Shop, address: str) -> bool:
    """Whether an address that a form sent leads to a page of this shop."""
    return address.startswith(f"/shop/{shop.slug}/") and url_has_allowed_host_and_scheme(address, allowed_hosts=None)


def is_simulated(shop: Shop) -> bool:
    """Whether its goods and shoppers are invented: its pages say so."""
    return shop.settings.get("simulated") is True


def is_preparing(shop: Shop) -> bool:
    """Whether its catalogue and past visits are still on their way in."""
    return bool(shop.settings.get("preparing")) and "demo_data" not in shop.settings


def demo_shop(slug: str) -> Shop:
    """The demo shop of an address. Raises Http404."""
    shop = Shop.objects.filter(slug=slug, demo=True).first()
    if shop is None:
        raise Http404(f"There is no demo shop “{slug}” here.")
    return shop


def _shuffled(items: QuerySet[Item], *, step: int = 7_919) -> QuerySet[Item]:
    """A fixed mixture, another for another step, so that a page doesn't show forty black trousers in a row."""
    return items.order_by(Mod(F("pk") * step, 10_007), "pk")


def _listing(
    request: HttpRequest,
    shop: Shop,
    items: QuerySet[Item],
    *,
    heading: str,
    chosen: str = "",
    more: Mapping[str, object] | None = None,
) -> HttpResponse:
    sort = request.GET.get("sort", "")
    sort = sort if sort in SORTS else ""
    ordered = items.order_by(*SORTS[sort][1]) if sort else _shuffled(items)
    page: Page[Item] = Paginator(ordered, PAGE_SIZE).get_page(request.GET.get("page"))
    return shop_page(
        request,
        shop,
        "storefront/listing.html",
        chosen=chosen,
        heading=heading,
        page=page,
        total=f"{page.paginator.count:,}",
        cards=[card(shop, i) for i in page.object_list],
        everything=not chosen,
        sorts=[(word, said, word == sort) for word, (said, _) in SORTS.items()],
        carry=f"sort={sort}&" if sort else "",
        **(more or {}),
    )


def shop_page(request: HttpRequest, shop: Shop, template: str, *, chosen: str, **values: object) -> HttpResponse:
    """A page of the shop with the panel's settings and, if the visitor is new, a new session.

    While personalisation is paused the page has a token of a session that nobody is in: its rails are those of somebody of
    whom nothing is known, and nothing that is done reaches the visit's own.
    """
    session_id = kept.visit_of(request)
    shopper = shoppers.signed_in(request, shop)
    paused = bool(kept.read(request, shop, kept.PAUSED))
    bag = bags.read_bag(request, shop)
    progress = _progress(shop)
    ready = progress["ready"]
    asks_as = uuid.uuid4().hex if paused else session_id
    settings = {
        "shop": shop.slug,
        "base": reverse("storefront:home", kwargs={"slug": shop.slug}),
        "currency": shop.currency,
        "session": asks_as,
        "visit": session_id,
        "token": issue_session_token(shop.pk, asks_as, shopper="" if paused else shopper),
        **_about(values.get("item")),
        "query": values.get("query") or None,
        "live": ready,
        "paused": paused,
        "bag": bags.as_json(bag),
        "wishes": [found.external_id for found in bags.in_order(shop, kept.items_of(request, shop, kept.WISHES))],
        "order": bags.read_order(request, shop),
    }
    in_stock = Item.objects.of_shop(shop).filter(in_stock=True)
    response = render(
        request,
        template,
        {
            "shop": shop,
            "categories": largest_categories(shop),
            "chosen": chosen,
            "panel": settings,
            "bag": bag,
            "rail": [card(shop, i) for i in _shuffled(in_stock, step=4_241)[:RAIL_SIZE]],
            "personas": versions.shown(shop) if ready else (),
            "ready": ready,
            "paused": paused,
            "here": request.get_full_path(),
            "circumstances": circumstances.known_to(shop) if ready and not paused else (),
            "progress": progress,
            "shopper": {"id": shopper, "name": shoppers.short_name(shopper)} if shopper else None,
            "simulated": is_simulated(shop),
            "shops": Shop.objects.filter(demo=True).order_by("pk"),
            **values,
        },
    )
    if kept.session_of(request) is None:
        kept.keep_session(request, response, session_id)
    return response


def _about(found: object) -> dict[str, object]:
    """What the page's script tells of the item that it shows."""
    if not isinstance(found, Item):
        return {"item": None, "price": None}
    tier = price_tier(found)
    return {
        "item": found.external_id,
        "price": None if found.price is None else float(found.price),
        "title": readable(found.title),
        "category": found.category,
        "tier": None if tier is None else PRICE_TIERS[tier],
    }


def largest_categories(shop: Shop) -> Iterable[tuple[str, int]]:
    """Names and sizes of the largest categories."""
    named = Item.objects.of_shop(shop).exclude(category="").order_by()
    return named.values_list("category").annotate(size=Count("pk")).order_by("-size", "category")[:12]
