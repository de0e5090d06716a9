import assert from "node:assert/strict";
import { QUANTIZER_TYPES } from "../../quantizers/registry.ts";
import { codebooks } from "../../tasks/studies/codebooks.ts";
import { firstStages } from "../../tasks/studies/first_stages.ts";
import { STUDIES } from "../../tasks/studies/registry.ts";
import { smallBatches } from "../../tasks/studies/small_batches.ts";
import { planRuns } from "../../studies/plan.ts";
import { readStudy, type ScaleName, type Study } from "../../studies/study.ts";
import type { Config } from "../../training/config.ts";

const out = "runs/study";
const sizes: Study = {
  name: "sizes",
  base: { quantizer: { type: "vanilla" } },
  axes: [
    { path: "quantizer.codebookSize", values: [8, 16] },
    { name: "lookup", values: { plain: {}, cosine: { quantizer: { distance: "cos" } } } },
  ],
  seeds: [1, 2],
  scales: { smoke: { settings: { training: { maxSteps: 3 } }, seeds: [5] } },
};

Deno.test("a study is every combination of its axes' points, one seed after another", async () => {
  const runs = await planRuns(sizes, { out });
  assert.deepEqual(
    runs.slice(0, 5).map(({ point, seed, config: { quantizer } }) => [
      ...Object.values(point),
      seed,
      ...[quantizer!.codebookSize, quantizer!.distance],
    ]),
    [
      [8, "plain", 1, 8, "l2"],
      [8, "cosine", 1, 8, "cos"],
      [16, "plain", 1, 16, "l2"],
      [16, "cosine", 1, 16, "cos"],
      [8, "plain", 2, 8, "l2"],
    ],
  );
  assert.equal(new Set(runs.map(({ config }) => config.out)).size, 8);
});

Deno.test("a run's hash depends only on what determines its result", async () => {
  const hashes = async (study: Study, options: object = {}) =>
    (await planRuns(study, { out, ...options })).map(({ hash }) => hash);
  const whole = await hashes(sizes);
  const rearranged = { ...sizes, name: "other", axes: sizes.axes.toReversed(), seeds: [2, 1] };
  assert.deepEqual(new Set(await hashes(rearranged)), new Set(whole));
  const elsewhere = { device: "reference", cpu: { threads: 1 }, training: { logEverySteps: 1 } };
  assert.deepEqual(await hashes(sizes, { out: "elsewhere", settings: elsewhere }), whole);
  for (const settings of [{ training: { epochs: 3 } }, { optimizer: { learningRate: 1 } }]) {
    assert.ok((await hashes(sizes, { settings })).every((hash) => !whole.includes(hash)));
  }
});

Deno.test("a scale changes settings and seeds, and must exist in the study", async () => {
  const runs = await planRuns(sizes, { out, scale: "smoke" });
  assert.deepEqual(runs.map(({ seed, config }) => [seed, config.training.maxSteps]), [
    ...[[5, 3], [5, 3], [5, 3], [5, 3]],
  ]);
  await assert.rejects(planRuns(sizes, { out, scale: "paper" }), {
    name: "RangeError",
    message: "Cannot plan the study sizes: its scale must be one of smoke, got paper",
  });
});

Deno.test("an invalid run is rejected with its position and setting", async () => {
  const size = { path: "quantizer.codebookSize", values: [8] };
  const refusals: readonly (readonly [Partial<Study>, RegExp])[] = [
    [
      { axes: [{ path: "quantizer.codebookSize", values: [8, 0] }] },
      /in the run quantizer\.codebookSize 0, seed 1, quantizer\.codebookSize must be an integer of at least 1, got 0$/,
    ],
    [
      { axes: [{ path: "quantizer.codebokSize", values: [8] }] },
      /no setting quantizer\.codebokSize, did you mean quantizer\.codebookSize\?$/,
    ],
    [{ axes: [size, { name: "a", values: { b: { quantizer: { codebookSize: 4 } } } }] }, /axis/],
    [{ axes: [{ path: "seed", values: [1] }] }, /seed must not be set/],
    [{ axes: [{ path: "training.logEverySteps", values: [1, 2] }] }, /its runs must differ/],
    [{ axes: [size], base: { preset: "digit" } }, /preset must name a preset.*did you mean digits/],
  ];
  for (const [changed, message] of refusals) {
    await assert.rejects(planRuns({ ...sizes, ...changed }, { out }), (error: Error) => {
      assert.match(error.message, /^Cannot plan the study sizes: /);
      assert.match(error.message, message);
      return error instanceof RangeError;
    });
  }
  const settings = { quantizer: { codebookSize: 4 } };
  await assert.rejects(planRuns(sizes, { out, settings }), /left to the axis/);
});

