#!/usr/bin/env python3
"""The training step of a transformer over codes in PyTorch, for comparison with this project's.

Pre-norm blocks with exact GELU and dropout, causal attention, cross-entropy, AdamW with weight decay on matrices only, on
random codes.

    python3 pytorch_gpt.py '{"work": "gpt step", "batch": 64, …}'
"""
import json, math, sys
import torch, torch.nn as nn, torch.nn.functional as F
from pytorch_clock import fastest, report, use_threads


class Block(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def attend(self, x, hidden):
        b, s, width = x.shape
        q, k, v = self.qkv(x).view(b, s, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        logits = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).masked_fill(hidden, -math.inf)
        return self.output((logits.softmax(3) @ v).transpose(1, 2).reshape(b, s, width))

    def forward(self, x, hidden):
        drop = lambda y: F.dropout(y, self.rate, self.training)
        x = x + drop(self.attend(self.norm1(x), hidden))
        return x + drop(self.outer(F.gelu(self.inner(self.norm2(x)))))


class Transformer(nn.Module):
    def __init__(self, codes, length, width, heads, layers, dropout):
        super().__init__()
        self.tokens, self.first = nn.Embedding(codes, width), nn.Embedding(1, width)
        self.positions, self.rate = nn.Parameter(0.02 * torch.randn(length, width)), dropout
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, codes, bias=False)
        self.register_buffer("hidden", torch.ones(length, length, dtype=torch.bool).triu(1))

    def forward(self, codes):
        first = self.first(torch.zeros(len(codes), 1, dtype=torch.long))
        x = torch.cat([first, self.tokens(codes[:, :-1])], 1) + self.positions
        x = F.dropout(x, self.rate, self.training)
        for block in self.blocks:
            x = block(x, self.hidden)
        return self.head(self.norm(x))


def main():
    plan = json.loads(sys.argv[1])
    use_threads()
    torch.manual_seed(0)
    model = Transformer(**plan["model"])
    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    groups = [dict(params=matrices, weight_decay=0.01), dict(params=others, weight_decay=0)]
    adam = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95))
    codes = torch.randint(plan["model"]["codes"], (plan["batch"], plan["model"]["length"]))

    def step():
        adam.zero_grad()
        F.cross_entropy(model(codes).flatten(0, 1), codes.flatten()).backward()
        adam.step()

    report(plan["work"], fastest(step, plan["runs"]))


if __name__ == "__main__":
    main()
