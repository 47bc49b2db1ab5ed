"""What the papers found on stacks, to stand beside what is measured here."""

from __future__ import annotations

from dataclasses import dataclass

from ganlib.bench.names import Narrow

PACGAN = "Lin et al. 2018 (PacGAN)"


@dataclass(frozen=True)
class Published:
    """Modes of 1,000 and the reverse KL in nats, which is above no floor (None: none given)."""

    method: str
    modes: float
    divergence: float | None
    source: str


EASY = (
    Published("DCGAN", 99, 3.40, PACGAN),
    Published("Unrolled GAN", 48.7, 4.32, PACGAN),
    Published("VEEGAN", 150, 2.95, PACGAN),
    Published("PacDCGAN2", 1000, 0.06, PACGAN),
    Published("StyleGAN2", 940, 0.42, "Huang et al. 2024 (R3GAN)"),
    Published("R3GAN", 1000, 0.029, "Huang et al. 2024 (R3GAN)"),
)
HARD: dict[Narrow, tuple[Published, ...]] = {
    "quarter": (
        Published("DCGAN", 30.6, None, PACGAN),
        Published("Unrolled GAN, 10 steps", 327, None, PACGAN),
        Published("PacDCGAN, the best", 667, None, PACGAN),
    ),
    "half": (
        Published("DCGAN", 628, None, PACGAN),
        Published("Unrolled GAN, 10 steps", 817, None, PACGAN),
        Published("PacDCGAN, the best", 867, None, PACGAN),
    ),
}
