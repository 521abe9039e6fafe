"""One worker of the storm: adds and deletes attachments, and kills a part of the plugins it starts."""

import json
import random
import subprocess
import time
from collections import Counter, deque
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface
from pathlib import Path
from statistics import median

from tests.lab import Attachment, variables
from tests.lab.runtime import Json

from .beliefs import BeliefTable

MAX_HELD = 3  # attachments of one worker; with it the workers want more addresses than there are
KILLED_OF_STARTED = 1 / 3
MEASURED = 9  # run times that the moment of killing is drawn from
TIMEOUT = 120.0  # seconds for one call; 64 of them share the processors

TRY_AGAIN = 11


@dataclass(frozen=True)
class Storm:
    """What all workers share: the plugin, its configuration, and where beliefs are kept."""

    plugin: Path
    config: Json
    first_address: str
    addresses: int
    beliefs: Path
    until: float  # by time.monotonic(), which all processes of a machine share
    agent: Path | None = None  # socket of an agent that every second worker's plugins call, and that may die

    def slot(self, address: str) -> int:
        """Return the number of an address in the table."""
        return int(ip_address(address)) - int(ip_address(self.first_address))


@dataclass
class Report:
    """What a worker did, and what it holds at the end."""

    counts: Counter[str] = field(default_factory=Counter)
    held: dict[str, str] = field(default_factory=dict)  # container ID to address


class Unexpected(Exception):
    """The plugin answered as no plugin may."""


@dataclass(frozen=True)
class Answer:
    """How one call of the plugin ended."""

    command: str
    status: int
    output: str
    errors: str

    @property
    def killed(self) -> bool:
        """Whether a signal ended it; then nothing is known about what it did."""
        return self.status < 0

    def document(self) -> Json:
        """Return the document on stdout. Raises Unexpected where there is none."""
        try:
            return json.loads(self.output)
        except ValueError as error:
            raise Unexpected(self) from error


class Worker:
    """One process's part in the storm; `number` is positive and its own."""

    def __init__(self, storm: Storm, number: int) -> None:
        """Open the shared table; nothing is started yet."""
        self._storm = storm
        self._number = number
        self._random = random.Random(number)
        self._beliefs = BeliefTable(storm.beliefs, storm.addresses)
        self._durations: deque[float] = deque(maxlen=MEASURED)  # of calls that ended by themselves
        self._report = Report()
        self._sandboxes = 0
        # An empty variable says that there is no agent.
        relayed = storm.agent is not None and number % 2
        self._way = {"SPIDERCNI_AGENT_SOCKET": str(storm.agent) if relayed else ""}

    def run(self) -> Report:
        """Add and delete until the time is over; at the end it is known of every attachment whether it is there."""
        with closing(self._beliefs):
            while time.monotonic() < self._storm.until:
                held = list(self._report.held)
                if not held or (len(held) < MAX_HELD and self._random.random() < 0.5):
                    self._add()
                else:
                    self._delete(self._random.choice(held))
        return self._report

    def _add(self) -> None:
        self._sandboxes += 1
        container_id = f"w{self._number}-{self._sandboxes}"
        answer = self._call("ADD", container_id)
        if answer.killed:
            # Killed: nobody knows how far it came. The runtime's way out is DEL, until it succeeds.
            self._release(container_id)
        elif answer.status == 0:
            address = str(ip_interface(answer.document()["ips"][0]["address"]).ip)
            self._beliefs.believe(self._storm.slot(address), self._number)
            self._report.held[container_id] = address
            self._report.counts["added"] += 1
        elif answer.document()["code"] == TRY_AGAIN:
            # Nothing may be left of a refused ADD; no DEL follows, so that the end of the storm would show it.
            # Except where an agent may have died in the middle: the runtime sends DEL then.
            self._report.counts["refused (code 11)"] += 1
            if self._storm.agent is not None:
                self._release(container_id)
        else:
            raise Unexpected(answer)

    def _delete(self, container_id: str) -> None:
        # From here on the address may be anybody's.
        self._beliefs.give_up(self._storm.slot(self._report.held.pop(container_id)), self._number)
        self._release(container_id)
        self._report.counts["deleted"] += 1

    def _release(self, container_id: str) -> None:
        while True:
            answer = self._call("DEL", container_id)
            if answer.status == 0:
                return
            if not answer.killed and answer.document()["code"] != TRY_AGAIN:
                raise Unexpected(answer)
            self._report.counts["DEL sent again"] += 1

    def _call(self, command: str, container_id: str) -> Answer:
        """Start the plugin once, and perhaps kill it."""
        self._report.counts["plugins started"] += 1
        begin = time.monotonic()
        with subprocess.Popen(
            [self._storm.plugin],
            env=variables(self._storm.plugin, command, attachment(container_id)) | self._way,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                output, errors = process.communicate(json.dumps(self._storm.config), self._moment())
            except subprocess.TimeoutExpired:
                process.kill()
                output, errors = process.communicate(timeout=TIMEOUT)
        answer = Answer(command, process.returncode, output, errors)
        if answer.killed:
            self._report.counts["killed"] += 1
        else:
            self._durations.append(time.monotonic() - begin)
        return answer

    def _moment(self) -> float:
        """Return after how many seconds to kill: uniform over the usual run time, which is measured first."""
        counts = self._report.counts
        enough = counts["killed"] >= counts["plugins started"] * KILLED_OF_STARTED
        if not self._durations or enough or self._random.random() < 0.5:
            return TIMEOUT
        return self._random.uniform(0, median(self._durations))


def attachment(container_id: str) -> Attachment:
    """Return the one interface of a container; nobody opens the namespace."""
    return Attachment(container_id, "/run/netns/need-not-exist")
