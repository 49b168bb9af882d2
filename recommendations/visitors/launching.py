"""Starting visitors as a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from django.conf import settings

from personas.models import Shop


def launch(shop: Shop, per_minute: int, minutes: int) -> None:
    """Start `manage.py visitors` as a process of its own: for minutes on end no worker is held up.

    It ends with its time, when it is told to stop, and when the doors stay shut.
    """
    manage = str(Path(settings.BASE_DIR) / "manage.py")
    command = [sys.executable, manage, "visitors", shop.slug, f"--per-minute={per_minute}", f"--minutes={minutes}"]
    subprocess.Popen(command, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL)
