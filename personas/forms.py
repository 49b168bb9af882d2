"""Forms of attributes and archetypes: weights as a list of names with a slider each, not as JSON to type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import BASE_INPUT_CLASSES, UnfoldAdminColorInputWidget, UnfoldAdminTextareaWidget

from personas.archetypes import BEHAVIOURS, STRENGTH
from personas.encoding import DISCOUNTS, DWELLS, GAPS, NOVELTIES
from personas.events import NAMES
from personas.models import Archetype, Attribute

SPARE_ROWS = 2
"""Empty rows at the end of a list: enough to add to it where no script runs."""

Pairs = list[tuple[str, str]]


class WeightsWidget(forms.Widget):
    """Rows of a name and a number, with a slider beside it and what the weight means in words.

    low, high : bounds.  what : label of a name, such as "Descriptor".  vocabulary : names that are offered as one types.
    suggest : address that is asked for names (`?shop=&q=`), if there are too many to list.  shop : 0 to read the form's.
    times : how many times as often a weight of 1 shows; None where that isn't what the weight means.
    """

    template_name = "personas/weights.html"

    class Media:
        css = {"all": ("personas.css",)}
        js = ("weights.js",)

    def __init__(
        self, *, what: str, low: float = -1.0, high: float = 1.0, vocabulary: Sequence[str] = (), times: float | None = None
    ) -> None:
        super().__init__()
        self.what, self.low, self.high, self.vocabulary, self.times = what, low, high, tuple(vocabulary), times
        self.suggest, self.shop = "", 0

    def format_value(self, value: Any) -> Pairs:
        if isinstance(value, Mapping):
            return [
                (str(name), f"{weight:g}" if isinstance(weight, int | float) else str(weight)) for name, weight in value.items()
            ]
        return list(value or ())

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        pairs = [*self.format_value(value), *[("", "")] * SPARE_ROWS]
        rows = [(at, weight, f"{name} {i + 1}") for i, (at, weight) in enumerate(pairs)]
        own = {"rows": rows, "what": self.what, "low": self.low, "high": self.high, "times": self.times}
        own |= {"suggest": self.suggest, "shop": self.shop}
        context["widget"] |= {**own, "vocabulary": self.vocabulary, "input": " ".join(BASE_INPUT_CLASSES)}
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Pairs:
        if not hasattr(data, "getlist"):
            return self.format_value(data.get(name))
        pairs = zip(data.getlist(f"{name}-name"), data.getlist(f"{name}-weight"), strict=False)
        return [(at.strip(), weight.strip()) for at, weight in pairs if at.strip() or weight.strip()]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False  # no rows is an answer: nothing is weighed

    def id_for_label(self, id_: str) -> str:
        return f"{id_}_name_0" if id_ else id_


class WeightsField(forms.Field):
    """{name: weight} of rows. Says which row is at fault."""

    widget = WeightsWidget

    def to_python(self, value: Any) -> dict[str, float]:
        widget = cast(WeightsWidget, self.widget)
        weights: dict[str, float] = {}
        errors = []
        for name, text in value or ():
            try:
                weight = float(text.replace(",", ".").replace("−", "-"))
            except ValueError:
                errors.append(f"{name or 'A row'}: {text!r} is not a number." if text else f"{name}: how much does it weigh?")
                continue
            if not name:
                errors.append(f"What weighs {text}? Name it, or empty the row.")
            elif name in weights:
                errors.append(f"{name} is there twice.")
            elif not math.isfinite(weight) or not widget.low <= weight <= widget.high:
                errors.append(f"{name}: {text} is not between {widget.low:g} and {widget.high:g}.".replace("-", "−"))
            weights[name] = weight
        if errors:
            raise ValidationError(errors)
        return weights

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != (initial or {}))
        except ValidationError:
            return True


def behaviours() -> list[str]:
    """Every behaviour that an attribute may weigh, such as "event=search"."""
    values: dict[str, Sequence[str]] = {
        "event": NAMES, "dwell": DWELLS, "gap": GAPS, "novelty": NOVELTIES, "discount": DISCOUNTS,
    }  # fmt: skip
    return [f"{factor}={value}" for factor in BEHAVIOURS for value in values[factor]]


class AttributeForm(forms.ModelForm):
    weights = WeightsField(
        required=False,
        label="What is looked for",
        widget=WeightsWidget(what="Descriptor", times=math.exp(STRENGTH)),
        help_text="Descriptors of items. 1 draws most, 0 is as everybody, −1 keeps away. Begin to type: category=, price_tier=, "
        "brand=, colour=, tag=, term=.",
    )
    behaviours = WeightsField(
        required=False,
        label="How it is looked for",
        widget=WeightsWidget(what="Behaviour", vocabulary=behaviours(), times=math.exp(STRENGTH)),
        help_text="What such shoppers do more often (up to 1) or less often (down to −1) than others.",
    )

    class Meta:
        model = Attribute
        fields = ("shop", "key", "name", "description", "weights", "behaviours")
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 3})}

    suggest = ""
    """Address that names descriptors."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "weights" in self.fields:
            self.fields["weights"].widget.suggest = self.suggest
            self.fields["weights"].widget.shop = self.instance.shop_id or 0


class ArchetypeForm(forms.ModelForm):
    mix = WeightsField(
        label="Mix of attributes",
        widget=WeightsWidget(what="Attribute", low=0.0),
        help_text="Attributes by their key, and how much of each; the shares need not sum to 1.",
    )

    class Meta:
        model = Archetype
        fields = ("shop", "key", "name", "icon", "colour", "mix", "place")
        widgets = {"colour": UnfoldAdminColorInputWidget()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mix = self.fields.get("mix")
        if mix is not None:
            known = Attribute.objects.filter(shop=self.instance.shop_id) if self.instance.shop_id else Attribute.objects.all()
            mix.widget.vocabulary = tuple(dict.fromkeys(known.values_list("key", flat=True)))
