"""Back to before a collapse, and on from there with a changed policy.

`rescue.json` in the run's folder is written first and says what is to be done; snapshots follow it,
so that a run killed anywhere in between does the rest of it when it is started again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, assert_never

from ganlib.config import (
    R1,
    Config,
    Custom,
    DiffAugment,
    FasterDiscriminator,
    GanConfig,
    HigherGamma,
    LessMomentum,
    LowerRate,
    MoreAugmentation,
    MorePacking,
    OtherNoise,
    Policy,
    Rescue,
    fingerprint,
    overlay,
)
from ganlib.errors import ConfigError, Damaged
from ganlib.storage import read_json, write_json
from ganlib.training.snapshots import Snapshots
from ganlib.training.spec import GanProblem, RunSpec

FILE = "rescue.json"
MOST_PACKED = 4


class Attempt(Config):
    """Training goes on from `clock` with `policy`; `collapsed_at` is where it was given up."""

    policy: Policy
    clock: int
    collapsed_at: int
    seen: str

    def __str__(self) -> str:
        return f"{self.seen}: back to {self.clock:,} images with {self.policy.kind}"


class Attempts(Config):
    """All of a run so far; `config` names the settings it was begun with."""

    config: str
    made: tuple[Attempt, ...] = ()


def made(spec: RunSpec) -> tuple[Attempt, ...]:
    """The attempts of this run; none of another one's in the same folder."""
    try:
        found = Attempts.model_validate(read_json(Path(spec.run_folder) / FILE))
    except FileNotFoundError:
        return ()
    except (Damaged, ValueError) as error:
        path = str(Path(spec.run_folder) / FILE)
        raise Damaged(f"{path} is damaged: {error}", where=path, hint="give --fresh") from None
    return found.made if found.config == fingerprint(spec.config) else ()


def note(spec: RunSpec, attempts: Sequence[Attempt]) -> None:
    told = Attempts(config=fingerprint(spec.config), made=tuple(attempts))
    write_json(Path(spec.run_folder) / FILE, told.model_dump(mode="json"))


def applied(spec: RunSpec, attempts: Sequence[Attempt]) -> RunSpec:
    """The run as it is to be trained now: every attempt keeps what those before it changed."""
    if not attempts or not isinstance(spec.problem, GanProblem):
        return spec
    config = spec.problem.config
    for attempt in attempts:
        config = changed(config, attempt.policy)
    return spec.model_copy(update={"problem": GanProblem(config=config)})


def upcoming(
    config: GanConfig,
    attempts: Sequence[Attempt],
    settings: Rescue,
    workers: Sequence[int] = (1,),
) -> Policy | None:
    """The next policy of the list that changes anything and is not refused, if any is left.

    `config` is the settings as they are by now. The list is walked once, in its order: it goes on
    behind the one that was used last. Passed over is also what does not divide a worker's share for
    each number of `workers` there may be.
    """
    if len(attempts) >= settings.attempts:
        return None
    place = 0
    for attempt in attempts:
        place = settings.policies.index(attempt.policy, place) + 1
    for policy in settings.policies[place:]:
        try:
            then = changed(config, policy)
        except ConfigError:
            continue
        if then != config and not any(map(then.uneven, workers)):
            return policy
    return None


def changed(config: GanConfig, policy: Policy) -> GanConfig:
    """Raises ConfigError where the settings cannot have it."""
    match policy:
        case LowerRate(factor=factor):
            rate = config.generator.optimiser.learning_rate * factor
            return overlay(config, {"generator.optimiser.learning_rate": rate})
        case HigherGamma(factor=factor, start=start):
            known = config.penalties.r1
            if known is None:
                return overlay(config, {"penalties.r1": R1(gamma=start)})
            return overlay(config, {"penalties.r1.gamma": known.gamma * factor})
        case MorePacking():
            return _packed(config)
        case MoreAugmentation():
            if config.augmentation is not None:
                return config
            return overlay(config, {"augmentation": DiffAugment()})
        case FasterDiscriminator(ratio=ratio):
            own, other = config.discriminator.optimiser, config.generator.optimiser
            rate = max(own.learning_rate, min(1.0, ratio * other.learning_rate))
            return overlay(config, {"discriminator.optimiser.learning_rate": rate})
        case LessMomentum():
            players = ("generator", "discriminator")
            return overlay(config, {f"{one}.optimiser.beta1": 0.0 for one in players})
        case OtherNoise():
            return overlay(config, {"seed": (config.seed + 1) % 2**31})
        case _:
            assert_never(policy)


def _packed(config: GanConfig) -> GanConfig:
    """As it is where nothing more divides the batch, or nobody knows what more channels mean."""
    if isinstance(config.discriminator.network, Custom):
        return config
    for images in range(config.discriminator.packing + 1, MOST_PACKED + 1):
        with suppress(ConfigError):
            return overlay(config, {"discriminator.packing": images})
    return config


def before(snapshots: Snapshots, onset: int, well: Callable[[int], bool]) -> int:
    """The clock of the newest snapshot from before the onset at which the run was `well`.

    0, the start, without one: what was never well has nothing to go back to.
    """
    return max((clock for clock in snapshots.clocks() if clock < onset and well(clock)), default=0)


def settle(snapshots: Snapshots, attempt: Attempt, belongs: Mapping[str, Any]) -> None:
    """Make the snapshots those of the attempt: nothing newer than where it goes on from.

    What it has published since is known by `belongs` and left alone.
    """
    own = snapshots.identity(belongs)
    for clock in reversed(snapshots.clocks()):
        try:
            if snapshots.identity(snapshots.read(clock).belongs) == own:
                continue
        except Damaged:
            continue
        if clock > attempt.clock:
            snapshots.delete(clock)
        else:
            snapshots.adopt(clock, belongs)
