#!/usr/bin/env python3
"""PyTorch's matrix product, convolution with its gradients, and nearest codes, on the inputs that every side has.

    python3 pytorch_kernels.py FOLDER WORK...

Prints one JSON line a work, as side.ts does, and leaves the result in the folder. Runs are counted by side.ts's rule.
"""
import json, os, sys, time
import torch
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


def fastest_run(once):
    started = time.perf_counter()
    for _ in range(2):
        if time.perf_counter() - started < LIMIT_SECONDS:
            once()
    counting = time.perf_counter()
    times = []
    while True:
        before = time.perf_counter()
        once()
        now = time.perf_counter()
        times.append(now - before)
        enough = len(times) >= LEAST_RUNS and now - counting >= LEAST_SECONDS
        if enough or now - started >= LIMIT_SECONDS:
            return min(times)


WORKS = dict(matmul=matmul, conv=conv, convByImages=conv_by_images, convByFilter=conv_by_filter, nearest=nearest)

folder, *works = sys.argv[1:]
torch.set_num_threads(os.cpu_count())
for work in works:
    once, ours = WORKS[work](folder)
    seconds = fastest_run(once)
    print(json.dumps(dict(work=work, ms=1000 * seconds, peakMiB=peak_mib())), flush=True)
    with open(f"{folder}/{work}.result", "wb") as file:
        for result in ours(once()):
            file.write(result.contiguous().numpy().tobytes())
