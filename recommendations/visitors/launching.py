"""Starting visitors as a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from django.conf import settings

from personas.models import Shop


def launch(shop: Shop, per_minute: int, minutes: int) -> None:
    """Start `manage.py visitors` as a process of its own: for minutes on end no worker is held up.

    It ends with its time, when it is told to stop, and when the doors stay shut; it doesn't begin where
    somebody stopped the visitors before it could.
    """
    _start(shop, f"--per-minute={per_minute}", f"--minutes={minutes}", "--asked")


def launch_again(shop: Shop) -> None:
    """Start a process that goes on with the visitors whose process ended before their time."""
    _start(shop, "--resume")


def _start(shop: Shop, *how: str) -> None:
    manage = str(Path(settings.BASE_DIR) / "manage.py")
    subprocess.Popen([sys.executable, manage, "visitors", shop.slug, *how], cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL)
