"""What the admin's page of a shop's adaptation asks for, in words, and checks."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextareaWidget

from clusters.models import Item
from personas.events import ENGAGEMENT
from recommendations.learning.models import AdaptationSettings

WORTHS = {
    "view_item": "A look at an item",
    "add_to_wishlist": "Onto the wish list",
    "add_to_cart": "Into the cart",
    "purchase": "A purchase",
    "remove_from_cart": "Out of the cart",
    "refund": "Sent back",
}
"""Events that have a worth of their own; a click counts as the look that it leads to."""

MOST_WORTH = 100.0

BETWEEN = "|"
"""Between two categories that are kept apart: names have commas and slashes in them."""

MOST_PAIRS = 200


class AdaptationSettingsForm(forms.ModelForm):
    """The settings of one shop; pairs of categories are lines, and what events are worth are numbers."""

    pairs = forms.CharField(
        required=False,
        label="Categories kept apart",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "placeholder": f"swimwear {BETWEEN} ski wear"}),
        help_text=f"One pair a line, with {BETWEEN} between. No expansion brings items of one to a cluster that has the other, "
        "and nothing lasting is proposed that would mix them.",
    )

    also = ("apart", "reward_weights")
    """Fields of the row that it sets beside its own, for those who compare it with what others set."""

    class Meta:
        model = AdaptationSettings
        fields = (
            "shop",
            "enabled",
            "consistent_outside",
            "consistent_ignored",
            "floor",
            "margin_floor",
            "drift_budget",
            "ignored_cost",
            "half_life_days",
            "least_effective_sample",
            "goes_live_by_itself",
        )
        labels = {
            "enabled": "Clusters adapt to each visit",
            "consistent_outside": "Engagements outside before a cluster may grow",
            "consistent_ignored": "Looks in vain before a cluster may shrink",
            "floor": "Least chance of each choice",
            "margin_floor": "Margin floor",
            "drift_budget": "Drift budget a day",
            "ignored_cost": "Cost of an item passed over, in looks",
            "half_life_days": "Half-life of what was learned, in days",
            "least_effective_sample": "Decisions that a new policy needs",
            "goes_live_by_itself": "A policy that passes goes live by itself",
        }
        help_texts = {
            "enabled": "Off: visits see the clusters as they are, whatever they do, and nothing is learned. What a visit engages "
            "with still says which clusters suit it. Visits under way give up what they changed at their next event.",
            "consistent_outside": "In a row, outside the visit's three main clusters. One may be an accident, 2 or 3 aren't.",
            "consistent_ignored": "Slates that the page reported as seen, and that showed the cluster in vain. People skim: 3 or "
            "more is a pattern. A place far down a slate counts as part of a look.",
            "floor": "0.05 is one time in twenty. Under it, the logs could no longer tell what another policy would have done; "
            "above it, visits pay for what is tried out.",
            "margin_floor": "0.2 keeps out what earns less than a fifth of its price, (price − cost) / price, from what "
            "expansions and proposals bring in. Items whose cost isn't known stay. Empty for none.",
            "drift_budget": "Share of a cluster's items that learning may change for good in one day; 0 for nothing.",
            "ignored_cost": "0.05: twenty items passed over cost as much as one look gains. Higher makes learning keener to take "
            "away what isn't looked at.",
        }

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        known = self.instance.reward_weights if isinstance(self.instance.reward_weights, dict) else {}
        for name, label in WORTHS.items():
            default = ENGAGEMENT[name]
            self.fields[f"worth_{name}"] = forms.FloatField(
                label=f"{label}, in looks",
                min_value=-MOST_WORTH,
                max_value=MOST_WORTH,
                initial=known.get(name, default),
                help_text=f"{default:g} unless you say otherwise.",
                widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "any"}),
            )
        self.fields["pairs"].initial = "\n".join(f"{one} {BETWEEN} {other}" for one, other in self.instance.apart)

    def clean_pairs(self) -> list[list[str]]:
        pairs: list[list[str]] = []
        for number, line in enumerate(self.cleaned_data["pairs"].splitlines(), start=1):
            if not line.strip():
                continue
            names = [name.strip() for name in line.split(BETWEEN)]
            if len(names) != 2 or not all(names):
                raise forms.ValidationError(f"Line {number}: write two categories with {BETWEEN} between them.")
            if names[0] == names[1]:
                raise forms.ValidationError(f"Line {number}: “{names[0]}” can't be kept apart from itself.")
            if sorted(names) not in [sorted(pair) for pair in pairs]:
                pairs.append(names)
        if len(pairs) > MOST_PAIRS:
            raise forms.ValidationError(f"These are {len(pairs)} pairs, more than {MOST_PAIRS}.")
        return pairs

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        shop, pairs = given.get("shop") or getattr(self.instance, "shop", None), given.get("pairs")
        if shop is not None and pairs:
            named = {name for pair in pairs for name in pair}
            there = set(Item.objects.filter(shop=shop, category__in=named).values_list("category", flat=True))
            if missing := sorted(named - there):
                self.add_error("pairs", f"The shop has no category “{missing[0]}”. Names must be written as the items have them.")
        return given

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # the stubs keep what begins with a line to themselves
        if not self.errors:
            self.instance.apart = self.cleaned_data["pairs"]
            worths = {name: self.cleaned_data[f"worth_{name}"] for name in WORTHS}
            self.instance.reward_weights = {name: worth for name, worth in worths.items() if worth != ENGAGEMENT[name]}
