"""Settings: the environment over the file over the default; both readers agree; what is wrong is named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from pydantic import ValidationError

from spidercni import settings
from spidercni.cli.main import cli
from spidercni.errors import InvalidConfig, StoreUnavailable
from spidercni.settings import model
from spidercni.settings.model import AgentSettings
from spidercni.settings.sources import collect
from spidercni.settings.table import TABLE, variable_of

LIGHT = settings.Settings._fields


@pytest.fixture
def in_file(tmp_path):
    """Return a function that writes a file and returns the environment that names it."""

    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return {"SPIDERCNI_CONFIG": str(path)}

    return write


def test_both_readers_are_made_from_the_table():
    """Every row is a field of the model, the plugin's reader has some of them, and the defaults are the same."""
    assert list(TABLE) == list(AgentSettings.model_fields)
    assert set(LIGHT) <= set(TABLE)
    assert {name: row.default for name, row in TABLE.items()} == AgentSettings().model_dump()
    assert settings.Settings()._asdict() == {name: TABLE[name].default for name in LIGHT}


@pytest.mark.parametrize("name", TABLE)
def test_every_setting_is_documented(name):
    """Key and variable are in docs/configuration.md."""
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    assert f"`{name}`" in text
    assert f"`{variable_of(name)}`" in text


@pytest.mark.parametrize("name", TABLE)
def test_every_default_may_be_written_down(name):
    """A default passes its own parser, in the file and, where it is not empty, in the environment."""
    row = TABLE[name]
    assert row.default == row.parse(row.default)
    if row.default != "":
        assert row.default == row.parse(str(row.default))
    assert row.unit
    assert AgentSettings.model_fields[name].description.startswith(row.about)


SOURCES = [
    ("", {}, {}),
    ("cooldown_seconds: 5\n", {}, {"cooldown_seconds": 5.0}),
    ("cooldown_seconds: 5\n", {"SPIDERCNI_COOLDOWN_SECONDS": "7.5"}, {"cooldown_seconds": 7.5}),
    ("cooldown_seconds: 5\n", {"SPIDERCNI_COOLDOWN_SECONDS": ""}, {"cooldown_seconds": 5.0}),
    ("data_dir: /a\npools_dir: /b\n", {"SPIDERCNI_POOLS_DIR": "/c"}, {"data_dir": "/a", "pools_dir": "/c"}),
    ("node: '5'\n", {}, {"node": "5"}),
    ("node: other\n", {"SPIDERCNI_NODE_NAME": "this"}, {"node": "this"}),
    ("gc_grace_seconds: null\n", {}, {}),
    ("{gc_grace_seconds: 0, lock_timeout_seconds: 1.5}", {}, {"gc_grace_seconds": 0.0, "lock_timeout_seconds": 1.5}),
    ("metrics_port: 5711\n", {}, {}),
]


@pytest.mark.parametrize(("text", "environ", "expected"), SOURCES)
def test_both_readers_read_the_same(in_file, text, environ, expected):
    """The environment wins over the file, the file over the default; an empty variable is none."""
    environ = in_file(text) | environ
    plugin, agent = settings.read(environ), model.read(environ)
    assert plugin._asdict() == {name: getattr(agent, name) for name in LIGHT}
    for name, value in expected.items():
        assert value == getattr(plugin, name)


BAD = [
    ("data_dir: here\n", {}, ["config.yaml: data_dir is 'here'", "absolute path"]),
    ("", {"SPIDERCNI_DATA_DIR": "here"}, ["SPIDERCNI_DATA_DIR is 'here'", "absolute path"]),
    ("gc_grace_seconds: -1\n", {}, ["config.yaml: gc_grace_seconds is -1", "0 to 86400"]),
    ("gc_grace_seconds: true\n", {}, ["gc_grace_seconds is True", "0 to 86400"]),
    ("cooldown_seconds: .nan\n", {}, ["cooldown_seconds is nan", "0 to 86400"]),
    ("", {"SPIDERCNI_COOLDOWN_SECONDS": "inf"}, ["SPIDERCNI_COOLDOWN_SECONDS is 'inf'"]),
    ("node: a b\n", {}, ["node is 'a b'"]),
    ("datadir: /a\n", {}, ["unknown key 'datadir'", "'/a'", "data_dir"]),
    ("1: /a\n", {}, ["unknown key 1"]),
    ("- data_dir\n", {}, ["config.yaml is ['data_dir']"]),
    ("data_dir: [\n", {}, ["config.yaml is not YAML"]),
    ("!!python/object/apply:os.system ['true']\n", {}, ["config.yaml is not YAML"]),
    ("", {"SPIDERCNI_CONFIG": "/none/config.yaml"}, ["SPIDERCNI_CONFIG is '/none/config.yaml'", "no such file"]),
]

