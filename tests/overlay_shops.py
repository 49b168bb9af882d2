"""A shop in the database whose rows are a trained world's, for tests of what changes over its release."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clusters.models import Item
from personas.models import Shop
from recommendations import releases
from recommendations.engine import Engine
from recommendations.models import Release


def make_shop(trained: Engine, slug: str = "one") -> Shop:
    """Items of the engine's own ids, and a release of it that serves, with prices as rows keep them, to four decimals."""
    shop, catalogue = Shop.objects.create(slug=slug, name=slug.title()), trained.catalogue
    Item.objects.bulk_create(
        Item(
            pk=int(item),
            shop=shop,
            external_id=catalogue.external_ids[p],
            title=catalogue.titles[p],
            category=catalogue.categories[catalogue.category[p]],
            colour=catalogue.colours[catalogue.colour[p]],
            price=round(float(catalogue.price[p]), 4),
        )
        for p, item in enumerate(catalogue.item_ids)
    )
    serve(shop, rounded(trained))
    return shop


def rounded(engine: Engine) -> Engine:
    price = np.array([round(float(p), 4) for p in engine.catalogue.price], dtype=np.float32)
    return replace(engine, catalogue=replace(engine.catalogue, price=price))


def serve(shop: Shop, engine: Engine) -> Release:
    """The engine as the shop's next release, active at once."""
    release = releases.publish(shop, engine, metrics={})
    Release.objects.filter(shop=shop, state=Release.State.ACTIVE).update(state=Release.State.RETIRED)
    Release.objects.filter(pk=release.pk).update(state=Release.State.ACTIVE)
    return release


def change(item: int, **fields: object) -> None:
    """Save other values of an item's row."""
    row = Item.objects.get(pk=item)
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()
