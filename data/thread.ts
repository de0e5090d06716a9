/** Threads whose program is a module of this folder. */
import { Worker, type WorkerOptions } from "node:worker_threads";

/** Starts a thread. Threads take no module from the web themselves, where this package may lie; a program of one line
 * imports it.
 * @param module its address: `import.meta.resolve("./work.ts")`
 */
export function startThread(module: string, options: WorkerOptions): Worker {
  const program = `import ${JSON.stringify(module)}`;
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`), options);
}
