"""ganlib in Python: one function per stage or command, and no logic. Flows and the CLI call these.

    from ganlib import api, config

    recipe = config.load("digits")
    with api.session():
        run = api.begin(recipe)
        data = api.prepare(recipe, pipeline=run).value
        api.ready(recipe, data)
        judges = api.train_classifiers(recipe, data, pipeline=run).value
        best = api.sweep(recipe, data, judges, pipeline=run).value
        candidate = api.train_gan(recipe, data, judges, best, pipeline=run).value
        evaluation = api.evaluate(recipe, data, judges, candidate, pipeline=run).value
        decision = api.promote(recipe, candidate, evaluation, judges, pipeline=run).value
        api.finish(run, verdict=decision.verdict)

Of images without classes no classifier is trained: `judges = api.networks(recipe)` in its place.

What all functions share: `home` is the folder everything is kept in (default: `GANLIB_HOME`, or
`.ganlib`); `fresh` ignores what was done before and destroys nothing; `pipeline` is the run it
belongs to, and without one the stage runs alone. They raise what `ganlib.errors` draws and nothing
else on purpose. A finished stage answers from its record, an unfinished one continues. What only
looks at a home or asks it for a model makes none: without one it raises HomeError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from ganlib import config as _config
from ganlib.cluster import holdings as _holdings
from ganlib.config import PipelineConfig
from ganlib.stages import champions as _champions
from ganlib.stages import quality as _quality
from ganlib.stages import sizes as _sizes
from ganlib.stages import speeds as _speeds
from ganlib.stages import values
from ganlib.stages.context import opened
from ganlib.storage import Home

__all__ = [
    "begin",
    "cancel",
    "champion_start",
    "check",
    "check_data",
    "check_snapshot",
    "doctor",
    "elsewhere",
    "evaluate",
    "evaluate_model",
    "finish",
    "forecast",
    "gc",
    "logs",
    "networks",
    "predict",
    "prepare",
    "promote",
    "pull",
    "push",
    "ready",
    "recipes",
    "releases",
    "rollback",
    "sample",
    "session",
    "snapshot_config",
    "status",
    "sweep",
    "train_classifiers",
    "train_gan",
    "unsent",
    "why",
]


def session(home: Path | str | None = None) -> AbstractContextManager[None]:
    """Journals of `home` reach MLflow while this is open; waits for the last lines at the end.

    On entry the runs of dead processes get their true end. Stages open one themselves; one around
    them all saves the waiting in between.
    """
    from ganlib.stages import sessions

    return sessions.session(Home.open(home))


def elsewhere() -> bool:
    """Whether sweeps, training and evaluations are jobs of the Ray at RAY_ADDRESS.

    This process then only watches them, and stops them when it is interrupted.
    """
    from ganlib.stages import jobs

    return jobs.elsewhere()


def releases(pipeline: str, *, home: Path | str | None = None) -> tuple[_holdings.Release, ...]:
    """What the Ray jobs of a pipeline run held when they were stopped, and when it was free."""
    from ganlib.stages import jobs

    return jobs.releases(Home.existing(home), pipeline)


def unsent(home: Path | str | None = None) -> int:
    """Runs of `home` that MLflow does not know all of; what is missing waits in the home."""
    from ganlib.stages import sessions

    return sessions.unsent(Home.open(home))


def check(
    config: PipelineConfig,
    *,
    home: Path | str | None = None,
    fresh: bool = False,
    until: str = "promote",
) -> None:
    """Refuse, before anything is started, what a stage up to `until` would stumble over.

    Images that are plainly not there (it looks at names and decodes nothing), models to start from
    that do not exist, networks and functions that cannot be imported. Raises DataError or
    ConfigError.
    """
    from ganlib.stages import check as stage

    stage.check(Home.open(home), config, fresh=fresh, until=until)


def ready(
    config: PipelineConfig,
    dataset: values.DatasetRef,
    *,
    home: Path | str | None = None,
    until: str = "promote",
) -> None:
    """Refuse, before anything is trained, prepared images that a later stage cannot use.

    Splits too small to judge by, and, on the way to `promote`, other classes, size or channels than
    the champion's of this name. Raises ConfigError.
    """
    from ganlib.stages import check as stage

    stage.data(Home.open(home), config, dataset, until)


def begin(
    config: PipelineConfig,
    *,
    command: str = "run",
    home: Path | str | None = None,
    fresh: bool = False,
    flow_run_id: str | None = None,
) -> str:
    """The id of a pipeline run (`p-` and 12 hexadecimal digits), written down before all else.

    The same `command`, `config` and `fresh` again continue the id that was left unfinished by a
    process now dead; a finished one, or one that still runs, is left alone and a new id is given.
    """
    from ganlib.stages import pipelines

    return pipelines.begin(
        Home.open(home), config, command=command, fresh=fresh, flow_run_id=flow_run_id
    )


def finish(
    pipeline: str,
    *,
    home: Path | str | None = None,
    status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED",
    verdict: str = "",
    description: str = "",
) -> None:
    """Close a pipeline run with its true status. `FAILED` and `KILLED` ones are continued later.

    `verdict` is one word (promoted, refused, cannot_tell, failed ...), `description` one sentence.
    """
    from ganlib.stages import pipelines

    pipelines.finish(Home.open(home), pipeline, status, verdict, description)


def prepare(
    config: PipelineConfig,
    *,
    home: Path | str | None = None,
    fresh: bool = False,
    pipeline: str | None = None,
    flow_run_id: str | None = None,
) -> values.StageResult[values.DatasetRef]:
    """Images to shards with a manifest. Raises DataError for images that cannot be used."""
    from ganlib.stages import prepare as stage

    with opened(config, "prepare", home, fresh, pipeline, flow_run_id) as context:
        return stage.run(context)


def check_data(
    config: PipelineConfig,
    *,
    against: str | None = None,
    features: _quality.Features = "auto",
    home: Path | str | None = None,
    fresh: bool = False,
    pipeline: str | None = None,
) -> values.StageResult[_quality.Checked]:
    """Copies, leaks between splits, likely label errors, outliers, rare classes and drift.

    `against` is a recipe, file or folder to compare with, or `champion`: what the champion of this
    name was trained on. `features` are those that wrong labels are looked for in: patches, a
    network of `evaluation.extractors`, or `auto`, which chooses. Raises DataError for images that
    cannot be used, NotFound for what is nowhere, ConfigError for a network that is not there.
    """
    from ganlib.stages import quality as stage

    with opened(config, "data check", home, fresh, pipeline) as context:
        return stage.run(context, against, features)


def train_classifiers(
    config: PipelineConfig,
    dataset: values.DatasetRef,
    best: values.Best | None = None,
    *,
    home: Path | str | None = None,
    fresh: bool = False,
    pipeline: str | None = None,
    flow_run_id: str | None = None,
) -> values.StageResult[values.Classifiers]:
    """The judge and the selector. `best` is of a sweep whose target is the classifier.

    Raises ConfigError where the images have no classes: `networks` judge them.
    """
    from ganlib.stages import classifiers as stage

    with opened(config, "classifiers", home, fresh, pipeline, flow_run_id) as context:
        return stage.run(context, dataset, best)


def networks(config: PipelineConfig) -> values.Networks | None:
    """The judge and the selector of images without classes; none where classifiers are trained.

    Raises ConfigError for a network that is not there, with the command that installs it.
    """
    from ganlib.stages import judges

    return judges.networks(config)


def sweep(
    config: PipelineConfig,
    dataset: values.DatasetRef,
    judges: values.Judges | None = None,
    *,
    home: Path | str | None = None,
    fresh: bool = False,
    pipeline: str | None = None,
    flow_run_id: str | None = None,
) -> values.StageResult[values.Best]:
    """Trials over `config.sweep.space`; one trial, or an empty space, trains nothing.

    `judges` may be none when the target is the classifier: then sweep first and give the
    result to `train_classifiers`.
    """
    from ganlib.stages import sweep as stage

    with opened(config, "sweep", home, fresh, pipeline, flow_run_id) as context:
        return stage.run(context, dataset, judges)


def train_gan(
    config: PipelineConfig,
    dataset: values.DatasetRef,
    judges: values.Judges,
    best: values.Best | None = None,
    *,
    origin: str = "",
    home: Path | str | None = None,
    fresh: bool = False,
    pipeline: str | None = None,
    flow_run_id: str | None = None,
) -> values.StageResult[values.Candidate]:
    """The generator, with the settings of `best` over the configuration's.

    `origin` is `RUN@CLOCK`, a snapshot of another run to go on from: `snapshot_config` gives the
    configuration to change. May raise Diverged, and Collapsed for a generator that ended so.
    """
    from ganlib.stages import gan as stage

    with opened(config, "gan", home, fresh, pipeline, flow_run_id) as context:
        return stage.run(context, dataset, judges, best, origin)


def snapshot_config(origin: str, *, home: Path | str | None = None) -> PipelineConfig:
    """What a run was trained with at a snapshot of it, `RUN@CLOCK`, the changes of a rescue too.

    Raises NotFound for a run that is not there, and for a clock without a snapshot, naming those
    there are.
    """
    from ganlib.stages import forks

    return forks.fork(Home.existing(home), origin).config


def champion_start(
    config: PipelineConfig,
    dataset: values.DatasetRef,
    *,
    always: bool = False,
    home: Path | str | None = None,
) -> _champions.Start | None:
    """The champion's last snapshot as `origin` of `train_gan`, and the configuration to go on with.

    None without a champion, and where it is what these images gave from nothing: train as ever.
    """
    return _champions.start(Home.open(home), config, dataset, always=always)


def check_snapshot(config: PipelineConfig, origin: str, *, home: Path | str | None = None) -> None:
    """Raises ConfigError for settings that cannot go on from the snapshot `RUN@CLOCK`."""
    from ganlib.stages import forks

    forks.check(config.gan, forks.fork(Home.existing(home), origin), config.data)


def evaluate(
    config: PipelineConfig,
    dataset: values.DatasetRef,
    judges: values.Judges,
    candidate: values.Candidate,
    *,
    home: Path | str | None = None,
    fresh: bool = False,
    pipeline: str | None = None,
    flow_run_id: str | None = None,
) -> values.StageResult[values.EvaluationResult]:
    """The candidate, and the judge if it was trained, on the held-out split: rows and pictures."""
    from ganlib.stages import evaluate as stage

    with opened(config, "evaluate", home, fresh, pipeline, flow_run_id) as context:
        return stage.run(context, dataset, judges, candidate)


def evaluate_model(
    config: PipelineConfig,
    dataset: values.DatasetRef,
    judge: values.JudgeRef,
    model: values.ModelRef,
    *,
    label: str,
    home: Path | str | None = None,
    fresh: bool = False,
    pipeline: str | None = None,
    flow_run_id: str | None = None,
) -> values.StageResult[values.EvaluationResult]:
    """The same of any generator by any judge, as a run called `label`: so a champion is asked."""
    from ganlib.stages import evaluate as stage

    with opened(config, "evaluate", home, fresh, pipeline, flow_run_id) as context:
        return stage.run_model(context, dataset, judge, model, label)


def promote(
    config: PipelineConfig,
    candidate: values.Candidate,
    evaluation: values.EvaluationResult,
    judges: values.Judges,
    *,
    home: Path | str | None = None,
    fresh: bool = False,
    pipeline: str | None = None,
    flow_run_id: str | None = None,
) -> values.StageResult[values.Decision]:
    """Register the generator, and the judge if it was trained; champion if the gates agree.

    A refusal is an answer, not an error: look at `value.verdict` and `value.reasons`. The registry
    is asked each time; `reused` says that it held this decision already.
    """
    from ganlib.stages import promote as stage

    with opened(config, "promote", home, fresh, pipeline, flow_run_id) as context:
        return stage.run(context, candidate, evaluation, judges)


def rollback(
    name: str,
    *,
    reason: str = "",
    home: Path | str | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> values.RolledBack:
    """Make the champion before this one champion again; `name` as in `digits-generator`.

    `on_wait` is told who has the model meanwhile. Raises NotFound when there is no such model or
    no earlier champion.
    """
    from ganlib.stages import named
    from ganlib.stages import promote as stage

    full = named.full(name)
    return stage.rollback(named.registry(home), full, reason, on_wait)


def sample(
    model: str,
    *,
    count: int | None = None,
    classes: Sequence[str] = (),
    seed: int | None = None,
    out: Path | str | None = None,
    interpolate: tuple[int, int] | None = None,
    steps: int | None = None,
    truncation: float | None = None,
    class_sweep: bool = False,
    home: Path | str | None = None,
) -> values.Samples:
    """Images as PNGs, one grid and an npz with seeds and labels.

    By default 64 (`count`) from seed 0 (`seed`) on, classes taking turns. With `class_sweep` every
    class of one seed before the next seed, 8 seeds unless `count` images are asked for. With
    `interpolate` 9 (`steps`) images from one seed to the other, for each class. `truncation` cuts
    the noise off at +- so much: better images, less variety.

    `model` is a name (`digits`: its champion), `models:/NAME@ALIAS`, `models:/NAME/VERSION` or an
    exported folder. `out` defaults to `samples-NAME` in the current folder. Raises NotFound for
    models and classes that do not exist, InputError for wishes that contradict each other.
    """
    from ganlib.stages import sample as stage

    return stage.sample(
        Home(Home.locate(home)),
        model,
        count=count,
        classes=tuple(classes),
        seed=seed,
        out=out,
        interpolate=interpolate,
        steps=steps,
        truncation=truncation,
        class_sweep=class_sweep,
    )


def predict(
    model: str,
    folder: Path | str,
    *,
    top: int = 3,
    out: Path | str | None = None,
    features: bool = False,
    feature_maps: str | None = None,
    home: Path | str | None = None,
) -> values.Predictions:
    """A classifier over a folder (or one file) of images, to a table.

    `model` as in `sample`. `out` is a .csv or .parquet file (default `predictions.csv`). A file
    that cannot be read has a row with the reason in `error`. `features` writes the embeddings, and
    `feature_maps` the output of the layer of that name, as npz files beside the table. Raises
    DataError if there are no images, InputError for a layer that is not there.
    """
    from ganlib.stages import predict as stage

    return stage.predict(
        Home(Home.locate(home)),
        model,
        Path(folder),
        top=top,
        out=out,
        features=features,
        feature_maps=feature_maps,
    )


def status(*, home: Path | str | None = None) -> values.Status:
    """All runs with their true state, and all registered models with versions and aliases."""
    from ganlib.stages import status as stage

    return stage.status(Home.existing(home))


def why(stage: str, config: PipelineConfig, *, home: Path | str | None = None) -> values.Why:
    """Which part of a stage's key differs from its newest record. NotFound for another stage."""
    from ganlib.stages import why as reasons

    return reasons.why(Home.existing(home), config, stage)


