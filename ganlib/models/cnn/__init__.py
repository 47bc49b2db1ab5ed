"""Convolutional classifiers: image_NCHW in [-1, 1] -> logits_NK, with `features` before `head`."""

from .lenet5 import LeNet5
from .resnet import SmallResNet

__all__ = ["LeNet5", "SmallResNet"]
