"""What install.sh promises to whoever runs a node."""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from .conftest import NAMES, ROOT, Installer, MakeRelease, Shell

PLUGINS = NAMES[:3]

FOREIGN = "#!/bin/sh\necho somebody else's plugin\n"


def version_of(plugin: Path) -> subprocess.CompletedProcess[bytes]:
    """Ask a plugin for VERSION."""
    return subprocess.run(
        [plugin], env={"CNI_COMMAND": "VERSION"}, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )


def assert_answers(installer: Installer) -> None:
    """Every name of ours works."""
    for name in PLUGINS:
        done = version_of(installer.bin_dir / name)
        assert done.returncode == 0, done.stderr
        assert "1.1.0" in json.loads(done.stdout)["supportedVersions"]
    assert subprocess.check_output([installer.bin_dir / "spidercni", "--version"]).startswith(b"spidercni")


def snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Return what is in a folder so that any change shows, also that of a file for an equal one."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_ino,
            path.lstat().st_mtime_ns if not path.is_dir() else 0,
            str(path.readlink()) if path.is_symlink() else "",
        )
        for path in folder.rglob("*")
        if path.name != "lock"
    }


def foreign(path: Path) -> Path:
    """Put somebody else's plugin there."""
    path.write_text(FOREIGN)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("form", ["folder_form", "file_form"])
def test_both_forms(installer: Installer, form: str, request: pytest.FixtureRequest) -> None:
    """The folder and the one file are laid down alike, and answer by every name."""
    installer.run("--from", request.getfixturevalue(form))
    assert_answers(installer)
    assert {name: installer.target(name) for name in NAMES} == dict.fromkeys(NAMES, *installer.versions())


def test_what_is_beside_the_script_is_found(installer: Installer, folder_form: Path, tmp_path: Path) -> None:
    """Unpacked anywhere and run from anywhere, the script finds what was unpacked with it."""
    shutil.copy(ROOT / "install.sh", tmp_path)
    shutil.copytree(folder_form, tmp_path / "spidercni.d", symlinks=True)
    done = installer.shell.run(tmp_path / "install.sh", "--bin-dir", installer.bin_dir, cwd="/")
    assert done.returncode == 0, done.stderr
    assert_answers(installer)


def test_a_folder_that_is_not_there_is_made(installer: Installer, folder_form: Path) -> None:
    """A node without a folder of plugins gets one."""
    installer.bin_dir.rmdir()
    installer.run("--from", folder_form)
    assert_answers(installer)


@pytest.mark.parametrize("form", ["folder_form", "file_form"])
def test_again_changes_nothing(installer: Installer, form: str, request: pytest.FixtureRequest) -> None:
    """Installing what is installed touches no file and says so."""
    source = request.getfixturevalue(form)
    installer.run("--from", source)
    before = snapshot(installer.bin_dir)
    assert "nothing was changed" in installer.run("--from", source)
    assert before == snapshot(installer.bin_dir)


def test_a_missing_name_is_put_back(installer: Installer, folder_form: Path) -> None:
    """Installing again repairs what somebody has removed."""
    installer.run("--from", folder_form)
    (installer.bin_dir / "ifacer").unlink()
    installer.run("--from", folder_form)
    assert_answers(installer)


def test_a_spoilt_folder_is_not_used_again(installer: Installer, folder_form: Path) -> None:
    """A laid down folder that somebody has changed is replaced by a sound one."""
    installer.run("--from", folder_form)
    spoilt = installer.bin_dir / ".spidercni" / installer.target("spiderpool")
    (spoilt / "_internal" / "base").write_text("not ours")
    installer.run("--from", folder_form)
    assert installer.target("spiderpool") != spoilt.name
    assert_answers(installer)


def test_one_version_of_before_is_kept(installer: Installer, release: MakeRelease) -> None:
    """After any number of upgrades there are two versions: what is in use, and what calls of before may run in."""
    seen = []
    for name in ("one", "two", "three"):
        installer.run("--from", release(name))
        seen.append(installer.target("spiderpool"))
    assert set(seen[1:]) == installer.versions()
    assert_answers(installer)


