"""A process that decodes: lists of files in on standard input, pixels out on standard output.

It starts without torch or pyarrow, cannot be hurt by the parent's threads, takes a crash of a
decoder upon itself, and ends when the parent does, because its input ends then.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from typing import BinaryIO

import numpy as np
from PIL import Image

from ganlib.data.decode import Shape, decode_many
from ganlib.data.measure import measure


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Image.MAX_IMAGE_PIXELS = None  # decode() has its own limit, before anything is decoded
    tasks = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # a library that prints must not break the protocol
        _serve(tasks, answers)


def _serve(tasks: BinaryIO, answers: BinaryIO) -> None:
    shape: Shape = pickle.load(tasks)
    while True:
        try:
            files: list[str | bytes] = pickle.load(tasks)
        except EOFError:
            return
        pixels, reasons = decode_many(files, shape)
        image_NHWC = np.frombuffer(pixels, np.uint8).reshape(
            len(files), shape.size, shape.size, shape.channels
        )
        pickle.dump(measure(image_NHWC, reasons), answers, protocol=5)
        answers.flush()


if __name__ == "__main__":
    main()
