"""The worked example: from real images to a promoted model with `ganlib.api` alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ganlib import api
from ganlib.config import PipelineConfig, load, overlay
from ganlib.errors import ConfigError, NotFound
from ganlib.stages.values import Decision

SETTINGS = {
    "name": "tiny",
    "classifier.network.width": 8,
    "classifier.budget.images": 16_000,
    "gan.generator.network.width": 8,
    "gan.discriminator.network.width": 8,
    "gan.budget.images": 12_000,
    "gan.cadence.evaluate": 4_000,
    "gan.cadence.snapshot": 4_000,
    "sweep.trials": 2,
    "sweep.images": 4_000,
    "sweep.asha.grace_images": 2_000,
    "evaluation.samples": 200,
    "promotion.min_relative_coverage": 0.0,
    "promotion.max_scaled_distance": 5.0,
    "promotion.min_label_agreement": 0.0,
    "promotion.min_judge_accuracy": 0.5,
    "promotion.min_classes_present": 0.0,
}


def small_recipe() -> PipelineConfig:
    return overlay(load("digits"), SETTINGS)


def walk(recipe: PipelineConfig, home: Path) -> tuple[Decision, dict[str, bool]]:
    """Every stage in order; what was decided, and which stages were reused."""
    reused = {}
    with api.session(home):
        run = api.begin(recipe, home=home)
        data = api.prepare(recipe, home=home, pipeline=run)
        judges = api.train_classifiers(recipe, data.value, home=home, pipeline=run)
        best = api.sweep(recipe, data.value, judges.value, home=home, pipeline=run)
        gan = api.train_gan(recipe, data.value, judges.value, best.value, home=home, pipeline=run)
        evidence = api.evaluate(
            recipe, data.value, judges.value, gan.value, home=home, pipeline=run
        )
        decision = api.promote(
            recipe, gan.value, evidence.value, judges.value, home=home, pipeline=run
        )
        api.finish(run, home=home, verdict=decision.value.verdict)
    for result in (data, judges, best, gan, evidence, decision):
        reused[result.stage] = result.reused
    return decision.value, reused


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Decision, dict[str, bool]]:
    home = tmp_path_factory.mktemp("api") / "home"
    decision, reused = walk(small_recipe(), home)
    return home, decision, reused


def test_images_become_a_promoted_model(made: tuple[Path, Decision, dict[str, bool]]) -> None:
    home, decision, reused = made
    assert not any(reused.values())
    assert decision.verdict == "promoted", decision.reasons
    assert decision.generator.uri == decision.champion == "models:/tiny-generator/1"
    assert decision.judge.verdict == "promoted"
    found = api.status(home=home)
    assert {run.state for run in found.runs} == {"finished"}
    stages = [run.stage for run in found.runs if run.parent and run.parent.count(".") == 0]
    assert stages == ["prepare", "classifiers", "sweep", "gan", "evaluate", "promote"]
    held = {(model.name, model.aliases) for model in found.models}
    assert held == {("tiny-generator", ("champion",)), ("tiny-classifier", ("champion",))}


AGAIN = """
import json, sys
from pathlib import Path
from tests.test_api import small_recipe, walk
decision, reused = walk(small_recipe(), Path(sys.argv[1]))
heavy = [name for name in ("torch", "ray", "sklearn") if name in sys.modules]
print(json.dumps({"already": decision.already, "reused": reused, "heavy": heavy}))
"""


def test_a_second_run_reuses_all_and_needs_neither_torch_nor_ray(
    made: tuple[Path, Decision, dict[str, bool]],
) -> None:
    home, _, reused = made
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, str(home)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {"already": True, "reused": dict.fromkeys(reused, True), "heavy": []}
    newest = api.status(home=home).runs[0]
    text = "\n".join(api.logs(newest.id, home=home))
    for stage in reused:
        assert f"ganlib.reused.{stage}=" in text
    assert not [run for run in api.status(home=home).runs if run.parent == newest.id]


def test_why_names_what_changed(made: tuple[Path, Decision, dict[str, bool]]) -> None:
    home, _, _ = made
    recipe = small_recipe()
    same = api.why("gan", recipe, home=home)
    assert same.reused
    other = overlay(recipe, {"evaluation.repeats": 4})
    assert api.why("gan", other, home=home).reused
    assert [c.path for c in api.why("evaluate", other, home=home).changes] == ["evaluation.repeats"]
    faster = overlay(recipe, {"gan.discriminator.optimiser.beta1": 0.5})
    assert api.why("classifiers", faster, home=home).reused
    blocked = api.why("gan", faster, home=home)
    assert blocked.reason.startswith("sweep comes before it")
    assert [(c.path, c.before, c.now) for c in blocked.changes] == [
        ("gan.discriminator.optimiser.beta1", 0.0, 0.5)
    ]
    with pytest.raises(NotFound, match="no stage 'gna'"):
        api.why("gna", recipe, home=home)


def test_the_champion_can_be_used(
    made: tuple[Path, Decision, dict[str, bool]], tmp_path: Path
) -> None:
    home, _, _ = made
    samples = api.sample("tiny", count=20, seed=3, out=tmp_path / "samples", home=home)
    images = np.load(samples.npz)["images"]
    assert images.shape == (20, 8, 8, 1)
    table = api.predict("tiny", samples.folder, out=tmp_path / "table.csv", home=home)
    assert (table.images, table.unreadable) == (20, 0)
    with pytest.raises(NotFound, match="no champion before"):
        api.rollback("tiny-generator", home=home)
    with pytest.raises(NotFound, match="no-such"):
        api.sample("no-such", home=home)


def test_the_example_of_the_readme_is_this_chain(
    made: tuple[Path, Decision, dict[str, bool]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    _, _, rest = readme.partition("```python\n")
    code, _, _ = rest.partition("```")
    small = str(SETTINGS["gan.budget.images"])
    assert "50_000" in code
    monkeypatch.setenv("GANLIB_HOME", str(made[0]))
    monkeypatch.setattr("ganlib.config.load", lambda name: small_recipe())
    exec(compile(code.replace("50_000", small), "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("promoted (")


def test_a_forecast_of_what_is_done_is_nothing(
    made: tuple[Path, Decision, dict[str, bool]],
) -> None:
    home, _, _ = made
    recipe = small_recipe()
    data = api.prepare(recipe, home=home).value
    assert api.forecast(recipe, data, home=home).seconds == 0


def test_a_sweep_that_cannot_be_is_refused_before_anything(tmp_path: Path) -> None:
    recipe = overlay(
        small_recipe(), {"sweep.space": {"gan.nowhere": {"kind": "choice", "values": [1]}}}
    )
    with pytest.raises(ConfigError, match=r"gan\.nowhere"):
        api.begin(recipe, home=tmp_path / "home")
    assert not list((tmp_path / "home" / "runs").iterdir())


def test_recipes_are_complete() -> None:
    assert "digits" in api.recipes()
