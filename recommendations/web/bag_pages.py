"""Bag, wishes, checkout and order: whole without a script. Nothing is paid, nothing is delivered, no address is kept.

What the system is told of it goes through the public doors, from the page: these views touch the catalogue and cookies only.
"""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.validators import RegexValidator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_POST, require_safe

from clusters.models import Item
from personas.models import Shop
from recommendations.web import bags, kept
from recommendations.web.cards import card
from recommendations.web.storefront import demo_shop, is_own_page, shop_page

COUNTRIES = (
    "Austria", "Belgium", "Denmark", "Finland", "France", "Germany", "Ireland", "Italy", "Netherlands", "Norway", "Poland",
    "Portugal", "Spain", "Sweden", "Switzerland", "United Kingdom", "United States",
)  # fmt: skip


@require_safe
@never_cache
@gzip_page
def bag(request: HttpRequest, slug: str) -> HttpResponse:
    """What is in the bag. `removed` and `was` in the address name what was just taken out, so that it can be put back."""
    shop = demo_shop(slug)
    return _bag_page(request, shop)


def _bag_page(request: HttpRequest, shop: Shop, *, wrong: str = "", status: int = 200) -> HttpResponse:
    taken = Item.objects.of_shop(shop).filter(external_id=request.GET.get("removed", "")[:128]).first()
    response = shop_page(
        request,
        shop,
        "storefront/bag.html",
        chosen="",
        wrong=wrong,
        undo=None if taken is None else {"card": card(shop, taken), "quantity": _pieces(request.GET.get("was")) or 1},
        most=kept.MAX_QUANTITY,
    )
    response.status_code = status
    return response


@require_POST
@never_cache
def change_bag(request: HttpRequest, slug: str) -> HttpResponse:
    """Put pieces in (`add`) or have so many (`quantity`, 0 to take it out) of an `item`.

    A script that says so (`Accept: application/json`) gets the bag as JSON, others the page of the bag.
    """
    shop = demo_shop(slug)
    found = _named(shop, request)
    now = kept.bag_of(request, shop)
    before = now.get(found.pk, 0)
    asked = _pieces(request.POST.get("add") or request.POST.get("quantity"))
    if asked is None:
        return _refuse(request, shop, f"How many? Give a whole number, 0 to {kept.MAX_QUANTITY}.")
    wanted = min(kept.MAX_QUANTITY, before + asked if request.POST.get("add") else asked)
    if wanted > before and not found.in_stock:
        return _refuse(request, shop, f"“{found}” is out of stock just now.")
    if wanted and not before and len(now) >= kept.MAX_LINES:
        return _refuse(request, shop, f"A bag holds {kept.MAX_LINES} different things. Take something out first.")
    now = {pk: pieces for pk, pieces in {**now, found.pk: wanted}.items() if pieces}
    if _wants_json(request):
        response: HttpResponse = JsonResponse(bags.as_json(bags.made_of(shop, now)))
    else:
        undo = f"?{urlencode({'removed': found.external_id, 'was': before})}" if before and not wanted else ""
        response = redirect(reverse("storefront:bag", kwargs={"slug": slug}) + undo)
    kept.keep_bag(request, response, shop, _session(request, response), now)
    return response


def _refuse(request: HttpRequest, shop: Shop, why: str) -> HttpResponse:
    if _wants_json(request):
        return JsonResponse({"detail": why}, status=422)
    return _bag_page(request, shop, wrong=why, status=422)


@require_safe
@never_cache
@gzip_page
def wishes(request: HttpRequest, slug: str) -> HttpResponse:
    shop = demo_shop(slug)
    cards = bags.in_order(shop, kept.items_of(request, shop, kept.WISHES))
    return shop_page(request, shop, "storefront/wishes.html", chosen="", cards=cards)


