"""Markdown as plain text that reads well in a chat."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode


def blocks(markdown: str) -> list[list[str]]:
    """Give each block of a text: a paragraph as one line, a list or a table as a line an item.

    Emphasis goes, links keep their address, items get a bullet or their number.
    """
    return list(_blocks(SyntaxTreeNode(_parser().parse(markdown)).children))


def _blocks(nodes: Sequence[SyntaxTreeNode]) -> Iterator[list[str]]:
    for node in nodes:
        if node.type in {"bullet_list", "ordered_list"}:
            lines = list(_items(node))
        elif node.type == "table":
            lines = list(_rows(node))
        elif node.type == "blockquote":
            yield from _blocks(node.children)
            continue
        elif node.type in {"fence", "code_block"}:
            lines = node.content.splitlines()
        else:  # paragraphs and headings; rules and raw HTML hold nothing to read
            lines = [line for child in node.children for line in _inline(child).split("\n")]
        lines = [line for line in lines if line.strip()]
        if lines:
            yield lines


def _items(node: SyntaxTreeNode) -> Iterator[str]:
    numbers = count(int(node.attrs.get("start", 1)))
    for item in node.children:
        mark = "•" if node.type == "bullet_list" else f"{next(numbers)}."
        lines = [line for block in _blocks(item.children) for line in block]
        for place, line in enumerate(lines):
            yield f"  {line}" if place else f"{mark} {line}"


def _rows(node: SyntaxTreeNode) -> Iterator[str]:
    for part in node.children:
        for row in part.children:
            cells = (_inline(child) for cell in row.children for child in cell.children)
            yield " | ".join(cells)


def _inline(node: SyntaxTreeNode) -> str:
    return "".join(map(_span, node.children)).strip()


def _span(node: SyntaxTreeNode) -> str:
    if node.type in {"text", "code_inline", "text_special"}:
        return node.content
    if node.type == "softbreak":
        return " "
    if node.type == "hardbreak":
        return "\n"
    if node.type == "html_inline":
        return ""
    inside = node.content if node.type == "image" else "".join(map(_span, node.children))
    if node.type != "link":
        return inside
    address = str(node.attrs.get("href", ""))
    bare = address.removeprefix("mailto:").removeprefix("tel:")
    if inside in {address, bare, bare.removeprefix("https://").removeprefix("http://"), ""}:
        return bare
    return f"{inside}: {bare}" if bare else inside


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")
