/** Presets: named settings. Each states only what it changes, with the reason. */

/** Settings by section and name, as configuration files hold them. */
export type Settings = { readonly [name: string]: unknown };

/** The preset that is meant where none is named. */
export const DEFAULT_PRESET = "digits";

/** The presets by name. */
export const PRESETS: ReadonlyMap<string, Settings> = new Map<string, Settings>([
  ["digits", {
    training: {
      batchSize: 128, // Of 9,003 images; the paper's 1,024 would leave 8 steps an epoch.
      epochs: 10, // As far as the reference implementation's curves go.
    },
  }],
  ["emoji", {
    data: { name: "emoji" }, // 32×32; --data.size 64 takes four times as long.
    training: {
      batchSize: 128,
      epochs: 27, // Of 26 steps each: as many in all as the digits have.
    },
  }],
  ["gpt", {
    // Stands on a run of the digits: 49 codes of 512 an image.
    objective: { type: "autoregression" },
    optimizer: {
      type: "adamw",
      learningRate: 1e-3, // A small model; larger ones want 3e-4 and less.
      beta2: 0.95, // As minGPT.
      schedule: "cosine",
    },
    training: {
      batchSize: 64, // 140 steps an epoch.
      epochs: 10,
    },
  }],
  ["maskgit", {
    // Stands on a run of the digits; as gpt otherwise.
    objective: { type: "masking" },
    optimizer: { type: "adamw", learningRate: 1e-3, beta2: 0.95, schedule: "cosine" },
    training: { batchSize: 64, epochs: 30 }, // A step learns from the hidden codes only.
  }],
  ["rq-transformer", {
    // Stands on a run with a residual or a product quantizer; as gpt otherwise.
    objective: { type: "residual-autoregression" },
    optimizer: { type: "adamw", learningRate: 1e-3, beta2: 0.95, schedule: "cosine" },
    training: { batchSize: 64, epochs: 10 },
  }],
  ["digits-reference", {
    // What tests/fixtures/digits-curves.json was made with, in full, so that no change of a default moves it.
    seed: 42,
    data: { name: "digits" },
    model: { hidden: 128, residualHidden: 32, residualLayers: 2 },
    quantizer: {
      type: "clustered",
      codebookSize: 512,
      codebookDim: 64,
      commitmentWeight: 0.25,
      distance: "cos",
      anchor: "closest",
      decay: 0.99,
      epsilon: 1e-3,
      online: true,
      contrastive: false,
    },
    optimizer: { type: "adam", learningRate: 3e-4, schedule: "constant" },
    training: { batchSize: 128, epochs: 10 },
  }],
]);
