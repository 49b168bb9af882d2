"""Admin of personas, with what only this app knows: what the active release has learned of them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from personas.admin import ArchetypeAdmin, once, table
from personas.models import Archetype
from recommendations.models import Component, Release

TELLING = 10
"""Values that a persona's page shows of what was learned."""


@admin.register(Archetype)
class LearnedArchetypeAdmin(ArchetypeAdmin):
    """A persona with what the shop's active release has learned of it."""

    def get_readonly_fields(self, request: HttpRequest, obj: Archetype | None = None) -> tuple[str, ...]:
        return (*super().get_readonly_fields(request, obj), "learned") if obj else ()

    @admin.display(description="learned from the log, in the active release")
    @once
    def learned(self, archetype: Archetype) -> SafeString | str:
        from recommendations import releases  # the numeric stack, which other pages of the admin do without

        release = None if archetype.shop_id is None else Release.objects.active(archetype.shop_id)
        if release is None:
            return "nothing yet: the shop has no active release"
        try:
            model = releases.load_component(
                releases.root_of(archetype.shop),
                Component.Kind.PERSONAS.value,
                release.components[Component.Kind.PERSONAS.value],
                catalogue=release.components[Component.Kind.CATALOGUE.value],
            )
        except (releases.ReleaseError, KeyError) as error:
            return f"{release} can't be read: {error}"
        if archetype.pk not in model.ids:
            return f"{release} was trained before this persona was added"
        head = ("what its events show", "share", "average of the personas")
        rows = telling(model, model.ids.index(archetype.pk))
        return table(head, ((name, f"{100 * share:.1f} %", f"{100 * average:.1f} %") for name, share, average in rows))


def telling(model: Any, persona: int) -> list[tuple[str, float, float]]:
    """("factor=value", share, average share) that set a persona apart most, of the factors that the log has taught.

    model : a `PersonaModel`.  persona : its position.  Ranked by how far the share is from that of all personas alike.
    """
    import numpy as np

    from personas.encoding import FACTORS, value_names

    rows: list[tuple[str, float, float]] = []
    for f in np.flatnonzero(model.hmm.learned).tolist():
        shares = np.exp(model.hmm.log_emission[f])
        pairs = zip(value_names(model.facts)[f], shares[persona].tolist(), shares.mean(axis=0).tolist(), strict=True)
        rows += [(f"{FACTORS[f]}={value}", share, average) for value, share, average in pairs]
    return sorted(rows, key=lambda row: -abs(row[1] - row[2]))[:TELLING]
