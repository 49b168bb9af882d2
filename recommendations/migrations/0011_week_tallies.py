"""Whole weeks beside the days that they add up, of what is read over months."""

import datetime as dt
from collections import defaultdict
from typing import Any

from django.db import migrations
from django.db.models import Sum

MEASURES = ("cluster_seen", "cluster_click", "pair_seen", "pair_click", "category", "tier", "country", "hour")


def add_up(apps: Any, schema_editor: Any) -> None:
    take_off(apps, schema_editor)  # what an archiver of the new version wrote before this
    tallies = apps.get_model("recommendations", "DayTally")
    # The archivers' own locks: none adds days meanwhile.
    list(apps.get_model("personas", "Shop").objects.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    days = tallies.objects.filter(measure__in=MEASURES).order_by().values_list("shop", "day", "measure").distinct()
    weeks = defaultdict(list)
    for shop, day, measure in days:
        weeks[shop, day - dt.timedelta(days=day.weekday()), measure].append(day)
    for (shop, monday, measure), those in weeks.items():
        rows = tallies.objects.filter(shop=shop, measure=measure, day__in=those).order_by()
        tallies.objects.bulk_create(
            [
                tallies(shop_id=shop, day=monday, measure=f"w:{measure}", key=key, origin=origin, value=value)
                for key, origin, value in rows.values_list("key", "origin").annotate(Sum("value"))
            ],
            batch_size=500,
        )


def take_off(apps: Any, schema_editor: Any) -> None:
    apps.get_model("recommendations", "DayTally").objects.filter(measure__startswith="w:").delete()


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0010_experiment_dates")]

    operations = [migrations.RunPython(add_up, take_off)]
