"""image_NCHW -> image_NCHW, with the randomness passed in."""

from ganlib.augmentation.distortion import distort, draw_distortion

__all__ = ["distort", "draw_distortion"]
