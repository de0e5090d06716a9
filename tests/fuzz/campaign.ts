/** A campaign: inputs of one format, one after another, measured against the promise of docs/security.md. */
import type { Reading } from "./child.ts";
import { inputOf } from "./input.ts";
import { FuzzReader } from "./reader.ts";
import { type FuzzTarget, loadTarget } from "./target.ts";

/** The promise: so much memory, and so much for each byte of the file. */
const FREE_MEMORY = 2 ** 26, MEMORY_A_BYTE = 8;
/** Processor time in milliseconds: so much, and so much for each byte. */
const FREE_MS = 1000, MS_A_BYTE = 1e-3;

/** An input that broke the promise. */
export interface Finding {
  /** Its number; the input is made from it again. */
  readonly seed: number;
  /** What it did. */
  readonly what: string;
  /** Where it was saved. */
  readonly path: string;
}

/** What a campaign is run with. */
export interface CampaignOptions {
  /** Where inputs that break the promise are saved, each with its seed in its name. */
  readonly findings: string;
  /** Where the input that is being read lies. */
  readonly folder: string;
  /** Milliseconds after which a reading that has not ended is ended. */
  readonly patience: number;
  /** Whether processor time is held against the promise; not on machines that others share. */
  readonly timed: boolean;
}

/** The counts of a format's campaign. */
export class Campaign {
  inputs = 0;
  refused = 0;
  accepted = 0;
  /** The greatest processor time of an input, in milliseconds, and its seed. */
  slowest = { ms: 0, seed: 0 };
  /** The most memory of an input, in bytes, and its seed. */
  largest = { memory: 0, seed: 0 };
  readonly findings: Finding[] = [];
  readonly #reader: FuzzReader;

  private constructor(
    readonly target: FuzzTarget,
    readonly module: string,
    readonly options: CampaignOptions,
  ) {
    this.#reader = new FuzzReader(module, options.folder, options.patience);
  }

  /** Prepares the campaign of a format. */
  static async open(module: string, options: CampaignOptions): Promise<Campaign> {
    return new Campaign(await loadTarget(module), module, options);
  }

  /** Reads an input; one that breaks the promise is read again in a process of its own before it counts. */
  async read(seed: number): Promise<void> {
    this.inputs++;
    const reading = await this.#reader.read(seed);
    if (!("ended" in reading)) {
      if (reading.outcome === "refused") this.refused++;
      if (reading.outcome === "accepted") this.accepted++;
      if (reading.ms > this.slowest.ms) this.slowest = { ms: reading.ms, seed };
      if (reading.memory > this.largest.memory) this.largest = { memory: reading.memory, seed };
    }
    if (this.#broken(reading) === undefined) return;
    await this.#reader.close();
    const again = new FuzzReader(this.module, this.options.folder, this.options.patience);
    const what = this.#broken(await again.read(seed));
    await again.close();
    if (what !== undefined) await this.#save(seed, what);
  }

  /** Ends the child process. */
  async close(): Promise<void> {
    await this.#reader.close();
  }

  /** A line of the counts. */
  toString(): string {
    const { inputs, refused, accepted, slowest, largest, findings } = this;
    return [
      this.target.name.padEnd(12),
      `${inputs} inputs`.padStart(15),
      `${refused} refused`.padStart(16),
      `${accepted} accepted`.padStart(16),
      `slowest ${slowest.ms.toFixed(0)} ms (${slowest.seed})`.padStart(28),
      `most memory ${(largest.memory / 2 ** 20).toFixed(0)} MiB (${largest.seed})`.padStart(32),
      `${findings.length} findings`.padStart(12),
    ].join(" ");
  }

  /** What of the promise a reading broke. */
  #broken(reading: Reading | { readonly ended: string }): string | undefined {
    if ("ended" in reading) return reading.ended;
    const { outcome, size, ms, memory } = reading;
    if (outcome !== "refused" && outcome !== "accepted") return outcome;
    if (memory > FREE_MEMORY + MEMORY_A_BYTE * size) {
      return `${(memory / 2 ** 20).toFixed(0)} MiB of memory for ${size} bytes`;
    }
    if (this.options.timed && ms > FREE_MS + MS_A_BYTE * size) {
      return `${ms.toFixed(0)} ms of processor time for ${size} bytes`;
    }
    return undefined;
  }

  async #save(seed: number, what: string): Promise<void> {
    const path = `${this.options.findings}/${seed}.${this.target.name}`;
    await Deno.mkdir(this.options.findings, { recursive: true });
    await Deno.writeFile(path, inputOf(this.target, seed));
    this.findings.push({ seed, what, path });
  }
}
