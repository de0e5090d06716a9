/** The amount of work in a run. */
import { MODEL_NAMES, MODELS, SAMPLED } from "../models.ts";
import { samplingWork, stepWork } from "./models.ts";
import { STEPS, vqvaeWork } from "./steps.ts";
import { HUGE_OPERATIONS, WORKS } from "./works.ts";

/** The amount of a work, which divided by milliseconds gives its rate: 10⁶ floating-point operations, or thousandths of
 * the images of a training step. */
export function rateOf(work: string): { readonly amount: number; readonly unit: string } {
  const model = MODEL_NAMES.find((name) => stepWork(name) === work);
  if (model !== undefined) return { amount: 1000 * MODELS[model].batch, unit: "images/s" };
  const isSampling = MODEL_NAMES.some((name) => samplingWork(name) === work);
  if (isSampling) return { amount: 1000 * SAMPLED, unit: "images/s" };
  const step = STEPS.find((step) => vqvaeWork(step) === work);
  if (step !== undefined) return { amount: 1000 * step.batch, unit: "images/s" };
  const operations = work === "huge" ? HUGE_OPERATIONS : WORKS[work].operations;
  return { amount: operations / 1e6, unit: "GFLOP/s" };
}
