"""Which flows are offered under which name and with which parameters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from flows import settings
from ganlib import api

AT_ONCE = 1  # a laptop trains one thing at a time; what is started meanwhile waits


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
    """Offer them on the server of `PREFECT_API_URL` and run what is started, until interrupted."""
    from prefect import serve as serve_all

    serve_all(
        *deployments(home), limit=AT_ONCE, pause_on_shutdown=False, print_starting_message=False
    )


if __name__ == "__main__":
    settings.apply(Path(sys.argv[1]))
    serve(Path(sys.argv[1]))