def cancel(run: str, *, wait_s: float = 30.0, home: Path | str | None = None) -> values.Cancelled:
    """Ask a run's process to stop, kill it after `wait_s`, and give its runs their true end.

    `run` is an id from `status` or the unique start of one. Raises NotFound.
    """
    from ganlib.stages import control

    return control.cancel(Home.existing(home), run, wait_s=wait_s)


def logs(run: str, *, follow: bool = False, home: Path | str | None = None) -> Iterator[str]:
    """A run's journal as lines a person reads, then its workers' log; `follow` until it ends."""
    from ganlib.stages import control

    return control.logs(Home.existing(home), run, follow=follow)


def doctor(
    *, home: Path | str | None = None, from_worker: bool = False, storage: str | None = None
) -> tuple[values.Check, ...]:
    """What a run needs of this machine, each with the one setting that mends it if it fails.

    With `from_worker` what a worker process sees on each node of the cluster, at `storage`
    (s3://bucket/prefix, by default that of `GANLIB_MIRROR`) among others.
    """
    from ganlib.stages import doctor as stage

    return stage.doctor(home, from_worker=from_worker, storage=storage)


def push(uri: str | None = None, *, home: Path | str | None = None) -> values.Mirroring:
    """Data, records, models, reports, journals and snapshots of a home to s3://bucket/prefix.

    By default that of `GANLIB_MIRROR`. What is there already is not copied, and nothing is removed.
    Raises ConfigError without a place, StorageError.
    """
    from ganlib.stages import mirror

    return mirror.push(Home.existing(home), uri)


