"""Celery tasks: thin, given ids only, safe to run twice."""

from __future__ import annotations

from celery import shared_task

from clusters import searching
from personas.models import Shop


@shared_task(ignore_result=True)
def refresh_search(shop_id: int) -> None:
    """Make a shop's search index anew if its catalogue moved."""
    shop = Shop.objects.filter(pk=shop_id).first()
    if shop is not None:
        searching.refresh(shop)


@shared_task(ignore_result=True)
def refresh_searches() -> None:
    """`refresh_search` of every shop where it is due; indexes of shops that are gone go too."""
    shops = list(Shop.objects.order_by("pk"))
    for shop in shops:
        if searching.is_due(shop):
            refresh_search.delay(shop.pk)
    searching.forget_others({shop.pk for shop in shops})
