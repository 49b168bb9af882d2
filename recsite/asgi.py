"""One ASGI application behind one port: the hot endpoints and websockets beside Django's pages.

Django's handler costs a request hundreds of microseconds (signals, middleware, a thread hop), so the endpoints that every
click of every shopper calls don't pass through it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recsite.settings")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from django.core.asgi import get_asgi_application

django_pages = get_asgi_application()

# These read settings and models, so Django must be set up before.
from recommendations.serving import consumers, live  # noqa: E402
from recsite import stopping  # noqa: E402
from recsite.bodies import Bounded  # noqa: E402
from recsite.static import StaticFiles  # noqa: E402

stopping.sockets_first()

pages = Bounded(django_pages)
static_files = StaticFiles()

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Send each connection to the part that answers it. The lifespan is the hot path's: it holds the engines."""
    match scope["type"]:
        case "http" if live.handles(scope["path"], scope["method"]):
            await live.app(scope, receive, send)
        case "http" if static_files.has(scope["path"]):
            await static_files(scope, send)
        case "http":
            await pages(scope, receive, send)
        case "websocket":
            await consumers.websocket_application(scope, receive, send)
        case "lifespan":
            await live.app(scope, receive, send)
        case other:
            raise ValueError(f"ASGI scope type {other!r} is not served here")
