"""Results as JUnit's XML, which build servers show."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from router.rules.suites.running import Result

#: Characters that XML cannot hold; what customers write may have any.
_FORBIDDEN = {
    code: "�"
    for code in (*range(0x20), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000))
    if code not in (0x9, 0xA, 0xD)
}


def junit(results: Sequence[Result]) -> str:
    """Give the report: a ``testsuite`` for each file, a ``testcase`` for each case."""
    root = ET.Element("testsuites", _counts(results))
    files = list(dict.fromkeys(str(result.suite.path) for result in results))
    for file in files:
        mine = [result for result in results if str(result.suite.path) == file]
        suite = ET.SubElement(root, "testsuite", {"name": _text(file), **_counts(mine)})
        for result in mine:
            attributes = {
                "name": _text(result.case.name),
                "classname": _text(file),
                "file": _text(file),
                "line": str(result.case.line),
                "time": f"{result.seconds:.6f}",
            }
            case = ET.SubElement(suite, "testcase", attributes)
            if not result.passed:
                keys = ", ".join(each.key for each in result.differences)
                message = _text(f"not as expected: {keys}")
                failure = ET.SubElement(case, "failure", {"message": message})
                failure.text = _text(result.report())
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _counts(results: Sequence[Result]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(not result.passed for result in results)),
        "errors": "0",
        "time": f"{sum(result.seconds for result in results):.6f}",
    }


def _text(text: str) -> str:
    return text.translate(_FORBIDDEN)
