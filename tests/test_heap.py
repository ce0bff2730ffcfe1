"""The heap: what a pass frees goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

KEPT = """
import threading
from pathlib import Path
import torch
from model_utils import heap
assert heap.give_back_large_blocks()

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def work():
    blocks = [torch.ones(8 << 18) for _ in range(50)]  # 8 MiB each
    kept.extend(torch.ones(1 << 18) for _ in range(50))  # behind them, in the way of a heap that would shrink
    del blocks

torch.ones(8 << 18)  # glibc would now take up to 8 MiB from its heap
kept, before = [], resident()
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
def test_large_blocks_go_back_to_the_system_whatever_lies_behind_them():
    done = subprocess.run([sys.executable, "-c", KEPT], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 100 << 20, "only the small blocks stay"
