"""`ganlib recipes`: what can be run, with every setting."""

from __future__ import annotations

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
    """Names, what each is for, and what it costs on this machine once that is measured.

    Parameters of the classifier, and of generator and discriminator together; the seconds one
    worker trains each on 1,000 images; the peak memory of both without the data. What was measured
    is kept in the home.
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
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "purpose": config.purpose,
            "source_note": config.source_note,
            "cost": speeds[name].model_dump() if name in speeds else None,
        }
        for name, config in configs.items()
    ]

    def table(console: Console) -> None:
        from ganlib.cli import tables

        header: tuple[str, ...] = ("recipe", "for")
        if speeds:
            header += ("classifier", "s per 1,000", "GAN", "s per 1,000", "MB")
        rows = [(r["name"], r["purpose"], *(_cost(r["cost"]) if speeds else ())) for r in found]
        tables.show(console, header, rows, right=tuple(header[2:]))
        console.print("ganlib recipes show NAME prints one; ganlib run NAME runs it", style="dim")
        if len(speeds) < len(found):
            told = "ganlib recipes list --measure times them on this machine"
            console.print(told, style="dim")

    return Answer({"recipes": found}, show=table)


def _cost(cost: dict[str, Any] | None) -> tuple[str, ...]:
    if cost is None:
        return ("",) * 5
    players = cost["generator_parameters"] + cost["discriminator_parameters"]
    return (
        f"{cost['classifier_parameters']:,}",
        f"{cost['classifier_seconds']:.3g}",
        f"{players:,}",
        f"{cost['gan_seconds']:.3g}",
        str(cost["megabytes"]),
    )
