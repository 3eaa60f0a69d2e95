"""How the answer of a further attempt joins what the client already has."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Joining: TypeAlias = Literal["goes on", "goes on thinking", "begins again"]
"""How an answer that is got another way joins what came before."""


@dataclass(slots=True)
class Known:
    """What the client already has, against the same said again."""

    text: str
    at: int = 0  # so much of it was said again
    differs: bool = False

    def new(self, text: str) -> str:
        """What of this text it does not have. Nothing more, once the two have parted."""
        left = len(self.text) - self.at
        if not left:
            return text
        self.differs = self.differs or not self.text.startswith(text[:left], self.at)
        if self.differs:
            return ""
        self.at += len(text[:left])
        return text[left:]

    @property
    def parted(self) -> bool:
        return self.at < len(self.text)
