/** Output of profiles: a Chrome trace, and a table of the most expensive kernels. */
import { greatestOf } from "./extremes.ts";
import type { KernelRun, Profile } from "./profile.ts";
import type { Spec } from "./shape.ts";

/** The tracks of events: the host's phases, its kernel calls, and the kernels. */
const HOST = 1, CALLS = 2, KERNELS = 3;

const round = (value: number): number => Math.round(value * 1000) / 1000;

/** Formats a spec: `128x14x14x64`, with the dtype if it is not float32. */
function showSpec({ shape, dtype }: Spec): string {
  const lengths = shape.length === 0 ? "scalar" : shape.join("x");
  return dtype === "float32" ? lengths : `${dtype} ${lengths}`;
}

const showSpecs = (specs: readonly Spec[]): string => specs.map(showSpec).join(", ");

/** How many operands a table names at most. */
const MOST_NAMED = 4;

/** `6272x64, 512x64 → int32 6272`. Of many operands, it shows the first few and the number of the others. */
function showShapes({ inputs, outputs }: Pick<KernelRun, "inputs" | "outputs">): string {
  const show = (specs: readonly Spec[]): string =>
    specs.length <= MOST_NAMED
      ? showSpecs(specs)
      : `${showSpec(specs[0])} and ${specs.length - 1} more`;
  return [show(inputs), show(outputs)].filter(Boolean).join(" → ");
}

/** 10⁹ per second; 0 if no time passed. */
const rateOf = (count: number, ms: number): number => ms === 0 ? 0 : round(count / ms / 1e6);

/** Converts profiles to the trace event format, which chrome://tracing and ui.perfetto.dev open. Each profile is a
 * process with the tracks `host` (the whole profile and its phases), `calls` and `kernels`, and a counter of live
 * bytes.
 *
 * Every kernel has its shapes, the bytes it read and wrote and, if it is compute-bound, its floating-point operations,
 * with the rates reached.
 *
 * ```ts
 * import { chromeTrace, openDevice, profile, zeros } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const taken = await profile(device, "zeros", () => void zeros(device, [4]));
 * await Deno.writeTextFile(await Deno.makeTempFile(), chromeTrace([taken]));
 * ```
 * @returns JSON; times in microseconds from the start of the first profile
 */
export function chromeTrace(profiles: readonly Profile[]): string {
  const zero = profiles[0]?.start ?? 0;
  return JSON.stringify({
    displayTimeUnit: "ms",
    traceEvents: profiles.flatMap((profile, index) => eventsOf(profile, index + 1, zero)),
  });
}

function eventsOf(profile: Profile, pid: number, zero: number): unknown[] {
  const event = (tid: number, name: string, { start, end }: { start: number; end: number }) => ({
    ph: "X",
    pid,
    tid,
    name,
    ts: round((start - zero) * 1000),
    dur: round((end - start) * 1000),
  });
  const label = (tid: number, name: string, label: string) => ({
    ph: "M",
    pid,
    tid,
    name,
    args: { name: label },
  });
  const { title, device, clock, kernels, phases } = profile;
  return [
    label(0, "process_name", title),
    label(HOST, "thread_name", "host"),
    label(CALLS, "thread_name", "calls"),
    label(KERNELS, "thread_name", "kernels"),
    { ...event(HOST, title, profile), cat: "profile", args: { device, clock } },
    ...phases.map((phase) => ({ ...event(HOST, phase.name, phase), cat: "phase", args: {} })),
    ...kernels.map((run) => ({ ...event(CALLS, run.name, run.call), cat: "call", args: {} })),
    ...kernels.map((run) => ({
      ...event(KERNELS, run.name, run),
      cat: "kernel",
      args: kernelArguments(run),
    })),
    ...kernels.map(({ call, liveBytes }) => ({
      ph: "C",
      pid,
      tid: 0,
      name: "bytes alive",
      ts: round((call.start - zero) * 1000),
      args: { bytes: liveBytes },
    })),
  ];
}

function kernelArguments(run: KernelRun): Readonly<Record<string, unknown>> {
  const { inputs, outputs, bytes, operations, start, end } = run;
  return {
    inputs: showSpecs(inputs),
    outputs: showSpecs(outputs),
    bytes,
    "GB/s": rateOf(bytes, end - start),
    ...operations === undefined ? {} : { operations, "GFLOP/s": rateOf(operations, end - start) },
  };
}

/** All runs of one operation on the same shapes. */
interface Group {
  readonly name: string;
  readonly shapes: string;
  calls: number;
  ms: number;
  bytes: number;
  operations: number | undefined;
}

/** The rate of operations if compute-bound, otherwise of bytes. */
function showRate({ operations, bytes, ms }: Group): string {
  return operations === undefined
    ? `${rateOf(bytes, ms).toFixed(1)} GB/s`
    : `${rateOf(operations, ms).toFixed(1)} GFLOP/s`;
}

function groupsOf(kernels: readonly KernelRun[]): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const run of kernels) {
    const { name, start, end, bytes, operations } = run;
    const shapes = showShapes(run);
    const key = `${name} ${shapes}`;
    const group = groups.get(key) ??
      { name, shapes, calls: 0, ms: 0, bytes: 0, operations: undefined };
    group.calls++;
    group.ms += end - start;
    group.bytes += bytes;
    if (operations !== undefined) group.operations = (group.operations ?? 0) + operations;
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.ms - a.ms);
}

/** A table of the operations that took the longest, with shapes, calls, milliseconds, share of the total time and rate.
 * The totals come first.
 * @param count the number of rows; by default 10
 */
export function showDearest(profile: Profile, count = 10): string {
  const { title, clock, start, end, kernels } = profile;
  const whole = end - start;
  const share = (ms: number): string => `${(100 * ms / whole).toFixed(1)} %`;
  const groups = groupsOf(kernels);
  const inKernels = groups.reduce((sum, { ms }) => sum + ms, 0);
  const most = Math.max(0, greatestOf(kernels.map(({ liveBytes }) => liveBytes)));
  const rows = [
    ["kernel", "shapes", "calls", "ms", "share", "rate"],
    ...groups.slice(0, count).map((group) => [
      group.name,
      group.shapes,
      `${group.calls}`,
      group.ms.toFixed(2),
      share(group.ms),
      showRate(group),
    ]),
  ];
  const widths = rows[0].map((_, column) => greatestOf(rows.map((row) => row[column].length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, column) =>
      column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])
    ).join("  ");
  return [
    `${title}: ${whole.toFixed(1)} ms, ${
      share(inKernels)
    } of it in ${kernels.length} kernels; at most ${(most / 2 ** 20).toFixed(0)} MiB alive`,
    `timed by ${clock}`,
    ...rows.map(line),
  ].join("\n");
}
