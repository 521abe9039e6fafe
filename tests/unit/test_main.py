"""One executable, many names; and streams that a caller left in a bad state."""

import json
import os
import subprocess
import sys
import time

import pytest

from spidercni.cni.plugin import run
from spidercni.ipam.local.database import Database
from spidercni.ipam.local.store import LocalStore

CALL = "import sys; sys.argv[0] = {name!r}; from spidercni.main import main; main()"
ADD = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/none",
    "CNI_IFNAME": "eth0",
}


def call(name, environ=(), stdin=b"", words=(), shell=""):
    """Run the program under a name; `shell` may bend its streams before."""
    command = [sys.executable, "-c", CALL.format(name=name), *words]
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    env = {"PATH": os.environ["PATH"], **dict(environ)}
    return subprocess.run(command, input=stdin, env=env, capture_output=True, check=False, timeout=60)


@pytest.fixture
def config(tmp_path):
    """Return a configuration on an empty store."""
    pool = {"name": "v4", "subnet": "10.0.0.0/24", "ips": ["10.0.0.5-10.0.0.9"]}
    ipam = {"type": "spiderpool", "data_dir": str(tmp_path / "data"), "pools_dir": str(tmp_path), "pools": [pool]}
    return json.dumps({"cniVersion": "1.0.0", "name": "net", "ipam": ipam}).encode()


@pytest.mark.parametrize("name", ["/opt/cni/bin/spiderpool", "spiderpool", "spidercni", "/opt/cni/bin/spidercni"])
def test_the_one_file_as_it_is_copied_is_the_ipam_plugin(name, config):
    """Under its own name too, when a runtime calls it: what people copy works at the first try."""
    done = call(name, ADD, config)

    assert json.loads(done.stdout)["ips"][0]["address"] == "10.0.0.5/24"


def test_any_other_name_is_the_command_line():
    """Without a runtime's variables it is the click program."""
    assert call("spidercni", words=["--version"]).stdout.startswith(b"spidercni, version ")
    assert b"Usage: spidercni" in call("whatever", words=["--help"]).stdout
    assert call("spidercni", words=["nonsense"]).returncode == 2


def test_version_imports_nothing_heavy():
    """The command is decided before SQLite, YAML, click or our handlers are imported."""
    code = CALL.format(name="spiderpool").replace("main()", "").replace("; from", "\nfrom") + (
        "\nimport os\nos._exit = sys.exit\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'sqlite3', 'yaml', 'click', 'rich', 'asyncio', 'socket', 'dataclasses', 'inspect',"
        " 'spidercni.ipam.handlers'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "CNI_COMMAND": "VERSION"}, capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_an_add_imports_nothing_it_does_not_need(config):
    """No YAML without a manifest, no event loop, no pydantic, no command line."""
    code = CALL.format(name="spiderpool").replace("main()", "").replace("; from", "\nfrom") + (
        "\nimport os\nos._exit = sys.exit\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'yaml', 'click', 'rich', 'asyncio', 'pydantic', 'httpx', 'pyroute2', 'dataclasses', 'inspect'}"
        " & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **ADD}, input=config, capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_without_stdout_nothing_is_done(config, tmp_path):
    """Nobody could be told of the address."""
    done = call("spiderpool", ADD, config, shell=">&-")

    assert done.returncode == 1
    assert b"cannot be written" in done.stderr
    assert not (tmp_path / "data").exists()


def test_an_answer_that_cannot_be_written_leaves_nothing(config, tmp_path):
    """What nobody was given is not in use; an address that the container had before stays its own."""
    done = call("spiderpool", ADD, config, shell=">/dev/full")

    assert 1 == done.returncode
    assert b"cannot be written" in done.stderr
    assert b"Traceback" not in done.stderr
    store = LocalStore(Database(f"{tmp_path}/data", 5), time.time, 60)
    assert [] == run(store.allocations())

    call("spiderpool", ADD, config)
    assert 1 == call("spiderpool", ADD, config, shell=">/dev/full").returncode
    assert ["c1"] == [each.attachment.container_id for each in run(store.allocations())]


def test_closed_stderr_does_no_harm(config, tmp_path):
    """No file of ours takes descriptor 2, where messages go."""
    done = call("spiderpool", ADD, config, shell="2>&-")

    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["ips"]
    assert (tmp_path / "data" / "addresses.sqlite").read_bytes().startswith(b"SQLite format 3")


def test_closed_stdin_cannot_be_read():
    """Code 5, not a traceback."""
    done = call("spiderpool", ADD, shell="<&-")

    assert json.loads(done.stdout)["code"] == 5


def test_an_unreadable_stdin_is_an_error_with_its_code():
    """Code 5: the descriptor is open for writing only."""
    done = call("spiderpool", ADD, shell="0>/dev/null")

    assert json.loads(done.stdout)["code"] == 5


def test_print_does_not_reach_stdout(config):
    """Whatever a library prints goes to stderr; stdout has the one document."""
    code = (
        "import sys, atexit; sys.argv[0] = 'spiderpool'; import spidercni.settings as s; read = s.read\n"
        "def noisy(environ):\n    import os; print('OK'); os.system('echo child'); sys.stdout.flush()\n"
        "    return read(environ)\n"
        "s.read = noisy\nfrom spidercni.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **ADD}, input=config, capture_output=True, check=False
    )

    assert json.loads(done.stdout)["ips"]
    assert b"OK" in done.stderr
    assert b"child" in done.stderr


def test_an_unforeseen_error_is_a_document_and_status_1(config):
    """Code 999, with the traceback on stderr: never an empty success."""
    code = (
        "import sys; sys.argv[0] = 'spiderpool'; import spidercni.ipam.handlers as h\n"
        "async def broken(request, context):\n    raise KeyError('surprise')\n"
        "h.add = broken\nfrom spidercni.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **ADD}, input=config, capture_output=True, check=False
    )

    document = json.loads(done.stdout)
    assert (done.returncode, document["code"]) == (1, 999)
    assert "KeyError" in document["msg"]
    assert b"Traceback" in done.stderr
