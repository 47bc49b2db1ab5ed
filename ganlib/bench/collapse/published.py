"""What the papers found, to stand beside what is measured here."""

from __future__ import annotations

from dataclasses import dataclass

from ganlib.bench.names import Plane


@dataclass(frozen=True)
class Published:
    """Means over ten trials; quality is a share, the reverse KL in nats and above no floor."""

    method: str
    modes: float
    quality: float
    divergence: float
    source: str = "Lin et al. 2018 (PacGAN), table 1"


PUBLISHED: dict[Plane, dict[str, Published]] = {
    "ring": {
        "plain": Published("GAN", 6.3, 0.982, 0.45),
        "ali": Published("ALI", 6.6, 0.976, 0.36),
        "pacgan2": Published("PacGAN2", 7.9, 0.956, 0.07),
        "pacgan4": Published("PacGAN4", 7.8, 0.959, 0.07),
    },
    "grid": {
        "plain": Published("GAN", 17.3, 0.948, 0.70),
        "ali": Published("ALI", 24.1, 0.957, 0.14),
        "pacgan2": Published("PacGAN2", 23.8, 0.913, 0.13),
        "pacgan4": Published("PacGAN4", 24.8, 0.936, 0.04),
    },
    "grid100": {},
}
"""By our name of the method; `ali` is none of ours."""
