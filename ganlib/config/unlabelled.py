"""What has no meaning for images without classes, and is refused rather than left unread."""

from __future__ import annotations

from ganlib.config.classifier import ClassifierConfig
from ganlib.config.custom import Custom
from ganlib.config.evaluation import EvaluationConfig, PromotionConfig
from ganlib.config.gan import GanConfig
from ganlib.config.judging import ByNetworks
from ganlib.config.sweep import SweepConfig

ABOUT_CLASSES = ("min_label_agreement", "min_classes_present", "min_judge_accuracy")
NO_CLASSES = "and the images of data.source unlabelled have no classes"


def refusal(
    *,
    gan: GanConfig,
    classifier: ClassifierConfig,
    sweep: SweepConfig,
    evaluation: EvaluationConfig,
    promotion: PromotionConfig,
    judging: ByNetworks,
) -> str:
    """The first setting that is about classes, and what to do; empty if there is none."""
    for player, network in (
        ("generator", gan.generator.network),
        ("discriminator", gan.discriminator.network),
    ):
        if not isinstance(network, Custom) and network.conditioning != "none":
            return (
                f"gan.{player}.network.conditioning is {network.conditioning}, {NO_CLASSES}: set "
                "it to none in both players, as the recipe unlabelled does"
            )
    untouched = ClassifierConfig()
    for name in ClassifierConfig.model_fields:
        if getattr(classifier, name) != getattr(untouched, name):
            return f"classifier.{name} is set, {NO_CLASSES} for one to learn: leave classifier out"
    if sweep.target == "classifier":
        return f"sweep.target is classifier, {NO_CLASSES} for one to learn: set it to gan"
    for name in ABOUT_CLASSES:
        value = getattr(promotion, name)
        if value not in (0, PromotionConfig.model_fields[name].default):
            return f"promotion.{name} is {value:g}, {NO_CLASSES} to ask about: leave it out"
    if evaluation.teaching is not None:
        return f"evaluation.teaching is set, {NO_CLASSES} to teach: leave it out"
    if judging.gate in evaluation.others():
        return (
            f"evaluation.extractors names {judging.gate.kind}, whose rows are there already: it "
            "is judging.gate"
        )
    return ""
