"""image_NCHW -> image_NCHW, with the randomness passed in."""

from ganlib.augmentation.adaptive import adapt, start
from ganlib.augmentation.discriminator import apply, draw
from ganlib.augmentation.distortion import distort, draw_distortion
from ganlib.augmentation.draws import Draws

__all__ = ["Draws", "adapt", "apply", "distort", "draw", "draw_distortion", "start"]
