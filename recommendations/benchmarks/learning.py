"""Learning from a log of decisions: seconds to credit, seal, fold and judge, in a real database."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack

from recommendations.benchmarks.load import BenchmarkError
from recommendations.benchmarks.stages import Stages
from recsite import embedded

DAYS = 14
"""Over which the made decisions are spread."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--decisions", type=int, default=1_000_000, help="in the made log (default: 1,000,000)")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite", help="to measure in (default: sqlite)")


def run(options: argparse.Namespace) -> dict[str, float | int | str]:
    """Seconds of `learn_policy` on a made log, in all and by stage; making the log is not part of them.

    In a database and a Valkey of its own. Raises BenchmarkError if the learner fails.
    """
    home = embedded.short_temporary_directory("pc-learning-")
    with ExitStack() as stack, Stages("learning") as stages:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        valkey = embedded.start_valkey(home / "valkey", fsync="everysec")
        stack.callback(valkey.stop)
        url = f"sqlite:///{home / 'db.sqlite3'}"
        if options.database == "postgres":
            home.chmod(0o711)  # its own user passes through
            postgres = embedded.start_postgres(home / "pg")
            stack.callback(postgres.stop)
            url = postgres.url
        environment = os.environ | {"DATA_DIR": str(home / "var"), "REDIS_URL": valkey.url, "DATABASE_URL": url}
        with stages.stage(f"a log of {options.decisions:,} decisions is made, and learned from"):
            command = [sys.executable, "-m", __name__, str(options.decisions)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"the learner failed: {done.stderr.strip().splitlines()[-1:]}")
    results: dict[str, float | int | str] = json.loads(done.stdout)
    return {"database": options.database, **results}


def measured(decisions: int) -> dict[str, float | int | str]:
    """In a database that is empty but for its tables."""
    from django.utils import timezone

    from clusters.policy import default_policy
    from personas.component_files import save_component
    from personas.models import Shop
    from recommendations import releases
    from recommendations.benchmarks.made_decisions import made_decisions
    from recommendations.learning import evidence, policies
    from recommendations.learning.bounds import settings_of
    from recommendations.learning.models import AdaptationSettings, PolicyEvidence
    from recommendations.models import Release

    shop = Shop.objects.create(slug="made", name="Made")
    AdaptationSettings.objects.create(shop=shop, goes_live_by_itself=False)
    component = save_component(releases.root_of(shop), "policy", default_policy())
    Release.objects.create(shop=shop, number=1, components={"policy": component}, state=Release.State.ACTIVE)
    now = timezone.now()
    made_decisions(shop, decisions=decisions, until=now - dt.timedelta(hours=2), over_s=DAYS * 86_400.0)
    rewards = policies.rewards_of(settings_of(shop))
    started, worked = time.perf_counter(), time.process_time()
    evidence.claim(shop, before=now.timestamp(), all_of_it=True)
    claimed = time.perf_counter()
    evidence.seal(shop, rewards)
    sealed = time.perf_counter()
    row = policies.learn_policy(shop, now=now, at_once=True).candidate
    ended = time.perf_counter()
    if row is None:
        raise BenchmarkError("nothing was learned")
    return {
        "decisions": row.learned["decisions"],
        "credited": row.learned["credited"],
        "chunks": PolicyEvidence.objects.count(),
        "seconds": round(ended - started, 2),
        "seconds_laid_out": round(claimed - started, 2),
        "seconds_credited_and_sealed": round(sealed - claimed, 2),
        "seconds_folded_and_judged": round(ended - sealed, 2),
        "processor_seconds": round(time.process_time() - worked, 2),
        "peak_MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0, 1),
        "judged_on": row.verdict["decisions"],
        "verdict": row.verdict["verdict"],
    }


def main(decisions: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recsite.settings")
    os.environ["LOG_LEVEL"] = "WARNING"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    print(json.dumps(measured(decisions)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
