/** A run of one process. */
import { checkGathered, checkRoot, type Communicator, type Numbers } from "./communicator.ts";

/** The only rank of a run. Sums leave the values unchanged, and no call waits. */
export class SingleCommunicator implements Communicator {
  /** 0. */
  readonly rank = 0;
  /** 1. */
  readonly size = 1;
  /** A readable description. */
  readonly description = "one process";

  /** Leaves the values unchanged. */
  allReduce(_values: Numbers, _purpose: string): void {}

  /** Leaves the values unchanged.
   * @throws {RangeError} the root is not 0
   */
  broadcast(_values: Numbers, root: number, _purpose: string): void {
    checkRoot(root, this.size);
  }

  /** Copies the values.
   * @throws {TypeError} `into` has another length or type
   */
  gather(values: Numbers, into: Numbers, _purpose: string): void {
    checkGathered(values, into, this.size);
    into.set(values);
  }

  /** Returns at once. */
  barrier(_purpose: string): void {}

  /** Prints the message and ends the process. */
  abort(message: string): never {
    console.error(message);
    Deno.exit(1);
  }

  /** Does nothing: there is nothing to free. */
  [Symbol.dispose](): void {}
}
