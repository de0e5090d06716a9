/** Communication between the processes of one run. */

/** Numbers that are sent directly from their memory. */
export type Numbers =
  | Float32Array<ArrayBufferLike>
  | Float64Array<ArrayBufferLike>
  | Int32Array<ArrayBufferLike>;

/** The processes of one run, called ranks, which all run the same program.
 *
 * Every method except `abort` is a collective operation: all ranks call it in the same order, with the same number of
 * values of the same type. A call blocks the rank's thread and returns when this rank's part is done. Error messages say
 * what a rank was waiting for. The implementation sets the time-out.
 *
 * ```ts
 * import { SingleCommunicator } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using communicator = new SingleCommunicator();
 * const values = Float32Array.of(1, 2);
 * communicator.allReduce(values, "the gradients");
 * assert.deepEqual([...values], [1, 2]); // The sum over one rank.
 * ```
 */
export interface Communicator extends Disposable {
  /** The number of this process, in [0, size). */
  readonly rank: number;
  /** The number of processes. */
  readonly size: number;
  /** A readable description of the transport. */
  readonly description: string;
  /** Replaces the values with their sums over all ranks, with the same bits on every rank.
   * @param purpose what is summed, for error messages
   */
  allReduce(values: Numbers, purpose: string): void;
  /** Replaces the values with those of one rank.
   * @param root the rank that sends its values
   * @param purpose what is sent, for error messages
   */
  broadcast(values: Numbers, root: number, purpose: string): void;
  /** Collects the values of all ranks, one after another, on every rank.
   * @param into room for `values` of every rank, of the same type
   * @param purpose what is gathered, for error messages
   * @throws {TypeError} `into` has another length or type
   */
  gather(values: Numbers, into: Numbers, purpose: string): void;
  /** Waits until every rank has reached this call.
   * @param purpose the purpose of the wait, for error messages
   * @param timeout how long to wait for a late rank, in seconds; by default as long as in every other call
   */
  barrier(purpose: string, timeout?: number): void;
  /** Prints the message, and then ends all ranks. */
  abort(message: string): never;
}

/** Whether the value is true on any rank. Every rank gets the same result.
 *
 * ```ts
 * import { isAnyRank, SingleCommunicator } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using communicator = new SingleCommunicator();
 * assert.equal(isAnyRank(communicator, false, "to stop"), false);
 * ```
 * @param own this rank's value
 * @param purpose what the value means, for error messages
 */
export function isAnyRank(communicator: Communicator, own: boolean, purpose: string): boolean {
  const count = Int32Array.of(own ? 1 : 0);
  communicator.allReduce(count, `whether ${purpose}`);
  return count[0] > 0;
}

/** Collects the texts of all ranks, on every rank.
 *
 * ```ts
 * import { gatherTexts, SingleCommunicator } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using communicator = new SingleCommunicator();
 * assert.deepEqual(gatherTexts(communicator, "here", "the hosts"), ["here"]);
 * ```
 * @param purpose what the texts are, for error messages
 */
export function gatherTexts(
  communicator: Communicator,
  text: string,
  purpose: string,
): readonly string[] {
  const units = Int32Array.from(text, (_, at) => text.charCodeAt(at));
  const lengths = new Int32Array(communicator.size);
  communicator.gather(Int32Array.of(units.length), lengths, `the lengths of ${purpose}`);
  const longest = Math.max(...lengths);
  const own = new Int32Array(longest), all = new Int32Array(longest * lengths.length);
  own.set(units);
  communicator.gather(own, all, purpose);
  return Array.from(lengths, (length, rank) => {
    const start = rank * longest;
    return Array.from(all.subarray(start, start + length), (unit) => String.fromCharCode(unit))
      .join("");
  });
}

/** Checks the memory that `gather` writes to.
 * @throws {TypeError} its length or type does not match the values of all ranks
 */
export function checkGathered(values: Numbers, into: Numbers, ranks: number): void {
  if (into.constructor === values.constructor && into.length === ranks * values.length) return;
  throw new TypeError(
    `Cannot gather over ${ranks} ranks: the target must be a ${values.constructor.name} of ${
      ranks * values.length
    }, got a ${into.constructor.name} of ${into.length}`,
  );
}

/** Checks the rank that `broadcast` sends from.
 * @throws {RangeError} there is no such rank
 */
export function checkRoot(root: number, ranks: number): void {
  if (Number.isInteger(root) && root >= 0 && root < ranks) return;
  throw new RangeError(
    `Cannot broadcast: the root must be an integer in [0, ${ranks}), got ${root}`,
  );
}
