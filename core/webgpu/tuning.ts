/** The results of `deno task tune` for an adapter, in a file of the user's cache folder.
 *
 * Without Deno (in a browser), without permission or without the file, there are no results. The user is not prompted.
 */
import { cacheFolder } from "../cache_folder.ts";

/** The names of the tilings that an adapter uses for products. */
export interface TilingNames {
  /** For matrix products. */
  readonly matmul: string;
  /** For convolutions and their gradients. */
  readonly convolution: string;
}

/** The contents of the file, or why it is ignored. */
export interface Tuning {
  readonly tilings?: TilingNames;
  readonly complaint?: string;
}

const VARIABLES = ["CODEBOOK_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"];

async function permitted(...wanted: Deno.PermissionDescriptor[]): Promise<boolean> {
  if (!("Deno" in globalThis)) return false;
  const answers = await Promise.all(wanted.map((each) => Deno.permissions.query(each)));
  return answers.every(({ state }) => state === "granted");
}

/** The path of the file for an adapter; undefined if it may not be read. */
async function tuningFile(adapter: string): Promise<string | undefined> {
  const asked = VARIABLES.map((variable) => ({ name: "env", variable }) as const);
  if (!await permitted(...asked)) return undefined;
  const folder = cacheFolder((name) => Deno.env.get(name), Deno.build.os);
  const name = adapter.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "");
  return folder === undefined ? undefined : `${folder}/tilings/${name}.json`;
}

/** Reads the results for an adapter.
 * @param adapter the name of the adapter
 * @param candidates the names of the tilings that it can run; a file that names another tiling is outdated
 */
export async function readTuning(
  adapter: string,
  candidates: readonly string[],
): Promise<Tuning> {
  const path = await tuningFile(adapter);
  if (path === undefined || !await permitted({ name: "read", path })) return {};
  try {
    const { matmul, convolution } = JSON.parse(await Deno.readTextFile(path));
    if ([matmul, convolution].every((name) => candidates.includes(name))) {
      return { tilings: { matmul, convolution } };
    }
    return {
      complaint: `ignored ${path}: it names a tiling that this adapter does not have; ` +
        "run `deno task tune` to replace it",
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    const reason = error instanceof Error ? error.message : String(error);
    return { complaint: `ignored ${path}: ${reason}; run \`deno task tune\` to replace it` };
  }
}

/** Saves the results for an adapter, for the next time it is opened.
 * @returns the path of the file
 * @throws {Error} the file cannot be written
 */
export async function writeTuning(adapter: string, tilings: TilingNames): Promise<string> {
  const path = await tuningFile(adapter);
  if (path === undefined) {
    throw new Error(
      "Cannot keep the tilings: the environment must name a cache folder (CODEBOOK_CACHE, or a home) and be " +
        "readable, got none",
    );
  }
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  const partial = `${path}.${Deno.pid}`;
  await Deno.writeTextFile(partial, `${JSON.stringify({ adapter, ...tilings }, null, 2)}\n`);
  await Deno.rename(partial, path); // in one step
  return path;
}
