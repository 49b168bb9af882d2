"""The storefront's search: results with what they can be narrowed by, and suggestions while somebody types.

The whole state of a page is in its address, so that it can be kept, sent and gone back to, and nothing needs a script.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET, require_safe

from clusters import search_index
from clusters.catalogue import PRICE_TIERS
from clusters.models import Item
from clusters.search_index import FACETS, Filters, Found, SearchIndex
from clusters.searching import index_of
from personas.events import MAX_QUERY
from personas.models import Shop
from recommendations.web.cards import card, money, readable
from recommendations.web.storefront import PAGE_SIZE, demo_shop, largest_categories, shop_page

LABELS = {"category": "Category", "brand": "Brand", "colour": "Colour", "price_tier": "Price tier"}
SHOWN_VALUES = 24
MAX_VALUES = 50
MAX_PAGE = 100_000
MAX_PRICE = 1e10
"""Above every price that an item may have."""

SUGGESTED = {"queries": 5, "categories": 3, "brands": 2, "items": 4}


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that results can be narrowed to."""

    value: str
    label: str
    count: str
    chosen: bool


@require_safe
@never_cache
@gzip_page
def search(request: HttpRequest, slug: str) -> HttpResponse:
    """Items that the words are about, best first. What of the address can't be read is left out."""
    shop = demo_shop(slug)
    words = _words(request.GET.get("q", "")).strip()
    if not words:
        return redirect("storefront:home", slug=slug)
    filters = read_filters(request.GET)
    found, page = _results(index_of(shop), words, filters, request.GET.get("page", ""))
    rows = Item.objects.of_shop(shop).in_bulk(found.item_ids.tolist())
    corrected, missing = understood(found)
    return shop_page(
        request,
        shop,
        "storefront/search.html",
        chosen="",
        query=words,
        page=page,
        total=f"{found.total:,}",
        # The order is the index's, all that is shown the row's; what was erased a moment ago is left out.
        cards=[card(shop, rows[pk]) for pk in found.item_ids.tolist() if pk in rows],
        corrected=corrected,
        missing=missing,
        relaxed=found.relaxed,
        facets=[facet for field in FACETS if (facet := _facet(field, found, filters))],
        filters=filters,
        narrowed=_narrowed(shop, words, filters),
        carry=f"{_address(words, filters)}&",
        plain=_address(words, Filters()),
        doors=largest_categories(shop) if not found.total else (),
    )


@require_GET
def suggest(request: HttpRequest, slug: str) -> JsonResponse:
    """What may be meant by what is being typed: groups of options, each with its text and where it leads."""
    shop = demo_shop(slug)
    found = search_index.suggest(index_of(shop), _words(request.GET.get("q", "")), count=max(SUGGESTED.values()))
    rows = Item.objects.of_shop(shop).in_bulk(found.item_ids[: SUGGESTED["items"]].tolist())
    at = reverse("storefront:search", kwargs={"slug": slug})
    groups = {
        "Searches": [{"text": q, "url": f"{at}?{urlencode({'q': q})}"} for q in found.queries[: SUGGESTED["queries"]]],
        "Categories": [
            {"text": _label("category", name), "url": reverse("storefront:category", kwargs={"slug": slug, "name": name})}
            for name in found.categories[: SUGGESTED["categories"]]
        ],
        "Brands": [{"text": name, "url": f"{at}?{urlencode({'q': name})}"} for name in found.brands[: SUGGESTED["brands"]]],
        "Items": [
            {"text": shown.title, "note": shown.price, "url": shown.url, "picture": shown.picture}
            for shown in (card(shop, rows[pk]) for pk in found.item_ids.tolist() if pk in rows)
        ],
    }
    answer = JsonResponse({"groups": [{"label": label, "options": options} for label, options in groups.items() if options]})
    answer["Cache-Control"] = "private, max-age=30"
    return answer


