/** Reports the devices of this machine, and what to install.
 *
 *     deno task doctor
 *     deno task doctor --plan vqgan-f16 --data.name ffhq --batch 1,2,4
 */
import * as z from "zod";
import {
  type DeviceReport,
  findBlas,
  findDnn,
  openDevice,
  surveyDevices,
  type TilingReport,
} from "../core/device.ts";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { taskCall } from "./call.ts";
import { findMpi } from "../training/distributed/mpi_library.ts";
import { configSettings } from "../training/config.ts";
import { asUsage, runTask, UsageError } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { showMemoryPlan } from "./memory_plan.ts";
import { Output } from "./output.ts";

const OPTIONS = z.strictObject({
  plan: z.string().min(1).nullable().default(null).describe(
    "reports how much memory a configuration needs, without computing: a preset, a JSON file of settings or a run's folder",
  ),
  batch: z.array(z.int().min(1)).min(1).nullable().default(null)
    .describe("the batch sizes to plan; none: 1, 2, 4, … up to that of the configuration"),
  json: z.boolean().default(false).describe("prints the findings as the last line of stdout"),
});

const COMMAND: Command = {
  call: taskCall("doctor"),
  summary:
    "Reports which devices this machine has, which one auto picks, and what to install; with --plan, " +
    "also whether a configuration fits on one of them. The settings below override the plan's configuration.",
  operands: [],
  options: settingsOf(OPTIONS),
  settings: configSettings().filter(({ path }) => path !== "preset" && path !== "out"),
};

const SOFTWARE_ADVICE = "The WebGPU adapter is software: correct and slow. If this machine has a " +
  "graphics card, install its Vulkan driver; otherwise the device cpu is the one to use.";

const BLAS_ADVICE =
  "No BLAS was found. With one, the device cpu is about twice as fast. On Debian and " +
  "Ubuntu, `apt-get install libopenblas0-pthread` installs one; elsewhere, install OpenBLAS or MKL.";

const DNN_ADVICE =
  "oneDNN 2 was not found. With it, the convolutions of the device cpu are faster still. On Debian 12 and " +
  "Ubuntu 22.04, `apt-get install libdnnl2` installs it.";

const FFI_ADVICE =
  "This process may not call all system libraries. With a BLAS and oneDNN the device cpu is more than " +
  "twice as fast; --allow-ffi grants it.";

/** Advice for libraries that were not found. */
function libraryAdvice(blas: unknown, dnn: unknown): readonly string[] {
  if (blas !== undefined && dnn !== undefined) return [];
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return [FFI_ADVICE];
  return [...blas === undefined ? [BLAS_ADVICE] : [], ...dnn === undefined ? [DNN_ADVICE] : []];
}

/** Runs the task and returns the exit code.
 * @param args the command line arguments
 */
export async function main(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help));
    return 0;
  }
  const options = asUsage(() => readSettings(OPTIONS, line.options, "read the command line"));
  if (options.plan !== null) {
    return await showMemoryPlan({ ...options, plan: options.plan }, line.settings);
  }
  const [stray] = Object.keys(line.settings);
  if (stray !== undefined || options.batch !== null) {
    throw new UsageError(
      `Cannot read the command line: --plan must name a configuration, got none beside --${
        stray ?? "batch"
      }`,
    );
  }
  const devices = await surveyDevices();
  const auto = await openDevice("auto").then((device) => {
    using opened = device;
    return opened.name;
  }, () => null);
  const blas = await findBlas(), dnn = await findDnn();
  const mpi = findMpi();
  const software = devices.some(({ available, adapter }) => available && adapter?.isSoftware);
  const advice = [
    ...devices.filter(({ available }) => !available).map(({ description }) => description),
    ...software ? [SOFTWARE_ADVICE] : [],
    ...libraryAdvice(blas, dnn),
  ];
  const { deno, v8, typescript } = Deno.version;
  const findings = {
    deno,
    v8,
    typescript,
    system: `${Deno.build.os} ${Deno.build.arch}`,
    cores: navigator.hardwareConcurrency,
    devices,
    blas: blas?.description ?? null,
    mpi: mpi === undefined ? null : `${mpi.description} (${mpi.path})`,
    dnn: dnn?.description ?? null,
    auto,
    advice,
  };
  new Output(options.json).result(findings, [
    `Deno ${deno} (V8 ${v8}, TypeScript ${typescript}) on ${findings.system}, ${findings.cores} cores`,
    ...devices.flatMap(showDevice),
    `BLAS: ${findings.blas ?? "none"}`,
    `MPI: ${findings.mpi ?? "none"}`,
    `oneDNN: ${findings.dnn ?? "none"}`,
    `auto picks ${auto ?? "nothing: no device opens"}`,
    ...advice.map((text) => `advice: ${text}`),
  ]);
  return auto === null ? 1 : 0;
}

function showDevice({ name, available, description, adapter }: DeviceReport): string[] {
  const head = available ? description : `${name}: not available`;
  if (adapter === undefined) return [head];
  const limits = Object.entries(adapter.limits).map(([limit, value]) => `    ${limit} ${value}`);
  return [
    head,
    `  adapter ${adapter.name}, vendor ${adapter.vendor}, ${
      adapter.isSoftware ? "software" : "a real GPU"
    }`,
    ...limits,
    `    features ${adapter.features.join(", ") || "none"}`,
    `    precision ${adapter.features.includes("shader-f16") ? "float32 or mixed" : "float32"}`,
    `    tiles ${showTilings(adapter.tilings)}`,
  ];
}

function showTilings({ matmul, convolution, tuned, complaint }: TilingReport): string {
  const origin = tuned ? `measured by \`${taskCall("tune")}\`` : "by the limits, not tuned";
  return [`matmul ${matmul}, convolution ${convolution} (${origin})`, complaint]
    .filter((part) => part !== undefined).join("; ");
}

if (import.meta.main) await runTask(() => main(Deno.args));
