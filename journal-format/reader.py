#!/usr/bin/env python3
"""An independent reader of journal directories, written from SPEC.md alone.

It shares no code with the program and needs nothing but Python 3.9 (and, before 3.14, the `zstd` command for sealed
segments). It is the oracle of the tests, and a way out: whoever has only the files and this page can get at the bytes.

    reader.py list DIR                               what a journal directory, or one source in it, holds by its names
    reader.py check SOURCE_DIR                       verifies everything; prints JSON; exit 0, or 6 when anything is wrong
    reader.py bytes SOURCE_DIR TIMELINE [FROM [TO]]  writes stream bytes to standard output (offsets, both included)
    reader.py stamps SOURCE_DIR TIMELINE             one JSON line a socket read: its last offset, and its stamp
    reader.py vector FILE...                         describes golden files, one line of JSON for each

It only reads. Exit codes: 0 done, 2 asked wrongly, 4 not covered, 6 damaged, torn or too new.
"""
import bisect
import hashlib
import json
import mmap
import os
import re
import struct
import subprocess
import sys
import unicodedata
import zlib

INTEGER_MAX = 2**53 - 1
UINT32_MAX = 2**32 - 1
MIB = 1024 * 1024


class Problem(Exception):
    """Bytes that are not what they must be: torn, corrupt, or unsupported."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class NotCovered(Exception):
    """The journal does not hold what was asked for."""


def corrupt(message):
    return Problem("corrupt", message)


# ---- MessagePack, as far as documents use it (section 4) -------------------------------------------------------------


class Unpacker:
    """One value out of bytes; refuses what section 4 excludes."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        if count > len(self.data) - self.at:
            raise corrupt("document body ends inside a value")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, count, signed=False):
        return int.from_bytes(self.take(count), "big", signed=signed)

    def integer(self, count, signed):
        value = self.number(count, signed)
        if abs(value) > INTEGER_MAX:
            raise corrupt("integer beyond 2^53 - 1")
        return value

    def text(self, count):
        try:
            return bytes(self.take(count)).decode("utf-8", "strict")
        except UnicodeDecodeError:
            raise corrupt("text is not UTF-8") from None

    def array(self, count, depth):
        self.enter(count, depth)
        return [self.value(depth + 1) for _ in range(count)]

    def map(self, count, depth):
        self.enter(2 * count, depth)
        result = {}
        for _ in range(count):
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise corrupt("key is not a string")
            if key in result:
                raise corrupt("key %r twice" % key)
            if key == "__proto__":
                raise corrupt("key __proto__")
            result[key] = self.value(depth + 1)
        return result

    def enter(self, count, depth):
        if depth > 8:
            raise corrupt("nested too deeply")
        if count > len(self.data) - self.at:
            raise corrupt("more values than bytes")

    def value(self, depth):
        head = self.number(1)
        if head < 0x80:
            return head
        if head >= 0xE0:
            return head - 0x100
        if head < 0x90:
            return self.map(head & 15, depth)
        if head < 0xA0:
            return self.array(head & 15, depth)
        if head < 0xC0:
            return self.text(head & 31)
        simple = {0xC0: None, 0xC2: False, 0xC3: True}
        if head in simple:
            return simple[head]
        if 0xC4 <= head <= 0xC6:
            return bytes(self.take(self.number(1 << (head - 0xC4))))
        if 0xCC <= head <= 0xCF:
            return self.integer(1 << (head - 0xCC), False)
        if 0xD0 <= head <= 0xD3:
            return self.integer(1 << (head - 0xD0), True)
        if 0xD9 <= head <= 0xDB:
            return self.text(self.number(1 << (head - 0xD9)))
        if 0xDC <= head <= 0xDD:
            return self.array(self.number(2 << (head - 0xDC)), depth)
        if 0xDE <= head <= 0xDF:
            return self.map(self.number(2 << (head - 0xDE)), depth)
        raise corrupt("value of type 0x%02x" % head)


def unpack_map(data):
    unpacker = Unpacker(data)
    value = unpacker.value(1)
    if not isinstance(value, dict):
        raise corrupt("document body is not a map")
    if unpacker.at != len(data):
        raise corrupt("bytes behind the document's map")
    return value


# ---- Documents (sections 4 and 6 to 9) -------------------------------------------------------------------------------


def uint(least=0, most=INTEGER_MAX):
    def check(value):
        if type(value) is not int or not least <= value <= most:
            raise ValueError
        return value

    return check


def text(pattern=None):
    def check(value):
        if not isinstance(value, str) or (pattern and not re.fullmatch(pattern, value)):
            raise ValueError
        return value

    return check


def mark_name(value):
    if not isinstance(value, str) or not 1 <= len(value) <= 128:
        raise ValueError
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise ValueError
    return value


def id_list(value):
    if not isinstance(value, list) or not 1 <= len(value) <= 4096:
        raise ValueError
    least = 0
    result = []
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError
        least = uint(least)(pair[1])
        result.append({"id": ID(pair[0]), "offset": least})
    return result


def text_map(value):
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ValueError
    return value


def nested(**fields):
    def check(value):
        if not isinstance(value, dict):
            raise ValueError
        return {key: rule(value.get(key)) for key, rule in fields.items()}

    return check


def byte_string(length=None):
    def check(value):
        if not isinstance(value, bytes) or (length is not None and len(value) != length):
            raise ValueError
        return value.hex()

    return check


