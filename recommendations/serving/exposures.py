"""Sessions that were served in an experiment, written as they are archived: who was in which arm, to be counted later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from personas.models import in_chunks, moment
from recommendations.learning.models import Experiment, ExperimentSession
from recommendations.serving.activity import Record
from recommendations.serving.trials import read_arms


def write_exposures(shop: int, records: Iterable[Record]) -> None:
    """A row for each session in an experiment, once, and word that what it did is to be counted anew.

    The caller holds the shop's lock, as whoever counts does, so that no word is lost.
    """
    found: dict[tuple[int, str], Record] = {}
    for record in records:
        if record.experiment:
            found.setdefault((record.experiment, record.session), record)
    if not found:
        return
    known = set(Experiment.objects.filter(shop=shop, pk__in={pk for pk, _ in found}).values_list("pk", flat=True))
    rows = [
        ExperimentSession(experiment_id=pk, session_id=name, unit=r.unit, arm=r.arm, at=moment(r.started_at))
        for (pk, name), r in sorted(found.items())
        if pk in known
    ]
    ExperimentSession.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    for pk in sorted(known):
        for chunk in in_chunks([name for of, name in found if of == pk]):
            counted = ExperimentSession.objects.filter(experiment=pk, session_id__in=chunk, counted_at__isnull=False)
            counted.update(counted_at=None)


def components_of(records: Iterable[Record]) -> Mapping[tuple[int, str], dict[str, str]]:
    """(experiment, arm) -> component kind -> version that it was served with in the place of the release's own."""
    numbers = {record.experiment for record in records if record.experiment}
    if not numbers:
        return {}
    told = Experiment.objects.filter(pk__in=numbers).order_by().values_list("pk", "arms")
    return {
        (pk, arm.name): {kind: version for kind, version in (("policy", arm.policy), ("clusters", arm.clusters)) if version}
        for pk, arms in told
        for arm in read_arms(arms)
    }
