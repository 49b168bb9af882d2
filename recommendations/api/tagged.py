"""Entity tags of single rows: an answer that the caller has is not sent again, and nobody writes over what they didn't see."""

from __future__ import annotations

import hashlib
from typing import Any

from django.utils.http import parse_etags
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from recommendations.serving.problems import Problem


def tag_of(told: Any) -> str:
    """The tag of a row as the API tells it: the same for the same words, whatever they were read from."""
    return f'"{hashlib.blake2b(JSONRenderer().render(told), digest_size=12).hexdigest()}"'


def tagged(request: Request, told: Any) -> Response:
    """The row, or 304 without it where `If-None-Match` names it as it is."""
    tag = tag_of(told)
    named = [each.removeprefix("W/") for each in parse_etags(request.headers.get("if-none-match", ""))]
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in named or "*" in named:
        return Response(status=304, headers=headers)
    return Response(told, headers=headers)


def check_match(request: Request, told: Any) -> None:
    """Whether the row is as the caller saw it. told : the row, None where there is none. Raises Problem (412)."""
    wanted = request.headers.get("if-match")
    if wanted is not None:
        named = parse_etags(wanted)
        if told is None or (named != ["*"] and tag_of(told) not in named):
            detail = "It is not as the one that `If-Match` names: read it again, and decide on what it is now."
            raise Problem(412, "changed_meanwhile", detail)
    if told is not None and parse_etags(request.headers.get("if-none-match", "")) == ["*"]:
        raise Problem(412, "there_already", "It is there already, and `If-None-Match: *` says to write only what is not.")


class TaggedRows:
    """For views of rows whose `retrieve` tells the same to everybody."""

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One row; with its `ETag`, 304 where `If-None-Match` names it."""
        return tagged(request, self.told(self.get_object()))  # type: ignore[attr-defined]

    def told(self, row: Any) -> Any:
        """As `retrieve` tells it."""
        return self.told_by()(row, context=self.get_serializer_context()).data  # type: ignore[attr-defined]

    def told_by(self) -> Any:
        """The serializer of `retrieve`, whatever the call is."""
        return self.get_serializer_class()  # type: ignore[attr-defined]
