"""How a fit of a shop's personas went, as plain values that a page can draw and a database can keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from personas.encoding import FACTORS, value_names
from personas.fitting import FitReport
from personas.profile import PersonaModel
from recommendations.desk.personas.charts import TITLES

MOVED = 6
"""Values that are told of what moved in a persona."""

NOTICED = 0.005
"""Change of a share below which nobody would see it."""


def fit_report(
    fit: FitReport, after: PersonaModel, before: PersonaModel | None, *, shares: Mapping[int, float], same_groups: bool = True
) -> dict[str, Any]:
    """What the fit of `after`, which followed `before`, made of each archetype.

    shares : archetype id -> share of the events at the fit before, for those known.
    same_groups : whether categories of the same name mean the same items in both models; if not, they are not compared.

    log_likelihood, log_likelihood_before : nats an event after and before.  iterations : of EM.
    archetypes : in the model's order, {"id", "key", "name", "share", "share_before" (or None), "drift" (0 to 1),
        "kept" (None where nothing names it), "worst" (a factor's name) and "drifted" as in `FitReport`,
        "moved": [{"factor", "value", "before", "after"}], shares, most moved first}.
    removed : names of the archetypes that `before` had and `after` hasn't.
    """
    old = {} if before is None else {id_: k for k, id_ in enumerate(before.ids)}
    entries = []
    for k, id_ in enumerate(after.ids):
        entries.append(
            {
                "id": id_,
                "key": after.archetype_keys[k],
                "name": after.archetype_names[k],
                "share": _rounded(fit.share[k]),
                "share_before": shares.get(id_),
                "drift": _rounded(fit.drift[k]),
                "kept": _rounded(fit.kept[k]) if np.isfinite(fit.kept[k]) else None,
                "worst": FACTORS[fit.worst[k]] if fit.worst[k] >= 0 else "",
                "drifted": bool(fit.drifted[k]),
                "moved": _moved(before, old[id_], after, k, same_groups) if before is not None and id_ in old else [],
            }
        )
    return {
        "log_likelihood": _rounded(fit.log_likelihood[-1]),
        "log_likelihood_before": _rounded(fit.log_likelihood[0]),
        "iterations": len(fit.log_likelihood) - 1,
        "archetypes": entries,
        "removed": [] if before is None else [before.archetype_names[k] for id_, k in old.items() if id_ not in after.ids],
    }


def _moved(before: PersonaModel, old: int, after: PersonaModel, new: int, same_groups: bool) -> list[dict[str, Any]]:
    """The values of a persona whose shares changed most, of the factors that both models have learned."""
    rows = []
    names, old_names = value_names(after.facts), value_names(before.facts)
    for f in np.flatnonzero(after.hmm.learned & before.hmm.learned).tolist():
        if FACTORS[f] in ("category", "query") and not same_groups:
            continue
        place = {name: i for i, name in enumerate(old_names[f])}
        was, now = np.exp(before.hmm.log_emission[f][old]), np.exp(after.hmm.log_emission[f][new])
        rows += [(FACTORS[f], name, was.item(place[name]), now.item(v)) for v, name in enumerate(names[f]) if name in place]
    rows = [row for row in rows if abs(row[3] - row[2]) >= NOTICED]
    rows.sort(key=lambda row: -abs(row[3] - row[2]))
    return [{"factor": f, "value": v, "before": _rounded(a), "after": _rounded(b)} for f, v, a, b in rows[:MOVED]]


def _rounded(value: float) -> float:
    return round(float(value), 4)


def sentences(report: Mapping[str, Any]) -> list[str]:
    """A report in plain words, most important first; warnings of drift at the top. Empty for {}, where nothing was fitted."""
    if not report:
        return []
    warnings = [drift_warning(entry) for entry in report["archetypes"] if entry["drifted"]]
    shares = [f"{entry['name']}: {share_sentence(entry)}." for entry in report["archetypes"]]
    return [*warnings, *summary(report), *shares]


def summary(report: Mapping[str, Any]) -> list[str]:
    """What was fitted, how well it explains the log, and which personas are gone."""
    before, after = (f"{report[name]:.3f}".replace("-", "−") for name in ("log_likelihood_before", "log_likelihood"))
    told = [
        f"Learned from {report['events']:,} events of {report['sessions']:,} sessions, in {report['iterations']} rounds.",
        f"Log-likelihood an event, which is higher the better the log is explained: {before} before, {after} now.",
    ]
    return told + [f"{name} is no longer among the personas." for name in report["removed"]]


def share_sentence(entry: Mapping[str, Any]) -> str:
    """How much of the log falls under a persona, such as "12 % of the events, 9 % before"."""
    now = f"{100 * entry['share']:.0f} % of the events"
    return now if entry["share_before"] is None else f"{now}, {100 * entry['share_before']:.0f} % before"


def drift_warning(entry: Mapping[str, Any]) -> str:
    """What a merchandiser is told of a persona whose state has left what its name says."""
    return (
        f"{entry['name']} has drifted: of what it is named by it shows "
        f"{'the contrary' if entry['kept'] < 0 else format(100 * entry['kept'], '.0f') + ' %'} "
        f"under “{TITLES[entry['worst']]}”. "
        "The name stays; see whether it still fits, or weigh its attributes anew."
    )
