"""Addresses of the API."""

from __future__ import annotations

from django.urls import include, path
from rest_framework import routers

from recommendations.api.arrivals import Arrivals
from recommendations.api.clusters import ClusterChanges, Clusters
from recommendations.api.feeds import Feeds
from recommendations.api.hot import (
    EventsView,
    Ga4View,
    GoogleRetailView,
    HotView,
    ProfileView,
    RecommendationsView,
    SegmentView,
    TokensView,
)
from recommendations.api.items import BulkItems, DeleteItems, Items
from recommendations.api.learning import Experiments, Policies, Proposals
from recommendations.api.personas import Attributes, Personas, PersonaVersions
from recommendations.api.rows import Releases, Shops
from recommendations.api.rules import Rules
from recommendations.api.search import Search, Suggest
from recommendations.api.shoppers import (
    Consent,
    Demographics,
    Export,
    Ledger,
    Merge,
    OneShopper,
    Sessions,
    Timeline,
)
from recommendations.api.why import Counterfactual, Why
from recommendations.serving.live import EVENTS, RECOMMENDATIONS, TOKENS

ALIASED: dict[str, type[HotView]] = {"segment": SegmentView, "google-retail": GoogleRetailView, "ga4": Ga4View}

router = routers.DefaultRouter()
router.include_root_view = False
for prefix, view in (
    ("shops", Shops),
    ("items", Items),
    ("clusters", Clusters),
    ("cluster-changes", ClusterChanges),
    ("personas", Personas),
    ("attributes", Attributes),
    ("persona-versions", PersonaVersions),
    ("releases", Releases),
    ("rules", Rules),
    ("feeds", Feeds),
    ("experiments", Experiments),
    ("proposals", Proposals),
    ("policies", Policies),
):
    router.register(prefix, view)

urlpatterns = [
    path(EVENTS.removeprefix("/api/"), EventsView.as_view()),
    path(RECOMMENDATIONS.removeprefix("/api/"), RecommendationsView.as_view()),
    path(TOKENS.removeprefix("/api/"), TokensView.as_view()),
    # Ids as shops write them may hold a slash.
    path("v1/events/<path:event_id>", Arrivals.as_view()),
    path("v1/sessions/<path:session_id>/profile", ProfileView.as_view()),
    path("v1/sessions", Sessions.as_view()),
    path("v1/sessions/<path:session_id>/ledger", Ledger.as_view()),
    path("v1/sessions/<path:session_id>/counterfactual", Counterfactual.as_view()),
    path("v1/recommendations/<str:recommendation_id>/items/<path:item_id>/why", Why.as_view()),
    path("v1/shoppers/<path:shopper_id>/timeline", Timeline.as_view()),
    path("v1/shoppers/<path:shopper_id>/consent", Consent.as_view()),
    path("v1/shoppers/<path:shopper_id>/demographics", Demographics.as_view()),
    path("v1/shoppers/<path:shopper_id>/merge", Merge.as_view()),
    path("v1/shoppers/<path:shopper_id>/export", Export.as_view()),
    path("v1/shoppers/<path:shopper_id>", OneShopper.as_view()),
    path("v1/items/bulk", BulkItems.as_view()),
    path("v1/items/bulk-delete", DeleteItems.as_view()),
    path("v1/search", Search.as_view()),
    path("v1/search/suggest", Suggest.as_view()),
    path("v1/", include(router.urls)),
    # The live process answers these; they stand here for the document. A GET is the look-up of an event of that name, above.
    *(path(f"v1/events/{name}", view.as_view()) for name, view in ALIASED.items()),
]
