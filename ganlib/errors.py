"""Everything ganlib raises on purpose, drawn here and nowhere else.

GanlibError                  exit 1   something failed
├── InputError               exit 2   the user can mend it: a file, a field, a name
│   ├── ConfigError                   a configuration key or value
│   ├── DataError                     images that cannot be used
│   ├── HomeError                     the home folder cannot be used
│   └── NotFound                      a run, model, recipe or stage that does not exist
├── StorageError             exit 1   bytes could not be read or written
│   └── Damaged                       bytes were read and are not what was written
├── Busy                     exit 1   somebody else is doing this very thing
├── Diverged                 exit 1   a loss or weight became NaN or infinite
├── NotFinite                exit 1   a network gives NaN or infinity where numbers are judged
├── Collapsed                exit 3   a GAN collapsed, and its settings say to stop
├── Refused                  exit 3   done, but not promoted
└── StageFailed              exit 1   a stage died; names the stage and where its log is
    ├── WorkersLost                   its workers were taken away: a node that went, a kill
    └── OutOfMemory                   its workers were ended for want of a machine's memory

A message says what is wrong and names the file, field or value; `hint` says what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class GanlibError(Exception):
    """Root of the tree. `exit_code` is what the command line returns."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        """`where` is the file, field or name at fault; `hint` is what to do."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.fields()))

    def fields(self) -> dict[str, object]:
        """What crosses process borders (Ray, Prefect) beside the message."""
        return self.__dict__.copy()

    def to_dict(self) -> dict[str, str]:
        """The `error` member of a `--json` document."""
        return {
            "type": type(self).__name__,
            "message": self.message,
            "where": self.where,
            "hint": self.hint,
        }


def _rebuild(kind: type[GanlibError], message: str, fields: dict[str, object]) -> GanlibError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(fields)
    return error


class InputError(GanlibError):
    exit_code = 2


class ConfigError(InputError):
    """`where` is the dotted path of the key at fault."""


class DataError(InputError):
    """`where` is the file or folder at fault."""


class HomeError(InputError):
    """`where` is the home folder."""


class NotFound(InputError):
    """`where` is the name that was looked for."""


class StorageError(GanlibError):
    """`where` is the URI."""

    @property
    def errno(self) -> int | None:
        """The system's number for it, if the system refused; it crosses process borders too."""
        cause = self.__cause__
        if isinstance(cause, OSError):
            return cause.errno
        told: int | None = self.__dict__.get("_errno")
        return told

    def fields(self) -> dict[str, object]:
        told = self.errno
        return super().fields() | ({} if told is None else {"_errno": told})


class Damaged(StorageError):
    """A checksum, length or format does not match what was written."""


class Busy(GanlibError):
    """`where` names the lock and who holds it."""


class Diverged(GanlibError):
    """A scalar stopped being finite.

    `clock` is the first bad clock in images, `name` the scalar.
    """

    def __init__(self, clock: int, name: str) -> None:
        super().__init__(
            f"{name} is not finite since {clock} images",
            hint="lower the learning rates, or use precision: float32",
            where=name,
        )
        self.clock = clock
        self.name = name


class NotFinite(GanlibError):
    """Images or features that nothing can be told of. `where` is what gave them."""


class Collapsed(GanlibError):
    """A generator lost its variety. `clock` is where training ended, `told` what was seen."""

    exit_code = 3

    def __init__(self, clock: int, told: str) -> None:
        super().__init__(
            f"the generator {told}, seen at {clock:,} images",
            hint="lower generator.optimiser.learning_rate, or take recipe settings that hold: "
            "spectral norm or r1, packing; or let it try by itself with gan.collapse.kind=rescue",
            where="gan.collapse",
        )
        self.clock = clock
        self.told = told


class Refused(GanlibError):
    """A model was not promoted; `reasons` says why, one sentence each."""

    exit_code = 3

    def __init__(self, message: str, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint="; ".join(reasons))
        self.reasons = reasons


class StageFailed(GanlibError):
    """`where` is the stage."""


class WorkersLost(StageFailed):
    """The same again may well succeed, and goes on from the last snapshot."""


class OutOfMemory(StageFailed):
    """Of a machine's memory, which others may give back; a GPU's is the settings' own affair."""
