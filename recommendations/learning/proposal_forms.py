"""What the admin's pages of proposals ask for, and who it is that decides."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest

from clusters.lineage import MAX_REASON, Actor
from clusters.models import ClusterChange


class DecisionForm(forms.Form):
    reason = forms.CharField(
        required=False, max_length=MAX_REASON, help_text="Kept with the change, for those who look at it later."
    )


class TryingForm(forms.Form):
    name = forms.CharField(max_length=120, help_text="For you and your colleagues.")
    share = forms.FloatField(
        min_value=2,
        max_value=100,
        initial=100,
        label="Shoppers in it, %",
        help_text="Half of them are served with the changes, half as now; so are all others.",
    )


def acting(request: HttpRequest) -> Actor:
    """Whoever is logged in, as the lineage names them."""
    return Actor(ClusterChange.Actor.MERCHANDISER, user=request.user, who=request.user.get_username())
