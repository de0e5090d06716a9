/** The sampling settings that all generators of codes have in common. */
import * as z from "zod";
import { readSettings } from "../settings/settings.ts";
import { CHOICE_SETTINGS, type ChoiceSettings } from "./samplers/choice.ts";

/** The sampling settings of every generator of codes. */
export interface CodeSamplingSettings extends ChoiceSettings {
  /** The scale of classifier-free guidance: 0 gives the logits without a class, 1 those with the class, and larger
   * values extrapolate beyond them. */
  readonly guidance: number;
}

/** The schema of these settings. */
export const CODE_SAMPLING: z.ZodObject<
  { readonly [Name in keyof CodeSamplingSettings]: z.ZodType<CodeSamplingSettings[Name]> },
  z.core.$strict
> = z.strictObject({
  ...CHOICE_SETTINGS,
  guidance: z.number().min(0).default(1)
    .describe(
      "scale of classifier-free guidance: 1 samples as the model learned, larger values follow the class more strongly",
    ),
});

/** Checks sampling settings and fills in the defaults.
 * @throws {RangeError} a setting is unknown or has a value that is not allowed
 */
export type SamplingReader<Settings> = (settings: Readonly<Record<string, unknown>>) => Settings;

/** Checks the settings that all generators of codes have in common. */
export const readCodeSampling: SamplingReader<CodeSamplingSettings> = (settings) =>
  readSettings(CODE_SAMPLING, settings, "sample");
