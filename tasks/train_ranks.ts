/** Training with several processes: its flags, and the checks that the processes have the same settings. */
import * as z from "zod";
import { checkRanks } from "../training/distributed/check_ranks.ts";
import { type Communicator, gatherTexts } from "../training/distributed/communicator.ts";
import { openMpi } from "../training/distributed/mpi.ts";
import { SingleCommunicator } from "../training/distributed/single.ts";
import type { Config } from "../training/config.ts";
import { nest } from "./flags.ts";
import { asUsage, UsageError } from "./fail.ts";

/** The flags. They determine how a run is computed, not its result, so they are not part of the configuration. */
export const RANK_OPTIONS = {
  distributed: z.enum(["none", "mpi"]).default("none").describe(
    "mpi: the processes started by mpirun train together, each on its part of every batch",
  ),
  mpi: z.strictObject({
    timeout: z.number().positive().default(600)
      .describe("how long a process waits for a late one, in seconds"),
    library: z.string().min(1).default("auto")
      .describe("the MPI library; auto: that of the launcher; or the path of a library"),
  }).prefault({}),
};

/** The flags' values. */
export type RankFlags = z.output<z.ZodObject<typeof RANK_OPTIONS>>;

/** Connects the processes that train together.
 * @param given the flags on the command line, by name
 * @throws {UsageError} an MPI flag is given without MPI, mpirun did not start this process, or there is no library
 */
export function openRanks(
  { distributed, mpi }: RankFlags,
  given: Readonly<Record<string, unknown>>,
): Communicator {
  if (distributed === "mpi") return asUsage(() => openMpi(mpi));
  const [flag] = Object.keys(nest(Object.entries(given)).mpi ?? {});
  if (flag === undefined) return new SingleCommunicator();
  throw new UsageError(
    `Cannot read the command line: --mpi.${flag} must be given with --distributed mpi, got it alone`,
  );
}

/** The configuration for training with several processes: on the device cpu unless another is named, with an equal
 * share of the machine's threads per process unless their number is set.
 * @throws {UsageError} the processes cannot train together like this, or their settings differ from those of the first
 */
export function shareConfig(config: Config, communicator: Communicator): Config {
  const { size } = communicator;
  if (size === 1) return config;
  return asUsage(() => {
    checkSame(config, communicator);
    checkRanks(config, size);
    const { device, cpu } = config;
    const threads = cpu.threads ?? threadsOfEach(communicator);
    return { ...config, device: device === "auto" ? "cpu" : device, cpu: { ...cpu, threads } };
  });
}

/** The number of threads per process on this machine; mpirun may have bound the process to some cores. */
function threadsOfEach(communicator: Communicator): number {
  const isAllowed = Deno.permissions.querySync({ name: "sys", kind: "hostname" }).state ===
    "granted";
  const hosts = gatherTexts(communicator, isAllowed ? Deno.hostname() : "", "the hosts");
  const here = hosts.filter((host) => host === hosts[communicator.rank]).length;
  return Math.max(1, Math.floor(navigator.hardwareConcurrency / here));
}

/** Throws if a process has other settings than the first; all processes report the same setting. */
function checkSame(config: Config, communicator: Communicator): void {
  const own = JSON.stringify(config);
  const all = gatherTexts(communicator, own, "the settings").map((text) =>
    settingsOf(JSON.parse(text))
  );
  const [first, ...others] = all;
  for (const [index, settings] of others.entries()) {
    for (const path of new Set([...first.keys(), ...settings.keys()])) {
      if (settings.get(path) === first.get(path)) continue;
      throw new RangeError(
        `Cannot train over ${all.length} processes: ${path} must be the same for all, got ${
          first.get(path) ?? "nothing"
        } of rank 0 and ${settings.get(path) ?? "nothing"} of rank ${index + 1}`,
      );
    }
  }
}

/** Values by dotted path. */
function settingsOf(section: object, before = ""): Map<string, string> {
  const entries = Object.entries(section).flatMap(([name, value]): [string, string][] =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? [...settingsOf(value, `${before}${name}.`)]
      : [[`${before}${name}`, JSON.stringify(value)]]
  );
  return new Map(entries);
}
