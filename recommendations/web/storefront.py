"""The demo storefront: pages of a shop, rendered here, made live by `static/panel.js` through the public doors.

A page reads the catalogue from the database and nothing else. Persona, clusters and recommendations reach it only
as they reach any integrator: over REST and the websocket, with a session token.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Count, F, QuerySet
from django.db.models.functions import Mod
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET, require_POST, require_safe

from clusters.catalogue import PRICE_TIERS
from clusters.models import Item
from personas.events import MAX_QUERY
from personas.models import Archetype, Shop
from recommendations.models import Release, TrainingRun
from recommendations.serving.access import issue_session_token
from recommendations.web.drawing.pictures import STYLE, picture

COOKIE = "shop_session"
COOKIE_AGE_S = 12 * 3600
PAGE_SIZE = 24
RAIL_SIZE = 12
SIGNS = {"EUR": "€", "GBP": "£", "USD": "$"}


@dataclass(frozen=True, slots=True)
class Card:
    """An item as a page shows it."""

    external_id: str
    title: str
    price: str
    url: str
    picture: str


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The demo shops; the only one, if there is only one."""
    shops = list(Shop.objects.filter(demo=True).annotate(size=Count("items")))
    if len(shops) == 1:
        return redirect("storefront:home", slug=shops[0].slug)
    return render(request, "storefront/index.html", {"shops": [(shop, f"{shop.size:,}") for shop in shops]})


@require_safe
@never_cache
@gzip_page
def home(request: HttpRequest, slug: str) -> HttpResponse:
    shop = _shop(slug)
    items = Item.objects.of_shop(shop).filter(in_stock=True)
    return _listing(request, shop, _shuffled(items), heading="", context="home")


