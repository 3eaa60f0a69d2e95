"""How the answer of a further attempt joins what the client already has."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Resume: TypeAlias = Literal["goes on", "goes on thinking", "begins again"]
"""How an answer that is got another way joins what came before."""


@dataclass(slots=True)
class ResumeFilter:
    """What the client already has, against the same said again."""

    text: str
    position: int = 0  # so much of it was said again
    differs: bool = False

    def unsent(self, text: str) -> str:
        """What of this text it does not have. Nothing more, once the two have parted."""
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
