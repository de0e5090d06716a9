/** A process that reads inputs of one format and measures each: it is told their seeds, a line each, and answers a line
 * of JSON each. Whatever an input does to it, the parent sees it. */
import { cpuUsage } from "node:process";
import { createInterface } from "node:readline";
import { stdin } from "node:process";
import { inputOf } from "./input.ts";
import { type FuzzTarget, loadTarget } from "./target.ts";

/** What became of an input. */
export interface Reading {
  /** Its number. */
  readonly seed: number;
  /** Its length. */
  readonly size: number;
  /** Whether it was read, refused as files are, or ended otherwise: then how. */
  readonly outcome: "accepted" | "refused" | string;
  /** Milliseconds of processor time, of all threads. */
  readonly ms: number;
  /** Bytes of memory that the process grew by at most, beyond what the format allows for pictures. */
  readonly memory: number;
}

function residentBytes(which: "VmRSS" | "VmHWM"): number {
  const status = Deno.readTextFileSync("/proc/self/status");
  return 1024 * Number(status.match(new RegExp(`${which}:\\s*(\\d+)`))![1]);
}

async function outcomeOf(
  target: FuzzTarget,
  bytes: Uint8Array<ArrayBuffer>,
  path: string,
): Promise<string> {
  try {
    await target.read(bytes, path);
    return "accepted";
  } catch (error) {
    const { name, message, stack } = error as Error;
    const good = (name === "RangeError" || name === "TypeError" || name === "Error") &&
      message.startsWith("Cannot ") && message.includes(path) && message.length < 1000;
    return good ? "refused" : `not refused as files are: ${stack ?? message}`.slice(0, 2000);
  }
}

async function main(): Promise<void> {
  const [module, folder] = Deno.args;
  const target = await loadTarget(module);
  const path = `${folder}/input.${target.name}`;
  const write = (bytes: Uint8Array) => Deno.writeFileSync(path, bytes);
  write(target.sample());
  for (let time = 0; time < 3; time++) await outcomeOf(target, target.sample(), path);
  for await (const line of createInterface({ input: stdin })) {
    const seed = Number(line), bytes = inputOf(target, seed);
    write(bytes);
    (globalThis as unknown as { gc(): void }).gc();
    Deno.writeTextFileSync("/proc/self/clear_refs", "5");
    const before = residentBytes("VmRSS"), start = cpuUsage();
    const outcome = await outcomeOf(target, bytes, path);
    const { user, system } = cpuUsage(start);
    const extra = target.extra?.(bytes) ?? 0;
    const memory = Math.max(0, residentBytes("VmHWM") - before - extra);
    const reading: Reading = {
      seed,
      size: bytes.length,
      outcome,
      ms: (user + system) / 1e3,
      memory,
    };
    console.log(JSON.stringify(reading));
  }
}

await main();
