/** The studies that can be run by name. */
import { readdir, readFile } from "node:fs/promises";
import { basename, extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseJson } from "../../files/bounded_json.ts";
import { nearestName, suggestName } from "../../settings/nearest_name.ts";
import { readStudy, type Study } from "../../studies/study.ts";
import { anchorSampling } from "./anchor_sampling.ts";
import { codebookDim } from "./codebook_dim.ts";
import { codebookSettings } from "./codebook_settings.ts";
import { codebookSize } from "./codebook_size.ts";
import { codebooks } from "./codebooks.ts";
import { codebooksColour } from "./codebooks_colour.ts";
import { codesForGeneration } from "./codes_for_generation.ts";
import { firstStages } from "./first_stages.ts";
import { fullUsage } from "./full_usage.ts";
import { generation } from "./generation.ts";
import { quantizers } from "./quantizers.ts";
import { reinitialisation } from "./reinitialisation.ts";
import { smallBatches } from "./small_batches.ts";
import { regularSize } from "../../files/regular_file.ts";

/** Endings of files that hold a study. */
const FILES = [".json", ".ts"];

/** All named studies; to add one, add a file to this folder and an entry here. */
export const STUDIES: readonly Study[] = [
  quantizers,
  codebookSize,
  codebookDim,
  anchorSampling,
  reinitialisation,
  fullUsage,
  generation,
  codebookSettings,
  firstStages,
  codebooks,
  codebooksColour,
  codesForGeneration,
  smallBatches,
];

/** A study by its name, or from a file: JSON, or a module whose default export it is.
 * @throws {RangeError} there is no such name or file, or the file is not a study
 */
export async function openStudy(nameOrFile: string): Promise<Study> {
  const named = STUDIES.find(({ name }) => name === nameOrFile);
  if (named !== undefined) return named;
  if (extname(nameOrFile) === "") {
    const suggestion = await suggestStudy(nameOrFile);
    throw new RangeError(
      `Cannot open the study: it must be a name or a .ts or .json file, got ${nameOrFile}, ${suggestion}`,
    );
  }
  const given = await readStudyFile(nameOrFile);
  try {
    return readStudy(given);
  } catch (cause) {
    const { message } = cause as Error;
    throw new RangeError(message.replace("the study", `the study ${nameOrFile}`), { cause });
  }
}

/** Suggests a similar study: a named one, or a file in the working directory. */
async function suggestStudy(name: string): Promise<string> {
  const files = (await readdir(".")).filter((file) => FILES.includes(extname(file)));
  const stems = new Map(files.map((file) => [basename(file, extname(file)), file]));
  const names = STUDIES.map(({ name }) => name);
  const nearest = nearestName(name, [...names, ...stems.keys()]);
  if (nearest === undefined) return suggestName(name, names);
  return `did you mean ${names.includes(nearest) ? nearest : stems.get(nearest)}?`;
}

async function readStudyFile(path: string): Promise<unknown> {
  try {
    await regularSize(path);
    if (extname(path) === ".json") return parseJson(await readFile(path, "utf8"), path);
    return (await import(pathToFileURL(resolve(path)).href)).default;
  } catch (cause) {
    throw new RangeError(
      `Cannot open the study ${path}: it must be JSON or a module that loads, got ${
        (cause as Error).message
      }`,
      { cause },
    );
  }
}
