"""Cancellation tables written byte by byte from the format's description, for tests that need one that no worker would
make: of another boot, of a newer version, damaged."""

import os
import struct
import uuid

HEADER_BYTES = 4096
BUCKET_BYTES = 64
MAGIC = b"QUASHTBL"
INCARNATION = 0x9F3C77AA12345678


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return uuid.UUID(file.read().strip()).bytes


def table_bytes(*, magic=MAGIC, version=1, header_bytes=HEADER_BYTES, buckets=16, seed=7, incarnation=INCARNATION,
                retired=0, boot=None, sequence=0, changes=0):
    header = bytearray(HEADER_BYTES)
    struct.pack_into("<8sIIQQQQQ", header, 0, magic, version, header_bytes, buckets, seed, incarnation, 0, retired)
    header[0x80:0x90] = boot_id() if boot is None else boot
    struct.pack_into("<Q", header, 0x100, sequence)
    struct.pack_into("<Q", header, 0x180, changes)
    return bytes(header) + bytes(buckets * BUCKET_BYTES)


def write_table(path, mode=0o600, size=None, **fields):
    """Makes the file at `path`, cut to `size` bytes if that is given. Returns `path`."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "wb") as file:
        file.write(table_bytes(**fields)[:size])
    os.chmod(path, mode)  # whatever the umask says
    return path
