/** The permissions of a run's process: no more than those of the study's own process, and no more than a run needs. */
import { fileURLToPath } from "node:url";
import { usualBlasPaths, usualDnnPaths } from "../core/library_paths.ts";
import { dataRoot } from "../data/download.ts";
import { MPI_VARIABLES } from "../training/distributed/mpi_library.ts";

/** Environment variables that a run reads: those for the folders of files, those that the graphics driver and the image
 * decoder ask for, and those with the rank of the process. */
const VARIABLES = [
  ...[
    "CODEBOOK_DATA",
    "CODEBOOK_CACHE",
    "XDG_CACHE_HOME",
    "LOCALAPPDATA",
    "HOME",
    "XDG_RUNTIME_DIR",
  ],
  ...["npm_package_config_libvips", "MALLOC_ARENA_MAX"],
  ...MPI_VARIABLES,
];

/** The system information that a run asks for: the home folder, which contains the downloads, and the host name, for the
 * lock. */
const SYSTEM = ["homedir", "hostname"] as const;

/** The files that a run reads and writes. */
export interface RunPlaces {
  /** The run's folder. */
  readonly folder: string;
  /** Settings with the paths or addresses of its images, separated by commas; and the path of its first stage. */
  readonly data: readonly string[];
  /** The download folder as set in the configuration; undefined if nothing is downloaded. */
  readonly root?: string | null;
  /** The libraries of `cpu.blas` and `cpu.dnn`, or auto or off. */
  readonly libraries: readonly string[];
}

/** The files that a run reads and writes, according to its saved configuration, which may have any contents. */
export function placesOf(folder: string, saved: unknown): RunPlaces {
  const { data, cpu, stage1 } = (saved ?? {}) as Readonly<
    Record<string, Readonly<Record<string, unknown>>>
  >;
  const { path, train, test, root } = data ?? {};
  const text = (value: unknown) => typeof value === "string" ? [value] : [];
  return {
    folder,
    data: [path, train, test, stage1].flatMap(text),
    root: root === null || typeof root === "string" ? root : undefined,
    libraries: [cpu?.blas, cpu?.dnn].flatMap(text),
  };
}

/** The flags of `deno run` for a run's process.
 *
 * It may read files and call libraries at most as this process may. It writes to its own folder and the download
 * folder, connects only to the addresses of its images, starts no process, and never prompts.
 */
export function runPermissions({ folder, data, root, libraries }: RunPlaces): readonly string[] {
  const parts = data.flatMap((setting) => setting.split(",")).map((part) => part.trim());
  const addresses = parts.filter(isAddress);
  const paths = parts.filter((part) => part !== "" && !isAddress(part)).map(beforeBraces);
  const downloads = root === undefined ? [] : downloadFolder(root);
  return [
    "--no-prompt",
    ...whole("read", "path", [...projectFolder(), folder, ...paths, ...downloads]),
    ...listed("write", "path", [folder, ...downloads]),
    ...root === undefined
      ? listed("net", "host", addresses.flatMap(hostOf))
      : whole("net", "host", addresses.flatMap(hostOf)),
    ...whole("ffi", "path", [...usualLibraries(), ...libraries]),
    ...listed("env", "variable", VARIABLES),
    ...listed("sys", "kind", SYSTEM),
  ];
}

/** The flags of `deno run` for the process that launches one run of a study, later and perhaps on another machine: every
 * kind of permission that this process has at least in part, and the permission to start the run's process.
 * @param folder the folder that it may write besides downloads; null: everything, if something else confines the
 * process
 */
export function launchPermissions(folder: string | null): readonly string[] {
  const kinds = [whole("net", "host", []), whole("ffi", "path", usualLibraries())];
  const write = folder === null || folder.includes(",")
    ? ""
    : `=${[folder, ...downloadFolder(null)]}`;
  return [
    ...["--no-prompt", "--allow-read", `--allow-write${write}`, "--allow-run"],
    ...kinds.flatMap(([given]) => given === undefined ? [] : [given.split("=")[0]]),
    ...[`--allow-env=${VARIABLES}`, `--allow-sys=${SYSTEM}`],
  ];
}

/** The libraries that the device cpu looks for. */
const usualLibraries = (): readonly string[] => [...usualBlasPaths(), ...usualDnnPaths()];

type Kind = "read" | "write" | "net" | "ffi" | "env" | "sys";

/** The flag of a permission as far as this process has it: for everything, or for some of the values. */
function whole(name: Kind, key: string, values: readonly string[]): readonly string[] {
  return isGranted({ name } as Deno.PermissionDescriptor)
    ? [`--allow-${name}`]
    : listed(name, key, values);
}

/** A permission for those of the values for which this process has it. A value with a comma cannot be listed. If this
 * process has the whole permission, that is used instead. */
function listed(name: Kind, key: string, values: readonly string[]): readonly string[] {
  const having = granted(name, key, values);
  const listable = having.filter((value) => !value.includes(","));
  if (listable.length < having.length && isGranted({ name } as Deno.PermissionDescriptor)) {
    return [`--allow-${name}`];
  }
  return listable.length === 0 ? [] : [`--allow-${name}=${listable}`];
}

function granted(name: Kind, key: string, values: readonly string[]): readonly string[] {
  return [...new Set(values)].filter((value) =>
    isGranted({ name, [key]: value } as unknown as Deno.PermissionDescriptor)
  );
}

/** Whether this process has a permission, with no part of it denied. */
function isGranted(descriptor: Deno.PermissionDescriptor): boolean {
  const { state, partial } = Deno.permissions.querySync(descriptor);
  return state === "granted" && !partial;
}

/** The folder of this project, if it is on this machine: some of its modules are loaded on demand. */
function projectFolder(): readonly string[] {
  const url = new URL("../", import.meta.url);
  return url.protocol === "file:" ? [fileURLToPath(url)] : [];
}

/** The folder of downloads; empty if this process may not determine it. */
function downloadFolder(root: string | null): readonly string[] {
  try {
    return [dataRoot(root)];
  } catch {
    return [];
  }
}

function isAddress(part: string): boolean {
  return /^https?:\/\//.test(part);
}

function hostOf(address: string): readonly string[] {
  return URL.canParse(address) ? [new URL(address).host] : [];
}

/** The folder of a name with braces, which stands for several files. */
function beforeBraces(path: string): string {
  const brace = path.indexOf("{");
  return brace < 0 ? path : path.slice(0, path.lastIndexOf("/", brace) + 1) || ".";
}