Deno.test("an invalid study is rejected with the position of the error", () => {
  const axes = [{ path: "quantizer.codebookSize", values: [8] }];
  const refusals: readonly (readonly [unknown, string])[] = [
    [undefined, "it must be an object with a name and axes, got nothing"],
    [
      { name: "A b", axes },
      'name must be a text of lower-case letters, digits and dashes, got "A b"',
    ],
    [{ name: "a" }, "axes must be a list of axes, got nothing"],
    [{ name: "a", axes: [] }, "axes must be a list with an axis, got []"],
    [
      { name: "a", axes: [...axes, { path: "b" }] },
      'axes[1] must be a path with a list of values, or a name with settings by name, got {"path":"b"}',
    ],
    [{ name: "a", axes, axis: 1 }, 'it must hold only what studies have, got "axis"'],
    [
      { name: "a", axes, scales: { smoke: { sedes: [1] } } },
      'scales.smoke must hold only what studies have, got "sedes"',
    ],
    [
      { name: "a", axes, measure: ["usage", "mes"] },
      'measure[1] must be one of usage, perplexity, mse, psnr, ssim, sharpness, secondsPerStep, fid, bits, stage1Usage, stage1Mse, stage1Fid, parameters, secondsPerSample, trainingSeconds, got "mes"',
    ],
    [{ name: "a", axes, seeds: [1, -1] }, "seeds[1] must be at least 0, got -1"],
    [{ name: "a", axes, seeds: [] }, "seeds must be a list with a seed, got []"],
    [{ name: "a", axes, scales: { large: {} } }, "scales"],
  ];
  for (const [given, message] of refusals) {
    assert.throws(() => readStudy(given), (error: Error) => {
      assert.ok(error.message.startsWith(`Cannot read the study: ${message}`), error.message);
      return error instanceof RangeError;
    });
  }
});

for (const study of STUDIES) {
  Deno.test(`the study ${study.name} can be planned at every scale`, async () => {
    assert.deepEqual(readStudy(study), study);
    for (const scale of Object.keys(study.scales!) as ScaleName[]) {
      assert.ok((await planRuns(study, { out, scale })).length >= 4);
    }
  });
}

/** Batch size, epochs, steps and hidden width of a study's first run. */
async function sizesAt(study: Study, scale: ScaleName) {
  const [{ config: { training, model } }] = await planRuns(study, { out, scale });
  return [training.batchSize, training.epochs, training.maxSteps, model.hidden];
}

Deno.test("a study of digits trains for as long and as wide as its scale says", async () => {
  assert.deepEqual(await sizesAt(codebooks, "smoke"), [32, 10, 30, 32]);
  assert.deepEqual(await sizesAt(codebooks, "small"), [128, 10, null, 32]);
  assert.deepEqual(await sizesAt(codebooks, "full"), [128, 10, null, 128]);
  assert.deepEqual(await sizesAt(codebooks, "paper"), [1024, 500, null, 128]);
});

Deno.test("the study small-batches keeps its batches of 16 at every scale", async () => {
  assert.deepEqual(await sizesAt(smallBatches, "smoke"), [16, 3, 30, 32]);
  assert.deepEqual(await sizesAt(smallBatches, "small"), [16, 3, null, 32]);
});

/** Bits per position; a multi-scale quantiser codes 49 positions together. */
function bitsOf({ quantizer }: Config): number {
  const { codebookSize, levels, bits, depth, heads, scales, inner } = quantizer!;
  const { codebookSize: size } = (inner ?? {}) as { codebookSize?: number };
  const ofGrid = (scales as number[] | undefined)?.reduce((sum, side) => sum + side ** 2, 0);
  const codes = (ofGrid === undefined ? depth ?? heads ?? 1 : ofGrid / 49) as number;
  const product = (levels as number[] | undefined)?.reduce((a, b) => a * b);
  return (bits as number | undefined) ??
    codes * Math.log2((size ?? product ?? codebookSize) as number);
}

Deno.test("the study quantizers has every method, each at 9 bits per position", async () => {
  const [{ axes }] = STUDIES;
  assert.deepEqual(Object.keys(axes[0].values), QUANTIZER_TYPES);
  for (const { config } of await planRuns(STUDIES[0], { out, scale: "paper" })) {
    const rate = bitsOf(config), { type } = config.quantizer!;
    assert.ok(
      rate === 9 || type === "multi-scale" && Math.abs(rate - 9) < 0.02,
      `${type}: ${rate}`,
    );
  }
});

Deno.test("the study first-stages has 9 bits per position, and a discriminator that trains at every scale", async () => {
  for (const scale of ["smoke", "small"] as const) {
    const [plain, ...adversarial] = await planRuns(firstStages, { out, scale });
    for (const { config } of [plain, ...adversarial]) {
      assert.equal(bitsOf(config), 9);
      assert.equal(config.training.metrics, "sharpness,learnt-fid");
    }
    assert.deepEqual(
      [plain.config.model.type, plain.config.objective.type],
      ["vqvae", "reconstruction"],
    );
    for (const { config: { model, objective, training } } of adversarial) {
      assert.deepEqual([model.type, objective.type], ["vqgan", "adversarial"]);
      const steps = Math.min(training.maxSteps ?? Infinity, 213 * training.epochs);
      const { discStart, discWarmupSteps, generatorRampSteps } = objective;
      const start = [discStart, discWarmupSteps, generatorRampSteps].map(Number);
      assert.ok(start.reduce((a, b) => a + b) < steps);
    }
  }
});
