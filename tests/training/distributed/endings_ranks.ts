/** Run by mpirun: runs that do not end well. */
import { openMpi } from "../../../training/distributed/mpi.ts";

const [ending, timeout, library] = Deno.args;
const communicator = openMpi({ timeout: Number(timeout), library });
const { rank } = communicator;
const values = new Float32Array(3);
console.log(`rank ${rank} is process ${Deno.pid}`);
switch (ending) {
  case "sums": // Until somebody ends it.
    for (;;) communicator.allReduce(values, "the loop's values");
  case "late":
    if (rank === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    communicator.allReduce(values, "the late values");
    break;
  case "slow": // Later than a rank asks without a pause, sooner than the time-out.
    if (rank === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    communicator.barrier("for the slow rank");
    break;
  case "error":
    if (rank === 1) throw new Error("rank 1 has something wrong");
    communicator.allReduce(values, "what rank 1 never sums");
    break;
  case "scope": {
    using _ended = communicator;
    if (rank === 1) throw new Error("rank 1 has something wrong");
    communicator.allReduce(values, "what rank 1 never sums");
    break;
  }
  case "lengths":
    communicator.allReduce(values.subarray(rank), "values of different lengths");
    break;
  case "exit":
    if (rank === 1) Deno.exit(3);
    communicator.allReduce(values, "what rank 1 never sums");
    break;
  case "abort":
    if (rank === 1) communicator.abort("Cannot go on: the test wants it");
    communicator.allReduce(values, "what rank 1 never sums");
    break;
  case "end":
    Deno.exit(0); // Without a dispose.
}
console.log(`rank ${rank} ends`);
