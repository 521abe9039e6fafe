"""The process on each node that answers for the plugins in about a millisecond.

wire        frames between the relay and the agent: bytes to values and back           (pure)
connection  one relay: frames over its socket, the netns as a descriptor
listener    the socket: who may be there, who may connect
work        runs a call's handler, beside others, never two of one container at once
server      one task for each relay: the handshake, the call, what happens when somebody leaves
report      what is told about calls, and to whom
logs        a reporter: a line of JSON for each call
main        start, serve, take over other settings, stop

HTTP, imported only where a setting asks for it:

fronts              which servers there are
web                 a server inside the event loop
health              startup, readiness, liveness
metrics             a reporter: Prometheus
spiderpool_metrics  Spiderpool's names of metrics
door                calls that come another way than by a relay
spiderpool_wire     Spiderpool's JSON: requests to values, values to answers   (pure)
spiderpool_api      Spiderpool's agent API
"""
