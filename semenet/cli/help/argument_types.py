"""The types of arguments that several commands have, with how help writes them."""

import pathlib
from typing import Annotated

import tyro

Positional = tyro.conf.Positional
# Where published weights are taken too.
RunPath = Annotated[pathlib.Path, tyro.conf.arg(metavar="RUN|ENTRY:NAME"), Positional]
# Where the network's own folder is written to.
OwnRunPath = Annotated[pathlib.Path, tyro.conf.arg(metavar="RUN"), Positional]
LungsRun = Annotated[pathlib.Path | None, tyro.conf.arg(metavar="RUN|ENTRY:NAME")]
_METHODS = tyro.conf.arg(metavar="{cam,grad-cam,grad-cam++,layer-cam,hires-cam}")
MapMethod = Annotated[str, _METHODS]
OptionalMapMethod = Annotated[str | None, _METHODS]
MapLayer = Annotated[str, tyro.conf.arg(metavar="NAME|STRIDE")]
Manifests = Annotated[tuple[pathlib.Path, ...], tyro.conf.arg(metavar="PATH"), tyro.conf.UseAppendAction]
Images = Annotated[tuple[pathlib.Path, ...], tyro.conf.arg(metavar="PATH"), Positional]
