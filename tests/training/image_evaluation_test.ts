/** Metrics by name over pairs of images: what they say, and what happens where one cannot be measured. */
import assert from "node:assert/strict";
import { openReferenceBackend } from "../../core/reference/backend.ts";
import type { Backend } from "../../core/backend.ts";
import { randomKey } from "../../core/random.ts";
import { Device } from "../../core/tensor.ts";
import { DigitClassifier } from "../../metrics/digit_features.ts";
import type { Images } from "../../metrics/images.ts";
import type { MetricOptions } from "../../metrics/metric_kinds.ts";
import { withCompanions } from "../../metrics/registry.ts";
import { ImageEvaluation, type Measurements } from "../../training/image_evaluation.ts";
import { draw } from "../each_device.ts";
import { openRoundedReference } from "../mixed.ts";

/** A device that counts what the host writes to it. */
function countingDevice(): { readonly device: Device; readonly writes: () => number } {
  const backend = openReferenceBackend() as unknown as Backend;
  let writes = 0;
  const counting: Backend = {
    ...backend,
    write(buffer, data) {
      writes++;
      backend.write(buffer, data);
    },
  };
  return { device: new Device(counting), writes: () => writes };
}

const optionsOn = (device: Device): MetricOptions => ({
  device,
  weights: null,
  digitClassifier: () => Promise.resolve(new DigitClassifier(device, randomKey(1, "untrained"))),
});

const digits = (count: number, purpose: string): Images => ({
  values: draw([count, 28, 28, 1], purpose, -1.5, 1.5),
  shape: [count, 28, 28, 1],
});

const PAIRS = { originals: "drawn", imageShape: [28, 28, 1] };

async function measure(
  names: readonly string[],
  batches: readonly (readonly [Images, Images])[],
  device: Device = new Device(openReferenceBackend() as unknown as Backend),
): Promise<Measurements> {
  using evaluation = await ImageEvaluation.open(names, optionsOn(device), "float");
  for (const [a, b] of batches) await evaluation.add(a, b);
  return await evaluation.result(PAIRS);
}

const byName = ({ measurements }: Measurements) =>
  Object.fromEntries(measurements.map((one) => [one.metric, one]));

Deno.test("an equal pair is counted and excluded from the mean PSNR, and the PSNR of the mean mse is reported too", async () => {
  const pair = (error: number): [Images, Images] => {
    const images = (value: number): Images => ({
      values: new Float32Array(4).fill(value),
      shape: [1, 2, 2, 1],
    });
    return [images(0), images(error)];
  };
  const measured = byName(await measure(["psnr"], [pair(0.5), pair(0), pair(0.25)]));
  const ratio = (error: number) => 10 * Math.log10(4 / error);
  assert.ok(Math.abs(measured.psnr.value - (ratio(0.25) + ratio(0.0625)) / 2) < 1e-9);
  assert.equal(measured.psnr.equalPairs, 1);
  assert.ok(Math.abs(measured["psnr-of-mse"].value - ratio(0.3125 / 3)) < 1e-9);
  assert.equal(measured["psnr-of-mse"].equalPairs, null);

  const equal = byName(await measure(["psnr"], [pair(0), pair(0)]));
  assert.deepEqual([equal.psnr.value, equal.psnr.equalPairs], [Infinity, 2]);
  assert.equal(equal["psnr-of-mse"].value, Infinity);
});

Deno.test("metrics are measured with their companions, each once", () => {
  assert.deepEqual(withCompanions(["fid", "mse", "psnr"]), [
    "fid",
    "kid",
    "mse",
    "psnr",
    "psnr-of-mse",
  ]);
  assert.deepEqual(withCompanions(["digit-kid", "digit-fid"]), ["digit-kid", "digit-fid"]);
  assert.throws(() => withCompanions(["fod"]), /got "fod", did you mean fid\?$/);
});

