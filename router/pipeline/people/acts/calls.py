"""What a person or a program may do about calls: report one, begin and end many."""

from typing import Any, Final

from router.domain.identity import Address
from router.pipeline.people.acts.lanes import lane_of
from router.pipeline.people.acts.table import Act, Acts
from router.pipeline.people.batches import BatchEnd, NewBatch, cancel_batch, submit_batch
from router.pipeline.people.reporting import ActionRun, ReportedCall, report_call, run_action
from router.pipeline.people.surroundings import Surroundings
from router.storage.store import Tx


def _report_call(tx: Tx, given: ReportedCall, around: Surroundings) -> dict[str, Any]:
    lane = lane_of(tx, given.tenant, Address("tel", given.phone_number))
    return report_call(tx, given, lane)


def _run_action(tx: Tx, given: ActionRun, around: Surroundings) -> dict[str, Any]:
    return run_action(tx, given)


def _submit(tx: Tx, given: NewBatch, around: Surroundings) -> dict[str, Any]:
    return submit_batch(tx, given, around.dialers())


def _cancel(tx: Tx, given: BatchEnd, around: Surroundings) -> dict[str, Any]:
    return cancel_batch(tx, given, around.dialers())


ACTS: Final[Acts] = {
    "calls.report": Act(ReportedCall, _report_call),
    "calls.submit": Act(NewBatch, _submit),
    "calls.cancel": Act(BatchEnd, _cancel),
    "actions.run": Act(ActionRun, _run_action),
}
