"""Celery tasks: thin, given ids only, safe to run twice."""

from __future__ import annotations

from celery import shared_task

from clusters import feeds, searching
from clusters.models import CatalogueFeed
from personas.models import Shop

AGAIN_S = 60.0
"""Seconds after which `fetch_due_feeds` comes again, by the schedule."""


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


@shared_task(ignore_result=True)
def fetch_feed(feed_id: int, anew: bool = False) -> None:
    """Fetch a catalogue feed; nothing to do if that is under way."""
    feed = CatalogueFeed.objects.select_related("shop").filter(pk=feed_id).first()
    if feed is not None:
        feeds.run(feed, anew=anew)


@shared_task(ignore_result=True)
def fetch_due_feeds() -> None:
    """`fetch_feed` of every feed whose time has come; while something long holds the worker, it is asked for again, not twice."""
    for feed_id in feeds.due():
        fetch_feed.apply_async((feed_id,), expires=AGAIN_S)
