import assert from "node:assert/strict";
import fc from "fast-check";
import { objectiveKind, objectiveType } from "../../objectives/registry.ts";
import { configSettings, quantizerDefaults } from "../../training/config.ts";
import { identityOf } from "../../training/identity.ts";
import { PRESETS } from "../../training/presets.ts";
import { resolveConfig, resolveUnchecked } from "../../training/resolve.ts";

const refusal = (sources: Parameters<typeof resolveUnchecked>[0]): string => {
  try {
    resolveUnchecked(sources);
  } catch (error) {
    assert.ok(error instanceof RangeError);
    return error.message;
  }
  return "not refused";
};

Deno.test("the preset digits is the small VQ-VAE, in batches of 128, for 10 epochs", () => {
  const { preset, out, model, quantizer, optimizer, training } = resolveConfig();
  assert.equal(preset, "digits");
  assert.equal(out, "runs/digits");
  assert.deepEqual(model, {
    type: "vqvae",
    hidden: 128,
    residualHidden: 32,
    residualLayers: 2,
  });
  assert.equal(quantizer!.type, "clustered-ema");
  assert.deepEqual([quantizer!.codebookSize, quantizer!.codebookDim], [512, 64]);
  assert.deepEqual([optimizer.type, optimizer.learningRate], ["adam", 3e-4]);
  assert.deepEqual([training.batchSize, training.epochs], [128, 10]);
});

/** The first stage that a preset's run stands on, if it stands on one. */
function standing(preset: string): { readonly stage1?: string } {
  const { objective } = (PRESETS.get(preset) ?? {}) as { objective?: unknown };
  const needed = objectiveKind(objectiveType(objective)).stage1 !== "none";
  return needed ? { stage1: "runs/digits" } : {};
}

Deno.test("every preset resolves, and its folder has its name", () => {
  for (const preset of PRESETS.keys()) {
    assert.equal(resolveConfig({ flags: { preset, ...standing(preset) } }).out, `runs/${preset}`);
  }
});

Deno.test("flags override the configuration file, which overrides the preset, which overrides the defaults", () => {
  const file = { training: { epochs: 3, batchSize: 32 }, seed: 1 };
  const { training, seed } = resolveConfig({ file, flags: { training: { epochs: 2 } } });
  assert.deepEqual([training.epochs, training.batchSize, seed], [2, 32, 1]);
  assert.equal(training.logEverySteps, 10);
});

Deno.test("a file can name the preset, and a flag can override it", () => {
  const file = { preset: "digits-reference" };
  assert.equal(resolveConfig({ file }).out, "runs/digits-reference");
  assert.equal(resolveConfig({ file, flags: { preset: "digits" } }).preset, "digits");
});

Deno.test("the configuration of a run replaces the preset", () => {
  const saved = resolveConfig({ flags: { seed: 5, training: { epochs: 3 }, out: "elsewhere" } });
  const resumed = resolveConfig({ saved, flags: { training: { epochs: 4 } } });
  assert.deepEqual([resumed.seed, resumed.training.epochs, resumed.out], [5, 4, "elsewhere"]);
  const { training } = resolveConfig({ saved, flags: { preset: "digits" } });
  assert.equal(training.epochs, 10, "a preset that is named goes over it");
});

Deno.test("a change of quantiser keeps the shared settings, and drops the others", () => {
  const file = {
    quantizer: { type: "clustered", codebookSize: 64, anchor: "random", distance: "cos" },
  };
  const flags = { quantizer: { type: "vanilla" } };
  const { quantizer } = resolveUnchecked({ file, flags });
  assert.deepEqual(quantizer, {
    type: "vanilla",
    ...Object.fromEntries(quantizerDefaults("vanilla")),
    codebookSize: 64,
  });
  const chosen = resolveConfig({ flags: { quantizer: { type: "vanilla", distance: "cos" } } });
  assert.equal(chosen.quantizer!.distance, "cos", "what is said together with the type stays");
});

