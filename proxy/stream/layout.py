"""How a dialect with tags spells them."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """How a dialect spells its tags. The patterns match a whole tag and have the name as their group."""

    openers: tuple[str, ...]
    closers: tuple[str, ...]
    function: str
    function_tag: re.Pattern[str]
    function_closers: tuple[str, ...]
    parameter: str
    parameter_tag: re.Pattern[str]
    value_closers: tuple[str, ...]

    @property
    def stops(self) -> tuple[str, ...]:
        """All that may end a value."""
        return (*self.value_closers, *self.function_closers, *self.closers, self.parameter, self.function)
