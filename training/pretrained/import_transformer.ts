/** Imports taming's transformers over codes, each with its first stage. */
import { join } from "node:path";
import { quantizerOf } from "../construct.ts";
import { merge, resolveUnchecked, section } from "../resolve.ts";
import {
  type ImportedWeights,
  importFirstStage,
  type ImportSources,
} from "./import_first_stage.ts";
import { type Net2NetFile, takeNet2Net } from "./net2net.ts";

/** Imports a transformer and its first stage. The first stage's run goes to the folder `first-stage` of the
 * transformer's run.
 * @throws {RangeError} the number of heads is not given, or the transformer is conditioned on anything but a class
 */
export async function importTransformer(
  parts: Net2NetFile,
  { file, flags, classes = 0 }: ImportSources,
): Promise<ImportedWeights> {
  const { path } = parts.rest, given = merge(section(file), section(flags));
  const { out, data, model } = given, { heads } = section(model);
  if (typeof heads !== "number") {
    throw new RangeError(
      `Cannot import ${path}: --model.heads must give the number of the transformer's heads (n_head in its YAML file), ` +
        `got ${heads === undefined ? "none" : heads}`,
    );
  }
  const stage1 = join(typeof out === "string" ? out : ".", "first-stage");
  const below = await importFirstStage(parts.rest, { flags: { out: stage1, data } });
  const { codebookSize } = quantizerOf(below.config);
  const own = takeNet2Net(parts, { codebookSize: Number(codebookSize), classes, heads });
  // It was always trained with a class, so it cannot be sampled without one.
  const objective = { type: "autoregression", conditional: classes > 0, classDropout: 0 };
  const config = resolveUnchecked({ saved: { objective, stage1, model: own.model }, file, flags });
  const { state, leftOut } = own;
  return {
    kind: "taming's transformer",
    ...{ config, state, stage1: below },
    loaded: own.loaded + below.loaded,
    leftOut: [...leftOut, ...below.leftOut],
  };
}
