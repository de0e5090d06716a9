/** Checks that the ranks of a run still have the same state. */
import type { Communicator } from "./communicator.ts";

/** Checks that every rank has the same values, bit for bit. It compares hashes and sends 4 bytes per name.
 *
 * ```ts
 * import { checkSameOnAll, SingleCommunicator } from "@codebook/codebook";
 * using communicator = new SingleCommunicator();
 * checkSameOnAll(communicator, new Map([["codebook", Float32Array.of(1, 2)]]), "after step 100");
 * ```
 * @param values values by name; every rank has the same names in the same order
 * @param when the time of the check, for the error message
 * @throws {Error} ranks differ; thrown on every rank, with the first name that differs and the ranks that differ there
 * from rank 0
 */
export function checkSameOnAll(
  communicator: Communicator,
  values: ReadonlyMap<string, Float32Array<ArrayBufferLike> | Int32Array<ArrayBufferLike>>,
  when: string,
): void {
  const { size } = communicator;
  if (size === 1) return;
  const names = [...values.keys()];
  const own = Int32Array.from([...values.values()], hashOf);
  const all = new Int32Array(size * own.length);
  communicator.gather(own, all, `the hashes ${when}`);
  for (const [index, name] of names.entries()) {
    const others = Array.from({ length: size }, (_, rank) => rank)
      .filter((rank) => all[rank * own.length + index] !== all[index]);
    if (others.length === 0) continue;
    throw new Error(
      `Cannot go on ${when}: ${name} must be the same on all ranks, got another on rank ${
        others.join(", ")
      } than on rank 0`,
    );
  }
}

/** FNV-1a over 32-bit words, whose high bits are mixed into the low ones. */
function hashOf(values: Float32Array<ArrayBufferLike> | Int32Array<ArrayBufferLike>): number {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  let hash = 0x811c9dc5 | 0;
  for (let index = 0; index < words.length; index++) {
    const mixed = hash ^ words[index];
    hash = Math.imul(mixed ^ (mixed >>> 15), 0x01000193);
  }
  return hash;
}
