"""A driver to be killed: `python -m tests.cluster.driver WHAT HOME`; what there is, see `main`."""

from __future__ import annotations

import sys
from pathlib import Path

from ganlib.cluster import TrialPlan, fit, ray_session, sweep
from ganlib.config import Budget, ClassifierConfig, DataConfig, SweepConfig
from ganlib.data import prepare
from ganlib.training import RunSpec
from tests.cluster import tiny
from tests.cluster.conftest import CLUSTER, small_gan, spec_of


def main(what: str, home: Path) -> None:
    log = home / "ray.log"
    with ray_session(CLUSTER, log=log):
        if what == "none":
            from ray import get_runtime_context

            (home / "address").write_text(get_runtime_context().gcs_address)
            (home / "begun").touch()
            sys.stdin.read()
        if what in ("fit", "short"):
            digits = prepare(DataConfig(size=8, channels=1), home / "data")
            config = small_gan(budget=Budget(images=10**9)) if what == "fit" else small_gan()
            fit(spec_of(config, digits, home / "run"), CLUSTER, workers=2)
        if what == "pair":
            fit(RunSpec.model_validate_json((home / "spec.json").read_text()), CLUSTER, workers=2)
        if what == "range":
            spec = RunSpec.model_validate_json((home / "spec.json").read_text())
            fit(spec, CLUSTER, workers=2, fewest=1)
        if what == "spec":
            fit(RunSpec.model_validate_json((home / "spec.json").read_text()), CLUSTER, workers=1)
        if what == "sweep":
            spec = RunSpec.of(
                ClassifierConfig(),
                dataset_folder="/none",
                dataset_fingerprint="0",
                run_folder=str(home),
            )
            config = SweepConfig(target="classifier", trials=2)
            plans = [TrialPlan(number=n, spec=spec) for n in range(2)]
            sweep(plans, config, CLUSTER, home / "sweep", execute=tiny.hang)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
