"""The final states of a flow, each with a name of its own, so that an automation can tell them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect.states import Completed, Failed

from flows.chain import PipelineResult
from flows.publish import report_page
from flows.schedules import COLLAPSED, DIVERGED, NOT_PROMOTED
from ganlib.errors import Collapsed, Diverged


def ended(call: Callable[[], PipelineResult]) -> Any:
    """Completed when the model was promoted, and NotPromoted, which is no failure, when it was not.

    A generator that collapsed and a loss that is not finite end Failed under the names Collapsed
    and Diverged, and are raised for whoever called the flow.
    """
    try:
        result = call()
    except Collapsed as error:
        told = [error.message, *getattr(error, "__notes__", ())]
        return Failed(name=COLLAPSED, message="\n".join(told), data=error)
    except Diverged as error:
        return Failed(name=DIVERGED, message=error.message, data=error)
    return result if result.promoted else _not_promoted(result)


def _not_promoted(result: PipelineResult) -> Any:
    """Its data is the result; its message is what a notification tells."""
    reasons = "; ".join(result.decision.reasons) if result.decision else ""
    told = f"{result.verdict}: {reasons}"
    if result.evaluation and result.evaluation.report:
        told += f"\nThe report: {report_page(result.home, result.evaluation)}"
    return Completed(name=NOT_PROMOTED, message=told, data=result)
