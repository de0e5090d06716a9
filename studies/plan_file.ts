/** Reads a study's `plan.json`. */
import * as z from "zod";
import { DEFAULT_OBJECTIVE } from "../objectives/registry.ts";
import type { PlannedRun } from "./plan.ts";
import { JUDGING, type Judging } from "./judging.ts";
import { readStudy, type Study } from "./study.ts";

/** The part of a planned run that is read from a plan: its point on the axes, and what its measurements need. */
export interface RecordedRun extends Pick<PlannedRun, "point" | "seed" | "hash"> {
  /** Its configuration. */
  readonly config: {
    /** Its folder. */
    readonly out: string;
    /** Its objective. */
    readonly objective: Pick<PlannedRun["config"]["objective"], "type">;
    /** Its training. */
    readonly training: Pick<PlannedRun["config"]["training"], "batchSize">;
  };
  /** How it is evaluated, for a generator. */
  readonly judging?: Judging;
  /** Its first stage. */
  readonly stage1?: PlannedRun["stage1"];
}

const value = z.union([z.boolean(), z.number(), z.string(), z.null(), z.array(z.number()).min(1)]);

const hash = z.string().regex(/^[0-9a-f]{12}$/, { error: "must be 12 hexadecimal digits" });

const PLAN = z.object({
  study: z.unknown(),
  runs: z.array(z.object({
    point: z.record(z.string(), value),
    seed: z.int().min(0),
    hash,
    judging: JUDGING.optional(),
    stage1: z.object({ hash }).optional(),
    config: z.object({
      objective: z.object({ type: z.string() }).default({ type: DEFAULT_OBJECTIVE }),
      training: z.object({ batchSize: z.int().min(1) }),
    }),
  })),
});

/** Validates the contents of a `plan.json`.
 * @param folderOf gives the folder of a run, by its hash
 * @param stage1FolderOf gives the folder of a run of the first stages, by its hash
 * @throws {RangeError} it has other contents
 */
export function readPlan(
  given: unknown,
  folderOf: (hash: string) => string,
  stage1FolderOf: (hash: string) => string,
): { readonly study: Study; readonly runs: readonly RecordedRun[] } {
  const { data, error } = PLAN.safeParse(given);
  if (error !== undefined) {
    const [{ path, message }] = error.issues;
    throw new RangeError(`"${message}" at ${path.map(String).join(".") || "its top"}`);
  }
  const study = readStudy(data.study);
  const axes = [...study.stage1?.axes ?? [], ...study.axes]
    .map((axis) => "path" in axis ? axis.path : axis.name);
  const runs = data.runs.map(({ config, stage1, ...run }, at): RecordedRun => {
    const { point, hash } = run;
    if (axes.length !== Object.keys(point).length || !axes.every((a) => Object.hasOwn(point, a))) {
      throw new RangeError(`other axes than the study's at runs.${at}.point`);
    }
    const below = stage1 && { stage1: { ...stage1, folder: stage1FolderOf(stage1.hash) } };
    return { ...run, ...below, config: { ...config, out: folderOf(hash) } };
  });
  return { study, runs };
}
