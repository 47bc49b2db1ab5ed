"""`ganlib recipes`: what can be run, with every setting."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from ganlib.cli.options import Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console


@click.group(invoke_without_command=True)
@common
@click.pass_context
def recipes(context: click.Context, options: Options) -> Answer | None:
    """List the recipes, or show one whole.

    \b
    ganlib recipes
    ganlib recipes show mnist
    ganlib recipes show mnist --set data.size=32 > mine.yaml && ganlib run mine.yaml
    """
    return None if context.invoked_subcommand else _listed(options)


@recipes.command(name="list")
@common
@click.option("--measure", is_flag=True, help="Time each recipe here first, some seconds for each.")
def list_(options: Options, measure: bool) -> Answer:
    """Names, what each is for and from where, and what it costs on this machine once measured.

    Parameters of the classifier, and of generator and discriminator together, for ten classes; the
    seconds one worker trains each on 1,000 images; the peak memory of both without the data. What
    was measured is kept in the home, and what was not is a dash.
    """
    return _listed(options, measure)


@recipes.command()
@common
@click.argument("name")
def show(options: Options, name: str) -> Answer:
    """NAME with every setting, as YAML that `ganlib run FILE.yaml` takes.

    NAME may be a recipe, a file or a folder; --set changes are applied.
    """
    import yaml

    config = options.config(name).model_dump(mode="json")
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    return Answer({"config": config}, show=lambda console: click.echo(text, nl=False))


def _listed(options: Options, measure: bool = False) -> Answer:
    options.unused()
    from ganlib import api

    configs = api.recipes()
    speeds = api.speeds(
        configs, home=options.place, measure=measure, say=lambda text: click.echo(text, err=True)
    )
    counted = api.sizes(configs)
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "purpose": config.purpose,
            "source_note": config.source_note,
            "parameters": counted[name].model_dump(),
            "cost": speeds[name].model_dump() if name in speeds else None,
        }
        for name, config in configs.items()
    ]

    def table(console: Console) -> None:
        from ganlib.cli import tables

        rows = [(r["name"], r["purpose"], _source(r["source_note"])) for r in found]
        tables.show(console, ("recipe", "for", "source"), rows, whole=("recipe",))
        header = ("recipe", "classifier", "s per 1,000", "GAN", "s per 1,000", "MB")
        costs = [(r["name"], *_cost(r["parameters"], r["cost"])) for r in found]
        title = "parameters, and on this machine seconds for 1,000 images and memory"
        tables.show(console, header, costs, title=title, right=header[1:], whole=("recipe",))
        console.print("ganlib recipes show NAME prints one; ganlib run NAME runs it", style="dim")
        if len(speeds) < len(found):
            told = "ganlib recipes list --measure times them on this machine"
            console.print(told, style="dim")

    return Answer({"recipes": found}, show=table)


def _source(note: str) -> str:
    """What a note begins with: its first sentence, or what stands before the first colon."""
    return re.split(r":|\.\s+(?=[A-Z])", note.strip(), maxsplit=1)[0].rstrip(".")


def _cost(parameters: dict[str, int], cost: dict[str, Any] | None) -> tuple[str, ...]:
    trained = parameters["classifier"] is not None
    classifier = f"{parameters['classifier']:,}" if trained else "-"
    players = f"{parameters['generator'] + parameters['discriminator']:,}"
    if cost is None:
        return (classifier, "-", players, "-", "-")
    learning, playing = (f"{cost[f'{kind}_seconds']:.3g}" for kind in ("classifier", "gan"))
    return (classifier, learning if trained else "-", players, playing, str(cost["megabytes"]))
