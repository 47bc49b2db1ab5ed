"""What travels between stages: small frozen values of paths, names, numbers and fingerprints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field

from ganlib.config import Config, NetworkFeatures

if TYPE_CHECKING:
    import pandas as pd


class Value(Config):
    """What a stage returns and a record remembers."""

    def paths(self) -> tuple[str, ...]:
        """Files and folders without which the value is worth nothing."""
        return ()


V = TypeVar("V", bound=Value, covariant=True)
Verdict = Literal["promoted", "refused", "cannot_tell"]


class Duplicates(Config):
    """Groups of images that are there twice or more; `across_splits`, those in several splits."""

    exact: int = 0
    near: int = 0
    across_splits: int = 0


class DatasetRef(Value):
    """A prepared dataset; `counts` is images per split, `skipped` how many files were left out.

    `ignored` are files that are no images, by their ending; `images_per_second` is what preparing
    reached, from the first look at the source to the last table.
    """

    folder: str
    fingerprint: str
    size: int
    channels: int
    classes: tuple[str, ...]
    counts: dict[str, int]
    skipped: int = 0
    skipped_table: str | None = Field(default=None, description="CSV: what was skipped and why")
    ignored: dict[str, int] = Field(default_factory=dict)
    duplicates: Duplicates = Duplicates()
    duplicates_table: str | None = Field(default=None, description="CSV: which images, by group")
    images_per_second: float | None = None

    @property
    def labelled(self) -> bool:
        """A single class is none."""
        return len(self.classes) > 1

    def paths(self) -> tuple[str, ...]:
        return (str(Path(self.folder) / f"manifest-{self.fingerprint}.json"),)


class ModelRef(Value):
    """An exported model folder. `fingerprint` is the digest of its network and weights.

    `run` is the journal that trained it, `images` its clock at the end, `reason` why it ended;
    `verdict` says how play stalled or collapsed, if it did.
    """

    kind: Literal["classifier", "generator"]
    folder: str
    fingerprint: str
    run: str
    images: int
    reason: str
    verdict: str = ""
    metrics: dict[str, float]

    @property
    def collapsed(self) -> bool:
        return self.verdict.startswith("collapsed")

    def paths(self) -> tuple[str, ...]:
        return (self.folder,)


class NetworkRef(Config):
    """A network that nobody trained on these images; `fingerprint` is of its settings and weights.

    `name` is what it is called beside numbers: network, and where there are weights their digest.
    """

    kind: Literal["network"] = "network"
    settings: NetworkFeatures
    name: str
    fingerprint: str


JudgeRef = Annotated[ModelRef | NetworkRef, Field(discriminator="kind")]
"""Through whose features a generator is seen. `ganlib.stages.judges` makes an extractor of it."""


class Classifiers(Value):
    """The judge gates, the selector selects: same configuration, seeds one apart."""

    kind: Literal["classifiers"] = "classifiers"
    judge: ModelRef
    selector: ModelRef

    def paths(self) -> tuple[str, ...]:
        return (*self.judge.paths(), *self.selector.paths())


class Networks(Value):
    """The same two for images without classes, of which no classifier can be trained."""

    kind: Literal["networks"] = "networks"
    judge: NetworkRef
    selector: NetworkRef


Judges = Annotated[Classifiers | Networks, Field(discriminator="kind")]


class Best(Value):
    """The winner of a sweep: what it changes in the configuration, and the table of all trials."""

    overlay: dict[str, Any]
    trial: int
    trials: int
    readings: dict[str, float]
    table: str | None = Field(default=None, description="CSV: one row per trial")
    target: Literal["gan", "classifier"] = "gan"


class Candidate(Value):
    """A trained generator and the settings it was trained with."""

    model: ModelRef
    overlay: dict[str, Any]
    config: dict[str, Any]

    def paths(self) -> tuple[str, ...]:
        return self.model.paths()


class Metric(Config):
    """A metric with its spread over sample sets and its floor, real images against real ones.

    `sets` is how many the value is the mean of, none where it is not.
    """

    metric: str
    value: float
    spread: float
    sets: int | None = None
    floor: float | None = None


class MetricRow(Config):
    """One figure as every table of an evaluation holds it; null where there is none.

    `low` and `high` bound it by 95 % over what `over` says (sample sets: before the same held-out
    images), `floor` is real against real at `count` of each, with its own interval where there are
    several draws of real images. A metric of one class is named `metric/class`.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    floor: float | None
    count: int
    extractor: str
    layer: str
    over: str = ""
    floor_low: float | None = None
    floor_high: float | None = None


