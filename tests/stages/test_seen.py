"""What a network saw of images is kept by the images themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ganlib.stages import seen


def images(count: int, seed: int = 0) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 4, 4, 3), generator=draws).byte()


class Network:
    """Mean colours, and how many images it was shown."""

    def __init__(self, cut: int = 1_000_000) -> None:
        self.shown, self.cut = 0, cut

    def __call__(self, image_NHWC: torch.Tensor) -> torch.Tensor:
        if self.shown + len(image_NHWC) > self.cut:
            raise KeyboardInterrupt
        self.shown += len(image_NHWC)
        return image_NHWC.double().mean((1, 2))


def test_only_images_that_are_new_are_shown_to_the_network(tmp_path: Path) -> None:
    path, network, said = tmp_path / "a" / "seen.safetensors", Network(), list[str]()
    first = images(600)
    found = seen.kept_features(first, network, path)
    torch.testing.assert_close(found, first.double().mean((1, 2)).float())
    changed = first[torch.randperm(600)].clone()
    changed[7] = 255 - changed[7]
    changed = torch.cat([changed, changed[:5], images(3, seed=1)])
    again = seen.kept_features(changed, network, path, said.append)
    torch.testing.assert_close(again, changed.double().mean((1, 2)).float())
    assert network.shown == 600 + 4
    assert said == ["599 of 603 images were seen before"]
    # Another shape of the same bytes is another image.
    seen.kept_features(first.view(600, 8, 2, 3), network, path)
    assert network.shown == 600 + 4 + 600


def test_one_that_was_cut_goes_on_and_damage_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "PART", 10)
    path, cut = tmp_path / "seen.safetensors", Network(cut=25)
    with pytest.raises(KeyboardInterrupt):
        seen.kept_features(images(40), cut, path)
    rest = Network()
    whole = seen.kept_features(images(40), rest, path)
    assert (cut.shown, rest.shown) == (20, 20)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    said = list[str]()
    assert torch.equal(seen.kept_features(images(40), rest, path, said.append), whole)
    assert rest.shown == 60
    assert said == [f"{path} is damaged; it is made again"]


def test_where_too_much_is_kept_other_images_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "MOST_BYTES", 28 * 50)
    path, network = tmp_path / "seen.safetensors", Network()
    for seed in (0, 1, 1, 0):
        seen.kept_features(images(30, seed), network, path)
    assert network.shown == 90
