"""The end of a run: what was made, its alias, where to look, how long it took, what next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.cli import tables
from ganlib.stages.durations import duration

if TYPE_CHECKING:
    from rich.console import Console

    from flows.chain import PipelineResult
    from ganlib.config import PipelineConfig
    from ganlib.stages.values import DatasetRef, JudgeRef

SHOWN = (
    "scaled_distance",
    "coverage",
    "relative_coverage",
    "intra_class_coverage",
    "intra_class_coverage_min",
    "recall",
    "precision",
    "density",
    "label_agreement",
    "class_entropy",
    "classes_present",
)


def result(config: PipelineConfig, done: PipelineResult, times: dict[str, float]) -> dict[str, Any]:
    """The `result` member of the document."""
    told: dict[str, Any] = {
        "pipeline": done.pipeline,
        "name": done.name,
        "home": done.home,
        "verdict": done.verdict,
        "stages": [stage.model_dump(mode="json") for stage in done.stages],
        "reused": all(stage.reused for stage in done.stages),
        "seconds": {name: round(value, 3) for name, value in times.items()},
        "seeds": seeds(config),
    }
    if done.forecast:
        told["forecast"] = done.forecast.model_dump(mode="json")
    if done.dataset:
        told["dataset"] = done.dataset.model_dump(mode="json")
    if done.judges:
        told[done.judges.kind] = done.judges.model_dump(mode="json")
    if done.best:
        told["sweep"] = done.best.model_dump(mode="json")
    if done.candidate:
        told["candidate"] = {
            **done.candidate.model_dump(mode="json", exclude={"config"}),
            "weights": done.candidate.model.fingerprint,
        }
    if done.evaluation:
        told["report"] = done.evaluation.report
        told["evaluation"] = done.evaluation.model_dump(mode="json")
        told["metrics"] = done.evaluation.candidate.values()
        if judge := done.evaluation.judge:
            told["metrics"]["judge_accuracy"] = judge.accuracy
    if done.decision:
        told["decision"] = done.decision.model_dump(mode="json")
    return told


def seeds(config: PipelineConfig) -> dict[str, int]:
    """Every seed the outcome depends on."""
    trained = config.judging.kind == "classifiers"
    return {
        "data.split_seed": config.data.split_seed,
        **({"classifier.seed": config.classifier.seed} if trained else {}),
        "gan.seed": config.gan.seed,
        "sweep.seed": config.sweep.seed,
        "evaluation.seed": config.evaluation.seed,
    }


def show(
    console: Console, config: PipelineConfig, done: PipelineResult, times: dict[str, float]
) -> None:
    """The same for a person."""
    console.print()
    tables.show(console, ("made", "", "where"), _made(done), title=_headline(done))
    if done.evaluation:
        tables.show(
            console,
            ("metric", "value", "spread", "real against real"),
            _metrics(done),
            right=("value", "spread", "real against real"),
            title=f"{done.evaluation.candidate.samples} generated against as many held-out images, "
            f"{done.evaluation.candidate.extractor}",
        )
    tables.show(
        console,
        ("part", "time", ""),
        _times(done, times),
        right=("time",),
        title="What took how long",
    )
    told = ", ".join(f"{name} {value}" for name, value in seeds(config).items())
    console.print(f"seeds: {told}", style="dim", markup=False)
    console.print("next:", style="bold")
    for command, what in _next(done):
        console.print(f"  {command:<44} {what}", markup=False)


def _headline(done: PipelineResult) -> str:
    if done.decision is None:
        return f"{done.name}: done up to {done.stages[-1].stage}"
    return f"{done.name}: {done.verdict.replace('_', ' ')}"


def _made(done: PipelineResult) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    if data := done.dataset:
        counts = ", ".join(f"{count:,} {split}" for split, count in data.counts.items())
        rate = f"; {data.images_per_second:,.0f} images/s" if data.images_per_second else ""
        rows.append(("images", f"{counts}{rate}", data.folder))
        rows += _left_out(data)
    if done.judges:
        rows.append(_judge(done.judges.judge))
    if best := done.best:
        changes = ", ".join(f"{k.split('.', 1)[-1]}={_short(v)}" for k, v in best.overlay.items())
        what = f"trial {best.trial} of {best.trials}: {changes or 'the recipe as it stands'}"
        rows.append(("sweep", what, best.table or ""))
    if candidate := done.candidate:
        trained = candidate.model
        rows.append(("generator", f"{trained.images:,} images, {trained.reason}", trained.folder))
    if evaluation := done.evaluation:
        if judge := evaluation.judge:
            rows.append(("judge's test", f"accuracy {judge.accuracy:.2%}", judge.table))
        if evaluation.report:
            rows.append(("report", "one page, to be opened in a browser", evaluation.report))
        rows.append(("metrics", "", evaluation.candidate.table))
        rows += [("picture", name, path) for name, path in evaluation.candidate.pictures.items()]
    if decision := done.decision:
        for model in decision.registered():
            held = ", ".join(model.aliases) or "no alias"
            rows.append((f"{model.name} v{model.version}", f"{model.verdict}: {held}", model.uri))
        rows += [("because", reason, "") for reason in decision.reasons]
    return [(name, what, _near(where)) for name, what, where in rows]


def _judge(judge: JudgeRef) -> tuple[str, str, str]:
    from ganlib.stages import judges
    from ganlib.stages.values import NetworkRef

    if isinstance(judge, NetworkRef):
        return "judge", judges.told(judge), ""
    accuracy = judge.metrics.get("accuracy")
    told = f"accuracy {accuracy:.2%} on validation" if accuracy is not None else ""
    return "judge", told, judge.folder


def _left_out(data: DatasetRef) -> list[tuple[str, str, str]]:
    rows = [
        ("skipped files", f"{data.skipped:,}" if data.skipped else "none", data.skipped_table or "")
    ]
    if data.ignored:
        told = ", ".join(f"{count:,} {ending}" for ending, count in data.ignored.items())
        rows.append(("no images", told, ""))
    twice = data.duplicates
    if twice.exact or twice.near:
        told = (
            f"{twice.exact:,} exact and {twice.near:,} near, {twice.across_splits:,} across splits"
        )
        rows.append(("duplicates", told, data.duplicates_table or ""))
    return rows


def _metrics(done: PipelineResult) -> list[tuple[str, str, str, str]]:
    assert done.evaluation
    known = {m.metric: m for m in done.evaluation.candidate.metrics}
    rows = [
        (
            name.replace("_", " "),
            f"{known[name].value:.4g}",
            f"{known[name].spread:.2g}",
            "" if known[name].floor is None else f"{known[name].floor:.4g}",
        )
        for name in SHOWN
        if name in known
    ]
    halves = known.get("split_half_distance")
    if halves:
        told = ("  of two real halves", "", f"{halves.spread:.2g}", f"{halves.value:.4g}")
        rows.insert(1, told)
    return rows


def _times(done: PipelineResult, times: dict[str, float]) -> list[tuple[str, str, str]]:
    rows = [("start-up", duration(times["start-up"]), "Prefect, MLflow, imports")]
    for stage in done.stages:
        note = f"reused; it took {duration(stage.seconds)}" if stage.reused else ""
        rows.append((stage.stage, duration(stage.took), note))
        if stage.stage == "prepare" and done.forecasting >= 0.5:
            rows.append(("forecast", duration(done.forecasting), "a few steps, timed"))
    known = times["start-up"] + sum(stage.took for stage in done.stages) + times["closing"]
    known += done.forecasting
    rows.append(("closing", duration(times["closing"]), "last lines to MLflow and Prefect"))
    rest = times["total"] - known
    if rest >= 0.5:
        rows.append(("between", duration(rest), "artifacts, records, states"))
    rows.append(("total", duration(times["total"]), ""))
    return rows


def _next(done: PipelineResult) -> list[tuple[str, str]]:
    home = Path(done.home)
    at = "" if home == Path.cwd() / ".ganlib" else f" --home {_near(done.home)}"
    rows = [(f"ganlib ui{at}", "runs, curves, grids and models in a browser")]
    if done.decision:
        generator, judge = done.decision.generator, done.decision.judge
        alias = "@champion" if "champion" in generator.aliases else f"/{generator.version}"
        rows.append((f"ganlib sample models:/{generator.name}{alias}{at}", "new pictures"))
        if judge is not None:
            alias = "@champion" if "champion" in judge.aliases else f"/{judge.version}"
            rows.append(
                (f"ganlib predict models:/{judge.name}{alias} FOLDER{at}", "classes of pictures")
            )
    rows.append((f"ganlib status{at}", "all runs, models and aliases"))
    return rows


def _near(path: str) -> str:
    """Relative to the current folder where that is shorter."""
    if not path.startswith("/"):
        return path
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
