"""A network's folder: what is written is read, and what was damaged is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

import ganlib.models
from ganlib.config import Custom, DcganGenerator, GeneratorNetwork, LeNet5, SmallResNet
from ganlib.errors import ConfigError, Damaged
from ganlib.models import build_classifier, build_generator, load_model, noise, save_model

SHAPE = {"size": 28, "channels": 1, "classes": 3}
NAMES = ["a", "b", "c"]


def generator():
    torch.manual_seed(0)
    return build_generator(DcganGenerator(width=4, latent_size=8), **SHAPE)


def saved(folder, module=None, kind="generator", meta=None):
    save_model(module or generator(), folder, kind=kind, classes=NAMES, meta=meta or {})
    return folder


def test_a_generator_comes_back_bit_for_bit(tmp_path):
    module = generator()
    label = torch.tensor([0, 1, 2])
    module(noise(label, 8), label)  # moves the running statistics
    saved(tmp_path, module, meta={"dataset": "abc", "clock": 3})
    model = load_model(tmp_path)
    assert (model.kind, model.size, model.channels) == ("generator", 28, 1)
    assert model.classes == ("a", "b", "c")
    assert model.meta == {"dataset": "abc", "clock": 3}
    assert not model.module.training
    module.eval()
    z = noise(label, 8)
    assert torch.equal(model.module(z, label), module(z, label))


@pytest.mark.parametrize("network", [LeNet5(), SmallResNet(width=4)])
def test_classifiers_come_back_from_any_memory_and_precision(tmp_path, network):
    module = build_classifier(network, **SHAPE).double().to(memory_format=torch.channels_last)
    saved(tmp_path, module, kind="classifier")
    model = load_model(tmp_path)
    assert next(model.module.parameters()).dtype == torch.float32
    x = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(model.module(x), module.eval()(x.double()).float())
    assert module.head.weight.dtype == torch.float64  # left as it was


def test_the_same_model_is_the_same_bytes(tmp_path):
    a, b = saved(tmp_path / "a"), saved(tmp_path / "b")
    for name in ("network.json", "weights.safetensors"):
        assert (a / name).read_bytes() == (b / name).read_bytes()


def damage_nothing(folder):
    (folder / "network.json").unlink()


def damage_weights(folder):
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def cut_weights(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def drop_weights(folder):
    (folder / "weights.safetensors").unlink()


def cut_json(folder):
    path = folder / "network.json"
    path.write_text(path.read_text()[:50])


def edited(**changes):
    def edit(folder):
        path = folder / "network.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        (damage_nothing, "network.json"),
        (damage_weights, "weights.safetensors"),
        (cut_weights, "weights.safetensors"),
        (drop_weights, "weights.safetensors"),
        (cut_json, "network.json"),
        (edited(format=99), "format 99"),
        (edited(**{"class": "Sequential"}), "no network"),
        (edited(module="os"), "no network"),
        (edited(arguments={"size": 28}), "network.json"),
        (edited(arguments={**SHAPE, "width": 8}), "network.json"),
    ],
)
def test_damage_is_named(tmp_path, damage, file):
    saved(tmp_path)
    damage(tmp_path)
    with pytest.raises(Damaged, match=file) as caught:
        load_model(tmp_path)
    assert str(tmp_path) in caught.value.where


def test_names_must_be_as_many_as_classes(tmp_path):
    with pytest.raises(ValueError, match="2 names for 3 classes"):
        save_model(generator(), tmp_path, kind="generator", classes=["a", "b"], meta={})


def test_a_users_own_network_is_built_again_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "own_model.py").write_text(
        "from torch import nn\n"
        "class Own(nn.Module):\n"
        "    def __init__(self, size, channels, classes, extra):\n"
        "        super().__init__()\n"
        "        self.latent_size = extra\n"
        "        self.a = nn.Linear(extra, classes)\n"
        "        self.b = self.a\n"  # tied weights
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = build_generator(Custom(build="own_model:Own", options={"extra": 2}), **SHAPE)
    saved(tmp_path / "model", module)
    loaded = load_model(tmp_path / "model").module
    assert torch.equal(loaded.a.weight, module.a.weight)
    path = tmp_path / "model/network.json"
    path.write_text(path.read_text().replace("own_model:Own", "gone_model:Own"))
    with pytest.raises(ConfigError, match="gone_model:Own"):
        load_model(tmp_path / "model")


def test_a_generator_written_before_it_had_a_choice_of_norm_is_read(tmp_path):
    module = generator()
    saved(tmp_path, module)
    path = tmp_path / "network.json"
    document = json.loads(path.read_text())
    for newer in ("latent", "conditioning", "norm"):
        del document["arguments"][newer]
    path.write_text(json.dumps(document))
    label = torch.tensor([0, 1, 2])
    z = noise(label, 8)
    assert torch.equal(load_model(tmp_path).module(z, label), module.eval()(z, label))


NOT_SHIPPED = ("__init__.py", "build.py", "custom.py", "export.py")


def test_the_networks_need_no_ganlib(tmp_path):
    """Their sources under another package's name give the same images, with ganlib shut out."""
    source = Path(ganlib.models.__file__).parent
    package = tmp_path / "private"
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in NOT_SHIPPED:
        (package / name).unlink()
    (package / "__init__.py").touch()
    kinds = get_args(get_args(GeneratorNetwork)[0])
    torch.manual_seed(0)
    networks = [kind(latent="uniform") for kind in kinds if kind is not Custom]
    folders = [
        saved(tmp_path / network.kind, build_generator(network, **SHAPE)) for network in networks
    ]
    script = f"""
import json, sys
sys.modules["ganlib"] = None
import torch, safetensors.torch
from importlib import import_module
from private.latent import kind_of, noise
from private.pixels import to_uint8
import private.cnn, private.gan
label = torch.tensor([0, 1, 2])
sums = []
for folder in {[str(folder) for folder in folders]}:
    spec = json.loads(open(folder + "/network.json").read())
    home = import_module("private." + spec["module"])
    network = getattr(home, spec["class"])(**spec["arguments"])
    network.load_state_dict(safetensors.torch.load_file(folder + "/weights.safetensors"))
    z = noise(label, network.latent_size, kind_of(network))
    sums.append(to_uint8(network.eval()(z, label)).sum().item())
print(json.dumps(sums))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    label = torch.tensor([0, 1, 2])
    expected = [
        ganlib.models.to_uint8(load_model(folder).module(noise(label, 64, "uniform"), label))
        for folder in folders
    ]
    assert json.loads(done.stdout) == [image.sum().item() for image in expected]
