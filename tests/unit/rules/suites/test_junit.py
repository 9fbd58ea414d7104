"""The report for build servers."""

from collections.abc import Callable
from xml.etree import ElementTree as ET

from router.rules.suites.junit import junit
from router.rules.suites.model import Suite
from router.rules.suites.running import run


def test_each_file_is_a_suite_and_each_case_a_case(suite_of: Callable[..., Suite]) -> None:
    suite = suite_of(
        "",
        '[[case]]\nname = "fine"\nsay = "hola"\nexpect.decision = "answer"\n'
        '[[case]]\nname = "¿<mal>?\\u0007"\nsay = "hola"\n'
        'expect = { decision = "ticket", risk = "low" }\n',
    )

    text = junit(run([suite]))

    root = ET.fromstring(text)  # noqa: S314 - our own
    [file] = root
    fine, bad = file
    assert text.startswith('<?xml version="1.0" encoding="utf-8"?>\n<testsuites tests="2" ')
    assert (root.get("failures"), file.get("failures"), file.get("errors")) == ("1", "1", "0")
    assert file.get("name") == str(suite.path)
    assert (fine.get("name"), fine.get("line"), len(fine)) == ("fine", "1", 0)
    assert (bad.get("name"), bad.get("line")) == ("¿<mal>?�", "5")
    [failure] = bad
    assert failure.get("message") == "not as expected: decision, risk"
    assert failure.text is not None
    assert '- decision = "ticket"\n    + decision = "answer"' in failure.text
