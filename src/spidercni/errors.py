"""Every error that spidercni answers with, named by who must act, with its CNI code.

    SpidercniError                        999
    ├── RuntimeFault                      the container runtime handed us something unusable
    │   ├── IncompatibleVersion           1
    │   ├── InvalidEnvironment            4
    │   ├── UnreadableInput               5
    │   ├── UndecodableInput              6
    │   └── InvalidNetns                  8
    ├── UserFault                         the network configuration or the request is wrong
    │   ├── UnsupportedField              2
    │   ├── InvalidConfig                 7
    │   ├── NoCandidatePool               101
    │   ├── RequestUnavailable            108
    │   └── AttachmentConflict            109
    ├── AdministratorFault                the node or the pools need attention
    │   ├── PoolExhausted                 11
    │   ├── StoreUnavailable              11
    │   ├── NotServing                    50
    │   ├── AllocationMissing             105
    │   ├── AllocationDrift               106
    │   └── StoreCorrupt                  107
    └── Defect                            999: ours; anything unforeseen

Codes 1-99 are those of the CNI specification (section "Error"), 8 and 999 are libcni's own, and 100 and above
are ours. 102-104 are kept free for the conditions that `docs/errors.md` reserves them for.
"""

from __future__ import annotations


class SpidercniError(Exception):
    """An error with the CNI code that the runtime is answered with.

    `summary` is one short line; `details` may be longer and says what to do.
    """

    code = 999

    def __init__(self, summary: str, details: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.details = details

    def __str__(self) -> str:
        return f"{self.summary}; {self.details}" if self.details else self.summary


class RuntimeFault(SpidercniError):
    """The container runtime (or whoever executed the plugin) must act."""


class IncompatibleVersion(RuntimeFault):
    """The configuration asks for a CNI version, or a verb, that is not supported in that version."""

    code = 1


class InvalidEnvironment(RuntimeFault):
    """A CNI_* variable is missing or has an impossible value."""

    code = 4


class UnreadableInput(RuntimeFault):
    """Standard input could not be read, or is larger than any configuration can be."""

    code = 5


class UndecodableInput(RuntimeFault):
    """Standard input, or a part of it, is not the JSON it has to be."""

    code = 6


class InvalidNetns(RuntimeFault):
    """CNI_NETNS is the plugin's own network namespace."""

    code = 8


class UserFault(SpidercniError):
    """Whoever wrote the network configuration or asked for an address must act."""


class UnsupportedField(UserFault):
    """A key, or its value, is not one we know; the message names both."""

    code = 2


class InvalidConfig(UserFault):
    """The network configuration contradicts itself; the message names the key and the value."""

    code = 7


class NoCandidatePool(UserFault):
    """No pool may serve this attachment; every pool that was turned down is named with its reason."""

    code = 101


class RequestUnavailable(UserFault):
    """The very address that was asked for cannot be given."""

    code = 108


class AttachmentConflict(UserFault):
    """The container still holds another address for this interface."""

    code = 109


class AdministratorFault(SpidercniError):
    """Whoever runs the node or owns the pools must act."""


class PoolExhausted(AdministratorFault):
    """Every candidate pool is used up; the runtime may try again when something was released."""

    code = 11


class StoreUnavailable(AdministratorFault):
    """The store cannot be read or written now: full or read-only disk, missing rights, held lock."""

    code = 11


class NotServing(AdministratorFault):
    """STATUS: no ADD can be served now."""

    code = 50


class AllocationMissing(AdministratorFault):
    """CHECK: an address of the attachment is not recorded for it."""

    code = 105


class AllocationDrift(AdministratorFault):
    """CHECK: a recorded address is not part of the attachment any more."""

    code = 106


class StoreCorrupt(AdministratorFault):
    """The store's file is damaged; it is left as it is until somebody repairs it."""

    code = 107


class Defect(SpidercniError):
    """Something that we did not foresee; a bug report is welcome."""

    code = 999


def quoted(value: object, limit: int = 120) -> str:
    """Show a foreign value in an error: quoted, escaped to ASCII, `limit` characters and an ellipsis at most."""
    text = ascii(value)
    return text if len(text) <= limit else f"{text[:limit]}…"
