"""Which process of a run this is, and how `--processes N` starts them. It is asked before torch is imported.

    seqgen train-lm data.txt --processes 4
    torchrun --nproc-per-node 4 -m seqgen train-lm data.txt

A process belongs to a group when it was told so by all the variables that torchrun sets: one of them alone, left over
from something else, says nothing. `launch` sets the same ones, and does what torchrun does not: it ends with the exit
code that one process would have ended with, and hands on Ctrl-C.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from seqgen.config import Settings
from seqgen.errors import SeqgenError, TrainingError

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")
STARTER = "SEQGEN_STARTER"  # the process that started this one and waits for it
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Processes notice within a second or so that another one is gone; who has not ended by then never will.
GRACE_SECONDS = 30.0
POLL_SECONDS = 0.05
# The first signal asks for a save, the second ends what listens, the third ends the rest.
PATIENT_SIGNALS = 2


def launched() -> bool:
    """Whether this process was started as one of a group."""
    rank, local_rank, world_size, address = (os.environ.get(name, "") for name in VARIABLES)
    return bool(address) and all(number.isdecimal() for number in (rank, local_rank, world_size))


def rank() -> int:
    """The number of this process in its group; 0 is the first, or the only one."""
    return int(os.environ["RANK"]) if launched() else 0


def size() -> int:
    """How many processes the group has."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def abandoned() -> bool:
    """Whether `launch` started this process and is gone, as after a kill that it could not hand on."""
    starter = os.environ.get(STARTER, "")
    return launched() and starter.isdecimal() and os.getppid() != int(starter)


@contextmanager
def first_speaks() -> Iterator[None]:
    """Errors that all processes find, such as wrong options, are said by the first; the others end silently."""
    try:
        yield
    except SeqgenError as error:
        if rank() == 0:
            raise
        raise SystemExit(error.exit_code) from None


def launch(processes: int, arguments: list[str]) -> int:
    """Run `seqgen ARGUMENTS` in several processes, as one command.

    Returns:
        int: the exit code of the run.

    Raises:
        TrainingError: the first process was killed, so that nobody else can say what happened.
    """
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),  # as torchrun does: they share the cores
        STARTER: str(os.getpid()),
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
    }
    with _listening() as heard:
        children = [
            subprocess.Popen(
                [sys.executable, "-m", "seqgen", *arguments],
                env=environment | {"RANK": str(number), "LOCAL_RANK": str(number)},
                stdin=None if number == 0 else subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches this process only, which hands it on once
            )
            for number in range(processes)
        ]
        _wait(children, heard)
    codes = [child.returncode for child in children]
    if codes[0] < 0 and -codes[0] not in heard:
        name = signal.Signals(-codes[0]).name
        raise TrainingError(f"the first of {processes} processes was killed ({name})", hint="--resume goes on")
    return max(code if code >= 0 else 128 - code if -code in heard else 1 for code in codes)


def _wait(children: list[subprocess.Popen[bytes]], heard: list[int]) -> None:
    """Until all have ended, handing signals on; when one fails, the others end soon or are ended."""
    deadline, handed_on = None, 0
    while any(child.poll() is None for child in children):
        for number in heard[handed_on:]:
            handed_on += 1
            for child in children:
                child.send_signal(number if handed_on <= PATIENT_SIGNALS or number == signal.SIGHUP else signal.SIGKILL)
        if deadline is None and any(child.returncode for child in children):
            deadline = time.monotonic() + GRACE_SECONDS
        if deadline is not None and time.monotonic() > deadline:
            for child in children:
                child.kill()
        time.sleep(POLL_SECONDS)


@contextmanager
def _listening() -> Iterator[list[int]]:
    """Hear signals instead of ending by them.

    Yields:
        list[int]: those so far.
    """
    heard: list[int] = []

    def hear(number: int, _: FrameType | None) -> None:
        heard.append(number)

    heeded = [number for number in FORWARDED if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, hear) for number in heeded}  # nohup's wish is respected
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def resume_command(settings: Settings, directory: Path) -> str:
    """What a person types to resume a run, in as many processes as run now."""
    processes = ["--processes", str(size())] if size() > 1 else []
    return shlex.join(["seqgen", settings.command, "--resume", "--out", str(directory), *processes])
