/** Tasks over several processes: the flags, the connection, and the settings that must be equal. */
import * as z from "zod";
import type { DeviceChoice } from "../core/device.ts";
import type { Device } from "../core/tensor.ts";
import { type Communicator, gatherTexts } from "../training/distributed/communicator.ts";
import { openMpi } from "../training/distributed/mpi.ts";
import { SingleCommunicator } from "../training/distributed/single.ts";
import { asUsage, UsageError } from "./fail.ts";
import { LineOutput, Output, Silence } from "./output.ts";

/** The flags. They determine how something is computed, not its result, so they are not part of the configuration. */
export const RANK_OPTIONS = {
  distributed: z.enum(["none", "mpi"]).default("none").describe(
    "mpi: the processes started by mpirun work together, each on its part of every batch",
  ),
  "mpi.timeout": z.number().positive().default(600)
    .describe("how long a process waits for a late one, in seconds"),
  "mpi.library": z.string().min(1).default("auto")
    .describe("the MPI library; auto: that of the launcher; or the path of a library"),
};

/** The flags' values. */
export type RankFlags = z.output<z.ZodObject<typeof RANK_OPTIONS>>;

/** Connects the processes that work together.
 * @param given the flags on the command line, by name
 * @throws {UsageError} an MPI flag is given without MPI, mpirun did not start this process, or there is no library
 */
export function openRanks(
  { distributed, "mpi.timeout": timeout, "mpi.library": library }: RankFlags,
  given: Readonly<Record<string, unknown>>,
): Communicator {
  if (distributed === "mpi") return asUsage(() => openMpi({ timeout, library }));
  const flag = Object.keys(given).find((name) => name.startsWith("mpi."));
  if (flag === undefined) return new SingleCommunicator();
  throw new UsageError(
    `Cannot read the command line: --${flag} must be given with --distributed mpi, got it alone`,
  );
}

/** The output of this process: only the first one prints. */
export function outputOf(
  { rank, size }: Communicator,
  { distributed, json }: Pick<RankFlags, "distributed"> & { readonly json: boolean },
): Output {
  if (rank > 0) return new Silence();
  return size > 1 || distributed === "mpi" ? new LineOutput(json) : new Output(json);
}

/** Where the processes compute, for messages and records. */
export function placeOf({ description }: Device, communicator: Communicator): string {
  return communicator.size === 1 ? description : `${description}, ${communicator.description}`;
}

/** The device of each process: cpu unless another is named, with an equal share of the machine's threads unless the
 * number of threads is given.
 * @param work what the processes do, for the error message
 * @throws {UsageError} the host cannot access the memory of the device
 */
export function shareDevice(
  { device, threads }: { readonly device: DeviceChoice; readonly threads: number | undefined },
  communicator: Communicator,
  work: string,
): { readonly device: DeviceChoice; readonly threads: number | undefined } {
  const { size } = communicator;
  if (size === 1) return { device, threads };
  if (device === "webgpu") {
    throw new UsageError(
      `Cannot ${work} over ${size} processes: device must be auto, cpu or reference, whose memory MPI can send directly, got webgpu`,
    );
  }
  return {
    device: device === "auto" ? "cpu" : device,
    threads: threads ?? threadsOfEach(communicator),
  };
}

/** The number of threads per process on this machine; mpirun may have bound the process to some cores. */
export function threadsOfEach(communicator: Communicator): number {
  const isAllowed = Deno.permissions.querySync({ name: "sys", kind: "hostname" }).state ===
    "granted";
  const hosts = gatherTexts(communicator, isAllowed ? Deno.hostname() : "", "the hosts");
  const here = hosts.filter((host) => host === hosts[communicator.rank]).length;
  return Math.max(1, Math.floor(navigator.hardwareConcurrency / here));
}

/** Throws if a process has different settings from the first. All processes report the same setting.
 * @param work what the processes do, for the error message
 * @throws {RangeError} a setting differs
 */
export function checkSameSettings(
  settings: object,
  communicator: Communicator,
  work: string,
): void {
  const own = JSON.stringify(settings);
  const all = gatherTexts(communicator, own, "the settings").map((text) =>
    settingsOf(JSON.parse(text))
  );
  const [first, ...others] = all;
  for (const [index, settings] of others.entries()) {
    for (const path of new Set([...first.keys(), ...settings.keys()])) {
      if (settings.get(path) === first.get(path)) continue;
      throw new RangeError(
        `Cannot ${work} over ${all.length} processes: ${path} must be the same for all, got ${
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
