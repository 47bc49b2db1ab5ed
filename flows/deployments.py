"""Which flows are offered under which name, with which parameters, and when they run.

The same definition of a schedule becomes the deployment that `ganlib schedule` makes and the text
of a `prefect.yaml`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows import settings
from flows.schedules import POOL, Schedule
from ganlib import api
from ganlib.config import load_recipe

AT_ONCE = 1  # a laptop trains one thing at a time; what is started meanwhile waits
FLOW = "scheduled"
ENTRYPOINT = "flows.scheduled.scheduled"
TAGS = ("ganlib", "ganlib-schedule")


def nightly() -> Schedule:
    """What `infra/prefect.yaml` offers: an example to be replaced by a team's own."""
    return Schedule(
        name="mnist-nightly",
        config=load_recipe("mnist"),
        cron="0 2 * * *",
        timezone="Europe/Berlin",
        work_pool="ganlib-cluster",
    )


def definition(schedule: Schedule, home: str = "") -> dict[str, Any]:
    """A deployment as a `prefect.yaml` has it; without `home` the worker's own is meant.

    One run at a time: the rest waits, and is asked when its turn comes (see `admission`).
    """
    return {
        "name": schedule.name,
        "description": schedule.config.purpose,
        "tags": list(TAGS),
        "entrypoint": ENTRYPOINT,
        "pull": [],
        "parameters": {
            "config": schedule.config.model_dump(mode="json"),
            "home": home,
            "overlap": schedule.overlap,
            "catch_up": schedule.catch_up,
            "retrain": schedule.retrain,
            "start": schedule.start,
        },
        "schedules": [
            {
                "cron": schedule.cron,
                "timezone": schedule.timezone,
                "slug": "clock",
                "active": not schedule.paused,
            }
        ],
        "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
        "work_pool": {"name": schedule.work_pool},
    }


def prefect_yaml(schedules: Sequence[Schedule]) -> str:
    """What `prefect deploy --all --prefect-file FILE` takes."""
    from importlib.metadata import version

    import yaml

    from ganlib import __version__

    body = {
        "name": "ganlib",
        "prefect-version": version("prefect"),
        "deployments": [definition(schedule) for schedule in schedules],
    }
    head = f"# Made by ganlib {__version__} from its schedules: ganlib schedule export\n"
    return head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=100)


def deployment(schedule: Schedule, home: Path) -> Any:
    """The same for a server's API. Only our own pool's workers are sure to have this home."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.objects import ConcurrencyLimitConfig
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.deployments.runner import EntrypointType

    from flows.scheduled import scheduled

    told = definition(schedule, str(home) if schedule.work_pool == POOL else "")
    (clock,) = told["schedules"]
    flow: Any = scheduled
    return flow.to_deployment(
        name=told["name"],
        parameters=told["parameters"],
        description=told["description"],
        tags=told["tags"],
        work_pool_name=told["work_pool"]["name"],
        concurrency_limit=ConcurrencyLimitConfig(**told["concurrency_limit"]),
        schedules=[
            DeploymentScheduleCreate(
                schedule=CronSchedule(cron=clock["cron"], timezone=clock["timezone"]),
                slug=clock["slug"],
                active=clock["active"],
            )
        ],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def deployments(home: Path) -> list[Any]:
    """`pipeline/<recipe>` for every recipe: its form is filled in with the recipe's settings."""
    from prefect.deployments.runner import EntrypointType

    from flows.pipeline import pipeline

    flow: Any = pipeline
    return [
        flow.to_deployment(
            name=name,
            parameters={
                "config": config.model_dump(mode="json"),
                "home": str(home),
                "fresh": False,
            },
            description=config.purpose,
            tags=["ganlib"],
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for name, config in api.recipes().items()
    ]


def serve(home: Path) -> None:
    """Offer the forms on the server of `PREFECT_API_URL` and run what is started."""
    from prefect import serve as serve_all

    serve_all(
        *deployments(home), limit=AT_ONCE, pause_on_shutdown=False, print_starting_message=False
    )


if __name__ == "__main__":
    if sys.argv[1] == "yaml":
        sys.stdout.write(prefect_yaml([nightly()]))
        sys.exit()
    settings.apply(Path(sys.argv[1]))
    serve(Path(sys.argv[1]))
