"""Addresses of the demo storefront. Item ids may hold slashes, so `path` it is, pictures first."""

from __future__ import annotations

from django.urls import path

from recommendations.web import search_pages, storefront

app_name = "storefront"
urlpatterns = [
    path("", storefront.index, name="index"),
    path("shop/<slug:slug>/", storefront.home, name="home"),
    path("shop/<slug:slug>/category/<path:name>/", storefront.category, name="category"),
    path("shop/<slug:slug>/search/", search_pages.search, name="search"),
    path("shop/<slug:slug>/search/suggest/", search_pages.suggest, name="suggest"),
    path("shop/<slug:slug>/item/<path:external_id>/picture.svg", storefront.item_picture, name="picture"),
    path("shop/<slug:slug>/item/<path:external_id>/", storefront.item, name="item"),
    path("shop/<slug:slug>/progress/", storefront.progress, name="progress"),
    path("shop/<slug:slug>/sign-in/", storefront.sign_in, name="sign-in"),
    path("shop/<slug:slug>/token/", storefront.token, name="token"),
    path("shop/<slug:slug>/new-session/", storefront.new_session, name="new-session"),
]
