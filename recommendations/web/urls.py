"""Addresses of the demo storefront. Item ids may hold slashes, so `path` it is, pictures first."""

from __future__ import annotations

from django.urls import path

from recommendations.web import bag_pages, search_pages, storefront

app_name = "storefront"
urlpatterns = [
    path("", storefront.index, name="index"),
    path("shop/<slug:slug>/", storefront.home, name="home"),
    path("shop/<slug:slug>/category/<path:name>/", storefront.category, name="category"),
    path("shop/<slug:slug>/search/", search_pages.search, name="search"),
    path("shop/<slug:slug>/search/suggest/", search_pages.suggest, name="suggest"),
    path("shop/<slug:slug>/item/<path:external_id>/picture.svg", storefront.item_picture, name="picture"),
    path("shop/<slug:slug>/item/<path:external_id>/", storefront.item, name="item"),
    path("shop/<slug:slug>/bag/", bag_pages.bag, name="bag"),
    path("shop/<slug:slug>/bag/change/", bag_pages.change_bag, name="change-bag"),
    path("shop/<slug:slug>/wishes/", bag_pages.wishes, name="wishes"),
    path("shop/<slug:slug>/wishes/change/", bag_pages.change_wishes, name="change-wishes"),
    path("shop/<slug:slug>/checkout/", bag_pages.checkout, name="checkout"),
    path("shop/<slug:slug>/order/<str:number>/", bag_pages.order, name="order"),
    path("shop/<slug:slug>/pause/", storefront.pause, name="pause"),
    path("shop/<slug:slug>/progress/", storefront.progress, name="progress"),
    path("shop/<slug:slug>/sign-in/", storefront.sign_in, name="sign-in"),
    path("shop/<slug:slug>/token/", storefront.token, name="token"),
    path("shop/<slug:slug>/new-session/", storefront.new_session, name="new-session"),
]
