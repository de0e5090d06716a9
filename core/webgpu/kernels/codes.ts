/** Kernels over rows and codes: gather, and sums and counts by segment.
 *
 * A segment sum sorts the rows by segment with integer work alone (a stable counting sort over chunks of rows),
 * then adds each segment's rows in their order: no atomics on floats, one result.
 */
import type { Attributes } from "../../ops.ts";
import type { Kernel } from "../../backend.ts";
import { sizeOf } from "../../shape.ts";
import { type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import { checkLoops, loopBudget } from "../loop_budget.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { fillWords } from "./movement.ts";

const SCAN_BLOCK = 128;
const MOST_CELLS = 2 ** 22;

/** The launches of a segment sum: for each chunk of rows how many fall in each segment, where each segment
 * starts in the sorted order, and the order itself. */
class SegmentSort {
  readonly #launcher: Launcher;
  readonly #rows: number;
  readonly #segments: number;
  readonly #chunkLength: number;
  readonly #chunks: number;

  constructor(launcher: Launcher, rows: number, segments: number) {
    this.#launcher = launcher;
    this.#rows = rows;
    this.#segments = segments;
    const most = Math.min(256, Math.ceil(MOST_CELLS / segments));
    this.#chunkLength = Math.min(Math.max(64, Math.ceil(rows / most)), loopBudget(launcher));
    this.#chunks = Math.ceil(rows / this.#chunkLength);
  }

  /** The rows in order of segment, and where each segment starts (one element more than segments). */
  sort(indices: WebGpuBuffer): { readonly order: WebGpuBuffer; readonly starts: WebGpuBuffer } {
    const launcher = this.#launcher;
    const cells = this.#chunks * this.#segments;
    const counts = launcher.scratch(0, cells * 4);
    const ranks = launcher.scratch(1, this.#rows * 4);
    const totals = launcher.scratch(2, this.#segments * 4);
    const starts = launcher.scratch(3, (this.#segments + 1) * 4);
    const order = launcher.scratch(4, this.#rows * 4);
    fillWords(launcher, counts, cells, 0);
    this.#run(
      "segmentRank",
      [["indices: i32", indices]],
      [
        ["counts: u32", counts],
        ["ranks: u32", ranks],
      ],
      this.#chunks,
      `
  let begin = index * numbers.chunk_length;
  for (var row = begin; row < min(begin + numbers.chunk_length, numbers.rows); row++) {
    let segment = u32(indices[row]);
    if (segment >= numbers.segments) { continue; }
    let cell = index * numbers.segments + segment;
    ranks[row] = counts[cell];
    counts[cell] += 1u;
  }`,
    );
    this.#run(
      "segmentTotal",
      [],
      [["counts: u32", counts], ["totals: u32", totals]],
      this.#segments,
      `
  var before = 0u;
  for (var cell = index; cell < numbers.chunks * numbers.segments; cell += numbers.segments) {
    let count = counts[cell];
    counts[cell] = before;
    before += count;
  }
  totals[index] = before;`,
    );
    this.#scan(totals, starts);
    this.#run(
      "segmentOrder",
      [
        ["indices: i32", indices],
        ["counts: u32", counts],
        ["ranks: u32", ranks],
        ["starts: u32", starts],
      ],
      [["order: u32", order]],
      this.#rows,
      `
  let segment = u32(indices[index]);
  if (segment >= numbers.segments) { return; }
  let before = counts[(index / numbers.chunk_length) * numbers.segments + segment];
  order[starts[segment] + before + ranks[index]] = index;`,
    );
    return { order, starts };
  }

  // Exclusive sums of the totals: over blocks, then within them.
  #scan(totals: WebGpuBuffer, starts: WebGpuBuffer): void {
    const blocks = Math.ceil(this.#segments / SCAN_BLOCK);
    checkLoops(this.#launcher, "segmentSum", blocks + SCAN_BLOCK);
    const sums = this.#launcher.scratch(5, blocks * 4);
    this.#run(
      "segmentBlocks",
      [["totals: u32", totals]],
      [["sums: u32", sums]],
      blocks,
      `
  var sum = 0u;
  let begin = index * ${SCAN_BLOCK}u;
  for (var i = begin; i < min(begin + ${SCAN_BLOCK}u, numbers.segments); i++) { sum += totals[i]; }
  sums[index] = sum;`,
    );
    this.#run(
      "segmentStarts",
      [["totals: u32", totals], ["sums: u32", sums]],
      [
        ["starts: u32", starts],
      ],
      this.#segments + 1,
      `
  var start = 0u;
  let block = index / ${SCAN_BLOCK}u;
  for (var i = 0u; i < block; i++) { start += sums[i]; }
  for (var i = block * ${SCAN_BLOCK}u; i < index; i++) { start += totals[i]; }
  starts[index] = start;`,
    );
  }

  #run(
    key: string,
    inputs: readonly (readonly [string, WebGpuBuffer])[],
    outputs: readonly (readonly [string, WebGpuBuffer])[],
    threads: number,
    body: string,
  ): void {
    this.#launcher.launch({
      key,
      shader: () => ({
        inputs: inputs.map(([declaration]) => declaration),
        outputs: outputs.map(([declaration]) => declaration),
        numbers: ["threads: u32", "rows: u32", "segments: u32", "chunk_length: u32", "chunks: u32"],
        workgroupSize: WORKGROUP_SIZE,
        body: `  if (index >= numbers.threads) { return; }${body}`,
      }),
      inputs: inputs.map(([, buffer]) => buffer),
      outputs: outputs.map(([, buffer]) => buffer),
      numbers: [threads, this.#rows, this.#segments, this.#chunkLength, this.#chunks],
      workgroups: workgroupsFor(threads),
    });
  }
}

