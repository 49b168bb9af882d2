"""What the admin's page of a rule asks for, as far as a form can check it; `recommendations.rule_editing` checks the rest."""

from __future__ import annotations

import re
from typing import Any

from django import forms

from clusters.cluster_drafts import MAX_NAME, EditError, external_ids
from clusters.models import Item, ItemCluster
from personas.models import Archetype, Shop
from recommendations.desk.clusters.items import MOST_TICKED, numbers
from recommendations.models import MerchandisingRule
from recommendations.rule_editing import (
    LEAST_STRENGTH,
    MOST_HELD,
    MOST_SLOTS,
    MOST_STRENGTH,
    NUMBERS,
)
from recommendations.rule_words import PLACES
from recommendations.session import CONTEXTS

MOST_CLUSTERS = 400
"""Clusters that can be ticked, those with the largest share; any that the rule has are among them."""

LOCAL = "%Y-%m-%dT%H:%M"
_BETWEEN = re.compile(r"[\r\n,;]+")
_ACTIONS = [
    ("pin", "Pin it to a slot"),
    ("boost", "Boost: show it more"),
    ("bury", "Bury: show it less"),
    ("exclude", "Leave it out"),
    ("balance", "Balance: not too much of one kind"),
    ("margin", "Margin floor: leave out what earns too little"),
]
_AT = {
    "target": "ids",
    "target.items": "ids",
    "target.categories": "categories",
    "target.brands": "brands",
    "target.attributes": "attributes",
    "target.clusters": "in_clusters",
    "target.price_min": "price_min",
    "target.price_max": "price_max",
}
"""The form's field for what `rule_editing` finds at fault."""


def _ticks(label: str, help_text: str = "") -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(required=False, label=label, widget=forms.CheckboxSelectMultiple, help_text=help_text)


def _price(label: str) -> forms.FloatField:
    return forms.FloatField(required=False, min_value=0, label=label, widget=forms.NumberInput(attrs={"step": "any"}))


