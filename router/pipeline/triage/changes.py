"""What becomes of conversations, as events of their own, where a rule waits for them.

A conversation that begins, or in which a person is called, is told to the business's other systems
by a rule that runs an action then, whatever it was that opened or escalated it.
"""

from router.domain.host_event import ConversationChanged
from router.pipeline.triage import facts as facting
from router.pipeline.triage.case import Cases
from router.storage.store import Commit, Work


class Changes:
    """Decides about what became of conversations."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases

    def changed(self, work: Work, event: ConversationChanged) -> Commit:
        """Let the rules have their say; of one that is closed by now nothing is known any more."""
        if work.conversation is None or work.conversation.id != event.conversation:
            return Commit(work=work, outcome="recorded", conversation=work.conversation)
        case = self._cases.open(work, work.conversation)
        return self._cases.read(case, facting.changed_facts(event, case.facts()))