class Evaluated(Value):
    """One generator on the held-out split, seen by one judge."""

    model: str = Field(description="fingerprint of the generator")
    judge: str = Field(description="fingerprint of the judge")
    extractor: str
    samples: int
    metrics: tuple[Metric, ...]
    rows: tuple[MetricRow, ...] = ()
    table: str = Field(description="CSV of rows, with their columns")
    pictures: dict[str, str] = Field(default_factory=dict, description="name -> PNG")
    run: str

    def paths(self) -> tuple[str, ...]:
        return (self.table, *self.pictures.values())

    def values(self) -> dict[str, float]:
        """Metric -> value."""
        return {m.metric: m.value for m in self.metrics}


class JudgeScores(Config):
    """The judge itself on the held-out split; `top5` is none for five classes or fewer."""

    accuracy: float
    top5: float | None = None
    calibration_error: float | None = None
    per_class: dict[str, float]
    samples: int
    table: str = Field(description="CSV: the confusion matrix")
    rows: tuple[MetricRow, ...] = ()
    rows_table: str | None = Field(default=None, description="CSV: rows, columns as a generator's")


class EvaluationResult(Value):
    """The evidence a promotion needs, and by what it was come by.

    `judge` is none where the judge is a network that knows no classes.
    """

    candidate: Evaluated
    judge: JudgeScores | None
    judge_model: JudgeRef
    dataset: DatasetRef
    folder: str
    report: str | None = Field(default=None, description="HTML: all of it on one page")
    card: str | None = Field(default=None, description="Markdown: the generator's model card")
    judge_card: str | None = Field(default=None, description="Markdown: the judge's model card")

    def paths(self) -> tuple[str, ...]:
        also = [self.report, self.card, self.judge_card]
        if self.judge is not None:
            also += [self.judge.table, self.judge.rows_table]
        return (*self.candidate.paths(), *filter(None, also))


class RegisteredModel(Config):
    """A version in the registry and what was decided about it."""

    name: str
    version: str
    uri: str
    aliases: tuple[str, ...]
    verdict: Verdict
    reasons: tuple[str, ...] = ()


