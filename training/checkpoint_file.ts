/** Finds the file of a run that a checkpoint's name refers to. */
import { stat } from "node:fs/promises";
import type { RunFolder } from "./run_folder.ts";

/** The path of a checkpoint. If the folder has no last checkpoint, `last` means the weights, or the model that `card`
 * wrote. */
export async function checkpointFile(folder: RunFolder, which: string): Promise<string> {
  if (which !== "last" && which !== "best" && which !== "weights") return which;
  const file = folder.checkpoint(which);
  const others = which === "last" ? [folder.checkpoint("weights"), folder.model] : [];
  const exists = async (path: string) => await stat(path).then(() => true, () => false);
  for (const path of [file, ...others]) if (await exists(path)) return path;
  return file;
}
