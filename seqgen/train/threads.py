"""How many threads: measured, for it cannot be told from the number of cores.

Threads that share one operation wait for each other at its end, spinning. On a machine whose cores are busy with other
work, or lent in part only, two may be several times slower than one. So what takes longer, without `--threads`, first
does a little work of the kind that training consists of with every candidate. What is found is a setting of a training
run like any other: it is kept in `training.json`, for sums in another number of parts round differently, and a resumed
run goes on with it.
"""

from __future__ import annotations

import statistics
import time

import torch

from seqgen.train.launch import launched

# PyTorch's own choice, by the cores and OMP_NUM_THREADS, before any command makes another one.
MOST = torch.get_num_threads()
# A large product, as of a whole batch, and small ones, as of one step through time: about 20 ms of one core.
LARGE, SMALL, TIMES = (2048, 384), (32, 384), 16
ROUNDS, MAX_SECONDS = 5, 0.8
# More threads must be worth it: they take the cores from others, and the next moment may be a busier one.
WORTH = 0.9


def fastest_threads(device: torch.device) -> int:
    """The number of threads that is fastest now; PyTorch's own choice where there is nothing to measure.

    That is so on an accelerator, and where several processes share the machine. Takes less than a second, draws no
    random numbers, and leaves the number of threads as it is.
    """
    if device.type != "cpu" or launched():
        return MOST
    return chosen({threads: statistics.median(seconds) for threads, seconds in _measured(candidates(MOST)).items()})


def candidates(most: int) -> list[int]:
    """One, its doubles, and the most that there may be."""
    return sorted({2**i for i in range(most.bit_length())} | {most})


def chosen(seconds: dict[int, float]) -> int:
    """From the seconds of each candidate: a larger one is taken when it is clearly faster than all smaller ones."""
    best = min(seconds)
    for threads in sorted(seconds):
        if seconds[threads] < WORTH * seconds[best]:
            best = threads
    return best


def _measured(counts: list[int]) -> dict[int, list[float]]:
    """Seconds of each round with each count, in turn, so that what disturbs one disturbs all."""
    if len(counts) == 1:
        return {counts[0]: [0.0]}
    matrix = torch.full((LARGE[1], LARGE[1]), 0.01)
    large, small = torch.full(LARGE, 0.01), torch.full(SMALL, 0.01)
    before, found, begin = torch.get_num_threads(), {count: list[float]() for count in counts}, time.perf_counter()
    try:
        for done in range(ROUNDS + 1):
            for count in counts:
                torch.set_num_threads(count)
                start = time.perf_counter()
                torch.relu(large @ matrix)
                for _ in range(TIMES):
                    torch.relu(small @ matrix)
                found[count].append(time.perf_counter() - start)
            if done and time.perf_counter() - begin > MAX_SECONDS:
                break
    finally:
        torch.set_num_threads(before)
    return {count: seconds[1:] for count, seconds in found.items()}  # the first round starts the threads
