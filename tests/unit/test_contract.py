"""The CNI contract, row by row of testdata/contract.yaml, on the real entry with real streams."""

import json
import os
import subprocess
import sys

import pytest

from tests.unit.cases import load, says

DEFAULT_ENV = {
    "COMMAND": "ADD",
    "CONTAINERID": "c1",
    "NETNS": "/run/netns/none",
    "IFNAME": "eth0",
    "PATH": "/opt/cni/bin",
}


def configuration(case, directory):
    """Return the bytes for standard input."""
    if "stdin_hex" in case:
        return bytes.fromhex(case["stdin_hex"])
    if isinstance(case.get("stdin"), str):
        return case["stdin"].encode()
    ipam = {
        "type": "spiderpool",
        "data_dir": str(directory / "data"),
        "pools_dir": str(directory),
        "pools": [{"name": "v4", "subnet": "10.0.0.0/24", "ips": ["10.0.0.5-10.0.0.9"]}],
    } | case.get("stdin_ipam", {})
    config = {"cniVersion": "1.1.0", "name": "net", "type": "macvlan", "ipam": ipam} | case.get("stdin", {})
    return json.dumps({key: value for key, value in config.items() if value is not None}).encode()


def execute(case, directory):
    """Run the plugin in a process of its own, as a runtime does."""
    env = DEFAULT_ENV | case.get("env", {})
    environ = {f"CNI_{key}": value for key, value in env.items() if value is not None}
    name = case.get("plugin", "spiderpool")
    code = f"import sys; sys.argv = ['/opt/cni/bin/{name}']; from spidercni.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code],
        input=configuration(case, directory),
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("case", load("contract.yaml"))
def test_row(case, tmp_path):
    """One document or nothing on stdout, the right code, everything named, exit status 0 or 1."""
    done = execute(case, tmp_path)

    if code := case.get("code", 0):
        assert done.returncode == 1
        document = json.loads(done.stdout)
        assert code == document["code"]
        assert {"cniVersion", "code", "msg"} <= set(document) <= {"cniVersion", "code", "msg", "details"}
        says(f"{document['msg']}; {document.get('details', '')}", case)
        return
    assert (done.returncode, b"" if case.get("stderr") else done.stderr) == (0, b"")
    for text in case.get("stderr", []):
        assert text in done.stderr.decode()
    if "stdout" in case:
        assert case["stdout"] == (json.loads(done.stdout) if done.stdout else "")
    else:
        assert case.get("result_version", "1.1.0") == json.loads(done.stdout)["cniVersion"]
