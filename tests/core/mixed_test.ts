/** Mixed precision: what is rounded to float16, what is not, and who refuses it. */
import assert from "node:assert/strict";
import type { Backend } from "../../core/backend.ts";
import { openDevice } from "../../core/device.ts";
import { backward } from "../../core/execute.ts";
import { mul, square } from "../../core/functions/elementwise.ts";
import { matmul } from "../../core/functions/products.ts";
import { mean } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import { Conv2d } from "../../nn/convolution.ts";
import { Linear } from "../../nn/linear.ts";
import type { Attributes, OperationName } from "../../core/ops.ts";
import type { Precision } from "../../core/precision.ts";
import { Device } from "../../core/tensor.ts";
import { openGpu } from "../../core/webgpu/adapter.ts";
import { WebGpuBackend } from "../../core/webgpu/backend.ts";
import { hasFloat16, testMixed } from "../mixed.ts";
import { checkForward } from "./check_operation.ts";
import { operationCases } from "./operation_cases.ts";
import { draw } from "../each_device.ts";
import { assertClose } from "../tolerances.ts";

/** Two factors rounded to float16 (2⁻¹² of them on average, and at most 2⁻¹¹), and sums of up to four of their products
 * rounded likewise, in random directions. */
const MIXED = 1e-3;

for (const software of [true, false]) {
  const tiling = software ? "registers" : "workgroup memory";
  testMixed(
    `float16 products with ${tiling} agree with float32 to float16's accuracy`,
    async () => {
      using reference = await openDevice("reference");
      const options = { software, precision: "mixed" } as const;
      const backend: unknown = new WebGpuBackend(await openGpu("mixed"), options);
      using device = new Device(backend as Backend);
      async function check<N extends OperationName>(name: N, abouts: readonly string[]) {
        for (const about of abouts) {
          const row = operationCases[name].find((each) => each.about === about);
          assert.ok(row, `${name} must have the case ${about}`);
          const { attributes } = row as { readonly attributes: Attributes[N] };
          await checkForward(reference, device, name, { ...row, attributes, tolerance: MIXED });
        }
      }
      await check("matmul", ["batches", "batches, both transposed"]);
      await check("conv2d", ["no multiples of a tile", "a first layer", "relu without a bias"]);
      await check("convTranspose2d", ["no multiples of a tile", "a first layer"]);
      await check("conv2dFilter", ["no multiples of a tile", "a layer of an encoder"]);
    },
  );
}

testMixed("operands far below or above float16's range keep float16's accuracy", async () => {
  using reference = await openDevice("reference");
  using device = await openDevice("webgpu", { precision: "mixed" });
  const [a, b] = ["a", "b"].map((name) => draw([32, 32], name));
  for (const [left, right] of [[1e-12, 1], [1e-20, 1e9], [3e6, 1e-3], [0, 1]]) {
    const product = (on: Device) =>
      matmul(
        on.tensor(a.map((x) => x * left), [32, 32]),
        on.tensor(b.map((x) => x * right), [32, 32]),
        { precision: "mixed" },
      ).floats();
    assertClose(await product(device), await product(reference), MIXED, `${left}, ${right}`);
  }
});

testMixed(
  "scaling a loss by a power of two scales its gradients by exactly that, so no loss scaling is needed",
  async () => {
    using device = await openDevice("webgpu", { precision: "mixed" });
    const key = randomKey(1, "loss scale");
    const geometry = { kernelSize: 3, padding: 1 };
    using first = new Conv2d(device, 3, 8, { ...geometry, relu: true, key });
    using down = new Conv2d(device, 8, 8, { ...geometry, stride: 2, key: { ...key, step: 1 } });
    using last = new Linear(device, 8, 4, { key: { ...key, step: 2 } });
    const layers = [first, down, last];
    const parameters = layers.flatMap((layer) => layer.parameters());
    const gradients = async (scale: number) => {
      using _scope = device.scope();
      let x = device.tensor(draw([2, 8, 8, 3], "images"), [2, 8, 8, 3]);
      for (const layer of layers) x = layer.forward(x);
      return await Promise.all(
        backward(mul(mean(square(x)), scale), parameters).map((gradient) => gradient.floats()),
      );
    };
    const plain = await gradients(1);
    assert.ok(plain.every((gradient) => gradient.some((value) => value !== 0)));
    // float16 reaches from 2^-24 to 2^16.
    for (const exponent of [-60, -30, 30, 60]) {
      const scaled = await gradients(2 ** exponent);
      scaled.forEach((gradient, at) =>
        assert.deepEqual(gradient, plain[at].map((value) => value * 2 ** exponent), `2^${exponent}`)
      );
    }
  },
);

testMixed("a matrix product is rounded to float16 only where that is allowed", async () => {
  using mixed = await openDevice("webgpu", { precision: "mixed" });
  using plain = await openDevice("webgpu");
  const product = (on: Device, precision?: Precision) =>
    matmul(on.tensor(draw([9, 70], "a"), [9, 70]), on.tensor(draw([70, 5], "b"), [70, 5]), {
      precision,
    }).floats();
  const exact = await product(plain);
  assert.deepEqual(await product(mixed), exact);
  assert.deepEqual(await product(plain, "mixed"), exact);
  assert.notDeepEqual(await product(mixed, "mixed"), exact);
});

Deno.test("devices without float16 reject mixed precision", async () => {
  for (const name of ["cpu", "reference"] as const) {
    await assert.rejects(openDevice(name, { precision: "mixed" }), {
      message: new RegExp(`^Cannot open device ${name} with precision mixed: .*, got ${name}$`),
    });
  }
  if (hasFloat16) return;
  await assert.rejects(openDevice("webgpu", { precision: "mixed" }), /shader-f16|no adapter/);
});
