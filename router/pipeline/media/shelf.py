"""The shelf: where files are kept under the configuration in force."""

from collections.abc import Callable

from router.pipeline.instances.configuration import Configuration
from router.storage.objects import Objects


class Shelf:
    """Gives the place for files; after a reload it may be another one.

    :param configuration: gives the configuration in force.
    """

    def __init__(self, configuration: Callable[[], Configuration]) -> None:
        self._configuration = configuration
        self._objects: Objects | None = None

    @property
    def objects(self) -> Objects:
        """The place that the configuration names."""
        place = self._configuration().settings.media.store
        if self._objects is None or self._objects.place != place:
            self._objects = Objects(place)
        return self._objects
