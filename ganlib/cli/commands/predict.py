"""`ganlib predict`: a classifier over a folder of images, to a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlib.cli.options import EPILOG, Options, common
from ganlib.cli.output import Answer

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog=EPILOG)
@common
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--top", default=3, show_default=True, type=click.IntRange(1, 1000), help="Classes per image."
)
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .csv or .parquet file.  [default: predictions.csv here]",
)
@click.option(
    "--features", is_flag=True, help="Also the layer below the output, as an npz beside the table."
)
@click.option(
    "--feature-maps",
    metavar="LAYER",
    help="Also what LAYER gives, as an npz; an unknown one is answered with all there are.",
)
def predict(
    options: Options,
    model: str,
    folder: Path,
    top: int,
    out: Path | None,
    features: bool,
    feature_maps: str | None,
) -> Answer:
    """The classes MODEL sees in the images of FOLDER, or in one file, as a table.

    MODEL is a name (its champion), models:/NAME@ALIAS, models:/NAME/VERSION or an exported folder.
    A file that cannot be read has its own row with the reason.

    \b
    ganlib predict digits scans/
    ganlib predict models:/flowers-classifier/3 photo.jpg --top 1 --out photo.parquet
    ganlib predict digits scans/ --features --feature-maps blocks.2
    """
    options.unused()
    from ganlib import api

    done = api.predict(
        model,
        folder,
        top=top,
        out=out,
        features=features,
        feature_maps=feature_maps,
        home=options.place,
    )

    def show(console: Console) -> None:
        bad = f", {done.unreadable} unreadable" if done.unreadable else ""
        console.print(f"{done.images} images{bad}, classes by {done.model}: {done.table}")
        for name, file in (("features", done.features), ("feature maps", done.feature_maps)):
            if file is not None:
                console.print(f"{name}: {file}")

    return Answer(done.model_dump(mode="json"), show=show)
