/** Starts threads that run a module of this folder. */
import { Worker, type WorkerOptions } from "node:worker_threads";

/** Starts a thread. Threads cannot load a module from the web, where this package may be, so a one-line program imports
 * it.
 * @param module the address of the module: `import.meta.resolve("./work.ts")`
 */
export function startThread(module: string, options: WorkerOptions): Worker {
  const program = `import ${JSON.stringify(module)}`;
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`), options);
}
