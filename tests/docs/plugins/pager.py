"""Page the duty operator through any JSON webhook."""

from router import plugin

router_api = (1, 0)


class PagerConfig(plugin.PluginConfig):
    url: plugin.Secret


class Pager(plugin.Action[PagerConfig]):
    repeat_is_harmless = True

    async def run(self, call: plugin.ActionCall) -> None:
        url = self.config.url.get_secret_value()
        plugin.raise_for_status(await self.context.http.post(url, json=call.as_json()))


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.action("pager", Pager, config=PagerConfig)
