"""The code inside a registered model: MLflow runs a copy of this file, where no ganlib is.

A last line, `set_model(Generator())` or `set_model(Classifier())`, is added to the copy. Beside it
travel the network's own sources, in a package whose name is their hash, so that models of different
versions load in one process. N samples, H W pixels, C channels, K classes, B a batch.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.pyfunc import PythonModel
from safetensors.torch import load_file

BATCH = 256  # as in ganlib sample: last bits depend on it
DIVERGED = "the model's weights diverged or are damaged; load another version of it"


class _Served(PythonModel):  # type: ignore[misc]
    def load_context(self, context: Any) -> None:
        folder = Path(context.artifacts["model"])
        self.package = context.model_config["package"]
        self.network = json.loads((folder / "network.json").read_text(encoding="utf-8"))
        self.module = self._build()
        self.module.load_state_dict(load_file(folder / "weights.safetensors"))
        self.module.eval()
        self.latent = importlib.import_module(f"{self.package}.latent")
        self.pixels = importlib.import_module(f"{self.package}.pixels")

    def _build(self) -> torch.nn.Module:
        network = self.network
        if "build" in network:
            name, _, function = network["build"].partition(":")
            build = getattr(importlib.import_module(name), function)
            module: torch.nn.Module = build(
                size=network["size"],
                channels=network["channels"],
                classes=len(network["classes"]),
                **network["options"],
            )
            return module
        home = importlib.import_module(f"{self.package}.{network['module']}")
        module = getattr(home, network["class"])(**network["arguments"])
        return module


class Generator(_Served):
    """Table of int64 `seed`, `class` -> image_NHWC uint8; image i depends on row i alone.

    Raises ValueError for a class there is none of, and for images that are not finite: as bytes
    NaN would be a colour.
    """

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        seed_N = torch.tensor(model_input["seed"].to_numpy(dtype=np.int64))
        label_N = torch.tensor(model_input["class"].to_numpy(dtype=np.int64))
        classes = len(self.network["classes"])
        if len(label_N) and not (int(label_N.min()) >= 0 and int(label_N.max()) < classes):
            raise ValueError(f"class must be from 0 to {classes - 1}")
        kind = self.latent.kind_of(self.module)
        parts = []
        with torch.no_grad():
            for start in range(0, len(seed_N), BATCH):
                batch = slice(start, start + BATCH)
                z_BZ = self.latent.noise(seed_N[batch], self.module.latent_size, kind)
                image_BCHW = self.module(z_BZ, label_N[batch])
                wrong = _not_finite(image_BCHW)
                if wrong is not None:
                    row = start + wrong
                    asked = f"seed {int(seed_N[row])}, class {int(label_N[row])}"
                    raise ValueError(f"the image of {asked} is not finite: {DIVERGED}")
                parts.append(self.pixels.to_uint8(image_BCHW))
        return torch.cat(parts).numpy()


class Classifier(_Served):
    """image_NHWC uint8 -> probability_NK float32. Raises ValueError for any that is not finite."""

    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> Any:
        image_NHWC = torch.tensor(model_input)
        parts = []
        with torch.no_grad():
            for start in range(0, len(image_NHWC), BATCH):
                image_BCHW = self.pixels.to_float(image_NHWC[start : start + BATCH])
                parts.append(torch.softmax(self.module(image_BCHW), dim=1))
                wrong = _not_finite(parts[-1])
                if wrong is not None:
                    row = start + wrong
                    raise ValueError(f"probabilities of image {row} are not finite: {DIVERGED}")
        return torch.cat(parts).numpy()


def _not_finite(value: torch.Tensor) -> int | None:
    """The first row in which some number is NaN or infinite."""
    wrong_B = ~torch.isfinite(value).flatten(1).all(1)
    return int(wrong_B.nonzero()[0]) if bool(wrong_B.any()) else None