def test_a_call_goes_on_in_its_version(installer: Installer, release: MakeRelease, tmp_path: Path) -> None:
    """A call that began before two upgrades ends well, in the files it began with."""
    installer.run("--from", release("one"))
    ipam = {
        "type": "spiderpool", "data_dir": str(tmp_path / "store"), "pools_dir": str(tmp_path),
        "pools": [{"name": "p", "subnet": "10.9.0.0/24", "ips": ["10.9.0.7"]}],
    }  # fmt: skip
    call = subprocess.Popen(
        [installer.bin_dir / "spiderpool"],
        env={"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c", "CNI_NETNS": "/not/there", "CNI_IFNAME": "eth0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    time.sleep(0.5)  # it has begun, and waits for its configuration
    for name in ("two", "three"):
        installer.run("--from", release(name))
    config = {"cniVersion": "1.0.0", "name": "n", "ipam": ipam}
    answer, _ = call.communicate(json.dumps(config).encode(), timeout=30)
    assert json.loads(answer)["ips"] == [{"address": "10.9.0.7/24"}]
    assert call.returncode == 0


def test_no_call_fails_during_upgrades(installer: Installer, release: MakeRelease, file_form: Path) -> None:
    """While ten upgrades happen, from any form to any other, every call is answered as ever."""
    sources = [release("one"), file_form, release("two")]
    installer.run("--from", sources[-1])
    over = threading.Event()
    failures: list[str] = []
    calls = [0]

    def call_all_the_time(name: str) -> None:
        while not over.is_set():
            done = version_of(installer.bin_dir / name)
            calls[0] += 1
            if done.returncode != 0 or b"supportedVersions" not in done.stdout:
                failures.append(f"{name}: {done.returncode} {done.stdout!r} {done.stderr!r}")

    callers = [threading.Thread(target=call_all_the_time, args=(name,)) for name in PLUGINS]
    for caller in callers:
        caller.start()
    try:
        for number in range(10):
            installer.run("--upgrade", "--from", sources[number % len(sources)])
    finally:
        over.set()
        for caller in callers:
            caller.join()
    assert failures == []
    assert calls[0] > 20


def test_killed_at_any_moment(installer: Installer, release: MakeRelease) -> None:
    """However an upgrade is killed, every name works, and the next one leaves none of its traces."""
    releases = [release("one"), release("two")]
    installer.run("--from", releases[0])
    moments = random.Random(7)
    for number in range(12):
        with subprocess.Popen(
            installer.words("--from", releases[number % 2]),
            env={"PATH": installer.shell.path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as upgrade:
            time.sleep(moments.uniform(0, 1.2))
            os.killpg(upgrade.pid, signal.SIGKILL)
        assert_answers(installer)
    installer.run("--from", releases[0])
    installer.run("--from", releases[1])
    assert len(installer.versions()) == 2
    assert sorted(path.name for path in installer.bin_dir.iterdir()) == sorted((".spidercni", *NAMES))


def test_uninstall(installer: Installer, release: MakeRelease) -> None:
    """Uninstalling leaves the folder of plugins as it was, and the allocations where they are."""
    foreign(installer.bin_dir / "macvlan")
    before = snapshot(installer.bin_dir)
    installer.run("--from", release("one"))
    installer.run("--from", release("two"))
    assert "/var/lib/spidercni" in installer.run("--uninstall")
    assert before == snapshot(installer.bin_dir)


def test_uninstall_twice(installer: Installer, folder_form: Path) -> None:
    """Uninstalling where nothing is installed is no error and changes nothing."""
    installer.run("--from", folder_form)
    installer.run("--uninstall")
    installer.run("--uninstall")
    assert list(installer.bin_dir.iterdir()) == []


def test_names_of_others_are_refused(installer: Installer, folder_form: Path) -> None:
    """Without --upgrade a plugin of somebody else stays, and nothing of ours is put beside it."""
    foreign(installer.bin_dir / "coordinator")
    before = snapshot(installer.bin_dir)
    complaint = installer.refuse("--from", folder_form)
    assert "coordinator" in complaint
    assert "--upgrade" in complaint
    assert before == snapshot(installer.bin_dir)


def test_plugins_of_others_come_back(installer: Installer, release: MakeRelease) -> None:
    """With --upgrade the plugins of somebody else are kept aside, files and links, until --uninstall puts them back."""
    foreign(installer.bin_dir / "spiderpool")
    foreign(installer.bin_dir / "their-ifacer")
    (installer.bin_dir / "ifacer").symlink_to("their-ifacer")
    before = snapshot(installer.bin_dir)
    installer.run("--upgrade", "--from", release("one"))
    installer.run("--upgrade", "--from", release("two"))
    assert_answers(installer)
    assert FOREIGN == (installer.bin_dir / "spiderpool.before-spidercni").read_text()
    assert FOREIGN == (installer.bin_dir / "ifacer.before-spidercni").read_text()
    installer.run("--uninstall")
    after = snapshot(installer.bin_dir)
    assert before.keys() == after.keys()
    assert before["spiderpool"] == after["spiderpool"]
    assert "their-ifacer" == after["ifacer"][2]


def test_uninstall_leaves_what_others_put_there_since(installer: Installer, folder_form: Path) -> None:
    """A name that somebody has taken from us since is theirs, and stays."""
    installer.run("--from", folder_form)
    (installer.bin_dir / "ifacer").unlink()
    foreign(installer.bin_dir / "ifacer")
    assert "ifacer is not ours" in installer.run("--uninstall")
    assert [path.name for path in installer.bin_dir.iterdir()] == ["ifacer"]


def broken_silent(folder: Path) -> None:
    (folder / "spidercni").write_text("#!/bin/sh\nexit 0\n")


def broken_library(folder: Path) -> None:
    next((folder / "_internal").glob("libpython*")).write_bytes(b"")


def broken_architecture(folder: Path) -> None:
    with (folder / "spidercni").open("r+b") as executable:
        executable.seek(18)  # e_machine of the ELF header
        executable.write((8).to_bytes(2, "little") if os.uname().machine == "aarch64" else (183).to_bytes(2, "little"))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (broken_silent, "status 0"),
        (broken_library, "libpython"),
        (broken_architecture, f"this machine is {os.uname().machine}"),
    ],
)
def test_what_does_not_answer_is_not_installed(
    installer: Installer, release: MakeRelease, spoil: object, why: str
) -> None:
    """An executable that does not answer here is refused with the reason, before anything is switched."""
    installer.run("--from", release("sound"))
    before = snapshot(installer.bin_dir)
    broken = release("broken")
    assert callable(spoil)
    spoil(broken)
    assert why in installer.refuse("--from", broken)
    assert before == snapshot(installer.bin_dir)


@pytest.mark.parametrize(("options", "why"), [("noexec", "noexec"), ("ro", "read-only"), ("size=1m", "disk full")])
def test_unfit_file_system(installer: Installer, folder_form: Path, options: str, why: str, shell: Shell) -> None:
    """A folder of plugins that cannot hold executables is named as the reason."""
    if os.geteuid() != 0:
        pytest.fail("mounting a file system for this test needs root", pytrace=False)
    script = f'mount -t tmpfs -o {options} none "$1" && shift && exec "$@"'
    install = installer.words("--from", folder_form)
    done = subprocess.run(
        ["unshare", "--mount", "/bin/sh", "-c", script, "sh", installer.bin_dir, *install],
        env={"PATH": f"{shell.path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert why in done.stderr


def test_without_rights() -> None:
    """Who may not write there is told so."""
    if os.geteuid() != 0:
        pytest.fail("becoming somebody else for this test needs root", pytrace=False)
    script = (ROOT / "install.sh").read_text()
    done = subprocess.run(
        ["/bin/sh", "-s", "--", "--bin-dir", "/opt"],
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
        user="nobody",
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "you are not root" in done.stderr


def test_missing_tools_are_named(installer: Installer, folder_form: Path, tmp_path: Path, busybox_path: Path) -> None:
    """A system without one of the tools learns which, before anything is done."""
    poor = tmp_path / "tools"
    shutil.copytree(busybox_path, poor, symlinks=True)
    (poor / "sha256sum").unlink()
    (poor / "find").unlink()
    shell = Shell((str(poor / "sh"),), str(poor))
    complaint = Installer(shell, installer.bin_dir).refuse("--from", folder_form)
    assert complaint == "install.sh: this system lacks: find sha256sum\n"
    assert list(installer.bin_dir.iterdir()) == []


@pytest.mark.parametrize("words", [("--bin-dir",), ("--from", ""), ("--frm", "x"), ("--from", "/not/there")])
def test_mistaken_arguments(installer: Installer, words: tuple[str, ...]) -> None:
    """A mistake in the command line is refused."""
    assert words[0] in installer.refuse(*words) or words[-1] in installer.refuse(*words)