@require_safe
@never_cache
@gzip_page
def category(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    shop = _shop(slug)
    items = Item.objects.of_shop(shop).filter(category=name)
    if not items.exists():
        raise Http404(f"{shop.name} has no category “{name}”.")
    return _listing(request, shop, _shuffled(items), heading=name.capitalize(), context="category", chosen=name)


@require_safe
@never_cache
@gzip_page
def search(request: HttpRequest, slug: str) -> HttpResponse:
    """Items whose title holds every word."""
    shop = _shop(slug)
    words = " ".join(request.GET.get("q", "").replace("\0", " ").split())[:MAX_QUERY]
    if not words:
        return redirect("storefront:home", slug=slug)
    items = Item.objects.of_shop(shop)
    for word in words.split()[:12]:
        items = items.filter(title__icontains=word)
    return _listing(request, shop, items.order_by("title", "pk"), heading=f"“{words}”", context="search", query=words)


@require_safe
@never_cache
@gzip_page
def item(request: HttpRequest, slug: str, external_id: str) -> HttpResponse:
    shop = _shop(slug)
    found = Item.objects.of_shop(shop).filter(external_id=external_id).first()
    if found is None:
        raise Http404(f"{shop.name} has no item “{external_id}”. It may have been taken out of the catalogue.")
    tier = price_tier(found)
    facts = [("Category", found.category), ("Colour", found.colour), ("Brand", found.brand)]
    if tier is not None:
        facts.append(("Price tier", f"{PRICE_TIERS[tier]} in {found.category or 'this shop'}"))
    more = _shuffled(Item.objects.of_shop(shop).filter(category=found.category).exclude(pk=found.pk))[:6]
    return _page(
        request,
        shop,
        "storefront/item.html",
        context="item",
        chosen=found.category,
        item=found,
        card=card(shop, found),
        facts=[(name, value) for name, value in facts if value],
        more=[card(shop, i) for i in more],
    )


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
def token(request: HttpRequest, slug: str) -> JsonResponse:
    """A fresh token for the page's session, for a page that was left open until its own expired."""
    shop, session = _shop(slug), _session_of(request)
    if session is None:
        raise Http404("This browser has no session here; load a page of the shop first.")
    return JsonResponse({"session_id": session, "token": issue_session_token(shop.pk, session)})


@require_POST
def new_session(request: HttpRequest, slug: str) -> HttpResponse:
    """Start as somebody else."""
    shop = _shop(slug)
    response = redirect("storefront:home", slug=shop.slug)
    _keep_session(response, uuid.uuid4().hex, secure=request.is_secure())
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


def readable(title: str) -> str:
    """A title in sentence case where a shop shouts it."""
    return title.capitalize() if title.isupper() else title


def money(shop: Shop, price: Decimal | None) -> str:
    """A price with its sign, "" if there is none."""
    if price is None:
        return ""
    sign = SIGNS.get(shop.currency)
    return f"{sign}{price:,.2f}" if sign else f"{price:,.2f} {shop.currency}"


def card(shop: Shop, found: Item) -> Card:
    """The item's card."""
    where = {"slug": shop.slug, "external_id": found.external_id}
    return Card(
        external_id=found.external_id,
        title=readable(found.title) or found.external_id,
        price=money(shop, found.price),
        url=reverse("storefront:item", kwargs=where),
        picture=reverse("storefront:picture", kwargs=where),
    )


def _shop(slug: str) -> Shop:
    shop = Shop.objects.filter(slug=slug, demo=True).first()
    if shop is None:
        raise Http404(f"There is no demo shop “{slug}” here.")
    return shop


def _shuffled(items: QuerySet[Item], *, step: int = 7_919) -> QuerySet[Item]:
    """A fixed mixture, another for another step, so that a page doesn't show forty black trousers in a row."""
    return items.order_by(Mod(F("pk") * step, 10_007), "pk")


def _listing(
    request: HttpRequest, shop: Shop, items: QuerySet[Item], *, heading: str, context: str, chosen: str = "", query: str = ""
) -> HttpResponse:
    page: Page[Item] = Paginator(items, PAGE_SIZE).get_page(request.GET.get("page"))
    return _page(
        request,
        shop,
        "storefront/listing.html",
        context=context,
        chosen=chosen,
        heading=heading,
        query=query,
        page=page,
        total=f"{page.paginator.count:,}",
        cards=[card(shop, i) for i in page.object_list],
        carry=f"{urlencode({'q': query})}&" if query else "",
    )


def _page(request: HttpRequest, shop: Shop, template: str, *, context: str, chosen: str, **values: object) -> HttpResponse:
    """A page of the shop with the panel's settings and, if the visitor is new, a new session."""
    session = _session_of(request)
    session_id = session or uuid.uuid4().hex
    found = values.get("item")
    about: dict[str, object] = {"item": None, "price": None}
    if isinstance(found, Item):
        tier = price_tier(found)
        about = {
            "item": found.external_id,
            "price": None if found.price is None else float(found.price),
            "title": readable(found.title),
            "category": found.category,
            "tier": None if tier is None else PRICE_TIERS[tier],
        }
    training = None
    ready = Release.objects.active(shop) is not None
    if not ready:
        training = TrainingRun.objects.filter(shop=shop, state=TrainingRun.State.RUNNING).order_by("-pk").first()
    settings = {
        "shop": shop.slug,
        "base": reverse("storefront:home", kwargs={"slug": shop.slug}),
        "currency": shop.currency,
        "session": session_id,
        "token": issue_session_token(shop.pk, session_id),
        "context": context,
        **about,
        "query": values.get("query") or None,
        "live": ready,
    }
    in_stock = Item.objects.of_shop(shop).filter(in_stock=True)
    response = render(
        request,
        template,
        {
            "shop": shop,
            "categories": _categories(shop),
            "chosen": chosen,
            "panel": settings,
            "rail": [card(shop, i) for i in _shuffled(in_stock, step=4_241)[:RAIL_SIZE]],
            "personas": Archetype.objects.filter(shop=shop) if ready else (),
            "ready": ready,
            "training": training,
            **values,
        },
    )
    if session is None:
        _keep_session(response, session_id, secure=request.is_secure())
    return response


def _categories(shop: Shop) -> Iterable[tuple[str, int]]:
    """Names and sizes of the largest categories."""
    named = Item.objects.of_shop(shop).exclude(category="").order_by()
    return named.values_list("category").annotate(size=Count("pk")).order_by("-size", "category")[:12]


def _session_of(request: HttpRequest) -> str | None:
    """The visitor's session id, None if the cookie is not one that we set."""
    try:
        return uuid.UUID(hex=request.COOKIES.get(COOKIE, "")).hex
    except ValueError:
        return None


def _keep_session(response: HttpResponse, session_id: str, *, secure: bool) -> None:
    response.set_cookie(COOKIE, session_id, max_age=COOKIE_AGE_S, samesite="Lax", httponly=True, secure=secure)
