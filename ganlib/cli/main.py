"""`ganlib`: parse, call, answer; every error becomes a message, an exit code and, with `--json`,
one document.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from ganlib.cli import interruption, output
from ganlib.cli.group import LazyGroup
from ganlib.cli.options import EPILOG, command_name

HERE = "ganlib.cli.commands"
COMMANDS = {
    "run": (f"{HERE}.run:run", "From images to a promoted model: the whole chain."),
    "data": (f"{HERE}.data:data", "Prepare images for training."),
    "train": (f"{HERE}.stages:train", "Train the classifiers and the GAN."),
    "sweep": (f"{HERE}.stages:sweep", "Search settings with which the GAN covers its data."),
    "evaluate": (f"{HERE}.stages:evaluate", "Judge the trained generator on held-out images."),
    "model": (f"{HERE}.model:model", "Promote a model, or go back to the one before."),
    "sample": (f"{HERE}.sample:sample", "Pictures from a generator."),
    "predict": (f"{HERE}.predict:predict", "A classifier over a folder of images, to a table."),
    "recipes": (f"{HERE}.recipes:recipes", "What can be run, with every setting."),
    "status": (f"{HERE}.status:status", "Runs and their true state, models and aliases."),
    "cancel": (f"{HERE}.control:cancel", "Stop a run in order."),
    "logs": (f"{HERE}.control:logs", "What a run said."),
    "schedule": (f"{HERE}.schedule:schedule", "Run pipelines by the clock."),
    "ui": (f"{HERE}.ui:ui", "MLflow's and Prefect's pages, on this machine only."),
    "mirror": (f"{HERE}.mirror:mirror", "A home's work in a bucket, and back."),
    "gc": (f"{HERE}.gc:gc", "Remove from the home what nothing reaches any more."),
    "doctor": (f"{HERE}.doctor:doctor", "Check this machine and name the one setting to fix."),
    "bench": (f"{HERE}.bench:bench", "Measurements anyone can repeat."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="ganlib", message="ganlib %(version)s")
def ganlib() -> None:
    """Images to a promoted model, with the evidence.

    \b
    ganlib run                      the handwritten digits, from images to a champion
    ganlib run mnist                another recipe: ganlib recipes
    ganlib run path/to/folder       your own pictures, one subfolder per class
    ganlib run digits --set gan.budget.images=50000
    ganlib status                   what ran, what is the champion
    ganlib ui                       look at it in a browser

    Everything is kept in one folder, the home: .ganlib here, or what --home or GANLIB_HOME says.
    A command that was interrupted goes on where it was when it is given again.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """The console script; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    output.forgiving()
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # `kind: custom` finds what lies beside the user
    if _wants_document(arguments):
        return _documented(arguments)
    answer = output.Answer()
    try:
        _, answer, error = _run(arguments)
        if error is not None:
            _explain(error)
        if answer.show is not None:
            answer.show(output.console())
        sys.stdout.flush()
    except BrokenPipeError:
        output.let_go()
    return _go_on(answer)


def _go_on(answer: output.Answer) -> int:
    """What a command does after it has told its result: serve pages, until Ctrl-C."""
    if answer.after is None:
        return answer.exit
    try:
        with interruption.orderly("stopping"):
            answer.after()
    except KeyboardInterrupt:
        return answer.exit
    except Exception as error:
        _explain(error)
        return getattr(error, "exit_code", 1)
    return answer.exit


def _wants_document(arguments: Sequence[str]) -> bool:
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in before


def _documented(arguments: list[str]) -> int:
    answer = output.Answer()
    try:
        with output.only_documents() as write:
            name, answer, error = _run(arguments)
            if error is not None:
                _explain(error)
            told = None if error is None else _error_member(error)
            write(output.document(name, answer.exit, answer.result, told))
    except BrokenPipeError:
        pass  # nobody wanted to know; the exit code still tells
    return _go_on(answer)


def _run(arguments: list[str]) -> tuple[str, output.Answer, BaseException | None]:
    """The command's name, its answer, and the error that ended it, if one did."""
    names: list[str] = []
    try:
        with interruption.orderly():
            context = ganlib.make_context("ganlib", arguments, obj=names)
            with context:
                value = ganlib.invoke(context)
    except click.exceptions.Exit as done:
        return _last(names), output.Answer(exit=done.exit_code), None
    except click.ClickException as error:
        context_of = getattr(error, "ctx", None)
        name = command_name(context_of) if context_of else _last(names)
        return name, output.Answer(exit=2), error
    except (KeyboardInterrupt, click.Abort) as error:
        return _last(names), output.Answer(exit=interruption.EXIT), error
    except BrokenPipeError:
        raise
    except Exception as error:
        return _last(names), output.Answer(exit=getattr(error, "exit_code", 1)), error
    return _last(names), value if isinstance(value, output.Answer) else output.Answer(), None


def _last(names: list[str]) -> str:
    return names[-1] if names else ""


def _explain(error: BaseException) -> None:
    """One line of what is wrong and one of what to do, on standard error."""
    from ganlib.errors import GanlibError

    if isinstance(error, click.UsageError):
        error.show(sys.stderr)
    elif isinstance(error, click.ClickException):
        click.echo(f"error: {error.format_message()}", err=True)
    elif isinstance(error, (KeyboardInterrupt, click.Abort)):
        click.echo("interrupted; the same command goes on from here", err=True)
    elif isinstance(error, GanlibError):
        click.echo(f"error: {error.message}", err=True)
        if error.hint:
            click.echo(f"  {error.hint}", err=True)
    else:
        traceback.print_exception(error, file=sys.stderr)
        click.echo("error: this should not have happened; the lines above say where", err=True)


def _error_member(error: BaseException) -> dict[str, Any]:
    from ganlib.errors import GanlibError

    if isinstance(error, GanlibError):
        return dict(error.to_dict())
    if isinstance(error, click.ClickException):
        return _plain("UsageError", error.format_message(), "see --help")
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return _plain("Interrupted", "interrupted", "the same command goes on from here")
    return _plain(type(error).__name__, str(error), "")


def _plain(kind: str, message: str, hint: str) -> dict[str, str]:
    return {"type": kind, "message": message, "where": "", "hint": hint}


if __name__ == "__main__":
    sys.exit(main())
