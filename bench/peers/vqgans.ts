/** The VQGANs whose training steps are measured. */

/** Batch size, image side and number of measured steps for each preset. */
export const VQGANS = {
  "vqgan-small": { batch: 16, side: 32, steps: 5 },
  "vqgan-f8": { batch: 1, side: 128, steps: 2 },
} as const;

/** Names one. */
export type VqganName = keyof typeof VQGANS;

/** The names. */
export const VQGAN_NAMES = Object.keys(VQGANS) as VqganName[];

/** What the work is called in the tables. */
export function vqganWork(name: VqganName): string {
  const { batch, side } = VQGANS[name];
  return `${name} step, ${side}x${side}, batch ${batch}`;
}
