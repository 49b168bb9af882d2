"""Every address of the installation that Django answers. The hot endpoints live in `recommendations.serving.live`."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from recommendations.api import asyncapi
from recsite import health

handler404 = "recommendations.api.access.nowhere"

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="api-docs"),
    path("api/asyncapi/", asyncapi.page, name="asyncapi"),
    path("api/asyncapi.yaml", asyncapi.raw, name="asyncapi-document"),
    path("api/", include("recommendations.api.urls")),
    path("", include("recommendations.web.urls")),
]
