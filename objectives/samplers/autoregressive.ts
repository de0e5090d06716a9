/** Draws sequences of codes one after another. */
import type { RandomKey } from "../../core/random.ts";
import type { Tensor } from "../../core/tensor.ts";
import { type ChoiceSettings, chooseCode, drawOf } from "./choice.ts";

/** What tells the next code of some sequences from those before it. */
export interface NextCode {
  /** Takes up the codes that have been added since the last call.
   * @param codes of `[count, n]`; none at the start of the sequences
   * @returns float32 `[count, K]`: the logits of the next code
   */
  next(codes: Int32Array<ArrayBuffer> | undefined): Tensor;
}

/** Which sequences are drawn. */
export interface AutoregressiveOptions extends ChoiceSettings {
  /** How many images. */
  readonly count: number;
  /** Codes in each. */
  readonly length: number;
  /** The first one's number: what is drawn for sequence i depends on the key and its number, first + i, alone. */
  readonly first: number;
  /** The key of all random numbers. */
  readonly key: RandomKey;
  /** The known codes, `[count, length]`; −1 where a code is to be drawn. */
  readonly given?: Int32Array;
  /** Hears how many codes of each sequence there are, and which; −1 for those to come. */
  readonly onCode?: (done: number, codes: Int32Array<ArrayBuffer>) => Promise<void> | void;
  /** Aborts the work with an error. */
  readonly signal?: AbortSignal;
}

/** How many codes all sequences begin with that are known. */
function knownAtStart({ given, count, length }: AutoregressiveOptions): number {
  if (given === undefined) return 0;
  const starts = Array.from({ length: count }, (_, row) => {
    const drawn = given.subarray(row * length, (row + 1) * length).indexOf(-1);
    return drawn === -1 ? length : drawn;
  });
  return Math.min(...starts);
}

/** Draws sequences, each code from what the model says of it after those before.
 * @returns `[count, length]`
 * @throws {RangeError} as `chooseCode`
 */
export async function drawInOrder(
  model: NextCode,
  options: AutoregressiveOptions,
): Promise<Int32Array<ArrayBuffer>> {
  const { count, length, first, key, given, onCode, signal } = options;
  const codes = new Int32Array(count * length).fill(-1);
  if (given !== undefined) codes.set(given);
  let taken = 0;
  for (let at = knownAtStart(options); at < length; at++) {
    signal?.throwIfAborted();
    const logits = await readNext(model, columns(codes, length, taken, at));
    taken = at;
    const size = logits.length / count;
    for (let row = 0; row < count; row++) {
      const place = row * length + at;
      if (given !== undefined && given[place] >= 0) continue;
      const own = logits.subarray(row * size, (row + 1) * size);
      codes[place] = chooseCode(own, options, drawOf(key, first + row, at).chance).code;
    }
    await onCode?.(at + 1, codes);
  }
  return codes;
}

/** Columns `from` to `to` of rows of a length; none of no columns. */
function columns(
  codes: Int32Array,
  length: number,
  from: number,
  to: number,
): Int32Array<ArrayBuffer> | undefined {
  if (from === to) return undefined;
  const rows = codes.length / length, width = to - from;
  const part = new Int32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    part.set(codes.subarray(row * length + from, row * length + to), row * width);
  }
  return part;
}

async function readNext(
  model: NextCode,
  codes: Int32Array<ArrayBuffer> | undefined,
): Promise<Float32Array> {
  using logits = model.next(codes);
  return await logits.floats();
}
