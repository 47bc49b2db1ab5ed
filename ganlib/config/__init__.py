"""Frozen, closed configuration values: what a recipe, a flow's parameters and `--set` all are."""

from ganlib.config.augmentation import Ada, DiffAugment, DiscriminatorAugmentation
from ganlib.config.base import Config, canonical_json, fingerprint
from ganlib.config.classifier import ClassifierConfig, Distortion
from ganlib.config.classifier_networks import (
    AlexNet,
    CifarResNet,
    ClassifierNetwork,
    LeNet5,
    ResNet18,
    SmallResNet,
)
from ganlib.config.cluster import ClusterConfig
from ganlib.config.custom import Custom
from ganlib.config.data import Arrays, Cifar10, DataConfig, Digits, Folder, Idx, Source
from ganlib.config.evaluation import EvaluationConfig, PromotionConfig
from ganlib.config.gan import DiscriminatorConfig, Ema, GanConfig, GeneratorConfig
from ganlib.config.gan_networks import (
    DcganDiscriminator,
    DcganGenerator,
    DiscriminatorNetwork,
    GeneratorNetwork,
)
from ganlib.config.losses import (
    R1,
    R2,
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Penalties,
    RelativisticPaired,
    Wasserstein,
    WganGp,
)
from ganlib.config.overlay import nearest, overlay, parse, parse_assignments
from ganlib.config.pipeline import PipelineConfig
from ganlib.config.recipes import load, load_recipe, recipe_names, recipe_text
from ganlib.config.sweep import Asha, Choice, LogUniform, Range, SweepConfig, Uniform
from ganlib.config.training import (
    Adam,
    Budget,
    Cadence,
    Constant,
    Cosine,
    OneCycle,
    Optimiser,
    Plateau,
    Precision,
    Schedule,
    Sgd,
    Step,
)

__all__ = [
    "R1",
    "R2",
    "Ada",
    "Adam",
    "AdversarialLoss",
    "AlexNet",
    "Arrays",
    "Asha",
    "Budget",
    "Cadence",
    "Choice",
    "Cifar10",
    "CifarResNet",
    "ClassifierConfig",
    "ClassifierNetwork",
    "ClusterConfig",
    "Config",
    "Constant",
    "Cosine",
    "Custom",
    "DataConfig",
    "DcganDiscriminator",
    "DcganGenerator",
    "DiffAugment",
    "Digits",
    "DiscriminatorAugmentation",
    "DiscriminatorConfig",
    "DiscriminatorNetwork",
    "Distortion",
    "Ema",
    "EvaluationConfig",
    "Folder",
    "GanConfig",
    "GeneratorConfig",
    "GeneratorNetwork",
    "Hinge",
    "Idx",
    "LeNet5",
    "LeastSquares",
    "LogUniform",
    "Minimax",
    "NonSaturating",
    "OneCycle",
    "Optimiser",
    "Penalties",
    "PipelineConfig",
    "Plateau",
    "Precision",
    "PromotionConfig",
    "Range",
    "RelativisticPaired",
    "ResNet18",
    "Schedule",
    "Sgd",
    "SmallResNet",
    "Source",
    "Step",
    "SweepConfig",
    "Uniform",
    "Wasserstein",
    "WganGp",
    "canonical_json",
    "fingerprint",
    "load",
    "load_recipe",
    "nearest",
    "overlay",
    "parse",
    "parse_assignments",
    "recipe_names",
    "recipe_text",
]
