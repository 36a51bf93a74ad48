"""Plug-ins that teach other packages to read and write ``.xrc`` streams."""
