"""What makes a run repeatable: the clock in images, random streams by position, replicas."""

from ganlib.determinism.clock import due, whole_batches
from ganlib.determinism.gradients import FlatGradients
from ganlib.determinism.replicas import Replicas
from ganlib.determinism.streams import stream, sub_seed

__all__ = ["FlatGradients", "Replicas", "due", "stream", "sub_seed", "whole_batches"]
