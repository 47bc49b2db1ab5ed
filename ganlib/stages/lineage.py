"""Where an evaluation comes from, and how to come by it again."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from ganlib.stages import judges, pipelines
from ganlib.stages.origins import Origins, Training
from ganlib.stages.records import Work
from ganlib.stages.values import DatasetRef, JudgeRef, ModelRef

Terms = tuple[tuple[str, str], ...]
PACKAGES = ("ganlib", "torch", "numpy", "ray", "mlflow-skinny", "mlflow", "prefect", "scikit-learn")


def lineage(
    work: Work,
    dataset: DatasetRef,
    judge: JudgeRef,
    model: ModelRef,
    past: Origins,
    run: Training,
) -> Terms:
    """From the images to this page; what is not known is left out."""
    from ganlib.tracking.runs import git_commit

    gan = past.gan.result if past.gan is not None else {}
    sweep = past.sweep.result if past.sweep is not None else {}
    changed = ", ".join(f"{path}={value}" for path, value in gan.get("overlay", {}).items())
    parent = (gan.get("config") or {}).get("init_from")
    context = work.context
    told = [
        ("dataset", f"{dataset.fingerprint} in {dataset.folder}"),
        ("skipped files", f"{dataset.skipped:,}"),
        ("copies", _copies(dataset)),
        *_judge(work, judge),
        ("sweep", _trial(sweep) if sweep else ""),
        ("changed by it", changed),
        ("generator", f"{model.fingerprint}, made by {model.run}"),
        ("generator version", _version(work, "generator", model)),
        ("started from", str(parent or "")),
        ("last snapshot", run.parent),
        *((f"stage {r.label}", f"{r.key}, made by {r.run}") for r in past.known()),
        ("stage evaluate", f"{work.key}, made by {work.identity.id}"),
        ("pipeline run", context.pipeline_id),
        ("flow run", context.flow_run_id or ""),
        ("experiment", context.experiment),
        ("configuration", work.identity.tags.get("ganlib.config", "")),
        ("git commit", git_commit()),
        ("home", str(context.home.root)),
    ]
    return tuple((name, text) for name, text in told if text)


def _judge(work: Work, judge: JudgeRef) -> Terms:
    if not isinstance(judge, ModelRef):
        return (("judge", f"{judge.fingerprint}, {judges.told(judge)}"),)
    made = f"{judge.fingerprint}, made by {judge.run}"
    return (("judge", made), ("judge version", _version(work, "classifier", judge)))


def _trial(sweep: Mapping[str, Any]) -> str:
    return f"trial {sweep['trial']} of {sweep['trials']} won"


def _copies(dataset: DatasetRef) -> str:
    twice = dataset.duplicates
    if not (twice.exact or twice.near):
        return "none"
    return f"{twice.exact:,} exact and {twice.near:,} near, {twice.across_splits:,} across splits"


def _version(work: Work, kind: str, model: ModelRef) -> str:
    """In the registry, by the bytes of the model's folder."""
    from ganlib.errors import GanlibError
    from ganlib.tracking.registry import registered

    name = f"{work.context.config.name}-{kind}"
    try:
        version = registered(work.context.home, name, Path(model.folder))
    except GanlibError as error:
        return f"the registry could not be asked: {error.message}"
    return version.uri if version is not None else "none yet: promotion registers it"


def command(work: Work, past: Origins) -> str:
    """What was asked for, with the configuration as a file: up to this page and no further."""
    name = work.context.config.name
    asked = pipelines.read(work.context.home, work.context.pipeline_id).command
    bare = asked.endswith("without sweep") or past.sweep is None
    return f"ganlib evaluate {name}.yaml{' --no-sweep' if bare else ''} --home new-home"


def settings(work: Work) -> str:
    """The whole configuration as YAML, which every command takes."""
    config = work.context.config.model_dump(mode="json")
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def expected(judge: JudgeRef, model: ModelRef, belongs: Mapping[str, Any]) -> Terms:
    """The same bits where the same machine code runs, and statistically the same elsewhere."""
    workers, threads = belongs.get("workers", 1), belongs.get("threads", 1)
    return (
        ("judge", judge.fingerprint),
        ("generator", model.fingerprint),
        (
            "given",
            f"the versions below, {workers} worker{'s' * (workers != 1)}, {threads} "
            f"thread{'s' * (threads != 1)} each and a processor of the same kind. Elsewhere GANs "
            "are chaotic: figures agree within their intervals over training seeds, not bit for "
            "bit.",
        ),
    )


def environment() -> Terms:
    """Versions as installed; nothing is imported for them."""
    told = [("python", platform.python_version())]
    for name in PACKAGES:
        try:
            told.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    cores = os.cpu_count() or 1
    system = f"{platform.system()} {platform.machine()}, {cores} core{'s' * (cores != 1)}"
    return (*told, ("machine", system))
