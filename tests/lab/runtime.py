"""Container runtimes: the real `cnitool`, our `conformance` program on libcni, or a plugin executed alone."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

Json = Any  # what json.loads returns; the tests look into it
Environment = Mapping[str, str]

NO_VARIABLES: Environment = MappingProxyType({})

_TIMEOUT = 60.0  # seconds; a hanging plugin shall fail one test, not the run


class CniError(Exception):
    """A plugin refused: what its error document says; or a runtime's text made of it, then `code` is None."""

    def __init__(self, code: int | None, msg: str, details: str = "") -> None:
        super().__init__(f"[{code}] {msg}; {details}" if details else f"[{code}] {msg}")
        self.code = code
        self.msg = msg
        self.details = details


@dataclass(frozen=True)
class Attachment:
    """One interface of one container, with what the runtime tells the plugins about it."""

    container_id: str
    netns: str
    ifname: str = "eth0"
    args: dict[str, str] = field(default_factory=dict)
    capabilities: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Runtime:
    """A container runtime: where its tools and plugins are, and where it keeps its state."""

    tools: Path
    plugin_dirs: tuple[Path, ...]
    cache_dir: Path
    environment: Environment = field(default_factory=dict)  # passed on to the plugins

    def cnitool(self, verb: str, conflist: Path, netns: Path, ifname: str = "eth0") -> Json:
        """Run `cnitool`; the container ID is its own choice (a hash of the path of the namespace).

        It keeps its cache in /var/lib/cni, and has errors as text only.
        """
        name = json.loads(conflist.read_text())["name"]
        given = {"CNI_PATH": self._path, "NETCONFPATH": str(conflist.parent), "CNI_IFNAME": ifname}
        done = _run([self.tools / "cnitool", verb, name, netns], environment={**given, **self.environment})
        if done.returncode != 0:
            raise CniError(None, done.stderr.strip())
        return _document(done.stdout)

    def add(self, conflist: Path, attachment: Attachment) -> Json:
        """AddNetworkList: return the result of the last plugin."""
        return self._libcni("add", conflist, *_flags(attachment))

    def check(self, conflist: Path, attachment: Attachment) -> None:
        """CheckNetworkList, with the cached result."""
        self._libcni("check", conflist, *_flags(attachment))

    def delete(self, conflist: Path, attachment: Attachment) -> None:
        """DelNetworkList, with the cached result if there is one."""
        self._libcni("del", conflist, *_flags(attachment))

    def status(self, conflist: Path) -> None:
        """GetStatusNetworkList."""
        self._libcni("status", conflist)

    def collect(self, conflist: Path, valid: list[Attachment] | None) -> None:
        """GCNetworkList; None sends no list of valid attachments, which is not the same as an empty one."""
        flags = []
        if valid is not None:
            pairs = [{"containerID": a.container_id, "ifname": a.ifname} for a in valid]
            flags = ["-valid", json.dumps(pairs)]
        self._libcni("gc", conflist, *flags)

    def strict(self, version: str, result: str) -> Json:
        """Decode a result as its version demands; return its 1.1 form, or raise ValueError with why not."""
        done = _run([self.tools / "conformance", "strict", version], NO_VARIABLES, stdin=result)
        if done.returncode != 0:
            raise ValueError(done.stderr.strip())
        return json.loads(done.stdout)

    @property
    def _path(self) -> str:
        return ":".join(map(str, self.plugin_dirs))

    def _libcni(self, verb: str, conflist: Path, *flags: str) -> Json:
        places = ["-conf", conflist, "-bin", self._path, "-cache", self.cache_dir]
        done = _run([self.tools / "conformance", verb, *places, *flags], environment=self.environment)
        return _outcome(done)


def execute(
    plugin: Path,
    command: str,
    config: Json,
    attachment: Attachment | None = None,
    environment: Environment = NO_VARIABLES,
) -> Json:
    """Execute one plugin as a runtime does, and return its result, or None where it wrote nothing."""
    given = {**variables(plugin, command, attachment), **environment}
    return _outcome(_run([plugin], environment=given, stdin=json.dumps(config)))


def variables(plugin: Path, command: str, attachment: Attachment | None) -> dict[str, str]:
    """Return the CNI_* variables of one call; what has no value is not set."""
    given = {"CNI_COMMAND": command, "CNI_PATH": str(plugin.parent)}
    if attachment:
        given["CNI_CONTAINERID"] = attachment.container_id
        given["CNI_NETNS"] = attachment.netns
        given["CNI_IFNAME"] = attachment.ifname
        given["CNI_ARGS"] = ";".join(f"{key}={value}" for key, value in attachment.args.items())
    return {name: value for name, value in given.items() if value}


def _flags(attachment: Attachment) -> list[str]:
    flags = ["-id", attachment.container_id, "-netns", attachment.netns, "-ifname", attachment.ifname]
    for key, value in attachment.args.items():
        flags += ["-arg", f"{key}={value}"]
    if attachment.capabilities:
        flags += ["-cap", json.dumps(attachment.capabilities)]
    return flags


def _run(command: list[Any], environment: Environment, stdin: str = "") -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CNI_")}
    return subprocess.run(
        [str(word) for word in command],
        env={**inherited, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )


def _outcome(done: subprocess.CompletedProcess[str]) -> Json:
    """Return the document on stdout, or raise what it says where the status says that it is an error."""
    if done.returncode == 0:
        return _document(done.stdout)
    if done.returncode == 1 and done.stdout.strip():
        error = json.loads(done.stdout)
        raise CniError(error["code"], error["msg"], error.get("details", ""))
    raise AssertionError(f"exit status {done.returncode}, stdout {done.stdout!r}, stderr {done.stderr!r}")


def _document(stdout: str) -> Json:
    return json.loads(stdout) if stdout.strip() else None
