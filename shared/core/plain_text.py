"""
The text part of a message that came with HTML alone.

Laid out by inscriptis the way a text browser would: lists, tables, links written out. Receivers score mail
without a text part for spam, and some people read nothing else.

What HTML could do to a layout is bounded: its own margins count for nothing, a table that would be mostly
blanks is written row by row, and text is made of the beginning of a very long page alone.
"""

from __future__ import annotations

from functools import cache
from typing import Any

# Characters of HTML that are read. Mail readers cut a page off after a third of it (Gmail: 102 KB).
_MOST_HTML = 300_000
# Characters of one table laid out with its columns aligned: a few times what the largest honest one takes.
_LARGEST_TABLE = 500_000


def text_of(html: str) -> str:
    """Return what a person reads in ``html``, as plain text; "" where nothing is to be read."""
    from inscriptis import get_text  # noqa: PLC0415 - only mail without a text part needs it

    # lxml reads a NUL as the end of the page.
    text: str = get_text(html[:_MOST_HTML].replace("\0", ""), _config())
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return "\n".join(lines) + "\n" if any(lines) else ""


@cache
def _config() -> Any:
    from inscriptis.css_profiles import CSS_PROFILES  # noqa: PLC0415 - as above
    from inscriptis.model.canvas import Canvas  # noqa: PLC0415 - as above
    from inscriptis.model.config import ParserConfig  # noqa: PLC0415 - as above
    from inscriptis.model.css import CssParse  # noqa: PLC0415 - as above
    from inscriptis.model.table import Table  # noqa: PLC0415 - as above
    from inscriptis.model.tag import CustomHtmlTagHandlerMapping  # noqa: PLC0415 - as above

    class BoundedTable(Table):  # type: ignore[misc]  # the library has no types
        """A table that is laid out in columns where that is no waste of space."""

        def get_text(self) -> str:
            heights = [max((cell.normalize_blocks() for cell in row.columns), default=0) for row in self.rows]
            widths: dict[int, int] = {}
            for row in self.rows:
                for number, cell in enumerate(row.columns):
                    widths[number] = max(widths.get(number, 0), cell.width)
            if sum(heights) * sum(widths.values()) <= _LARGEST_TABLE:
                return str(super().get_text())
            return "".join(f"{line}\n" for row in self.rows for cell in row.columns for line in cell.blocks)

    def table(state: Any, _: Any) -> None:
        state.tags[-1].set_canvas(Canvas())
        state.current_table.append(
            BoundedTable(state.tags[-1].canvas.left_margin, state.config.table_cell_separator)
        )

    def style(value: str, element: Any) -> None:
        for directive in value.lower().split(";"):
            key, _, said = directive.partition(":")
            if key.strip() == "display":
                CssParse.attr_display(said.strip(), element)

    mapping = CustomHtmlTagHandlerMapping(start_tag_mapping={"table": table}, end_tag_mapping={})
    config = ParserConfig(
        css=CSS_PROFILES["strict"], display_links=True, custom_html_tag_handler_mapping=mapping
    )
    # Of what a page says about its own look, hidden is hidden; lengths could ask for any number of blanks.
    config.attribute_handler.attribute_mapping = {
        "style": style,
        "align": CssParse.attr_horizontal_align,
        "valign": CssParse.attr_vertical_align,
    }
    return config
