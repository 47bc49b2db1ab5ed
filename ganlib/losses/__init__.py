"""Adversarial objectives and classification: pure functions on tensors, per sample."""

from ganlib.losses.adversarial import Adversarial, build
from ganlib.losses.classification import cross_entropy

__all__ = ["Adversarial", "build", "cross_entropy"]
