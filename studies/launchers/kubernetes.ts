/** Runs a study as a Kubernetes Job. */
import { createHash } from "node:crypto";
import { join, posix } from "node:path";
import { writeAtomically } from "../../files/atomic_write.ts";
import { flagsBesideFile } from "../../training/origins.ts";
import { hasControls } from "../../training/printable.ts";
import { launchPermissions } from "../run_permissions.ts";
import { trainFile } from "./command.ts";
import type { Study } from "../study.ts";
import { checkJobs, type Launcher, type StudyWork, writeConfigs } from "./launcher.ts";
import { quoteShell } from "./shell.ts";

/** Options of `KubernetesLauncher`. */
export interface KubernetesOptions {
  /** The image, which has Deno and this project. */
  readonly image: string;
  /** The persistent volume claim with the study's folder, which all pods must be able to write to at the same time. */
  readonly claim: string;
  /** The path of the study's folder in the claim. */
  readonly folder: string;
  /** The path of this project in the image, `/codebook` by default. */
  readonly project?: string;
  /** Resource limits of a run, in kubectl's syntax: `cpu=4,memory=8Gi,nvidia.com/gpu=1`. */
  readonly limits?: string;
  /** Runs at a time; by default as many as possible. */
  readonly jobs?: number;
}

/** The mount path of the claim in the pods; relative paths in settings start there. */
const MOUNT = "/claim";
/** How often a run is resumed after its pod was killed. */
const RESTARTS = 3;
/** Seconds between the stop signal and the kill of a pod: enough for a step and a checkpoint. */
const GRACE = 120;
/** The exit code of a run that failed with an error and would fail again. */
const FAILED = 1;
/** Characters of a study's name in the Job's; its pods' names must keep to 63. */
const NAME_LENGTH = 40;

/** Writes `kubernetes.json` to the study's folder: an Indexed Job for `kubectl apply -f`, with one index per run.
 *
 * A pod that is evicted or killed is replaced, and its run continues from the last checkpoint. A failed run is not
 * retried and does not stop the others. The Job's name is derived from the study and its path in the claim, so a
 * cluster accepts no second Job for the same runs until the first is deleted. Needs Kubernetes 1.29 or newer.
 *
 * ```ts
 * import { KubernetesLauncher, launchStudy } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const out = await Deno.makeTempDir();
 * const study = { name: "sizes", axes: [{ path: "quantizer.codebookSize", values: [8, 16] }] };
 * const launcher = new KubernetesLauncher({ image: "codebook:1", claim: "studies", folder: "sizes" });
 * await launchStudy(study, launcher, { out });
 * const { spec } = JSON.parse(await Deno.readTextFile(`${out}/kubernetes.json`));
 * assert.equal(spec.completions, 2);
 * await Deno.remove(out, { recursive: true });
 * ```
 */
export class KubernetesLauncher implements Launcher {
  readonly #options: KubernetesOptions;
  readonly #limits: Readonly<Record<string, string>>;

  /** Creates the launcher.
   * @throws {RangeError} an option is invalid
   */
  constructor(options: KubernetesOptions) {
    const { image, claim, folder, project, limits, jobs = 1 } = options;
    checkJobs(jobs);
    const refuse = (requirement: string, got: string): never => {
      throw new RangeError(`Cannot launch with kubernetes: ${requirement}, got ${got}`);
    };
    for (const [name, value] of Object.entries({ image, claim, folder, project, limits })) {
      if (value !== undefined && hasControls(value)) {
        refuse(`${name} must have no control characters`, JSON.stringify(value));
      }
    }
    if (!/^\S+$/.test(image)) refuse("the image must be a name without spaces", `"${image}"`);
    if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(claim)) {
      refuse("the claim must be a name of lower-case letters, digits, dashes and dots", claim);
    }
    if (posix.isAbsolute(folder) || posix.normalize(folder).startsWith("..")) {
      refuse("the study's folder must be a path within the claim", folder);
    }
    const pairs = limits?.split(",").map((pair) => pair.split("=")) ?? [];
    if (pairs.some((pair) => pair.length !== 2 || pair.includes(""))) {
      refuse("limits must be like cpu=4,memory=8Gi", limits ?? "none");
    }
    this.#options = options;
    this.#limits = Object.fromEntries(pairs);
  }

  /** Rejects a study with first stages, because pods see them at other paths than this machine.
   * @throws {RangeError} the study has first stages
   */
  check({ name, stage1 }: Study): void {
    if (stage1 === undefined) return;
    throw new RangeError(
      `Cannot launch ${name} with kubernetes: its runs must not depend on first stages of the study, got ${stage1.name}; ` +
        "--launcher local, slurm and print take it",
    );
  }

  /** Writes every run's configuration, and the Job. */
  async launch(work: StudyWork): Promise<readonly string[]> {
    const { claim, folder } = this.#options;
    const job = this.#job(work);
    const path = join(work.out, "kubernetes.json"), file = quoteShell(path);
    await writeConfigs(work.runs);
    await writeAtomically(path, `${JSON.stringify(job, null, 2)}\n`);
    const { name } = job.metadata;
    return [
      `${path} is the Job ${name}, of ${work.runs.length} runs`,
      `the claim ${claim} must hold ${work.out} as ${folder}`,
      `\`kubectl apply -f ${file}\` starts it; if a Job of that name has ended or is of other runs, delete it ` +
      `first: \`kubectl delete job ${name}\``,
      `\`deno task ablate collect ${
        quoteShell(work.out)
      }\` collects its results, here or wherever the folder is copied to`,
    ];
  }

  #job({ study, runs }: StudyWork) {
    const { image, claim, folder, project = "/codebook", jobs = runs.length } = this.#options;
    const place = posix.resolve(MOUNT, folder);
    const digest = createHash("sha256").update(`${claim} ${place}`).digest("hex").slice(0, 8);
    const words = ["deno", "run", ...launchPermissions(null)].map(quoteShell);
    // All runs have the same flags, because no axis may set them.
    const call = [
      ...words,
      '"$0"',
      '"$1"',
      ...flagsBesideFile(runs[0].config).map((word) => literal(quoteShell(word))),
    ]
      .join(" ");
    const labels = { "app.kubernetes.io/name": "codebook" };
    return {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: `${study.name.slice(0, NAME_LENGTH)}-${digest}`, labels },
      spec: {
        completionMode: "Indexed",
        completions: runs.length,
        parallelism: Math.min(jobs, runs.length),
        backoffLimitPerIndex: RESTARTS,
        podFailurePolicy: {
          rules: [
            { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] },
            {
              action: "FailIndex",
              onExitCodes: { containerName: "run", operator: "In", values: [FAILED] },
            },
          ],
        },
        template: {
          metadata: { labels },
          spec: {
            restartPolicy: "Never",
            terminationGracePeriodSeconds: GRACE,
            containers: [{
              name: "run",
              image,
              workingDir: MOUNT,
              command: [
                ...["sh", "-c", `shift "$JOB_COMPLETION_INDEX"; exec ${call}`],
                literal(trainFile(project)),
                ...runs.map(({ hash }) => literal(posix.join(place, "runs", hash))),
              ],
              resources: { limits: this.#limits },
              volumeMounts: [{ name: "claim", mountPath: MOUNT }],
            }],
            volumes: [{ name: "claim", persistentVolumeClaim: { claimName: claim } }],
          },
        },
      },
    };
  }
}

/** A word of a container's command, in which Kubernetes would put variables in place of `$(NAME)`. */
function literal(word: string): string {
  return word.replaceAll("$", "$$$$");
}
