"""A user's own part, named by where it is built."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ganlib.config.base import Config


class Custom(Config):
    """`build` is called once, by the owning package, with the arguments its docstring names."""

    kind: Literal["custom"] = "custom"
    build: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="package.module:function"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="passed as keywords")
