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
def list_(options: Options) -> Answer:
    """Names and what each is for."""
    return _listed(options)


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


def _listed(options: Options) -> Answer:
    options.unused()
    from ganlib import api

    found: list[dict[str, Any]] = [
        {"name": name, "purpose": config.purpose, "source_note": config.source_note}
        for name, config in api.recipes().items()
    ]

    def table(console: Console) -> None:
        from ganlib.cli import tables

        tables.show(console, ("recipe", "for"), [(r["name"], r["purpose"]) for r in found])
        console.print("ganlib recipes show NAME prints one; ganlib run NAME runs it", style="dim")

    return Answer({"recipes": found}, show=table)
