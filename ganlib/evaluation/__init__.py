"""Samples -> features -> metrics, on any number of ranks, with the floor of the real images beside.

All images here are uint8 in NHWC; features and logits stay on the device of their extractor.
"""

from ganlib.evaluation.classifier import ClassifierScores, accuracy_of
from ganlib.evaluation.extractor import ClassifierExtractor, Extractor, Seen
from ganlib.evaluation.latent import class_sweep, interpolate, truncate
from ganlib.evaluation.nearest import NearestNeighbours, nearest_neighbours
from ganlib.evaluation.reference import Floor, Reference
from ganlib.evaluation.sampling import balanced_labels, generate, grid_labels, render
from ganlib.evaluation.score import Scores, repeated, score
from ganlib.evaluation.table import EvaluationTable, Row

__all__ = [
    "ClassifierExtractor",
    "ClassifierScores",
    "EvaluationTable",
    "Extractor",
    "Floor",
    "NearestNeighbours",
    "Reference",
    "Row",
    "Scores",
    "Seen",
    "accuracy_of",
    "balanced_labels",
    "class_sweep",
    "generate",
    "grid_labels",
    "interpolate",
    "nearest_neighbours",
    "render",
    "repeated",
    "score",
    "truncate",
]
