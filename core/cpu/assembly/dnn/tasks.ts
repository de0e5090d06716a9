/** Tasks of a convolution by oneDNN. Each thread runs whole tasks by itself, on one thread of the library. The tasks are
 * the same on any number of threads, and so are the results.
 */
import { finish } from "../blas/finish";
import { job, parallel } from "../pool";
import { sumParts } from "../parts";

/** Runs a primitive of oneDNN. The host imports it into every thread; it may be called only where it found a oneDNN. */
@external("env", "execute")
declare function execute(primitive: u64, count: i32, operands: u64): void;

/** A task as the host writes it. */
@unmanaged
class Task {
  primitive: u64;
  operands: u64; // a list of dnnl_exec_arg_t
  count: i32; // of the operands
  rows: i32; // to finish, of the task's results; 0: none
  columns: i32;
  relu: i32;
  results: usize;
  bias: usize; // 0: none
}

/** Where the host writes the tasks of a job. */
const TASKS: usize = 256;

function runTask(index: i32): void {
  const task = changetype<Task>(job + TASKS + <usize> index * offsetof<Task>());
  execute(task.primitive, task.count, task.operands);
  finish(task.results, task.rows, task.columns, task.bias, task.relu);
}

/** Runs the tasks that the host wrote, at most 32. */
export function dnnRun(count: i32): void {
  parallel(runTask, count);
}

/** to = the sum of `count` arrays of `size` floats that lie behind each other, in order. */
export function dnnSum(from: usize, to: usize, size: i32, count: i32): void {
  sumParts(from, to, size, count);
}
