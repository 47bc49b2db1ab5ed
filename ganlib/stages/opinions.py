"""An evaluation's rows by the networks named beside the judge, which no gate reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganlib.stages import sharing
from ganlib.stages.records import Work
from ganlib.stages.values import ModelRef

if TYPE_CHECKING:
    from torch import nn

    from ganlib.data import Dataset, Images
    from ganlib.evaluation import Row
    from ganlib.evaluation.others import Others
    from ganlib.evaluation.pairs import ByWorkers


def rows(
    work: Work,
    generator: nn.Module,
    data: Dataset,
    held: Images,
    others: Others,
    *,
    model: ModelRef,
    by: ByWorkers | None,
    device: str,
) -> tuple[Row, ...]:
    """In the order of `evaluation.extractors`; each reading is named `test_NETWORK_METRIC`.

    `generator` is `model`'s, which the workers `by` whom the evaluation is shared open themselves.
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
        channels, place = data.channels, work.context.config.cluster.device
        with sharing.sharing_too(by, model, settings, channels, place) as pairs:
            told = opinion(
                generator,
                extractor,
                held,
                others,
                config,
                classes=len(data.classes),
                split="test",
                pairs=pairs,
                kept=sharing.kept_beside(work, data.fingerprint, settings, extractor.name, device),
            )
        network = extractor.name.partition(":")[0]
        read = {f"test_{network}_{name}": value for name, value in told.readings().items()}
        work.journal.metrics(model.images, read)
        found += told.rows
    return tuple(found)
