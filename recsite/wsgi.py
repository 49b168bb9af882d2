"""Django's pages alone under WSGI, for an installation that serves the hot paths from a second process."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recsite.settings")
os.environ.setdefault("OMP_NUM_THREADS", "1")

application = get_wsgi_application()
