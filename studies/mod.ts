/** Studies (ablations): many runs that differ in a few settings, in one table.
 *
 * @module
 */
export * from "./study.ts";
export * from "./measures.ts";
export type { Judging } from "./judging.ts";
export { type PlannedRun, type PlanOptions, planRuns } from "./plan.ts";
export type { StudyRun, StudyRunState } from "./records.ts";
export type { Damage } from "./damage.ts";
export * from "./run_study.ts";
export * from "./collect_study.ts";
export type { Launcher, StudyWork } from "./launchers/launcher.ts";
export * from "./launchers/local.ts";
export * from "./launchers/slurm.ts";
export * from "./launchers/kubernetes.ts";
export * from "./launchers/print.ts";
export * from "./tables.ts";
export { drawStudy } from "./page.ts";
export { type ComparedRun, readComparedRuns } from "./side_by_side.ts";
export { drawSideBySide } from "./side_by_side_page.ts";
export { readTrace, type RunTrace } from "./traces.ts";
