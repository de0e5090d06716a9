/** Presets: named settings. Each states only what it changes, with the reason. */
import { DIFFUSION_PRESETS } from "./diffusion_presets.ts";
import type { Settings } from "./preset.ts";

export type { Settings } from "./preset.ts";

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
  ...DIFFUSION_PRESETS,
]);
