/** Runs tasks as a user does: each a process of its own. */
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);

/** The smallest model and the shortest run. */
export const TINY: readonly string[] = [
  ...["--model.hidden", "8", "--model.residualHidden", "4"],
  ...["--quantizer.codebookSize", "8", "--quantizer.codebookDim", "4"],
  ...["--training.maxSteps", "3", "--training.batchSize", "16"],
];

/** An environment in which no GPU adapter is found, not even a software one. */
export const NO_ADAPTER: Readonly<Record<string, string>> = {
  DENO_WEBGPU_BACKEND: "vulkan",
  VK_DRIVER_FILES: "/nonexistent",
  VK_ICD_FILENAMES: "/nonexistent",
};

/** How a task ended. */
export interface Ended {
  /** Its exit code. */
  readonly code: number;
  /** What it printed. */
  readonly stdout: string;
  /** What it printed as errors. */
  readonly stderr: string;
}

/** A task that has not started. */
export function taskCommand(
  task: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd: string | URL = ROOT,
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", fileURLToPath(new URL(`tasks/${task}.ts`, ROOT)), ...args],
    cwd,
    env: { ...env, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs a task to its end. */
export async function runTask(
  task: string,
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
  cwd?: string,
): Promise<Ended> {
  const { code, stdout, stderr } = await taskCommand(task, args, env, cwd).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** The last line of a text, as JSON. */
export function lastLine(text: string): Record<string, unknown> {
  return JSON.parse(text.trimEnd().split("\n").at(-1) ?? "");
}

/** A folder for the runs of a test file, removed after its last test. */
export function folderForTests(): string {
  const folder = Deno.makeTempDirSync({ prefix: "codebook-tasks-" });
  Deno.test.afterAll(() => Deno.removeSync(folder, { recursive: true }));
  return folder;
}

/** Everything in a folder: file paths with their bytes as text, sorted by path. */
export function snapshot(folder: string): readonly string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return snapshot(path);
    return [`${path} ${new TextDecoder("latin1").decode(Deno.readFileSync(path))}`];
  }).sort();
}