def pull(uri: str | None = None, *, home: Path | str | None = None) -> values.Mirroring:
    """The same back into a home at the path it had, each file checked.

    Raises ConfigError, NotFound where nothing was pushed, Damaged, StorageError.
    """
    from ganlib.stages import mirror

    return mirror.pull(Home.open(home), uri)


def gc(
    *,
    keep_runs: int,
    days: float,
    delete: bool = False,
    home: Path | str | None = None,
) -> values.Collection:
    """What nothing reaches any more of an existing home; with `delete` it is removed.

    Stages that the newest `keep_runs` runs used, or younger than `days`, are reached, and so is
    what made a version with an alias. Raises StorageError while the registry does not answer, and
    Busy where something is to be deleted while a run goes on.
    """
    from ganlib.stages import gc as stage

    return stage.collect(Home.existing(home), keep_runs=keep_runs, days=days, delete=delete)


def forecast(
    config: PipelineConfig,
    dataset: values.DatasetRef,
    *,
    home: Path | str | None = None,
    fresh: bool = False,
    until: str = "promote",
    sweeping: bool = True,
) -> values.Forecast:
    """Seconds per stage up to `until` and memory at the peak, estimated.

    Stages that are done count nothing, unless `fresh`.
    """
    from ganlib.stages import forecast as stage

    return stage.forecast(
        Home.open(home), config, dataset, fresh=fresh, until=until, sweeping=sweeping
    )


def recipes() -> dict[str, PipelineConfig]:
    """The recipes that come with ganlib, by name."""
    return {name: _config.load_recipe(name) for name in _config.recipe_names()}


def sizes(configs: Mapping[str, PipelineConfig]) -> dict[str, _sizes.Sizes]:
    """How many parameters each configuration's networks have, for ten classes."""
    return _sizes.sizes(configs)


def speeds(
    configs: Mapping[str, PipelineConfig],
    *,
    home: Path | str | None = None,
    measure: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, _speeds.Speed]:
    """What each configuration's GAN costs on this machine, as far as it was measured before.

    With `measure` the rest is measured now and kept in the home; `say` is told of each.
    """
    return _speeds.told(home, configs, measure=measure, say=say)
