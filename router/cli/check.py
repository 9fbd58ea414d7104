"""``router check``: everything that is wrong with a configuration, at once."""

from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.options import project_of

if TYPE_CHECKING:
    from router.settings.model import Settings

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: router check --config desk/router.toml")
def check(
    ctx: typer.Context,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of router.toml, for editors.")
    ] = False,
) -> int:
    """Find every mistake in the configuration.

    Loads everything, the articles too, prints each mistake with its place, and runs the examples
    of the rules.
    Contacts nobody. A secret that is not set is a warning here, and a mistake in router run.
    """
    import sys

    from router.cli.output import plural

    project = project_of(ctx)
    if schema:
        import json

        from router.settings.schema import json_schema

        print(json.dumps(json_schema(project.registry), ensure_ascii=False, indent=2))
        return 0
    settings = project.settings(examples=True)
    tenants = settings.tenants.values()
    warnings = settings.warnings
    if not any(tenant.channels for tenant in tenants):
        from router.toml import Problem

        message = "no channel is configured, and so nobody can write"
        none = Problem(path=project.config, message=message, remedy="Add a table [channels.NAME].")
        warnings = (*warnings, none)
    for warning in warnings:
        print(f"warning: {warning.render()}", file=sys.stderr)
    articles = _articles(settings)
    places = [rule.place for it in tenants for rule in it.rules.rules]
    places += [guardrail.place for it in tenants for guardrail in it.rules.guardrails]
    rules = {(place.document.path, place.key_path) for place in places}
    examples = {
        (example.place.document.path, example.place.key_path)
        for it in tenants
        for example in it.rules.examples
    }
    counts = (
        plural(len(tenants), "tenant"),
        plural(sum(len(it.channels) for it in tenants), "channel"),
        plural(len(settings.ai), "AI backend"),
        plural(len(settings.actions), "action"),
        plural(len(rules), "rule"),
        plural(articles, "article"),
        f"{plural(len(examples), 'example')} passed",
    )
    print(f"{project.config} is fine: {', '.join(counts)}.")
    return 0


def _articles(settings: "Settings") -> int:
    """Read every tenant's articles; give how many there are.

    :raises ConfigError: with every mistake in them.
    """
    from router.errors import ConfigError
    from router.knowledge.articles import read_folders

    read = [
        read_folders(tenant.knowledge_folders, language=tenant.language)
        for tenant in settings.tenants.values()
    ]
    if problems := [problem for articles in read for problem in articles.problems]:
        raise ConfigError(problems)
    return sum(len(articles.good) for articles in read)
