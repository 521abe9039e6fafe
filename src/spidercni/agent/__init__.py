"""The process on each node that answers for the plugins in about a millisecond.

wire        frames between the relay and the agent: bytes to values and back           (pure)
connection  one relay: frames over its socket, the netns as a descriptor
listener    the socket: who may be there, who may connect
work        runs a call's handler, beside others, never two of one container at once
server      one task for each relay: the handshake, the call, what happens when somebody leaves
"""
