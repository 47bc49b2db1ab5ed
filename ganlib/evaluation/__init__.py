"""Samples -> features -> metrics, on any number of ranks, with the floor of the real images beside.

All images here are uint8 in NHWC; features and logits stay on the device of their extractor.
"""

from ganlib.evaluation.classifier import (
    NOISES,
    ClassifierScores,
    accuracy_of,
    classifier_rows,
    under_noise,
)
from ganlib.evaluation.extractor import ClassifierExtractor, Extractor, Seen
from ganlib.evaluation.latent import class_sweep, interpolate, truncate
from ganlib.evaluation.memory import Memorisation, copy_distance, memorisation, memorisation_rows
from ganlib.evaluation.missing import missed, missing_picture
from ganlib.evaluation.nearest import NearestNeighbours, among, nearest_neighbours
from ganlib.evaluation.reference import Floor, Reference
from ganlib.evaluation.repeats import repeated, tabulate
from ganlib.evaluation.sampling import (
    balanced_labels,
    generate,
    grid_labels,
    grid_names,
    render,
    sample_seeds,
)
from ganlib.evaluation.score import SampleSet, Scores, sample_sets, score
from ganlib.evaluation.table import EvaluationTable, Row
from ganlib.evaluation.teaching import generated_images, mixed, taught_accuracy

__all__ = [
    "NOISES",
    "ClassifierExtractor",
    "ClassifierScores",
    "EvaluationTable",
    "Extractor",
    "Floor",
    "Memorisation",
    "NearestNeighbours",
    "Reference",
    "Row",
    "SampleSet",
    "Scores",
    "Seen",
    "accuracy_of",
    "among",
    "balanced_labels",
    "class_sweep",
    "classifier_rows",
    "copy_distance",
    "generate",
    "generated_images",
    "grid_labels",
    "grid_names",
    "interpolate",
    "memorisation",
    "memorisation_rows",
    "missed",
    "missing_picture",
    "mixed",
    "nearest_neighbours",
    "render",
    "repeated",
    "sample_seeds",
    "sample_sets",
    "score",
    "tabulate",
    "taught_accuracy",
    "truncate",
    "under_noise",
]
