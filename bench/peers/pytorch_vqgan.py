#!/usr/bin/env python3
"""The training step of a VQGAN in PyTorch, for comparison with this project's in one session on one machine.

Autoencoder and discriminator, both updates, on random images: L1, the adaptive generator term, plain vector quantisation,
hinge losses, two Adams. The networks are those of the parity tests, tests/fixtures/make_vqgan.py.

    python3 pytorch_vqgan.py '{"work": "vqgan-small step", "batch": 16, …}'

Prints a measurement in the same form as side.ts. The time is that of the fastest of the measured steps.
"""
import json, pathlib, sys
import torch, torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "fixtures"))
from make_vqgan import VQGAN, Discriminator
from pytorch_clock import fastest, report, use_threads


def nearest(features, codes):
    """The index of the code with the smallest squared distance, without a tensor of all differences."""
    rows = features.permute(0, 2, 3, 1).reshape(-1, codes.shape[1])
    similarity = torch.addmm(codes.square().sum(1), rows, codes.t(), beta=-0.5)
    return similarity.argmax(1).view(features.shape[0], *features.shape[2:])


def main():
    plan = json.loads(sys.argv[1])
    use_threads()
    torch.manual_seed(0)
    side, s = plan["side"], {**plan["model"], "channels": 3, "spatial": False}
    model, critic = VQGAN(s), Discriminator(3, plan["discChannels"], plan["discLayers"])
    adams = [torch.optim.Adam(m.parameters(), lr=plan["learningRate"], betas=(0.5, 0.9)) for m in (model, critic)]
    images = torch.rand(plan["batch"], 3, side, side) * 2 - 1
    last = model.decoder.conv_out.weight
    codes = model.quantize.embedding.weight

    def step():
        features = model.encode(images)
        with torch.no_grad():
            indices = nearest(features, codes)
        chosen = model.quantize.lookup(indices)
        quantizer = 0.25 * F.mse_loss(features, chosen.detach()) + F.mse_loss(chosen, features.detach())
        rebuilt = model.decode(features + (chosen - features).detach())
        nll = (rebuilt - images).abs().mean()
        critic.requires_grad_(False)
        generator = -critic(rebuilt).mean()
        critic.requires_grad_(True)
        [a], [b] = [torch.autograd.grad(loss, [last], retain_graph=True) for loss in (nll, generator)]
        adaptive = (a.norm() / (b.norm() + 1e-4)).clamp(0, 1e4).detach() * 0.8
        adams[0].zero_grad()
        (nll + adaptive * generator + quantizer).backward()
        adams[0].step()
        real, fake = critic(images), critic(rebuilt.detach())
        adams[1].zero_grad()
        (0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())).backward()
        adams[1].step()

    report(plan["work"], fastest(step, plan["runs"]))


if __name__ == "__main__":
    main()
