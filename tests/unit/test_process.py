"""What a process does about its own memory."""

import gc

from router.process import keep_pauses_short


def test_garbage_is_collected_again_once_the_router_is_up() -> None:
    before = gc.get_threshold()
    gc.disable()
    try:
        keep_pauses_short()

        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] > before[0]
    finally:
        gc.enable()
        gc.unfreeze()
        gc.set_threshold(*before)
