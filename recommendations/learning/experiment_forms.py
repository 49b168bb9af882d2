"""What the admin's page of a new experiment asks for; `experiments` checks the rest."""

from __future__ import annotations

from typing import Any

from django import forms

from clusters.cluster_drafts import EditError
from personas.models import Shop
from recommendations.learning import experiments
from recommendations.learning.experiment_dates import zone_words
from recommendations.learning.measuring import METRICS

LOCAL = "%Y-%m-%dT%H:%M"

CHALLENGERS = 3
CONTROL = "As it is"
OWN = "As the shop serves"

RAILS = {"revenue": 15.0, "purchases": 15.0}
"""Guardrails that a new experiment begins with, in percent."""


def _moment(label: str, help_text: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput(format=LOCAL, attrs={"type": "datetime-local"})
    formats = [LOCAL, "%Y-%m-%dT%H:%M:%S"]
    return forms.DateTimeField(required=False, label=label, widget=widget, input_formats=formats, help_text=help_text)


class PlanForm(forms.Form):
    """When an experiment begins and ends by itself, in the installation's time zone."""

    starts_at = _moment("Begins by itself", "Empty: when somebody starts it.")
    ends_at = _moment("Ends by itself", "Empty: when somebody stops it.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone = zone_words()

    def refuse(self, error: EditError) -> None:
        """Tell of what can't be, at its field where the form has it."""
        at = error.field if error.field in self.fields else None
        words = error.reason if at else str(error).replace("_", " ")
        self.add_error(at, f"{words[:1].upper()}{words[1:]}.")


class ExperimentForm(PlanForm):
    """An experiment of one shop: the control, and one to three challengers."""

    name = forms.CharField(max_length=120, help_text="For you and your colleagues, such as “Policy of November against today's”.")
    share = forms.FloatField(
        min_value=2,
        max_value=100,
        initial=100,
        label="Shoppers in it, %",
        help_text="They are split evenly; all others are served as now.",
    )
    metric = forms.ChoiceField(
        choices=list(METRICS.items()),
        label="Judged by, a visit",
        help_text="The reward is what policies learn from: what is done with what was seen.",
    )

    def __init__(self, shop: Shop, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields(["name", "share", "metric", "starts_at", "ends_at"])
        policies, clusters = experiments.policy_choices(shop), experiments.cluster_choices(shop)
        for n in range(1, CHALLENGERS + 1):
            self.fields[f"name_{n}"] = forms.CharField(max_length=experiments.MAX_NAME, required=n == 1, label="Name")
            self.fields[f"policy_{n}"] = forms.ChoiceField(choices=[("", OWN), *policies], required=False, label="Policy")
            self.fields[f"clusters_{n}"] = forms.ChoiceField(choices=[("", OWN), *clusters], required=False, label="Clusters")
            self.fields[f"still_{n}"] = forms.BooleanField(
                required=False, label="Visits don't adapt", help_text="Clusters stay as they are during a visit."
            )
        for metric, words in METRICS.items():
            self.fields[f"rail_{metric}"] = forms.FloatField(
                required=False, min_value=0, max_value=100, initial=RAILS.get(metric), label=f"{words}, %"
            )

    def challengers(self) -> list[list[forms.BoundField]]:
        """The fields of each challenger."""
        return [[self[f"{name}_{n}"] for name in ("name", "policy", "clusters", "still")] for n in range(1, CHALLENGERS + 1)]

    def rails(self) -> list[forms.BoundField]:
        """The fields of the guardrails."""
        return [self[f"rail_{metric}"] for metric in METRICS]

    def given(self) -> dict[str, Any]:
        """What `experiments.create` takes, of a valid form."""
        data = self.cleaned_data
        chosen = [n for n in range(1, CHALLENGERS + 1) if data[f"name_{n}"].strip()]
        share = data["share"] / 100.0 / (len(chosen) + 1)
        arms: list[dict[str, Any]] = [{"name": CONTROL, "share": share}]
        arms += [
            {
                "name": data[f"name_{n}"].strip(),
                "share": share,
                "policy": data[f"policy_{n}"],
                "clusters": data[f"clusters_{n}"],
                "adapts": not data[f"still_{n}"],
            }
            for n in chosen
        ]
        rails = [{"metric": m, "least": -data[f"rail_{m}"] / 100.0} for m in METRICS if data[f"rail_{m}"] is not None]
        dates = {"starts_at": data["starts_at"], "ends_at": data["ends_at"]}
        return {"name": data["name"], "metric": data["metric"], "arms": arms, "guardrails": rails, **dates}
