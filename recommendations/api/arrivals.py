"""Did my event arrive? A look-up by its id."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import authentication, exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from personas.events import EventError, check_id
from personas.models import Origin, Session
from recommendations.api.access import KeyAuthentication, MayRead, OneShop
from recommendations.serving.arrivals import look_up


class ArrivalOut(serializers.Serializer[Any]):
    event_id = serializers.CharField()
    session_id = serializers.CharField()
    status = serializers.ChoiceField(choices=("accepted", "unknown"))
    archived = serializers.BooleanField(help_text="Whether it is in the archive already; it takes seconds.")
    name = serializers.CharField(required=False)
    at = serializers.DateTimeField(required=False, help_text="The event's own time.")
    received_at = serializers.DateTimeField(required=False)
    origin = serializers.ChoiceField(choices=Origin.choices, required=False, help_text="`test` of a test key's.")
    shopper_id = serializers.CharField(required=False)
    notes = serializers.ListField(child=serializers.CharField(), required=False)


class Arrivals(OneShop, APIView):
    queryset = Session.objects.all()
    authentication_classes = (KeyAuthentication, authentication.SessionAuthentication)
    permission_classes = (MayRead,)

    @extend_schema(
        parameters=[OpenApiParameter("session_id", str, required=True, description="The session that the event was sent for.")],
        responses={200: ArrivalOut},
    )
    def get(self, request: Request, event_id: str) -> Response:
        """Whether an event was accepted, and whether it is archived. Events that were rejected or ignored are unknown."""
        try:
            session = check_id("session_id", request.query_params.get("session_id"))
            event = check_id("event_id", event_id)
        except EventError as error:
            raise exceptions.ValidationError({error.field: [error.reason]}) from error
        found = look_up(self.written_shop().pk, session, event)
        told: dict[str, Any] = {"event_id": event, "session_id": session, "status": "accepted" if found.known else "unknown"}
        told["archived"] = found.archived
        if found.name:
            told |= {"name": found.name, "at": found.at, "received_at": found.received_at, "origin": found.origin}
            told |= {"notes": list(found.notes)} | ({"shopper_id": found.shopper} if found.shopper else {})
        return Response(ArrivalOut(told).data)
