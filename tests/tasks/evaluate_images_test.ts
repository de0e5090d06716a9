/** `evaluate --images`: folders of files that other programs wrote. */
import assert from "node:assert/strict";
import { encode } from "fast-png";
import sharp from "sharp";
import type { HostTensor } from "../../core/host_tensor.ts";
import { encodeSafetensors } from "../../files/safetensors_bytes.ts";
import { openDevice } from "../../core/device.ts";
import { imageMae } from "../../metrics/mae.ts";
import type { Images } from "../../metrics/images.ts";
import { Lpips } from "../../metrics/lpips.ts";
import type { Weights } from "../../metrics/networks/weights.ts";
import { imagePsnr } from "../../metrics/psnr.ts";
import { imageSsim } from "../../metrics/ssim.ts";
import { imagePair } from "../metrics/formula.ts";
import { SEEDED } from "../metrics/seeded_weights.ts";
import { folderForTests, lastLine, runTask } from "./child.ts";

const folder = folderForTests();
const COUNT = 3, SHAPE = [COUNT, 40, 44, 3] as const;
const [a, b] = imagePair(SHAPE, 5, (value) => Math.round(255 * value));

const bytesOf = ({ values, shape: [count] }: Images, image: number) => {
  const size = values.length / count;
  return Uint8Array.from(values.subarray(image * size, (image + 1) * size));
};

async function write(name: string, files: Readonly<Record<string, Uint8Array>>): Promise<string> {
  const path = `${folder}/${name}`;
  await Deno.mkdir(path);
  for (const [file, bytes] of Object.entries(files)) await Deno.writeFile(`${path}/${file}`, bytes);
  return path;
}

const png = (images: Images, image: number) =>
  encode({ width: 44, height: 40, channels: 3, data: bytesOf(images, image) });
const numbered = (images: Images, named: (image: number) => string) =>
  Object.fromEntries(Array.from({ length: COUNT }, (_, at) => [named(at), png(images, at)]));

const originals = await write("A", numbered(a, (image) => `picture-${image}.png`));
const same = await write("B", numbered(b, (image) => `picture-${image}.PNG`));
await Deno.copyFile(`${same}/picture-0.PNG`, `${same}/grid.png`); // As `reconstruct` leaves it.

type Result = {
  readonly matched: string;
  readonly images: number;
  readonly measurements: readonly { name: string; value: number; protocol: string }[];
  readonly protocols: Readonly<Record<string, { values: string; weights: string | null }>>;
};

async function evaluate(...args: readonly string[]): Promise<Result> {
  const { code, stdout, stderr } = await runTask("evaluate", [
    "--images",
    ...args,
    "--json",
    "--device",
    "cpu",
  ]);
  assert.equal(code, 0, stderr);
  return lastLine(stdout) as unknown as Result;
}

const mean = (values: ArrayLike<number>) =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;

Deno.test("folders of PNG files give the same numbers as their pixels, each number with its own protocol", async () => {
  const result = await evaluate(originals, same);
  assert.deepEqual([result.matched, result.images], ["name", COUNT]);
  const values = Object.fromEntries(result.measurements.map(({ name, value }) => [name, value]));
  const expected = {
    mae: mean(imageMae(a, b)) * 2 / 255,
    "PSNR (dB)": mean(imagePsnr(a, b, 255)),
    SSIM: mean(imageSsim(a, b, { dataRange: 255, weights: "gaussian", sampleCovariance: false })),
  };
  for (const [name, value] of Object.entries(expected)) {
    assert.ok(Math.abs(values[name] - value) <= 1e-5 * value, `${name}: ${values[name]}, ${value}`);
  }
  const hashes = result.measurements.map(({ protocol }) => protocol);
  assert.equal(new Set(hashes).size, 5);
  for (const hash of hashes) assert.equal(result.protocols[hash].values, "clipped, 8-bit");
});

Deno.test("JPEG files with other names are paired in order, and grey images with colour ones", async () => {
  const jpeg = (image: number) =>
    sharp(bytesOf(b, image), { raw: { width: 44, height: 40, channels: 3 } }).jpeg({ quality: 95 });
  const files = await Promise.all([0, 1, 2].map((image) => jpeg(image).toBuffer()));
  const path = await write("C", { "x.jpg": files[0], "y.jpeg": files[1], "z.JPG": files[2] });
  const { matched, measurements } = await evaluate(originals, path, "--metrics", "psnr");
  assert.equal(matched, "order");
  const decoded = await Promise.all(files.map((file) => sharp(file).raw().toBuffer()));
  const whole = { values: Float32Array.from(decoded.flatMap((bytes) => [...bytes])), shape: SHAPE };
  const expected = mean(imagePsnr(a, whole, 255));
  assert.ok(Math.abs(measurements[0].value - expected) <= 1e-5 * expected);

  const grey = await write("grey", {
    "0.png": encode({ width: 2, height: 1, channels: 1, data: Uint8Array.of(0, 255) }),
  });
  const colour = await write("colour", {
    "0.png": encode({
      width: 2,
      height: 1,
      channels: 3,
      data: Uint8Array.of(0, 0, 0, 255, 255, 204),
    }),
  });
  const { measurements: [{ value }] } = await evaluate(grey, colour, "--metrics", "mae");
  assert.ok(Math.abs(value - 2 * 51 / 255 / 6) < 1e-6, `${value}`);
});