Deno.test("a change of inner quantiser keeps the shared settings, and drops the others", () => {
  const file = { quantizer: { type: "residual", inner: { codebookSize: 64, anchor: "random" } } };
  const resolved = (quantizer: unknown) =>
    resolveUnchecked({ file, flags: { quantizer } }).quantizer!;
  const { inner, depth } = resolved({ depth: 2, inner: { type: "vanilla" } });
  const { type, codebookSize, anchor } = inner as Record<string, unknown>;
  assert.deepEqual([depth, type, codebookSize, anchor], [2, "vanilla", 64, undefined]);
  const { heads, inner: other } = resolved({ type: "product" });
  assert.deepEqual([heads, (other as Record<string, unknown>).codebookSize], [4, 512]);
});

Deno.test("a change of data set keeps the shared settings, and drops the others", () => {
  const file = { data: { name: "emoji", vendor: "twitter", size: 48, background: "black" } };
  assert.deepEqual(resolveConfig({ file }).data, file.data);
  const drawn = resolveConfig({ file, flags: { data: { name: "shapes" } } }).data;
  assert.deepEqual(drawn, { name: "shapes", size: 48, trainImages: 10_000 });
  assert.deepEqual(resolveConfig({ file, flags: { data: { name: "digits" } } }).data, {
    name: "digits",
  });
});

Deno.test("adamw uses PyTorch's weight decay by default", () => {
  const decay = (optimizer: unknown) =>
    resolveUnchecked({ flags: { optimizer } }).optimizer.weightDecay;
  assert.equal(decay({ type: "adam" }), 0);
  assert.equal(decay({ type: "adamw" }), 0.01);
  assert.equal(decay({ type: "adamw", weightDecay: 0 }), 0);
});

Deno.test("a quantiser has the same defaults by name as by class", () => {
  assert.equal(quantizerDefaults("clustered").get("distance"), "cos");
  assert.equal(quantizerDefaults("vanilla").get("distance"), "l2");
  assert.throws(() => quantizerDefaults("vanila"), /did you mean vanilla\?/);
});

Deno.test("an unknown key is rejected with the nearest known one", () => {
  const cases: [unknown, RegExp][] = [
    [{ model: { hiden: 8 } }, /no setting model\.hiden, did you mean model\.hidden\?$/],
    [{ learningRate: 1 }, /did you mean optimizer\.learningRate\?$/],
    [{ quantiser: { type: "vanilla" } }, /did you mean quantizer\?$/],
    [{ training: { xyzzy: 1 } }, /the choices are training\.epochs, training\.maxSteps/],
    [{ xyzzy: 1 }, /the choices are preset, seed, device/],
    [{ preset: "digit" }, /preset must name a preset, got "digit", did you mean digits\?$/],
    [
      { preset: "portraits" },
      /preset must name a preset, got "portraits", the choices are digits, /,
    ],
    [
      { data: { name: "digts" } },
      /data\.name must name a data set, got "digts", did you mean digits\?$/,
    ],
    [
      { data: { name: "digits", size: 8 } },
      /no setting data\.size where data\.name is digits, only where it is emoji, shapes, /,
    ],
    [{ data: { name: "emoji", sise: 8 } }, /no setting data\.sise, did you mean data\.size\?$/],
    [{ quantizer: { type: "vanila" } }, /got "vanila", did you mean vanilla\?$/],
    [{ quantizer: { type: "vanilla", anchor: "closest" } }, /no setting quantizer\.anchor/],
    [
      { quantizer: { levels: [8, 1] } },
      /no setting quantizer\.levels where quantizer\.type is clustered-ema, only where it is fsq$/,
    ],
    [
      { quantizer: { type: "fsq", anchor: "closest" } },
      /no setting quantizer\.anchor where quantizer\.type is fsq, only where it is clustered-ema or clustered$/,
    ],
    [
      { quantizer: { type: "vanilla", inner: { type: "ema" } } },
      /no setting quantizer\.inner where quantizer\.type is vanilla, only where it is residual, product or multi-scale$/,
    ],
    [
      { quantizer: { type: "residual", inner: { type: "ema", levels: [3] } } },
      /no setting quantizer\.inner\.levels where quantizer\.inner\.type is ema, only where it is fsq$/,
    ],
    [
      { quantizer: { type: "product", inner: { bits: 3 } } },
      /no setting quantizer\.inner\.bits where quantizer\.inner\.type is clustered-ema, only where it is lfq$/,
    ],
    [
      { quantizer: { type: "fsq", levls: [3] } },
      /no setting quantizer\.levls, did you mean quantizer\.levels\?$/,
    ],
    [JSON.parse('{"__proto__": 1}'), /no setting __proto__/],
    [{ quantizer: { type: "constructor" } }, /got "constructor"/],
  ];
  for (const [file, message] of cases) assert.match(refusal({ file }), message);
});

