"""Where the named sets come from, and how to know that what came is what was published."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One file: `sha256` is of the decompressed content, `md5` of the file as it is sent."""

    name: str
    url: str
    sha256: str = ""
    md5: str = ""


@dataclass(frozen=True)
class IdxSet:
    """`folders` are names under which a set is looked for; `files` come in the order of PARTS."""

    name: str
    folders: tuple[str, ...]
    classes: tuple[str, ...]
    files: tuple[Published, Published, Published, Published]


NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def _idx(base: str, *sha256: str) -> tuple[Published, Published, Published, Published]:
    a, b, c, d = (
        Published(name, f"{base}/{name}.gz", digest)
        for name, digest in zip(NAMES, sha256, strict=True)
    )
    return a, b, c, d


MNIST = IdxSet(
    name="mnist",
    folders=("mnist", "MNIST", "MNIST/raw"),
    classes=tuple("0123456789"),
    files=_idx(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)

FASHION_MNIST = IdxSet(
    name="fashion-mnist",
    folders=("fashion-mnist", "FashionMNIST", "FashionMNIST/raw"),
    classes=(
        "t-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle-boot",
    ),
    files=_idx(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)

CIFAR10 = Published(
    name="cifar-10-binary.tar.gz",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
)
