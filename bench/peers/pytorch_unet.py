#!/usr/bin/env python3
"""The training step of a diffusion's U-Net in PyTorch, and steps of DDIM, for comparison with this project's.

The network is that of the parity tests, tests/fixtures/unet/make.py. The prediction is v, and the optimiser is AdamW
with clipped gradients.

    python3 pytorch_unet.py '{"work": "ldm step", "batch": 128, …}'
"""
import json, math, pathlib, sys
import torch, torch.nn.functional as F
from pytorch_clock import fastest, report, use_threads

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "fixtures" / "unet"))
from make import UNet

TIMES = 1000


def cosine(times):
    """α and σ at the given times."""
    f = lambda t: math.cos((t / TIMES + 0.008) / 1.008 * math.pi / 2) ** 2
    kept = torch.tensor([max(1e-9, f(t + 1) / f(0)) for t in times])
    return [part.sqrt().view(-1, 1, 1, 1) for part in (kept, 1 - kept)]


def main():
    plan = json.loads(sys.argv[1])
    torch.set_default_dtype(torch.float32)
    use_threads()
    torch.manual_seed(0)
    side, channels, sampling = plan["side"], plan["channels"], plan["sampling"]
    net = UNet(plan["model"], channels, None)
    adam = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
    original = torch.randn(plan["batch"], channels, side, side)

    def step():
        times = torch.randint(TIMES, (plan["batch"],))
        alpha, sigma = cosine(times.tolist())
        noise = torch.randn_like(original)
        adam.zero_grad()
        output = net(alpha * original + sigma * noise, times.float(), None, None)
        F.mse_loss(output, alpha * noise - sigma * original).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1)
        adam.step()

    @torch.no_grad()
    def sample():
        x = torch.randn(sampling["batch"], channels, side, side)
        steps = sampling["steps"]
        walk = [TIMES - 1 - index * (TIMES // steps) for index in range(steps)]
        for index, time in enumerate(walk):
            (alpha, sigma), last = cosine([time]), index + 1 == len(walk)
            to_alpha, to_sigma = (1, 0) if last else cosine([walk[index + 1]])
            v = net(x, torch.full((len(x),), float(time)), None, None)
            x0, noise = alpha * x - sigma * v, sigma * x + alpha * v
            x = to_alpha * x0 + to_sigma * noise
        return x

    report(plan["work"], fastest(step, plan["runs"]))
    net.eval()
    report(sampling["work"], fastest(sample, plan["runs"]) / sampling["steps"])


if __name__ == "__main__":
    main()
