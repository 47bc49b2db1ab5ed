"""Samples of each seed over the true modes, as PNG bytes. S seeds, N samples, D = 2 dimensions."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from ganlib.bench.collapse.gaussians import Mixture

ACROSS = 5


def scatter(sample_SND: Tensor, seeds: Sequence[int], mixture: Mixture) -> bytes:
    """A panel for each of the first ten seeds; a circle, too wide so as to be seen, is a mode."""
    shown = list(zip(seeds, sample_SND.numpy(), strict=True))[: 2 * ACROSS]
    columns = min(ACROSS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(3.2 * columns, 3.4 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    centre_MD = mixture.centre_MD.numpy()
    reach = 1.25 * float(abs(centre_MD).max())
    for axis in axes:
        axis.set_axis_off()
    for (seed, sample_ND), axis in zip(shown, axes, strict=False):
        axis.set_axis_on()
        axis.scatter(*centre_MD.T, s=90, facecolors="none", edgecolors="#d0d0d0", linewidths=0.8)
        axis.scatter(*sample_ND.T, s=1.5, alpha=0.25, linewidths=0, color="#1f77b4")
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
        axis.set_title(f"seed {seed}", fontsize=9)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=90)
    return drawn.getvalue()
