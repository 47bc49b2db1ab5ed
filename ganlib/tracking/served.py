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
    """Table of int64 `seed`, `class` -> image_NHWC uint8; image i depends on row i alone."""

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
                parts.append(self.pixels.to_uint8(self.module(z_BZ, label_N[batch])))
        return torch.cat(parts).numpy()


class Classifier(_Served):
    """image_NHWC uint8 -> probability_NK float32."""

    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> Any:
        image_NHWC = torch.tensor(model_input)
        parts = []
        with torch.no_grad():
            for start in range(0, len(image_NHWC), BATCH):
                image_BCHW = self.pixels.to_float(image_NHWC[start : start + BATCH])
                parts.append(torch.softmax(self.module(image_BCHW), dim=1))
        return torch.cat(parts).numpy()
