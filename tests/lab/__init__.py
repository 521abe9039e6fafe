"""A lab on one machine: the calling process becomes a node, and containers are network namespaces.

Tests and the demo build their world with it. Nothing in the machine's own network or file system changes,
and all of it vanishes with the process, however the process ends. Only pyroute2 is needed: fresh machines
have no `ip` and no `ping`.
"""

from .echo import UnreachableError, ping
from .isolation import isolate
from .netns import inside
from .node import Container, Node, Uplink
from .runtime import Attachment, CniError, Runtime, execute, variables

__all__ = [
    "Attachment",
    "CniError",
    "Container",
    "Node",
    "Runtime",
    "UnreachableError",
    "Uplink",
    "execute",
    "inside",
    "isolate",
    "ping",
    "variables",
]
