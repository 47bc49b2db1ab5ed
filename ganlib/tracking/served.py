"""The code inside a registered model: MLflow runs a copy of this file, where no ganlib is.

Beside it travel the network's own sources, in a package whose name is their hash, so that models of
different versions load in one process. N samples, H W pixels, C channels, K classes.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from safetensors.torch import load_file

BATCH = 256  # as in ganlib sample: last bits depend on it


class Served(PythonModel):  # type: ignore[misc]
    """Generator: table of int64 `seed`, `class` -> image_NHWC uint8.

    Classifier: image_NHWC uint8 -> probability_NK float32.
    """

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

    # Without type hints: MLflow would read a signature out of them, and ours is given.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        with torch.no_grad():
            if self.network["kind"] == "generator":
                return self._generate(model_input)
            return self._classify(model_input)

    def _generate(self, table: Any) -> Any:
        seed_N = torch.tensor(table["seed"].to_numpy(dtype=np.int64))
        label_N = torch.tensor(table["class"].to_numpy(dtype=np.int64))
        classes = len(self.network["classes"])
        if len(label_N) and not (int(label_N.min()) >= 0 and int(label_N.max()) < classes):
            raise ValueError(f"class must be from 0 to {classes - 1}")
        parts = [
            self.pixels.to_uint8(
                self.module(self.latent.noise(seed_B, self.module.latent_size), label_B)
            )
            for seed_B, label_B in zip(
                torch.split(seed_N, BATCH), torch.split(label_N, BATCH), strict=True
            )
        ]
        return torch.cat(parts).numpy()

    def _classify(self, image_NHWC: Any) -> Any:
        pixel_NHWC = torch.tensor(np.asarray(image_NHWC, dtype=np.uint8))
        parts = [
            torch.softmax(self.module(self.pixels.to_float(pixel_BHWC)), dim=1)
            for pixel_BHWC in torch.split(pixel_NHWC, BATCH)
        ]
        return torch.cat(parts).numpy()


set_model(Served())
