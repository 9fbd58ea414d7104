"""``router rules test``: suites of cases, and what they do not look at."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.cli.options import ArgumentMistake, AsJson, project_of

if TYPE_CHECKING:
    from router.rules.suites.coverage import Coverage
    from router.rules.suites.killing import Killing
    from router.rules.suites.model import Suite
    from router.rules.suites.running import Result
    from router.rules.suites.subjects import Subjects
    from router.settings.model import Settings

_FINE, _FAILED = 0, 1


def run_suites(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Suites, or folders of them. Default: every *.test.toml beside the rules files.",
        ),
    ] = None,
    *,
    name: Annotated[
        str | None, typer.Option("--name", "-k", help="Only cases with this in their name.")
    ] = None,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Say which rules and conditions no case looks at.")
    ] = False,
    mutants: Annotated[
        bool,
        typer.Option(
            "--mutants", help="Put small mistakes into the rules; say which none notices."
        ),
    ] = False,
    min_coverage: Annotated[
        float | None,
        typer.Option(min=0, max=100, metavar="PERCENT", help="Fail below so many rules covered."),
    ] = None,
    min_killed: Annotated[
        float | None,
        typer.Option(min=0, max=100, metavar="PERCENT", help="Fail below so many mutants noticed."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report for build servers (JUnit).")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Run suites of cases, and the examples of the rules.

    No model is asked and nobody is told. Exit status 1 if a case fails, or too little is covered.
    """
    from router.rules.suites.reading import examples_of, load_suites

    project = project_of(ctx)
    settings = project.settings()
    subjects = subjects_of(settings)
    suites: tuple[Suite, ...] = load_suites(_found(settings, files), subjects)
    # Named suites are about their own rules; without any name it is about all that is configured.
    about = _distinct(
        [*(() if files else subjects.tenants.values()), *(suite.subject for suite in suites)]
    )
    suites = _named((*suites, *examples_of(about)), name)
    return _Report(
        suites,
        coverage=coverage or min_coverage is not None,
        mutants=mutants or min_killed is not None,
    ).told(min_coverage, min_killed, junit, as_json=as_json)


def subjects_of(settings: "Settings") -> "Subjects":
    """Give the rules of every tenant, to be tested."""
    from dataclasses import replace

    from router.rules.suites.model import Subject
    from router.rules.suites.subjects import Subjects

    return Subjects(
        {
            tenant.name: Subject(
                tenant=tenant.name,
                files=tenant.rule_files,
                rules=tenant.rules,
                names=replace(settings.names, default_language=tenant.language),
                policy=tenant.policy,
            )
            for tenant in settings.tenants.values()
        }
    )


def _found(settings: "Settings", files: Sequence[Path] | None) -> list[Path]:
    """Give the suites that were named, or those beside the rules; each once."""
    from router.rules.suites.model import PATTERN

    found: list[Path] = []
    if not files:
        folders = {
            file.parent: None for tenant in settings.tenants.values() for file in tenant.rule_files
        }
        for folder in folders:
            found += sorted(folder.glob(PATTERN))
        return found
    for file in files:
        if file.is_dir():
            below = sorted(file.rglob(PATTERN))
            if not below:
                raise ArgumentMistake(f"there is no {PATTERN} in {file}")
            found += below
        else:
            found.append(file)
    return list({file.resolve(): file for file in found}.values())


def _distinct(things: Iterable[Any]) -> list[Any]:
    return list({id(thing): thing for thing in things}.values())


def _named(suites: "Sequence[Suite]", name: str | None) -> "tuple[Suite, ...]":
    """Give the cases with this in their names.

    :raises ArgumentMistake: if there is none.
    """
    from dataclasses import replace

    from router.rules.suites.reading import nearest_name
    from router.rules.text import fold

    if name is None:
        if not any(suite.cases for suite in suites):
            raise ArgumentMistake(
                "there is no case: no *.test.toml beside the rules, and no example in them. "
                "rules/TESTING.md shows how to write some"
            )
        return tuple(suites)
    part = fold(name)
    kept = tuple(
        replace(suite, cases=tuple(case for case in suite.cases if part in fold(case.name)))
        for suite in suites
    )
    if not any(suite.cases for suite in kept):
        hint = nearest_name(name, suites) or " Without --name all are run."
        raise ArgumentMistake(f'no case has "{name}" in its name.{hint}')
    return kept


