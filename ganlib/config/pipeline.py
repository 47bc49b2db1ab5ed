"""The whole of one pipeline, and the sizes its parts must agree on."""

from __future__ import annotations

from pydantic import Field, model_validator

from ganlib.config.base import Config, Refusal
from ganlib.config.classifier import ClassifierConfig
from ganlib.config.cluster import ClusterConfig
from ganlib.config.custom import Custom
from ganlib.config.data import DataConfig, Unlabelled
from ganlib.config.evaluation import EvaluationConfig, PromotionConfig
from ganlib.config.gan import GanConfig
from ganlib.config.judging import ByClassifiers, ByNetworks, Judging
from ganlib.config.sweep import SweepConfig
from ganlib.config.unlabelled import refusal


class PipelineConfig(Config):
    """From images to a promoted model. `name` names the experiment and the registered models."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    purpose: str = ""
    source_note: str = Field(default="", description="where the settings come from")
    data: DataConfig = DataConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    gan: GanConfig = GanConfig()
    sweep: SweepConfig = SweepConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    promotion: PromotionConfig = PromotionConfig()
    cluster: ClusterConfig = ClusterConfig()
    judging: Judging = ByClassifiers()

    @model_validator(mode="after")
    def _judged_by_what_there_is(self) -> PipelineConfig:
        unlabelled = isinstance(self.data.source, Unlabelled)
        if unlabelled and not isinstance(self.judging, ByNetworks):
            raise ValueError(
                "the images of data.source unlabelled have no classes, and judging is by "
                "classifiers: set judging=networks, as the recipe unlabelled does"
            )
        if isinstance(self.judging, ByNetworks):
            if not unlabelled:
                raise ValueError(
                    f"judging is by networks, which tell nothing of classes, and the images of "
                    f"data.source {self.data.source.kind} have some: set judging=classifiers "
                    "(evaluation.extractors has networks look beside the judge)"
                )
            reason = refusal(
                gan=self.gan,
                classifier=self.classifier,
                sweep=self.sweep,
                evaluation=self.evaluation,
                promotion=self.promotion,
                judging=self.judging,
            )
            if reason:
                raise ValueError(reason)
        return self

    @model_validator(mode="after")
    def _batches_divide(self) -> PipelineConfig:
        for name, player, workers in (
            ("gan", self.gan, self.cluster.workers),
            ("classifier", self.classifier, self.cluster.classifier_workers),
        ):
            if refusal := player.uneven(workers):
                raise Refusal(f"{name}.{refusal.at}", f"{name}.{refusal.reason}").error()
        fewest, most = self.cluster.min_workers or self.cluster.workers, self.cluster.workers
        if fewest < most and all(self.gan.uneven(n) for n in range(fewest, most)):
            reason = (
                f"cluster.min_workers is {fewest}, and gan.batch_size {self.gan.batch_size} is "
                f"shared evenly by no number of workers from {fewest} to {most - 1}: set fewer"
            )
            raise Refusal("cluster.min_workers", reason).error()
        return self

    @model_validator(mode="after")
    def _networks_fit(self) -> PipelineConfig:
        for name, network in (
            ("classifier.network", self.classifier.network),
            ("gan.generator.network", self.gan.generator.network),
            ("gan.discriminator.network", self.gan.discriminator.network),
        ):
            needs = "" if isinstance(network, Custom) else network.needs(self.data.size)
            if needs:
                reason = f"data.size is {self.data.size}; {name} {network.kind} needs {needs}"
                raise Refusal("data.size", reason).error()
        return self
