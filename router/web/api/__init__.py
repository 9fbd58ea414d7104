"""The JSON API under ``/api/v1``: one function an endpoint, and the document made from them.

To add an endpoint, write one function in a module of this package:

.. code-block:: python

    routes = Routes("letters", "What is sent by post.")


    class NewLetter(Input):
        text: Text


    @routes.post("/letters", status=202)
    async def send_letter(call: Call, body: NewLetter) -> SentLetter:
        '''Send a letter.'''
        result = await call.write(lambda tx: queue_letter(tx, call.tenant, body))
        return SentLetter.model_validate(result)

and name the module in :data:`RESOURCES`. That is all:

- The first argument is the request (:class:`router.web.api.call.Call`). Arguments named in the path
  are texts. ``query`` and ``body`` are models, checked before the function runs; what it returns is
  checked against the annotation. Models that come in are :class:`~router.web.api.models.Input`.
- Who asks must have the scope ``letters:read`` for a GET and ``letters:write`` for everything else,
  or what ``scope=`` says.
- Everything is read through ``call.read`` and written through ``call.write`` or ``call.act``, at
  most one of them once a request: there an ``Idempotency-Key`` is honoured, in the transaction of
  the effect. Every query states ``call.tenant``.
- ``NotFound`` becomes 404, ``ActRefused`` 409, and the database being away 503.
- The docstring's first line is the summary, the rest the description, in ``/api/openapi.json`` and
  at ``/api/docs``.
- The tests ask for a case of each route that shows that no tenant reaches another's through it:
  ``tests/integration/web/test_api_isolation.py``.
"""

from typing import Final

#: The modules of this package that have endpoints, in the order of the document.
RESOURCES: Final = (
    "conversations",
    "contacts",
    "drafts",
    "tickets",
    "escalations",
    "events",
    "outbox",
    "calls",
    "numbers",
)

#: What every path of the API begins with.
PREFIX: Final = "/api/v1"
