/** Kernels over rows and codes: gather, and sums and counts by segment.
 *
 * A segment sum first sorts the rows by segment with integer operations only (a stable counting sort over chunks of
 * rows). It then adds the rows of each segment within pieces of that order, and then the pieces of each segment. This
 * needs no float atomics, is deterministic, and balances the threads even if most rows are in one segment.
 */
import type { Attributes } from "../../ops.ts";
import type { Kernel } from "../../backend.ts";
import { sizeOf } from "../../shape.ts";
import { type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import { checkLoops, loopBudget } from "../loop_budget.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { fillWords } from "./movement.ts";

const MOST_CELLS = 2 ** 22;
const MOST_CHUNKS = 256;
const SCAN_THREADS = 256;
const PIECE = 64;
const MOST_PIECES = 2 ** 15;

/** WGSL: threads beyond the last one return. */
const WITHIN = "  if (index >= numbers.threads) { return; }";

/** The launches that sort for a segment sum: they count the rows of each chunk by segment, find where each segment
 * starts in the sorted order, and compute the order itself. */
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
    const most = Math.min(MOST_CHUNKS, Math.ceil(MOST_CELLS / segments));
    const blocks = Math.floor(loopBudget(launcher) / (WORKGROUP_SIZE + 2));
    this.#chunkLength = Math.min(Math.ceil(rows / most / WORKGROUP_SIZE), blocks) * WORKGROUP_SIZE;
    this.#chunks = Math.ceil(rows / this.#chunkLength);
  }

  /** The rows in order of segment, and the start of each segment (one element more than there are segments). */
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
      [["counts: u32", counts], ["ranks: u32", ranks]],
      this.#chunks * WORKGROUP_SIZE,
      `
  if (group >= numbers.chunks) { return; }
  let begin = group * numbers.chunk_length;
  let end = min(begin + numbers.chunk_length, numbers.rows);
  for (var at = begin; at < end; at += ${WORKGROUP_SIZE}u) {
    let row = at + local;
    block[local] = select(numbers.segments, u32(indices[min(row, end - 1u)]), row < end);
    workgroupBarrier();
    let segment = block[local];
    let cell = group * numbers.segments + min(segment, numbers.segments - 1u);
    var rank = counts[cell];
    var is_last = segment < numbers.segments;
    for (var other = 0u; other < ${WORKGROUP_SIZE}u; other++) {
      let same = block[other] == segment;
      rank += select(0u, 1u, same && other < local);
      is_last = is_last && !(same && other > local);
    }
    storageBarrier();
    workgroupBarrier();
    if (segment < numbers.segments) { ranks[row] = rank; }
    if (is_last) { counts[cell] = rank + 1u; }
    storageBarrier();
  }`,
      `var<workgroup> block: array<u32, ${WORKGROUP_SIZE}>;`,
    );
    this.#run(
      "segmentTotal",
      [],
      [["counts: u32", counts], ["totals: u32", totals]],
      this.#segments,
      `${WITHIN}
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
      `${WITHIN}
  let segment = u32(indices[index]);
  if (segment >= numbers.segments) { return; }
  let before = counts[(index / numbers.chunk_length) * numbers.segments + segment];
  order[starts[segment] + before + ranks[index]] = index;`,
    );
    return { order, starts };
  }

  // Exclusive sums of the totals: each thread of one workgroup handles a range of them.
  #scan(totals: WebGpuBuffer, starts: WebGpuBuffer): void {
    const length = Math.ceil(this.#segments / SCAN_THREADS);
    checkLoops(this.#launcher, "segmentSum", 2 * length + SCAN_THREADS);
    this.#launcher.launch({
      key: "segmentStarts",
      shader: () => ({
        inputs: ["totals: u32"],
        outputs: ["starts: u32"],
        numbers: ["segments: u32", "run_length: u32"],
        declarations: `var<workgroup> sums: array<u32, ${SCAN_THREADS}>;`,
        workgroupSize: SCAN_THREADS,
        body: `
  let begin = min(local * numbers.run_length, numbers.segments);
  let end = min(begin + numbers.run_length, numbers.segments);
  var sum = 0u;
  for (var i = begin; i < end; i++) { sum += totals[i]; }
  sums[local] = sum;
  workgroupBarrier();
  var start = 0u;
  for (var i = 0u; i < local; i++) { start += sums[i]; }
  for (var i = begin; i < end; i++) {
    starts[i] = start;
    start += totals[i];
  }
  if (local == ${SCAN_THREADS - 1}u) { starts[numbers.segments] = start; }`,
      }),
      inputs: [totals],
      outputs: [starts],
      numbers: [this.#segments, length],
      workgroups: 1,
    });
  }

  #run(
    key: string,
    inputs: readonly (readonly [string, WebGpuBuffer])[],
    outputs: readonly (readonly [string, WebGpuBuffer])[],
    threads: number,
    body: string,
    declarations?: string,
  ): void {
    this.#launcher.launch({
      key,
      shader: () => ({
        declarations,
        inputs: inputs.map(([declaration]) => declaration),
        outputs: outputs.map(([declaration]) => declaration),
        numbers: ["threads: u32", "rows: u32", "segments: u32", "chunk_length: u32", "chunks: u32"],
        workgroupSize: WORKGROUP_SIZE,
        body,
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
      const columns = length / width;
      const piece = Math.max(PIECE, Math.ceil(rows / MOST_PIECES));
      const pieces = Math.ceil(rows / piece);
      checkLoops(launcher, "segmentSum", Math.max(piece, pieces));
      // Along the order either the piece or the segment increases, so their sum numbers the parts.
      const parts = launcher.scratch(0, (pieces + segments) * length * 4);
      launcher.launch({
        key: `segmentParts/${width}`,
        shader: () => ({
          inputs: [`values: ${type}`, "indices: i32", "order: u32", "starts: u32"],
          outputs: [`parts: ${type}`],
          numbers: ["count: u32", "row_length: u32", "piece: u32", "segments: u32"],
          workgroupSize: WORKGROUP_SIZE,
          body: `
  if (index >= numbers.count) { return; }
  let piece = index / numbers.row_length;
  let within = index % numbers.row_length;
  let begin = piece * numbers.piece;
  let end = min(begin + numbers.piece, starts[numbers.segments]);
  if (begin >= end) { return; }
  var segment = u32(indices[order[begin]]);
  var sum = ${type}(0.0);
  for (var i = begin; i < end; i++) {
    let row = order[i];
    let next = u32(indices[row]);
    if (next != segment) {
      parts[(piece + segment) * numbers.row_length + within] = sum;
      sum = ${type}(0.0);
      segment = next;
    }
    sum += values[row * numbers.row_length + within];
  }
  parts[(piece + segment) * numbers.row_length + within] = sum;`,
        }),
        inputs: [values.buffer, indices.buffer, order, starts],
        outputs: [parts],
        numbers: [pieces * columns, columns, piece, segments],
        workgroups: workgroupsFor(pieces * columns),
      });
      launcher.launch({
        key: `segmentSum/${width}`,
        shader: () => ({
          inputs: [`parts: ${type}`, "starts: u32"],
          outputs: [`sums: ${type}`],
          numbers: ["count: u32", "row_length: u32", "piece: u32"],
          workgroupSize: WORKGROUP_SIZE,
          body: `
  if (index >= numbers.count) { return; }
  let segment = index / numbers.row_length;
  let within = index % numbers.row_length;
  let begin = starts[segment] / numbers.piece;
  let end = (starts[segment + 1u] + numbers.piece - 1u) / numbers.piece;
  var sum = ${type}(0.0);
  if (starts[segment] < starts[segment + 1u]) {
    for (var piece = begin; piece < end; piece++) {
      sum += parts[(piece + segment) * numbers.row_length + within];
    }
  }
  sums[index] = sum;`,
        }),
        inputs: [parts, starts],
        outputs: [output.buffer],
        numbers: [count, columns, piece],
        workgroups: workgroupsFor(count),
      });
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
