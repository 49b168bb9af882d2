"""Run as a program by the browser tests: what a shop's admin tells of its adaptation, made for the shop `fashion`.

Decisions from which a policy is learned, which serves; proposals of every kind and verdict, one of them applied; what bounds
blocked; an experiment that ended with a verdict, and its visits.
"""

from __future__ import annotations

import datetime as dt
import uuid

import django

SESSIONS = 150
"""Of each arm."""


def main() -> None:
    django.setup()
    import numpy as np
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from clusters.models import ItemCluster
    from personas.models import Shop
    from recommendations.benchmarks.made_decisions import made_decisions
    from recommendations.demo import USER
    from recommendations.learning import experiments, policies
    from recommendations.learning.models import AdaptationSettings, BlockedAction, ClusterProposal, ExperimentSession
    from recommendations.learning.proposals import apply_proposal, summary_of
    from recommendations.serving.trials import read_arms

    shop, now = Shop.objects.get(slug="fashion"), timezone.now()
    user = get_user_model().objects.get(username=USER)
    AdaptationSettings.objects.get_or_create(shop=shop, defaults={"drift_budget": 0.5})
    made_decisions(shop, decisions=2_000, until=now - dt.timedelta(days=1), over_s=12 * 86_400.0)
    policies.learn_policy(shop)

    one, other, *rest = ItemCluster.objects.live().filter(shop=shop).order_by("-size")
    own = list(one.memberships.order_by("weight").values_list("item_id", flat=True))
    fresh = list(other.memberships.exclude(item__in=own).values_list("item_id", flat=True))
    evidence = {
        "decisions": [310, 420], "sessions": [300, 390], "means": [0.62, 0.5], "effective": 700.4, "asked": 200,
        "difference": 0.12, "error": 0.03, "p": 0.00001, "missing": "", "tests": 31, "false_discoveries": 0.05,
        "judged_at": now.isoformat(), "tie": 0.3,
    }  # fmt: skip
    few = {**evidence, "effective": 96.0, "missing": "The sample is worth 96 decisions; 200 are asked for."}
    told = [
        ("add", fresh[:3], "better", (0.16, 0.12, 0.21), evidence),
        ("relate", [], "better", (0.05, 0.01, 0.09), evidence),
        ("drop", own[:2], "unknown", (0.04, -0.05, 0.13), few),
        ("downweight", own[2:4], "unknown", (0.03, -0.02, 0.08), few),
        ("add", fresh[3:5], "better", (0.08, 0.02, 0.14), evidence),
    ]
    for place, (kind, items, verdict, (effect, low, high), speaks) in enumerate(told):
        seen = {"sights": 210, "sessions": 190, "factor": 0.4}
        seen |= {"effect": 0.05, "low": 0.03, "high": 0.07} if kind == "add" else {"observed": 3.0, "expected": 21.5}
        row = ClusterProposal(
            shop=shop, cluster=one, kind=kind, verdict=verdict, effect=effect, low=low, high=high, evidence=speaks,
            target=other if kind in ("add", "relate") else None,
            items=[{"item": item, "weight": 0.2, "evidence": seen} for item in items],
        )  # fmt: skip
        row.summary = summary_of(row)
        row.save()
        if place == len(told) - 1:
            apply_proposal(proposal=row, user=user, reason="Looks right.")
    blocked = ClusterProposal.objects.create(
        shop=shop, cluster=one, kind="drop", state="blocked", bound="locked", evidence=evidence, effect=0.1, low=0.05, high=0.15,
        verdict="better", items=[{"item": own[5], "weight": 0.2, "evidence": {}}], summary="Let an item go",
    )  # fmt: skip
    for day, (where, cluster, action, bound, times) in enumerate(
        [
            ("session", one, "contract", "locked", 1_204),
            ("session", other, "expand", "margin_floor", 61),
            ("lasting", one, "drop", "locked", 2),
            ("session", (rest or [one])[0], "contract", "most_contracted", 12),
        ]
    ):
        BlockedAction.objects.create(
            shop=shop, day=now.date() - dt.timedelta(days=day), where=where, cluster=cluster.pk, action=action, bound=bound,
            times=times, example=str(blocked.pk) if where == "lasting" else "made-1",
        )  # fmt: skip

    rng = np.random.default_rng(0)
    arms = ({"name": "As it is", "share": 0.5}, {"name": "Still", "share": 0.5, "adapts": False})
    ended = experiments.create(
        shop, name="What adapting is worth", arms=arms, guardrails=[{"metric": "revenue", "least": -0.15}], user=user
    )
    experiments.start(ended)
    visits = []
    for place, arm in enumerate(read_arms(ended.arms)):
        for k in range(SESSIONS):
            measures = {"reports": 3.0, "reward": rng.normal(1.0 - 0.6 * place), "revenue": rng.exponential(10.0)}
            measures |= {"engagements": 1.0, "carts": 0.1, "purchases": 0.02}
            at = now - dt.timedelta(hours=30) + dt.timedelta(minutes=10 * k)
            visits.append(ExperimentSession(experiment=ended, session_id=f"{arm.name}{k}", unit=uuid.uuid4().hex, arm=arm.name,
                                            at=at, measures=measures, counted_at=now))  # fmt: skip
    ExperimentSession.objects.bulk_create(visits)
    experiments.look(shop)
    experiments.stop(ended, by=user, reason="Known well enough.")


if __name__ == "__main__":
    main()
