"""``router check``: everything that is wrong with a configuration, at once."""

from typing import Annotated

import typer

from router.cli.options import project_of

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: router check --config desk/router.toml")
def check(
    ctx: typer.Context,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of router.toml, for editors.")
    ] = False,
) -> int:
    """Find every mistake in the configuration.

    Loads everything, prints each mistake with its place, and runs the examples of the rules.
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
    for warning in settings.warnings:
        print(f"warning: {warning.render()}", file=sys.stderr)
    for failure in project.registry.failures.values():
        print(f"warning: plugin {failure} (it could not be loaded)", file=sys.stderr)
    tenants = settings.tenants.values()
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
        f"{plural(len(examples), 'example')} passed",
    )
    print(f"{project.config} is fine: {', '.join(counts)}.")
    return 0