Deno.test("an invalid value is rejected with what is allowed and the actual value", () => {
  const cases: [unknown, string][] = [
    [{ seed: "abc" }, 'seed must be an integer of at least 0, got "abc"'],
    [{ seed: 2 ** 53 }, "seed must be an integer of at least 0, got 9007199254740992"],
    [{ device: "gpu" }, 'device must be auto, reference, cpu or webgpu, got "gpu"'],
    [{ out: "" }, 'out must be non-empty text, got ""'],
    [{ data: { name: "emoji", size: 0 } }, "data.size must be an integer in [1, 4096], got 0"],
    [{ model: 3 }, "model must be an object that holds some of model.type, model.hidden, "],
    [{ model: { hidden: 7 } }, "model.hidden must be an even integer of at least 2, got 7"],
    [{ model: { residualLayers: -1 } }, "must be an integer of at least 0, got -1"],
    [{ quantizer: { codebookSize: 0 } }, "quantizer.codebookSize must be an integer of at least 1"],
    [{ quantizer: { codebookDim: 0 } }, "quantizer.codebookDim must be an integer of at least 1"],
    [{ quantizer: { codebookSize: 1.5 } }, "must be an integer of at least 1, got 1.5"],
    [{ quantizer: { decay: 1 } }, "quantizer.decay must be a number in [0, 1), got 1"],
    [
      { quantizer: { type: "clustered", temperature: 0 } },
      "quantizer.temperature must be a number above 0, got 0",
    ],
    [
      { quantizer: { type: "clustered", online: 1 } },
      "quantizer.online must be true or false, got 1",
    ],
    [{ quantizer: { type: 3 } }, "quantizer.type must be vanilla, clustered, "],
    [{ quantizer: "vanilla" }, "quantizer must be an object"],
    [
      { quantizer: { type: "fsq", levels: [8, 1] } },
      "quantizer.levels must be one or more, separated by commas, each an integer of at least 2, got [8,1]",
    ],
    [{ quantizer: { type: "fsq", levels: [] } }, "each an integer of at least 2, got []"],
    [
      { quantizer: { type: "residual", inner: { codebookSize: 0 } } },
      "quantizer.inner.codebookSize must be an integer of at least 1, got 0",
    ],
    [
      { quantizer: { type: "product", inner: { type: 1 } } },
      "quantizer.inner.type must be vanilla",
    ],
    [
      { optimizer: { learningRate: -1 } },
      "optimizer.learningRate must be a number above 0, got -1",
    ],
    [{ optimizer: { learningRate: NaN } }, "must be a number above 0, got NaN"],
    [{ optimizer: { clipNorm: 0 } }, "optimizer.clipNorm must be a number above 0, or none, got 0"],
    [{ optimizer: { floor: 2 } }, "optimizer.floor must be a number in [0, 1], got 2"],
    [{ training: { batchSize: 0 } }, "training.batchSize must be an integer of at least 1, got 0"],
    [{ training: { epochs: null } }, "training.epochs must be an integer of at least 1, got none"],
    [{ cpu: { threads: 0 } }, "cpu.threads must be an integer of at least 1, or none, got 0"],
    [[], "it must be an object of settings, got []"],
    [3, "it must be an object of settings, got 3"],
  ];
  for (const [file, message] of cases) {
    const got = refusal({ file });
    assert.ok(got.startsWith("Cannot read the configuration: "), got);
    assert.ok(got.includes(message), `${got} must say ${message}`);
  }
});

Deno.test("every setting describes its meaning and allowed values", () => {
  const settings = configSettings();
  assert.equal(new Set(settings.map(({ path }) => path)).size, settings.length);
  for (const { path, description, allowed } of settings) {
    assert.ok(description.length > 0 && allowed.length > 0, path);
  }
});

const positive = fc.integer({ min: 1, max: 4096 });
const share = fc.double({ min: 0, max: 0.999, noNaN: true });
const part = <T>(fields: { [Name in keyof T]: fc.Arbitrary<T[Name]> }) =>
  fc.record(fields, { requiredKeys: [] });

