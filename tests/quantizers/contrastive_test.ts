/** The contrastive loss against its definition. */
import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import type { Distance } from "../../core/ops.ts";
import type { Device } from "../../core/tensor.ts";
import { contrastiveLoss, similarities } from "../../quantizers/contrastive.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, CANCELLING, EQUATIONS } from "../tolerances.ts";
import { contrastive, contrastiveGradient, rowsOf, similarity } from "./plain.ts";

const devices = await openTestDevices();

/** Warm enough that every similarity counts: at the paper's 0.07 the loss of random vectors nearly vanishes. */
const TEMPERATURE = 1;

/** The loss and its gradients on a device. */
async function measure(
  device: Device,
  e: Float32Array<ArrayBuffer>,
  z: Float32Array<ArrayBuffer>,
  width: number,
  distance: Distance,
): Promise<{ loss: Float32Array; byCodebook: Float32Array; byFeatures: Float32Array }> {
  const codebook = parameter(device.tensor(e, [e.length / width, width]));
  const features = parameter(device.tensor(z, [z.length / width, width]));
  const loss = contrastiveLoss(codebook, features, distance, TEMPERATURE);
  assert.deepEqual(loss.shape, []);
  const [byCodebook, byFeatures] = backward(loss, [codebook, features]);
  return {
    loss: await loss.floats(),
    byCodebook: await byCodebook.floats(),
    byFeatures: await byFeatures.floats(),
  };
}

const SIZES = [
  { about: "several positives a code", K: 3, N: 17, D: 4 },
  { about: "as many features as codes", K: 5, N: 5, D: 3 },
  { about: "fewer features than codes", K: 9, N: 4, D: 3 },
  { about: "two features", K: 3, N: 2, D: 3 },
  { about: "three features", K: 2, N: 3, D: 2 },
  { about: "one code", K: 1, N: 6, D: 3 },
  { about: "one dimension", K: 3, N: 7, D: 1 },
] as const;

for (const distance of ["cos", "l2"] as const) {
  testOnEach(devices, `${distance}: similarities match those of the lookup`, async (device) => {
    const [K, N, D] = [4, 7, 3];
    const e = draw([K, D], "codes"), z = draw([N, D], "features");
    const all = similarities(device.tensor(e, [K, D]), device.tensor(z, [N, D]), distance);
    assert.deepEqual(all.shape, [K, N]);
    const expected = rowsOf(e, D).flatMap((code) =>
      rowsOf(z, D).map((feature) => similarity(code, feature, distance))
    );
    assertClose(await all.floats(), expected, EQUATIONS, distance);
  });

  for (const { about, K, N, D } of SIZES) {
    // A direction of one dimension has no derivative.
    const differentiable = !(distance === "cos" && D === 1);
    testOnEach(devices, `${distance}, ${about}: loss and gradients`, async (device) => {
      const e = draw([K, D], `codes ${about}`), z = draw([N, D], `features ${about}`);
      const { loss, byCodebook, byFeatures } = await measure(device, e, z, D, distance);
      const [codes, features] = [rowsOf(e, D), rowsOf(z, D)];
      const expected = contrastive(codes, features, distance, TEMPERATURE);
      assertClose(loss, [expected], CANCELLING, "loss");
      if (differentiable) {
        const slopes = contrastiveGradient(codes, features, distance, TEMPERATURE);
        assertClose(byCodebook, slopes, CANCELLING, "gradient of the codebook");
      }
      assert.ok(byFeatures.every((slope) => slope === 0), "the features are not moved");
    });
  }

  testOnEach(
    devices,
    `${distance}: a single feature has no negatives, so the loss is 0`,
    async (device) => {
      const { loss, byCodebook } = await measure(
        device,
        draw([3, 2], "e"),
        draw([1, 2], "z"),
        2,
        distance,
      );
      assert.deepEqual([...loss], [0]);
      assert.ok(byCodebook.every((slope) => slope === 0));
    },
  );

  testOnEach(devices, `${distance}: ties share their ranks, in any order`, async (device) => {
    // Seven features, five of them alike, at the edge of both halves.
    const [K, D] = [3, 2];
    const e = draw([K, D], "codes of ties");
    const alike = [0.5, -0.25], others = [[0.9, 0.4], [-0.3, 0.8]];
    const orders = [
      [alike, alike, others[0], alike, others[1], alike, alike],
      [others[1], alike, alike, alike, alike, alike, others[0]],
    ];
    const results = [];
    for (const rows of orders) {
      const z = Float32Array.from(rows.flat());
      const result = await measure(device, e, z, D, distance);
      const [codes, features] = [rowsOf(e, D), rowsOf(z, D)];
      const expected = contrastive(codes, features, distance, TEMPERATURE);
      assertClose(result.loss, [expected], CANCELLING, "loss");
      const slopes = contrastiveGradient(codes, features, distance, TEMPERATURE);
      assertClose(result.byCodebook, slopes, CANCELLING, "gradient");
      results.push(result);
    }
    assertClose(
      results[0].byCodebook,
      results[1].byCodebook,
      EQUATIONS,
      "the order does not matter",
    );
  });

  testOnEach(devices, `${distance}: features that are all equal, or all zero`, async (device) => {
    for (const value of [0.5, 0]) {
      const z = new Float32Array(8).fill(value), e = draw([3, 2], "codes of one");
      const { loss, byCodebook } = await measure(device, e, z, 2, distance);
      const expected = contrastive(rowsOf(e, 2), rowsOf(z, 2), distance, TEMPERATURE);
      assertClose(loss, [expected], CANCELLING, "ln(1 + the negatives)");
      assert.ok(
        Math.abs(expected - Math.log(3)) < 1e-9,
        "two negatives and the positive are alike",
      );
      assert.ok(byCodebook.every(Number.isFinite));
    }
  });
}