class Decision(Value):
    """What became of the generator and its judge; `verdict` is the generator's.

    `judge` is none where no classifier was trained.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    generator: RegisteredModel
    judge: RegisteredModel | None
    champion: str | None = Field(default=None, description="URI of the champion afterwards")
    already: bool = Field(default=False, description="the registry held this decision already")

    @property
    def promoted(self) -> bool:
        return self.verdict == "promoted"

    def registered(self) -> tuple[RegisteredModel, ...]:
        """Every version that was decided about, the generator first."""
        return (self.generator,) if self.judge is None else (self.generator, self.judge)


class RolledBack(Config):
    """The champion before and after a rollback."""

    name: str
    champion: str
    before: str
    reason: str


@dataclass(frozen=True)
class StageResult(Generic[V]):
    """A stage's value and how it was come by. `run` is its journal's name, the run `logs` takes.

    `seconds` is what the work took when it was done, also when it is reused now.
    """

    stage: str
    key: str
    value: V
    reused: bool
    seconds: float
    run: str
    pipeline: str

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "stage": self.stage,
            "key": self.key,
            "reused": self.reused,
            "seconds": round(self.seconds, 3),
            "run": self.run,
            "pipeline": self.pipeline,
            "value": self.value.model_dump(mode="json"),
        }


class Samples(Config):
    """Generated images on disk; row i of the npz is `seeds[i]`, `labels[i]`.

    Of an interpolation `seeds[i]` are both ends and `positions[i]` says where between them.
    """

    model: str
    grid: str
    npz: str
    folder: str
    count: int
    classes: tuple[str, ...]
    seed: int = Field(description="of the first image; the next images count on from it")
    interpolate: tuple[int, int] | None = Field(default=None, description="the seeds at both ends")
    truncation: float | None = Field(default=None, description="the most a latent number may be")


class Predictions(Config):
    """A classifier's answers about a folder, in a table on disk.

    `features` and `feature_maps` are npz files whose rows are the table's, if they were asked for.
    """

    model: str
    table: str
    features: str | None = None
    feature_maps: str | None = None
    images: int
    unreadable: int
    classes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """Columns file, class, probability, class_2, probability_2, ..., error."""
        import pandas as pd

        path = Path(self.table)
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        # A class called 5 is a name, not a number.
        columns = map(str, pd.read_csv(path, nrows=0).columns)
        names = {name: str for name in columns if name.startswith("class")}
        return pd.read_csv(path, dtype=names)


RunState = Literal["running", "finished", "failed", "killed", "interrupted"]


class RunStatus(Config):
    """A run as it truly is.

    `interrupted`: its process is gone and its pipeline is not finished, so the same command
    continues it. `rescues` are what was tried against its collapses, in order.
    """

    id: str
    parent: str | None
    name: str
    stage: str
    state: RunState
    images: int = 0
    budget: int | None = None
    started: float
    updated: float
    attempt: int = 1
    verdict: str = ""
    description: str = ""
    rescues: tuple[str, ...] = ()
    pid: int | None = None
    url: str | None = None


class ModelStatus(Config):
    """A registered version."""

    name: str
    version: str
    aliases: tuple[str, ...]
    verdict: str = ""


class Status(Config):
    """All runs of a home, newest pipeline first, and its registered models."""

    home: str
    runs: tuple[RunStatus, ...]
    models: tuple[ModelStatus, ...]
    note: str = Field(default="", description="why models are missing, if the registry is away")


class Change(Config):
    """One setting or input that differs; none stands for not there."""

    part: str
    path: str
    before: Any = None
    now: Any = None


class Why(Config):
    """Why a stage would be reused or done again."""

    stage: str
    key: str | None
    reused: bool
    reason: str
    changes: tuple[Change, ...] = ()
    compared_with: str | None = Field(default=None, description="key of the newest record")


class Cancelled(Config):
    """What became of the run that was asked to stop."""

    run: str
    state: RunState
    how: Literal["asked", "killed", "was not running"]


class Check(Config):
    """One thing the doctor looked at; `fix` is the one setting or command that mends it."""

    name: str
    ok: bool
    found: str
    fix: str = ""


class Mirroring(Config):
    """What was copied to or from a bucket; `kept` files were there already."""

    uri: str
    files: int
    snapshots: int
    bytes: int
    kept: int


class StageForecast(Config):
    stage: str
    seconds: float
    basis: str


class Forecast(Config):
    """An estimate, before the first long stage: seconds per stage and megabytes at the peak."""

    stages: tuple[StageForecast, ...]
    seconds: float
    megabytes: int
    basis: str


class Collected(Config):
    """A stage's folders and record: `why` it stays, or that nothing reaches it."""

    stage: str
    key: str
    finished: float
    bytes: int = Field(ge=0)
    why: str


class Collection(Config):
    """What `ganlib gc` removed, or would without `deleted`."""

    removed: tuple[Collected, ...]
    kept: tuple[Collected, ...]
    deleted: bool

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.removed)