def read_filters(asked: QueryDict) -> Filters:
    """The filters of an address; what can't be read is left out."""
    values = {name: tuple(dict.fromkeys(v for v in asked.getlist(name)[:MAX_VALUES] if v.strip("\0"))) for name in FACETS}
    values["price_tier"] = tuple(value for value in values["price_tier"] if value in PRICE_TIERS)
    stock = True if asked.get("in_stock") == "true" else None
    return Filters(**values, price_from=_price(asked.get("price_from")), price_to=_price(asked.get("price_to")), in_stock=stock)


def understood(found: Found) -> tuple[str, tuple[str, ...]]:
    """The search as it was understood where that isn't as it was typed, else ""; and the words that no item has."""
    read = [word.read[0] if word.how in ("spelling", "prefix") else word.typed for word in found.words if word.read]
    corrected = any(word.how in ("spelling", "prefix") for word in found.words)
    missing = tuple(word.typed for word in found.words if word.how == "unknown")
    return (" ".join(dict.fromkeys(read)) if corrected and found.total else ""), missing


def _words(text: str) -> str:
    """What was typed, on one line and not too long; a space at the end stays, for it ends a word."""
    plain = " ".join(text.replace("\0", " ").split())[:MAX_QUERY]
    return f"{plain} " if plain and text[-1:].isspace() else plain


def _results(index: SearchIndex, words: str, filters: Filters, asked: str) -> tuple[Found, Page[int]]:
    wanted = min(int(asked), MAX_PAGE) if asked.isascii() and asked.isdigit() and len(asked) < 9 and int(asked) else 1

    def of_page(number: int) -> Found:
        return search_index.search(index, words, filters=filters, count=PAGE_SIZE, offset=(number - 1) * PAGE_SIZE)

    found = of_page(wanted)
    page = Paginator(range(found.total), PAGE_SIZE).get_page(wanted)
    return (found if page.number == wanted else of_page(page.number)), page


def _price(text: str | None) -> float | None:
    try:
        price = float(text or "nan")
    except ValueError:
        return None
    return price if abs(price) < MAX_PRICE else None


def _facet(field: str, found: Found, filters: Filters) -> Mapping[str, object] | None:
    """A field's choices, chosen ones first; None where there is nothing to choose."""
    chosen = getattr(filters, field)
    values = found.facets[field]
    if len(values) < 2 and not chosen:
        return None
    if field == "price_tier":
        values = tuple(sorted(values, key=lambda each: PRICE_TIERS.index(each[0])))
    else:
        values = tuple(sorted(values, key=lambda each: each[0] not in chosen))[: SHOWN_VALUES + len(chosen)]
    choices = [Choice(value, _label(field, value), f"{count:,}", value in chosen) for value, count in values]
    return {"field": field, "label": LABELS[field], "choices": choices, "count": len(chosen)}


def _label(field: str, value: str) -> str:
    return value if field == "brand" else readable(value)[:1].upper() + readable(value)[1:]


def _narrowed(shop: Shop, words: str, filters: Filters) -> list[dict[str, str]]:
    """What narrows the results, each in words and with the address of the page without it."""
    without = []
    for field in FACETS:
        chosen: tuple[str, ...] = getattr(filters, field)
        for value in chosen:
            others = Filters(**filters._asdict() | {field: tuple(v for v in chosen if v != value)})
            told = f"{_label(field, value)} prices" if field == "price_tier" else _label(field, value)
            without.append((told, others))
    if filters.price_from is not None:
        without.append((f"From {_money(shop, filters.price_from)}", filters._replace(price_from=None)))
    if filters.price_to is not None:
        without.append((f"Up to {_money(shop, filters.price_to)}", filters._replace(price_to=None)))
    if filters.in_stock:
        without.append(("In stock", filters._replace(in_stock=None)))
    return [{"label": told, "url": f"?{_address(words, others)}"} for told, others in without]


def _money(shop: Shop, price: float) -> str:
    return money(shop, round(Decimal(price), 2))


def _address(words: str, filters: Filters) -> str:
    asked = [("q", words), *((field, value) for field in FACETS for value in getattr(filters, field))]
    asked += [(name, f"{price:.14g}") for name in ("price_from", "price_to") if (price := getattr(filters, name)) is not None]
    if filters.in_stock:
        asked.append(("in_stock", "true"))
    return urlencode(asked)
