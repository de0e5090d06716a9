/** The command that runs a task, for its help and its messages. */

/** Whether the package's own command is running, not a task of the project. */
const BY_COMMAND = Deno.mainModule.endsWith("/cli.ts");

/** The command to type before a task's flags: `deno task train` in the project, `codebook train` elsewhere. */
export function taskCall(name: string): string {
  return `${BY_COMMAND ? "codebook" : "deno task"} ${name}`;
}
