"""One evaluation as a page that needs no network, and the same facts as a model card."""

from ganlib.evaluation.report.card import generator_card, judge_card
from ganlib.evaluation.report.drawn import interpolated, side_by_side, truncated
from ganlib.evaluation.report.facts import Facts, Frame, Picture, Rival, Table
from ganlib.evaluation.report.page import LARGEST_PAGE, page

__all__ = [
    "LARGEST_PAGE",
    "Facts",
    "Frame",
    "Picture",
    "Rival",
    "Table",
    "generator_card",
    "interpolated",
    "judge_card",
    "page",
    "side_by_side",
    "truncated",
]
