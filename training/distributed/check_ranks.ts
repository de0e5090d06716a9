/** Checks that several processes can train a run together. */
import type { Config } from "../config.ts";

/** Rejects a configuration that a number of processes cannot train together.
 * @throws {RangeError} MPI cannot send the device's memory, or the batches cannot be divided
 */
export function checkRanks(config: Config, count: number): void {
  if (count === 1) return;
  const { device, training: { batchSize, accumulate } } = config;
  if (device === "webgpu") {
    throw new RangeError(
      `Cannot train over ${count} processes: device must be auto, cpu or reference, whose memory MPI can send directly, got webgpu`,
    );
  }
  if (batchSize % (count * accumulate) === 0) return;
  throw new RangeError(
    `Cannot train over ${count} processes: training.batchSize must be a multiple of ${
      accumulate === 1 ? "their number" : `their number times training.accumulate ${accumulate}`
    }, got ${batchSize}`,
  );
}
