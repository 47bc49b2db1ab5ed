"""What MLflow's pages show beside curves: image grids with steps, tables, datasets.

MLflow's own calls give every picture a random name and append to tables, so a call repeated after
a crash would double them. Here names are functions of the content's place: repeating is harmless.
"""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

LOGGED_IMAGES = "mlflow.loggedImages"
LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"


def put_image(png: Path, folder: Path, *, run_id: str, name: str, step: int, at: float) -> None:
    """Copy a picture into `folder` under the two names that MLflow's image grid reads.

    A full one and a small one for the grid: `<name>+step+<n>+timestamp+<ms>+<uuid>[+compressed]`.
    """
    from mlflow.tracking.multimedia import compress_image_size
    from PIL import Image

    safe = re.sub(r"[^a-zA-Z0-9_\-. ]", "~", name)
    unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{name}/{step}")
    stem = f"{safe}+step+{step}+timestamp+{round(at * 1000)}+{unique}"
    data = png.read_bytes()
    (folder / f"{stem}.png").write_bytes(data)
    with Image.open(png) as image:
        compress_image_size(image.convert("RGB")).save(folder / f"{stem}+compressed.webp")


def put_table(rows_file: Path, folder: Path, name: str) -> str:
    """Write rows as MLflow's table JSON into `folder`; returns the file's name."""
    rows: list[dict[str, Any]] = json.loads(rows_file.read_bytes())
    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = {"columns": columns, "data": [[row.get(column) for column in columns] for row in rows]}
    file_name = f"{name.replace('/', '-')}.json"
    (folder / file_name).write_text(json.dumps(table), encoding="utf-8")
    return file_name


def tables_tag(files: list[str]) -> str:
    """The tag that makes MLflow's evaluation page offer these tables."""
    return json.dumps([{"path": file, "type": "table"} for file in files])


def dataset_input(name: str, fingerprint: str, uri: str) -> Any:
    """The run's input: MLflow knows it again by name and digest."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=name,
        digest=fingerprint[:36],
        source_type="local" if "://" not in uri else uri.partition("://")[0],
        source=json.dumps({"uri": uri}),
        schema=None,
        profile=json.dumps({"fingerprint": fingerprint}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
