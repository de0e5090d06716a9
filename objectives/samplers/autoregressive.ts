/** Draws sequences of codes, one code after another. */
import type { RandomKey } from "../../core/random.ts";
import type { Tensor } from "../../core/tensor.ts";
import { type ChoiceSettings, drawCode, drawOf } from "./choice.ts";

/** Predicts the next code of some sequences from the codes before it. */
export interface NextCode {
  /** Adds the codes that were drawn since the last call, and predicts the next ones.
   * @param codes `[count, n]`, the added codes; `undefined` at the start of the sequences
   * @returns float32 `[count, K]`: the logits of the next code
   */
  next(codes: Int32Array<ArrayBuffer> | undefined): Tensor;
}

/** Options of `drawInOrder`. */
export interface AutoregressiveOptions extends ChoiceSettings {
  /** How many sequences. */
  readonly count: number;
  /** How many codes each sequence has. */
  readonly length: number;
  /** The number of the first sequence. The draws for sequence i depend only on the key and on its number, first + i. */
  readonly first: number;
  /** The key of all random numbers. */
  readonly key: RandomKey;
  /** The known codes, `[count, length]`; −1 where a code is to be drawn. */
  readonly given?: Int32Array;
  /** Called with the number of codes that each sequence has, and the codes; −1 for those not drawn yet. */
  readonly onCode?: (done: number, codes: Int32Array<ArrayBuffer>) => Promise<void> | void;
  /** Aborts the work with an error. */
  readonly signal?: AbortSignal;
}

/** How many known codes all sequences begin with. */
function knownAtStart({ given, count, length }: AutoregressiveOptions): number {
  if (given === undefined) return 0;
  const starts = Array.from({ length: count }, (_, row) => {
    const drawn = given.subarray(row * length, (row + 1) * length).indexOf(-1);
    return drawn === -1 ? length : drawn;
  });
  return Math.min(...starts);
}

/** Draws sequences. Each code is drawn from the model's prediction given the codes before it.
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
      codes[place] = drawCode(own, options, drawOf(key, first + row, at).chance);
    }
    await onCode?.(at + 1, codes);
  }
  return codes;
}

/** Columns `from` to `to` of rows of the given length; `undefined` without columns. */
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
