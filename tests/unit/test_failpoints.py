"""The moments that can be chosen are those that the program comes to."""

import ast
from pathlib import Path

import router
from router.failpoints import NAMES

ROOT = Path(router.__file__).parent


def test_every_moment_that_is_reached_can_be_chosen_and_the_other_way_round() -> None:
    reached = set()
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if called == "reach":
                    (name,) = node.args
                    assert isinstance(name, ast.Constant), f"{path}:{node.lineno}"
                    reached.add(name.value)

    assert reached == set(NAMES)
    assert len(NAMES) == len(set(NAMES))
