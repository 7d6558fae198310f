"""The command line. Only typer is imported at once, so that ``--help`` answers without delay."""

from .commands import app as app
from .commands import main as main
