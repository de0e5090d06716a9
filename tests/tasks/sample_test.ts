/** Generators as a user calls them: trained over a first stage, sampled, judged. */
import assert from "node:assert/strict";
import { decode, encode } from "fast-png";
import sharp from "sharp";
import { readSafetensors } from "../../files/safetensors.ts";
import { runTask, TINY } from "./child.ts";

const folder = await Deno.makeTempDir({ prefix: "codebook-sample-" });
Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));

const onCpu = ["--device", "cpu"];
const short = ["--training.maxSteps", "3", "--training.batchSize", "16"];
const stage1 = `${folder}/digits`;

async function ok(task: string, ...args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runTask(task, [...args, "--json"]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
}

async function refused(task: string, ...args: readonly string[]): Promise<string> {
  const { code, stderr } = await runTask(task, args);
  assert.equal(code, 2, stderr);
  assert.doesNotMatch(stderr, /not expected/);
  return stderr;
}

await ok("train", ...onCpu, ...TINY, "--out", stage1);

const GENERATORS = {
  ldm: ["--preset", "ldm-class", "--stage1", stage1, "--objective.components", "none"],
  gpt: ["--preset", "gpt", "--stage1", stage1, "--model.width", "16", "--model.layers", "1"],
  maskgit: [
    "--preset",
    "maskgit",
    "--stage1",
    stage1,
    "--model.width",
    "16",
    "--model.layers",
    "1",
  ],
};
const SMALL_UNET = ["--model.width", "32", "--model.multipliers", "1", "--model.attentionAt", "1"];

for (const [name, flags] of Object.entries(GENERATORS)) {
  const run = `${folder}/${name}`;

  Deno.test(`${name} is trained, sampled and evaluated`, async () => {
    const sizes = name === "ldm" ? SMALL_UNET : [];
    const summary = await ok("train", ...onCpu, ...flags, ...sizes, ...short, "--out", run);
    assert.equal(summary.steps, 3);

    const out = `${run}-samples`;
    const steps = name === "gpt" ? [] : ["--steps", "4"];
    const five = ["--count", "5", "--trace", ...steps];
    const made = await ok("sample", run, ...onCpu, ...five, "--out", out);
    assert.equal(made.images, 5);
    const names = Array.from(Deno.readDirSync(out), ({ name }) => name).sort();
    assert.deepEqual(names, [
      ...["0.png", "1.png", "2.png", "3.png", "4.png", "grid.png", "trace.gif"],
    ]);
    const { width, height } = decode(await Deno.readFile(`${out}/4.png`));
    assert.deepEqual([width, height], [28, 28]);

    const grid = decode(await Deno.readFile(`${out}/grid.png`));
    const trace = await sharp(`${out}/trace.gif`, { animated: true }).metadata();
    assert.deepEqual([trace.pageHeight, trace.width], [grid.height, grid.width]);
    assert.equal(trace.pages, name === "gpt" ? 49 : 4);

    const again = `${run}-again`;
    await ok("sample", run, ...onCpu, "--count", "2", "--batch", "1", ...steps, "--out", again);
    for (const image of ["0.png", "1.png"]) {
      const [first, second] = await Promise.all(
        [out, again].map((path) => Deno.readFile(`${path}/${image}`)),
      );
      const apart = decode(first).data.map((byte, at) => Math.abs(byte - decode(second).data[at]));
      assert.ok(Math.max(...apart) <= 1, "an image is the same whatever is made beside it");
    }

    const judged = await ok("evaluate", run, ...onCpu, "--count", "40", ...steps);
    const metrics = (judged.measurements as { metric: string }[]).map(({ metric }) => metric);
    assert.deepEqual(metrics.slice(0, 2), ["fid", "kid"]);
    const report = await Deno.readTextFile(`${run}/report.html`);
    for (
      const part of [
        "Samples",
        "Nearest training images",
        "FID (digit features)",
        "training images have",
      ]
    ) {
      assert.ok(report.includes(part), part);
    }
  });
}

Deno.test("a generator of codes writes its codes, and one of images cannot", async () => {
  const out = `${folder}/codes`;
  await ok("sample", `${folder}/gpt`, ...onCpu, "--count", "3", "--save-codes", "--out", out);
  const { tensors } = await readSafetensors(`${out}/codes.safetensors`);
  assert.deepEqual(tensors.get("codes")?.shape, [3, 7, 7]);
  const weights = ["--checkpoint", "weights", "--save-codes", "--out", out];
  await ok("sample", `${folder}/gpt`, ...onCpu, "--count", "3", ...weights);
  const { tensors: again } = await readSafetensors(`${out}/codes.safetensors`);
  assert.deepEqual(again, tensors, "the weights alone are enough");
});

Deno.test("images are completed several times each, with the given part first", async () => {
  const pictures = `${folder}/pictures`, out = `${folder}/completed`;
  await Deno.mkdir(pictures);
  for (const [name, grey] of [["a", 40], ["b", 200]] as const) {
    const data = new Uint8Array(28 * 28).fill(grey);
    const png = encode({ width: 28, height: 28, channels: 1, data });
    await Deno.writeFile(`${pictures}/${name}.png`, new Uint8Array(png));
  }
  // The grid is 7×7, and its middle row of codes is half in either half.
  const generators = [
    ["gpt", "top", 0, []],
    ["maskgit", "bottom", 28, ["--steps", "3"]],
  ] as const;
  for (const [name, mask, first, steps] of generators) {
    const run = `${folder}/${name}`;
    const flags = ["--complete", pictures, "--mask", mask, "--each", "3", "--save-codes"];
    const made = await ok("sample", run, ...onCpu, ...flags, ...steps, "--out", `${out}-${name}`);
    assert.equal(made.images, 6);
    const { tensors } = await readSafetensors(`${out}-${name}/codes.safetensors`);
    const { values } = tensors.get("codes")!;
    const given = (image: number) => [
      ...values.subarray(image * 49 + first, image * 49 + first + 21),
    ];
    assert.deepEqual(given(0), given(1));
    assert.deepEqual(given(3), given(5));
    assert.notDeepEqual(given(0), given(3));
    const { data, width, height } = decode(await Deno.readFile(`${out}-${name}/grid.png`));
    assert.deepEqual([width, height], [4 * 88 + 4, 2 * 88 + 4], "a row for each picture");
    const hidden = mask === "top" ? 80 : 10;
    assert.deepEqual([...data.subarray(width * hidden + 20, width * hidden + 22)], [128, 128]);
  }
  const ldm = [
    "sample",
    `${folder}/ldm`,
    ...onCpu,
    "--complete",
    pictures,
    "--steps",
    "2",
  ] as const;
  assert.match(await refused(...ldm, "--out", out), /the generator must make codes/);
});

Deno.test("classes are accepted by name or number, and rejected for a model without classes", async () => {
  const run = `${folder}/ldm`, out = ["--out", `${folder}/classes`, "--steps", "2"];
  await ok("sample", run, ...onCpu, "--count", "2", "--class", "7", ...out);
  await ok("sample", run, ...onCpu, "--count", "2", "--class", "all", ...out);
  assert.match(
    await refused("sample", run, ...onCpu, "--class", "12", ...out),
    /--class must be all, a number below 10, or a name, got 12/,
  );
  assert.match(
    await refused("sample", stage1, ...out),
    /must train a generator, got reconstruction/,
  );
  assert.match(
    await refused("sample", run, ...onCpu, "--steps", "0", "--out", `${folder}/none`),
    /steps must be/,
  );
  assert.match(
    await refused("sample", run, ...onCpu, "--steps", "1001", "--out", `${folder}/none`),
    /the steps must be a whole number from 1 to 1000, the times of the diffusion, got 1001/,
  );
  const undropped = `${folder}/undropped`;
  const small = [...SMALL_UNET, ...short, "--objective.dropClass", "0"];
  await ok("train", ...onCpu, ...GENERATORS.ldm, ...small, "--out", undropped);
  assert.match(
    await refused("sample", undropped, ...onCpu, "--guidance", "2", "--out", `${folder}/none`),
    /guidance must be 1 .* trained without dropping classes \(objective\.dropClass 0\), got 2/,
  );
  assert.match(
    await refused("sample", `${folder}/gpt`, "--class", "1", "--out", `${folder}/none`),
    /the run must have been trained with classes, got --class 1 for a run without classes/,
  );
  assert.match(
    await refused("sample", run),
    /--out must name the folder of the pictures, got none/,
  );
});

Deno.test("a generator accepts only the first stage that it was trained on", async () => {
  const other = `${folder}/other`;
  await ok("train", ...onCpu, ...TINY, "--seed", "3", "--out", other);
  const args = ["--out", `${folder}/gpt`, "--resume", "--stage1", other];
  const { code, stderr } = await runTask("train", args);
  assert.notEqual(code, 0);
  assert.match(stderr, /stage1 must be what the checkpoint was made with/);
  assert.match(
    await refused("train", "--preset", "gpt", "--out", `${folder}/nothing`),
    /stage1 must be the folder of a finished run where objective.type is autoregression, got none/,
  );
  assert.match(
    await refused("train", "--stage1", stage1, "--out", `${folder}/nothing`),
    /stage1 must be none where objective.type is reconstruction/,
  );
});
