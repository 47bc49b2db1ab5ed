"""What Ray says goes to a file: the terminal belongs to the view of the run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any


class RayTalk:
    """From construction to `close`, Ray's loggers and its news of dead workers go to `log`.

    Ray must have been imported; its loggers propagate nowhere else by then.
    """

    def __init__(self, log: Path) -> None:
        from ray._private import worker

        log.parent.mkdir(parents=True, exist_ok=True)
        self.logger = logging.getLogger("ray")
        self.before = list(self.logger.handlers)
        self.handler = logging.FileHandler(log, encoding="utf-8", delay=True)
        form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
        self.handler.setFormatter(logging.Formatter(form))
        self.listen()
        # The thread that hears of dead workers prints, whatever log_to_driver says.
        self.worker = worker
        self.printing = worker.print_to_stdstream
        worker.print_to_stdstream = self._write

    def listen(self) -> None:
        """To be called again after `ray.init`, which clears the handlers of its loggers."""
        self.logger.handlers = [self.handler]
        self.logger.propagate = False

    def _write(self, data: dict[str, Any], *_: Any, **__: Any) -> None:
        for line in data.get("lines", ()):
            self.logger.warning("%s: %s", data.get("pid", "ray"), line)

    def close(self) -> None:
        """Twice is harmless."""
        self.worker.print_to_stdstream = self.printing
        self.logger.handlers = self.before
        self.handler.close()
