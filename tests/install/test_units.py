"""install.sh --systemd: the units, what it tells systemd, and what it leaves alone.

systemd does not run in a test: `systemctl` is one that writes down its arguments, and /run/systemd/system is there in a
mount namespace of the test's own.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import Installer, MakeRelease
from .test_install import assert_answers, snapshot

SOCKET, SERVICE = "spidercni-agent.socket", "spidercni-agent.service"
ENABLE = ["daemon-reload", f"enable --now {SOCKET}"]
RESTART = [f"reset-failed {SERVICE}", f"try-restart {SERVICE}"]


@dataclass(frozen=True)
class Node:
    """A machine with systemd, as far as install.sh sees it."""

    installer: Installer
    units: Path
    tools: Path

    def run(self, *arguments: str | Path, status: int = 0) -> tuple[str, list[str]]:
        """Run install.sh where systemd runs; return what it said, and what it told systemd."""
        (self.tools / "told").unlink(missing_ok=True)
        script = 'mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "$@"'
        words = self.installer.words("--unit-dir", self.units, *arguments)
        done = subprocess.run(
            ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, "sh", *words],
            env={"PATH": f"{self.tools}:{self.installer.shell.path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert status == done.returncode, done.stdout + done.stderr
        told = self.tools / "told"
        return done.stdout + done.stderr, told.read_text().splitlines() if told.exists() else []

    def laid_down(self) -> set[str]:
        """Return the names of the units that are there."""
        return {path.name for path in self.units.iterdir()}


@pytest.fixture
def node(installer: Installer, tmp_path: Path) -> Node:
    """A machine with systemd and no units of ours."""
    if os.geteuid() != 0:
        pytest.fail("mounting a file system for this test needs root", pytrace=False)
    for name in ("units", "tools"):
        (tmp_path / name).mkdir()
    systemctl = tmp_path / "tools" / "systemctl"
    # `fail` names a command that does not succeed.
    systemctl.write_text(
        f'#!/bin/sh\necho "$*" >>{tmp_path}/tools/told\n[ "$1" != "$(cat {tmp_path}/tools/fail 2>/dev/null)" ]\n'
    )
    systemctl.chmod(0o755)
    return Node(installer, tmp_path / "units", tmp_path / "tools")


def test_laid_down_and_enabled(node: Node, folder_form: Path) -> None:
    """Both units are there, the socket is enabled, and the service is left for the first call."""
    said, told = node.run("--systemd", "--from", folder_form)
    assert {SOCKET, SERVICE} == node.laid_down()
    assert [*ENABLE, *RESTART] == told
    assert "starts the agent at the first call" in said
    socket, service = ((node.units / name).read_text() for name in (SOCKET, SERVICE))
    assert f"ExecStart={node.installer.bin_dir}/spidercni agent --idle-exit 600\n" in service
    for line in ("ListenStream=/run/spidercni/agent.sock", "SocketMode=0600", "DirectoryMode=0700"):
        assert f"{line}\n" in socket


def test_again_changes_nothing(node: Node, folder_form: Path) -> None:
    """What is as it should be is not touched, and the agent not restarted."""
    node.run("--systemd", "--from", folder_form)
    before = snapshot(node.units)
    _, told = node.run("--systemd", "--from", folder_form)
    assert before == snapshot(node.units)
    assert ENABLE == told


def test_a_changed_unit_is_renewed(node: Node, folder_form: Path) -> None:
    """A unit of ours with other contents becomes ours again, and the agent is restarted."""
    node.run("--systemd", "--from", folder_form)
    service = node.units / SERVICE
    sound = service.read_text()
    service.write_text(sound.replace("600", "60"))
    _, told = node.run("--systemd", "--from", folder_form)
    assert sound == service.read_text()
    assert [*ENABLE, *RESTART] == told


def test_upgrade_and_rollback_restart_the_agent(node: Node, release: MakeRelease) -> None:
    """After each of them the agent is of the version in use; --systemd need not be said again."""
    one = release("one")
    node.run("--systemd", "--from", one)
    before = snapshot(node.units)
    assert RESTART == node.run("--from", release("two"))[1]
    assert RESTART == node.run("--rollback")[1]
    assert [] == node.run("--from", one)[1]
    assert before == snapshot(node.units)


def test_an_agent_that_does_not_come_back(node: Node, release: MakeRelease) -> None:
    """It is said, and the plugins are upgraded all the same."""
    node.run("--systemd", "--from", release("one"))
    before = node.installer.target("spiderpool")
    (node.tools / "fail").write_text("try-restart")
    assert "systemctl status spidercni-agent" in node.run("--from", release("two"), status=1)[0]
    assert before != node.installer.target("spiderpool")
    assert_answers(node.installer)


def test_uninstall(node: Node, folder_form: Path) -> None:
    """The socket is stopped before the service, and the units go; what others put there stays."""
    (node.units / "theirs.service").write_text("[Unit]\n")
    (node.units / f"{SERVICE}.d").mkdir()
    node.run("--systemd", "--from", folder_form)
    wants = node.units / "sockets.target.wants"
    wants.mkdir()
    (wants / SOCKET).symlink_to(node.units / SOCKET)
    said, told = node.run("--uninstall")
    assert [f"disable --now {SOCKET}", f"stop {SERVICE}", "daemon-reload"] == told
    assert {"theirs.service", f"{SERVICE}.d", "sockets.target.wants"} == node.laid_down()
    assert [] == list(wants.iterdir())
    assert SERVICE in said
    assert [] == list(node.installer.bin_dir.iterdir())
    assert [] == node.run("--uninstall")[1]


def test_units_of_others_are_refused(node: Node, folder_form: Path, tmp_path: Path) -> None:
    """A unit that somebody else wrote, is neither replaced nor removed, and nothing is installed."""
    (node.units / SERVICE).write_text("[Unit]\n")
    assert "is not of this installation" in node.run("--systemd", "--from", folder_form, status=1)[0]
    assert [] == list(node.installer.bin_dir.iterdir())
    node.installer.run("--from", folder_form)
    assert [] == node.run("--uninstall")[1]
    assert {SERVICE} == node.laid_down()


def test_another_folder_of_plugins_has_its_own_agent(node: Node, folder_form: Path, tmp_path: Path) -> None:
    """An installation elsewhere does not restart or remove the agent of this one."""
    node.run("--systemd", "--from", folder_form)
    (tmp_path / "elsewhere").mkdir()
    other = Node(Installer(node.installer.shell, tmp_path / "elsewhere"), node.units, node.tools)
    assert "is not of this installation" in other.run("--systemd", "--from", folder_form, status=1)[0]
    assert [] == other.run("--from", folder_form)[1]
    assert [] == other.run("--uninstall")[1]
    assert {SOCKET, SERVICE} == node.laid_down()


def test_where_systemd_does_not_run(installer: Installer, folder_form: Path, tmp_path: Path) -> None:
    """The units are laid down for later, and it says what is to be done then; --uninstall removes them."""
    (tmp_path / "units").mkdir()
    said = installer.run("--systemd", "--unit-dir", tmp_path / "units", "--from", folder_form)
    assert f"systemctl daemon-reload && systemctl enable --now {SOCKET}" in said
    assert {SOCKET, SERVICE} == {path.name for path in (tmp_path / "units").iterdir()}
    installer.run("--unit-dir", tmp_path / "units", "--uninstall")
    assert [] == list((tmp_path / "units").iterdir())


def test_what_cannot_be_is_refused_first(installer: Installer, folder_form: Path, tmp_path: Path) -> None:
    """No folder of units, or a folder of plugins that a unit cannot name: nothing is installed."""
    (tmp_path / "units").mkdir()
    refused = installer.refuse("--systemd", "--unit-dir", tmp_path / "none", "--from", folder_form)
    assert "there is no folder" in refused
    odd = Installer(installer.shell, tmp_path / "100% ours")
    odd.bin_dir.mkdir()
    assert "characters" in odd.refuse("--systemd", "--unit-dir", tmp_path / "units", "--from", folder_form)
    assert [] == [*installer.bin_dir.iterdir(), *odd.bin_dir.iterdir()]


def test_systemd_understands_the_units(installer: Installer, folder_form: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about them."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.fail("the units must please systemd-analyze, which is not here: apt-get install systemd", pytrace=False)
    units = tmp_path / "units"
    units.mkdir()
    installer.run("--systemd", "--unit-dir", units, "--from", folder_form)
    done = subprocess.run(
        [analyze, "verify", units / SOCKET, units / SERVICE], capture_output=True, text=True, check=False
    )
    said = re.findall(rf"^.*(?:{tmp_path}|spidercni).*$", done.stderr, re.MULTILINE)
    assert (0, []) == (done.returncode, said), done.stderr
