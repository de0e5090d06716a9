#!/usr/bin/env python3
"""The same training step in PyTorch, for comparison with this project's in one session on one machine.

The small VQ-VAE (arXiv 1711.00937) with the plain or the clustered quantiser, forward, backward and
Adam, on random images. Two lookups: `lean` (argmax, as a careful PyTorch user would write it) and `sorted`
(a full sort of all distances along both axes, as the reference implementation does).

    apt-get install -y python3-torch        # or any PyTorch
    OMP_NUM_THREADS=2 python3 pytorch_step.py [--batch 128] [--image 28 28 1] [--device cpu|cuda] [--steps 5]
        [--quantizer vanilla|clustered] [--lookup lean|sorted]

Prints one JSON line per variant: images per second, seconds per step (the fastest of the measured steps), and the fields
that side.ts prints for a work, including the peak memory of the process until then.
"""
import argparse, json, os, resource, time
import torch, torch.nn as nn, torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, hidden, residual_hidden):
        super().__init__()
        self.conv3 = nn.Conv2d(hidden, residual_hidden, 3, padding=1)
        self.conv1 = nn.Conv2d(residual_hidden, hidden, 1)

    def forward(self, x):
        x = F.relu(x)
        return x + self.conv1(F.relu(self.conv3(x)))


class VQVAE(nn.Module):
    def __init__(self, channels, hidden=128, residual_hidden=32, codebook_size=512, codebook_dim=64):
        super().__init__()
        blocks = lambda: nn.Sequential(Block(hidden, residual_hidden), Block(hidden, residual_hidden), nn.ReLU())
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, hidden // 2, 4, 2, 1), nn.ReLU(), nn.Conv2d(hidden // 2, hidden, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1), blocks(), nn.Conv2d(hidden, codebook_dim, 1))
        self.decoder = nn.Sequential(
            nn.Conv2d(codebook_dim, hidden, 3, padding=1), blocks(),
            nn.ConvTranspose2d(hidden, hidden // 2, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(hidden // 2, channels, 4, 2, 1))
        self.codes = nn.Parameter(torch.empty(codebook_size, codebook_dim).uniform_(-1 / codebook_size, 1 / codebook_size))
        self.register_buffer("usage", torch.zeros(codebook_size))

    def similarity(self, z, distance):
        if distance == "cos":
            return F.normalize(z, dim=1) @ F.normalize(self.codes, dim=1).t()
        return 2 * z @ self.codes.t() - (z * z).sum(1, keepdim=True) - (self.codes * self.codes).sum(1)

    def forward(self, images, distance, clustered, lookup):
        z = self.encoder(images).permute(0, 2, 3, 1)
        flat = z.reshape(-1, z.shape[-1])
        with torch.no_grad():
            s = self.similarity(flat, distance)
            index = s.sort(dim=1)[1][:, -1] if lookup == "sorted" else s.argmax(1)
        e = self.codes[index].view(z.shape)
        loss = 0.25 * F.mse_loss(z, e.detach()) + F.mse_loss(e, z.detach())
        if clustered:
            with torch.no_grad():
                count = torch.bincount(index, minlength=len(self.codes)).float() / len(index)
                self.usage.mul_(0.99).add_(count, alpha=0.01)
                closest = s.sort(dim=0)[1][-1] if lookup == "sorted" else s.argmax(0)
                alpha = torch.exp(-self.usage * len(self.codes) * 10 / 0.01 - 1e-3).unsqueeze(1)
                self.codes.data = self.codes.data * (1 - alpha) + flat[closest] * alpha
        q = z + (e - z).detach()
        return self.decoder(q.permute(0, 3, 1, 2)), loss


def peak_mib():
    """Measured like in side.ts: on Linux, resource usage would include the memory of the parent process."""
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM:"))
    unit = 2**20 if os.uname().sysname == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--image", type=int, nargs=3, default=[28, 28, 1], metavar=("H", "W", "C"))
    p.add_argument("--device", default="cpu")
    p.add_argument("--steps", type=int, default=5)
    p.add_argument("--quantizer", choices=["vanilla", "clustered"], help="only this one")
    p.add_argument("--lookup", choices=["lean", "sorted"], help="only this one")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    h, w, c = a.image
    images = torch.rand(a.batch, c, h, w, device=a.device) * 2 - 1
    sync = torch.cuda.synchronize if a.device.startswith("cuda") else (lambda: None)
    for clustered, distance, lookup in [(False, "l2", "lean"), (True, "cos", "lean"), (False, "l2", "sorted"), (True, "cos", "sorted")]:
        quantizer = "clustered" if clustered else "vanilla"
        if a.quantizer not in (None, quantizer) or a.lookup not in (None, lookup):
            continue
        torch.manual_seed(0)
        model = VQVAE(c).to(a.device)
        adam = torch.optim.Adam(model.parameters(), lr=3e-4)
        times = []
        for _ in range(a.steps + 2):
            sync(); t = time.perf_counter()
            adam.zero_grad()
            y, loss = model(images, distance, clustered, lookup)
            (F.mse_loss(y, images) / 0.095 + loss).backward()
            adam.step()
            sync(); times.append(time.perf_counter() - t)
        best = min(times[2:])
        print(json.dumps(dict(peer=f"pytorch {torch.__version__}", quantizer=quantizer, distance=distance,
                              lookup=lookup, batch=a.batch, image=a.image, device=a.device, threads=a.threads,
                              seconds_per_step=round(best, 4), images_per_second=round(a.batch / best, 1),
                              work=f"step, {quantizer}, batch {a.batch} of {h}x{w}x{c}", ms=1000 * best,
                              peakMiB=peak_mib())), flush=True)


if __name__ == "__main__":
    main()
