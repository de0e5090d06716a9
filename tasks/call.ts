/** How a task is called, for its help and its messages. */

/** Whether the command line of the package runs, not a task of the project. */
const BY_COMMAND = Deno.mainModule.endsWith("/cli.ts");

/** What a person types before a task's flags: `deno task train` in the project, `codebook train` elsewhere. */
export function taskCall(name: string): string {
  return `${BY_COMMAND ? "codebook" : "deno task"} ${name}`;
}
