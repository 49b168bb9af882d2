"""What every call that Django answers goes through: limits of requests a second, and answers that are given again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

from django.db import transaction
from django.http import HttpResponse
from redis.exceptions import RedisError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from personas.models import ApiKey
from recommendations import audit
from recommendations.serving import idempotency, throttling
from recommendations.serving.idempotency import Answer, Ticket

logger = logging.getLogger(__name__)


class KeyThrottle(BaseThrottle):
    """The limit of an API key, which it has over all doors together. Raises Problem (429)."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, ApiKey):
            key = request.auth
            standing = throttling.take_sync(throttling.subject_of_key(key.sha256), throttling.limit_of_key(key.rate))
            if standing is not None and not standing.allowed:
                raise throttling.rate_limited(standing)
            view.standing = standing
        return True


class GivenBefore(Exception):
    """The answer that a request had under its `Idempotency-Key`."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Door(APIView):
    """For all views of the API: limits told in headers, and `Idempotency-Key` on what is posted with a key."""

    throttle_classes = (KeyThrottle,)
    standing: throttling.Standing | None = None
    held: Ticket | None = None
    repeatable = True
    """Whether an answer is kept under the request's `Idempotency-Key`; not of what is as good when it is sent again."""

    audited = True
    """Whether what isn't read changes something, and so goes into the audit log."""

    together: ClassVar[frozenset[str]] = frozenset()
    """Calls, by action or method, that are one transaction with their entry in the audit log, and nothing without it. Others take
    several, or reach beyond the database: they put it into the one that counts, or it is written once they are done."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in SAFE_METHODS:
            audit.listen()
            method = (request.method or "").lower()
            if (getattr(self, "action", None) or method) in self.together:
                setattr(self, method, partial(self._on_record, getattr(self, method)))
        named = request.headers.get(idempotency.HEADER)
        if named is None or request.method != "POST" or not self.repeatable or not isinstance(request.auth, ApiKey):
            return
        asked = (request.method.encode(), request.get_full_path().encode(), request._request.body)
        whose = idempotency.whose(request.auth.scopes, test=request.auth.test)
        held = idempotency.ticket(request.auth.shop_id, whose, named, *asked)
        answer = idempotency.begin_sync(held)
        if answer is not None:
            raise GivenBefore(answer)
        self.held = held

    def on_record(self) -> None:
        """Put the call into the audit log, unless something of it is there; for a call of several transactions, within the first
        that counts."""
        audit.of_call(self.request, self)

    def _on_record(self, handler: Callable[..., Any], request: Request, *args: Any, **kwargs: Any) -> Any:
        with transaction.atomic():
            response = handler(request, *args, **kwargs)
            if response.status_code < 300:
                self.on_record()
        return response

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, GivenBefore):
            status, kind, body = exc.answer
            return HttpResponse(body, status=status, content_type=kind, headers={"Idempotent-Replayed": "true"})
        try:
            return super().handle_exception(exc)
        except Exception:
            if self.held is not None:
                with suppress(RedisError):
                    idempotency.finish_sync(self.held, None)
            raise

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        replayed = response.headers.get("Idempotent-Replayed") if isinstance(response, HttpResponse) else None
        if self.audited and request.method not in SAFE_METHODS and response.status_code < 300 and not replayed:
            audit.of_call(request, self)
        audit.heard()
        answer: Any = super().finalize_response(request, response, *args, **kwargs)
        if self.standing is not None:
            for name, value in self.standing.headers().items():
                answer[name] = value
        if self.held is not None and isinstance(answer, Response):
            answer.add_post_render_callback(self._keep)
        return answer

    def _keep(self, response: Any) -> None:
        if self.held is None:
            return
        try:
            idempotency.finish_sync(self.held, Answer(response.status_code, response["content-type"], response.content))
        except RedisError:  # what was done is done, and is told now; sent again, it would wait for the key, and be done again
            logger.warning("an answer can't be kept under its Idempotency-Key: Redis can't be reached", exc_info=True)
