"""The content security policy: pages load nothing from other hosts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

OWN_PAGES = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
# Unfold's pages run Alpine, which evaluates attributes, and Swagger's page starts itself with an inline script.
THIRD_PARTY_PAGES = OWN_PAGES.replace("script-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval'")
THIRD_PARTY_PATHS = ("/admin/", "/api/docs")


def policy_for(path: str) -> str:
    """The header's value for a page at this path."""
    return THIRD_PARTY_PAGES if path.startswith(THIRD_PARTY_PATHS) else OWN_PAGES


@sync_and_async_middleware
def content_security_policy(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Set the policy on every response that has none of its own."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponse:
            pending: Awaitable[HttpResponse] = get_response(request)
            response = await pending
            response.headers.setdefault("Content-Security-Policy", policy_for(request.path))
            return response

        return answer_async

    def answer(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy_for(request.path))
        return response

    return answer
