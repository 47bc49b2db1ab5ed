"""`infra/prefect.yaml` and what a server makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import deployments, orders
from flows.schedules import POOL, Schedule, changed
from ganlib.config import PipelineConfig, load_recipe

ROOT = Path(__file__).resolve().parents[2]
PREFECT_YAML = ROOT / "infra" / "prefect.yaml"
MAKE = "python -m flows.deployments yaml > infra/prefect.yaml"


def test_the_file_is_what_the_definition_says() -> None:
    """When the recipe mnist or the definition changed on purpose, MAKE writes it anew."""
    assert PREFECT_YAML.read_text() == deployments.prefect_yaml([deployments.nightly()]), MAKE
    (told,) = yaml.safe_load(PREFECT_YAML.read_text())["deployments"]
    assert PipelineConfig.model_validate(told["parameters"]["config"]) == load_recipe("mnist")


def test_only_our_own_pool_is_given_this_home() -> None:
    schedule = deployments.nightly()
    assert schedule.work_pool != POOL
    assert deployments.deployment(schedule, Path("/here")).parameters["home"] == ""
    ours = changed(schedule, work_pool=POOL)
    assert deployments.deployment(ours, Path("/here")).parameters["home"] == "/here"


def read(name: str) -> Any:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name(f"scheduled/{name}")


def test_prefect_deploys_the_file_as_the_command_line_would(
    prefect_home: Path, tmp_path: Path
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.settings import PREFECT_API_URL

    schedule: Schedule = deployments.nightly()
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=schedule.work_pool, type="process"))
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(
        [*command, "--prefect-file", str(PREFECT_YAML)],
        cwd=tmp_path,
        env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    by_file = read(schedule.name)
    orders.withdraw(schedule.name)
    orders.deploy(schedule, prefect_home)
    by_command = read(schedule.name)
    for field in (
        "name", "description", "tags", "entrypoint", "parameters", "work_pool_name",
        "concurrency_options", "pull_steps", "parameter_openapi_schema",
    ):  # fmt: skip
        assert getattr(by_file, field) == getattr(by_command, field), field
    for found in (by_file, by_command):
        assert found.global_concurrency_limit.limit == 1
        (clock,) = found.schedules
        assert (clock.schedule.cron, clock.schedule.timezone) == ("0 2 * * *", "Europe/Berlin")
        assert (clock.slug, clock.active) == ("clock", True)
    orders.withdraw(schedule.name)


@pytest.mark.parametrize("field", ["overlap", "catch_up", "retrain", "start"])
def test_every_rule_reaches_the_flow(field: str) -> None:
    told = deployments.definition(deployments.nightly())
    assert told["parameters"][field] == getattr(deployments.nightly(), field)
