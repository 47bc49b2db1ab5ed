"""Generators and discriminators, conditional on a class."""

from .dcgan import Discriminator, Generator

__all__ = ["Discriminator", "Generator"]