class _Report:
    """What was found out, and how it is told."""

    def __init__(self, suites: "Sequence[Suite]", *, coverage: bool, mutants: bool) -> None:
        from router.rules.suites.coverage import cover
        from router.rules.suites.killing import kill
        from router.rules.suites.running import run, watch

        self.suites = suites
        self.results: list[Result] = run(suites)
        self.failed = [result for result in self.results if not result.passed]
        self.coverage: Coverage | None = None
        self.killing: Killing | None = None
        self.mutants = mutants
        subjects = _distinct(suite.subject for suite in suites)
        visits = watch(suites) if coverage or (mutants and not self.failed) else []
        if coverage:
            self.coverage = cover(subjects, visits)
        if mutants and not self.failed:
            self.killing = kill(subjects, suites, visits)

    def told(
        self,
        min_coverage: float | None,
        min_killed: float | None,
        junit: Path | None,
        *,
        as_json: bool,
    ) -> int:
        """Print it, write the report, and give the exit status."""
        if junit is not None:
            self._write(junit)
        if as_json:
            from router.cli.output import print_json

            print_json(self._values())
        else:
            self._print()
        enough = (
            self.coverage is None or min_coverage is None or self.coverage.percent >= min_coverage
        ) and (self.killing is None or min_killed is None or self.killing.percent >= min_killed)
        right = self.killing is None or not self.killing.wrong
        return _FINE if enough and right and not self.failed else _FAILED

    def _write(self, path: Path) -> None:
        from router.rules.suites.junit import junit

        try:
            path.write_text(junit(self.results), encoding="utf-8")
        except OSError as error:
            raise ArgumentMistake(f"{path} cannot be written: {error.strerror}") from None

    def _print(self) -> None:
        for result in self.failed:
            print(f"{result.report()}\n")
        print(self._sum())
        if self.coverage is not None:
            self._print_coverage(self.coverage)
        if self.killing is not None:
            self._print_killing(self.killing)
        elif self.mutants:
            print("\nMutants are tried once every case passes.")

    def _sum(self) -> str:
        from router.cli.output import plural

        seconds = sum(result.seconds for result in self.results)
        suites = sum(1 for suite in self.suites if suite.cases)
        told = f"{plural(len(self.results), 'case')} in {plural(suites, 'file')}"
        became = f"{len(self.failed)} failed" if self.failed else "all passed"
        return f"{told}: {became} ({seconds:.2f} s)."

    @staticmethod
    def _print_coverage(coverage: "Coverage") -> None:
        rules, conditions = coverage.rules, coverage.conditions
        print(
            f"\nCoverage: {sum(each.covered for each in rules)} of {len(rules)} rules "
            f"({coverage.percent:.1f} %), {sum(each.covered for each in conditions)} of "
            f"{len(conditions)} conditions both ways."
        )
        for problem in coverage.problems:
            print(problem)

    @staticmethod
    def _print_killing(killing: "Killing") -> None:
        exempt = f", {len(killing.exempt)} said to change nothing" if killing.exempt else ""
        print(
            f"\nMutants: a case notices {killing.killed} of {killing.count} "
            f"({killing.percent:.1f} %){exempt}."
        )
        for problem in (*killing.problems, *killing.wrong):
            print(problem)

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {
            "cases": len(self.results),
            "passed": len(self.results) - len(self.failed),
            "failed": [
                {
                    "case": result.case.name,
                    "place": result.case.where,
                    "differences": [
                        {
                            "key": each.key,
                            "expected": each.expected,
                            "found": each.found,
                            "notes": list(each.notes),
                        }
                        for each in result.differences
                    ],
                }
                for result in self.failed
            ],
        }
        if self.coverage is not None:
            values["coverage"] = {
                "rules": len(self.coverage.rules),
                "rules_covered": sum(each.covered for each in self.coverage.rules),
                "percent": round(self.coverage.percent, 2),
                "conditions": len(self.coverage.conditions),
                "conditions_covered": sum(each.covered for each in self.coverage.conditions),
                "missed": [str(problem) for problem in self.coverage.problems],
            }
        if self.killing is not None:
            values["mutants"] = {
                "count": self.killing.count,
                "killed": self.killing.killed,
                "percent": round(self.killing.percent, 2),
                "survivors": [mutant.id for mutant in self.killing.survivors],
                "exempt": [mutant.id for mutant in self.killing.exempt],
                "problems": [str(it) for it in (*self.killing.problems, *self.killing.wrong)],
            }
        return values