@require_POST
@never_cache
def change_wishes(request: HttpRequest, slug: str) -> HttpResponse:
    """Wish for an `item`, or no longer (`wished` = 0)."""
    shop = demo_shop(slug)
    found = _named(shop, request)
    others = [pk for pk in kept.items_of(request, shop, kept.WISHES) if pk != found.pk]
    now = [found.pk, *others][: kept.MAX_LINES] if request.POST.get("wished", "1") == "1" else others
    response = redirect(_safe(request, shop) or reverse("storefront:wishes", kwargs={"slug": slug}))
    kept.keep(request, response, shop, _session(request, response), kept.WISHES, now)
    return response


class Address(forms.Form):
    """Where an order would go. It is checked, and forgotten."""

    use_required_attribute = True

    name = forms.CharField(max_length=120, label="Name", widget=forms.TextInput({"autocomplete": "name"}))
    email = forms.EmailField(max_length=200, label="E-mail", widget=forms.EmailInput({"autocomplete": "email"}))
    street = forms.CharField(
        max_length=160, label="Street and number", widget=forms.TextInput({"autocomplete": "street-address"})
    )
    postcode = forms.CharField(
        max_length=12,
        label="Postcode",
        validators=[
            RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9 -]{2,11}$", "A postcode has 3 to 12 letters and numbers: SW1A 1AA, say.")
        ],
        widget=forms.TextInput({"autocomplete": "postal-code"}),
    )
    city = forms.CharField(max_length=120, label="Town", widget=forms.TextInput({"autocomplete": "address-level2"}))
    country = forms.ChoiceField(
        label="Country",
        choices=[("", "Choose one"), *((name, name) for name in COUNTRIES)],
        widget=forms.Select({"autocomplete": "country-name"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.error_messages["required"] = "Fill this in."


@never_cache
@gzip_page
def checkout(request: HttpRequest, slug: str) -> HttpResponse:
    """The address, and no payment. An order empties the bag and leads to its own page."""
    shop = demo_shop(slug)
    now = bags.read_bag(request, shop)
    if not now.lines or now.away:
        return redirect("storefront:bag", slug=slug)
    form = Address(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        return shop_page(request, shop, "storefront/checkout.html", chosen="", form=form)
    number = uuid.uuid4().hex
    order = {"id": number, "lines": now.kept, "total": now.total, "count": now.count}
    response = redirect("storefront:order", slug=slug, number=number)
    session = _session(request, response)
    kept.keep(request, response, shop, session, kept.ORDER, order)
    kept.keep_bag(request, response, shop, session, {})
    return response


@require_safe
@never_cache
@gzip_page
def order(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """The visit's last order, as often as it is loaded. Raises Http404 on any other."""
    shop = demo_shop(slug)
    kept_order = bags.read_order(request, shop)
    if kept_order is None or kept_order["id"] != number:
        raise Http404("This order is not one of your visit. Orders are kept in your browser only, and only the last one.")
    rows = Item.objects.of_shop(shop).filter(external_id__in=[line["item_id"] for line in kept_order["items"]])
    cards = {row.external_id: card(shop, row) for row in rows}
    lines = [(cards.get(line["item_id"]), line["item_id"], line["quantity"]) for line in kept_order["items"]]
    return shop_page(request, shop, "storefront/order.html", chosen="", placed=kept_order, lines=lines)


def _named(shop: Shop, request: HttpRequest) -> Item:
    found = Item.objects.of_shop(shop).filter(external_id=request.POST.get("item", "")[:128]).first()
    if found is None:
        raise Http404("That item is not in this shop. It may have been taken out of the catalogue.")
    return found


def _pieces(text: str | None) -> int | None:
    """A number of pieces, None if it is none."""
    plain = (text or "").strip()
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) < 3 else None


def _safe(request: HttpRequest, shop: Shop) -> str:
    """Where the form says to go on, if that is a page of this shop, else ""."""
    at = request.POST.get("next", "")
    return at if is_own_page(shop, at) else ""


def _wants_json(request: HttpRequest) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def _session(request: HttpRequest, response: HttpResponse) -> str:
    """The visit's id; a new one that the response sets where the visitor had none."""
    if kept.session_of(request) is None:
        kept.keep_session(request, response, kept.visit_of(request))
    return kept.visit_of(request)
