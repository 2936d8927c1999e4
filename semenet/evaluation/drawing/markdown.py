"""Text in Markdown: escaped, or as code."""

import re


def escape_markdown(text: object) -> str:
    """Escapes text, such as a class name, for Markdown in a line or a table cell."""
    line = " ".join(str(text).split())
    return re.sub(r"[\\`*\[\]<|~]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)


def code_span(text: object) -> str:
    """Formats text as a Markdown code span on one line, even if it contains backticks."""
    line = " ".join(str(text).splitlines())
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    # Separate leading and trailing backticks from the fence; Markdown strips the space.
    space = " " if line[:1] == "`" or line[-1:] == "`" else ""
    return f"{fence}{space}{line}{space}{fence}"
