"""The commands ``audiozoo latent ...``: what the numbers of a code mean, and walks through them.

As in ``cli``, each is a few lines over public functions, and nothing heavy is imported before it is needed.
"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Look into the codes of a VAE: which numbers matter, what they mean, sounds along a way.",
    no_args_is_help=True,
)

DataOption = Annotated[
    Path,
    typer.Option(metavar="DIR", help="Folder with recordings; for images mnist, digits or an .npz."),
]


@app.callback()
def latent() -> None:
    """Look into the codes of a VAE: which numbers matter, what they mean, sounds along a way."""
