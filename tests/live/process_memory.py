# SPDX-License-Identifier: Apache-2.0
"""What a process has in its memory, as root sees it."""


def memory(pid):
    """All that the process can read of itself, as root sees it."""
    regions = open(f"/proc/{pid}/maps", encoding="ascii").read().splitlines()
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in regions:
            span, mode = line.split()[:2]
            if "r" not in mode or "[v" in line:
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            while start < end:
                n = min(end - start, 1 << 24)
                try:
                    mem.seek(start)
                    yield mem.read(n)
                except (OSError, ValueError):
                    pass
                start += n


def holds(pid, needles):
    """Names of the needles that are in the process's memory."""
    found, tail = set(), b""
    for piece in memory(pid):
        whole = tail + piece
        found |= {name for name, bytes_ in needles.items() if bytes_ in whole}
        tail = whole[-4096:]
    return found
