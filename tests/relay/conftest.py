"""The relay ring: the relay in the built executable, and alone under sanitizers, with fake agents.

It needs root, the executable with a relay (`scripts/build` where there is a C compiler) and a C compiler.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import built

from .agent import FakeAgent, Step

ROOT = Path(__file__).parents[2]
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-static-libasan", "-static-libubsan")

ADDRESS = "10.9.0.7"


def fnv(data: bytes) -> int:
    """Return the sum that `python.c` says of what it was handed."""
    value = 2166136261
    for byte in data:
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


@dataclass(frozen=True)
class Outcome:
    """What a runtime sees of one call."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def told(self) -> dict[str, str]:
        """What the stand-in for Python says it was handed; empty if it was not reached."""
        if self.status != 77:
            return {}
        return dict(line.split(" ", 1) for line in self.stdout.decode().splitlines())

    @property
    def reason(self) -> str:
        """Why the relay handed the call over; a single dash if it did so without one, empty if it did not."""
        return self.told.get("fallback", "")


@dataclass(frozen=True)
class Relay:
    """An executable with a relay, called as the IPAM plugin."""

    executable: Path
    environ: dict[str, str] = field(default_factory=dict)

    def start(
        self,
        verb: str = "ADD",
        name: str = "spiderpool",
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        **variables: str,
    ) -> subprocess.Popen[bytes]:
        """Start a call, with pipes for streams unless others are given."""
        return subprocess.Popen(
            [name],
            executable=self.executable,
            env=self._environment(verb, variables),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )

    def call(self, verb: str = "ADD", stdin: bytes = b"{}", name: str = "spiderpool", **variables: str) -> Outcome:
        """Make a call and wait for its end."""
        process = self.start(verb, name, **variables)
        stdout, stderr = process.communicate(stdin, timeout=60)
        return Outcome(process.returncode, stdout, stderr)

    def shell(self, redirections: str, verb: str = "ADD", stdin: bytes = b"{}", **variables: str) -> Outcome:
        """Make a call whose streams a shell has bent before."""
        done = subprocess.run(
            ["bash", "-c", f'exec -a spiderpool "$0" {redirections}', str(self.executable)],
            env=self._environment(verb, variables) | {"PATH": os.environ["PATH"]},
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def _environment(self, verb: str, variables: dict[str, str]) -> dict[str, str]:
        call = {"CNI_COMMAND": verb, "CNI_CONTAINERID": "c1", "CNI_NETNS": "/not/there", "CNI_IFNAME": "eth0"}
        return call | self.environ | variables


@pytest.fixture(scope="session")
def compiler() -> str:
    """The C compiler."""
    found = os.environ.get("CC") or shutil.which("gcc")
    if not found:
        pytest.fail(
            "the relay is tested under sanitizers, which takes gcc: apt-get install gcc libc6-dev", pytrace=False
        )
    return found


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the header that is made from the Python sources."""
    folder = tmp_path_factory.mktemp("generated")
    subprocess.run([sys.executable, ROOT / "build" / "bootloader.py", "--header", folder / "generated.h"], check=True)
    return folder


@pytest.fixture(scope="session")
def lone_relay(compiler: str, generated: Path) -> Path:
    """The relay with a stand-in for Python behind it, built to stop at the first undefined behaviour."""
    program = generated / "relay"
    subprocess.run(
        [
            compiler, "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", *SANITIZERS, f"-I{generated}",
            "-Wl,--wrap=main", "-Wl,--wrap=fork", ROOT / "native" / "relay.c", Path(__file__).with_name("python.c"),
            "-o", program,
        ],
        check=True,
    )  # fmt: skip
    return program


@pytest.fixture(scope="session", autouse=True)
def root() -> None:
    """The relay believes nobody but root."""
    if os.geteuid() != 0:
        pytest.fail("the relay ring needs root: the relay talks to no other's agent", pytrace=False)


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    """Where an agent would listen."""
    return tmp_path / "agent.sock"


@pytest.fixture
def environ(socket_path: Path) -> dict[str, str]:
    """What leads a relay to the fake agent."""
    return {
        "SPIDERCNI_AGENT_SOCKET": str(socket_path),
        "SPIDERCNI_ACCEPT_MS": "20000",
        "ASAN_OPTIONS": "detect_leaks=0",
    }


@pytest.fixture
def alone(lone_relay: Path, environ: dict[str, str]) -> Relay:
    """The relay alone, with a stand-in for Python that tells why it was reached and with what."""
    return Relay(lone_relay, environ)


@pytest.fixture
def frozen(environ: dict[str, str]) -> Relay:
    """The built executable, in the form of a folder."""
    return Relay(built.folder_form(), environ)


@pytest.fixture
def one_file(environ: dict[str, str]) -> Relay:
    """The built executable, in the form of one file."""
    return Relay(built.file_form(), environ)


@pytest.fixture
def config(tmp_path: Path) -> bytes:
    """A network configuration with a store of its own that has one address."""
    (tmp_path / "pools.d").mkdir()
    pool = {"name": "p", "subnet": "10.9.0.0/24", "ips": [ADDRESS]}
    ipam: dict[str, Any] = {
        "type": "spiderpool", "data_dir": str(tmp_path / "store"), "pools_dir": str(tmp_path),
        "pools": [pool],
    }  # fmt: skip
    return json.dumps({"cniVersion": "1.0.0", "name": "n", "ipam": ipam}).encode()


Serve = Callable[..., FakeAgent]


@pytest.fixture
def serve(socket_path: Path) -> Iterator[Serve]:
    """Starts a fake agent with a script; it is gone after the test."""
    with ExitStack() as stack:

        def start(*script: Step) -> FakeAgent:
            return stack.enter_context(FakeAgent(socket_path, script))

        yield start


def of_python(outcome: Outcome) -> bool:
    """Tell whether an ADD was done by the Python in the executable, on the store of `config`."""
    if outcome.status != 0:
        return False
    addresses: Sequence[dict[str, str]] = json.loads(outcome.stdout)["ips"]
    return [each["address"] for each in addresses] == [f"{ADDRESS}/24"]
