"""What the admin's pages of clusters ask for, checked as far as a form can; `clusters.editing` checks the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from clusters.cluster_drafts import MAX_BOUND, MAX_NAME, EditError
from clusters.lineage import MAX_REASON
from clusters.models import ClusterSettings
from personas.models import Shop

MOST_BYTES = 20 * 1024 * 1024
"""Of a file of clusters that the admin takes; the command takes larger ones."""

MOST_MINUTES = 24 * 60
MOST_SUPPORT = 10_000


class Reason(forms.Form):
    reason = forms.CharField(
        required=False, max_length=MAX_REASON, help_text="Kept with the change, for those who look at it later."
    )

    def refuse(self, error: EditError) -> None:
        """Tell of an edit that couldn't be made, at its field where the form has it."""
        at = error.field if error.field in self.fields else None
        words = error.reason if at else f"{error.field.replace('_', ' ')} {error.reason}"
        self.add_error(at, f"{words[:1].upper()}{words[1:]}{'' if words.endswith('?') else '.'}")


class ClusterForm(Reason):
    """What a merchandiser sets of a cluster, its items apart."""

    name = forms.CharField(max_length=MAX_NAME)
    locked = forms.BooleanField(required=False, help_text="Learning leaves its items as they are.")
    minimum_size = forms.IntegerField(
        required=False, min_value=1, max_value=MAX_BOUND, label="At least", help_text="Items; the nearest ones fill it up."
    )
    maximum_size = forms.IntegerField(
        required=False, min_value=1, max_value=MAX_BOUND, label="At most", help_text="Items; the least typical give way."
    )
    field_order = ("name", "locked", "minimum_size", "maximum_size", "reason")

    def leave(self, shown: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Fields that weren't touched become what others set them to since; of a valid form. shown : as the page was opened."""
        data = self.data.copy()  # type: ignore[attr-defined]  # a QueryDict
        for name, was in shown.items():
            if self.cleaned_data[name] == was != now[name]:
                self.cleaned_data[name] = now[name]
                data[name] = "" if now[name] in (None, False) else str(now[name])
        self.data = data


class NewClusterForm(Reason):
    name = forms.CharField(max_length=MAX_NAME, help_text="Shoppers may see it as a title.")
    ids = forms.CharField(
        required=False,
        label="Item ids",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The shop's own, one a line or with commas between.",
    )
    field_order = ("name", "ids", "reason")


class SplitForm(Reason):
    name = forms.CharField(max_length=MAX_NAME, required=False, label="Name of the new cluster")
    field_order = ("name", "reason")


class MergeForm(Reason):
    name = forms.CharField(max_length=MAX_NAME)
    field_order = ("name", "reason")


class RestoreForm(Reason):
    name = forms.CharField(max_length=MAX_NAME, required=False, help_text="Only if another cluster has taken its name since.")
    field_order = ("name", "reason")


class ImportForm(Reason):
    shop = forms.ModelChoiceField(Shop.objects.all(), empty_label=None)
    file = forms.FileField(
        help_text="CSV with the columns cluster, item_id and, if you like, weight and core; or JSON. See the example below.",
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.json,.jsonl,.gz,.txt"}),
    )
    field_order = ("shop", "file", "reason")

    def clean_file(self) -> object:
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise forms.ValidationError(
                f"The file has {file.size:,} bytes, more than {MOST_BYTES:,}: use manage.py import_clusters for it."
            )
        return file


class SettingsForm(forms.ModelForm):
    """How a shop's clusters are built."""

    class Meta:
        model = ClusterSettings
        fields = ("search_history", "inactivity_minutes", "minimum_support")
        labels = {
            "search_history": "Clusters of what is searched for together",
            "inactivity_minutes": "Minutes without an event that end a search",
            "minimum_support": "Visitors who must search for two terms together",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, least, most in (("inactivity_minutes", 1, MOST_MINUTES), ("minimum_support", 2, MOST_SUPPORT)):
            field = self.fields[name]
            field.validators += [MinValueValidator(least), MaxValueValidator(most)]
            field.widget.attrs.update(min=least, max=most)
