"""Convolutional classifiers: image_NCHW in [-1, 1] -> logits_NK, with `features` before `head`."""

from .alexnet import AlexNet
from .cifar_resnet import CifarResNet
from .dropout import Dropout, key_dropout
from .lenet5 import LeNet5
from .resnet import SmallResNet
from .resnet18 import ResNet18

__all__ = [
    "AlexNet",
    "CifarResNet",
    "Dropout",
    "LeNet5",
    "ResNet18",
    "SmallResNet",
    "key_dropout",
]
