/** Fuzzing: a parser is given files that were valid and are not any more. */
import assert from "node:assert/strict";
import { philox, randomKey } from "../../core/random.ts";
import { joined } from "./archives.ts";

/** Mutations a parser. */
const ALL = 100_000;
/** Mutations a test run; the runs of 50 days together make all of them. */
const SLICE = 2_000;

/** Which mutations to test: those of today, or all where CODEBOOK_FUZZ is `all`, or the one that it names. */
function chosen(): [first: number, end: number] {
  const wish = Deno.env.get("CODEBOOK_FUZZ");
  if (wish === "all") return [0, ALL];
  if (wish !== undefined) return [Number(wish), Number(wish) + 1];
  const day = Math.floor(Date.now() / 86_400_000);
  const first = day % (ALL / SLICE) * SLICE;
  return [first, first + SLICE];
}

/** Values that lengths and offsets like to break at. */
const EXTREMES = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fffffff, 0x80000000, 0xffffffff];

/** Mutation number `number` of a file: one to four changes, each of which overwrites a byte or a word, cuts the end
 * off, takes a part out, repeats a part, or appends to the file; half of them near multiples of 512, where headers and
 * pages start. */
export function mutate(file: Uint8Array, number: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(4);
  let block = 0;
  const draw = (below: number) => {
    if (block % 4 === 0) philox(randomKey(number, "fuzz"), block >>> 2, 0, words);
    return Math.floor(words[block++ % 4] * 2 ** -32 * below);
  };
  let bytes = new Uint8Array(file);
  for (let change = draw(4); change >= 0; change--) {
    const header = 512 * draw(Math.floor(bytes.length / 512) + 1) + draw(160);
    const at = draw(2) === 0 ? draw(bytes.length + 1) : Math.min(header, bytes.length);
    const length = draw(Math.min(600, bytes.length - at + 1));
    const [before, part, after] = [
      bytes.subarray(0, at),
      bytes.subarray(at, at + length),
      bytes.subarray(at + length),
    ];
    const kind = draw(8);
    if (kind < 2 && at < bytes.length) bytes[at] = draw(256);
    else if (kind < 4 && at + 4 <= bytes.length) {
      new DataView(bytes.buffer).setUint32(at, EXTREMES[draw(EXTREMES.length)], draw(2) === 0);
    } else if (kind === 4) bytes = before.slice();
    else if (kind === 5) bytes = joined([before, after]);
    else if (kind === 6) bytes = joined([before, part, part, after]);
    else bytes = joined([bytes, Uint8Array.from({ length: length % 64 }, () => draw(256))]);
  }
  return bytes;
}

/** Tests that a parser gives a result or a RangeError that says "Cannot read" for every mutation of a file.
 * @param parse gives how many bytes its result takes; they must not be more than `most` times the file's
 */
export function fuzz(
  parser: string,
  file: () => Uint8Array | Promise<Uint8Array>,
  parse: (bytes: Uint8Array<ArrayBuffer>) => number | Promise<number>,
  most = 1,
): void {
  const [first, end] = chosen();
  Deno.test(`${parser} handles mutations ${first} to ${end - 1} of its files`, async () => {
    const valid = await file();
    assert.ok(await parse(new Uint8Array(valid)) > 0, "the file itself is read");
    let refused = 0;
    for (let number = first; number < end; number++) {
      const bytes = mutate(valid, number);
      try {
        const size = await parse(bytes);
        assert.ok(
          size <= most * bytes.length,
          `mutation ${number}: ${size} of ${bytes.length} bytes`,
        );
      } catch (error) {
        if (error instanceof RangeError && error.message.startsWith("Cannot read")) refused++;
        else {throw new Error(`mutation ${number} (CODEBOOK_FUZZ=${number} repeats it)`, {
            cause: error,
          });}
      }
    }
    if (end - first > 1) assert.ok(refused > (end - first) / 10, `only ${refused} were refused`);
  });
}
