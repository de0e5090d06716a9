/** The configuration of a run that several processes train. */
import type { Config } from "../training/config.ts";
import { checkRanks } from "../training/distributed/check_ranks.ts";
import type { Communicator } from "../training/distributed/communicator.ts";
import { asUsage } from "./fail.ts";
import { checkSameSettings, threadsOfEach } from "./ranks.ts";

/** The configuration for training with several processes: on the device cpu unless another is named, with an equal
 * share of the machine's threads per process unless their number is set.
 * @throws {UsageError} the processes cannot train together like this, or their settings differ from those of the first
 */
export function shareConfig(config: Config, communicator: Communicator): Config {
  const { size } = communicator;
  if (size === 1) return config;
  return asUsage(() => {
    checkSameSettings(config, communicator, "train");
    checkRanks(config, size);
    const { device, cpu } = config;
    const threads = cpu.threads ?? threadsOfEach(communicator);
    return { ...config, device: device === "auto" ? "cpu" : device, cpu: { ...cpu, threads } };
  });
}
