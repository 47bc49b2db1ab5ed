"""The classification accuracy score: classifiers taught by a generator, tested on real images.

N samples, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ganlib.config import Cadence, ClassifierConfig, PipelineConfig, fingerprint
from ganlib.stages.keys import code
from ganlib.stages.records import Work

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ganlib.data import Dataset, Images, StoredImages
    from ganlib.evaluation import Row
    from ganlib.evaluation.kept import Kept
    from ganlib.evaluation.teaching import Learn

FAR = 2**40


def parts(config: PipelineConfig) -> dict[str, Any]:
    """What an evaluation with classifiers to be taught depends on beside its own settings."""
    if config.evaluation.teaching is None:
        return {}
    return {"classifier": _pupil(config), **code(config.classifier)}


def rows(
    work: Work,
    generator: nn.Module,
    data: Dataset,
    train: Images | StoredImages,
    held: Images,
    *,
    kept: Kept,
    device: str,
) -> tuple[Row, ...]:
    """`classification_accuracy` of all and of each class; none where it was not asked for, or the
    generator cannot be asked for a class.

    Each classifier has a seed and a set of generated images of its own, with as many of each class
    as the real images that another one learns from, which is kept. Raises Diverged.
    """
    import torch

    from ganlib.data import Images
    from ganlib.determinism import stream
    from ganlib.evaluation import generated_images, taught_accuracy
    from ganlib.evaluation.sampling import blind
    from ganlib.evaluation.teaching import METRIC, drawn, teaching_rows, told_of

    config, settings = work.context.config, work.context.config.evaluation.teaching
    names = data.classes
    if settings is None:
        return ()
    if blind(generator, len(names)):
        work.context.say("evaluate: a generator that looks at no class teaches none")
        return ()
    count = min(settings.images or len(train), len(train))
    work.context.say(
        f"evaluate: {settings.classifiers} classifiers learn from {count:,} generated images each"
    )
    pupil, label_M = _pupil(config), train.label_N.cpu()
    taught, by_real = [], []
    with _threads(config.cluster.threads):
        for turn in range(settings.classifiers):
            seed = config.evaluation.seed + turn
            own = pupil.model_copy(update={"seed": pupil.seed + turn})
            learn = learner(own, data, torch.device(device))
            row_N = drawn(label_M, count, stream(seed, "teaching/real"))
            fake = generated_images(generator, label_M[row_N], seed=seed)

            def of(images: Images, learn: Learn = learn) -> dict[str, float]:
                return told_of(taught_accuracy(images, learn, held), names)

            def real(row_N: torch.Tensor = row_N, of: Any = of) -> Mapping[str, float]:
                found: Mapping[str, float] = of(Images(train.image_NHWC[row_N], label_M[row_N]))
                return found

            taught.append(of(fake))
            by_real.append(kept.numbers(f"taught-{fingerprint(own, code(own), count, seed)}", real))
    classes = len(names)
    learnt_K = torch.bincount(label_M[row_N], minlength=classes).tolist()
    tested_K = torch.bincount(held.label_N.cpu(), minlength=classes).tolist()
    metrics = [METRIC, *(f"{METRIC}/{name}" for name in names)]
    return teaching_rows(
        taught,
        by_real,
        learnt=dict(zip(metrics, [count, *learnt_K], strict=True)),
        tested=dict(zip(metrics, [len(held), *tested_K], strict=True)),
    )


def learner(config: ClassifierConfig, data: Dataset, device: torch.device) -> Learn:
    """Trains a classifier of these settings from nothing, without snapshots, in this process.

    What it gives raises Diverged.
    """
    import torch

    from ganlib.data import Images
    from ganlib.determinism import Replicas
    from ganlib.evaluation import ClassifierExtractor
    from ganlib.models import LoadedModel
    from ganlib.training import precision
    from ganlib.training.classifier_task import ClassifierTask
    from ganlib.training.loop import Plan, run

    budget = config.budget.images
    cadence = Cadence(report=config.cadence.report, evaluate=FAR, sample=FAR, snapshot=FAR)

    def learn(images: Images) -> ClassifierExtractor:
        images = Images(images.image_NHWC.to(device), images.label_N.to(device))
        task = ClassifierTask(
            config,
            size=data.size,
            channels=data.channels,
            classes=data.classes,
            arithmetic=precision.resolve(config.precision, device, data.size),
            replicas=Replicas(),
            device=device,
            count_K=torch.bincount(images.label_N, minlength=len(data.classes)),
        )
        for _ in run(
            task, images, Plan(budget, config.batch_size, cadence, config.seed), Replicas()
        ):
            pass
        model = LoadedModel(
            task.classifier, "classifier", data.size, data.channels, data.classes, {}
        )
        return ClassifierExtractor(model, "classifier:features")

    return learn


def _pupil(config: PipelineConfig) -> ClassifierConfig:
    """The recipe's classifier, which starts from nothing and is shown as many as were asked for."""
    classifier, teaching = config.classifier, config.evaluation.teaching
    shown = (teaching and teaching.shown) or classifier.budget.images
    budget = classifier.budget.model_copy(update={"images": shown})
    return classifier.model_copy(update={"budget": budget, "init_from": None})


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many, as its judge was trained with."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
