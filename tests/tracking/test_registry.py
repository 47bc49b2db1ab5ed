"""A registered model loads and predicts where no ganlib is, and is the same model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from ganlib.config import Custom, DcganGenerator, LeNet5, SmallResNet
from ganlib.errors import ConfigError, Damaged, NotFound
from ganlib.evaluation.sampling import generate
from ganlib.models import build_classifier, build_generator, load_model, save_model, to_float
from ganlib.storage import Home
from ganlib.tracking import describe, fetch, register, run_of, writing
from ganlib.tracking.connection import connect
from ganlib.training import Journal

NAMES = [str(k) for k in range(10)]


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has all of this one's packages but ganlib."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    into = folder / "lib" / version / "site-packages"
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "ganlib" not in entry.name and not (into / entry.name).exists():
            (into / entry.name).symlink_to(entry)
    python = folder / "bin" / "python"
    found = subprocess.run(
        [str(python), "-c", "import ganlib"], capture_output=True, check=False, cwd=folder
    )
    assert found.returncode != 0
    return python


def predict_elsewhere(bare: Path, home: Home, code: str, folder: Path) -> None:
    """Run `code` with `mlflow`, `np`, `pd` in an environment and a folder without ganlib."""
    head = "import mlflow, sys, numpy as np, pandas as pd\n"
    tail = "\nassert not any(name.split('.')[0] == 'ganlib' for name in sys.modules)\n"
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONSTARTUP")}
    env["MLFLOW_TRACKING_URI"] = f"sqlite:///{home.mlflow_db}"
    env["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    done = subprocess.run(
        [str(bare), "-c", head + code + tail],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def generator_folder(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    network = DcganGenerator(width=8, latent_size=16)
    module = build_generator(network, size=8, channels=1, classes=10)
    for _ in range(3):  # batch norm has statistics that matter
        module.train()(torch.randn(32, 16), torch.arange(32) % 10)
    save_model(module, folder, kind="generator", classes=NAMES, meta={"clock": 7})
    return folder


def classifier_folder(folder: Path) -> Path:
    torch.manual_seed(1)
    module = build_classifier(LeNet5(), size=14, channels=3, classes=10)
    save_model(module, folder, kind="classifier", classes=NAMES, meta={})
    return folder


def put(home: Home, folder: Path, name: str, **also: object) -> object:
    return register(
        home,
        folder,
        name=name,
        metrics={"coverage": 0.9},
        dataset_fingerprint="d" * 16,
        config={"rate": 0.1},
        **{"run_id": None, **also},
    )


def test_generator_and_classifier_predict_without_ganlib(
    home: Home, tmp_path: Path, bare: Path, journal: Callable[..., Journal]
) -> None:
    journal("p-1.gan-2").close("FINISHED", "done")
    with writing(home):
        pass
    run = run_of(home, "p-1.gan-2")
    assert run
    made = generator_folder(tmp_path / "g")
    generator = put(home, made, "digits-generator", run_id=run.run_id)
    judge = put(home, classifier_folder(tmp_path / "c"), "digits-classifier")
    image_NHWC = np.random.default_rng(0).integers(0, 256, (300, 14, 14, 3), np.uint8)
    np.save(tmp_path / "images.npy", image_NHWC)
    predict_elsewhere(
        bare,
        home,
        f"""
g = mlflow.pyfunc.load_model("models:/digits-generator@candidate")
table = pd.DataFrame({{"seed": range(5, 305), "class": [i % 10 for i in range(300)]}})
np.save("generated.npy", g.predict(table))
c = mlflow.pyfunc.load_model("{judge.uri}")
np.save("probabilities.npy", c.predict(np.load("images.npy")))
example = mlflow.pyfunc.load_model("{generator.uri}").input_example
assert list(example.columns) == ["seed", "class"]
try:
    g.predict(pd.DataFrame({{"seed": [1], "class": [10]}}))
except Exception as error:
    assert "class must be from 0 to 9" in str(error)
else:
    raise AssertionError("class 10 was taken")
