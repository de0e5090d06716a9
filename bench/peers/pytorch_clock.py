"""How the PyTorch sides are timed: by the wall clock on all cores, or by processor time on one thread."""
import json, os, time
import torch
from pytorch_step import peak_mib

PROCESSOR = os.environ.get("CODEBOOK_BENCH_CLOCK") == "processor"
now = time.process_time if PROCESSOR else time.perf_counter


def use_threads():
    torch.set_num_threads(1 if PROCESSOR else os.cpu_count())


def fastest(body, runs):
    """Milliseconds of the fastest of some runs, after two warm-up runs."""
    times = []
    for _ in range(2 + runs):
        started = now()
        body()
        times.append(now() - started)
    return 1000 * min(times[2:])


def report(work, ms):
    """Prints a measurement in the same form as side.ts."""
    print(json.dumps(dict(work=work, ms=ms, peakMiB=peak_mib())), flush=True)
