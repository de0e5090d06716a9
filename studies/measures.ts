/** The measures of a study. */

/** The numbers that a study's table can show. */
export const MEASURES = [
  "usage",
  "perplexity",
  "mse",
  "psnr",
  "ssim",
  "sharpness",
  "secondsPerStep",
  "fid",
  "bits",
  "stage1Usage",
  "stage1Mse",
  "stage1Fid",
  "parameters",
  "secondsPerSample",
  "trainingSeconds",
] as const;

/** The name of a measure. */
export type Measure = typeof MEASURES[number];

/** The default measures of a study. */
export const DEFAULT_MEASURES: readonly Measure[] = [
  "usage",
  "perplexity",
  "mse",
  "secondsPerStep",
];

/** How a measure is shown. */
export interface MeasureTitle {
  /** The title, with the unit. */
  readonly title: string;
  /** The factor that converts a value to that unit. */
  readonly factor: number;
  /** The number of decimals. */
  readonly decimals: number;
  /** Which direction is better; null if neither is, or if the number also depends on the machine. */
  readonly better: "higher" | "lower" | null;
}

/** How each measure is shown. */
export const MEASURE_TITLES: Readonly<Record<Measure, MeasureTitle>> = {
  usage: { title: "usage, %", factor: 100, decimals: 1, better: "higher" },
  perplexity: { title: "perplexity", factor: 1, decimals: 1, better: "higher" },
  mse: { title: "test mse", factor: 1, decimals: 5, better: "lower" },
  psnr: { title: "PSNR, dB", factor: 1, decimals: 2, better: "higher" },
  ssim: { title: "SSIM", factor: 1, decimals: 4, better: "higher" },
  // 1 is as sharp as the originals, more is noise.
  sharpness: { title: "sharpness", factor: 1, decimals: 3, better: null },
  secondsPerStep: { title: "seconds per step", factor: 1, decimals: 3, better: null },
  fid: { title: "FID", factor: 1, decimals: 2, better: "lower" },
  bits: { title: "bits per code", factor: 1, decimals: 3, better: null },
  stage1Usage: { title: "first stage usage, %", factor: 100, decimals: 1, better: null },
  stage1Mse: { title: "first stage test mse", factor: 1, decimals: 5, better: null },
  stage1Fid: { title: "first stage FID", factor: 1, decimals: 2, better: null },
  parameters: { title: "parameters, million", factor: 1e-6, decimals: 2, better: null },
  secondsPerSample: { title: "seconds per sample", factor: 1, decimals: 3, better: null },
  trainingSeconds: { title: "training, s", factor: 1, decimals: 0, better: null },
};
