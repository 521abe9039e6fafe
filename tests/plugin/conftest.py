"""The plugin ring: the built executable, run by real runtimes on a node of its own.

It needs root, the executable (`scripts/build`) and the Go tools (`scripts/build-tools`). Whatever is missing fails
the ring with its reason: a ring that skips itself looks like one that passed.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import built
from tests.lab import Attachment, Container, Node, Runtime

from .networks import MAIN_PLUGINS, Networks
from .store import Store

NAMES = ("spiderpool", "coordinator", "ifacer")

MakeContainer = Callable[[str], Container]


@pytest.fixture(scope="session")
def executable() -> Path:
    """The built executable, in the form of a folder."""
    return built.folder_form()


@pytest.fixture(scope="session")
def onefile() -> Path:
    """The built executable, in the form of one file."""
    return built.file_form()


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder with cnitool, our conformance program and the main plugins."""
    return built.tools()


@pytest.fixture(scope="session")
def bin_dir(executable: Path, tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as /opt/cni/bin is after installation, with the main plugins beside ours."""
    return _lay_down(tmp_path_factory.mktemp("bin"), executable, tools)


@pytest.fixture(scope="session")
def onefile_bin_dir(onefile: Path, tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the one-file form."""
    return _lay_down(tmp_path_factory.mktemp("onefile-bin"), onefile, tools)


@pytest.fixture(scope="module")
def node(bin_dir: Path) -> Node:
    """The test process as a fresh node; everything that needs the machine's own network was fetched before."""
    if os.geteuid() != 0:
        pytest.fail("the plugin ring makes network namespaces and needs root", pytrace=False)
    return Node()


@pytest.fixture
def container(node: Node) -> Iterator[MakeContainer]:
    """Makes containers that are gone after the test."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(node.container(name))


@pytest.fixture
def runtime(tools: Path, bin_dir: Path, tmp_path: Path) -> Runtime:
    """A container runtime with an empty cache."""
    return Runtime(tools, (bin_dir,), tmp_path / "cache")


@pytest.fixture
def networks(tmp_path: Path) -> Networks:
    """Configurations on an empty store."""
    return Networks(tmp_path, tmp_path / "store")


@pytest.fixture
def store(executable: Path, networks: Networks) -> Store:
    """The store that `networks` names."""
    return Store(executable, networks.data_dir)


@pytest.fixture
def spiderpool(bin_dir: Path) -> Path:
    """Our IPAM plugin, to be executed alone."""
    return bin_dir / "spiderpool"


@pytest.fixture
def attachment() -> Attachment:
    """One interface of a container that does not exist: IPAM does not need it to."""
    return Attachment("c1", "/run/netns/not-there")


def _lay_down(folder: Path, executable: Path, tools: Path) -> Path:
    for name in NAMES:
        (folder / name).symlink_to(executable)
    for name in MAIN_PLUGINS:
        (folder / name).symlink_to(tools / name)
    return folder
