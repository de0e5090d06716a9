/** Pixel metrics against scikit-image's numbers, made by tests/fixtures/metrics/pixel.py. */
import assert from "node:assert/strict";
import type { Images } from "../../metrics/images.ts";
import { imageMae } from "../../metrics/mae.ts";
import { imageMse } from "../../metrics/mse.ts";
import { imageMsSsim } from "../../metrics/ms_ssim.ts";
import { imagePsnr, peakSignalToNoise } from "../../metrics/psnr.ts";
import { imageSsim, type SsimOptions } from "../../metrics/ssim.ts";
import { imagePair, readExpected } from "./formula.ts";

interface Case {
  readonly shape: Images["shape"];
  readonly seed: number;
  readonly range: 1 | 2 | 255;
  readonly mse: readonly number[];
  readonly mae: readonly number[];
  readonly psnr: readonly number[];
  readonly ssim: readonly { options: Omit<SsimOptions, "dataRange">; values: readonly number[] }[];
}

const { cases, msSsim } = await readExpected<{
  cases: readonly Case[];
  msSsim: Pick<Case, "shape" | "seed"> & { readonly values: readonly number[] };
}>("pixel");

/** Python rounds halves to even; no value here is one. */
const SCALES = {
  1: (x: number) => x,
  2: (x: number) => 2 * x - 1,
  255: (x: number) => Math.round(255 * Math.fround(x)),
};

/** Both sides compute in float64 from the same float32 images. */
function assertNear(
  got: Float64Array,
  expected: readonly number[],
  what: string,
  tolerance = 1e-9,
) {
  assert.equal(got.length, expected.length, what);
  got.forEach((value, image) => {
    const error = Math.abs(value - expected[image]);
    assert.ok(error <= tolerance * Math.max(1, Math.abs(expected[image])), `${what}: ${value}`);
  });
}

for (const { shape, seed, range, ssim, ...errors } of cases) {
  Deno.test(`metrics of images ${shape.join("×")} of range ${range} agree with scikit-image`, () => {
    const [a, b] = imagePair(shape, seed, SCALES[range]);
    assertNear(imageMse(a, b), errors.mse, "mse");
    assertNear(imageMae(a, b), errors.mae, "mae");
    assertNear(imagePsnr(a, b, range), errors.psnr, "psnr");
    for (const { options, values } of ssim) {
      assertNear(
        imageSsim(a, b, { ...options, dataRange: range }),
        values,
        `ssim ${JSON.stringify(options)}`,
      );
    }
  });
}

Deno.test("MS-SSIM follows its paper", () => {
  const [a, b] = imagePair(msSsim.shape, msSsim.seed);
  assertNear(imageMsSsim(a, b, 1), msSsim.values, "MS-SSIM");
  assertNear(imageMsSsim(a, a, 1), [1], "of the same images", 0);
});

Deno.test("equal images have the maximum similarity, and constant ones do not divide by zero", () => {
  const [a] = imagePair([2, 12, 13, 3], 4);
  const flat: Images = { values: new Float32Array(a.values.length), shape: a.shape };
  for (const images of [a, flat]) {
    for (const weights of ["uniform", "gaussian"] as const) {
      assert.deepEqual([...imageSsim(images, images, { dataRange: 1, weights })], [1, 1]);
    }
    assert.deepEqual([...imagePsnr(images, images, 1)], [Infinity, Infinity]);
  }
});

Deno.test("the peak signal-to-noise ratio is in decibels relative to the range", () => {
  assert.equal(peakSignalToNoise(1, 1), 0);
  assert.equal(peakSignalToNoise(0.01, 1), 20);
  assert.ok(Math.abs(peakSignalToNoise(0.02, 2) - 23.0102999566) < 1e-9);
  assert.equal(peakSignalToNoise(0, 2), Infinity);
});

Deno.test("images that cannot be measured are rejected", () => {
  const [a] = imagePair([1, 12, 10, 1], 0), [other] = imagePair([1, 10, 12, 1], 0);
  const refused = (measure: () => unknown, name: string, message: RegExp) =>
    assert.throws(measure, { name, message });
  for (const measure of [imageMse, imageMae]) {
    refused(
      () => measure(a, other),
      "TypeError",
      /^Cannot measure ma?s?e: both must have the same shape/,
    );
  }
  const short = { ...a, values: a.values.subarray(1) };
  refused(() => imageMse(a, short), "TypeError", /have 120 values, got 119$/);
  const ssim = (options: SsimOptions) => () => imageSsim(a, a, options);
  refused(ssim({ dataRange: 0 }), "RangeError", /the data range must be positive, got 0$/);
  refused(ssim({ dataRange: 1, window: 6 }), "RangeError", /must be odd and at least 3, got 6$/);
  refused(
    ssim({ dataRange: 1, window: 11 }),
    "RangeError",
    /as large as the window, 11, got 12×10$/,
  );
  refused(
    ssim({ dataRange: 1, weights: "gaussian", window: 7 }),
    "RangeError",
    /a Gaussian window must be 11, got 7$/,
  );
  refused(() => imageMsSsim(a, a, 1), "RangeError", /both sides must be at least 161, got 12×10$/);
});
