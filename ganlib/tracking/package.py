"""An exported model as an MLflow model folder: models-from-code, safetensors, no pickle."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ganlib.storage import read_json
from ganlib.tracking import sources

SERVED = Path(__file__).with_name("served.py")
NEEDED = ("mlflow", "numpy", "pandas", "safetensors", "torch")


def write_package(
    exported: Path, scratch: Path, *, logged: Any, run_id: str | None, metadata: Mapping[str, Any]
) -> Path:
    """Write the MLflow folder of `exported` below `scratch`; `logged` is MLflow's entry for it."""
    from mlflow.models import Model
    from mlflow.pyfunc import save_model

    network = read_json(exported / "network.json")
    carried = (
        sources.of_custom(network["build"])
        if "build" in network
        else sources.of_network(network["module"])
    )
    (scratch / "code").mkdir()
    code_paths = carried.write(scratch / "code")
    shutil.copytree(exported, scratch / "model")  # MLflow keeps the folder's own name
    _write_served(scratch / SERVED.name, network["kind"])
    signature, example = _signature(network)
    save_model(
        path=str(scratch / "written"),
        python_model=str(scratch / SERVED.name),
        artifacts={"model": str(scratch / "model")},
        code_paths=code_paths,
        signature=signature,
        input_example=example,
        pip_requirements=requirements(carried.requirements),
        model_config={"package": carried.package},
        metadata=dict(metadata),
        mlflow_model=Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
            run_id=run_id,
            metadata=dict(metadata),
        ),
    )
    for cache in (scratch / "written").rglob("__pycache__"):
        shutil.rmtree(cache)
    return scratch / "written"


def _write_served(path: Path, kind: str) -> None:
    """The file that MLflow runs: ours, and which of its models this one is."""
    text = SERVED.read_text(encoding="utf-8")
    last = (
        f"\nfrom mlflow.models import set_model  # noqa: E402\n\nset_model({kind.capitalize()}())\n"
    )
    path.write_text(text + last, encoding="utf-8")


def requirements(also: Iterable[str] = ()) -> list[str]:
    """What the model needs, pinned to what is installed; without a build's local suffix."""
    names = sorted({*NEEDED, *also})
    return [f"{name}=={version(name).partition('+')[0]}" for name in names]


def _signature(network: Mapping[str, Any]) -> tuple[Any, Any]:
    import numpy as np
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    size, channels, classes = network["size"], network["channels"], len(network["classes"])
    images = TensorSpec(np.dtype(np.uint8), (-1, size, size, channels))
    if network["kind"] == "generator":
        inputs = Schema([ColSpec("long", "seed"), ColSpec("long", "class")])
        labels = [n % classes for n in range(4)]
        example = pd.DataFrame({"seed": range(4), "class": labels}, dtype="int64")
        return ModelSignature(inputs, Schema([images])), example
    probabilities = TensorSpec(np.dtype(np.float32), (-1, classes))
    shade = np.linspace(0, 255, 2 * size * size * channels).astype(np.uint8)
    return (
        ModelSignature(Schema([images]), Schema([probabilities])),
        shade.reshape(2, size, size, channels),
    )
