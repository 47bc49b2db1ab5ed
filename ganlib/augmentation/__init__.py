"""image_NCHW -> image_NCHW, with the randomness passed in."""

from ganlib.augmentation.adaptive import adapt, start
from ganlib.augmentation.discriminator import Augmentation, build
from ganlib.augmentation.distortion import distort, draw_distortion
from ganlib.augmentation.draws import Draws

__all__ = ["Augmentation", "Draws", "adapt", "build", "distort", "draw_distortion", "start"]