BAD_FOR_THE_AGENT = [
    ("metrics_port: 65536\n", {}, ["metrics_port is 65536", "0 for none"]),
    ("metrics_port: 5711.5\n", {}, ["metrics_port is 5711.5"]),
    ("metrics_port: 1_0\n", {"SPIDERCNI_METRICS_PORT": "http"}, ["SPIDERCNI_METRICS_PORT is 'http'"]),
    ("health_address: localhost\n", {}, ["health_address is 'localhost'", "IP address"]),
    ("health_address: 1\n", {}, ["health_address is 1", "IP address"]),
    ("calls_limit: 0\n", {}, ["calls_limit is 0"]),
    ("log_level: loud\n", {}, ["log_level is 'loud'", "debug, info"]),
    ("spiderpool_socket: here\n", {}, ["spiderpool_socket is 'here'", "empty for none"]),
]


@pytest.mark.parametrize(("text", "environ", "words"), BAD + BAD_FOR_THE_AGENT)
def test_what_is_wrong_is_named(in_file, text, environ, words):
    """Key, value and source, and what it may be; the plugin minds what it uses, and keys that nobody knows."""
    environ = in_file(text) | environ
    with pytest.raises(InvalidConfig) as caught:
        model.read(environ)
    for word in words:
        assert word in str(caught.value)
    if (text, environ, words) in BAD:
        with pytest.raises(InvalidConfig) as caught_too:
            settings.read(environ)
        assert str(caught.value) == str(caught_too.value)


def test_a_plugin_does_not_mind_what_only_the_agent_uses(in_file):
    """A wrong port must not keep containers from starting."""
    assert settings.read(in_file("metrics_port: high\n")).data_dir == TABLE["data_dir"].default


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    """A folder of that name, or bytes that are no text: the settings are not known, and no default is taken."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for path in (tmp_path, tmp_path / "bytes"):
        with pytest.raises(StoreUnavailable):
            settings.read({"SPIDERCNI_CONFIG": str(path)})


def test_the_model_is_frozen_and_whole():
    """No value changes, no unknown one is added, and no other way leads around the table."""
    current = AgentSettings()
    with pytest.raises(ValidationError):
        current.data_dir = "/elsewhere"
    with pytest.raises(ValidationError):
        AgentSettings(datadir="/a")
    with pytest.raises(ValidationError):
        AgentSettings(data_dir="here")


def test_what_changes_at_run_time_is_told_from_what_needs_a_restart():
    """By the table."""
    old, new = AgentSettings(), AgentSettings(log_level="debug", call_seconds=3, health_port=5710, agent_socket="/x")
    assert (["log_level", "call_seconds"], ["agent_socket", "health_port"]) == model.changed(old, new)


def test_sources_are_told(in_file):
    """`default`, the file's path, or the variable."""
    environ = in_file("data_dir: /a\npools_dir: /b\n") | {"SPIDERCNI_POOLS_DIR": "/c"}
    found = collect(environ, options={"log_level": "debug", "agent_socket": None})
    wanted = ("data_dir", "pools_dir", "call_seconds", "log_level", "agent_socket")
    sources = [environ["SPIDERCNI_CONFIG"], "SPIDERCNI_POOLS_DIR", "default", "command line", "default"]
    assert sources == [found[name].source for name in wanted]


def test_the_command_prints_what_is_in_force(in_file, monkeypatch):
    """A table for people; JSON and YAML say the same, with variable and reason."""
    environ = in_file("metrics_port: 5711\n") | {"SPIDERCNI_NODE_NAME": "n1"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    table = CliRunner().invoke(cli, ["settings"]).stdout.splitlines()
    assert ["metrics_port", "5711", "port", environ["SPIDERCNI_CONFIG"]] in [line.split() for line in table]
    assert ["node", "n1", "name", "SPIDERCNI_NODE_NAME"] in [line.split() for line in table]
    rows = json.loads(CliRunner().invoke(cli, ["settings", "-o", "json"]).stdout)
    assert list(TABLE) == [row["name"] for row in rows]
    assert [variable_of(name) for name in TABLE] == [row["variable"] for row in rows]
    assert all(row["about"] for row in rows)
    assert rows == yaml.safe_load(CliRunner().invoke(cli, ["settings", "-o", "yaml"]).stdout)


def test_the_command_refuses_what_is_wrong(in_file, monkeypatch):
    """With status 3 and the key."""
    monkeypatch.setenv("SPIDERCNI_CONFIG", in_file("metrics_port: high\n")["SPIDERCNI_CONFIG"])
    done = CliRunner().invoke(cli, ["settings"])
    assert 3 == done.exit_code
    assert "metrics_port is 'high'" in done.stderr


def test_the_light_reader_imports_little():
    """No pydantic, and no YAML where there is no file."""
    code = (
        "import sys\nfrom spidercni import settings\nsettings.read({})\n"
        "heavy = {'pydantic', 'yaml', 'dataclasses', 'inspect'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (0, b"") == (done.returncode, done.stderr)
