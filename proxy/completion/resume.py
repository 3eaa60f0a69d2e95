"""Filter that joins a further answer to the text that the client already has."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Resume: TypeAlias = Literal["continue", "continue reasoning", "restart"]
"""Whether a further response continues the text, continues the reasoning, or starts again."""


@dataclass(slots=True)
class ResumeFilter:
    """Filter that drops the part of a repeated text that the client already has."""

    text: str  # what the client already has
    position: int = 0  # number of characters of `text` that were repeated so far
    differs: bool = False  # the repeated text is not the same

    def unsent(self, text: str) -> str:
        """Return the part of `text` that the client does not have, or "" once the texts differ."""
        left = len(self.text) - self.position
        if not left:
            return text
        self.differs = self.differs or not self.text.startswith(text[:left], self.position)
        if self.differs:
            return ""
        self.position += len(text[:left])
        return text[left:]

    @property
    def has_unmatched(self) -> bool:
        return self.position < len(self.text)
