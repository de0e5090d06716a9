/** The thread pool. It runs one job at a time, and idle threads claim the job's tasks one by one.
 *
 * A job is a function of this module and a number of tasks. Its arguments are at the address `job`. The ticket
 * contains the job's number (high half) and the number of unclaimed tasks (low half), so a late thread can only
 * claim a task of the job that it read.
 */

const TICKET: usize = 1024;
const PENDING: usize = 1088;
const FUNCTION: usize = 1152;
const COUNT: usize = 1156;
const SLEEPERS: usize = 1216;
const FAILED: usize = 1220;
const CLOSED: usize = 1224;

/** The address of a job's arguments; up to 4 KiB. */
export const job: usize = 2048;

/** The size of each thread's scratch memory in bytes. */
export const SCRATCH_BYTES: usize = 2 << 20;

const SPINS: i32 = 2000;

/** This thread's scratch memory. */
export let scratch: usize = 0;

let threads: i32 = 1;
let mayBlock: bool = true;

/** Assigns this thread its scratch memory, number `slot` of those that begin at `address`. The main thread of a web page
 * must not block, so it spins until a job is done. */
export function enter(slot: i32, address: usize, threadCount: i32, blocks: bool): void {
  scratch = address + <usize> slot * SCRATCH_BYTES;
  threads = threadCount;
  mayBlock = blocks;
}

/** The size of a thread's scratch memory in bytes, for the host to reserve. */
export function scratchBytes(): usize {
  return SCRATCH_BYTES;
}

/** The address where the host writes a job's arguments. */
export function jobAddress(): usize {
  return job;
}

/** The first address that this module does not use. */
export function heapBase(): usize {
  return __heap_base;
}

function claim(epoch: u32): void {
  while (true) {
    const ticket = atomic.load<u64>(TICKET);
    const left = <u32> ticket;
    if (<u32> (ticket >> 32) != epoch || left == 0) return;
    const index = atomic.load<u32>(FUNCTION);
    const count = atomic.load<u32>(COUNT);
    if (atomic.cmpxchg<u64>(TICKET, ticket, ticket - 1) != ticket) continue;
    call_indirect<void>(index, <i32> (count - left));
    if (atomic.sub<i32>(PENDING, 1) == 1) atomic.notify(PENDING, 1);
  }
}

/** Runs `task(0)` … `task(count − 1)` on all threads and returns when all are done. Traps if a task of this job or an
 * earlier one trapped, because its work is incomplete. */
export function parallel(task: (index: i32) => void, count: i32): void {
  if (atomic.load<i32>(FAILED) != 0 || atomic.load<i32>(PENDING) != 0) unreachable();
  if (count <= 1 || threads == 1) {
    for (let index = 0; index < count; index++) call_indirect<void>(task.index, index);
    return;
  }
  const epoch = (<u32> (atomic.load<u64>(TICKET) >> 32)) + 1;
  atomic.store<i32>(FUNCTION, task.index);
  atomic.store<i32>(COUNT, count);
  atomic.store<i32>(PENDING, count);
  atomic.store<u64>(TICKET, (<u64> epoch << 32) | <u64> count);
  if (atomic.load<i32>(SLEEPERS) > 0) atomic.notify(TICKET + 4, count - 1);
  claim(epoch);
  settle();
}

/** Waits until no task is running. Traps if a worker trapped. */
function settle(): void {
  for (let spin = 0; spin < SPINS; spin++) {
    if (atomic.load<i32>(PENDING) == 0) break;
  }
  while (true) {
    const pending = atomic.load<i32>(PENDING);
    if (pending == 0) break;
    if (mayBlock) atomic.wait<i32>(PENDING, pending, -1);
  }
  if (atomic.load<i32>(FAILED) != 0) unreachable();
}

/** The main loop of a worker: waits for jobs and runs their tasks until `leave` is called on the main thread. */
export function work(): void {
  let seen: u32 = <u32> (atomic.load<u64>(TICKET) >> 32) - 1;
  while (atomic.load<i32>(CLOSED) == 0) {
    let epoch = <u32> (atomic.load<u64>(TICKET) >> 32);
    for (let spin = 0; epoch == seen && spin < SPINS; spin++) {
      epoch = <u32> (atomic.load<u64>(TICKET) >> 32);
    }
    if (epoch == seen) {
      atomic.add<i32>(SLEEPERS, 1);
      atomic.wait<i32>(TICKET + 4, seen, -1);
      atomic.sub<i32>(SLEEPERS, 1);
      continue;
    }
    claim(epoch);
    seen = epoch;
  }
}

/** Called by a worker whose task trapped. The job continues without it, and then the main thread traps too. */
export function fail(): void {
  atomic.store<i32>(FAILED, 1);
  if (atomic.sub<i32>(PENDING, 1) == 1) atomic.notify(PENDING, 1);
}

/** Ends all workers. Called on the main thread when no job runs. */
export function leave(): void {
  atomic.store<i32>(CLOSED, 1);
  const epoch = (<u32> (atomic.load<u64>(TICKET) >> 32)) + 1;
  atomic.store<u64>(TICKET, <u64> epoch << 32);
  atomic.notify(TICKET + 4, -1);
}
