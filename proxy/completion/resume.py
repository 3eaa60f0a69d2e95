"""How a further answer joins what the client already has."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Resume: TypeAlias = Literal["continue", "continue reasoning", "restart"]
"""How the answer of a further attempt relates to the one before."""


@dataclass(slots=True)
class ResumeFilter:
    """Drops the part of a repeated text that the client already has."""

    text: str
    position: int = 0  # characters that were repeated so far
    differs: bool = False

    def unsent(self, text: str) -> str:
        """Return the part of `text` that the client does not have; nothing once the texts
        differ.
        """
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
