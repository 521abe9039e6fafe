"""VERSION, and the plugins whose other verbs are not there yet."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.lab import Attachment, CniError, execute, variables

from .networks import VERSIONS

SUPPORTED = {"spiderpool": VERSIONS, "coordinator": VERSIONS[2:], "ifacer": VERSIONS[2:]}
UNFINISHED = ("coordinator", "ifacer")


@pytest.mark.parametrize("name", SUPPORTED)
def test_every_name_tells_its_versions(bin_dir: Path, name: str) -> None:
    """VERSION answers with the versions that all verbs of the plugin honour."""
    answer = execute(bin_dir / name, "VERSION", {"cniVersion": "1.0.0"})
    assert answer["supportedVersions"] == list(SUPPORTED[name])
    assert answer["cniVersion"] in SUPPORTED[name]


@pytest.mark.parametrize("name", SUPPORTED)
def test_version_needs_no_input(bin_dir: Path, name: str) -> None:
    """VERSION answers while stdin is open and silent, and does not look at the other variables."""
    environment = {"CNI_COMMAND": "VERSION", "CNI_NETNS": "dummy", "CNI_IFNAME": "too long for an interface"}
    with subprocess.Popen(
        [bin_dir / name], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.wait(timeout=30) == 0
        assert json.loads(process.stdout.read())["supportedVersions"] == list(SUPPORTED[name])


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK", "STATUS", "GC"])
@pytest.mark.parametrize("name", UNFINISHED)
def test_an_unfinished_plugin_refuses(bin_dir: Path, name: str, command: str, attachment: Attachment) -> None:
    """A plugin that cannot do a verb yet says so in one error document, and never succeeds emptily."""
    config = {"cniVersion": "1.1.0", "name": "lab", "type": name}
    done = subprocess.run(
        [bin_dir / name],
        env=variables(bin_dir / name, command, attachment),
        input=json.dumps(config),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    error = json.loads(done.stdout)  # one document and nothing else, or this fails
    assert error["cniVersion"] == "1.1.0"
    assert error["code"] > 0
    assert name in error["msg"] + error.get("details", "")


@pytest.mark.parametrize("name", SUPPORTED)
def test_an_unknown_version_is_refused(bin_dir: Path, name: str, attachment: Attachment) -> None:
    """A configuration in a version from the future is refused with code 1, and the error names both sides."""
    with pytest.raises(CniError, match="incompatible CNI versions") as caught:
        execute(bin_dir / name, "ADD", {"cniVersion": "2.0.0", "name": "lab", "type": name}, attachment)
    assert caught.value.code == 1
    assert "2.0.0" in caught.value.details
    assert "1.1.0" in caught.value.details
