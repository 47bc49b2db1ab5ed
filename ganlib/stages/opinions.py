"""An evaluation's rows by the networks named beside the judge, which no gate reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganlib.stages.records import Work

if TYPE_CHECKING:
    from torch import nn

    from ganlib.data import Dataset, Images, StoredImages
    from ganlib.evaluation import Row


def rows(
    work: Work,
    generator: nn.Module,
    data: Dataset,
    held: Images,
    train: Images | StoredImages,
    *,
    device: str,
    clock: int,
) -> tuple[Row, ...]:
    """In the order of `evaluation.extractors`; each reading is named `test_NETWORK_METRIC`.

    Raises ConfigError for an extractor that lacks something on this machine.
    """
    config = work.context.config.evaluation
    found: list[Row] = []
    if not config.others():
        return ()
    from ganlib.evaluation.networks import build_extractor
    from ganlib.evaluation.opinions import opinion

    for settings in config.others():
        extractor = build_extractor(settings, channels=data.channels, device=device)
        work.context.say(f"evaluate: {settings.kind} looks at {config.repeats} sample sets")
        told = opinion(
            generator, extractor, held, train, config, classes=len(data.classes), split="test"
        )
        network = extractor.name.partition(":")[0]
        work.journal.metrics(
            clock, {f"test_{network}_{name}": value for name, value in told.readings().items()}
        )
        found += told.rows
    return tuple(found)
