"""Adversarial objectives, penalties and classification: pure functions on tensors, per sample."""

from ganlib.losses.adversarial import Adversarial, build
from ganlib.losses.classification import cross_entropy
from ganlib.losses.penalties import Penalty, build_penalties

__all__ = ["Adversarial", "Penalty", "build", "build_penalties", "cross_entropy"]
