"""Wiring: settings, addresses, servers. `app` is here so that `shared_task` finds it in every process."""

from recsite.celery import app as celery_app

__all__ = ["celery_app"]
