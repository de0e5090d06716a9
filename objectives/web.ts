/** The parts of objectives that also run in a browser: diffusion, and how generators draw.
 *
 * @module
 */
export * from "./diffusion/latents.ts";
export * from "./diffusion/model.ts";
export * from "./diffusion/prediction.ts";
export * from "./diffusion/schedule.ts";
export {
  type Choice,
  type ChoiceSettings,
  chooseCode,
  type Draw,
  drawOf,
} from "./samplers/choice.ts";
export * from "./samplers/ddim.ts";
export * from "./samplers/guidance.ts";
export * from "./samplers/guided_logits.ts";
export * from "./samplers/noise.ts";
export * from "./samplers/sample.ts";
export * from "./samplers/sampler.ts";
