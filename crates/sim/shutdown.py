#!/usr/bin/env python3
"""What EXT4_IOC_SHUTDOWN does to syncs under way, in each of its modes. Needs root.

    crates/sim/shutdown.py [ROUNDS [DIRECTORY]]

Eight threads write blocks to files whose space is reserved, as a segment's is, and sync each; the file system is shut down and
mounted anew. Counted are the syncs that reported success before, during and after the ioctl, and how many of their blocks are not
there. It explains why `sim powercut` counts only what was acknowledged before the cut.
"""
import collections
import fcntl
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time

SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), include/uapi/linux/ext4.h
MODES = {"default": 0, "logflush": 1, "nologflush": 2}
THREADS, BLOCKS, BLOCK = 8, 2000, 4096


def block(number):
    return struct.pack("<Q", number + 1) * (BLOCK // 8)


def write(file, told, stop):
    for number in range(BLOCKS):
        if stop.is_set():
            return
        try:
            os.pwrite(file, block(number), number * BLOCK)
            os.fdatasync(file)
        except OSError:
            return
        told.append((number, time.monotonic()))


def one_round(flag, image, mount, counts):
    mounting = ["mount", "-o", "loop", image, mount]
    subprocess.run(["truncate", "-s", "600M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(mounting, check=True)
    root = os.open(mount, os.O_RDONLY)
    paths = [os.path.join(mount, str(number)) for number in range(THREADS)]
    files = [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]
    for file in files:
        os.posix_fallocate(file, 0, BLOCKS * BLOCK)
        os.fsync(file)
    os.fsync(root)
    told, stop = [[] for _ in files], threading.Event()
    threads = [threading.Thread(target=write, args=(*pair, stop)) for pair in zip(files, told)]
    for thread in threads:
        thread.start()
    time.sleep(0.05 + 0.2 * random.random())
    begun = time.monotonic()
    fcntl.ioctl(root, SHUTDOWN, struct.pack("I", flag))
    done = time.monotonic()
    time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()
    for file in [*files, root]:
        os.close(file)
    subprocess.run(["umount", mount], check=True)
    subprocess.run(mounting, check=True)
    for path, syncs in zip(paths, told):
        with open(path, "rb") as file:
            data = file.read()
        for number, when in syncs:
            phase = "before" if when < begun else "during" if when <= done else "after"
            counts[f"success {phase}"] += 1
            if data[number * BLOCK : (number + 1) * BLOCK] != block(number):
                counts[f"success {phase}, lost"] += 1
    subprocess.run(["umount", mount], check=True)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    parent = sys.argv[2] if len(sys.argv) > 2 else "/var/tmp"
    with tempfile.TemporaryDirectory(dir=parent) as directory:
        image, mount = os.path.join(directory, "image"), os.path.join(directory, "mount")
        os.mkdir(mount)
        for name, flag in MODES.items():
            counts = collections.Counter()
            for _ in range(rounds):
                one_round(flag, image, mount, counts)
            print(name, dict(sorted(counts.items())), flush=True)


main()