Deno.test("LPIPS loads its weights from a folder, and its number records which weights were used", async () => {
  using device = await openDevice("cpu");
  const asked = new Map<string, HostTensor>();
  const recorder: Weights = {
    hash: "",
    values(name, shape) {
      const values = SEEDED.values(name, shape) as Float32Array<ArrayBuffer>;
      asked.set(name, { shape, values });
      return values;
    },
  };
  using metric = new Lpips(device, "alex", recorder, recorder);
  const path = await write("weights", {
    "alexnet.safetensors": encodeSafetensors(asked),
    "lpips-alex.safetensors": encodeSafetensors(asked),
  });
  const result = await evaluate(
    originals,
    same,
    "--metrics",
    "lpips-alex",
    "--metrics.weights",
    path,
  );
  const [x, y] = [a, b].map(({ values }) =>
    device.tensor(values.map((byte) => byte / 255 * 2 - 1), SHAPE)
  );
  const expected = mean(await metric.forward(x, y).floats());
  const [{ value, protocol }] = result.measurements;
  assert.ok(Math.abs(value - expected) <= 1e-5 * expected, `${value} instead of ${expected}`);
  assert.match(result.protocols[protocol].weights ?? "", /^[0-9a-f]{12}\+[0-9a-f]{12}$/);
});

Deno.test("equal images have an infinite ratio, written to JSON as text, and are counted", async () => {
  const { measurements } = await evaluate(originals, originals, "--metrics", "psnr");
  const [mean, ofMean] = measurements as unknown as { value: unknown; equalPairs: unknown }[];
  assert.deepEqual([mean.value, mean.equalPairs, ofMean.value], ["Infinity", COUNT, "Infinity"]);

  const mixed = await write("mixed", {
    ...numbered(b, (image) => `picture-${image}.png`),
    "picture-1.png": png(a, 1),
  });
  const { code, stdout } = await runTask("evaluate", [
    ...["--images", originals, mixed, "--metrics", "psnr", "--device", "cpu"],
  ]);
  assert.equal(code, 0);
  assert.match(stdout, /^PSNR \(dB\) +\d+\.\d\d {2}\(.*; 1 equal pair is left out\)$/m);
  assert.match(stdout, /^PSNR of the mean mse \(dB\) +\d+\.\d\d {2}\(/m);
});

Deno.test("available metrics are measured, others are named, and the exit code reports it", async () => {
  const { code, stdout, stderr } = await runTask("evaluate", [
    ...["--images", originals, same, "--metrics", "ms-ssim,mae,lpips", "--device", "cpu", "--json"],
  ]);
  assert.equal(code, 2);
  const result = lastLine(stdout) as unknown as Result & {
    unmeasured: readonly { metric: string; reason: string }[];
  };
  const alone = await evaluate(originals, same, "--metrics", "mae");
  assert.deepEqual(result.measurements, alone.measurements);
  assert.deepEqual(result.unmeasured.map(({ metric }) => metric).sort(), ["lpips", "ms-ssim"]);
  for (const { reason } of result.unmeasured) assert.ok(stderr.includes(reason), reason);

  const save = ["--metrics.save", `${folder}/none.npz`];
  const unsaved = await runTask("evaluate", [
    ...["--images", originals, same, "--metrics", "mae", ...save, "--device", "cpu"],
  ]);
  assert.equal(unsaved.code, 2);
  assert.match(unsaved.stdout, /^mae +0\.\d+/m);
  assert.match(unsaved.stderr, /^Cannot save statistics: fid must be among the metrics, got mae$/m);
});

Deno.test("folders that cannot be compared are rejected", async () => {
  const two = await write("two", { "a.png": png(a, 0), "b.png": png(a, 1) });
  const small = encode({ width: 4, height: 4, channels: 3, data: new Uint8Array(48) });
  const other = await write("other", { "a.png": png(a, 0), "b.png": small });
  const broken = await write("broken", { "a.png": png(a, 0), "b.png": png(a, 1).subarray(0, 900) });
  const empty = await write("empty", { "notes.txt": new Uint8Array(3) });
  const cases: [readonly string[], number, RegExp][] = [
    [[originals], 2, /must be A B, got/],
    [[originals, `${folder}/none`], 1, /Cannot read .*none: it must be a folder, got ENOENT/],
    [[originals, empty], 1, /must hold PNG or JPEG files, got 1 other entries$/m],
    [[originals, two], 1, /the same names, or equally many, got 3 and 2$/m],
    [[two, other], 1, /must have the same sides, got 40×44 and 4×4$/m],
    [[two, broken], 1, /Cannot read .*b\.png: it must be an image that can be decoded, got/],
    [[two, two, "--metrics", "sim"], 2, /got "sim", did you mean ssim\?/],
    [[two, two, "--metrics", "ssim,ssim"], 2, /each must be named once/],
    [
      [two, two, "--metrics", "fid"],
      2,
      /--metrics\.weights must name the folder that holds inception-fid/,
    ],
    [
      [two, two, "--metrics", "fid", "--metrics.weights", empty],
      2,
      /must hold .*6726825d\.pth, got none of them$/m,
    ],
    [[two, two, "--metrics", "ms-ssim"], 2, /both sides must be at least 161, got 40×44$/m],
  ];
  await Promise.all(cases.map(async ([args, exit, message]) => {
    const { code, stdout, stderr } = await runTask("evaluate", [
      "--images",
      ...args,
      "--device",
      "cpu",
    ]);
    assert.match(stderr, message);
    assert.equal(code, exit, args.join(" "));
    assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
    assert.doesNotMatch(stdout, /mse/);
  }));
});
