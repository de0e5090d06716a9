/** Ranks connected by MPI. */
import { checkGathered, checkRoot, type Communicator, type Numbers } from "./communicator.ts";
import {
  findLaunch,
  type Handle,
  type Launch,
  loadMpi,
  MPI_VARIABLES,
  type MpiLibrary,
  pinLibrary,
} from "./mpi_library.ts";

/** Options of `openMpi`. */
export interface MpiOptions {
  /** `auto`, the default, uses the library of the launcher; a path uses that library. */
  readonly library?: string;
  /** How long a rank waits for a late rank, in seconds; 600 by default. */
  readonly timeout?: number;
}

/** The default time-out, in seconds. */
const USUAL_TIMEOUT = 600;
/** A rank that cannot start reports its error after this many milliseconds for each lower rank, so that one rank
 * reports first. Open MPI's mpirun then takes one to two seconds to end the others. */
const MILLISECONDS_A_RANK = 3000;
/** The largest such delay. */
const LONGEST_SILENCE = 15_000;
/** How long a rank polls for the others without a pause, in milliseconds; after that it sleeps between polls. */
const BUSY_MILLISECONDS = 5;
/** The length of such a sleep, in milliseconds. */
const PAUSE = 0.2;
/** A rank that finds another rank at a different call waits this many milliseconds, so that the other can report its
 * error first. */
const BEFORE_COMPLAINT = 3000;
/** The thread that starts MPI is the only one that calls it. */
const THREAD_FUNNELED = 1;

function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** The ranks started by mpirun, connected by MPI.
 *
 * Before every message, a rank waits until the others have reached the same call. If a rank exceeds the time-out or
 * reaches another call, the run ends with a message that says what it waited for. If a rank dies, the run ends too: the
 * launcher notices and ends the others within about a second.
 *
 * A rank that ends normally, or is disposed, waits for the others to end. A rank that ends with an error ends the
 * others.
 *
 *     mpirun -n 4 deno run -A program.ts
 */
class MpiCommunicator implements Communicator {
  /** The number of this process. */
  readonly rank: number;
  /** The number of processes. */
  readonly size: number;
  /** The library and the number of ranks. */
  readonly description: string;
  readonly #mpi: MpiLibrary;
  readonly #timeout: number;
  readonly #request = new BigUint64Array(new ArrayBuffer(8));
  readonly #requestAddress = Deno.UnsafePointer.of(this.#request);
  readonly #arrived = new Int32Array(1);
  readonly #call = new Int32Array(new ArrayBuffer(8));
  readonly #callAddress = Deno.UnsafePointer.of(this.#call);
  readonly #onExit = () => Deno.exitCode === 0 ? this[Symbol.dispose]() : this.#kill();
  #isOpen = true;

