"""The shelf is where the configuration in force says, and one place as long as it is the same."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from router.errors import NotFound
from router.pipeline.media.shelf import Shelf
from router.settings.model import MediaSettings


@dataclass
class Configured:
    """As much of a configuration as a shelf looks at."""

    media: MediaSettings

    @property
    def settings(self) -> "Configured":
        return self


class Reloaded:
    """A configuration that changes."""

    def __init__(self, store: Path) -> None:
        self.change(store)

    def change(self, store: Path, **more: Any) -> None:
        self.configured = Configured(MediaSettings(store=str(store), **more))

    def __call__(self) -> Any:
        return self.configured


async def test_files_are_looked_for_where_they_are_kept_now(tmp_path: Path) -> None:
    configuration = Reloaded(tmp_path / "first")
    shelf = Shelf(configuration)
    digest = await shelf.objects.put("main", b"a")

    configuration.change(tmp_path / "second")

    assert shelf.objects.place == str(tmp_path / "second")
    with pytest.raises(NotFound):
        await shelf.objects.get("main", digest)
    assert await shelf.objects.put("main", b"a") == digest
    configuration.change(tmp_path / "first")
    assert await shelf.objects.get("main", digest) == b"a"


def test_a_place_that_stays_is_not_opened_anew(tmp_path: Path) -> None:
    configuration = Reloaded(tmp_path)
    shelf = Shelf(configuration)
    before = shelf.objects

    configuration.change(tmp_path, max_size=5)

    assert shelf.objects is before


def test_nothing_is_made_before_a_file_comes(tmp_path: Path) -> None:
    assert Shelf(Reloaded(tmp_path / "media")).objects.place
    assert list(tmp_path.iterdir()) == []
