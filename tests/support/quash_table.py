"""A reader of cancellation tables that shares no code with libquash: written from docs/table-format.md alone.

    table = Table.open("/dev/shm/quash/web")
    stamp = table.stamp()
    ...                                            # read the source
    table.changed(["tenant:42"], stamp)            # Change.UNCHANGED, .CHANGED or .COLLATERAL

Right on x86-64, where loads stay in order; see the format's section on memory ordering.
"""

import enum
import mmap
import os
import stat
import time
import uuid
from typing import NamedTuple

import xxhash

MAGIC = b"QUASHTBL"
VERSION = 1
HEADER_BYTES = 4096
BUCKET_BYTES = 64
SLOTS = 7
BUCKETS_MAX = 1 << 24
GROUP_BYTES_MAX = 512
STAMP_BITS = 48
STAMP_MASK = (1 << STAMP_BITS) - 1

# Offsets of words in the header.
RETIRED = 0x030
BOOT_ID = 0x080
SEQUENCE = 0x100
CHANGES = 0x180
WATERMARK = 0x200
PING_INTERVAL = 0x208
WORKER_PID = 0x280
WORKER_HEARTBEAT = 0x288
WORKER_CONNECTED = 0x290


class TableError(Exception):
    """The path does not lead to a table that may be used."""


class Change(enum.Enum):
    UNCHANGED = 0
    CHANGED = 1
    COLLATERAL = 2  # the table no longer remembers enough to rule it out


class Stamp(NamedTuple):
    incarnation: int
    sequence: int


def group_bytes(name):
    """A group's name as bytes; text is taken as UTF-8."""
    name = name.encode() if isinstance(name, str) else bytes(name)
    if not 1 <= len(name) <= GROUP_BYTES_MAX or b"\0" in name:
        raise ValueError(f"a group has 1 to {GROUP_BYTES_MAX} bytes, none of them 0: {name!r}")
    return name


def implied(names):
    """The groups that a value depends on if it names these."""
    groups = {b"*"}
    for name in map(group_bytes, names):
        groups.add(name)
        kind, colon, _ = name.partition(b":")
        if colon:
            groups.add(kind + b":*")
    return groups


def locate(name, seed, buckets):
    """The bucket and the tag of a group."""
    digest = xxhash.xxh64(name, seed=seed).intdigest()
    return digest & (buckets - 1), digest >> STAMP_BITS


def boot_id():
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return uuid.UUID(file.read().strip()).bytes
    except OSError:
        return None


class Table:
    """One mapped table. It does not follow its path: see `current`."""

    @classmethod
    def open(cls, path, *, allow_shared_write=False, allow_any_owner=False):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise TableError(f"{path}: {error.strerror}") from error
        try:
            return cls(path, fd, allow_shared_write, allow_any_owner)
        finally:
            os.close(fd)

    def __init__(self, path, fd, allow_shared_write, allow_any_owner):
        self.path = path
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise TableError(f"{path}: not a regular file")
        if not allow_any_owner and status.st_uid not in (0, os.geteuid()):
            raise TableError(f"{path}: belongs to user {status.st_uid}")
        if not allow_shared_write and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise TableError(f"{path}: others may write it")

        header = os.pread(fd, HEADER_BYTES, 0)

        def number(offset, size=8):
            return int.from_bytes(header[offset:offset + size], "little")

        if header[:8] != MAGIC:
            raise TableError(f"{path}: not a table")
        if number(0x008, 4) > VERSION:
            raise TableError(f"{path}: version {number(0x008, 4)} is newer than {VERSION}")
        self.buckets = number(0x010)
        if (len(header) < HEADER_BYTES or number(0x008, 4) != VERSION or number(0x00C, 4) != HEADER_BYTES
                or not 1 <= self.buckets <= BUCKETS_MAX or self.buckets & (self.buckets - 1)
                or status.st_size != HEADER_BYTES + self.buckets * BUCKET_BYTES or number(0x020) == 0):
            raise TableError(f"{path}: damaged")
        self.seed = number(0x018)
        self.incarnation = number(0x020)
        self.same_boot = header[BOOT_ID:BOOT_ID + 16] == boot_id()
        self.file = (status.st_dev, status.st_ino)
        self._map = mmap.mmap(fd, status.st_size, mmap.MAP_SHARED, mmap.PROT_READ)
        self._words = memoryview(self._map).cast("Q")

    def close(self):
        self._words.release()
        self._map.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _load(self, offset):
        return self._words[offset // 8]

    def stamp(self):
        """To be taken before the source is read."""
        return Stamp(self.incarnation, self._load(SEQUENCE))

    def changes(self):
        """To be read before the groups are checked."""
        return self._load(CHANGES)

    def retired(self):
        return self._load(RETIRED) != 0

    def current(self):
        """Whether the path still leads to this table, as far as one can tell."""
        if self.retired():
            return False
        try:
            status = os.lstat(self.path)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) == self.file

    def slot_words(self, bucket):
        start = HEADER_BYTES + bucket * BUCKET_BYTES
        return [self._load(start + 8 * i) for i in range(SLOTS)]

    def floor(self, bucket):
        return self._load(HEADER_BYTES + bucket * BUCKET_BYTES + 8 * SLOTS)

    def _check(self, group, since):
        bucket, tag = locate(group, self.seed, self.buckets)
        slots = self.slot_words(bucket)
        floor = self.floor(bucket)  # after the slots
        if any(word >> STAMP_BITS == tag and word & STAMP_MASK > since for word in slots):
            return Change.CHANGED
        return Change.COLLATERAL if floor > since else Change.UNCHANGED

    def changed(self, groups, since):
        """Whether what was stamped at `since` and depends on `groups` has changed."""
        if since.incarnation != self.incarnation:
            return Change.CHANGED
        verdicts = {self._check(group, since.sequence) for group in implied(groups)}
        if Change.CHANGED in verdicts or self.retired():
            return Change.CHANGED
        return Change.COLLATERAL if Change.COLLATERAL in verdicts else Change.UNCHANGED

    def watermark_ns(self):
        """0: none that could be trusted."""
        watermark = self._load(WATERMARK)
        return watermark if self.same_boot and watermark <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) else 0

    def info(self):
        words = [self.slot_words(bucket) for bucket in range(self.buckets)]
        return {
            "incarnation": self.incarnation,
            "buckets": self.buckets,
            "sequence": self._load(SEQUENCE),
            "changes": self._load(CHANGES),
            "retired": self.retired(),
            "same_boot": self.same_boot,
            "slots_used": sum(word != 0 for slots in words for word in slots),
            "buckets_overflowed": sum(self.floor(bucket) != 0 for bucket in range(self.buckets)),
            "watermark_ns": self.watermark_ns(),
            "ping_interval_ms": self._load(PING_INTERVAL),
            "worker_pid": self._load(WORKER_PID),
            "worker_heartbeat_ns": self._load(WORKER_HEARTBEAT),
            "worker_connected": self._load(WORKER_CONNECTED) != 0,
        }
