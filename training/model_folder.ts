/** Writes a folder to share a trained first stage: its configuration, its weights and a picture. */
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically } from "../files/atomic_write.ts";
import { saveCheckpoint } from "./checkpoint.ts";
import { identityOf, withoutPlaces } from "./identity.ts";
import type { OpenedRun } from "./open_run.ts";
import { RunFolder } from "./run_folder.ts";

/** The picture of samples in such a folder. */
export const MODEL_PICTURE = "samples.png";

/** Writes `config.json`, `model.safetensors` and, if the run has samples, `samples.png`. `openRun` can open the folder.
 *
 *     await writeModelFolder("runs/digits", run, "handed-on/digits");
 *
 * @param path the run's folder
 * @param run the opened run, whose weights are written
 * @returns the name of the picture, if there is one
 * @throws {Error} a file cannot be written
 */
export async function writeModelFolder(
  path: string,
  { config, model }: OpenedRun,
  out: string,
): Promise<string | null> {
  await mkdir(out, { recursive: true });
  const state = await model.network.stateDictionary();
  const named = new Map([...state].map(([name, entry]) => [`model.${name}`, entry] as const));
  const header = { identity: identityOf(config), carried: null };
  await saveCheckpoint(new RunFolder(out).model, named, header);
  const picture = await new RunFolder(path).lastPicture();
  if (picture !== null) await copyFile(join(path, picture), join(out, MODEL_PICTURE));
  const text = `${JSON.stringify(withoutPlaces(config), null, 2)}\n`;
  await writeAtomically(join(out, "config.json"), text);
  return picture === null ? null : MODEL_PICTURE;
}
