"""Generators and discriminators, conditional on a class, one file for each family."""

from . import dcgan, mlp, r3gan, sn_resnet

__all__ = ["dcgan", "mlp", "r3gan", "sn_resnet"]
