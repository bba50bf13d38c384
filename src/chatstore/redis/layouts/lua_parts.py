"""The parts of the `lua` folder that several layouts of documents share."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def lua_part(name: str) -> str:
    """Return the text of a part."""
    return files("chatstore.redis").joinpath("lua", f"{name}.lua").read_text("utf-8")
