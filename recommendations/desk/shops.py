"""Which shop a page of the desk, or a form of it, is about."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import Http404, HttpRequest

from personas.models import Session, Shop


def chosen(request: HttpRequest, shops: Sequence[Shop]) -> Shop | None:
    """The shop that the address names (?shop=slug), else the one where somebody was last; None where there is none.

    Raises Http404 for a name that no shop has.
    """
    if slug := request.GET.get("shop"):
        found = next((shop for shop in shops if shop.slug == slug), None)
        if found is None:
            raise Http404("There is no such shop.")
        return found
    if not shops:
        return None
    last = Session.objects.order_by("-last_at", "-pk").values_list("shop", flat=True).first()
    return next((shop for shop in shops if shop.pk == last), shops[0])


def of_form(request: HttpRequest, shops: Sequence[Shop]) -> Shop | None:
    """The shop that something new is made for: as the form or its address names it, by id or slug, else the first.

    Raises Http404 for a name that no shop has.
    """
    named = (request.POST if request.method == "POST" else request.GET).get("shop", "")
    if not named:
        return next(iter(shops), None)
    found = next((shop for shop in shops if named in (str(shop.pk), shop.slug)), None)
    if found is None:
        raise Http404("There is no such shop.")
    return found