  /** Starts MPI; users call `openMpi`.
   * @param launch how this process was started
   * @param timeout time-out in seconds
   * @throws {Error} the library is not that of the launcher, or MPI was already started
   */
  constructor(mpi: MpiLibrary, launch: Launch, timeout: number) {
    const { functions, world } = mpi;
    const [started, given, rank, size] = [0, 0, 0, 0].map(() => new Int32Array(1));
    functions.MPI_Initialized(started);
    if (started[0] !== 0) {
      throw new Error("Cannot start MPI: a process must start it only once, got a second start");
    }
    pinLibrary(mpi.path);
    functions.MPI_Init_thread(null, null, THREAD_FUNNELED, given);
    functions.MPI_Comm_rank(world, rank);
    functions.MPI_Comm_size(world, size);
    if (launch.size !== undefined && launch.size !== size[0]) {
      throw new Error(
        `Cannot start MPI: the library must be that of the launcher, ${launch.by}, which started ${launch.size} ranks, got ${mpi.description} (${mpi.path}), which finds ${
          size[0]
        }`,
      );
    }
    this.#mpi = mpi;
    this.#timeout = timeout;
    this.rank = rank[0];
    this.size = size[0];
    this.description = `${mpi.description}, ${this.size} rank${this.size === 1 ? "" : "s"}`;
    globalThis.addEventListener("unload", this.#onExit);
  }

  /** Sums in place. Float32 and int32 are summed in their own type. */
  allReduce(values: Numbers, purpose: string): void {
    if (values.length === 0) return;
    const { functions, inPlace, sum, world } = this.#mpi;
    const address = Deno.UnsafePointer.of(values as Numbers & ArrayBufferView<ArrayBuffer>);
    this.#meet("sum", purpose, values);
    functions.MPI_Allreduce(
      inPlace,
      address,
      values.length,
      this.#typeOf(values),
      sum,
      world,
    );
  }

  /** Sends the values of one rank to all.
   * @throws {RangeError} there is no such rank
   */
  broadcast(values: Numbers, root: number, purpose: string): void {
    checkRoot(root, this.size);
    if (values.length === 0) return;
    const { functions, world } = this.#mpi;
    const address = Deno.UnsafePointer.of(values as Numbers & ArrayBufferView<ArrayBuffer>);
    this.#meet("broadcast", purpose, values, root);
    functions.MPI_Bcast(address, values.length, this.#typeOf(values), root, world);
  }

  /** Collects the values of all ranks on every rank.
   * @throws {TypeError} `into` has another length or type
   */
  gather(values: Numbers, into: Numbers, purpose: string): void {
    checkGathered(values, into, this.size);
    if (values.length === 0) return;
    const { functions, world } = this.#mpi;
    const type = this.#typeOf(values);
    const from = Deno.UnsafePointer.of(values as Numbers & ArrayBufferView<ArrayBuffer>);
    const to = Deno.UnsafePointer.of(into as Numbers & ArrayBufferView<ArrayBuffer>);
    this.#meet("gather", purpose, values);
    functions.MPI_Allgather(from, values.length, type, to, values.length, type, world);
  }

  /** Waits for all ranks. */
  barrier(purpose: string, timeout: number = this.#timeout): void {
    if (!this.#arrive(`wait ${purpose}`, "wait", timeout)) this.#complain(`wait ${purpose}`);
  }

  /** Prints the message on stderr, and ends all ranks. */
  abort(message: string): never {
    console.error(`rank ${this.rank} of ${this.size}: ${message}`);
    this.#kill();
  }

  /** Waits for all ranks to end, and stops MPI; a second call does nothing. If another rank continues, this one does
   * not wait for it, so that the error that left the communicator's scope is reported. */
  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    const all = this.#arrive("end the run", "end");
    this.#isOpen = false;
    globalThis.removeEventListener("unload", this.#onExit);
    // If the others continue, this rank is leaving because of an error, which it is about to report.
    if (all) this.#mpi.functions.MPI_Finalize();
  }

  #kill(): never {
    this.#mpi.functions.MPI_Abort(this.#mpi.world, Deno.exitCode || 1);
    throw new Error("Cannot continue: MPI must end this process, got a return from MPI_Abort");
  }

  #typeOf(values: Numbers): Handle {
    const { float32, float64, int32 } = this.#mpi;
    if (values instanceof Float32Array) return float32;
    return values instanceof Float64Array ? float64 : int32;
  }

  /** Waits until every rank has reached the same call; ends the run if one has reached another. */
  #meet(kind: string, purpose: string, values?: Numbers, root = 0): void {
    const action = `${kind} ${purpose}`;
    const call = `${kind} ${values?.constructor.name} ${values?.length} ${root}`;
    if (!this.#arrive(action, call)) this.#complain(action);
  }

  /** Ends the run because a rank has reached another call. */
  #complain(action: string): never {
    sleep(BEFORE_COMPLAINT);
    this.abort(
      `Cannot ${action}: all ${this.size} ranks must make the same call, got another from one of them`,
    );
  }

