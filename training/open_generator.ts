/** Opens a run that trained a generator, to sample images in a few lines of code. */
import type { Device } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import { openDataset } from "../data/registry.ts";
import { Generator } from "../objectives/generator.ts";
import { checkFinite, checkIdentity, readCheckpoint } from "./checkpoint.ts";
import { checkpointFile } from "./checkpoint_file.ts";
import type { Config } from "./config.ts";
import { constructObjective, restoreModel } from "./construct.ts";
import { identityOf } from "./identity.ts";
import { openRun, type OpenRunOptions } from "./open_run.ts";
import { resolveConfig } from "./resolve.ts";
import { RunFolder } from "./run_folder.ts";

/** An opened run of a generator. */
export interface OpenedGenerator extends Disposable {
  /** The configuration of the run. */
  readonly config: Config;
  /** Generates images. */
  readonly generator: Generator;
  /** The data set that it was trained on. */
  readonly dataset: Dataset;
}

/** Opens the run of a generator, together with its first stage.
 * @throws {Error} the folder holds no run, or a file cannot be read
 * @throws {RangeError} the run is not of a generator, its checkpoint is damaged or of another configuration, or its
 * first stage is not the one that it was trained on
 */
export async function openGenerator(
  path: string,
  device: Device,
  { checkpoint: which = "last", weights = "auto" }: OpenRunOptions = {},
): Promise<OpenedGenerator> {
  const folder = new RunFolder(path);
  if (await folder.state() === "empty") {
    throw new Error(`Cannot open ${path}: the folder must hold a run, got none`);
  }
  const config = resolveConfig({ saved: await folder.readConfig() });
  const file = await checkpointFile(folder, which);
  const checkpoint = await readCheckpoint(file);
  const dataset = await openDataset(config.data);
  const resources = new DisposableStack();
  try {
    const stage1 = config.stage1 === null
      ? undefined
      : resources.use(await openRun(config.stage1, device));
    const below = stage1 && { stage1: stage1.identity };
    checkIdentity(file, checkpoint.identity, { ...identityOf(config), ...below });
    checkFinite(file, checkpoint);
    const generator = resources.use(
      await constructObjective(config, device, dataset, stage1?.model),
    );
    if (!(generator instanceof Generator)) {
      throw new RangeError(
        `Cannot sample ${path}: its objective must train a generator, got ${config.objective.type}`,
      );
    }
    restoreModel(generator.model, checkpoint, weights);
    return { config, generator, dataset, [Symbol.dispose]: () => resources.dispose() };
  } catch (error) {
    resources.dispose();
    throw error;
  }
}
