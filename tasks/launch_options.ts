/** The flags that determine where the runs of a study are computed. */
import * as z from "zod";
import { KubernetesLauncher } from "../studies/launchers/kubernetes.ts";
import type { Launcher } from "../studies/launchers/launcher.ts";
import { PrintLauncher } from "../studies/launchers/print.ts";
import { SlurmLauncher } from "../studies/launchers/slurm.ts";

const text = () => z.string().min(1).nullable().default(null);

/** The flags. */
export const LAUNCH_OPTIONS = {
  launcher: z.enum(["local", "slurm", "kubernetes", "print"]).default("local").describe(
    "where the runs are computed: here; as job arrays that are submitted to Slurm; as a Job of Kubernetes, written to " +
      "kubernetes.json; or anywhere: prints one shell command per run",
  ),
  jobs: z.int().min(1).nullable().default(null).describe(
    "runs at the same time; none: one on this machine, where they share the threads of the cpu device; elsewhere as many as possible",
  ),
  slurm: z.strictObject({
    options: text().describe(
      'options of sbatch: "--partition gpu --time 4:00:00"; a single option without a space must follow =',
    ),
    arraySize: z.int().min(1).default(1000).describe(
      "the most runs in one array; more runs become several arrays, one after another. Slurm's MaxArraySize must be larger",
    ),
    tasks: z.int().min(1).default(1).describe(
      "processes that train each run together by MPI, each on its part of every batch",
    ),
    start: text().describe(
      'the command that starts those processes in a job; none: "mpirun --bind-to none"; or "srun --mpi=pmix"',
    ),
  }).prefault({}),
  kubernetes: z.strictObject({
    image: text().describe("the image, with Deno and this project, required"),
    claim: text().describe(
      "the persistent volume claim with the study's folder, required; relative paths start in it",
    ),
    folder: text().describe("the path of the study's folder in the claim; none: as --out"),
    project: z.string().min(1).default("/codebook").describe(
      "the path of this project in the image",
    ),
    limits: text().describe("resource limits of a run: cpu=4,memory=8Gi,nvidia.com/gpu=1"),
  }).prefault({}),
};

/** The flags' values. */
export type LaunchFlags = z.output<z.ZodObject<typeof LAUNCH_OPTIONS>>;

/** The launcher that the flags choose; undefined for this machine.
 * @param given the flags on the command line
 * @param out the study's folder
 * @throws {RangeError} a flag is missing, belongs to another launcher, or is invalid
 */
export function remoteLauncher(
  flags: LaunchFlags,
  given: Readonly<Record<string, unknown>>,
  out: string,
): Launcher | undefined {
  const { launcher, slurm, kubernetes } = flags;
  const jobs = flags.jobs ?? undefined;
  const refuse = (requirement: string, got: string): never => {
    throw new RangeError(`Cannot read the command line: ${requirement}, got ${got}`);
  };
  for (const section of ["slurm", "kubernetes"]) {
    const [name] = Object.keys(given[section] ?? {});
    if (name === undefined || section === launcher) continue;
    refuse(
      `--${section}.${name} must be given with --launcher ${section}`,
      `--launcher ${launcher}`,
    );
  }
  switch (launcher) {
    case "local":
      return undefined;
    case "print":
      if (jobs !== undefined) {
        refuse("--jobs and --launcher print must not be given together", "both");
      }
      return new PrintLauncher();
    case "slurm":
      return new SlurmLauncher({
        ...{ ...slurm, jobs },
        options: slurm.options ?? undefined,
        start: slurm.start ?? undefined,
      });
    case "kubernetes": {
      const { image, claim, folder, project, limits } = kubernetes;
      if (image === null) return refuse("--kubernetes.image must be given", "none");
      if (claim === null) return refuse("--kubernetes.claim must be given", "none");
      return new KubernetesLauncher({
        ...{ image, claim, project, jobs },
        folder: folder ?? out,
        limits: limits ?? undefined,
      });
    }
  }
}