""",
        tmp_path,
    )
    model = load_model(made)
    seed_N, label_N = torch.arange(5, 305), torch.arange(300) % 10
    expected = generate(model.module, seed_N, label_N).numpy()
    found = np.load(tmp_path / "generated.npy")
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)
    judged = load_model(tmp_path / "c").module
    with torch.no_grad():
        wanted = judged(to_float(torch.tensor(image_NHWC))).softmax(1).numpy()
    got = np.load(tmp_path / "probabilities.npy")
    assert got.dtype == np.float32
    assert np.abs(got - wanted).max() < 1e-6


def test_what_is_stored_is_code_and_safetensors_and_tells_what_it_is(
    home: Home, tmp_path: Path, journal: Callable[..., Journal]
) -> None:
    made = put(home, generator_folder(tmp_path / "g"), "digits-generator")
    stored = [p for p in home.artifacts.rglob("*") if p.is_file()]
    assert any(p.suffix == ".safetensors" for p in stored)
    assert not [p for p in stored if p.suffix in {".pkl", ".pickle", ".pt", ".pt2", ".pth", ".bin"}]
    required = next(p for p in stored if p.name == "requirements.txt").read_text()
    assert f"torch=={torch.__version__.partition('+')[0]}\n" in required + "\n"
    import mlflow

    connect(home)
    info = mlflow.models.get_model_info(made.uri)
    assert "'seed': long (required), 'class': long (required)" in str(info.signature.inputs)
    assert "uint8" in str(info.signature.outputs)
    assert info.metadata["ganlib.dataset"] == "d" * 16
    version = connect(home).get_model_version("digits-generator", "1")
    assert "| coverage | 0.9 |" in version.description
    (row,) = describe(home).to_dict("records")
    assert (row["model"], row["version"], row["aliases"]) == ("digits-generator", 1, "candidate")
    assert row["coverage"] == 0.9


def test_the_same_bytes_are_one_version_and_candidate_is_the_newest(
    home: Home, tmp_path: Path
) -> None:
    first = put(home, generator_folder(tmp_path / "a"), "digits-generator")
    assert put(home, generator_folder(tmp_path / "b"), "digits-generator") == first
    second = put(home, generator_folder(tmp_path / "c", seed=5), "digits-generator")
    assert second.version == 2
    assert fetch(home, "digits-generator@candidate") == fetch(home, second.uri)


def test_two_who_register_the_same_bytes_at_once_make_one_version(
    home: Home, tmp_path: Path
) -> None:
    folder = generator_folder(tmp_path / "model")
    connect(home)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(put, home, folder, "digits-generator") for _ in range(2)]
        first, second = (one.result() for one in both)
    assert first == second
    assert len(describe(home)) == 1


def test_fetch_gives_the_exported_folder_and_refuses_changed_bytes(
    home: Home, tmp_path: Path
) -> None:
    folder = generator_folder(tmp_path / "g")
    made = put(home, folder, "digits-generator")
    place = fetch(home, made.uri)
    assert load_model(place).meta == {"clock": 7}
    assert (place / "network.json").read_bytes() == (folder / "network.json").read_bytes()
    weights = next(home.artifacts.rglob("weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"oops")
    assert fetch(home, made.uri) == place, "from the cache"
    with pytest.raises(Damaged, match="was registered"):
        fetch(home, made.uri, fresh=True)


def test_a_damaged_copy_is_replaced_and_a_whole_one_never_moved(home: Home, tmp_path: Path) -> None:
    made = put(home, generator_folder(tmp_path / "g"), "digits-generator")
    place = fetch(home, made.uri)
    weights = place / "weights.safetensors"
    before = weights.stat().st_ino
    fetch(home, made.uri, fresh=True)
    assert weights.stat().st_ino == before, "whoever reads it goes on reading it"
    whole = weights.read_bytes()
    weights.write_bytes(b"torn")
    with weights.open("rb") as reader:
        assert fetch(home, made.uri) == place
        assert weights.read_bytes() == whole
        assert reader.read() == b"torn", "the file it had open is not written into"
    assert [path.name for path in place.parent.iterdir()] == [place.name]


@pytest.mark.parametrize("uri", ["models:/nothing@champion", "digits-generator@champion", "nope/3"])
def test_what_is_not_there_is_named(home: Home, tmp_path: Path, uri: str) -> None:
    put(home, generator_folder(tmp_path / "g"), "digits-generator")
    with pytest.raises(NotFound) as caught:
        fetch(home, uri)
    assert uri.removeprefix("models:/").split("@")[0].split("/")[0] in str(caught.value)


CUSTOM = '''
"""A user's own."""
import torch
from torch import nn
from ganlib.models.layers import BatchNorm
from studio.parts import tone


