/** The table of a model's layers. */
import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import { randomKey } from "../../core/random.ts";
import { VQVAE } from "../../models/vqvae.ts";
import { summarize } from "../../nn/summary.ts";
import { createQuantizer } from "../../quantizers/registry.ts";

const key = randomKey(1, "summary");
using device = await openDevice("reference");

Deno.test("the summary lists each layer's path, class, shapes and parameters, and their total", () => {
  const settings = { type: "ema", codebookSize: 8, codebookDim: 4 } as const;
  const quantizer = createQuantizer(device, settings, key);
  using model = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
  const lines = summarize(model).split("\n");
  assert.match(lines[0], /^layer +class +tensors +parameters$/);
  assert.match(lines[1], /^\(model\) +VQVAE$/);
  const conv1 = lines.find((line) => line.startsWith("encoder.conv1 "));
  assert.match(conv1!, / Conv2d +weight \[4, 4, 1, 4\], bias \[4\] +68$/);
  const inner = lines.find((line) => line.startsWith("decoder.residual.1.conv3 "));
  assert.match(inner!, / Conv2d +weight \[3, 3, 8, 4\], bias \[4\] +292$/);
  const codes = lines.find((line) => line.startsWith("quantizer "));
  assert.match(codes!, /EmaQuantizer +.*\(\w+ \[8, 4\]\)/);
  const total = model.parameters().reduce((sum, { size }) => sum + size, 0);
  assert.equal(
    lines.at(-1),
    `${total.toLocaleString("en-US")} parameters, ${(4 * total).toLocaleString("en-US")} bytes`,
  );
  const counts = lines.slice(1, -1).map((line) => line.match(/ {2}([\d,]+)$/)?.[1] ?? "0");
  assert.equal(counts.reduce((sum, count) => sum + Number(count.replaceAll(",", "")), 0), total);
});
