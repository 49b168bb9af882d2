"""Who may do what over the API, errors as problem documents, and what all views of a shop's rows share."""

from __future__ import annotations

import logging
import time
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.defaults import page_not_found
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from redis.exceptions import RedisError
from rest_framework import authentication, exceptions, permissions, views, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from personas.models import ApiKey, Shop, hash_key
from recommendations.api.doors import Door
from recommendations.api.pages import Pages
from recommendations.serving.access import credential_of, read_session_token
from recommendations.serving.problems import Problem, lacking

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
CODES = {
    400: "invalid_field",
    401: "missing_credentials",
    403: "missing_scope",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    415: "json_needed",
    429: "rate_limited",
}
"""Codes by status, for what the framework raises; an error with a code of ours keeps it."""


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """Django REST framework's exception handler: the same problem documents as on the hot endpoints."""
    if isinstance(error, RedisError):
        logger.exception("a call needs Redis, which failed")
        detail = "The session store can't be reached. Send the call again: what of it was done stays done, and is done once."
        error = Problem(503, "storage_unavailable", detail, headers={"retry-after": "1"})
    if isinstance(error, RequestDataTooBig):
        error = Problem(413, "body_too_large", f"The body has more than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes.")
    answer = views.exception_handler(error, context)
    if isinstance(error, Problem):
        return Response(error.as_json(), status=error.status, headers=error.headers, content_type=PROBLEM_TYPE)
    if answer is None:
        return None
    code, field = CODES.get(answer.status_code, "refused"), ""
    match error:
        case exceptions.ParseError():
            code, detail = "malformed_json", str(error.detail)
        case exceptions.AuthenticationFailed():
            code, detail = "invalid_key", str(error.detail)
        case exceptions.ValidationError(detail=dict() as by_field) if by_field:
            field, reasons = _first_fault(by_field)
            detail = f"{field}: {' '.join(map(str, reasons))}"
        case Http404() | PermissionDenied():
            detail = "There is nothing at this address, or nothing that this key may see."
        case _:
            detail = str(getattr(error, "detail", error))
    headers = {name: answer[name] for name in ("Allow", "WWW-Authenticate") if name in answer}
    body = Problem(answer.status_code, code, detail, field=field).as_json()
    return Response(body, status=answer.status_code, headers=headers, content_type=PROBLEM_TYPE)


def _first_fault(by_field: dict[Any, Any]) -> tuple[str, list[Any]]:
    """The field first at fault, as `groups[0].name` where it lies within another, and the reasons."""
    name, found = next(iter(by_field.items()))
    path = str(name)
    while isinstance(found, dict) or (isinstance(found, list) and any(isinstance(each, dict) for each in found)):
        entries = found.items() if isinstance(found, dict) else enumerate(found)
        name, found = next((key, value) for key, value in entries if value)
        path += f"[{name}]" if isinstance(name, int) else f".{name}"
    return path, found


def nowhere(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's page for an address that isn't one; of the API, a problem document as for a row that isn't there."""
    if not request.path.startswith("/api/"):
        return page_not_found(request, exception)
    told = f"There is nothing at this address. The calls are listed at {reverse('api-docs')}"
    body = Problem(404, "not_found", told).as_json()
    return JsonResponse(body, status=404, content_type=PROBLEM_TYPE)


RIGHTS = {"POST": "add", "DELETE": "delete"}
"""The admin's permission that a method asks of staff; all others ask for "change"."""


# Who may read


class KeyAuthentication(authentication.BaseAuthentication):
    """The `Authorization` of the hot endpoints, of which a session token opens nothing here. Raises Problem."""

    keyword = "Bearer"

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        authorization = request.headers.get("authorization", "")
        if not authorization:
            return None
        try:
            credential = credential_of(authorization)
        except Problem:
            return None  # a proxy's own, it may be, in front of staff who are logged in
        if ":" in credential:
            read_session_token(credential, now=time.time())
            detail = (
                "This is a session token, which opens the events, slates and profile of one session to its page. Send an API key."
            )
            raise Problem(403, "key_needed", detail)
        key = ApiKey.objects.live().select_related("shop").filter(sha256=hash_key(credential)).first()
        if key is None:
            raise exceptions.AuthenticationFailed("The API key is unknown, has ended or was revoked.", code="invalid_key")
        key.note_use()
        from django.contrib.auth.models import AnonymousUser

        return AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:
        return self.keyword


class KeyScheme(OpenApiAuthenticationExtension):
    target_class = "recommendations.api.access.KeyAuthentication"
    name = "API key or session token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


def has_scope(key: ApiKey, scope: str) -> bool:
    """True. Raises Problem (403), which names the scope, where the key lacks it."""
    if scope not in key.scopes:
        raise lacking(scope, key.scopes)
    return True


class MayRead(permissions.BasePermission):
    """A key with the scope `read`, or a member of staff who may view the rows in the admin too."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, ApiKey):
            return has_scope(request.auth, "read")
        meta = view.queryset.model._meta
        user = request.user
        return bool(user and user.is_active and user.is_staff and user.has_perm(f"{meta.app_label}.view_{meta.model_name}"))


class MayManage(MayRead):
    """Reading as `MayRead`; changing with the scope `manage`, or for staff who may do so in the admin too."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method in permissions.SAFE_METHODS:
            return super().has_permission(request, view)
        if isinstance(request.auth, ApiKey):
            return has_scope(request.auth, "manage")
        meta, user = view.queryset.model._meta, request.user
        right = f"{meta.app_label}.{RIGHTS.get(request.method or '', 'change')}_{meta.model_name}"
        return bool(user and user.is_active and user.is_staff and user.has_perm(right))


class Conflict(exceptions.APIException):
    """What was asked for is sound, but not as things stand."""

    status_code = 409
    default_code = "conflict"


def whole(request: Request, name: str, *, default: int, most: int) -> int:
    """A whole number that a request may give, at most `most`. Raises ValidationError, which names it."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise exceptions.ValidationError({name: [f"{text[:40]!r} is not a whole number"]})
    return min(int(text), most)


class OneShop(Door):
    """For views that are about one shop."""

    request: Any

    def written_shop(self) -> Shop:
        """The one shop that a request is about: the key's own; staff name it with `?shop=SLUG`."""
        if isinstance(self.request.auth, ApiKey):
            return self.request.auth.shop
        shop = Shop.objects.filter(slug=self.request.query_params.get("shop", "")).first()
        if shop is None:
            raise exceptions.ValidationError({"shop": ["name an existing shop: ?shop=SLUG"]})
        return shop


class ShopRows(OneShop, viewsets.ReadOnlyModelViewSet[Any]):
    """Rows of the key's own shop; staff see every shop's, or one's with `?shop=SLUG`."""

    pagination_class = Pages
    authentication_classes = (KeyAuthentication, authentication.SessionAuthentication)
    permission_classes = (MayRead,)
    shop_field: ClassVar[str] = "shop"

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        if isinstance(self.request.auth, ApiKey):
            return rows.filter(**{self.shop_field: self.request.auth.shop_id})
        slug = self.request.query_params.get("shop")
        if slug:
            return rows.filter(**{"slug" if self.shop_field == "pk" else f"{self.shop_field}__slug": slug})
        if self.detail and self.lookup_field != "pk":
            raise exceptions.ValidationError({"shop": ["name it: several shops may have a row of this name"]})
        return rows
