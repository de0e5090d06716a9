/** The warm-up: from the features to their codes. */
import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { CodeWarmup } from "../../quantizers/code_warmup.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();

const key = randomKey(9, "warmed");
const [N, D] = [6, 3];

testOnEach(devices, "the share of the codes grows with the training steps", async (device) => {
  const inner = new VanillaQuantizer(device, { codebookSize: 4, codebookDim: D, key });
  const quantizer = new CodeWarmup(inner, 4);
  const z = draw([N, D], "features"), up = draw([N, D], "upstream");
  const features = parameter(device.tensor(z, [N, D]));
  const codes = await inner.quantize(features, { training: true, key }).quantized.floats();
  for (const step of [0, 1, 2, 3, 4, 9]) {
    const share = Math.min(1, step / 4);
    const context = { training: true, key: { ...key, step } };
    const { quantized, indices } = quantizer.quantize(features, context);
    const expected = z.map((x, i) => (1 - share) * x + share * codes[i]);
    assertClose(await quantized.floats(), expected, EQUATIONS, `step ${step}`);
    const looked = await quantizer.lookup(indices).floats();
    assert.deepEqual(looked, codes, "indices are the codes' from the start");
    const [gradient] = backward(sum(mul(quantized, device.tensor(up, [N, D]))), [features]);
    assertClose(await gradient.floats(), up, EQUATIONS, "the gradient passes as it is");
    const evaluated = quantizer.quantize(features, { ...context, training: false });
    assert.deepEqual(await evaluated.quantized.floats(), codes, "evaluation has codes only");
  }
});
