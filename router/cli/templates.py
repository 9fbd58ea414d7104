"""``router templates``: what providers have approved, and whether the rules keep to it."""

from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.options import AsJson, Tenant, project_of

if TYPE_CHECKING:
    from router.cli.project import Project
    from router.plugin.templates import TemplateInfo

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="What providers have approved, and whether the rules keep to it. Asks the providers.",
)
Channel = Annotated[str | None, typer.Option("--channel", help="Only this channel. Default: all.")]


@app.command("list", epilog="Example: router templates list --channel whatsapp")
def list_(
    ctx: typer.Context, channel: Channel = None, tenant: Tenant = None, as_json: AsJson = False
) -> None:
    """List the templates that providers have, with their approval."""
    from router.cli.output import print_json, print_table

    listed = _listed(project_of(ctx), tenant, channel)
    rows = [
        {
            "tenant": where[0],
            "channel": where[1],
            "ref": it.ref,
            "name": it.name,
            "language": it.language,
            "category": it.category,
            "status": it.status,
            "variables": sorted(it.variables),
        }
        for where, infos in listed.items()
        for it in infos
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("CHANNEL", "REF", "NAME", "LANGUAGE", "CATEGORY", "STATUS", "VARIABLES"),
        [
            (
                row["channel"],
                row["ref"],
                row["name"],
                row["language"],
                row["category"],
                row["status"],
                ", ".join(row["variables"]),
            )
            for row in rows
        ],
        nothing="No provider lists a template.",
    )


@app.command(epilog="Example: router templates check")
def check(
    ctx: typer.Context, channel: Channel = None, tenant: Tenant = None, as_json: AsJson = False
) -> None:
    """Check that the templates of the rules are there and approved.

    Exit status 1 if anything is wrong.
    """
    from router.cli.output import line, print_json, print_table
    from router.pipeline.outbound.templates import compared

    project = project_of(ctx)
    listed = _listed(project, tenant, channel)
    tenants = project.settings().tenants
    found, number = [], 0
    for name in sorted({where[0] for where in listed}):
        templates = tenants[name].rules.templates
        number += len(templates)
        infos = [it for where, some in listed.items() if where[0] == name for it in some]
        found += [(name, each) for each in compared(templates, infos)]
    if as_json:
        print_json(
            [
                {"tenant": name, "template": it.name, "ref": it.ref, "problem": it.problem}
                for name, it in found
            ]
        )
    elif found:
        rows = [(name, it.name, it.ref, line(it.problem)) for name, it in found]
        print_table(("TENANT", "TEMPLATE", "REF", "PROBLEM"), rows)
    else:
        are = "template is" if number == 1 else "templates are"
        print(f"{number} {are} as the providers have approved them.")
    if found:
        raise typer.Exit(1)


def _listed(
    project: "Project", tenant: str | None, channel: str | None
) -> "dict[tuple[str, str], list[TemplateInfo]]":
    """Ask every channel that lists templates.

    :raises NotFound: if there is none.
    :raises ActRefused: if one cannot be asked.
    """
    import asyncio

    import anyio

    from router.clock import SystemClock
    from router.errors import ActRefused, NotFound
    from router.logs import Redaction, configure
    from router.pipeline.instances.instances import Instances

    settings = project.settings(run=True)
    log = configure(Redaction(settings.secrets))
    instances = Instances(settings, SystemClock(), log)
    chosen = {
        where: live
        for where, live in instances.channels.items()
        if live.capabilities.lists_templates
        and (tenant is None or where[0] == tenant)
        and (channel is None or where[1] == channel)
    }
    if not chosen:
        what = "no channel" if channel is None else f'no channel "{channel}"'
        raise NotFound(f"there is {what} whose provider lists templates")

    async def ask() -> "dict[tuple[str, str], list[TemplateInfo]]":
        found = {}
        for where, live in chosen.items():
            try:
                async with live.plugin.lifespan():
                    async with asyncio.timeout(live.settings.timeout):
                        found[where] = list(await live.plugin.templates())
            except Exception as error:  # a plugin's call
                raise ActRefused(f"{live.label}: {live.meaning(error).reason}") from error
            finally:
                await live.context.aclose()
        return found

    return anyio.run(ask)
