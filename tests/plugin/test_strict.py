"""The strict decoder itself: a judge that passes everything would prove nothing."""

import json

import pytest

from tests.lab import Runtime
from tests.lab.runtime import Json

GOOD: dict[str, Json] = {
    "0.2.0": {"ip4": {"ip": "10.77.0.10/24", "gateway": "10.77.0.1", "routes": [{"dst": "10.9.0.0/16"}]}},
    "0.4.0": {"ips": [{"version": "4", "address": "10.77.0.10/24"}], "routes": [], "dns": {}},
    "1.0.0": {"ips": [{"address": "fd77::10/64", "gateway": "fd77::1"}]},
}

BAD: dict[str, tuple[str, Json, str]] = {
    "unknown member": ("1.0.0", {"ips": [{"address": "10.77.0.10/24"}], "addresses": []}, "addresses"),
    "unknown member of an address": ("1.0.0", {"ips": [{"address": "10.77.0.10/24", "gw": "10.77.0.1"}]}, "gw"),
    "member of an older version": ("1.0.0", {"ips": [{"address": "10.77.0.10/24", "version": "4"}]}, "version"),
    "member is missing": ("0.4.0", {"ips": [{"address": "10.77.0.10/24"}]}, "version"),
    "shape of a newer version": ("0.2.0", {"ips": [{"address": "10.77.0.10/24"}]}, "ips"),
    "misspelt only in case": ("1.0.0", {"IPs": [{"address": "10.77.0.10/24"}]}, "IPs"),
    "address without its length": ("1.0.0", {"ips": [{"address": "10.77.0.10"}]}, "10.77.0.10"),
    "address in a long form": ("1.0.0", {"ips": [{"address": "fd77:0::10/64"}]}, "fd77:0::10"),
    "cannot be told in 0.2.0": ("1.0.0", {"ips": []}, "does not convert"),
}


@pytest.mark.parametrize("version", GOOD)
def test_a_sound_result_passes_in_its_latest_form(runtime: Runtime, version: str) -> None:
    """A result that follows its version is accepted and handed back in the form of CNI 1.1."""
    decoded = runtime.strict(version, json.dumps({"cniVersion": version, **GOOD[version]}))
    assert decoded["cniVersion"] == "1.1.0"
    assert len(decoded["ips"]) == 1


@pytest.mark.parametrize("case", BAD)
def test_a_faulty_result_is_refused_with_its_fault(runtime: Runtime, case: str) -> None:
    """A result that departs from its version anywhere is refused, and the refusal names the place."""
    version, result, fault = BAD[case]
    with pytest.raises(ValueError, match=fault):
        runtime.strict(version, json.dumps({"cniVersion": version, **result}))


def test_nothing_may_follow_the_document(runtime: Runtime) -> None:
    """Text after the result, such as a warning, is refused."""
    with pytest.raises(ValueError, match="follows the document"):
        runtime.strict("1.0.0", json.dumps({"cniVersion": "1.0.0", **GOOD["1.0.0"]}) + "OK")


def test_the_version_must_be_the_one_asked_for(runtime: Runtime) -> None:
    """A result in another version than the configuration's is refused."""
    with pytest.raises(ValueError, match=r"want .1\.0\.0"):
        runtime.strict("1.0.0", json.dumps({"cniVersion": "1.1.0", **GOOD["1.0.0"]}))
