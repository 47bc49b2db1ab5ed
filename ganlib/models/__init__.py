"""Single-device networks by configuration, their latent noise, and their files.

`narrow`, `norms`, `layers`, `latent`, `pixels`, `cnn` and `gan` import torch and each other alone,
so that a registered model carries their sources and needs no ganlib.
"""

from ganlib.models.build import build_classifier, build_discriminator, build_generator
from ganlib.models.cnn import key_dropout
from ganlib.models.export import LoadedModel, load_model, save_model
from ganlib.models.latent import Latent, draw, kind_of, noise
from ganlib.models.pixels import to_float, to_uint8

__all__ = [
    "Latent",
    "LoadedModel",
    "build_classifier",
    "build_discriminator",
    "build_generator",
    "draw",
    "key_dropout",
    "kind_of",
    "load_model",
    "noise",
    "save_model",
    "to_float",
    "to_uint8",
]
