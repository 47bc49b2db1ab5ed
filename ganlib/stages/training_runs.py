"""Between a stage and the training floor: specs, who closes which journal, what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, assert_never

from ganlib.config import ClassifierConfig, EvaluationConfig, GanConfig, NetworkFeatures
from ganlib.errors import GanlibError
from ganlib.stages import named, pipelines
from ganlib.stages.beats import beating
from ganlib.stages.context import Context
from ganlib.stages.keys import model_fingerprint
from ganlib.stages.values import Classifiers, DatasetRef, Judges, ModelRef, Networks
from ganlib.storage import Home, read_json
from ganlib.training import Journal, Origin, Outcome, RunIdentity, RunSpec


def selection(config: EvaluationConfig) -> EvaluationConfig:
    """What of the evaluation a training run sees: it draws one sample set, never `repeats`, which
    the selector alone looks at, and teaches nobody by it."""
    untouched = EvaluationConfig()
    alone = ("repeats", "extractors", "teaching")
    return config.model_copy(update={name: getattr(untouched, name) for name in alone})


def start(home: Home, config: ClassifierConfig | GanConfig) -> tuple[str | None, str | None]:
    """The exported folder `init_from` names, and its fingerprint: an alias may move."""
    if config.init_from is None:
        return None, None
    kind: Literal["generator", "classifier"] = (
        "generator" if isinstance(config, GanConfig) else "classifier"
    )
    folder = named.exported(home, config.init_from, kind)
    return str(folder), model_fingerprint(folder)


def spec(
    context: Context,
    config: ClassifierConfig | GanConfig,
    dataset: DatasetRef,
    folder: Path,
    identity: RunIdentity,
    *,
    workers: int,
    judges: Judges | None = None,
    origin: Origin | None = None,
) -> RunSpec:
    """A run in `folder`; with `judges`, watched in the selector's features."""
    return RunSpec.of(
        config,
        dataset_folder=dataset.folder,
        dataset_fingerprint=dataset.fingerprint,
        reading=context.config.data.reading,
        run_folder=str(folder),
        selector=_selector(judges) if judges else None,
        init_from=start(context.home, config)[0],
        origin=origin,
        evaluation=selection(context.config.evaluation) if judges else EvaluationConfig(),
        threads=context.config.cluster.threads,
        workers=workers,
        identity=identity,
        spool=str(context.home.spool),
    )


def _selector(judges: Judges) -> str | NetworkFeatures:
    match judges:
        case Classifiers(selector=selector):
            return selector.folder
        case Networks(selector=network):
            return network.settings
        case _:
            assert_never(judges)


@contextmanager
def owning(
    home: Home, identities: Sequence[RunIdentity], ended: Callable[[Journal], bool] | None = None
) -> Iterator[list[Journal]]:
    """The journals of runs below a stage: opened here, where they are also closed.

    Workers append to them. On an error each is closed with the truth: by `ended` (`close_trained`
    if none is given) where it returns true, since the run came to its end before, or else with the
    error.
    """
    journals = [Journal(pipelines.journal_path(home, i.id), i) for i in identities]
    try:
        with beating(journals):
            yield journals
    except BaseException as error:
        for journal in journals:
            known = False
            with suppress(GanlibError):
                known = (ended or close_trained)(journal)
            if not known:
                pipelines.close(journal, error)
        raise


def close_trained(journal: Journal) -> bool:
    """Close the run as its outcome says, a collapsed one as failed; false where there is none."""
    path = Path(journal.identity.tags["ganlib.folder"]) / "outcome.json"
    try:
        outcome = Outcome.model_validate(read_json(path)["outcome"])
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return False
    sentence = f"{outcome.clock:,} images: {readings(outcome.readings)}."
    if outcome.collapsed:
        journal.close("FAILED", "collapsed", f"{outcome.collapse}; {sentence}")
    else:
        journal.close("FINISHED", outcome.verdict or outcome.reason, sentence)
    return True


def model(
    kind: Literal["classifier", "generator"], outcome: Outcome, identity: RunIdentity
) -> ModelRef:
    """The model a run left behind."""
    return ModelRef(
        kind=kind,
        folder=outcome.model,
        fingerprint=model_fingerprint(Path(outcome.model)),
        run=identity.id,
        images=outcome.clock,
        reason=outcome.reason,
        verdict=outcome.verdict,
        metrics=outcome.readings,
    )


SHOWN = (
    "accuracy",
    "relative_coverage",
    "coverage",
    "scaled_distance",
    "recall",
    "label_agreement",
)


def readings(values: Mapping[str, float]) -> str:
    """The readings a run is remembered by, in one line."""
    return ", ".join(f"{n.replace('_', ' ')} {values[n]:.3g}" for n in SHOWN if n in values)
