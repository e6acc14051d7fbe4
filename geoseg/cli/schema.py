"""`geoseg schema`: what a training config may hold, for editors."""

from __future__ import annotations

import json

import typer


def schema() -> None:
    """Print the JSON schema of training configs, with which editors complete and check them."""
    from geoseg.training.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
