/** What the device cpu computes by the system's BLAS. That it does not depend on the number of threads is in
 * `cpu_test.ts`. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { openDevice } from "../../core/device.ts";
import { nearest } from "../../core/functions/indexing.ts";
import { conv2d, convTranspose2d, matmul } from "../../core/functions/products.ts";
import type { Attributes } from "../../core/ops.ts";
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { findTestBlas } from "../helpers.ts";
import { checkForward, checkGradients, type Row } from "./check_operation.ts";
import { convolutionRows, geometry, operationCases } from "./operation_cases.ts";
import { uniform } from "./operands.ts";

const BY_BLAS = ["matmul", "conv2d", "convTranspose2d", "conv2dFilter"] as const;

/** Rows that the kernels by BLAS cut into several blocks. */
const cut: { readonly [N in typeof BY_BLAS[number]]: readonly Row<Attributes[N]>[] } = {
  matmul: [],
  ...convolutionRows([
    geometry("bands of rows", [2, 50, 47, 3], [4, 4], 5, { stride: [2, 3], padding: [1, 2] }),
    geometry("bands of rows, dilated", [1, 41, 50, 2], [3, 3], 3, { dilation: [3, 2] }),
    geometry("rows that nothing reaches", [1, 60, 60, 1], [2, 2], 3, { stride: [3, 1] }),
    geometry("long patches", [1, 4, 5, 300], [3, 3], 7, { padding: [1, 1] }),
    geometry("long rows of patches", [1, 3, 300, 2], [2, 290], 3, { padding: [0, 5] }),
    geometry("many small images", [70, 5, 5, 6], [3, 3], 9, { padding: [1, 1] }),
  ]),
};

const blas = await findTestBlas();

if (blas !== undefined) {
  const reference = await openDevice("reference");
  const device = await openDevice("cpu", { dnn: "off" });
  Deno.test.afterAll(() => {
    reference.close();
    device.close();
  });

  const check = <N extends typeof BY_BLAS[number]>(name: N): void => {
    const usual: readonly Row<Attributes[N]>[] = operationCases[name];
    const blocks: readonly Row<Attributes[N]>[] = cut[name];
    Deno.test(`${name} with BLAS agrees with the reference, forward and backward`, async () => {
      for (const row of [...usual, ...blocks]) {
        await checkForward(reference, device, name, row);
        await checkGradients(reference, device, name, row);
      }
    });
  };
  BY_BLAS.forEach(check);

  Deno.test("a device's description names its BLAS, if it has one", async () => {
    using off = await openDevice("cpu", { blas: "off", dnn: "off" });
    using named = await openDevice("cpu", { blas: blas.path, dnn: "off" });
    assert.ok(device.description.endsWith(`, products by ${blas.description}`));
    assert.equal(named.description, device.description);
    assert.doesNotMatch(off.description, /products/);
  });

  Deno.test("a BLAS product does not depend on the previous contents of its memory", async () => {
    const [x, y] = [[2, 6, 6, 64], [2, 6, 6, 32]];
    using _scope = device.scope();
    {
      using _before = device.scope();
      device.tensor(new Float32Array(1_000_000).fill(NaN), [1_000_000]);
    }
    const draw = (shape: number[]) => device.tensor(uniform(shape).values(randomKey(1, "")), shape);
    const padding = [1, 1] as const;
    const results = [
      matmul(draw([100, 700]), draw([700, 9])),
      conv2d(draw(x), draw([3, 3, 64, 32]), { padding }),
      convTranspose2d(draw(y), draw([3, 3, 64, 32]), { padding }),
    ];
    for (const result of results) assert.ok((await result.floats()).every(Number.isFinite));
  });

  Deno.test("among equal keys the last wins at any position, because the nearest search does not use BLAS", async () => {
    using _scope = device.scope();
    for (const width of [3, 7, 64, 100]) {
      const key = randomKey(width, "equal keys");
      const codes = uniform([50, width]).values(key);
      const copies = [0, 50, 111, 161, 490, 540, 600]; // 50 codes from each of these on, in 650 keys
      const keys = uniform([650, width], 2, 3).values({ ...key, step: 1 });
      for (const start of copies) keys.set(codes, start * width);
      const all = device.tensor(keys, [650, width]);
      const queries = device.tensor(codes, [50, width]);
      for (const distance of ["l2", "cos"] as const) {
        const found = await nearest(queries, all, { distance }).integers();
        assert.deepEqual([...found], Array.from({ length: 50 }, (_, code) => 600 + code));
      }
    }
  });
}

const refused = (path: string): Promise<void> =>
  assert.rejects(openDevice("cpu", { blas: path }), (error: Error) => {
    const start =
      `Cannot use a BLAS: it must be auto, off or a library that can be loaded and has cblas_sgemm, got ${path} (`;
    return error instanceof RangeError && error.message.startsWith(start);
  });

Deno.test("a path from which no BLAS can be loaded is rejected", async () => {
  await refused("/nonexistent.so");
  await refused(fileURLToPath(import.meta.url));
});

Deno.test({
  name: "without FFI permission, auto uses no BLAS and a path is rejected",
  permissions: { ffi: false, read: true, sys: true },
  async fn() {
    using device: Device = await openDevice("cpu");
    assert.doesNotMatch(device.description, /products/);
    await refused("libopenblas.so.0.0");
  },
});