class Mine(nn.Module):
    def __init__(self, size, channels, classes, latent_size):
        super().__init__()
        self.latent_size, self.shape = latent_size, (channels, size, size)
        self.embed = nn.Embedding(classes, latent_size)
        self.norm = BatchNorm(latent_size)
        self.out = nn.Linear(latent_size, channels * size * size)

    def forward(self, z, label):
        h = self.norm((z + self.embed(label))[:, :, None, None])[:, :, 0, 0]
        return tone(self.out(h)).view(-1, *self.shape)


def build(*, size, channels, classes, latent_size=4):
    return Mine(size, channels, classes, latent_size)
'''


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's package on the path."""
    folder = tmp_path / "user" / "studio"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "parts.py").write_text("from .deep import tone\n")
    (folder / "deep.py").write_text("import torch\ntone = torch.tanh\n")
    (folder / "net.py").write_text(CUSTOM)
    monkeypatch.syspath_prepend(str(folder.parent))
    for name in [n for n in sys.modules if n.split(".")[0] == "studio"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def test_a_users_own_network_travels_with_its_modules(
    home: Home, tmp_path: Path, bare: Path, studio: Path
) -> None:
    network = Custom(build="studio.net:build", options={"latent_size": 6})
    module = build_generator(network, size=8, channels=1, classes=10)
    save_model(module, tmp_path / "g", kind="generator", classes=NAMES, meta={})
    made = put(home, tmp_path / "g", "own-generator")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    predict_elsewhere(
        bare,
        home,
        f"""
g = mlflow.pyfunc.load_model("{made.uri}")
out = g.predict(pd.DataFrame({{"seed": [3, 4], "class": [0, 1]}}))
np.save("out.npy", out)
""",
        elsewhere,
    )
    seed_N, label_N = torch.tensor([3, 4]), torch.tensor([0, 1])
    expected = generate(module.eval(), seed_N, label_N).numpy()
    assert np.array_equal(np.load(elsewhere / "out.npy"), expected)


def test_a_network_that_cannot_travel_is_refused_by_name(
    home: Home, tmp_path: Path, studio: Path
) -> None:
    (studio / "net.py").write_text("from ganlib.data import Dataset\n" + CUSTOM)
    network = Custom(build="studio.net:build")
    module = build_generator(network, size=8, channels=1, classes=10)
    save_model(module, tmp_path / "g", kind="generator", classes=NAMES, meta={})
    with pytest.raises(ConfigError, match=r"ganlib\.data"):
        put(home, tmp_path / "g", "own-generator")


def test_two_models_of_one_process_do_not_mix(home: Home, tmp_path: Path) -> None:
    import mlflow

    made = put(home, generator_folder(tmp_path / "g"), "digits-generator")
    torch.manual_seed(2)
    judge = build_classifier(SmallResNet(width=4), size=8, channels=1, classes=10)
    save_model(judge, tmp_path / "c", kind="classifier", classes=NAMES, meta={})
    other = put(home, tmp_path / "c", "digits-classifier")
    connect(home)
    one, two = mlflow.pyfunc.load_model(made.uri), mlflow.pyfunc.load_model(other.uri)
    import pandas as pd

    images = one.predict(pd.DataFrame({"seed": [1], "class": [2]}, dtype="int64"))
    assert images.shape == (1, 8, 8, 1)
    assert np.allclose(two.predict(images).sum(1), 1)
    network = json.loads((fetch(home, other.uri) / "network.json").read_text())
    assert network["kind"] == "classifier"
