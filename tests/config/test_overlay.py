"""One value deep in the tree changes; a wrong path or value is refused with the right one named."""

from __future__ import annotations

import pytest

from ganlib.config import (
    Choice,
    Folder,
    LogUniform,
    NonSaturating,
    PipelineConfig,
    Plateau,
    SmallResNet,
    overlay,
    parse,
    parse_assignments,
)
from ganlib.errors import ConfigError

BASE = PipelineConfig(name="base")


def changed(*assignments: str) -> PipelineConfig:
    return overlay(BASE, parse_assignments(assignments))


def test_a_leaf_changes_and_nothing_else() -> None:
    other = changed("gan.generator.optimiser.learning_rate=1e-4")
    assert other.gan.generator.optimiser.learning_rate == 1e-4
    assert other.gan.discriminator == BASE.gan.discriminator
    assert BASE.gan.generator.optimiser.learning_rate != 1e-4


def test_a_kind_and_its_values_are_set_in_any_order() -> None:
    values = ["classifier.network.kind=resnet", "classifier.network.width=24"]
    assert changed(*values) == changed(*reversed(values))
    assert changed(*reversed(values)).classifier.network.width == 24


def test_a_kind_alone_starts_from_its_defaults() -> None:
    assert changed("gan.loss.kind=non_saturating").gan.loss == NonSaturating()
    deeper = changed("classifier.network.kind=resnet", "classifier.network.width=8")
    assert deeper.classifier.network == SmallResNet(width=8)


def test_a_branch_that_was_none_can_be_opened_and_closed() -> None:
    opened = changed("gan.plateau.patience=3")
    assert opened.gan.plateau == Plateau(patience=3)
    assert overlay(opened, {"gan.plateau": None}).gan.plateau is None


def test_a_mapping_takes_new_keys() -> None:
    space = {"gan.loss": {"kind": "choice", "values": [1]}}
    assert "gan.loss" in overlay(BASE, {"sweep.space": space}).sweep.space


RATE = "gan.generator.optimiser.learning_rate"


def test_a_range_of_the_sweep_is_set_by_the_path_it_changes() -> None:
    base = changed(f"sweep.space.{RATE}={{kind: log_uniform, low: 1e-5, high: 1e-3}}")
    assert base.sweep.space[RATE] == LogUniform(low=1e-5, high=1e-3)
    lower = overlay(base, parse_assignments([f"sweep.space.{RATE}.low=1e-6"]))
    assert lower.sweep.space == {RATE: LogUniform(low=1e-6, high=1e-3)}
    other = overlay(
        base,
        parse_assignments([f"sweep.space.{RATE}.kind=choice", f"sweep.space.{RATE}.values=[1]"]),
    )
    assert other.sweep.space == {RATE: Choice(values=(1,))}
    with pytest.raises(ConfigError, match="there is no setting") as caught:
        overlay(base, parse_assignments([f"sweep.space.{RATE}.lwo=1e-6"]))
    assert caught.value.where == f"sweep.space.{RATE}.lwo"
    with pytest.raises(ConfigError, match="there is no setting") as caught:
        overlay(base, parse_assignments([f"sweep.space.{RATE[:-1]}.low=1e-6"]))
    assert f"did you mean sweep.space.{RATE}.low?" in caught.value.hint


@pytest.mark.parametrize("text", ["2024", "007", "1e5", "true", "2024-01-01", "0x1f"])
def test_a_text_that_looks_like_something_else_stays_as_written(text: str) -> None:
    config = changed("data.source.kind=folder", f"data.source.path={text}", f"name={text}")
    assert config.data.source == Folder(path=text)
    assert config.name == text


@pytest.mark.parametrize(
    ("assignment", "where", "said"),
    [
        ("gan.genrator.steps=2", "gan.genrator.steps", "did you mean gan.generator.steps?"),
        ("learning_rate=1", "learning_rate", "optimiser.learning_rate"),
        ("gan.batch_size.more=1", "gan.batch_size.more", "there is no setting"),
        ("gan.batch_size=many", "gan.batch_size", "integer"),
        ("gan.loss.kind=hing", "gan.loss", "hinge"),
        ("gan.plateau.patiense=3", "gan.plateau.patiense", "patience"),
        ("gan.generator.optimiser.beta1=1.5", "gan.generator.optimiser.beta1", "less than 1"),
        ("gan.ema.ramp=.nan", "gan.ema.ramp", "finite"),
        ("data.source={kind: folder, path: ''}", "data.source.path", "at least 1 character"),
        ("name=null", "name", "valid string"),
        ("nonsense", "nonsense", "path=value"),
        ("gan.loss={a: [", "gan.loss", "YAML"),
        ("=3", "=3", "path=value"),
        ("gan.batch_size=63", "gan.batch_size", "not a multiple of 2 workers"),
        (
            "gan.discriminator.network={kind: dcgan, minibatch_stddev: 64}",
            "gan.batch_size",
            "gan.batch_size is 64, 32 for each of 2 workers, not a multiple of accumulate 1",
        ),
        ("classifier.network={kind: alexnet, variant: imagenet}", "data.size", "63 or more"),
    ],
)
def test_a_wrong_assignment_names_the_path_and_the_mend(
    assignment: str, where: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(assignment)
    assert caught.value.where == where
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_unknown_key_in_a_file_names_the_file_and_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"my\.yaml: there is no setting 'gan\.bacth_size'") as c:
        parse(PipelineConfig, {"name": "x", "gan": {"bacth_size": 4}}, "my.yaml")
    assert "gan.batch_size" in c.value.hint
