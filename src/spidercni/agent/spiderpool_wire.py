"""The JSON of Spiderpool's agent API (its api/v1/agent/openapi.yaml): requests to values, values to answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from spidercni.agent.wire import RelayedCall
from spidercni.errors import UndecodableInput, quoted
from spidercni.model.allocation import Allocation

# This API does not say for which network a request is. One name stands for all: allocations made here can be told
# from those of network configurations, and a release here ends only what was allocated here.
NETWORK = "spiderpool"

_CNI_VERSION = "1.0.0"


def _refuse_control(text: str) -> str:
    """Refuse what cannot be in a variable."""
    if not text.isprintable():
        raise ValueError("it has a control character")
    return text


def _refuse_separators(text: str) -> str:
    """Refuse what would be more than one pair in CNI_ARGS."""
    if ";" in text or "=" in text:
        raise ValueError("a name has no ';' and no '='")
    return _refuse_control(text)


Name = Annotated[str, AfterValidator(_refuse_separators)]
Text = Annotated[str, AfterValidator(_refuse_control)]


class _Args(BaseModel):
    """Fields that we do not know are passed over: a newer Spiderpool may send more."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    container_id: Text = Field(alias="containerID")
    pod_namespace: Name = Field(alias="podNamespace")
    pod_name: Name = Field(alias="podName")
    pod_uid: Name = Field(alias="podUID")


class AddArgs(_Args):
    """IpamAddArgs."""

    ifname: Text = Field(alias="ifName")
    netns: Text = Field(alias="netNamespace")
    ipv4_pools: list[str] | None = Field(None, alias="defaultIPv4IPPool")
    ipv6_pools: list[str] | None = Field(None, alias="defaultIPv6IPPool")
    clean_gateway: bool | None = Field(None, alias="cleanGateway")
    match_master_subnet: bool | None = Field(None, alias="matchMasterSubnet")


class DelArgs(_Args):
    """IpamDelArgs."""

    ifname: Text = Field(alias="ifName")
    netns: Text | None = Field(None, alias="netNamespace")


class BatchDelArgs(_Args):
    """IpamBatchDelArgs."""

    netns: Text | None = Field(None, alias="netNamespace")
    conflict: bool | None = Field(None, alias="isReleaseConflictIPs")


Args = TypeVar("Args", bound=_Args)


def parse(kind: type[Args], body: bytes) -> Args:
    """Return the arguments of a request. Raises UndecodableInput, which names each field that is wrong."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'the body'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise UndecodableInput("the request is not as it has to be", "; ".join(faults)) from None


def add_call(args: AddArgs) -> RelayedCall:
    """Return the ADD that a plugin would have been called with."""
    section: dict[str, Any] = {
        "default_ipv4_ippool": args.ipv4_pools,
        "default_ipv6_ippool": args.ipv6_pools,
        "clean_gateway": args.clean_gateway,
        "match_master_subnet": args.match_master_subnet,
    }
    return _call("ADD", args, args.ifname, args.netns, {key: value for key, value in section.items() if value})


def del_call(args: DelArgs | BatchDelArgs, ifname: str) -> RelayedCall:
    """Return the DEL that a plugin would have been called with."""
    return _call("DEL", args, ifname, args.netns or "", {})


def _call(verb: str, args: _Args, ifname: str, netns: str, section: Mapping[str, Any]) -> RelayedCall:
    pairs = {"K8S_POD_NAMESPACE": args.pod_namespace, "K8S_POD_NAME": args.pod_name, "K8S_POD_UID": args.pod_uid}
    environ = {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": args.container_id,
        "CNI_IFNAME": ifname,
        "CNI_NETNS": netns,
        "CNI_ARGS": ";".join(f"{key}={value}" for key, value in pairs.items()),
    }
    config = {"cniVersion": _CNI_VERSION, "name": NETWORK, "ipam": {"type": "spiderpool", **section}}
    return RelayedCall("spiderpool", environ, json.dumps(config).encode())


def add_response(ifname: str, result: Mapping[str, Any], pools: Mapping[str, str]) -> dict[str, Any]:
    """Return IpamAddResponse for a CNI result; `pools` has the pool of each address."""
    ips = []
    for ip in result["ips"]:
        entry = {"version": 6 if ":" in ip["address"] else 4, "address": ip["address"], "nic": ifname}
        entry |= {"ipPool": pools[ip["address"]]} if ip["address"] in pools else {}
        ips.append(entry | ({"gateway": ip["gateway"]} if "gateway" in ip else {}))
    routes = [{"ifName": ifname, "dst": route["dst"], "gw": route["gw"]} for route in result.get("routes", ())]
    return {"ips": ips} | ({"routes": routes} if routes else {})


def endpoint(allocations: Iterable[Allocation]) -> dict[str, Any]:
    """Return WorkloadEndpointStatus of a pod's allocations; there is at least one, all of one owner."""
    found = sorted(allocations, key=lambda each: (each.attachment.ifname, each.family))
    interfaces: dict[str, dict[str, Any]] = {}
    for allocation in found:
        ifname, family = allocation.attachment.ifname, allocation.family
        entry = interfaces.setdefault(ifname, {"interface": ifname})
        entry[f"ipv{family}"] = str(allocation.interface)
        entry[f"ipv{family}Pool"] = allocation.pool
        if allocation.gateway is not None:
            entry[f"ipv{family}Gateway"] = str(allocation.gateway)
    owner = found[0].owner
    kind, _, uid = owner.identity.partition("/")
    return {
        "podNamespace": owner.namespace,
        "podName": owner.pod,
        "podUID": uid if kind == "pod" else "",
        "node": found[0].node,
        "interfaces": list(interfaces.values()),
    }


def not_found(namespace: str, pod: str) -> str:
    """Return Spiderpool's words for a pod that it does not know."""
    return f"SpiderEndpoint not found for pod {quoted(namespace)[1:-1]}/{quoted(pod)[1:-1]}"
