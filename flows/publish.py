"""What Prefect's pages show of a run: artifacts with results and links, events for bad news."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.events import emit_event

from ganlib.config import PipelineConfig
from ganlib.errors import Collapsed, Diverged

if TYPE_CHECKING:
    from flows.chain import PipelineResult
    from ganlib.cluster.holdings import Holdings, Release
    from ganlib.stages.values import EvaluationResult, StageResult

logger = logging.getLogger("ganlib.flows")
LARGEST_PICTURE = 400_000


def result(config: PipelineConfig, done: PipelineResult) -> None:
    """The artifacts of a finished run, and an event when its model was not promoted.

    What cannot be shown is logged: the work is done and recorded all the same.
    """
    try:
        _artifacts(config, done)
    except Exception as error:
        logger.warning("no artifacts: %r", error)
    if done.decision and not done.decision.promoted:
        _event(
            "ganlib.refused",
            config,
            done.pipeline,
            {"verdict": done.decision.verdict, "reasons": list(done.decision.reasons)},
        )


def evaluation(config: PipelineConfig, home: str, done: StageResult[EvaluationResult]) -> None:
    """The report's facts and the way to its page, on the run of the task that evaluated."""
    found = done.value
    if found.report is None or found.card is None:
        return
    key, page = _key(config.name), report_page(home, found)
    try:
        create_link_artifact(
            link=page,
            link_text=f"{config.name}: the report",
            key=f"{key}-report",
            description=f"One page with pictures, in `{found.report}`.",
        )
        card = Path(found.card).read_text(encoding="utf-8")
        create_markdown_artifact(
            key=f"{key}-evaluation",
            markdown=f"# {config.name}: evaluation\n\n[The report]({page})\n\n{card}",
            description=f"What {config.name} was evaluated to be.",
        )
    except Exception as error:
        logger.warning("no artifacts of the report: %r", error)


def report_page(home: str, found: EvaluationResult) -> str:
    """On an MLflow server where there is one, else the file itself."""
    url = mlflow_url(home, found.candidate.run)
    return f"{url}/artifacts/report.html" if url else Path(str(found.report)).as_uri()


def _artifacts(config: PipelineConfig, done: PipelineResult) -> None:
    key = _key(config.name)
    create_table_artifact(
        key=f"{key}-stages",
        table=[
            {
                "stage": s.stage,
                "": "reused" if s.reused else "done",
                "seconds": round(s.took, 1),
                "run": s.run,
            }
            for s in done.stages
        ],
        description=f"What {config.name} came through, and what each stage took this time.",
    )
    if done.evaluation:
        create_table_artifact(
            key=f"{key}-metrics",
            table=[m.model_dump(mode="json") for m in done.evaluation.candidate.rows],
            description=f"{done.evaluation.candidate.samples} generated against as many held-out "
            f"images, seen by {done.evaluation.candidate.extractor}.",
        )
    create_markdown_artifact(
        key=f"{key}-result", markdown=_report(config, done), description=_headline(done)
    )


def releases(config: PipelineConfig, found: Sequence[Release]) -> None:
    """Of a run that was cancelled: the proof that its last Ray job holds nothing any more."""
    if not found:
        return
    try:
        create_table_artifact(
            key=f"{_key(config.name)}-release",
            table=[_holdings(when, held) for when, held in _ends(found[-1])],
            description=found[-1].sentence,
        )
    except Exception as error:
        logger.warning("no artifact of what was released: %r", error)


def _ends(release: Release) -> tuple[tuple[str, Holdings], ...]:
    return (
        ("before", release.before),
        (f"{release.seconds:.1f} s after", release.after),
    )


def _holdings(when: str, held: Holdings) -> dict[str, Any]:
    used = {f"{name} used": f"{n:g} of {held.total[name]:g}" for name, n in held.used.items()}
    processes = ", ".join(f"{one.kind} {one.pid} on {one.host}" for one in held.processes)
    groups = ", ".join(group[:12] for group in held.placement_groups)
    return {"": when, **used, "placement groups": groups, "processes": processes}


def diverged(config: PipelineConfig, pipeline: str, error: Diverged) -> None:
    """An event that an automation can act on."""
    detail = {"clock": error.clock, "scalar": error.name, "message": error.message}
    _event("ganlib.diverged", config, pipeline, detail)


def collapsed(config: PipelineConfig, pipeline: str, error: Collapsed) -> None:
    """The same of a run that was stopped because its generator lost its variety."""
    detail = {"clock": error.clock, "seen": error.told, "message": error.message}
    _event("ganlib.collapsed", config, pipeline, detail)


def _event(name: str, config: PipelineConfig, pipeline: str, payload: dict[str, Any]) -> None:
    resource = {
        "prefect.resource.id": f"ganlib.pipeline.{pipeline}",
        "prefect.resource.name": config.name,
    }
    try:
        emit_event(event=name, resource=resource, payload=payload)
    except Exception as error:
        logger.warning("no event: %r", error)
    logger.warning("%s %s: %s", config.name, name, payload)


def _key(name: str) -> str:
    """Artifact keys are lower-case letters, digits and dashes."""
    return "ganlib-" + "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")


def _headline(done: PipelineResult) -> str:
    if done.decision is None:
        return f"{done.name}: done up to {done.stages[-1].stage}"
    return f"{done.name}: {done.decision.verdict.replace('_', ' ')}"


def _report(config: PipelineConfig, done: PipelineResult) -> str:
    lines = [f"# {_headline(done)}", "", f"{config.purpose}", ""]
    if done.decision:
        lines += [f"- {reason}" for reason in done.decision.reasons]
        for model in done.decision.registered():
            held = ", ".join(model.aliases) or "no alias"
            lines.append(f"- `{model.uri}` holds {held}")
    lines += ["", *links(done), ""]
    if done.evaluation:
        lines += _pictures(done.evaluation.candidate.pictures)
    return "\n".join(lines)


def links(done: PipelineResult) -> list[str]:
    """Where the same is found elsewhere: the MLflow run, the home, the tables."""
    lines = [f"- pipeline run `{done.pipeline}` in `{done.home}`"]
    url = mlflow_url(done.home, done.pipeline)
    lines.append(
        f"- [MLflow run]({url})" if url else "- MLflow: `ganlib ui` shows the run and its pictures"
    )
    if done.evaluation and done.evaluation.report:
        lines.append(f"- [report]({report_page(done.home, done.evaluation)}) of the evaluation")
    if done.evaluation:
        lines.append(f"- metrics: `{done.evaluation.candidate.table}`")
    if done.best and done.best.table:
        lines.append(f"- trials of the sweep: `{done.best.table}`")
    return lines


def mlflow_url(home: str, run: str) -> str | None:
    """The page of a run on an MLflow server; none where MLflow is a file that `ganlib ui` shows."""
    from ganlib.storage import read_json

    try:
        url = str(read_json(Path(home) / "spool" / f"{run}.run.json")["url"])
    except Exception:
        return None
    return url if url.startswith("http") else None


def _pictures(pictures: dict[str, str]) -> list[str]:
    """In the page itself: Prefect's server cannot read our files."""
    lines: list[str] = []
    for name, path in pictures.items():
        try:
            data = Path(path).read_bytes()
        except OSError:
            continue
        if len(data) > LARGEST_PICTURE:
            lines += [f"- {name}: `{path}`"]
            continue
        text = base64.b64encode(data).decode()
        lines += ["", f"### {name}", "", f"![{name}](data:image/png;base64,{text})"]
    return lines