  /** Waits until every rank has reached a call.
   * @param action what the ranks wait for
   * @param call the description of the call, which must be the same on all ranks
   * @param timeout time-out in seconds
   * @returns whether it is the same on all ranks
   */
  #arrive(action: string, call: string, timeout: number = this.#timeout): boolean {
    if (!this.#isOpen) {
      throw new Error(`Cannot ${action}: the communicator must be open, got one that was closed`);
    }
    const { functions, world, ignored, inPlace, int32, max } = this.#mpi;
    const start = performance.now();
    // The maximum of the hashes and the maximum of their negatives are opposite if all hashes are equal.
    this.#call[0] = hashOf(call);
    this.#call[1] = -this.#call[0];
    const request = this.#requestAddress;
    functions.MPI_Iallreduce(inPlace, this.#callAddress, 2, int32, max, world, request);
    for (;;) {
      functions.MPI_Test(request, this.#arrived, ignored);
      if (this.#arrived[0] !== 0) return this.#call[0] === -this.#call[1];
      const waited = performance.now() - start;
      if (waited > timeout * 1000) {
        this.abort(
          `Cannot ${action}: all ${this.size} ranks must reach this call within ${timeout} s, got fewer`,
        );
      }
      if (waited > BUSY_MILLISECONDS) sleep(PAUSE);
    }
  }
}

/** Lets the first rank report an error first. mpirun then ends the others, so that an error that occurs on all ranks is
 * reported once. A process that mpirun did not start, or that may not read the environment, continues at once.
 */
export function awaitTurnToFail(): void {
  const query = (variable: string) =>
    Deno.permissions.querySync({ name: "env", variable }).state === "granted";
  if (MPI_VARIABLES.every(query) && (findLaunch()?.rank ?? 0) > 0) sleep(MILLISECONDS_A_RANK);
}

/** FNV-1a, 31 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 1;
}

/** Connects the ranks started by mpirun. Every rank calls it once, on its main thread.
 *
 * ```ts ignore
 * import { openMpi } from "@codebook/codebook";
 * using communicator = openMpi({ timeout: 60 });
 * const values = Float64Array.of(communicator.rank);
 * communicator.allReduce(values, "the ranks");
 * ```
 * If several ranks fail, the first one throws first. Open MPI's mpirun then ends the others before they report the same
 * error; MPICH's does not.
 * @throws {Error} mpirun did not start this process, there is no library, or it is not that of the launcher
 * @throws {RangeError} the time-out is not positive, or the library at the path is not an MPI library
 */
export function openMpi(options: MpiOptions = {}): Communicator {
  const launch = findLaunch();
  try {
    return connect(launch, options);
  } catch (error) {
    sleep(Math.min((launch?.rank ?? 0) * MILLISECONDS_A_RANK, LONGEST_SILENCE));
    throw error;
  }
}

function connect(
  launch: Launch | undefined,
  { library = "auto", timeout = USUAL_TIMEOUT }: MpiOptions,
): Communicator {
  if (!(timeout > 0)) {
    throw new RangeError(
      `Cannot start MPI: the time-out must be a positive number of seconds, got ${timeout}`,
    );
  }
  if (launch === undefined) {
    throw new Error(
      "Cannot start MPI: mpirun must start the processes, as in `mpirun -n 4 deno task train …`, got one that was started by itself",
    );
  }
  const mpi = loadMpi(library, launch.libraries);
  if (mpi !== undefined) return new MpiCommunicator(mpi, launch, timeout);
  const allowed = Deno.permissions.querySync({ name: "ffi" }).state === "granted";
  throw new Error(
    `Cannot start MPI: the library of ${launch.by} must be installed and callable, got ${
      allowed ? `none of ${launch.libraries.join(", ")}` : "no permission (--allow-ffi grants it)"
    }. On Debian and Ubuntu, \`apt-get install openmpi-bin\` installs it; otherwise give its path.`,
  );
}
