"""The comparison of metrics: one side alone, its arithmetic, and what it says without others."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg

from ganlib.bench import fidelity, metrics
from ganlib.bench.metrics_sides import features, measured
from ganlib.errors import ConfigError


def test_our_side_measures_itself_and_is_scipys_value():
    told = measured({"side": "ours", "count": 300, "size": 8, "seed": 3, "threads": 1})
    assert set(told["values"]) == {"frechet", "kernel", "prdc", "inception_score"}
    assert set(told["seconds"]) == set(told["cpu_seconds"]) == set(told["values"])
    real, fake, _ = (side.numpy() for side in features(300, 8, 3))
    a, b = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    expected = np.square(real.mean(0) - fake.mean(0)).sum() + np.trace(
        a + b - 2 * scipy.linalg.sqrtm(a @ b).real
    )
    assert told["values"]["frechet"] == pytest.approx(expected, rel=1e-9)


MEASURES = """
import json
import numpy as np
from ganlib.bench import metrics_sides

features = metrics_sides.features

def made(count, size, seed):
    assert np.ones(40_000_000).sum() == 40_000_000  # 320 MB, gone when they are there
    return features(count, size, seed)

metrics_sides.features = made
metrics_sides.ours = lambda *given: {"frechet": lambda: float(np.ones(15_000_000).mean())}
asked = {"side": "ours", "count": 300, "size": 8, "seed": 3, "threads": 1}
print(json.dumps(metrics_sides.measured(asked)))
"""


def test_memory_is_counted_from_the_features_on_though_making_them_took_more():
    # A process of its own, as the bench has it: one that keeps what it frees would need no more.
    done = subprocess.run(
        [sys.executable, "-c", MEASURES], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["peak_mb"] == pytest.approx(15_000_000 * 8 / 2**20, rel=0.1)


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(metrics._version, metrics.OTHERS)), reason="torch-fidelity and prdc not installed"
)
def test_it_is_what_torch_fidelity_scipy_and_prdc_find():
    told = metrics.bench_metrics(1500, 16, rounds=1)
    assert told["passed"]
    assert set(told["differences"]) >= {"frechet", "frechet_scipy", "kernel", "inception_score"}
    assert told["largest_difference"] <= 1e-6
    assert all(value > 0 for value in told["peak_mb"].values())


def test_nothing_but_names_stands_in_for_torchvision():
    found = fidelity.torchvision()
    assert "torchvision" not in sys.modules
    assert found["torchvision"].datasets is found["torchvision.datasets"]
    with pytest.raises(AttributeError):
        _ = found["torchvision"].models


def test_differences_are_relative_and_a_second_opinion_is_of_the_same_figure():
    ours = {"frechet": 2.0, "prdc": {"recall": 0.5}}
    others = {"frechet": 2.2, "frechet_scipy": 2.0, "prdc": {"recall": 0.5}}
    found = metrics.compare(ours, others)
    assert found == {"frechet": pytest.approx(1 / 11), "frechet_scipy": 0, "recall": 0}


def test_a_reference_of_0_is_met_or_missed_by_infinitely_much():
    others = {"kernel": 0.0, "prdc": {"recall": 0.0}}
    found = metrics.compare({"kernel": 0.0, "prdc": {"recall": 1e-12}}, others)
    assert found == {"kernel": 0, "recall": math.inf}
    assert math.isnan(metrics.compare({"kernel": math.nan}, {"kernel": 0.0})["kernel"])
    assert math.isnan(metrics.compare({"kernel": 1.0}, {"kernel": math.nan})["kernel"])


@pytest.mark.parametrize(
    ("ours", "others", "ratio", "passed"),
    [
        (2.0, 2.0, 6, True),
        (2.0, 2.1, 6, False),
        (2.0, 2.0, 4, False),
        (math.nan, 2.0, 6, False),
        (2.0, math.nan, 6, False),
        (2.0, 0.0, 6, False),
        (0.0, 0.0, 6, True),
    ],
)
def test_it_passes_by_every_difference_and_by_its_time(monkeypatch, ours, others, ratio, passed):
    def measure(asked):
        value, spent = (ours, 1.0) if asked["side"] == "ours" else (others, float(ratio))
        return {
            # The first one agrees always, so that a NaN comes after it.
            "values": {"frechet": 1.0, "kernel": value},
            "seconds": {"frechet": spent, "kernel": spent},
            "cpu_seconds": {"frechet": spent, "kernel": spent},
            "peak_mb": 1.0,
        }

    monkeypatch.setattr(metrics, "OTHERS", {})
    monkeypatch.setattr(metrics, "_measure", measure)
    told = metrics.bench_metrics(1000)
    assert told["cpu_ratio"] == ratio
    assert told["passed"] is passed
    json.dumps(told, allow_nan=False)


def test_without_the_others_it_says_how_to_install_them(monkeypatch):
    monkeypatch.setattr(metrics, "OTHERS", {"no-such-package": "1.0"})
    with pytest.raises(ConfigError, match="no-such-package is not installed") as caught:
        metrics.bench_metrics(1000)
    assert "no-such-package==1.0" in caught.value.hint
