"""Access to the documentation for tests: tables, code blocks, links and anchors."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = (
    README,
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted(DOCS.glob("*.md")),
)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def rows(page: Path, header: str) -> list[str]:
    """Return the lines of the table that starts with `header`, without header and separator."""
    text = page.read_text()
    return text[text.index(header) :].partition("\n\n")[0].rstrip("\n").split("\n")[2:]


def cells(page: Path, header: str) -> list[list[str]]:
    """Return the rows of the table that starts with `header`, split into cells."""
    lines = rows(page, header)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def words_in_code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def block(page: Path, language: str) -> str:
    """Return the first fenced code block in `language`."""
    return page.read_text().partition(f"```{language}\n")[2].partition("```")[0]


def prose(page: Path) -> list[str]:
    """Return the lines that are neither code nor part of a table."""
    lines = _FENCE.sub("", page.read_text()).split("\n")
    return [line for line in lines if not line.startswith(("|", "    "))]


def links(page: Path) -> list[str]:
    return _LINK.findall(_FENCE.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub generates for the headings."""
    seen: Counter[str] = Counter()
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text())):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found