def chunk_list(value):
    if not isinstance(value, bytes) or len(value) % 4:
        raise ValueError
    return list(struct.unpack("<%dI" % (len(value) // 4), value))


BLOCK_FIELDS = "position storedLength rawLength crc start end boundary db firstStamp lastStamp".split()


def block_list(value):
    if not isinstance(value, list):
        raise ValueError
    result = []
    for row in value:
        if not isinstance(row, list) or len(row) != len(BLOCK_FIELDS):
            raise ValueError
        block = {key: OFFSET(number) for key, number in zip(BLOCK_FIELDS, row)}
        sound = (
            0 < block["storedLength"] <= 17 * MIB
            and 0 < block["rawLength"] <= 16 * MIB
            and block["crc"] <= UINT32_MAX
            and block["boundary"] < block["start"] <= block["end"] + 1
            and block["db"] <= UINT32_MAX
            and block["firstStamp"] <= block["lastStamp"]
        )
        if not sound:
            raise ValueError
        result.append(block)
    return result


SAMPLE_FIELDS = ("stamp", "primaryTime", "primaryOffset", "roundTripMicros")
ATTACH_FIELDS = ("offset", "lostStamp", "stamp")


def rows(fields):
    """Arrays of as many unsigned integers as there are fields."""

    def read(value):
        if not isinstance(value, list) or not all(isinstance(row, list) and len(row) == len(fields) for row in value):
            raise ValueError
        result = [{key: OFFSET(number) for key, number in zip(fields, row)} for row in value]
        if any(row.get("roundTripMicros", 0) > UINT32_MAX for row in result):
            raise ValueError
        return result

    return read


def filters_place(value):
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError
    place = {key: OFFSET(number) for key, number in zip(("position", "length", "crc"), value)}
    if not 16 <= place["length"] <= 16 + 64 * MIB or place["crc"] > UINT32_MAX:
        raise ValueError
    return place


def name_list(value):
    if not isinstance(value, list) or len(value) > 4096 or not all(isinstance(name, bytes) for name in value):
        raise ValueError
    sound = all(1 <= len(name) <= 64 and not re.search(rb"[a-z]", name) for name in value)
    if not sound or len(set(value)) < len(value):
        raise ValueError
    return [name.decode("latin-1") for name in value]


def filter_list(value):
    if not isinstance(value, list):
        raise ValueError
    result = []
    for row in value:
        if not isinstance(row, list) or len(row) != 5:
            raise ValueError
        first, db, group, names, keys = row
        block = {"first": OFFSET(first), "db": UINT32(db), "inMulti": uint(0, 1)(group) == 1}
        if names is not None:
            if not isinstance(names, list) or any(a >= b for a, b in zip(names, names[1:])):
                raise ValueError
            block["names"] = [OFFSET(index) for index in names]
        if keys is not None:
            if not isinstance(keys, bytes):
                raise ValueError
            KeyFilter(keys)
            block["keys"] = keys.hex()
        result.append(block)
    return result


def codec(value):
    if isinstance(value, str) and value != "zstd":
        raise Problem("unsupported", "blocks compressed by %r" % value)
    return text("zstd")(value)


OFFSET = STAMP = uint()
UINT32 = uint(0, UINT32_MAX)
TIMELINE = uint(1, UINT32_MAX)
ID = text("[0-9a-f]{40}")
SOURCE = text("[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
UNIQUE = text("[0-9a-f]{8}")

SEGMENT_FIELDS = {
    "source": SOURCE,
    "timeline": TIMELINE,
    "segment": UNIQUE,
    "start": uint(1),
    "db": UINT32,
    "ids": id_list,
    "stamp": STAMP,
    "salt": UINT32,
    "writer": text(),
}
GAP_SIDE = nested(timeline=TIMELINE, id=ID, offset=OFFSET, stamp=STAMP)
CONTENTS = nested(keys=uint(), expires=uint(), hashFieldExpires=uint(), minHashFieldExpireMs=uint())

# Kind number: name, fields, optional fields.
DOCUMENTS = {
    1: ("open-header", SEGMENT_FIELDS, {}),
    2: ("sealed-header", dict(SEGMENT_FIELDS, codec=codec, chain=UINT32), {}),
    3: (
        "sealed-footer",
        {
            "start": uint(1),
            "end": OFFSET,
            "first": STAMP,
            "last": STAMP,
            "db": UINT32,
            "ids": id_list,
            "durable": OFFSET,
            "frames": uint(1),
            "raw": uint(1),
            "blocks": block_list,
            "sha256": byte_string(32),
        },
        {"attaches": rows(ATTACH_FIELDS), "samples": rows(SAMPLE_FIELDS), "filters": filters_place},
    ),
    4: (
        "timeline",
        {
            "source": SOURCE,
            "timeline": TIMELINE,
            "id": ID,
            "offset": OFFSET,
            "stamp": STAMP,
            "address": text(),
            "server": nested(kind=text(), version=text()),
            "writer": text(),
        },
        {},
    ),
    5: (
        "base",
        {
            "timeline": TIMELINE,
            "offset": OFFSET,
            "id": ID,
            "origin": text("received|synthetic"),
            "db": UINT32,
            "stamp": STAMP,
            "completed": STAMP,
            "size": uint(1),
            "magic": text("REDIS|VALKEY"),
            "version": UINT32,
            "aux": text_map,
            "crc64": text("[0-9a-f]{16}"),
            "chunk": uint(1, UINT32_MAX),
            "chunks": chunk_list,
        },
        {"contents": CONTENTS},
    ),
    6: (
        "gap",
        {
            "from": GAP_SIDE,
            "to": GAP_SIDE,
            "cause": text("backlog-overrun|history-changed|stream-broken|operator"),
            "detail": text(),
        },
        {"orphan": nested(timeline=TIMELINE, id=ID, offset=OFFSET)},
    ),
    7: (
        "mark",
        {"name": mark_name, "timeline": TIMELINE, "id": ID, "offset": OFFSET, "stamp": STAMP, "created": STAMP},
        {"note": text()},
    ),
    8: ("stop", {"timeline": TIMELINE, "offset": OFFSET, "stamp": STAMP}, {}),
    9: (
        "removed",
        {
            "timeline": TIMELINE,
            "ids": id_list,
            "offset": OFFSET,
            "end": OFFSET,
            "first": STAMP,
            "last": STAMP,
            "removed": STAMP,
            "rule": text(),
        },
        {},
    ),
    10: ("filters", {"rule": uint(1), "names": name_list, "blocks": filter_list}, {}),
}


def document_length(data):
    if len(data) < 16:
        raise Problem("torn", "document is cut off")
    if data[:4] != b"JRNL":
        raise corrupt("no document begins here")
    (length,) = struct.unpack_from("<I", data, 8)
    if length > 64 * MIB:
        raise corrupt("document body of %d bytes" % length)
    return 16 + length


def read_document(data, expected=None):
    """The document at the beginning of `data`: {type, kind, record, length, crc}."""
    length = document_length(data)
    if len(data) < length:
        raise Problem("torn", "document is cut off")
    kind, version, _, crc = struct.unpack_from("<HHII", data, 4)
    body = data[16:length]
    if zlib.crc32(body, zlib.crc32(data[:12])) != crc:
        raise corrupt("document checksum is wrong")
    if version > 1:
        raise Problem("unsupported", "document of format version %d" % version)
    if version < 1 or kind not in DOCUMENTS:
        raise corrupt("document of no known kind")
    name, fields, optional = DOCUMENTS[kind]
    if expected is not None and name != expected:
        raise corrupt("%s document where a %s document is expected" % (name, expected))
    record = read_record(name, fields, optional, unpack_map(body))
    return {"type": "document", "kind": name, "record": record, "length": length, "crc": crc}


def read_record(name, fields, optional, body):
    record = {}
    for key, rule in list(fields.items()) + [(key, rule) for key, rule in optional.items() if key in body]:
        try:
            record[key] = rule(body.get(key))
        except ValueError:
            raise corrupt("%s: %s is missing or malformed" % (name, key)) from None
    if name == "sealed-footer" and (record["end"] < record["start"] - 1 or record["last"] < record["first"]):
        raise corrupt("sealed-footer: goes back")
    if name == "sealed-footer" and ("attaches" in record) != ("samples" in record):
        raise corrupt("sealed-footer: attaches without samples, or the reverse")
    if name == "filters" and any(
        index >= len(record["names"]) for block in record["blocks"] for index in block.get("names", [])
    ):
        raise corrupt("filters: no such name")
    if name == "base" and len(record["chunks"]) != -(-record["size"] // record["chunk"]):
        raise corrupt("base: wrong number of chunks")
    required = body.get("required", [])
    if not isinstance(required, list) or not all(isinstance(key, str) for key in required):
        raise corrupt("%s: required is malformed" % name)
    for key in required:
        if key not in fields and key not in optional and key != "required":
            raise Problem("unsupported", "%s needs %r" % (name, key))
    return record


# ---- Frames (section 5) ----------------------------------------------------------------------------------------------

FRAME = struct.Struct("<4sBBHIIQQQQQQIIII")
FRAME_FIELDS = "start boundary durable firstStamp lastStamp wall db bodyCrc chain crc".split()
# Kind number: name, flags.
FRAME_KINDS = {1: ("stream", 1), 2: ("tick", 0), 3: ("sample", 0), 4: ("attach", 1)}


def read_frame_header(data, at, salt):
    if len(data) - at < FRAME.size:
        raise Problem("torn", "frame header is cut off")
    magic, number, flags, zero, meta, length, *values = FRAME.unpack_from(data, at)
    if magic != b"JFRM":
        raise corrupt("no frame begins here")
    if salt is not None and zlib.crc32(data[at : at + 76], salt) != values[-1]:
        raise corrupt("frame header checksum is wrong")
    if number == 0 or flags > 1 or zero:
        raise corrupt("frame of kind %d, flags %d" % (number, flags))
    if number not in FRAME_KINDS and flags == 1:
        raise Problem("unsupported", "frame of a newer kind (%d)" % number)
    kind, expected = FRAME_KINDS.get(number, ("unknown", 0))
    frame = dict({"kind": kind, "metaLength": meta, "dataLength": length}, **dict(zip(FRAME_FIELDS, values)))
    frame["length"] = FRAME.size + meta + length
    frame["end"] = frame["start"] + length - 1
    sound = (
        flags == expected
        and meta <= MIB
        and length <= 8 * MIB
        and (length > 0) == (kind == "stream")
        and (kind == "unknown" or (meta > 0) == (kind != "tick"))
        and all(value <= INTEGER_MAX for value in values)
        and 1 <= frame["start"]
        and frame["boundary"] <= frame["end"] <= INTEGER_MAX
        and frame["firstStamp"] <= frame["lastStamp"]
    )
    if not sound:
        raise corrupt("frame header contradicts itself (%s at offset %d)" % (kind, frame["start"]))
    return frame


def check_follows(frame, place):
    """`place`: checksum of the header before, next stream offset, last stamp."""
    if frame["chain"] != place[0]:
        raise corrupt("frame at offset %d is not chained to the one before" % frame["start"])
    if frame["start"] != place[1]:
        raise corrupt("frame starts at offset %d, expected %d" % (frame["start"], place[1]))
    if frame["firstStamp"] < place[2]:
        raise corrupt("stamps go back at offset %d" % frame["start"])


def read_frame(data, at, salt, place):
    """The frame at `at`, its body checked and its meta read."""
    frame = read_frame_header(data, at, salt)
    check_follows(frame, place)
    body = data[at + FRAME.size : at + frame["length"]]
    if len(body) < frame["length"] - FRAME.size:
        raise Problem("torn", "frame body is cut off")
    if zlib.crc32(body, salt) != frame["bodyCrc"]:
        raise corrupt("frame body checksum is wrong (offset %d)" % frame["start"])
    meta, payload = body[: frame["metaLength"]], body[frame["metaLength"] :]
    if frame["kind"] == "stream":
        frame["reads"] = read_reads(meta, frame)
        frame["data"] = payload
    elif frame["kind"] == "sample":
        frame["samples"] = read_samples(meta)
    elif frame["kind"] == "attach":
        frame["attach"] = read_attach(meta)
    elif frame["kind"] == "unknown":
        frame["meta"] = meta
    return frame


def leb128(data, at):
    value = shift = 0
    first = at
    while True:
        if at >= len(data) or shift > 49:
            raise corrupt("number in meta is malformed")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    if value > INTEGER_MAX or (byte == 0 and at - first > 1):
        raise corrupt("number in meta is malformed")
    return value, at


def read_reads(meta, frame):
    count, at = leb128(meta, 0)
    stamp, end, reads = frame["firstStamp"], frame["start"] - 1, []
    if not 1 <= count <= len(meta):
        raise corrupt("stream frame with %d reads" % count)
    for i in range(count):
        delta, at = leb128(meta, at)
        size, at = leb128(meta, at)
        if size < 1 or (i == 0 and delta):
            raise corrupt("read %d is malformed" % i)
        stamp += delta
        end += size
        reads.append([stamp, end])
    if at != len(meta) or stamp != frame["lastStamp"] or end != frame["end"]:
        raise corrupt("reads do not cover the frame at offset %d" % frame["start"])
    return reads


def read_samples(meta):
    count, at = leb128(meta, 0)
    if count < 1 or len(meta) - at != count * 28:
        raise corrupt("sample frame with %d samples" % count)
    samples = []
    for row in struct.iter_unpack("<QQQI", meta[at:]):
        if max(row) > INTEGER_MAX:
            raise corrupt("sample beyond 2^53 - 1")
        samples.append(dict(zip(SAMPLE_FIELDS, row)))
    return samples


def read_attach(meta):
    if len(meta) != 56 or not re.fullmatch(rb"[0-9a-f]{40}", meta[:40]):
        raise corrupt("attach frame is malformed")
    lost, stamp = struct.unpack_from("<QQ", meta, 40)
    if max(lost, stamp) > INTEGER_MAX:
        raise corrupt("attach frame is malformed")
    return {"id": bytes(meta[:40]).decode("ascii"), "lostStamp": lost, "stamp": stamp}


def frames_of(data, at, salt, place):
    """Yields (frame, position behind it) for as long as frames are right; a Problem ends it, the end of data too."""
    while at < len(data):
        frame = read_frame(data, at, salt, place)
        at += frame["length"]
        place = (frame["crc"], frame["end"] + 1, frame["lastStamp"])
        yield frame, at


def later_frame(data, at, salt, place):
    """Whether a frame that proves damage begins at `at` or behind: section 11, step 5."""
    found = data.find(b"JFRM", at)
    while found != -1:
        if len(data) - found >= FRAME.size:
            head = data[found : found + FRAME.size]
            if zlib.crc32(head[:76], salt) == struct.unpack_from("<I", head, 76)[0]:
                if found > at and min(frame_number(head, 16), frame_number(head, 32)) >= place[1]:
                    return True
                if found == at and not is_in_place(head, salt, place):
                    return True
        found = data.find(b"JFRM", found + 1)
    return False


def frame_number(head, at):
    return struct.unpack_from("<Q", head, at)[0]


def claims_durable(data, start):
    """Whether a frame header, as far as that can be seen without its salt, says that `start` was durable."""
    found = data.find(b"JFRM")
    while found != -1 and len(data) - found >= FRAME.size:
        try:
            frame = read_frame_header(data, found, None)
            if start <= frame["start"] and start <= frame["durable"] < frame["start"]:
                return True
        except Problem as problem:
            if problem.kind == "unsupported":
                return True
        found = data.find(b"JFRM", found + 1)
    return False


def is_in_place(head, salt, place):
    try:
        check_follows(read_frame_header(head, 0, salt), place)
        return True
    except Problem:
        return False


# ---- Segments (sections 6 and 7) -------------------------------------------------------------------------------------


class OpenSegment:
    """Header and frames of an open segment, up to the last valid frame; `state` says what is behind it."""

    def __init__(self, data):
        self.header = read_document(data, "open-header")
        record = self.header["record"]
        self.frames = []
        self.position = self.header["length"]
        place = (self.header["crc"], record["start"], 0)
        problem = None
        try:
            for frame, self.position in frames_of(data, self.position, record["salt"], place):
                self.frames.append(frame)
                place = (frame["crc"], frame["end"] + 1, frame["lastStamp"])
        except Problem as caught:
            problem = caught
        self.problem = problem
        self.end = place[1] - 1
        self.durable = max([frame["durable"] for frame in self.frames], default=0)
        self.state = self.judge(data, record["salt"], place, problem)

    def judge(self, data, salt, place, problem):
        if problem and problem.kind == "unsupported":
            return "unsupported"
        if self.end < self.durable:
            return "corrupt"
        if not data[self.position :].lstrip(b"\0"):
            return "clean"
        return "corrupt" if later_frame(data, self.position, salt, place) else "torn"


class SealedSegment:
    """A sealed segment, all of it checked."""

    def __init__(self, data):
        self.header = read_document(data, "sealed-header")
        self.trailer = read_trailer(data)
        position, length = self.trailer["position"], self.trailer["length"]
        self.footer = read_document(data[position : position + length], "sealed-footer")
        if self.footer["length"] != length:
            raise corrupt("footer does not end at the trailer")
        record = self.footer["record"]
        blocks_end = record["filters"]["position"] if "filters" in record else position
        check_blocks(self.header, record, blocks_end)
        self.filters = read_filters(data, record, position) if "filters" in record else None
        digest = hashlib.sha256(data[:blocks_end]).hexdigest()
        raw = decompress(data[self.header["length"] : blocks_end], record["blocks"])
        if digest != record["sha256"]:
            raise corrupt("SHA-256 is wrong")
        place = (self.header["record"]["chain"], self.header["record"]["start"], 0)
        self.frames = []
        self.offsets = [0]
        for frame, at in frames_of(raw, 0, self.header["record"]["salt"], place):
            self.frames.append(frame)
            self.offsets.append(at)
        self.end = record["end"]
        self.durable = record["durable"]
        self.state = "sealed"
        self.problem = None
        check_footer(self.header["record"], record, self.frames, self.offsets)
        if self.filters is not None:
            check_filters(self.header["record"], record, self.filters["record"], self.frames)


def read_trailer(data):
    if len(data) < 24 or data[-8:] != b"JRNLSEAL":
        raise corrupt("no trailer at the end")
    position, length, crc = struct.unpack_from("<QII", data, len(data) - 24)
    if zlib.crc32(data[-24:-12]) != crc:
        raise corrupt("trailer checksum is wrong")
    if not 16 <= length <= 16 + 64 * MIB or position + length + 24 != len(data):
        raise corrupt("footer does not end at the trailer")
    return {"position": position, "length": length}


def check_blocks(header, footer, footer_position):
    record, blocks = header["record"], footer["blocks"]
    position, start, stamp, raw = header["length"], record["start"], footer["first"], 0
    for block in blocks:
        if block["position"] != position or block["start"] != start or block["firstStamp"] < stamp:
            raise corrupt("block at %d does not follow the one before" % block["position"])
        position += block["storedLength"]
        start, stamp, raw = block["end"] + 1, block["lastStamp"], raw + block["rawLength"]
    agrees = (
        blocks
        and position == footer_position
        and footer["start"] == record["start"]
        and footer["end"] == start - 1
        and footer["raw"] == raw
        and footer["first"] == blocks[0]["firstStamp"]
        and footer["last"] == stamp
        and blocks[0]["boundary"] == record["start"] - 1
        and blocks[0]["db"] == record["db"]
    )
    if not agrees:
        raise corrupt("footer disagrees with its blocks")


def check_footer(header, footer, frames, offsets):
    """The index against the frames themselves."""
    at = 0
    boundary, db = header["start"] - 1, header["db"]
    for block in footer["blocks"]:
        first, at = bisect.bisect_left(offsets, at), at + block["rawLength"]
        last = bisect.bisect_left(offsets, at)
        inside = frames[first:last]
        if last >= len(offsets) or offsets[last] != at or not inside:
            raise corrupt("block does not hold whole frames")
        found = {
            "start": inside[0]["start"],
            "end": inside[-1]["end"],
            "boundary": boundary,
            "db": db,
            "firstStamp": inside[0]["firstStamp"],
            "lastStamp": inside[-1]["lastStamp"],
        }
        if any(block[key] != value for key, value in found.items()):
            raise corrupt("block index is wrong at offset %d" % block["start"])
        boundary, db = inside[-1]["boundary"], inside[-1]["db"]
    agrees = (
        footer["frames"] == len(frames)
        and footer["db"] == db
        and footer["end"] == boundary
        and footer["durable"] == max(frame["durable"] for frame in frames)
        and footer["ids"] == ids_after(header["ids"], frames)
        and ("samples" not in footer or time_of(footer) == evidence_of(frames))
    )
    if not agrees:
        raise corrupt("footer disagrees with its frames")


def read_filters(data, footer, footer_position):
    place = footer["filters"]
    filters = read_document(data[place["position"] : footer_position], "filters")
    found = {"position": place["position"], "length": filters["length"], "crc": filters["crc"]}
    if found != place or place["position"] + place["length"] != footer_position:
        raise corrupt("the filters are not those of this segment")
    return filters


# ---- Filters (section 7) ---------------------------------------------------------------------------------------------


class KeyFilter:
    """Which keys may be there, out of its bytes; ValueError when these are none."""

    def __init__(self, data):
        self.slots = data[9:]
        if not data:
            return
        if len(data) < 9:
            raise ValueError
        self.seed, self.n, w = struct.unpack_from("<IIB", data)
        if self.n < 1 or w > 16 or len(self.slots) != (self.n + 2) << w or len(self.slots) > 2**20:
            raise ValueError
        self.window = 1 << w

    def may_hold(self, key):
        if not self.slots:
            return False
        a, b = mix(murmur(key, 0) ^ self.seed), mix(murmur(key, 0x9E3779B9) ^ self.seed)
        first = a * self.n * self.window >> 32
        second = (first + self.window) ^ b % self.window
        third = (first + 2 * self.window) ^ (b >> 16) % self.window
        return self.slots[first] ^ self.slots[second] ^ self.slots[third] == a % 256


def mix(x):
    x = (x ^ x >> 16) * 0x85EBCA6B & UINT32_MAX
    x = (x ^ x >> 13) * 0xC2B2AE35 & UINT32_MAX
    return x ^ x >> 16


def murmur(key, seed):
    """MurmurHash3_x86_32."""
    h = seed
    for at in range(0, len(key), 4):
        word = int.from_bytes(key[at : at + 4], "little") * 0xCC9E2D51 & UINT32_MAX
        h ^= (word << 15 | word >> 17) * 0x1B873593 & UINT32_MAX
        if len(key) - at >= 4:
            h = ((h << 13 | h >> 19) & UINT32_MAX) * 5 + 0xE6546B64 & UINT32_MAX
    return mix(h ^ len(key))


# Of a few commands, which arguments are keys: what of the filters can be checked without knowing all commands.
FIRST_IS_KEY = set(b"APPEND DECR EXPIRE GETSET HDEL HSET INCR LPUSH PEXPIREAT RPUSH SADD SET SREM XADD ZADD".split())
ALL_ARE_KEYS = {b"DEL", b"UNLINK"}


def keys_of(name, args):
    return args[1:2] if name in FIRST_IS_KEY else args[1:] if name in ALL_ARE_KEYS else []


def commands_of(stream, at):
    """Yields (start, end, arguments) of each command; `at` is the offset of the first byte."""
    position = 0

    def number(sign):
        nonlocal position
        match = re.compile(sign + rb"(\d+)\r\n").match(stream, position)
        if not match:
            raise corrupt("no command at offset %d" % (at + position))
        position = match.end()
        return int(match[1])

    while position < len(stream):
        start = position
        args = []
        for _ in range(number(rb"\*")):
            length = number(rb"\$")
            args.append(stream[position : position + length])
            position += length + 2
        if position > len(stream):
            raise corrupt("the last command is cut")
        yield at + start, at + position - 1, args


def check_filters(header, footer, filters, frames):
    """That nothing which is in a block is excluded by its filter, and where each block's first command begins."""
    blocks, told = footer["blocks"], filters["blocks"]
    if len(told) != len(blocks):
        raise corrupt("there are not as many filters as blocks")
    firsts = [{"first": block["end"] + 1, "db": 0, "inMulti": False} for block in blocks]
    held = [KeyFilter(bytes.fromhex(block["keys"])) if "keys" in block else None for block in told]
    names = [set(filters["names"][i] for i in block["names"]) if "names" in block else None for block in told]
    db, group, before, begun = header["db"], False, header["db"], 0
    first_block = 0
    for start, end, args in commands_of(b"".join(frame.get("data", b"") for frame in frames), header["start"]):
        while blocks[first_block]["end"] < start:
            first_block += 1
        # It begins in that block; the first one of a block is its first command.
        if first_block >= begun:
            firsts[first_block] = {"first": start, "db": db, "inMulti": group}
            begun = first_block + 1
        name = re.sub(rb"[a-z]+", lambda letters: letters[0].upper(), args[0])
        for i in range(first_block, len(blocks)):
            if blocks[i]["start"] > end:
                break
            if blocks[i]["end"] < blocks[i]["start"]:
                continue
            if names[i] is not None and name.decode("latin-1") not in names[i]:
                raise corrupt("the filters exclude the command %r at offset %d" % (name, start))
            if held[i] and not all(held[i].may_hold(key) for key in keys_of(name, args)):
                raise corrupt("the filters exclude a key of the command at offset %d" % start)
        if name == b"SELECT":
            db = int(args[1])
        elif name == b"MULTI":
            group, before = True, db
        elif name in (b"EXEC", b"DISCARD"):
            group, db = False, before if name == b"DISCARD" else db
    for block, first in zip(told, firsts):
        if {key: block[key] for key in first} != first:
            raise corrupt("a filter says that commands begin at offset %d, not at %d" % (block["first"], first["first"]))


# ---- Sealed segments, again ------------------------------------------------------------------------------------------


def time_of(footer):
    return footer["attaches"], footer["samples"]


def evidence_of(frames):
    """What the frames say of time, as a footer repeats it."""
    attaches, samples = [], []
    for frame in frames:
        samples += frame.get("samples", [])
        if frame["kind"] == "attach":
            attach = frame["attach"]
            attaches.append({"offset": frame["start"] - 1, "lostStamp": attach["lostStamp"], "stamp": attach["stamp"]})
    return attaches, samples


def ids_after(ids, frames, end=INTEGER_MAX):
    result = list(ids)
    for frame in frames:
        if frame["kind"] == "attach" and frame["start"] <= end and frame["attach"]["id"] != result[-1]["id"]:
            result.append({"id": frame["attach"]["id"], "offset": frame["start"]})
    return result


def decompress(stored, blocks):
    """The frames of all blocks. zstd takes concatenated zstd frames, so one process does for a segment."""
    at = 0
    for block in blocks:
        if zlib.crc32(stored[at : at + block["storedLength"]]) != block["crc"]:
            raise corrupt("block checksum is wrong (at %d)" % block["position"])
        at += block["storedLength"]
    size = sum(block["rawLength"] for block in blocks)
    raw = unzstd(stored, size)
    if len(raw) != size:
        raise corrupt("blocks hold %d bytes, expected %d" % (len(raw), size))
    return raw


def unzstd(stored, size):
    try:
        from compression import zstd
    except ImportError:
        return unzstd_by_command(stored, size)
    try:
        return zstd.decompress(stored)
    except zstd.ZstdError as error:
        raise corrupt("block cannot be decompressed: %s" % error) from None


def unzstd_by_command(stored, size):
    try:
        done = subprocess.run(["zstd", "-dcq"], input=stored, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    except FileNotFoundError:
        sys.exit("reader.py: this Python has no compression.zstd, and there is no zstd command")
    if done.returncode:
        raise corrupt("block cannot be decompressed")
    return done.stdout


# ---- The tree (section 3) --------------------------------------------------------------------------------------------

NUMBERED = re.compile(r"([0-9a-f]{16})-([0-9a-f]{8})\.(open|rdb|base|stop)")
SEALED = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{8})\.seg")


def parse_name(name):
    if name in ("timeline", "gap"):
        return {"kind": name}
    if name.startswith(".tmp-"):
        return {"kind": "temporary"}
    match = SEALED.fullmatch(name)
    if match:
        start, end, first, last = (int(part, 16) for part in match.groups()[:4])
        if max(start, end, first, last) <= INTEGER_MAX:
            numbers = {"start": start, "end": end, "first": first, "last": last}
            return dict({"kind": "sealed", "unique": match[5]}, **numbers)
    match = NUMBERED.fullmatch(name)
    if match and int(match[1], 16) <= INTEGER_MAX:
        return {"kind": match[3], "start": int(match[1], 16), "unique": match[2]}
    return {"kind": "foreign"}


def read_file(path):
    """The file's bytes, mapped where they are many."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size < MIB:
            return file.read()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def timeline_folders(source):
    folder = os.path.join(source, "timelines")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [(int(name, 16), os.path.join(folder, name)) for name in names if re.fullmatch("[0-9a-f]{8}", name)]


def segment_files(folder):
    """The segments of a timeline by start; where a sealed and an open one begin together, the sealed one."""
    found = {}
    for name in sorted(os.listdir(folder)):
        entry = parse_name(name)
        if entry["kind"] == "sealed" or (entry["kind"] == "open" and entry["start"] not in found):
            found[entry["start"]] = dict(entry, name=name)
        elif entry["kind"] == "open" and found[entry["start"]]["kind"] == "open":
            raise corrupt("two open segments begin at offset %d" % entry["start"])
    return [found[start] for start in sorted(found)]


def load_segment(folder, entry, source, timeline):
    data = read_file(os.path.join(folder, entry["name"]))
    segment = (SealedSegment if entry["kind"] == "sealed" else OpenSegment)(data)
    record = segment.header["record"]
    if (record["segment"], record["start"]) != (entry["unique"], entry["start"]):
        raise corrupt("the file's name is not that of the segment in it")
    if (record["source"], record["timeline"]) != (source, timeline):
        raise corrupt("the segment belongs to another timeline")
    if entry["kind"] == "sealed":
        footer = segment.footer["record"]
        if any(entry[key] != footer[key] for key in ("end", "first", "last")):
            raise corrupt("the file's name is not that of the segment in it")
    return segment


def without_unfinished(folder, entries, source, timeline, offset, durable):
    """Leaves out the open segments at the end that recovery would move aside (section 11, step 3)."""
    count = max([i + 1 for i, entry in enumerate(entries) if entry["kind"] == "sealed"], default=0)
    end = entries[count - 1]["end"] if count else offset
    found = [load_begun(folder, entry, source, timeline) for entry in entries[count:]]
    durable = max([durable] + [segment.durable for segment in found if segment])
    abandoned = None
    for entry, segment in zip(entries[count:], found):
        if segment is None or entry["start"] > end + 1:
            break
        if entry["start"] <= end and end >= durable:
            abandoned = count
        end = segment.end
        count += 1
    if end >= durable:
        return entries[:count]
    return entries if abandoned is None else entries[:abandoned]


def load_begun(folder, entry, source, timeline):
    """None when there is neither a header nor a frame that says that something of this segment had been durable."""
    data = read_file(os.path.join(folder, entry["name"]))
    try:
        read_document(data, "open-header")
    except Problem as problem:
        if problem.kind != "unsupported" and not claims_durable(data, entry["start"]):
            return None
    return load_segment(folder, entry, source, timeline)


def source_name(path):
    return os.path.basename(os.path.abspath(path))


# ---- check -----------------------------------------------------------------------------------------------------------


class Check:
    """Verifies a source directory; everything that is wrong goes into `errors`."""

    def __init__(self, source):
        self.source = source
        self.name = source_name(source)
        self.errors = []
        self.foreign = []
        self.timelines = []
        self.removed = {}

    def run(self):
        self.removed = self.removals()
        folders = [one for one in timeline_folders(self.source) if one[0] not in self.removed]
        marks = self.marks()
        for number, folder in folders:
            self.timelines.append(self.timeline(number, folder, number == folders[-1][0], marks))
        known = {timeline["number"]: timeline for timeline in self.timelines}
        for mark in marks:
            self.check_position(known, mark, "mark %r" % mark["name"], mark["file"])
        ranges = [dict({"timeline": one["number"]}, **r) for one in self.timelines for r in one["ranges"]]
        return {
            "source": self.name,
            "timelines": self.timelines,
            "ranges": ranges,
            "marks": marks,
            "removed": [self.removed[number] for number in sorted(self.removed)],
            "foreign": self.foreign,
            "errors": self.errors,
        }

    def error(self, path, problem):
        kind = problem.kind if isinstance(problem, Problem) else "corrupt"
        self.errors.append({"file": os.path.relpath(path, self.source), "kind": kind, "message": str(problem)})

    def document(self, path, kind):
        """The record of a document that fills its file; None when it is damaged, which is noted."""
        try:
            data = read_file(path)
            document = read_document(data, kind)
            if document["length"] != len(data):
                raise corrupt("bytes behind the document")
            return document["record"]
        except (Problem, OSError) as problem:
            self.error(path, problem)
            return None

    def removals(self):
        folder = os.path.join(self.source, "removed")
        removed = {}
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            if not re.fullmatch(r"[0-9a-f]{8}\.removed", name):
                self.note_foreign(path)
                continue
            record = self.document(path, "removed")
            if record is None:
                continue
            if "%08x.removed" % record["timeline"] != name:
                self.error(path, corrupt("the document is of another timeline"))
            removed[record["timeline"]] = record
        return removed

    def marks(self):
        folder = os.path.join(self.source, "marks")
        marks = []
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            if not re.fullmatch(r"[0-9a-f]{64}\.mark", name):
                self.note_foreign(path)
                continue
            mark = self.document(path, "mark")
            if mark is None:
                continue
            if hashlib.sha256(mark["name"].encode()).hexdigest() + ".mark" != name:
                self.error(path, corrupt("the file's name is not that of the mark in it"))
            marks.append(dict(mark, file=os.path.join("marks", name)))
        return marks

    def check_position(self, known, position, what, file):
        timeline = known.get(position["timeline"])
        path = os.path.join(self.source, file)
        if position["timeline"] in self.removed:
            return
        if timeline is None:
            self.error(path, corrupt("%s names timeline %d, which is missing" % (what, position["timeline"])))
            return
        covered = [(timeline["offset"], timeline["offset"])] + [(r["from"], r["to"]) for r in timeline["ranges"]]
        if not any(first <= position["offset"] <= last for first, last in covered):
            self.error(path, corrupt("%s is at offset %d, which is not covered" % (what, position["offset"])))

    def note_foreign(self, path):
        self.foreign.append(os.path.relpath(path, self.source))

    def timeline(self, number, folder, is_newest, marks):
        entries = {name: parse_name(name) for name in sorted(os.listdir(folder))}
        for name, entry in entries.items():
            if entry["kind"] in ("foreign", "temporary"):
                self.note_foreign(os.path.join(folder, name))
        bases = self.bases(number, folder, entries)
        result = {"number": number, "offset": 0, "bases": bases, "segments": [], "ranges": [], "ids": [], "gap": None}
        if not any(entry["kind"] == "base" for entry in entries.values()):
            result["unfinished"] = True
            if not is_newest:
                self.error(folder, corrupt("a timeline before the newest has no base"))
            return result
        record = self.timeline_document(number, folder)
        if record is not None:
            result["offset"] = record["offset"]
            result["ids"] = [{"id": record["id"], "offset": record["offset"] + 1}]
            if not any(base["offset"] == record["offset"] and base["id"] == record["id"] for base in bases):
                self.error(folder, corrupt("the base that the timeline begins at is missing"))
        stops = self.stops(number, folder, entries)
        result["stops"] = stops
        durable = stops + [mark["offset"] for mark in marks if mark["timeline"] == number]
        self.segments(number, folder, result, max(durable, default=0))
        self.gap(number, folder, entries, result)
        return result

    def timeline_document(self, number, folder):
        path = os.path.join(folder, "timeline")
        record = self.document(path, "timeline")
        if record is not None and (record["timeline"], record["source"]) != (number, self.name):
            self.error(path, corrupt("the document is of another timeline"))
        return record

    def stops(self, number, folder, entries):
        offsets = []
        for name, entry in entries.items():
            if entry["kind"] != "stop":
                continue
            stop = self.document(os.path.join(folder, name), "stop")
            if stop is not None:
                offsets.append(stop["offset"])
                if (stop["timeline"], stop["offset"]) != (number, entry["start"]):
                    self.error(os.path.join(folder, name), corrupt("the document is of another stop"))
        return offsets

    def gap(self, number, folder, entries, result):
        path = os.path.join(folder, "gap")
        if "gap" not in entries:
            if self.timelines:
                self.error(folder, corrupt("no gap document between this timeline and the one before"))
            return
        gap = self.document(path, "gap")
        if gap is None:
            return
        result["gap"] = gap
        if (gap["to"]["timeline"], gap["to"]["offset"]) != (number, result["offset"]):
            self.error(path, corrupt("the gap does not end at the timeline's base"))
        if gap["from"]["timeline"] >= number:
            self.error(path, corrupt("the gap does not begin at an older timeline"))
            return
        known = {timeline["number"]: timeline for timeline in self.timelines}
        if "orphan" in gap and gap["orphan"]["timeline"] not in known:
            self.error(path, corrupt("the orphan is of a timeline that is not there"))
        self.check_position(known, gap["from"], "the gap's beginning", os.path.relpath(path, self.source))

    def bases(self, number, folder, entries):
        found = []
        for name, entry in entries.items():
            if entry["kind"] == "rdb" and name[:-4] + ".base" not in entries:
                self.note_foreign(os.path.join(folder, name))
            if entry["kind"] != "base":
                continue
            base = self.document(os.path.join(folder, name), "base")
            if base is None:
                continue
            if (base["timeline"], base["offset"]) != (number, entry["start"]):
                self.error(os.path.join(folder, name), corrupt("the document is of another base"))
            path = os.path.join(folder, name[:-5] + ".rdb")
            try:
                check_rdb(path, base)
            except (Problem, OSError) as problem:
                self.error(path, problem)
            found.append({key: base[key] for key in ("offset", "id", "origin", "db", "stamp", "completed", "size")})
        return found

    def segments(self, number, folder, result, durable):
        """Walks the segments in order. A hole or damage ends a range; the next sound segment begins another."""
        try:
            every = segment_files(folder)
        except Problem as problem:
            self.error(folder, problem)
            return
        try:
            entries = without_unfinished(folder, every, self.name, number, result["offset"], durable)
        except Problem:
            entries = every
        result["unfinishedSegments"] = [entry["name"] for entry in every[len(entries) :]]
        db = [base["db"] for base in result["bases"] if base["offset"] == result["offset"]]
        walk = Walk(result["offset"], result["ids"], db[0] if db else None)
        for i, entry in enumerate(entries):
            path = os.path.join(folder, entry["name"])
            limit = entries[i + 1]["start"] - 1 if i + 1 < len(entries) else None
            try:
                segment = load_segment(folder, entry, self.name, number)
            except (Problem, OSError) as problem:
                self.error(path, problem)
                walk.lost()
                continue
            for problem in walk.add(segment, limit, durable):
                self.error(path, problem)
            described = {"file": entry["name"], "kind": entry["kind"], "frames": len(segment.frames)}
            described.update(start=entry["start"], end=walk.end, state=segment.state)
            result["segments"].append(described)
        if walk.end is not None and walk.end < durable:
            last = os.path.join(folder, entries[-1]["name"]) if entries else folder
            self.error(last, corrupt("ends at offset %d, but %d had been durable" % (walk.end, durable)))
        result["ranges"] = walk.ranges
        result["ids"] = walk.ids


class Walk:
    """What segments make together: ranges, ids, the last stamp."""

    def __init__(self, offset, ids, db):
        self.end = offset
        self.ids = ids
        self.stamp = 0
        self.boundary = offset
        self.db = db
        self.ranges = []

    def lost(self):
        self.end = None

    def add(self, segment, limit, durable):
        """Takes the segment in up to `limit` (None: all); yields what is wrong with it and its place."""
        record = segment.header["record"]
        if self.end is None or record["start"] != self.end + 1:
            if self.end is not None:
                yield corrupt("begins at offset %d, but the bytes before end at %d" % (record["start"], self.end))
            self.end = None
        known = [entry for entry in self.ids if entry["offset"] < record["start"]]
        if self.end is not None and record["ids"][: len(known)] != known:
            yield corrupt("the ids in the header are not those of the segments before")
        if self.end is not None and self.boundary == self.end and self.db not in (None, record["db"]):
            yield corrupt("the db in the header is not that of the segment before")
        end = segment.end if limit is None else min(segment.end, limit)
        if limit is not None and segment.end < limit:
            yield segment.problem or corrupt("ends at offset %d instead of %d" % (segment.end, limit))
        elif limit is None and segment.state in ("corrupt", "unsupported"):
            yield segment.problem or corrupt("ends at offset %d, below what was durable" % segment.end)
        yield from self.frames(record, [frame for frame in segment.frames if frame["start"] <= end + 1], end)
        self.ids = ids_after(record["ids"], segment.frames, end + 1)
        self.extend(record["start"], end)

    def frames(self, record, frames, end):
        if not frames:
            return
        if frames[0]["firstStamp"] < self.stamp:
            yield corrupt("stamps go back to before the segment before")
        boundary = record["start"] - 1
        for frame in frames:
            if frame["boundary"] < boundary:
                yield corrupt("boundaries go back at offset %d" % frame["start"])
            boundary = frame["boundary"]
        whole = [frame for frame in frames if frame["end"] <= end]
        if whole:
            self.boundary, self.db = whole[-1]["boundary"], whole[-1]["db"]
            self.stamp = whole[-1]["lastStamp"]

    def extend(self, start, end):
        if self.end is not None and self.ranges:
            self.ranges[-1]["to"] = end
        elif end >= start:
            self.ranges.append({"from": start, "to": end})
        self.end = end


def check_rdb(path, base):
    data = read_file(path)
    if len(data) != base["size"]:
        raise corrupt("%d bytes instead of %d" % (len(data), base["size"]))
    for i, crc in enumerate(base["chunks"]):
        chunk = data[i * base["chunk"] : (i + 1) * base["chunk"]]
        if zlib.crc32(chunk) != crc:
            raise corrupt("chunk %d (from byte %d) is damaged" % (i, i * base["chunk"]))
    if not data[: len(base["magic"])] == base["magic"].encode():
        raise corrupt("not an RDB of %s" % base["magic"])
    if "%016x" % int.from_bytes(data[-8:], "little") != base["crc64"]:
        raise corrupt("the RDB does not end with the CRC-64 of its document")


# ---- Commands --------------------------------------------------------------------------------------------------------


def command_list(directory):
    """By names alone: nothing is opened."""
    if os.path.isdir(os.path.join(directory, "timelines")):
        sources = [os.path.abspath(directory)]
    else:
        paths = [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
        sources = [path for path in paths if os.path.isdir(os.path.join(path, "timelines"))]
    listing = []
    for source in sources:
        timelines = []
        for number, folder in timeline_folders(source):
            entries = [dict(parse_name(name), name=name) for name in sorted(os.listdir(folder))]
            timelines.append({"number": number, "entries": entries})
        listing.append({"source": source_name(source), "timelines": timelines})
    print_json(listing)
    return 0


def command_check(source):
    if not os.path.isdir(os.path.join(source, "timelines")):
        sys.exit("reader.py: %s is not a source directory: it has no folder timelines" % source)
    result = Check(source).run()
    print_json(result)
    return 6 if result["errors"] else 0


def stream_frames(source, timeline, first=None, last=INTEGER_MAX):
    """The stream frames of a timeline, contiguous, each with the last offset of it that counts."""
    folder = os.path.join(source, "timelines", "%08x" % timeline)
    if not os.path.isdir(folder):
        raise NotCovered("there is no timeline %d" % timeline)
    entries = segment_files(folder)
    before = entries[0]["start"] - 1 if entries else 0
    entries = without_unfinished(folder, entries, source_name(source), timeline, before, 0)
    if first is not None:
        # Only from the segment that holds the first byte wanted.
        entries = entries[max(0, bisect.bisect_right([entry["start"] for entry in entries], first) - 1) :]
    expected = None
    for i, entry in enumerate(entries):
        if entry["start"] > last:
            return
        if expected not in (None, entry["start"]):
            raise corrupt("%s does not begin at offset %d" % (entry["name"], expected))
        limit = entries[i + 1]["start"] - 1 if i + 1 < len(entries) else INTEGER_MAX
        segment = load_segment(folder, entry, source_name(source), timeline)
        if limit != INTEGER_MAX and segment.end < limit:
            raise segment.problem or corrupt("%s ends at offset %d" % (entry["name"], segment.end))
        if limit == INTEGER_MAX and segment.state == "unsupported":
            raise segment.problem
        for frame in segment.frames:
            if frame["kind"] == "stream" and frame["start"] <= limit:
                yield frame, min(frame["end"], limit)
        expected = limit + 1


def command_bytes(source, timeline, first=None, last=None):
    first = None if first is None else int(first)
    last = INTEGER_MAX if last is None else int(last)
    out = sys.stdout.buffer
    covered = None
    for frame, end in stream_frames(source, int(timeline), first, last):
        if covered is None and first is not None and first < frame["start"]:
            raise NotCovered("the timeline begins at offset %d" % frame["start"])
        covered = end
        begin = max(frame["start"], first or 0)
        if begin <= min(end, last):
            out.write(frame["data"][begin - frame["start"] : min(end, last) + 1 - frame["start"]])
    out.flush()
    wanted = first if last == INTEGER_MAX else last
    if wanted is not None and (covered is None or covered < wanted):
        raise NotCovered("the timeline ends at offset %s" % covered)
    return 0


def command_stamps(source, timeline):
    out = sys.stdout
    for frame, limit in stream_frames(source, int(timeline)):
        begin = frame["start"]
        for stamp, end in frame["reads"]:
            if begin <= limit:
                out.write('{"end":%d,"stamp":%d}\n' % (min(end, limit), stamp))
            begin = end + 1
    return 0


def command_vector(*paths):
    for path in paths:
        with open(path, "rb") as file:
            print_json(describe(file.read()), indent=None)
    return 0


def describe(data):
    try:
        document = read_document(data)
        if len(data) == document["length"] or document["kind"] not in ("open-header", "sealed-header"):
            return document
        if document["kind"] == "open-header":
            segment = OpenSegment(data)
            tail = {"position": segment.position, "end": segment.end, "state": segment.state}
            return {"type": "open", "header": part(segment.header), "frames": segment.frames, "tail": tail}
        segment = SealedSegment(data)
        result = {"type": "sealed", "header": part(segment.header), "frames": segment.frames}
        result.update(footer=part(segment.footer), trailer=segment.trailer)
        return result if segment.filters is None else dict(result, filters=part(segment.filters))
    except Problem as problem:
        return {"error": problem.kind}


def part(document):
    return {key: document[key] for key in ("record", "length", "crc")}


def print_json(value, indent=1):
    json.dump(value, sys.stdout, indent=indent, ensure_ascii=False, default=lambda data: bytes(data).hex())
    sys.stdout.write("\n")


COMMANDS = {
    "list": (command_list, 1, 1),
    "check": (command_check, 1, 1),
    "bytes": (command_bytes, 2, 4),
    "stamps": (command_stamps, 2, 2),
    "vector": (command_vector, 1, 10_000),
}


def main(arguments):
    name, rest = (arguments[0] if arguments else ""), arguments[1:]
    command, least, most = COMMANDS.get(name, (None, 0, 0))
    if command is None or not least <= len(rest) <= most:
        sys.stderr.write(__doc__)
        return 2
    try:
        return command(*rest)
    except NotCovered as problem:
        sys.stderr.write("reader.py: %s\n" % problem)
        return 4
    except Problem as problem:
        sys.stderr.write("reader.py: %s: %s\n" % (problem.kind, problem))
        return 6


if __name__ == "__main__":
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8")
    sys.exit(main(sys.argv[1:]))
