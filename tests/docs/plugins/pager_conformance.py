"""The pager keeps the contract."""

import httpx
from pager import Pager, PagerConfig
from pydantic import SecretStr

from router.plugin.testing import ActionSuite, Run


class TestPager(ActionSuite):
    action = Pager
    config = PagerConfig(url=SecretStr("https://pager.example/k/3f9a1c"))

    runs = (Run("notice", {"title": "Juicio", "text": "Nos vemos."}, httpx.Response(204)),)
