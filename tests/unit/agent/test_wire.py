"""Frames as tables of bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spidercni.agent.wire import (
    PAYLOAD_LIMIT_BYTES,
    Decoder,
    Frame,
    Kind,
    ProtocolError,
    RelayedCall,
    decode_answer,
    decode_call,
    encode,
    encode_answer,
    encode_call,
)

FRAMES = [
    (Frame(Kind.REQUEST, b"x\0\0{}"), b"spd1\x01\0\0\0\0\0\0\x05x\0\0{}"),
    (Frame(Kind.ACCEPTED), b"spd1\x02\0\0\0\0\0\0\0"),
    (Frame(Kind.DECLINED), b"spd1\x03\0\0\0\0\0\0\0"),
    (Frame(Kind.GO), b"spd1\x04\0\0\0\0\0\0\0"),
    (Frame(Kind.UNDELIVERED), b"spd1\x06\0\0\0\0\0\0\0"),
    (Frame(Kind.ANSWER, b"\x01no"), b"spd1\x05\0\0\0\0\0\0\x03\x01no"),
    (Frame(Kind.ANSWER, b"\0" * 258), b"spd1\x05\0\0\0\0\0\x01\x02" + b"\0" * 258),
]

CALLS = [
    (RelayedCall("spiderpool", {}, b""), b"spiderpool\0\0"),
    (RelayedCall("ifacer", {"CNI_COMMAND": "DEL"}, b"{}"), b"ifacer\0CNI_COMMAND=DEL\0\0{}"),
    (RelayedCall("x", {"CNI_ARGS": "a=b;c=d"}, b"\0\0"), b"x\0CNI_ARGS=a=b;c=d\0\0\0\0"),
    (RelayedCall("x", {"CNI_ARGS": "\udcff"}, b"1"), b"x\0CNI_ARGS=\xff\0\0" + b"1"),
]


@pytest.mark.parametrize(("frame", "data"), FRAMES)
def test_frames(frame, data):
    """Each frame is these bytes and back, in one piece and byte by byte."""
    assert data == encode(frame)
    whole, slow = Decoder(), Decoder()
    whole.feed(data)
    assert frame == whole.next_frame()
    for byte in data[:-1]:
        slow.feed(bytes([byte]))
        assert slow.next_frame() is None
    slow.feed(data[-1:])
    assert frame == slow.next_frame()
    assert slow.next_frame() is None


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"spd2",
        b"spd1\x00\0\0\0\0\0\0\0",
        b"spd1\x07\0\0\0\0\0\0\0",
        b"spd1\x02\0\0\x01\0\0\0\0",
        b"spd1\x01\0\0\0" + (PAYLOAD_LIMIT_BYTES + 1).to_bytes(4, "big"),
        b"spd1\x01\0\0\0\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_what_is_no_frame_is_refused_at_once(data):
    """No waiting for 4 GB that somebody announced."""
    decoder = Decoder()
    decoder.feed(data)
    with pytest.raises(ProtocolError):
        decoder.next_frame()


def test_frames_follow_each_other():
    """What comes in one read beyond a frame is the beginning of the next."""
    decoder = Decoder()
    decoder.feed(b"".join(data for _, data in FRAMES))
    assert [frame for frame, _ in FRAMES] == [decoder.next_frame() for _ in FRAMES]


@pytest.mark.parametrize(("call", "payload"), CALLS)
def test_requests(call, payload):
    """Name, variables and standard input are these bytes and back."""
    assert payload == encode_call(call)
    assert call == decode_call(payload)


@pytest.mark.parametrize("payload", [b"", b"x", b"x\0", b"\0", b"x\0CNI_COMMAND\0\0", b"x\0A=1"])
def test_what_is_no_request_is_refused(payload):
    """A request that ends early or has no name is an error and not an empty call."""
    with pytest.raises(ProtocolError):
        decode_call(payload)


def test_answers():
    """Exit status and the bytes for stdout; nothing is no answer."""
    assert b"\x01{}" == encode_answer(1, b"{}")
    assert (0, b"") == decode_answer(encode_answer(0, b""))
    with pytest.raises(ProtocolError):
        decode_answer(b"")


@given(st.binary(max_size=60))
def test_rubbish_never_does_more_than_be_refused(data):
    """Any bytes give a frame, nothing yet, or ProtocolError."""
    decoder = Decoder()
    decoder.feed(data)
    try:
        frame = decoder.next_frame()
        if frame is not None:
            decode_call(frame.payload)
    except ProtocolError:
        pass
