/** Ranks that MPI connects. */
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

/** How ranks are connected. */
export interface MpiOptions {
  /** `auto`, the default, takes the library that goes with the launcher; a path that library. */
  readonly library?: string;
  /** How long a rank waits for a late one, in seconds; 600 by default. */
  readonly timeout?: number;
}

/** Seconds. */
const USUAL_TIMEOUT = 600;
/** A rank that cannot start says so after this many milliseconds for each rank before it, so that one speaks first;
 * Open MPI's mpirun then takes one to two seconds to end the others. */
const MILLISECONDS_A_RANK = 3000;
/** No rank is silent for longer. */
const LONGEST_SILENCE = 15_000;
/** How long a rank asks without a pause whether the others have come, in milliseconds; then it sleeps in between. */
const BUSY_MILLISECONDS = 5;
/** How long it sleeps, in milliseconds. */
const PAUSE = 0.2;
/** A rank that finds another one at a different call lets that one tell its error first, for so many milliseconds. */
const BEFORE_COMPLAINT = 3000;
/** The thread that starts MPI is the only one that calls it. */
const THREAD_FUNNELED = 1;

function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** The ranks that mpirun started, connected by MPI.
 *
 * Before every message a rank waits until the others have come to the same call. A rank that is later than the time-out,
 * or that comes to another call, ends the run, with a message that says what was waited for. A rank that dies ends the run too: the launcher sees it,
 * and ends the others within about a second.
 *
 * A rank that ends well, or is disposed of, waits for the others to end; one that ends with an error ends them.
 *
 *     mpirun -n 4 deno run -A program.ts
 */
class MpiCommunicator implements Communicator {
  /** Which process this is. */
  readonly rank: number;
  /** How many there are. */
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
   * @param timeout in seconds
   * @throws {Error} the library is not that of the launcher, or was started before
   */
  constructor(mpi: MpiLibrary, launch: Launch, timeout: number) {
    const { functions, world } = mpi;
    const [started, given, rank, size] = [0, 0, 0, 0].map(() => new Int32Array(1));
    functions.MPI_Initialized(started);
    if (started[0] !== 0) {
      throw new Error("Cannot start MPI: a process must start it once, got a second time");
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

  /** Sums in place. Float32 and int32 are summed as such. */
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

  /** Gathers the values of all ranks on each.
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

  /** Says why on stderr, and ends all ranks. */
  abort(message: string): never {
    console.error(`rank ${this.rank} of ${this.size}: ${message}`);
    this.#kill();
  }

  /** Waits for all ranks to end, and stops MPI; a second call does nothing. Where another rank goes on, this one does not
   * wait for its end, so that an error that left the scope of the communicator is told. */
  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    const all = this.#arrive("end the run", "end");
    this.#isOpen = false;
    globalThis.removeEventListener("unload", this.#onExit);
    // Where others go on, this rank has left by an error, which it is about to tell.
    if (all) this.#mpi.functions.MPI_Finalize();
  }

  #kill(): never {
    this.#mpi.functions.MPI_Abort(this.#mpi.world, Deno.exitCode || 1);
    throw new Error("Cannot go on: MPI was to end this process, got back from it");
  }

  #typeOf(values: Numbers): Handle {
    const { float32, float64, int32 } = this.#mpi;
    if (values instanceof Float32Array) return float32;
    return values instanceof Float64Array ? float64 : int32;
  }

  /** Waits until every rank has come to the same call; ends the run if one has come to another. */
  #meet(kind: string, purpose: string, values?: Numbers, root = 0): void {
    const action = `${kind} ${purpose}`;
    const call = `${kind} ${values?.constructor.name} ${values?.length} ${root}`;
    if (!this.#arrive(action, call)) this.#complain(action);
  }

  /** Ends the run, as a rank has come to another call. */
  #complain(action: string): never {
    sleep(BEFORE_COMPLAINT);
    this.abort(
      `Cannot ${action}: all ${this.size} ranks must make the same call, got another from one of them`,
    );
  }

  /** Waits until every rank has come to a call.
   * @param action what for
   * @param call what must be the same on all ranks
   * @param timeout in seconds
   * @returns whether it is
   */
  #arrive(action: string, call: string, timeout: number = this.#timeout): boolean {
    if (!this.#isOpen) {
      throw new Error(`Cannot ${action}: the communicator must be open, got one that was closed`);
    }
    const { functions, world, ignored, inPlace, int32, max } = this.#mpi;
    const start = performance.now();
    // The greatest of the calls' hashes and of their negatives are opposite where all are the same.
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
          `Cannot ${action}: all ${this.size} ranks must come to it within ${timeout} s, got fewer`,
        );
      }
      if (waited > BUSY_MILLISECONDS) sleep(PAUSE);
    }
  }
}

/** Lets the first rank tell an error first, which mpirun then ends the others for: where all come to the same error, it is
 * told once. A process that mpirun did not start, or that may not ask, goes on at once.
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

/** Connects the ranks that mpirun started. Every rank calls it once, on its main thread.
 *
 * ```ts ignore
 * import { openMpi } from "@codebook/codebook";
 * using communicator = openMpi({ timeout: 60 });
 * const values = Float64Array.of(communicator.rank);
 * communicator.allReduce(values, "the ranks");
 * ```
 * Where several ranks fail, the first one throws first. Open MPI's mpirun then ends the others before they say the same;
 * MPICH's lets them.
 * @throws {Error} mpirun did not start this process, there is no library, or it is not that of the launcher
 * @throws {RangeError} the time-out is not positive, or the library at the path is no MPI
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
    `Cannot start MPI: the library of ${launch.by} must be there and may be called, got ${
      allowed ? `none of ${launch.libraries.join(", ")}` : "no permission (--allow-ffi grants it)"
    }. On Debian and Ubuntu \`apt-get install openmpi-bin\` brings it; elsewhere give its path.`,
  );
}
