"""What a recipe costs on this machine: parameters, seconds for 1,000 images, memory."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.config import Config, DataConfig, PipelineConfig, Precision, fingerprint
from ganlib.errors import Damaged, StageFailed
from ganlib.stages.stamp import source_digest
from ganlib.storage import Home, read_json, write_json

if TYPE_CHECKING:
    from ganlib.training.loop import Task

MEASURE_S = 1.0
CLASSES = 10
KEPT = Path("cache") / "speeds.json"
CODE = ("augmentation", "determinism", "losses", "models", "training")


class Speed(Config):
    """Of one worker with the recipe's threads.

    Seconds are those of training on 1,000 images; `megabytes` is the peak of the process that
    trained both, without the data set.
    """

    classifier_parameters: int
    classifier_seconds: float
    generator_parameters: int
    discriminator_parameters: int
    gan_seconds: float
    megabytes: int


def told(
    home: Path | str | None,
    configs: Mapping[str, PipelineConfig],
    *,
    measure: bool,
    say: Callable[[str], None],
) -> dict[str, Speed]:
    """What the home knows of this machine; with `measure` the rest as well, and kept there.

    Without `measure` no home is made. Each is measured in a process of its own. Raises StageFailed
    naming a configuration whose step fails.
    """
    path = Home.locate(home) / KEPT
    if measure:
        path = Home.open(home).root / KEPT
    kept = _read(path)
    found: dict[str, Speed] = {}
    for name, config in configs.items():
        key = _key(config)
        if measure and key not in kept:
            say(f"measuring {name}")
            kept[key] = _measured(config).model_dump()
            write_json(path, kept)
        if key in kept:
            found[name] = Speed.model_validate(kept[key])
    return found


def _measured(config: PipelineConfig) -> Speed:
    asked = config.model_dump(mode="json", include={"name", "data", "classifier", "gan", "cluster"})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", "from ganlib.stages.speeds import main; main()"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise StageFailed(f"it cannot be measured: {done.stderr.strip()[-500:]}", where=config.name)
    return Speed.model_validate_json(done.stdout.splitlines()[-1])


def main() -> None:
    """Steps on random pixels of the configuration that is read as JSON; prints a Speed."""
    import torch
    from torch import nn

    from ganlib.determinism import Replicas
    from ganlib.training import precision
    from ganlib.training.classifier_task import ClassifierTask
    from ganlib.training.gan_task import GanTask
    from ganlib.training.memory import keep_freed

    config = PipelineConfig.model_validate(json.load(sys.stdin))
    keep_freed()
    torch.set_num_threads(config.cluster.threads)
    cpu, data = torch.device("cpu"), config.data
    shape: dict[str, Any] = {
        "size": data.size,
        "channels": data.channels,
        "classes": [str(number) for number in range(CLASSES)],
        "replicas": Replicas(),
        "device": cpu,
    }

    def numbers(asked: Precision) -> precision.Arithmetic:
        return precision.resolve(asked, cpu, data.size)

    def parameters(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    gan = GanTask(config.gan, arithmetic=numbers(config.gan.precision), **shape)
    judge = ClassifierTask(
        config.classifier, arithmetic=numbers(config.classifier.precision), **shape
    )
    turn = config.gan.batch_size * config.gan.discriminator.steps
    speed = Speed(
        classifier_parameters=parameters(judge.classifier),
        classifier_seconds=_seconds(judge, config.classifier.batch_size, data),
        generator_parameters=parameters(gan.generator),
        discriminator_parameters=parameters(gan.discriminator),
        gan_seconds=_seconds(gan, turn, data),
        megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )
    print(speed.model_dump_json())


def _seconds(task: Task, shown: int, data: DataConfig) -> float:
    """For 1,000 images, in steps of `shown`; the first step is not counted."""
    import torch

    from ganlib.determinism import Replicas
    from ganlib.training.loop import Batch

    image_NHWC = torch.randint(0, 256, (shown, data.size, data.size, data.channels)).byte()
    batch = Batch(image_NHWC, torch.arange(shown) % CLASSES)
    task.step(batch, 0, Replicas())
    steps, begun = 0, time.perf_counter()
    while steps < 2 or time.perf_counter() - begun < MEASURE_S:
        steps += 1
        task.step(batch, steps * shown, Replicas())
    return round(1000 * (time.perf_counter() - begun) / (steps * shown), 4)


def _read(path: Path) -> dict[str, Any]:
    """A damaged file costs no more than measuring again."""
    try:
        told = read_json(path)
    except (FileNotFoundError, Damaged):
        return {}
    return told if isinstance(told, dict) else {}


def _key(config: PipelineConfig) -> str:
    """Another version of torch, or of the code that trains, may be faster."""
    machine = (platform.node(), platform.machine(), len(os.sched_getaffinity(0)))
    versions = [source_digest(CODE), metadata.version("torch")]
    shape = (config.data.size, config.data.channels, config.cluster.threads)
    return fingerprint("speed", 2, machine, versions, shape, config.gan, config.classifier)