def _moment(label: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput(format=LOCAL, attrs={"type": "datetime-local"})
    return forms.DateTimeField(required=False, label=label, widget=widget, input_formats=[LOCAL, "%Y-%m-%dT%H:%M:%S"])


class RuleForm(forms.Form):
    """A rule of one shop. The items that were ticked come beside it, as `item`."""

    name = forms.CharField(max_length=MAX_NAME, help_text="For you and your colleagues; shoppers don't see it.")
    action = forms.ChoiceField(choices=_ACTIONS, label="What it does")
    slot = forms.IntegerField(required=False, min_value=1, max_value=MOST_SLOTS, label="Slot", help_text="1 is the first.")
    strength = forms.FloatField(
        required=False,
        min_value=LEAST_STRENGTH,
        max_value=MOST_STRENGTH,
        label="By how much",
        help_text="2 doubles the odds of being shown, or halves them; 10 is a lot.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    share = forms.FloatField(
        required=False,
        min_value=1,
        max_value=100,
        label="At most this share of the slots, in %",
        help_text="For any one category; or, where you choose items below, for those together.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    margin = forms.FloatField(
        required=False,
        min_value=-1_000,
        max_value=99.9,
        label="Least margin, in % of the price",
        help_text="(price − cost) / price. An item whose cost isn't known stays.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    ids = forms.CharField(
        required=False,
        label="Item ids",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="The shop's own, one a line or with commas between. A pin shows the first of them that can be shown.",
    )
    categories = _ticks("Categories")
    brands = forms.CharField(required=False, label="Brands", help_text="With commas between.")
    attributes = forms.CharField(
        required=False, label="Attributes", help_text="Any of them will do: colour=blue, tag=sale, price_tier=top."
    )
    in_clusters = _ticks("Clusters that the items are in")
    price_min = _price("Price from")
    price_max = forms.FloatField(
        required=False, min_value=0, label="Price up to", widget=forms.NumberInput(attrs={"step": "any"})
    )
    contexts = _ticks("Places", "None ticked: everywhere.")
    personas = _ticks("Personas", "Acts while one of them is active. None ticked: for everybody.")
    clusters = _ticks("Visits that go for a cluster", "Acts while one is chosen for the visit. None ticked: in all visits.")
    starts_at = _moment("From")
    ends_at = _moment("Until")
    holdout = forms.FloatField(
        required=False,
        min_value=0,
        max_value=100 * MOST_HELD,
        label="Visits that go without it, in %",
        help_text="Drawn by chance, a visit all the way. They are what the rule is compared with: with 0 nobody can know what it "
        "brings. It costs you what the rule brings, in these visits; 10 is a good beginning, 50 tells soonest.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    enabled = forms.BooleanField(required=False, initial=True, label="Switched on")

    def __init__(self, shop: Shop, rule: MerchandisingRule | None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shop = shop
        items = Item.objects.filter(shop=shop).exclude(category="").order_by("category")
        categories = {name: name for name in items.values_list("category", flat=True).distinct()}
        own = {*rule.clusters, *rule.target.get("clusters", [])} if rule else set()
        live = ItemCluster.objects.live().filter(shop=shop).exclude(name="")
        shares = dict(live.order_by("-share", "pk").values_list("pk", "name")[:MOST_CLUSTERS])
        named = shares | dict(live.filter(pk__in=own).values_list("pk", "name"))
        clusters = dict(sorted(named.items(), key=lambda c: c[1].casefold()))
        personas = dict(Archetype.objects.filter(shop=shop).values_list("pk", "name"))
        # What is gone stays ticked until somebody unticks it: without a condition the rule would be about more than it was.
        retired = dict(ItemCluster.objects.filter(shop=shop, pk__in=own).values_list("pk", "name"))
        clusters |= {pk: _gone(retired.get(pk) or f"Cluster {pk}") for pk in sorted(own) if pk not in clusters}
        if rule is not None:
            categories |= {name: _gone(name) for name in rule.target.get("categories", []) if name not in categories}
            personas |= {pk: _gone(f"Persona {pk}") for pk in rule.personas if pk not in personas}
        choices: dict[str, list[tuple[Any, str]]] = {
            "categories": list(categories.items()),
            "in_clusters": list(clusters.items()),
            "clusters": list(clusters.items()),
            "personas": list(personas.items()),
            "contexts": [(name, PLACES[name].capitalize()) for name in CONTEXTS],
        }
        for name, values in choices.items():
            self.fields[name].choices = values  # type: ignore[attr-defined]

    def given(self, items: list[int]) -> dict[str, Any]:
        """What `rule_editing` takes, of a valid form. items : ids that were ticked or pasted."""
        data = self.cleaned_data
        own = NUMBERS.get(data["action"])
        shares = {"share", "margin"}  # in hundredths on the page
        return {
            "name": data["name"],
            "action": data["action"],
            "target": {
                "items": items,
                "categories": data["categories"],
                "brands": _split(data["brands"]),
                "attributes": _split(data["attributes"]),
                "clusters": numbers(data["in_clusters"]),
                "price_min": data["price_min"],
                "price_max": data["price_max"],
            },
            "contexts": data["contexts"],
            "personas": numbers(data["personas"]),
            "clusters": numbers(data["clusters"]),
            "starts_at": data["starts_at"],
            "ends_at": data["ends_at"],
            "holdout": (data["holdout"] or 0.0) / 100,
            "enabled": data["enabled"],
            **{
                name: None if name != own or data[name] is None else data[name] / 100 if name in shares else data[name]
                for name in set(NUMBERS.values())
            },
        }

    def refuse(self, error: EditError) -> None:
        """Tell of what can't be, at its field where the form has it."""
        at = _AT.get(error.field, error.field)
        at = at if at in self.fields else ""
        field = error.field.replace("_", " ")
        words = error.reason.removeprefix("is missing: ") if at else f"{field} {error.reason}"
        if words == "is missing":
            words = "say how much" if at != "slot" else "say which slot"
        self.add_error(at or None, f"{words[:1].upper()}{words[1:]}.")


def initial_of(rule: MerchandisingRule) -> dict[str, Any]:
    """What the form shows of a rule, but for its first `MOST_TICKED` items, which are ticked beside it."""
    target = rule.target
    more = external_ids(target.get("items", [])[MOST_TICKED:])
    return {
        "ids": "\n".join(more),
        "name": rule.name,
        "action": rule.action,
        "slot": rule.slot,
        "strength": _short(rule.strength),
        "share": _short(rule.share, 100),
        "margin": _short(rule.margin, 100),
        "categories": target.get("categories", []),
        "brands": ", ".join(target.get("brands", [])),
        "attributes": ", ".join(target.get("attributes", [])),
        "in_clusters": target.get("clusters", []),
        "price_min": _short(target.get("price_min")),
        "price_max": _short(target.get("price_max")),
        "contexts": rule.contexts,
        "personas": rule.personas,
        "clusters": rule.clusters,
        "starts_at": rule.starts_at,
        "ends_at": rule.ends_at,
        "holdout": _short(rule.holdout, 100),
        "enabled": rule.enabled,
    }


def _gone(name: str) -> str:
    return f"{name} (no longer there)"


def _split(text: str) -> list[str]:
    return [part.strip() for part in _BETWEEN.split(text) if part.strip()]


def _short(value: float | None, times: int = 1) -> str | None:
    """A number as people write it, without what is only of the machine."""
    return None if value is None else f"{times * value:.10g}"
