"""Fences and inline code, in every cutting."""

import pytest

from proxy.parsing.code_tracker import CodeTracker
from tests.parsing.cuts import cuts


@pytest.mark.parametrize(
    ("text", "fenced", "inline"),
    [
        ("", False, False),
        ("`", False, True),
        ("`a", False, True),
        ("`a`", False, False),
        ("`a` b", False, False),
        ("``a` b", False, True),
        ("``a` b``", False, False),
        ("`a\nb", False, False),
        ("```", False, True),
        ("```py", False, True),
        ("```py\n", True, False),
        ("```py\nx\n```", True, False),
        ("```py\nx\n```\n", False, False),
        ("```py\nx\n``` y\n", True, False),
        ("```py\nx\n  ````  \n", False, False),
        ("```py\nx\n    ```\n", True, False),
        ("```py\nx\n~~~\n", True, False),
        ("````\n```\n", True, False),
        ("~~~\n```\n~~~\n", False, False),
        ("~~~", False, False),
        ("   ```\n", True, False),
        ("    ```\n", True, False),
        ("    ```\n    ```\n", False, False),
        ("> ```\n> x\n", True, False),
        ("> ```\n> x\n> ```\n", False, False),
        ("- ```py\n  x\n", True, False),
        ("- ```py\n  x\n  ```\n", False, False),
        ("10. a\n\n     ```\n     x\n     ```\n", False, False),
        ("1) > ~~~\n", True, False),
        ("-```\n", False, False),
        ("```\n- ```\n", True, False),
        (" " * 65 + "```\n", False, False),
        ("x ```\n", False, False),
        ("```a``` b\n", False, False),
        ("```a``` b", False, False),
        ("a ~~b~~ `c", False, True),
        ("`a ~", False, True),
        ("~`", False, True),
    ],
)
def test_where_we_are(text: str, fenced: bool, inline: bool) -> None:
    for pieces in cuts(text):
        code = CodeTracker()
        for piece in pieces:
            code.feed(piece)
        assert (code.fenced, code.inline) == (fenced, inline), pieces


def test_the_end_of_the_text_ends_its_line() -> None:
    code = CodeTracker()
    code.feed("```\nx\n```")
    code.end()
    assert not code.fenced