/** Settings that are allowed, any of them left out. */
const allowed = part({
  preset: fc.constantFrom("digits", "emoji", "digits-reference"),
  seed: fc.maxSafeNat(),
  device: fc.constantFrom("auto", "reference", "cpu", "webgpu"),
  precision: fc.constantFrom("float32", "mixed"),
  out: fc.string({ minLength: 1 }),
  model: fc.oneof(
    fc.record({
      type: fc.constant("vqvae"),
      hidden: positive.map((half) => 2 * half),
      residualHidden: positive,
    }),
    fc.record({ type: fc.constant("vqgan"), ch: positive, chMult: fc.array(positive) }),
  ),
  quantizer: fc.oneof(
    fc.record({ type: fc.constant("clustered"), decay: share, online: fc.boolean() }),
    fc.record({ type: fc.constant("clustered-ema"), decay: share }),
    fc.constant({}),
    fc.record({ type: fc.constant("vanilla"), commitmentWeight: share }),
  ),
  optimizer: part({
    type: fc.constantFrom("adam", "adamw"),
    beta1: share,
    clipNorm: fc.option(fc.constantFrom(0.5, 1)),
    schedule: fc.constantFrom("constant", "cosine", "linear"),
  }),
  training: part({ maxSteps: fc.option(positive), batchSize: positive }),
});

Deno.test("a configuration survives JSON, and resolving it again changes nothing", () => {
  fc.assert(fc.property(allowed, (flags) => {
    const config = resolveConfig({ flags });
    const again = JSON.parse(JSON.stringify(config));
    assert.deepEqual(again, config);
    assert.deepEqual(resolveConfig({ file: again }), config);
    assert.deepEqual(resolveConfig({ saved: again }), config);
  }));
});

Deno.test("the identity of a run depends only on settings that affect its result", () => {
  const identity = (flags: unknown) => JSON.stringify(identityOf(resolveUnchecked({ flags })));
  const usual = identity({});
  const same = [
    { out: "elsewhere" },
    { device: "reference" },
    { cpu: { threads: 1, blas: "off", dnn: "off" } },
    { training: { logEverySteps: 1, checkpointEverySteps: 1, epochs: 20, maxSteps: 7 } },
    { preset: "digits-reference", quantizer: { type: "clustered-ema" } },
  ];
  for (const flags of same) assert.equal(identity(flags), usual, JSON.stringify(flags));
  const other = [
    { seed: 43 },
    { precision: "mixed" },
    { model: { hidden: 64 } },
    { quantizer: { decay: 0.99 } },
    { quantizer: { type: "vanilla" } },
    { optimizer: { learningRate: 1e-3 } },
    { training: { batchSize: 64 } },
  ];
  for (const flags of other) assert.notEqual(identity(flags), usual, JSON.stringify(flags));
  const scheduled = (epochs: number) =>
    identity({ optimizer: { schedule: "cosine" }, training: { epochs } });
  assert.notEqual(scheduled(10), scheduled(20), "a schedule depends on the length of the run");
});

Deno.test("any invalid configuration is rejected with a message", () => {
  const objects: unknown[] = [
    { toString: 1 },
    { toString: null, valueOf: null },
    [],
    [{}],
    null,
    1,
    true,
  ];
  for (const preset of objects.filter((value) => value !== null)) { // None is the usual one.
    for (const place of ["file", "flags", "saved"]) {
      assert.match(
        refusal({ [place]: { preset } }),
        /^Cannot read the configuration: preset must /,
      );
    }
  }
  const names = [
    "preset",
    "seed",
    "out",
    "data",
    "name",
    "model",
    "quantizer",
    "type",
    "inner",
    "cpu",
  ];
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom<unknown>(...objects, "digits", "residual", "adamw", "__proto__", "", 1e999),
      fc.dictionary(fc.constantFrom(...names, "toString", "__proto__", "constructor"), tie("any"), {
        noNullPrototype: true, // JSON gives none; zod's words do not stand them.
      }),
    ),
  })).any;
  const layers = fc.dictionary(fc.constantFrom("saved", "file", "flags"), value);
  fc.assert(fc.property(layers, (sources) => void refusal(sources)), { numRuns: 1000 });
});