Deno.test("a Fréchet distance over few images has a caution, also in its protocol, and a kernel distance beside it", async () => {
  const cautionOf = async (count: number) => {
    const result = await measure(["digit-fid"], [[digits(count, "a"), digits(count, "b")]]);
    const { "digit-fid": fid, "digit-kid": kid } = byName(result);
    assert.deepEqual(result.unmeasured, []);
    assert.equal(kid.caution, null);
    assert.equal(result.protocols[fid.protocol].caution, fid.caution);
    return fid.caution;
  };
  const sixtyFour = await cautionOf(64);
  assert.match(
    sixtyFour ?? "",
    /^with 64 images and 64 features a covariance is singular, and the estimate is biased/,
  );
  assert.equal(await cautionOf(65), null);
});

Deno.test("a metric that cannot be measured is reported with the reason, and the others are unaffected", async () => {
  const first: [Images, Images] = [digits(1, "a"), digits(1, "b")];
  const names = ["ms-ssim", "mae", "fid", "digit-fid", "ssim"];
  const { measurements, unmeasured, protocols } = await measure(names, [first]);
  const alone = await measure(["mae", "ssim"], [first]);
  assert.deepEqual(measurements, alone.measurements);
  assert.deepEqual(protocols, alone.protocols);
  const reasons = Object.fromEntries(unmeasured.map(({ metric, reason }) => [metric, reason]));
  assert.deepEqual(Object.keys(reasons).sort(), [
    "digit-fid",
    "digit-kid",
    "fid",
    "kid",
    "ms-ssim",
  ]);
  assert.match(reasons["ms-ssim"], /both sides must be at least 161, got 28×28$/);
  assert.match(reasons.fid, /--metrics\.weights must name the folder/);
  assert.match(reasons["digit-fid"], /at least 2 features are needed, got 1$/);
});

Deno.test("too few images so far do not stop the measurement", async () => {
  const device = new Device(openReferenceBackend() as unknown as Backend);
  using evaluation = await ImageEvaluation.open(["digit-kid"], optionsOn(device), "float");
  await evaluation.add(digits(1, "a"), digits(1, "b"));
  assert.equal((await evaluation.result(PAIRS)).unmeasured.length, 1);
  await evaluation.add(digits(1, "c"), digits(1, "d"));
  const { measurements, unmeasured } = await evaluation.result(PAIRS);
  assert.deepEqual([measurements.length, unmeasured.length], [1, 0]);
});

Deno.test("images that cannot be paired are rejected for every metric", async () => {
  await assert.rejects(measure(["mae", "ssim"], [[digits(2, "a"), digits(1, "b")]]), {
    name: "TypeError",
    message: /^Cannot measure images: both must have the same shape/,
  });
  await assert.rejects(measure(["maee"], []), /did you mean mae\?$/);
});

Deno.test("the protocol records the device's precision", async () => {
  const precisionOn = async (device: Device) => {
    const { protocols } = await measure(["mae"], [[digits(1, "a"), digits(1, "b")]], device);
    return Object.entries(protocols).map(([hash, { precision }]) => [hash, precision]).flat();
  };
  const [plain, float32] = await precisionOn(
    new Device(openReferenceBackend() as unknown as Backend),
  );
  const [rounded, mixed] = await precisionOn(openRoundedReference());
  assert.deepEqual([float32, mixed], ["float32", "mixed"]);
  assert.notEqual(plain, rounded);
});

Deno.test("images already on the device are not uploaded again, and give the same numbers", async () => {
  const a = digits(70, "a"), b = digits(70, "b");
  const { device, writes } = countingDevice();
  using _scope = device.scope();
  const there = (images: Images): Images => ({
    ...images,
    tensor: device.tensor(images.values as Float32Array<ArrayBuffer>, images.shape),
  });
  using evaluation = await ImageEvaluation.open(["digit-fid", "mae"], optionsOn(device), "float");
  const [x, y] = [there(a), there(b)];
  const before = writes();
  await evaluation.add(x, y);
  assert.equal(writes(), before);
  const result = await evaluation.result(PAIRS);
  assert.deepEqual(result, await measure(["digit-fid", "mae"], [[a, b]]));
  assert.deepEqual(
    [...await x.tensor!.floats()],
    [...a.values],
    "the images are left as they were",
  );
});