type Codes = "gather" | "segmentSum" | "segmentCount";
type Table = { readonly [N in Codes]: Kernel<Attributes[N], WebGpuBuffer> };

/** The kernels over rows and codes. */
export function codesKernels(launcher: Launcher): Table {
  return {
    gather: ([table, indices], [output]) => {
      const [rows, length] = table.shape;
      const width = length % 4 === 0 ? 4 : 1;
      const word = width === 4 ? "vec4<u32>" : "u32";
      const count = sizeOf(output.shape) / width;
      launcher.launch({
        key: `gather/${width}`,
        shader: () => ({
          inputs: [`table: ${word}`, "indices: i32"],
          outputs: [`gathered: ${word}`],
          numbers: ["count: u32", "rows: u32", "row_length: u32"],
          workgroupSize: WORKGROUP_SIZE,
          body: `
  if (index >= numbers.count) { return; }
  let row = u32(indices[index / numbers.row_length]);
  if (row >= numbers.rows) {
    gathered[index] = ${word}(0u);
    return;
  }
  gathered[index] = table[row * numbers.row_length + index % numbers.row_length];`,
        }),
        inputs: [table.buffer, indices.buffer],
        outputs: [output.buffer],
        numbers: [count, rows, length / width],
        workgroups: workgroupsFor(count),
      });
    },
    segmentSum: ([values, indices], [output], { segments }) => {
      const [rows, length] = values.shape;
      const { order, starts } = new SegmentSort(launcher, rows, segments).sort(indices.buffer);
      const width = length % 4 === 0 ? 4 : 1;
      const type = width === 4 ? "vec4<f32>" : "f32";
      const count = sizeOf(output.shape) / width;
      // Each launch adds the next rows of the order to the sums so far.
      const most = Math.min(rows, loopBudget(launcher));
      for (let begin = 0; begin < rows; begin += most) {
        launcher.launch({
          key: `segmentSum/${width}`,
          shader: () => ({
            inputs: [`values: ${type}`, "order: u32", "starts: u32"],
            outputs: [`sums: ${type}`],
            numbers: ["count: u32", "row_length: u32", "begin: u32", "end: u32"],
            workgroupSize: WORKGROUP_SIZE,
            body: `
  if (index >= numbers.count) { return; }
  let segment = index / numbers.row_length;
  let within = index % numbers.row_length;
  var sum = ${type}(0.0);
  if (numbers.begin > 0u) { sum = sums[index]; }
  let end = min(starts[segment + 1u], numbers.end);
  for (var i = max(starts[segment], numbers.begin); i < end; i++) {
    sum += values[order[i] * numbers.row_length + within];
  }
  sums[index] = sum;`,
          }),
          inputs: [values.buffer, order, starts],
          outputs: [output.buffer],
          numbers: [count, length / width, begin, begin + most],
          workgroups: workgroupsFor(count),
        });
      }
    },
    segmentCount: ([indices], [output], { segments }) => {
      const [rows] = indices.shape;
      fillWords(launcher, output.buffer, segments, 0);
      launcher.launch({
        key: "segmentCount",
        shader: () => ({
          inputs: ["indices: i32"],
          outputs: ["counts: atomic<u32>"],
          numbers: ["rows: u32", "segments: u32"],
          workgroupSize: WORKGROUP_SIZE,
          body: `
  if (index >= numbers.rows) { return; }
  let segment = u32(indices[index]);
  if (segment < numbers.segments) { atomicAdd(&counts[segment], 1u); }`,
        }),
        inputs: [indices.buffer],
        outputs: [output.buffer],
        numbers: [rows, segments],
        workgroups: workgroupsFor(rows),
      });
    },
  };
}
