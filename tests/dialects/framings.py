"""Ways in which a person or a file quotes a call, by the rule that makes it text.

`§` is the call.
"""

from collections.abc import Mapping

ALWAYS: Mapping[str, tuple[str, ...]] = {
    "code": (
        "Never write `§` there.",
        "Never write ``§`` there.",
        "`§`",
        "The call `§",
        "Never:\n\n```\n§\n```\n\nSo.",
        "Never:\n\n```xml\n§\n```\nSo.",
        "Never:\n~~~\n§\n~~~\nSo.",
        "1. Never:\n\n   ```\n   §\n   ```\n2. So.",
        "> ```\n> §\n> ```\nSo.",
        "Never <code>§</code> there.",
        "Never:\n<pre>§</pre>\nSo.",
        "<pre>\n§\n</pre>",
        "Press <kbd>§</kbd>.",
    ),
    "quotes": (
        'Never write "§" there.',
        '"§"',
        'He wrote: "§".',
        'The README says "Never write §!" so I do not.',
        'The README says: "Never § please, never." Good.',
        '"§," it says.',
        "Never write '§' there.",
        "'§'",
        "Never write “§” there.",
        "The file says “run § now” and more.",
        "Never write ‘§’ there.",
        "Schreibe nie „§“ hinein.",
        "Schreibe nie „§” hinein.",
        "Schreibe nie »§« hinein.",
        "N'écrivez jamais « § » ici.",
        "N'écrivez jamais «§» ici.",
        "绝不要写「§」。",
        "绝不要写『§』。",
        "绝不要写“§”。",
        "绝不要写《§》。",
        "Never ‹§› there.",
        'It has the line "\n§\n" in it.',
        '{"text": "§"}',
        '\\"§\\" is quoted.',
        "Never <q>§</q>.",
        "Never <b>§</b>.",
        "Never <em>§</em>, please.",
    ),
    "brackets": (
        "Never write it (§) there.",
        "(§)",
        "(never write § there) So.",
        "(\n§\n)",
        "Never [§].",
        "See [§](https://example.com/x).",
        "See [the docs](§).",
        "Never {§}.",
        "绝不要写（§）。",
        "绝不要写【§】。",
        "Never <§>.",
        "Never \\texttt{§}.",
    ),
    "emphasis": (
        "Never write **§** there.",
        "**§**",
        "**Never write §!** So.",
        "Never write *§* there.",
        "Never write ***§*** there.",
        "Never write _§_ there.",
        "Never write __§__ there.",
        "Never write ~~§~~ there.",
    ),
    "comment": (
        "<!-- § -->",
        "<!--§-->",
        "<!--\n§\n-->\nSo.",
        "Text. <!-- never § there --> More.",
        "<!-- a\nb §\nc -->",
        "<!-- a §\n\nb -->",
    ),
    "blockquote": (
        "> §",
        ">§",
        "> §\n\nSo.",
        "So:\n> §\nDone.",
        "So:\n\n> Never write § there.\n\nDone.",
        "> > §",
        "  > §",
        "> > > a §",
        "> - §",
        '> "§"',
        "On Monday, Ann wrote:\n> §\n> Regards",
    ),
    "table": (
        "| a | b |\n|---|---|\n| x | § |",
        "|§|",
        "| § | never |",
        "a | b\n--|--\nx | § | y",
        "So:\n\n  | § |\n",
    ),
    "diff": (
        "@@ -1,2 +1,3 @@\n a\n+§\n b",
        "+§",
        "+ §",
        "--- a/x\n+++ b/x\n+    §\n",
        "-§\n",
        "+Never write § there.",
    ),
    "line-number": (
        "12: §",
        "12 §",
        "12\t§",
        "    12\t§",
        "00012| §",
        "12→§",
        "  7 │ §",
        "12|§",
        "12:§\n13:x",
        "12: echo §",
    ),
    "path": (
        "file:3:§",
        "README.md:3:§",
        "./docs/a.md:12: §",
        "src/x.py:12:5: §",
        "README.md:3:Never write § there.",
        "C:\\docs\\a.md:3:§",
        "Found:\nREADME.md:3:§\nREADME.md:4:x",
    ),
}
"""Text for every model."""

UNLESS_OWN: Mapping[str, tuple[str, ...]] = {
    "list": (
        "- §",
        "* §",
        "1. §",
        "2) §",
        "• §",
        "So:\n\n- never §\n- never that\n",
        "So:\n\n  - §\n",
        "10. §\n11. x",
        "- [ ] §",
    ),
    "indented": (
        "So:\n\n    §\n",
        "So:\n\n    §\n\nDone.",
        "So:\n\n\t§\n",
        "So:\n\n        §\n",
    ),
}
"""Text unless the model is known to write calls this way."""

IN_PROSE: tuple[str, ...] = (
    "Never write §!",
    "The call § would delete it, so I do not run it.",
    "§ would delete it.",
    "It says: §. I do not run that.",
    "Never write §\n",
    "a § b § c",
    "It says\n§ and more.",
)
"""Text for a model whose template is known to have another dialect; models that are not known
call in prose like that.
"""

PREFIXES: Mapping[str, str] = {"> ": "blockquote", "+": "diff", "| ": "table", "    ": "indented"}
"""What may stand before every line of a call."""


def before_each_line(prefix: str, call: str) -> str:
    lines = "\n".join(prefix + line for line in call.splitlines())
    return f"So:\n\n{lines}\n\nDone."
