#!/usr/bin/env python3
"""PyTorch's matrix product, convolution with its gradients, attention, and nearest codes, on the same inputs as every side.

    python3 pytorch_kernels.py FOLDER WORK...

Prints one JSON line per work, like side.ts, and writes the result to the folder. The number of runs follows side.ts.
"""
import json, math, sys, time
import torch
from pytorch_clock import now, use_threads
from pytorch_step import peak_mib
from torch.nn.grad import conv2d_input, conv2d_weight
from torch.nn.functional import conv2d

LEAST_RUNS, LEAST_SECONDS, LIMIT_SECONDS = 3, 1.5, 15


def read(folder, work, name, *shape):
    with open(f"{folder}/{work}-{name}.input", "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=torch.float32).reshape(shape)


def images_first(x):
    return x.permute(0, 3, 1, 2).contiguous()


def filter_first(x):
    return x.permute(3, 2, 0, 1).contiguous()


def images_last(x):
    return x.permute(0, 2, 3, 1)


def filter_last(x):
    return x.permute(2, 3, 1, 0)


def matmul(folder):
    a, b = (read(folder, "matmul", name, 1024, 1024) for name in "ab")
    return lambda: a @ b, lambda c: [c]


def conv(folder):
    x = images_first(read(folder, "conv", "images", 64, 14, 14, 64))
    w = filter_first(read(folder, "conv", "filter", 4, 4, 64, 128))
    return lambda: conv2d(x, w, stride=2, padding=1), lambda y: [images_last(y)]


def conv_by_images(folder):
    g = images_first(read(folder, "convByImages", "outputs", 64, 7, 7, 128))
    w = filter_first(read(folder, "convByImages", "filter", 4, 4, 64, 128))
    return lambda: conv2d_input((64, 64, 14, 14), w, g, stride=2, padding=1), lambda y: [images_last(y)]


def conv_by_filter(folder):
    x = images_first(read(folder, "convByFilter", "images", 64, 14, 14, 64))
    g = images_first(read(folder, "convByFilter", "outputs", 64, 7, 7, 128))
    return lambda: conv2d_weight(x, (128, 64, 4, 4), g, stride=2, padding=1), lambda y: [filter_last(y)]


def nearest(folder):
    z = read(folder, "nearest", "features", 50176, 64)
    e = read(folder, "nearest", "codebook", 512, 64)

    def once():
        s = 2 * z @ e.t() - (z * z).sum(1, keepdim=True) - (e * e).sum(1)
        return s.argmax(1), s.argmax(0)

    return once, lambda indices: [i.int() for i in indices]


def attend(q, k, v, hidden):
    logits = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    return (logits if hidden is None else logits.masked_fill(hidden, -math.inf)).softmax(3) @ v


def attention(work):
    """The work with this name: attention, N tokens[, causal][, backward]."""
    length = int(work.split()[1])
    hidden = torch.ones(length, length, dtype=torch.bool).triu(1) if "causal" in work else None
    heads_first = lambda x: x.transpose(1, 2).contiguous()
    heads_last = lambda x: x.transpose(1, 2)

    def prepare(folder):
        names = "qkvg" if "backward" in work else "qkv"
        q, k, v, *g = (heads_first(read(folder, work, name, 1024 // length, length, 8, 32)) for name in names)
        if not g:
            return lambda: attend(q, k, v, hidden), lambda y: [heads_last(y)]
        for x in (q, k, v):
            x.requires_grad_()

        y = attend(q, k, v, hidden)
        once = lambda: torch.autograd.grad(y, (q, k, v), g[0], retain_graph=True)
        return once, lambda gradients: [heads_last(x) for x in gradients]

    return prepare


def fastest_run(once):
    started = time.perf_counter()  # By the wall clock, whatever the runs are timed by.
    for _ in range(2):
        if time.perf_counter() - started < LIMIT_SECONDS:
            once()
    counting = time.perf_counter()
    times = []
    while True:
        before = now()
        once()
        times.append(now() - before)
        clock = time.perf_counter()
        enough = len(times) >= LEAST_RUNS and clock - counting >= LEAST_SECONDS
        if enough or clock - started >= LIMIT_SECONDS:
            return min(times)


WORKS = dict(matmul=matmul, conv=conv, convByImages=conv_by_images, convByFilter=conv_by_filter, nearest=nearest)

folder, *works = sys.argv[1:]
use_threads()
for work in works:
    prepare = WORKS.get(work) or attention(work)
    once, ours = prepare(folder)
    seconds = fastest_run(once)
    print(json.dumps(dict(work=work, ms=1000 * seconds, peakMiB=peak_mib())), flush=True)
    with open(f"{folder}/{work}.result", "wb") as file:
        for result in ours(once()):
            file.write(result.contiguous().numpy().tobytes())
